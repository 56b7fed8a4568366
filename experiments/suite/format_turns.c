#include "format_turns.h"

#include <string.h>

#include "check.h"

/* What Llama 3.1's template writes when nobody tells it the date; that of 3.2 and 3.3 writes the
 * date of the day instead where it can ask for it. A fixed date makes runs repeatable. */
#define LLAMA_DATES "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

/* llama3 is Llama 3's own template, and the style of the families that Triad builds itself;
 * llama3.1 adds the date lines of 3.1 to 3.3. llama2 is llama3's turns for a tokenizer that already
 * has Llama 2's <s> and </s>. Compared with the real templates by test_format_chat. */
static const struct turn_style styles[] = {
    {
        .name = "llama3",
        .bos = "<|begin_of_text|>",
        .eos = "<|end_of_text|>",
        .open = "<|start_header_id|>",
        .close = "<|end_header_id|>",
        .break_text = "\n\n",
        .end = "<|eot_id|>",
        .after_text = "",
        .assistant = "assistant",
        .has_system = true,
        .trims = true,
    },
    {
        .name = "llama3.1",
        .bos = "<|begin_of_text|>",
        .eos = "<|end_of_text|>",
        .open = "<|start_header_id|>",
        .close = "<|end_header_id|>",
        .break_text = "\n\n",
        .end = "<|eot_id|>",
        .after_text = "",
        .assistant = "assistant",
        .preamble = LLAMA_DATES,
        .has_system = true,
        .trims = true,
    },
    {
        .name = "qwen3",
        .eos = "<|endoftext|>",
        .open = "<|im_start|>",
        .break_text = "\n",
        .end = "<|im_end|>",
        .after_text = "\n",
        .assistant = "assistant",
        .think_open = "<think>",
        .think_close = "</think>",
        .has_system = true,
    },
    {
        .name = "gemma3",
        .bos = "<bos>",
        .eos = "<eos>",
        .open = "<start_of_turn>",
        .break_text = "\n",
        .end = "<end_of_turn>",
        .after_text = "\n",
        .assistant = "model",
        .trims = true,
    },
    {
        .name = "llama2",
        .bos = "<s>",
        .eos = "</s>",
        .open = "<|start_header_id|>",
        .close = "<|end_header_id|>",
        .break_text = "\n\n",
        .end = "<|eot_id|>",
        .after_text = "",
        .assistant = "assistant",
        .has_system = true,
        .trims = true,
    },
};

const struct turn_style *turn_style_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(styles); i++) {
        if (strcmp(styles[i].name, name) == 0)
            return &styles[i];
    }
    return NULL;
}

const char *const *turn_style_names(void)
{
    static const char *const all[] = {"llama3", "llama3.1", "qwen3", "gemma3", "llama2", NULL};
    _Static_assert(ARRAY_COUNT(all) == ARRAY_COUNT(styles) + 1, "one name per style");
    return all;
}

const struct turn_style *turn_style_for_model(const char *model_type)
{
    static const char *const rows[][2] = {
        {"llama", "llama3"}, {"qwen3", "qwen3"}, {"gemma3", "gemma3"}, {"gemma3_text", "gemma3"}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (strcmp(rows[i][0], model_type) == 0)
            return turn_style_find(rows[i][1]);
    }
    return NULL;
}

size_t turn_style_tokens(const struct turn_style *style, const char *out[TURN_TOKENS_MAX],
                         size_t *turn_first)
{
    const char *const before[] = {style->bos, style->eos, style->think_open, style->think_close};
    const char *const turns[] = {style->open, style->close, style->end};
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(before); i++) {
        if (before[i])
            out[count++] = before[i];
    }
    *turn_first = count;
    for (size_t i = 0; i < ARRAY_COUNT(turns); i++) {
        if (turns[i])
            out[count++] = turns[i];
    }
    return count;
}
