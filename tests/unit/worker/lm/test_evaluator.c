/* Records: what they hold, and that neither batch size nor the place where an evaluation was cut
 * changes a bit of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cmocka_all.h"
#include "evaluator.h"
#include "family_golden.h"
#include "kernels.h"

enum { RECORDS_MAX = 512 };

struct collected {
    struct record records[RECORDS_MAX];
    uint32_t count;
    uint32_t next_sequence;
    uint32_t batches;
    uint32_t stop_after_batches; /* 0: never */
};

static enum err_code on_records(void *ctx, const struct record *records, uint32_t count,
                                uint32_t next_sequence, struct err *err)
{
    struct collected *c = ctx;
    (void)err;
    assert_true(c->count + count <= RECORDS_MAX);
    memcpy(c->records + c->count, records, count * sizeof *records);
    c->count += count;
    c->next_sequence = next_sequence;
    c->batches++;
    return ERR_OK;
}

static bool should_stop(void *ctx)
{
    const struct collected *c = ctx;
    return c->stop_after_batches > 0 && c->batches >= c->stop_after_batches;
}

/* The golden sequences with every run of four tokens an example whose last token is its terminator;
 * the first example has no loss. */
static void mark_examples(struct corpus *c)
{
    c->loss_token_count = 0;
    for (uint32_t s = 0; s < c->sequence_count; s++) {
        for (size_t i = c->starts[s]; i < c->starts[s + 1]; i++) {
            size_t position = i - c->starts[s];
            c->examples[i] = (int32_t)(position / 4);
            c->losses[i] = position % 4 == 3 ? LOSS_TERMINATOR : LOSS_CONTENT;
            if (position < 4)
                c->losses[i] = LOSS_NONE;
            c->loss_token_count += c->losses[i] != LOSS_NONE;
        }
    }
}

static enum err_code evaluate(const struct model *model, const struct corpus *corpus,
                              size_t batch_tokens, uint32_t first, struct collected *out,
                              struct err *err)
{
    struct evaluate_options options = {.batch_tokens = batch_tokens, .first_sequence = first};
    struct evaluate_hooks hooks = {out, on_records, should_stop};
    return evaluator_run(model, corpus, &options, &hooks, err);
}

static bool same(const struct record *a, const struct record *b)
{
    return a->sequence == b->sequence && a->position == b->position &&
           memcmp(&a->content_nats, &b->content_nats, sizeof a->content_nats) == 0 &&
           memcmp(&a->terminator_nats, &b->terminator_nats, sizeof a->terminator_nats) == 0 &&
           a->token_count == b->token_count && a->hit_tokens == b->hit_tokens &&
           a->first_hit == b->first_hit && a->hit == b->hit;
}

static void records_hold_what_the_scores_say(void **state)
{
    (void)state;
    struct golden g;
    struct err err;
    golden_load(&g, "llama-untied");
    mark_examples(&g.corpus);
    struct model *model = golden_model(&g);
    struct collected *got = calloc(1, sizeof *got);
    assert_int_equal(evaluate(model, &g.corpus, 64, 0, got, &err), ERR_OK);
    assert_int_equal(got->count, evaluator_record_count(&g.corpus, 0, g.corpus.sequence_count));
    assert_int_equal(got->next_sequence, g.corpus.sequence_count);

    struct model_run *run = NULL;
    struct model_sequence sequences[GOLDEN_SEQUENCES_MAX];
    size_t count = golden_sequences(&g.corpus, sequences);
    struct token_score *scores = calloc(g.corpus.loss_token_count, sizeof *scores);
    struct model_capacity capacity = {count, 1024, 1024, 96};
    assert_int_equal(model_run_new(model, MODEL_SCORE, &capacity, &run, &err), ERR_OK);
    model_forward(run, sequences, count, scores);
    size_t used = 0;
    for (uint32_t r = 0; r < got->count; r++) {
        const struct record *record = &got->records[r];
        double content = 0, terminator = 0;
        int hits = 0;
        bool first_hit = scores[used].hit;
        uint32_t s = record->sequence;
        size_t start = g.corpus.starts[s] + record->position * 4;
        int tokens = 0;
        for (size_t i = start; i < start + 4 && i < g.corpus.starts[s + 1]; i++, used++, tokens++) {
            if (i == start + 3)
                terminator += scores[used].nats;
            else
                content += scores[used].nats;
            hits += scores[used].hit;
        }
        assert_true(record->content_nats == content);
        assert_true(record->terminator_nats == terminator);
        assert_int_equal(record->token_count, tokens);
        assert_int_equal(record->hit_tokens, hits);
        assert_int_equal(record->first_hit, first_hit);
        assert_int_equal(record->hit, hits == tokens);
    }
    assert_int_equal(used, g.corpus.loss_token_count);
    free(scores);
    free(got);
    model_run_free(run);
    model_free(model);
    golden_release(&g);
}

