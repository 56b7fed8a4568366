/* Writing tokenizer.json and tokenizer_config.json: vocabulary by id, merges by rank, so that equal
 * tokenizers give equal bytes. */
#include "tokenizer_layout.h"

static struct str name_of(const struct tokenizer *t, int32_t id)
{
    return intern_key_at(&t->names, t->tokens[id].name);
}

static void print_added(const struct tokenizer *t, struct strbuf *out)
{
    const char *separator = "\n";
    strbuf_puts(out, "  \"added_tokens\": [");
    for (int32_t id = 0; id < t->count; id++) {
        if (t->tokens[id].class != TOKEN_ADDED)
            continue;
        strbuf_printf(out, "%s    {\"id\": %d, \"content\": ", separator, id);
        tokenizer_layout_quote(name_of(t, id), out);
        strbuf_printf(out,
                      ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                      "\"normalized\": false, \"special\": %s}",
                      t->tokens[id].is_special ? "true" : "false");
        separator = ",\n";
    }
    strbuf_puts(out, "\n  ],\n");
}

/* So that other programs put the token that begins a text in front, as our own callers do. */
static void print_post_processor(const struct tokenizer *t, struct strbuf *out)
{
    strbuf_puts(out, "  \"post_processor\": ");
    if (t->bos == TOKEN_NONE) {
        strbuf_puts(out, "null,\n");
        return;
    }
    struct strbuf bos = {0};
    tokenizer_layout_quote(name_of(t, t->bos), &bos);
    strbuf_printf(out,
                  "{\"type\": \"TemplateProcessing\", "
                  "\"single\": [{\"SpecialToken\": {\"id\": %s, \"type_id\": 0}}, "
                  "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], "
                  "\"pair\": [{\"SpecialToken\": {\"id\": %s, \"type_id\": 0}}, "
                  "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
                  "{\"SpecialToken\": {\"id\": %s, \"type_id\": 1}}, "
                  "{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], "
                  "\"special_tokens\": {%s: {\"id\": %s, \"ids\": [%d], \"tokens\": [%s]}}},\n",
                  bos.data, bos.data, bos.data, bos.data, bos.data, t->bos, bos.data);
    strbuf_release(&bos);
}

static void print_model(const struct tokenizer *t, struct strbuf *out)
{
    bool fallback = tokenizer_layout(t->kind)->byte_fallback;
    strbuf_printf(out,
                  "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
                  "    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
                  "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": %s,\n"
                  "    \"byte_fallback\": %s,\n    \"ignore_merges\": false,\n    \"vocab\": {",
                  fallback ? "true" : "false", fallback ? "true" : "false");
    const char *separator = "\n";
    for (int32_t id = 0; id < t->count; id++) {
        if (!t->tokens[id].in_model)
            continue;
        strbuf_printf(out, "%s      ", separator);
        tokenizer_layout_quote(name_of(t, id), out);
        strbuf_printf(out, ": %d", id);
        separator = ",\n";
    }
    strbuf_puts(out, "\n    },\n    \"merges\": [");
    separator = "\n";
    for (uint32_t rank = 0; rank < t->bpe.merges_count; rank++) {
        strbuf_printf(out, "%s      [", separator);
        tokenizer_layout_quote(name_of(t, t->bpe.merges[rank].left), out);
        strbuf_puts(out, ", ");
        tokenizer_layout_quote(name_of(t, t->bpe.merges[rank].right), out);
        strbuf_putc(out, ']');
        separator = ",\n";
    }
    strbuf_puts(out, "\n    ]\n  }\n");
}

void tokenizer_print(const struct tokenizer *tokenizer, struct strbuf *out)
{
    const struct tokenizer_layout *layout = tokenizer_layout(tokenizer->kind);
    strbuf_puts(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n"
                     "  \"padding\": null,\n");
    print_added(tokenizer, out);
    strbuf_printf(out, "  \"normalizer\": %s,\n  \"pre_tokenizer\": ", layout->normalizer);
    tokenizer_layout_pre_tokenizer(tokenizer->kind, tokenizer->pattern, out);
    strbuf_puts(out, ",\n");
    print_post_processor(tokenizer, out);
    strbuf_printf(out, "  \"decoder\": %s,\n", layout->decoder);
    print_model(tokenizer, out);
    strbuf_puts(out, "}\n");
}

static void print_named(const struct tokenizer *t, const char *key, int32_t id, struct strbuf *out)
{
    strbuf_printf(out, "  \"%s\": ", key);
    if (id == TOKEN_NONE)
        strbuf_puts(out, "null");
    else
        tokenizer_layout_quote(name_of(t, id), out);
    strbuf_puts(out, ",\n");
}

void tokenizer_print_config(const struct tokenizer *tokenizer, int context, struct strbuf *out)
{
    strbuf_puts(out, "{\n");
    print_named(tokenizer, "bos_token", tokenizer->bos, out);
    strbuf_puts(out, "  \"clean_up_tokenization_spaces\": false,\n");
    print_named(tokenizer, "eos_token", tokenizer->eos, out);
    strbuf_printf(out, "  \"model_max_length\": %d,\n", context);
    strbuf_puts(out, "  \"tokenizer_class\": \"PreTrainedTokenizerFast\"\n}\n");
}
