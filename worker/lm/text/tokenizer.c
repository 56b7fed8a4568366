/* A tokenizer made of an image, and what callers ask of it; tokenizer_encode.c and
 * tokenizer_decode.c do the work. */
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <jansson.h>

#include "check.h"
#include "token_spelling.h"
#include "tokenizer_build.h"
#include "tokenizer_impl.h"
#include "tokenizer_json.h"
#include "tokenizer_layout.h"
#include "utf8.h"

/* Customary names of the tokens that begin and end a text (Llama 3, Llama 2, Gemma, Qwen). */
static const char *const bos_names[] = {"<|begin_of_text|>", "<s>", "<bos>"};
static const char *const eos_names[] = {"<|end_of_text|>", "</s>", "<eos>", "<|endoftext|>"};

bool token_flags_control(uint8_t flags)
{
    return (flags & TOKEN_IS_ADDED) && ((flags & TOKEN_IS_SPECIAL) || !(flags & TOKEN_IN_MODEL));
}

uint8_t tokenizer_flags(const struct tokenizer *t, int32_t id)
{
    return (uint32_t)id < t->image.header->token_count ? t->image.flags[id]
                                                       : TOKEN_IS_ADDED | TOKEN_IS_SPECIAL;
}

bool tokenizer_is_fallback(const struct tokenizer *t)
{
    return t->image.header->flags & IMAGE_BYTE_FALLBACK;
}

static int32_t find_named(const struct tokenizer *t, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int32_t id = tokenizer_special(t, names[i]);
        if (id != TOKEN_NONE)
            return id;
    }
    return TOKEN_NONE;
}

static void name_ends(struct tokenizer *t)
{
    if (t->bos == TOKEN_NONE)
        t->bos = find_named(t, bos_names, ARRAY_COUNT(bos_names));
    if (t->eos == TOKEN_NONE)
        t->eos = find_named(t, eos_names, ARRAY_COUNT(eos_names));
}

/* The token that the post_processor puts in front of a text. */
static enum err_code read_template(struct tokenizer *t, struct err *err)
{
    const char *text = image_part(&t->image, PART_POST_PROCESSOR);
    if (*text == '\0') { /* not read from a file: ours puts bos there */
        t->adds_bos = t->bos != TOKEN_NONE;
        return ERR_OK;
    }
    const char *before = NULL;
    json_t *part = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!part)
        return err_set(err, ERR_CORRUPT, "the post_processor is not JSON");
    enum err_code rc = tokenizer_template_read(part, &before, err);
    if (rc == ERR_OK && before) {
        t->bos = tokenizer_special(t, before);
        t->adds_bos = true;
        if (t->bos == TOKEN_NONE)
            rc = err_set(err, ERR_CORRUPT, "post_processor: '%.80s' is not an added token", before);
    }
    json_decref(part);
    return rc;
}

static enum err_code add_from_image(struct tokenizer *t, struct err *err)
{
    for (uint32_t i = 0; i < t->image.header->added_count; i++) {
        struct str content = image_content(&t->image, i);
        int32_t id = t->image.added[i].id;
        bool is_ordinary = !token_flags_control(t->image.flags[id]);
        if (content.len > ADDED_CONTENT_MAX ||
            !added_tokens_add(&t->added, content, id, is_ordinary))
            return err_set(err, ERR_CORRUPT, "added token '%.*s' is listed twice or too long",
                           (int)(content.len < 80 ? content.len : 80), content.data);
    }
    return ERR_OK;
}

static void find_ascii(struct tokenizer *t)
{
    for (int c = 0; c < 128; c++) {
        char byte = (char)c;
        int32_t id = image_find_word(&t->image, (struct str){&byte, 1});
        t->ascii_ids[c] = id != TOKEN_NONE ? id : t->image.header->byte_ids[c];
    }
}

