#include "evaluator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "check.h"

/* Everything one evaluation allocates; all but the entries before its first batch. */
struct evaluation {
    struct corpus corpus; /* borrowed, ending where the evaluation ends */
    const struct evaluate_hooks *hooks;
    struct batch_plan plan;
    struct model_run *run;
    struct model_watch watch;
    struct model_sequence *sequences;
    struct token_score *scores;
    struct record *records;
    double *greedy_nats; /* per loss token: of the most probable token there */
    bool calibration;
    /* Probable tokens of the batch; those of loss token i are entry_starts[i] … [i + 1] - 1. */
    struct record_entry *entries;
    size_t *entry_starts, entry_count, entry_cap;
};

static void add_entry(struct evaluation *e, double log_p, bool right)
{
    if (e->entry_count == e->entry_cap) {
        e->entry_cap = e->entry_cap ? 2 * e->entry_cap : 4096;
        e->entries = reallocarray(e->entries, e->entry_cap, sizeof *e->entries);
        ASSERT(e->entries != NULL);
    }
    e->entries[e->entry_count++] = (struct record_entry){(float)log_p, right};
}

static void on_logits(void *ctx, size_t index, const float *logits, int vocabulary, double lse,
                      int32_t target)
{
    struct evaluation *e = ctx;
    const double floor = lse + log(EVALUATE_ENTRY_FLOOR);
    float highest = logits[0];
    e->entry_starts[index] = e->entry_count;
    for (int id = 0; id < vocabulary; id++) {
        highest = logits[id] > highest ? logits[id] : highest;
        if (e->calibration && (double)logits[id] > floor)
            add_entry(e, (double)logits[id] - lse, id == target);
    }
    e->greedy_nats[index] = lse - (double)highest;
    e->entry_starts[index + 1] = e->entry_count;
}

/* Loss tokens of a sequence must name their example, in rising order. */
static enum err_code check_sequence(const struct corpus *c, uint32_t sequence, int vocabulary,
                                    struct err *err)
{
    int32_t example = 0;
    size_t item_tokens = 0;
    for (size_t i = c->starts[sequence]; i < c->starts[sequence + 1]; i++) {
        if (c->ids[i] < 0 || c->ids[i] >= vocabulary)
            return err_set(err, ERR_INVALID, "token id %d is outside the vocabulary of %d",
                           c->ids[i], vocabulary);
        if (c->losses[i] == LOSS_NONE)
            continue;
        if (c->examples[i] < example)
            return err_set(err, ERR_INVALID,
                           "a token with a loss belongs to example %d, after example %d",
                           c->examples[i], example);
        item_tokens = c->examples[i] == example ? item_tokens + 1 : 1;
        if (item_tokens > UINT16_MAX)
            return err_set(err, ERR_INVALID, "example %d has more than %d tokens with a loss",
                           c->examples[i], UINT16_MAX);
        example = c->examples[i];
    }
    return ERR_OK;
}

static enum err_code check_corpus(const struct corpus *c, const struct model_config *config,
                                  struct err *err)
{
    for (uint32_t s = 0; s < c->sequence_count; s++) {
        enum err_code rc = check_sequence(c, s, config->vocabulary, err);
        if (rc == ERR_OK && corpus_length(c, s) > (size_t)config->context + 1)
            rc = err_set(err, ERR_INVALID, "%zu tokens do not fit a context of %d",
                         corpus_length(c, s), config->context);
        if (rc != ERR_OK)
            return err_wrap(err, "evaluate: sequence %u", c->lines[s]);
    }
    return ERR_OK;
}

/* The corpus, borrowed, as far as an evaluation goes. */
static struct corpus share_of(const struct corpus *corpus, uint32_t end_sequence)
{
    struct corpus share = *corpus;
    if (end_sequence > 0 && end_sequence < corpus->sequence_count)
        share.sequence_count = end_sequence;
    return share;
}

static struct batch_plan plan_of(const struct corpus *share, size_t batch_tokens)
{
    return (struct batch_plan){.corpus = share, .batch_tokens = batch_tokens, .accumulate = 1};
}

static struct model_capacity capacity_of(const struct micro_batch *largest,
                                         const struct corpus *corpus)
{
    return (struct model_capacity){
        .sequences = largest->sequence_count,
        .tokens = largest->token_count,
        .loss_tokens = largest->loss_token_count,
        .sequence_tokens = corpus_length_max(corpus),
    };
}

static enum err_code allocate(struct evaluation *e, const struct model *model,
                              uint32_t first_sequence, struct err *err)
{
    struct micro_batch largest = batch_largest(&e->plan, first_sequence);
    struct model_capacity capacity = capacity_of(&largest, &e->corpus);
    e->sequences = calloc(largest.sequence_count, sizeof *e->sequences);
    e->scores = calloc(largest.loss_token_count + 1, sizeof *e->scores);
    e->records = calloc(largest.loss_token_count + 1, sizeof *e->records);
    e->greedy_nats = calloc(largest.loss_token_count + 1, sizeof *e->greedy_nats);
    e->entry_starts = calloc(largest.loss_token_count + 2, sizeof *e->entry_starts);
    if (!e->sequences || !e->scores || !e->records || !e->greedy_nats || !e->entry_starts)
        return err_set(err, ERR_LIMIT, "evaluate: no memory for a batch of %zu tokens",
                       largest.token_count);
    enum err_code rc = model_run_new(model, MODEL_SCORE, &capacity, &e->run, err);
    if (rc == ERR_OK)
        model_run_watch(e->run, &e->watch);
    return rc;
}

