#include <stdlib.h>

#include "bench_ops.h"
#include "bench_run.h"
#include "bench_shape.h"
#include "branch.h"
#include "check.h"

/* Candidates of 2, 4, 6 and 8 tokens; as many texts, one at a time, as are measured. */
enum { CANDIDATE_MAX = 8, ALONE = 3 };

struct bench_branch {
    const struct bench_options *options;
    const struct model *model;
    int32_t *prompt, *ids;
    struct branch *branch;
};

/* Each candidate behind the prompt as one sequence, several of them in a batch as memory allows:
 * here one after the other. Their nats into `nats`. */
static enum err_code score_whole(const struct bench_branch *b,
                                 const struct branch_candidate *candidates, double *nats,
                                 struct err *err)
{
    const size_t prompt = b->options->tokens, most = prompt + CANDIDATE_MAX;
    const struct model_capacity capacity = {1, most, CANDIDATE_MAX, most};
    int32_t *ids = malloc(most * sizeof *ids);
    uint8_t *losses = calloc(most, 1);
    struct model_run *run = NULL;
    ASSERT(ids && losses);
    enum err_code rc = model_run_new(b->model, MODEL_SCORE, &capacity, &run, err);
    for (size_t c = 0; rc == ERR_OK && c < b->options->candidates; c++) {
        struct token_score scores[CANDIDATE_MAX];
        for (size_t i = 0; i < most; i++) {
            ids[i] = i < prompt ? b->prompt[i] : candidates[c].ids[(i - prompt) % CANDIDATE_MAX];
            losses[i] = i >= prompt;
        }
        const struct model_sequence whole = {
            .ids = ids, .losses = losses, .count = prompt + candidates[c].count};
        model_forward(run, &whole, 1, scores);
        nats[c] = 0;
        for (size_t i = 0; i < candidates[c].count; i++)
            nats[c] += scores[i].nats;
    }
    model_run_free(run);
    free(losses);
    free(ids);
    return rc;
}

static enum err_code compare_candidates(const struct bench_branch *b, struct bench_report *report,
                                        struct err *err)
{
    const size_t count = b->options->candidates;
    struct branch_candidate *candidates = calloc(count, sizeof *candidates);
    struct branch_sum *sums = calloc(count, sizeof *sums);
    double *nats = calloc(count, sizeof *nats);
    size_t equal = 0;
    ASSERT(candidates && sums && nats);
    for (size_t c = 0; c < count; c++)
        candidates[c] = (struct branch_candidate){b->ids + c * CANDIDATE_MAX, 2 + 2 * (c % 4)};
    struct bench_time start = bench_now();
    enum err_code rc = branch_prompt(b->branch, b->prompt, b->options->tokens, err);
    if (rc == ERR_OK)
        rc = branch_score(b->branch, candidates, count, sums, NULL, err);
    const struct bench_time together = bench_since(start);
    start = bench_now();
    if (rc == ERR_OK)
        rc = score_whole(b, candidates, nats, err);
    const struct bench_time apart = bench_since(start);
    for (size_t c = 0; c < count; c++)
        equal += nats[c] <= sums[c].nats && nats[c] >= sums[c].nats;
    if (rc == ERR_OK) {
        bench_report_figure(report, "candidates", (double)count, "");
        bench_report_figure(report, "candidates with the same bits", (double)equal, "");
        bench_report_figure(report, "candidates after one prompt", together.wall, "s");
        bench_report_figure(report, "candidates each from its start", apart.wall, "s");
        bench_report_figure(report, "candidates, gain", apart.wall / together.wall, "x");
        bench_report_figure(report, "candidates, gain in processor time", apart.cpu / together.cpu,
                            "x");
    }
    free(nats);
    free(sums);
    free(candidates);
    return rc;
}