enum err_code tokenizer_open_image(void *block, size_t mapped_bytes,
                                   const struct tokenizer_image *image,
                                   struct tokenizer **tokenizer_out, struct err *err)
{
    struct tokenizer *t = calloc(1, sizeof *t);
    ASSERT(t != NULL);
    t->image = *image;
    t->block = block;
    t->mapped_bytes = mapped_bytes;
    t->count = (int32_t)image->header->token_count;
    t->bos = TOKEN_NONE;
    t->eos = TOKEN_NONE;
    enum err_code rc = ERR_OK;
    if (tokenizer_is_fallback(t))
        find_ascii(t);
    else
        rc = text_split_new((enum split_pattern)image->header->pattern, &t->split, err);
    if (rc == ERR_OK)
        rc = add_from_image(t, err);
    if (rc == ERR_OK) {
        name_ends(t);
        rc = read_template(t, err);
    }
    if (rc != ERR_OK) {
        tokenizer_free(t);
        return rc;
    }
    *tokenizer_out = t;
    return ERR_OK;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    for (int32_t i = 0; i < tokenizer->count - (int32_t)tokenizer->image.header->token_count; i++)
        free(tokenizer->extras[i].content);
    free(tokenizer->extras);
    added_tokens_release(&tokenizer->added);
    text_split_free(tokenizer->split);
    bpe_release(&tokenizer->bpe);
    word_cache_free(tokenizer->cache);
    nfc_space_release(&tokenizer->nfc);
    text_map_release(&tokenizer->repaired);
    text_map_release(&tokenizer->normal);
    if (tokenizer->mapped_bytes)
        munmap(tokenizer->block, tokenizer->mapped_bytes);
    else
        free(tokenizer->block);
    free(tokenizer);
}

enum err_code tokenizer_parse(const char *text, size_t len, const char *source,
                              struct tokenizer **tokenizer_out, struct err *err)
{
    return tokenizer_read_json((struct str){text, len}, source, NULL, tokenizer_out, err);
}

struct str tokenizer_token(const struct tokenizer *tokenizer, int32_t id)
{
    ASSERT(id >= 0);
    ASSERT(id < tokenizer->count);
    int32_t own = (int32_t)tokenizer->image.header->token_count;
    return id < own ? image_text(&tokenizer->image, id)
                    : str_from(tokenizer->extras[id - own].content);
}

int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->count;
}

int32_t tokenizer_special(const struct tokenizer *tokenizer, const char *text)
{
    return added_tokens_find(&tokenizer->added, str_from(text));
}

bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->count && token_flags_control(tokenizer_flags(tokenizer, id));
}

int32_t tokenizer_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->eos;
}

bool tokenizer_adds_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->adds_bos;
}

size_t tokenizer_replaced(const struct tokenizer *tokenizer)
{
    return tokenizer->replaced;
}

/* Is this how tokenizer.json spells a token of the model? A special token of the same name could
 * not be told from it. */
static bool is_spelling(const struct tokenizer *t, struct str name)
{
    struct strbuf text = {0};
    bool is_byte = false;
    bool is_taken =
        token_unspell(name, tokenizer_is_fallback(t), &is_byte, &text) &&
        (is_byte || image_find_word(&t->image, (struct str){text.data, text.len}) != TOKEN_NONE);
    strbuf_release(&text);
    return is_taken;
}

enum err_code tokenizer_check_special(const struct tokenizer *tokenizer, const char *text,
                                      struct err *err)
{
    struct str name = str_from(text);
    if (name.len == 0 || name.len > ADDED_CONTENT_MAX ||
        utf8_valid_prefix(name.data, name.len) != name.len)
        return err_set(err, ERR_INVALID,
                       "add special token: its text is empty, not UTF-8, or longer than %d bytes",
                       ADDED_CONTENT_MAX);
    if (added_tokens_find(&tokenizer->added, name) != TOKEN_NONE || is_spelling(tokenizer, name))
        return err_set(err, ERR_CONFLICT, "add special token '%s': there is a token of this name",
                       text);
    if (tokenizer->count >= TOKENIZER_VOCABULARY_MAX)
        return err_set(err, ERR_LIMIT, "add special token '%s': the vocabulary is full", text);
    return ERR_OK;
}

enum err_code tokenizer_add_special(struct tokenizer *tokenizer, const char *text, int32_t *id_out,
                                    struct err *err)
{
    enum err_code rc = tokenizer_check_special(tokenizer, text, err);
    if (rc != ERR_OK)
        return rc;
    int32_t extras = tokenizer->count - (int32_t)tokenizer->image.header->token_count;
    tokenizer->extras =
        realloc(tokenizer->extras, (size_t)(extras + 1) * sizeof *tokenizer->extras);
    ASSERT(tokenizer->extras != NULL);
    tokenizer->extras[extras].content = strdup(text);
    ASSERT(tokenizer->extras[extras].content != NULL);
    *id_out = tokenizer->count++;
    bool is_new = added_tokens_add(&tokenizer->added, str_from(text), *id_out, false);
    ASSERT(is_new);
    name_ends(tokenizer);
    if (*image_part(&tokenizer->image, PART_POST_PROCESSOR) == '\0')
        tokenizer->adds_bos = tokenizer->bos != TOKEN_NONE;
    return ERR_OK;
}
