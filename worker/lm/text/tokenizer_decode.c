/* Ids to text. */
#include "check.h"
#include "tokenizer.h"
#include "tokenizer_impl.h"
#include "utf8.h"

static const char replacement[] = "\xef\xbf\xbd";

static enum err_code check_ids(const struct tokenizer *t, const int32_t *ids, size_t count,
                               struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= t->count)
            return err_set(err, ERR_INVALID, "decode token %d: the vocabulary has %d entries",
                           ids[i], t->count);
    }
    return ERR_OK;
}

/* Does decoding drop a space in front of the first text? */
static bool strips(const struct tokenizer *t)
{
    return t->image.header->flags & IMAGE_STRIP;
}

enum err_code tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                               struct strbuf *out, struct err *err)
{
    enum err_code rc = check_ids(tokenizer, ids, count, err);
    bool at_start = strips(tokenizer);
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        struct str text = tokenizer_token(tokenizer, ids[i]);
        if (at_start && !tokenizer_is_special(tokenizer, ids[i])) {
            at_start = false;
            if (text.len > 0 && text.data[0] == ' ')
                text = (struct str){text.data + 1, text.len - 1};
        }
        strbuf_append(out, text.data, text.len);
    }
    return rc;
}

/* Append bytes as text; each maximal ill-formed subpart, or (`per_byte`) each byte when there is
 * any ill-formed one, as U+FFFD. */
static void put_text(struct str bytes, bool per_byte, struct strbuf *out)
{
    size_t valid = utf8_valid_prefix(bytes.data, bytes.len);
    if (per_byte && valid < bytes.len) {
        for (size_t i = 0; i < bytes.len; i++)
            strbuf_puts(out, replacement);
        return;
    }
    for (size_t at = 0;;) {
        strbuf_append(out, bytes.data + at, valid);
        at += valid;
        if (at == bytes.len)
            return;
        strbuf_puts(out, replacement);
        at += utf8_ill_formed(bytes.data + at, bytes.len - at);
        valid = utf8_valid_prefix(bytes.data + at, bytes.len - at);
    }
}

static void flush(struct strbuf *run, bool per_byte, struct strbuf *out)
{
    if (run->len > 0)
        put_text((struct str){run->data, run->len}, per_byte, out);
    strbuf_clear(run);
}

enum err_code tokenizer_decode_text(const struct tokenizer *tokenizer, const int32_t *ids,
                                    size_t count, bool skip_special, struct strbuf *out,
                                    struct err *err)
{
    enum err_code rc = check_ids(tokenizer, ids, count, err);
    if (rc != ERR_OK)
        return rc;
    bool is_fallback = tokenizer_is_fallback(tokenizer);
    struct strbuf run = {0}; /* bytes that are text together: of byte tokens, or of all */
    struct strbuf text = {0};
    for (size_t i = 0; i < count; i++) {
        uint8_t flags = tokenizer_flags(tokenizer, ids[i]);
        struct str token = tokenizer_token(tokenizer, ids[i]);
        if (skip_special && (flags & TOKEN_IS_SPECIAL))
            continue;
        if (is_fallback && !(flags & TOKEN_IS_BYTE)) {
            flush(&run, true, &text);
            strbuf_append(&text, token.data, token.len);
        } else {
            strbuf_append(&run, token.data, token.len);
        }
    }
    flush(&run, is_fallback, &text);
    size_t dropped = strips(tokenizer) && text.len > 0 && text.data[0] == ' ';
    if (text.len > 0)
        strbuf_append(out, text.data + dropped, text.len - dropped);
    strbuf_release(&run);
    strbuf_release(&text);
    return ERR_OK;
}
