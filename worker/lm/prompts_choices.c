/* Scoring every candidate of an item. */
#include <stdlib.h>

#include "check.h"
#include "prompts_impl.h"

/* The candidates of an item as tokens, one after the other. */
struct tokenized {
    struct token_list ids;
    uint8_t *losses; /* of ids */
    size_t loss_cap;
    struct branch_candidate *candidates;
    struct branch_sum *sums;
    struct token_score *scores;
    struct record_choice *choices;
};

static void tokenized_release(struct tokenized *t)
{
    token_list_release(&t->ids);
    free(t->losses);
    free(t->candidates);
    free(t->sums);
    free(t->scores);
    free(t->choices);
}

static void *array(size_t count, size_t element_bytes)
{
    void *memory = calloc(count + 1, element_bytes);
    ASSERT(memory != NULL);
    return memory;
}

/* Append a segment's ids and losses. */
static enum err_code add_segment(struct tokenized *t, struct tokenizer *tokenizer,
                                 const struct segment *segment, struct err *err)
{
    const size_t from = t->ids.count;
    enum err_code code = corpus_segment(tokenizer, segment, &t->ids, err);
    if (t->ids.count > t->loss_cap) {
        t->loss_cap = 2 * t->ids.count;
        t->losses = reallocarray(t->losses, t->loss_cap, sizeof *t->losses);
        ASSERT(t->losses != NULL);
    }
    for (size_t i = from; i < t->ids.count; i++)
        t->losses[i] = (uint8_t)segment->loss;
    return code;
}

static enum err_code tokenize(struct tokenized *t, const struct sequence *s,
                              struct tokenizer *tokenizer, struct err *err)
{
    enum err_code code = ERR_OK;
    t->candidates = array(s->candidate_count, sizeof *t->candidates);
    t->sums = array(s->candidate_count, sizeof *t->sums);
    t->choices = array(s->candidate_count, sizeof *t->choices);
    for (uint32_t c = 0; c < s->candidate_count && !code; c++) {
        const size_t from = t->ids.count;
        for (uint32_t i = 0; i < s->candidates[c].segment_count && !code; i++)
            code = add_segment(t, tokenizer, &s->candidates[c].segments[i], err);
        t->candidates[c].count = t->ids.count - from;
    }
    t->scores = array(t->ids.count, sizeof *t->scores);
    const int32_t *at = t->ids.ids; /* it moves no more */
    for (uint32_t c = 0; c < s->candidate_count; at += t->candidates[c++].count)
        t->candidates[c].ids = at;
    return code;
}

static struct record record_of(const struct tokenized *t, const struct sequence *s, uint32_t number)
{
    struct record record = {
        .sequence = number, .part_count = (uint16_t)s->candidate_count, .choices = t->choices};
    size_t token = 0;
    for (uint32_t c = 0; c < s->candidate_count; c++) {
        struct record_choice *choice = &t->choices[c];
        *choice = (struct record_choice){.target = s->candidates[c].target};
        for (size_t i = 0; i < t->candidates[c].count; i++, token++) {
            double *nats = t->losses[token] == LOSS_TERMINATOR ? &choice->terminator_nats
                                                               : &choice->content_nats;
            *nats += t->scores[token].nats;
        }
    }
    record.token_count = token < UINT16_MAX ? (uint16_t)token : UINT16_MAX;
    return record;
}

enum err_code prompts_choices(struct prompts_run *run, uint32_t number, struct err *err)
{
    const struct sequence *s = &run->dataset->sequences[number];
    struct tokenized t = {0};
    enum err_code code = tokenize(&t, s, run->tokenizer, err);
    if (!code)
        code = branch_score(run->branch, t.candidates, s->candidate_count, t.sums, t.scores, err);
    if (!code) {
        const struct record record = record_of(&t, s, number);
        code = run->hooks->on_records(run->hooks->ctx, &record, 1, number + 1, err);
    }
    tokenized_release(&t);
    return code;
}
