/* Writing tokenizer.json and tokenizer_config.json: vocabulary by id, merges by rank, so that equal
 * tokenizers give equal bytes. */
#include <stdlib.h>

#include "check.h"
#include "token_spelling.h"
#include "tokenizer_impl.h"
#include "tokenizer_layout.h"

/* Append the name of a token, as a JSON string: the content of an added one, else its spelling. */
static void print_name(const struct tokenizer *t, int32_t id, struct strbuf *out)
{
    uint8_t flags = tokenizer_flags(t, id);
    if (!(flags & TOKEN_IN_MODEL)) {
        tokenizer_layout_quote(tokenizer_token(t, id), out);
        return;
    }
    struct strbuf name = {0};
    token_spell(tokenizer_token(t, id), tokenizer_is_fallback(t), flags & TOKEN_IS_BYTE, &name);
    tokenizer_layout_quote((struct str){name.data, name.len}, out);
    strbuf_release(&name);
}

static void print_added_token(int32_t id, struct str content, bool is_special,
                              const char **separator, struct strbuf *out)
{
    strbuf_printf(out, "%s    {\"id\": %d, \"content\": ", *separator, id);
    tokenizer_layout_quote(content, out);
    strbuf_printf(out,
                  ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                  "\"normalized\": false, \"special\": %s}",
                  is_special ? "true" : "false");
    *separator = ",\n";
}

static void print_added(const struct tokenizer *t, struct strbuf *out)
{
    const char *separator = "\n";
    strbuf_puts(out, "  \"added_tokens\": [");
    for (uint32_t i = 0; i < t->image.header->added_count; i++) {
        int32_t id = t->image.added[i].id;
        print_added_token(id, image_content(&t->image, i), t->image.flags[id] & TOKEN_IS_SPECIAL,
                          &separator, out);
    }
    for (int32_t id = (int32_t)t->image.header->token_count; id < t->count; id++)
        print_added_token(id, tokenizer_token(t, id), true, &separator, out);
    strbuf_puts(out, "\n  ],\n");
}

/* So that other programs put the token that begins a text in front, as our own callers do. */
static void print_post_processor(const struct tokenizer *t, struct strbuf *out)
{
    strbuf_puts(out, "  \"post_processor\": ");
    const char *part = image_part(&t->image, PART_POST_PROCESSOR);
    if (*part) {
        strbuf_printf(out, "%s,\n", part);
        return;
    }
    if (t->bos == TOKEN_NONE) {
        strbuf_puts(out, "null,\n");
        return;
    }
    struct strbuf bos = {0};
    print_name(t, t->bos, &bos);
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

static const char *true_or_false(const struct tokenizer *t, enum image_flag flag)
{
    return t->image.header->flags & (uint32_t)flag ? "true" : "false";
}

static void print_merges(const struct tokenizer *t, struct strbuf *out)
{
    const struct image_header *header = t->image.header;
    const struct image_pair **merges = calloc(header->merge_count + 1, sizeof *merges);
    ASSERT(merges != NULL);
    for (uint32_t slot = 0; slot < header->pair_slots; slot++) {
        const struct image_pair *pair = &t->image.pairs[slot];
        if (pair->left != -1)
            merges[pair->rank] = pair;
    }
    const char *separator = "\n";
    strbuf_puts(out, "    \"merges\": [");
    for (uint32_t rank = 0; rank < header->merge_count; rank++) {
        if (!merges[rank])
            continue; /* only in tables that somebody else made */
        strbuf_printf(out, "%s      [", separator);
        print_name(t, merges[rank]->left, out);
        strbuf_puts(out, ", ");
        print_name(t, merges[rank]->right, out);
        strbuf_putc(out, ']');
        separator = ",\n";
    }
    strbuf_puts(out, "\n    ]\n");
    free(merges);
}

static void print_model(const struct tokenizer *t, struct strbuf *out)
{
    const char *unk = image_part(&t->image, PART_UNK_TOKEN);
    strbuf_printf(out,
                  "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
                  "    \"unk_token\": %s,\n    \"continuing_subword_prefix\": null,\n"
                  "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": %s,\n"
                  "    \"byte_fallback\": %s,\n    \"ignore_merges\": %s,\n    \"vocab\": {",
                  *unk ? unk : "null", true_or_false(t, IMAGE_FUSE_UNK),
                  true_or_false(t, IMAGE_BYTE_FALLBACK), true_or_false(t, IMAGE_IGNORE_MERGES));
    const char *separator = "\n";
    for (int32_t id = 0; id < (int32_t)t->image.header->token_count; id++) {
        if (!(t->image.flags[id] & TOKEN_IN_MODEL))
            continue;
        strbuf_printf(out, "%s      ", separator);
        print_name(t, id, out);
        strbuf_printf(out, ": %d", id);
        separator = ",\n";
    }
    strbuf_puts(out, "\n    },\n");
    print_merges(t, out);
    strbuf_puts(out, "  }\n");
}

static void print_part(const struct tokenizer *t, enum image_part part, struct strbuf *out)
{
    strbuf_printf(out, "  \"%s\": %s,\n", tokenizer_part_key(part), image_part(&t->image, part));
}

void tokenizer_print(const struct tokenizer *tokenizer, struct strbuf *out)
{
    strbuf_puts(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n"
                     "  \"padding\": null,\n");
    print_added(tokenizer, out);
    print_part(tokenizer, PART_NORMALIZER, out);
    print_part(tokenizer, PART_PRE_TOKENIZER, out);
    print_post_processor(tokenizer, out);
    print_part(tokenizer, PART_DECODER, out);
    print_model(tokenizer, out);
    strbuf_puts(out, "}\n");
}

static void print_named(const struct tokenizer *t, const char *key, int32_t id, struct strbuf *out)
{
    strbuf_printf(out, "  \"%s\": ", key);
    if (id == TOKEN_NONE)
        strbuf_puts(out, "null");
    else
        print_name(t, id, out);
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