/* Add loss token `index` of the batch to its record. */
static void record_add(const struct evaluation *e, struct record *record, size_t index,
                       bool terminator)
{
    const struct token_score *score = &e->scores[index];
    const size_t entries = e->entry_starts[index + 1] - e->entry_starts[index];
    double *nats = terminator ? &record->terminator_nats : &record->content_nats;
    *nats += score->nats;
    if (record->token_count == 0)
        record->first_hit = score->hit;
    record->token_count++;
    record->hit_tokens = (uint16_t)(record->hit_tokens + score->hit);
    record->hit = record->hit_tokens == record->token_count;
    record->greedy_nats += e->greedy_nats[index];
    if (entries == 0)
        return;
    if (!record->entries)
        record->entries = e->entries + e->entry_starts[index];
    /* A very long answer keeps those of its first tokens. */
    const bool follows =
        record->entries + record->part_count == e->entries + e->entry_starts[index];
    if (follows && record->part_count + entries <= RECORD_ENTRIES_MAX)
        record->part_count = (uint16_t)(record->part_count + entries);
}

/* Fold the scores of one sequence, token by token, into records; returns how many there are. `used`
 * counts the loss tokens of the batch. */
static uint32_t sequence_records(const struct evaluation *e, uint32_t sequence, size_t *used,
                                 struct record *records)
{
    const struct corpus *c = &e->corpus;
    uint32_t count = 0;
    for (size_t i = c->starts[sequence]; i < c->starts[sequence + 1]; i++) {
        if (c->losses[i] == LOSS_NONE)
            continue;
        uint32_t position = (uint32_t)c->examples[i];
        if (count == 0 || records[count - 1].position != position)
            records[count++] =
                (struct record){.sequence = c->lines[sequence], .position = position};
        record_add(e, &records[count - 1], (*used)++, c->losses[i] == LOSS_TERMINATOR);
    }
    return count;
}

static enum err_code run_batch(struct evaluation *e, const struct micro_batch *batch,
                               struct err *err)
{
    const struct corpus *c = &e->corpus;
    for (uint32_t i = 0; i < batch->sequence_count; i++) {
        size_t start = c->starts[batch->first_sequence + i];
        e->sequences[i] = (struct model_sequence){
            .ids = c->ids + start,
            .losses = c->losses + start,
            .count = corpus_length(c, batch->first_sequence + i),
        };
    }
    e->entry_count = 0;
    if (batch->loss_token_count > 0)
        model_forward(e->run, e->sequences, batch->sequence_count, e->scores);
    uint32_t count = 0;
    size_t used = 0;
    for (uint32_t i = 0; i < batch->sequence_count; i++) {
        count += sequence_records(e, batch->first_sequence + i, &used, e->records + count);
    }
    ASSERT(used == batch->loss_token_count);
    if (!e->hooks->on_records)
        return ERR_OK;
    return e->hooks->on_records(e->hooks->ctx, e->records, count,
                                batch->first_sequence + batch->sequence_count, err);
}

enum err_code evaluator_run(const struct model *model, const struct corpus *corpus,
                            const struct evaluate_options *options,
                            const struct evaluate_hooks *hooks, struct err *err)
{
    struct evaluation e = {
        .corpus = share_of(corpus, options->end_sequence),
        .hooks = hooks,
        .calibration = options->calibration,
    };
    e.watch = (struct model_watch){&e, options->allowed, on_logits};
    e.plan = plan_of(&e.corpus, options->batch_tokens);
    struct data_cursor cursor = {.sequence = options->first_sequence};
    enum err_code rc = check_corpus(corpus, model_shape(model), err);
    if (rc != ERR_OK || options->first_sequence >= e.corpus.sequence_count)
        return rc;
    rc = allocate(&e, model, options->first_sequence, err);
    while (rc == ERR_OK && cursor.epoch == 0) {
        if (hooks->should_stop && hooks->should_stop(hooks->ctx)) {
            rc = err_set(err, ERR_CANCELLED, "evaluate: stopped before sequence %u",
                         cursor.sequence);
            break;
        }
        struct micro_batch batch;
        batch_step(&e.plan, &cursor, &batch);
        rc = run_batch(&e, &batch, err);
    }
    model_run_free(e.run);
    free(e.entries);
    free(e.entry_starts);
    free(e.greedy_nats);
    free(e.records);
    free(e.scores);
    free(e.sequences);
    return rc;
}

uint64_t evaluator_record_count(const struct corpus *corpus, uint32_t first, uint32_t end)
{
    uint64_t count = 0;
    for (uint32_t s = first; s < end; s++) {
        int32_t last = -1;
        for (size_t i = corpus->starts[s]; i < corpus->starts[s + 1]; i++) {
            if (corpus->losses[i] == LOSS_NONE || corpus->examples[i] == last)
                continue;
            last = corpus->examples[i];
            count++;
        }
    }
    return count;
}

size_t evaluator_memory_bytes(const struct model_config *config, const struct corpus *corpus,
                              const struct evaluate_options *options)
{
    struct corpus share = share_of(corpus, options->end_sequence);
    const struct batch_plan plan = plan_of(&share, options->batch_tokens);
    const struct micro_batch largest = batch_largest(&plan, options->first_sequence);
    const struct model_capacity capacity = capacity_of(&largest, &share);
    return model_config_parameters(config) * sizeof(float) +
           model_run_bytes(config, MODEL_SCORE, &capacity);
}