/* Texts first … first + count - 1 after the prompt, which is computed too; seconds. */
static enum err_code sample(const struct bench_branch *b, uint64_t first, size_t count,
                            struct branch_text *texts, struct bench_time *time, struct err *err)
{
    const struct branch_sampling sampling = {
        .draw = {.temperature = 1, .top_p = 1, .seed = 1},
        .first_index = first,
        .max_tokens = b->options->text_tokens,
    };
    const struct bench_time start = bench_now();
    enum err_code rc = branch_prompt(b->branch, b->prompt, b->options->tokens, err);
    if (rc == ERR_OK)
        rc = branch_sample(b->branch, &sampling, count, texts, err);
    *time = bench_since(start);
    return rc;
}

static enum err_code compare_texts(const struct bench_branch *b, struct bench_report *report,
                                   struct err *err)
{
    const size_t count = b->options->texts, tokens = b->options->text_tokens;
    const size_t singles = count < ALONE ? count : ALONE;
    struct branch_text *texts = calloc(count, sizeof *texts);
    int32_t *ids = calloc((count + 1) * tokens, sizeof *ids);
    struct bench_time together, alone = {0, 0}, time;
    size_t equal = 0;
    ASSERT(texts && ids);
    struct branch_text one = {.ids = ids + count * tokens};
    for (size_t i = 0; i < count; i++)
        texts[i].ids = ids + i * tokens;
    bench_ops_reset();
    enum err_code rc = sample(b, 0, count, texts, &together, err);
    if (rc == ERR_OK)
        bench_ops_report(report, "operations of texts together", together.cpu, 1);
    for (size_t i = 0; rc == ERR_OK && i < singles; i++) {
        rc = sample(b, i, 1, &one, &time, err);
        alone.wall += time.wall / (double)singles;
        alone.cpu += time.cpu / (double)singles;
        bool same = true;
        for (size_t k = 0; k < tokens; k++)
            same = same && one.ids[k] == texts[i].ids[k];
        equal += same;
    }
    if (rc == ERR_OK) {
        bench_report_figure(report, "texts", (double)count, "");
        bench_report_figure(report, "tokens of a text", (double)tokens, "");
        bench_report_figure(report, "texts together", together.wall, "s");
        bench_report_figure(report, "one text at a time, mean", alone.wall, "s");
        bench_report_figure(report, "one text at a time, processor time", alone.cpu, "s");
        bench_report_figure(report, "texts alone, the same tokens", (double)equal, "");
        bench_report_figure(report, "texts, gain (one text x texts)",
                            alone.wall * (double)count / together.wall, "x");
        bench_report_figure(report, "texts, gain in processor time",
                            alone.cpu * (double)count / together.cpu, "x");
    }
    free(ids);
    free(texts);
    return rc;
}

enum err_code bench_generate(struct bench_report *report, const struct bench_options *o,
                             struct err *err)
{
    struct bench_branch b = {.options = o};
    struct model *model = NULL;
    const struct branch_capacity capacity = {
        .prompt_tokens = o->tokens,
        .continuation_tokens = o->text_tokens > CANDIDATE_MAX ? o->text_tokens : CANDIDATE_MAX,
        .texts = o->texts,
    };
    b.prompt = bench_shape_ids(&o->shape, o->tokens, "prompt");
    b.ids = bench_shape_ids(&o->shape, o->candidates * CANDIDATE_MAX, "candidates");
    enum err_code rc = bench_shape_model(&o->shape, &model, err);
    bench_ops_begin();
    b.model = model;
    if (rc == ERR_OK)
        rc = branch_new(model, &capacity, &b.branch, err);
    bench_report_figure(report, "tokens of the prompt", (double)o->tokens, "");
    if (rc == ERR_OK && o->candidates > 0)
        rc = compare_candidates(&b, report, err);
    if (rc == ERR_OK && o->texts > 0)
        rc = compare_texts(&b, report, err);
    bench_ops_end();
    branch_free(b.branch);
    model_free(model);
    free(b.ids);
    free(b.prompt);
    return rc;
}