static void batch_size_changes_no_bit(void **state)
{
    (void)state;
    static const size_t batch_tokens[] = {1, 40, 100, 4096};
    struct golden g;
    struct err err;
    golden_load(&g, "llama-tied");
    mark_examples(&g.corpus);
    struct model *model = golden_model(&g);
    struct collected *first = calloc(1, sizeof *first), *next = calloc(1, sizeof *next);
    assert_int_equal(evaluate(model, &g.corpus, batch_tokens[0], 0, first, &err), ERR_OK);
    assert_true(first->count > 20);
    for (size_t k = 1; k < 4; k++) {
        *next = (struct collected){0};
        assert_int_equal(evaluate(model, &g.corpus, batch_tokens[k], 0, next, &err), ERR_OK);
        assert_int_equal(next->count, first->count);
        for (uint32_t r = 0; r < first->count; r++)
            assert_true(same(&first->records[r], &next->records[r]));
    }
    free(next);
    free(first);
    model_free(model);
    golden_release(&g);
}

static void an_evaluation_can_be_cut_and_continued(void **state)
{
    (void)state;
    struct golden g;
    struct err err;
    golden_load(&g, "llama-tied");
    mark_examples(&g.corpus);
    struct model *model = golden_model(&g);
    struct collected *whole = calloc(1, sizeof *whole), *parts = calloc(1, sizeof *parts);
    assert_int_equal(evaluate(model, &g.corpus, 60, 0, whole, &err), ERR_OK);
    parts->stop_after_batches = 2;
    assert_int_equal(evaluate(model, &g.corpus, 60, 0, parts, &err), ERR_CANCELLED);
    assert_in_range(parts->next_sequence, 1, g.corpus.sequence_count - 1);
    parts->stop_after_batches = 0;
    assert_int_equal(evaluate(model, &g.corpus, 45, parts->next_sequence, parts, &err), ERR_OK);
    assert_int_equal(parts->count, whole->count);
    for (uint32_t r = 0; r < whole->count; r++)
        assert_true(same(&whole->records[r], &parts->records[r]));
    free(parts);
    free(whole);
    model_free(model);
    golden_release(&g);
}

/* Entries of the records, gathered in order, and the summed probabilities of greedy answers. */
struct probable {
    struct record_entry entries[65536];
    size_t count;
    double greedy_nats;
};

static enum err_code on_probable(void *ctx, const struct record *records, uint32_t count,
                                 uint32_t next_sequence, struct err *err)
{
    struct probable *p = ctx;
    (void)next_sequence;
    (void)err;
    for (uint32_t i = 0; i < count; i++) {
        for (uint16_t e = 0; e < records[i].part_count; e++)
            p->entries[p->count++] = records[i].entries[e];
        p->greedy_nats += records[i].greedy_nats;
    }
    return ERR_OK;
}

/* PyTorch's logits of every predicted token are stored: what is probable follows from them. */
static void probable_tokens_are_those_of_the_stored_logits(void **state)
{
    (void)state;
    struct golden g;
    struct err err;
    golden_load(&g, "llama-untied");
    struct model *model = golden_model(&g);
    struct probable *got = calloc(1, sizeof *got);
    struct evaluate_options options = {.batch_tokens = 64, .calibration = true};
    struct evaluate_hooks hooks = {got, on_probable, NULL};
    assert_int_equal(evaluator_run(model, &g.corpus, &options, &hooks, &err), ERR_OK);

    size_t values = 0, used = 0, tokens = 0;
    const float *logits = golden_tensor(&g, "logits", &values);
    const int V = g.config.vocabulary;
    double greedy_nats = 0.0;
    for (uint32_t s = 0; s < g.corpus.sequence_count; s++) {
        for (size_t i = g.corpus.starts[s] + 1; i < g.corpus.starts[s + 1]; i++) {
            const float *row = logits + tokens++ * (size_t)V;
            if (g.corpus.losses[i] == LOSS_NONE)
                continue;
            double sum = 0.0, highest = -INFINITY;
            for (int v = 0; v < V; v++) {
                sum += exp((double)row[v]);
                highest = fmax(highest, (double)row[v]);
            }
            greedy_nats += log(sum) - highest;
            for (int v = 0; v < V; v++) {
                const double log_p = (double)row[v] - log(sum);
                if (fabs(log_p - log(0.01)) < 1e-5)
                    fail_msg("a probability at the floor tests nothing");
                if (log_p < log(0.01))
                    continue;
                assert_true(fabs((double)got->entries[used].log_p - log_p) < 1e-5);
                assert_int_equal(got->entries[used++].right, v == g.corpus.ids[i]);
            }
        }
    }
    assert_int_equal(tokens * (size_t)V, values);
    assert_int_equal(used, got->count);
    assert_true(used > 100);
    assert_true(fabs(greedy_nats - got->greedy_nats) < 1e-5 * (double)tokens);
    free(got);
    model_free(model);
    golden_release(&g);
}

