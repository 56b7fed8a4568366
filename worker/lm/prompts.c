#include "prompts.h"

#include "check.h"
#include "prompts_impl.h"

/* Ids of a list of segments, appended. */
static enum err_code prompts_tokenize(struct tokenizer *tokenizer, const struct segment *segments,
                                      uint32_t count, struct token_list *ids, struct err *err)
{
    enum err_code code = ERR_OK;
    for (uint32_t i = 0; i < count && !code; i++)
        code = corpus_segment(tokenizer, &segments[i], ids, err);
    return code;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Tokens of the longest continuation of a sequence, and of all of them. */
static enum err_code measure_continuations(const struct sequence *s, struct tokenizer *tokenizer,
                                           size_t *longest, size_t *all, struct err *err)
{
    enum err_code code = ERR_OK;
    *longest = *all = 0;
    if (s->sampling) {
        *longest = s->sampling->max_tokens;
        *all = (size_t)s->sampling->max_tokens * s->sampling->draws;
        return ERR_OK;
    }
    for (uint32_t i = 0; i < s->candidate_count && !code; i++) {
        const struct candidate *c = &s->candidates[i];
        struct token_list ids = {0};
        code = prompts_tokenize(tokenizer, c->segments, c->segment_count, &ids, err);
        if (!code && ids.count == 0)
            code = err_set(err, ERR_INVALID, "candidate %u has no token", i);
        *longest = larger(*longest, ids.count);
        *all += ids.count;
        token_list_release(&ids);
    }
    return code;
}

static enum err_code measure(const struct sequence *s, struct tokenizer *tokenizer, size_t context,
                             struct prompts_size *size, struct err *err)
{
    struct token_list prompt = {0};
    size_t longest = 0, all = 0;
    enum err_code code = prompts_tokenize(tokenizer, s->segments, s->segment_count, &prompt, err);
    if (!code && prompt.count == 0)
        code = err_set(err, ERR_INVALID, "the prompt has no token");
    if (!code)
        code = measure_continuations(s, tokenizer, &longest, &all, err);
    if (!code && prompt.count + longest > context)
        code = err_set(err, ERR_INVALID,
                       "%zu tokens of prompt and %zu after it do not fit a context of %zu",
                       prompt.count, longest, context);
    size->prompt_tokens = larger(size->prompt_tokens, prompt.count);
    size->continuation_tokens = larger(size->continuation_tokens, longest);
    size->tokens += prompt.count + all;
    token_list_release(&prompt);
    return code;
}

enum err_code prompts_measure(const struct dataset *dataset, struct tokenizer *tokenizer,
                              uint32_t first, uint32_t end, size_t context,
                              struct prompts_size *out, struct err *err)
{
    *out = (struct prompts_size){0};
    ASSERT(first <= end && end <= dataset->sequence_count);
    for (uint32_t i = first; i < end; i++) {
        enum err_code code = measure(&dataset->sequences[i], tokenizer, context, out, err);
        if (code)
            return err_wrap(err, "evaluate: sequence %u", i);
    }
    return ERR_OK;
}

uint64_t prompts_record_count(const struct dataset *dataset, uint32_t first, uint32_t end)
{
    uint64_t count = 0;
    for (uint32_t i = first; i < end; i++)
        count += dataset->sequences[i].sampling ? dataset->sequences[i].sampling->draws : 1;
    return count;
}

/* branch_new() wants a continuation even where nothing is evaluated. */
static struct branch_capacity capacity_of(const struct prompts_size *size)
{
    return (struct branch_capacity){
        .prompt_tokens = larger(size->prompt_tokens, 1),
        .continuation_tokens = larger(size->continuation_tokens, 1),
        .texts = PROMPTS_DRAWS_AT_ONCE,
    };
}

size_t prompts_memory_bytes(const struct model_config *config, enum record_kind kind,
                            const struct prompts_size *size)
{
    const struct branch_capacity capacity = capacity_of(size);
    return branch_bytes(config, &capacity, kind == RECORDS_SAMPLES);
}

static enum err_code run_sequence(struct prompts_run *run, uint32_t number, struct err *err)
{
    const struct sequence *s = &run->dataset->sequences[number];
    run->prompt.count = 0;
    enum err_code code =
        prompts_tokenize(run->tokenizer, s->segments, s->segment_count, &run->prompt, err);
    if (!code)
        code = branch_prompt(run->branch, run->prompt.ids, run->prompt.count, err);
    if (!code)
        code = s->sampling ? prompts_samples(run, number, err) : prompts_choices(run, number, err);
    return code;
}

enum err_code prompts_run(const struct model *model, struct tokenizer *tokenizer,
                          const struct dataset *dataset, uint32_t first, uint32_t end,
                          const struct prompts_size *size, const struct evaluate_hooks *hooks,
                          struct err *err)
{
    struct prompts_run run = {
        .model = model, .tokenizer = tokenizer, .dataset = dataset, .hooks = hooks};
    const struct branch_capacity capacity = capacity_of(size);
    enum err_code code = branch_new(model, &capacity, &run.branch, err);
    for (uint32_t i = first; i < end && !code; i++) {
        if (hooks->should_stop && hooks->should_stop(hooks->ctx))
            code = err_set(err, ERR_CANCELLED, "evaluate: stopped before sequence %u", i);
        else
            code = run_sequence(&run, i, err);
    }
    token_list_release(&run.prompt);
    branch_free(run.branch);
    return code;
}
