/* What the two kinds of prompts.h share: prompts.c, prompts_choices.c, prompts_samples.c. */
#ifndef TRIAD_PROMPTS_IMPL_H
#define TRIAD_PROMPTS_IMPL_H

#include "branch.h"
#include "prompts.h"

/* Texts drawn side by side. */
#define PROMPTS_DRAWS_AT_ONCE 64

struct prompts_run {
    const struct model *model;
    struct tokenizer *tokenizer;
    const struct dataset *dataset;
    const struct evaluate_hooks *hooks;
    struct branch *branch;
    struct token_list prompt;
};

/* Evaluate one sequence, whose prompt the branch has read, and deliver its records. */
NODISCARD enum err_code prompts_choices(struct prompts_run *run, uint32_t number, struct err *err);
NODISCARD enum err_code prompts_samples(struct prompts_run *run, uint32_t number, struct err *err);

#endif
