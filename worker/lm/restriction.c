#include "restriction.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static void allow(struct restriction *r, int32_t id)
{
    r->token_count += !r->allowed[id];
    r->allowed[id] = 1;
}

/* Allow the tokens with this loss. */
static void allow_with_loss(struct restriction *r, const struct corpus *corpus,
                            enum segment_loss loss)
{
    const size_t count = corpus->starts[corpus->sequence_count];
    for (size_t i = 0; i < count; i++) {
        if (corpus->losses[i] == loss)
            allow(r, corpus->ids[i]);
    }
}

/* Take the loss from what is not to be scored; every answer must keep a token. */
static enum err_code mask(const struct restriction *r, struct corpus *corpus, bool terminators,
                          struct err *err)
{
    for (uint32_t s = 0; s < corpus->sequence_count; s++) {
        int32_t answer = -1;
        bool kept = true;
        for (size_t i = corpus->starts[s]; i < corpus->starts[s + 1]; i++) {
            if (corpus->losses[i] == LOSS_NONE)
                continue;
            if (corpus->examples[i] != answer && !kept)
                break;
            kept = corpus->examples[i] == answer && kept;
            answer = corpus->examples[i];
            const bool scored =
                r->allowed[corpus->ids[i]] && (terminators || corpus->losses[i] != LOSS_TERMINATOR);
            kept = kept || scored;
            if (!scored) {
                corpus->losses[i] = LOSS_NONE;
                corpus->loss_token_count--;
            }
        }
        if (!kept)
            return err_set(err, ERR_INVALID,
                           "restricted answers: no token of answer %d of sequence %u is allowed",
                           answer, corpus->lines[s]);
    }
    return ERR_OK;
}

static enum err_code finish(struct restriction *r, struct corpus *corpus, bool terminators,
                            enum err_code code, struct restriction *out, struct err *err)
{
    if (!code)
        code = mask(r, corpus, terminators, err);
    if (code)
        free(r->allowed);
    else
        *out = *r;
    return code;
}

enum err_code restriction_automatic(struct corpus *corpus, int32_t vocabulary, bool terminators,
                                    struct restriction *out, struct err *err)
{
    struct restriction r = {.allowed = calloc((size_t)vocabulary, 1)};
    enum err_code code = ERR_OK;
    ASSERT(r.allowed != NULL);
    allow_with_loss(&r, corpus, LOSS_CONTENT);
    if (terminators)
        allow_with_loss(&r, corpus, LOSS_TERMINATOR);
    if (r.token_count > RESTRICTION_TOKENS_MAX)
        code = err_set(err, ERR_INVALID,
                       "restricted answers: %zu different tokens are no set of answers (at most "
                       "%d); list the answers, or leave 'restrict' out",
                       r.token_count, RESTRICTION_TOKENS_MAX);
    return finish(&r, corpus, terminators, code, out, err);
}

static enum err_code allow_first(struct restriction *r, struct tokenizer *tokenizer,
                                 const char *text, const char *prefix, struct err *err)
{
    struct strbuf whole = {0};
    struct token_list ids = {0};
    strbuf_puts(&whole, prefix);
    strbuf_puts(&whole, text);
    const struct str piece = {strbuf_text(&whole), whole.len};
    enum err_code code = tokenizer_encode(tokenizer, piece, &ids, err);
    if (!code && ids.count == 0)
        code = err_set(err, ERR_INVALID, "restricted answers: '%.40s' has no token", text);
    if (!code && r->allowed[ids.ids[0]])
        code = err_set(err, ERR_INVALID,
                       "restricted answers: '%.40s' begins with the same token as another answer",
                       text);
    if (!code)
        allow(r, ids.ids[0]);
    token_list_release(&ids);
    strbuf_release(&whole);
    return code;
}

enum err_code restriction_listed(struct corpus *corpus, struct tokenizer *tokenizer,
                                 int32_t vocabulary, const char *const *texts, size_t count,
                                 const char *prefix, bool terminators, struct restriction *out,
                                 struct err *err)
{
    struct restriction r = {.allowed = calloc((size_t)vocabulary, 1)};
    enum err_code code = ERR_OK;
    ASSERT(r.allowed != NULL);
    for (size_t i = 0; i < count && !code; i++)
        code = allow_first(&r, tokenizer, texts[i], prefix, err);
    if (!code && terminators)
        allow_with_loss(&r, corpus, LOSS_TERMINATOR);
    return finish(&r, corpus, terminators, code, out, err);
}
