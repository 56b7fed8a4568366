/* Drawing texts after a prompt. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "prompts_impl.h"
#include "rng.h"
#include "utf8.h"

#define STOP_IDS_MAX (DATASET_STOPS_MAX + 1)

/* The draws of one prompt. */
struct drawing {
    struct prompts_run *run;
    const struct sampling *options;
    int32_t stop_ids[STOP_IDS_MAX];
    size_t stop_count;
    struct strbuf text; /* of what is being looked at */
};

/* Where the earliest stop text begins, or the length of the text. */
static size_t stop_place(const struct sampling *options, const char *text, size_t len)
{
    size_t place = len;
    for (uint32_t i = 0; i < options->stop_text_count; i++) {
        const struct str stop = options->stop_texts[i];
        const char *found = memmem(text, place, stop.data, stop.len);
        if (found)
            place = (size_t)(found - text);
    }
    return place;
}

/* Decode what was drawn, stop token left out, into drawing->text. */
static void decode(struct drawing *d, const int32_t *ids, size_t count)
{
    struct err ignored; /* drawn ids are in the vocabulary */
    strbuf_clear(&d->text);
    for (size_t i = 0; i < d->stop_count && count > 0; i++) {
        if (ids[count - 1] == d->stop_ids[i]) {
            count--;
            break;
        }
    }
    enum err_code code = tokenizer_decode(d->run->tokenizer, ids, count, &d->text, &ignored);
    ASSERT(code == ERR_OK);
}

static bool should_stop(void *ctx, size_t index, const int32_t *ids, size_t count)
{
    struct drawing *d = ctx;
    (void)index;
    if (d->options->stop_text_count == 0)
        return false;
    decode(d, ids, count);
    return stop_place(d->options, strbuf_text(&d->text), d->text.len) < d->text.len;
}

/* Append well-formed text: what is not, and NUL, becomes U+FFFD. */
static void append_wellformed(struct strbuf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t codepoint;
        const size_t bytes = utf8_decode(text + i, len - i, &codepoint);
        if (bytes == 0 || codepoint == 0)
            strbuf_puts(out, "\xef\xbf\xbd");
        else
            strbuf_append(out, text + i, bytes);
        i += bytes ? bytes : 1;
    }
}

static struct record record_of(struct drawing *d, const struct branch_text *text, uint32_t number,
                               uint32_t draw, struct arena *arena)
{
    struct strbuf clean = {0};
    decode(d, text->ids, text->count);
    append_wellformed(&clean, strbuf_text(&d->text),
                      stop_place(d->options, strbuf_text(&d->text), d->text.len));
    const size_t len = clean.len <= RECORD_TEXT_BYTES_MAX
                           ? clean.len
                           : str_whole_characters(strbuf_text(&clean), RECORD_TEXT_BYTES_MAX);
    struct record record = {
        .sequence = number,
        .position = draw,
        .content_nats = text->nats,
        .token_count = (uint16_t)text->count,
        .ended = text->stopped,
        .part_count = (uint16_t)len,
        .text = arena_strndup(arena, strbuf_text(&clean), len),
    };
    strbuf_release(&clean);
    return record;
}

/* The special tokens that end a text, and the model's own end of text. */
static enum err_code find_stops(struct drawing *d, struct err *err)
{
    struct tokenizer *tokenizer = d->run->tokenizer;
    for (uint32_t i = 0; i < d->options->stop_token_count; i++) {
        const char *text = d->options->stop_tokens[i].data; /* the arena ends it with a NUL */
        d->stop_ids[d->stop_count] = tokenizer_special(tokenizer, text);
        if (d->stop_ids[d->stop_count++] == TOKEN_NONE)
            return err_set(err, ERR_INVALID, "the tokenizer has no special token '%.80s'", text);
    }
    if (tokenizer_eos(tokenizer) != TOKEN_NONE)
        d->stop_ids[d->stop_count++] = tokenizer_eos(tokenizer);
    return ERR_OK;
}

/* Draw texts from..from + count - 1 and deliver their records. */
static enum err_code draw_some(struct drawing *d, struct branch_sampling *sampling, uint32_t number,
                               uint32_t from, uint32_t count, struct err *err)
{
    struct branch_text texts[PROMPTS_DRAWS_AT_ONCE] = {0};
    struct record records[PROMPTS_DRAWS_AT_ONCE];
    struct arena arena = {0};
    for (uint32_t i = 0; i < count; i++)
        texts[i].ids = arena_array(&arena, sampling->max_tokens, sizeof *texts[i].ids);
    sampling->first_index = from;
    enum err_code code = branch_sample(d->run->branch, sampling, count, texts, err);
    for (uint32_t i = 0; i < count && !code; i++)
        records[i] = record_of(d, &texts[i], number, from + i, &arena);
    if (!code)
        code =
            d->run->hooks->on_records(d->run->hooks->ctx, records, count,
                                      from + count == d->options->draws ? number + 1 : number, err);
    arena_release(&arena);
    return code;
}

enum err_code prompts_samples(struct prompts_run *run, uint32_t number, struct err *err)
{
    const struct sequence *s = &run->dataset->sequences[number];
    struct drawing d = {.run = run, .options = s->sampling};
    enum err_code code = find_stops(&d, err);
    struct rng root = rng_new(s->sampling->seed, "samples");
    struct rng own = rng_child(&root, s->id.data, 0); /* the arena ends ids with a NUL */
    struct branch_sampling sampling = {
        .draw = {.temperature = s->sampling->temperature,
                 .top_k = (int)s->sampling->top_k,
                 .top_p = s->sampling->top_p,
                 .seed = rng_u64(&own)},
        .max_tokens = s->sampling->max_tokens,
        .stop_ids = d.stop_ids,
        .stop_count = d.stop_count,
        .should_stop = should_stop,
        .ctx = &d,
    };
    for (uint32_t from = 0, count; from < s->sampling->draws && !code; from += count) {
        count = s->sampling->draws - from;
        count = count < PROMPTS_DRAWS_AT_ONCE ? count : PROMPTS_DRAWS_AT_ONCE;
        code = draw_some(&d, &sampling, number, from, count, err);
    }
    strbuf_release(&d.text);
    return code;
}