/* Each sequence is padded to whole rows of the attention's tiles: many short ones beside a long one
 * take more than their tokens. */
static void short_sequences_take_their_padded_rows(void **state)
{
    (void)state;
    enum { SHORT = 400, SHORT_TOKENS = 5, LONG_TOKENS = 200 };
    struct model_config config = model_config_default();
    config = (struct model_config){.layers = 1,
                                   .width = 64,
                                   .heads = 2,
                                   .kv_heads = 2,
                                   .head_dim = 32,
                                   .mlp_width = 64,
                                   .context = 256,
                                   .vocabulary = 100,
                                   .kind = config.kind,
                                   .rope_theta = config.rope_theta,
                                   .norm_eps = config.norm_eps};
    static size_t starts[SHORT + 2];
    static uint8_t losses[LONG_TOKENS + SHORT * SHORT_TOKENS];
    for (size_t s = 0; s <= SHORT; s++)
        starts[s + 1] = LONG_TOKENS + s * SHORT_TOKENS;
    const struct corpus corpus = {.sequence_count = SHORT + 1, .starts = starts, .losses = losses};
    struct evaluate_options options = {.batch_tokens = 4096};
    const size_t all = evaluator_memory_bytes(&config, &corpus, &options);
    options.end_sequence = 1;
    const size_t alone = evaluator_memory_bytes(&config, &corpus, &options);
    /* At least the stream and what attention reads and writes. */
    const size_t rows = (size_t)SHORT * (size_t)kernel_rows_padded(SHORT_TOKENS);
    assert_true(all - alone > 5 * rows * (size_t)config.width * sizeof(float));
    options = (struct evaluate_options){.batch_tokens = 256};
    assert_true(evaluator_memory_bytes(&config, &corpus, &options) < alone + (all - alone) / 4);
}

static void odd_corpora_are_refused_by_name(void **state)
{
    (void)state;
    struct golden g;
    struct err err;
    struct collected *got = calloc(1, sizeof *got);
    golden_load(&g, "llama-tied");
    mark_examples(&g.corpus);
    struct model *model = golden_model(&g);
    size_t last = g.corpus.starts[2] - 1; /* of sequence 1 */
    int32_t example = g.corpus.examples[last];
    g.corpus.examples[last] = -1;
    assert_int_equal(evaluate(model, &g.corpus, 60, 0, got, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "sequence 1"));
    g.corpus.examples[last] = example;
    g.corpus.ids[last] = -5;
    assert_int_equal(evaluate(model, &g.corpus, 60, 0, got, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "outside the vocabulary"));
    /* More tokens than a record counts: the data's fault, which no memory mends. */
    static int32_t ids[UINT16_MAX + 2], examples[UINT16_MAX + 2];
    static uint8_t losses[UINT16_MAX + 2];
    size_t starts[2] = {0, UINT16_MAX + 2};
    memset(losses + 1, LOSS_CONTENT, UINT16_MAX + 1);
    struct corpus huge = g.corpus;
    huge.ids = ids, huge.examples = examples, huge.losses = losses, huge.starts = starts;
    huge.sequence_count = 1;
    assert_int_equal(evaluate(model, &huge, 60, 0, got, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "example 0 has more than 65535 tokens with a loss"));
    assert_int_equal(got->count, 0);
    free(got);
    model_free(model);
    golden_release(&g);
}

static void a_loss_that_is_not_finite_is_data(void **state)
{
    (void)state;
    struct golden g;
    struct err err;
    struct collected *got = calloc(1, sizeof *got);
    golden_load(&g, "llama-tied");
    mark_examples(&g.corpus);
    struct model *model = golden_model(&g);
    params_data(model_params(model), TENSOR_FINAL_NORM, -1)[0] = NAN;
    assert_int_equal(evaluate(model, &g.corpus, 60, 0, got, &err), ERR_OK);
    assert_int_equal(got->count, evaluator_record_count(&g.corpus, 0, g.corpus.sequence_count));
    assert_true(isnan(got->records[0].content_nats));
    assert_false(got->records[0].hit);
    free(got);
    model_free(model);
    golden_release(&g);
}

/* With the fastest operations, or those named. */
int main(int argc, char **argv)
{
    if (argc > 1)
        ASSERT(kernel_use(argv[1]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_hold_what_the_scores_say),
        cmocka_unit_test(batch_size_changes_no_bit),
        cmocka_unit_test(an_evaluation_can_be_cut_and_continued),
        cmocka_unit_test(probable_tokens_are_those_of_the_stored_logits),
        cmocka_unit_test(short_sequences_take_their_padded_rows),
        cmocka_unit_test(odd_corpora_are_refused_by_name),
        cmocka_unit_test(a_loss_that_is_not_finite_is_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
