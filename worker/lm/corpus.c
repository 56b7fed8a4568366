#include "corpus.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* One sequence of the dataset while it is being tokenized; memory is reused from line to line. */
struct line_tokens {
    struct token_list ids;
    uint8_t *losses;
    int32_t *examples;
    size_t cap;
};

static void line_release(struct line_tokens *line)
{
    token_list_release(&line->ids);
    free(line->losses);
    free(line->examples);
}

static void *grow(void *old, size_t count, size_t element_bytes)
{
    void *bytes = reallocarray(old, count, element_bytes);
    ASSERT(bytes != NULL);
    return bytes;
}

static size_t grown_cap(size_t cap, size_t needed)
{
    size_t next = cap ? cap : 1024;
    while (next < needed)
        next *= 2;
    return next;
}

/* Give the tokens added since `from` the segment's loss and example. */
static void line_mark(struct line_tokens *line, size_t from, const struct segment *segment)
{
    if (line->ids.count > line->cap) {
        line->cap = grown_cap(line->cap, line->ids.count);
        line->losses = grow(line->losses, line->cap, sizeof *line->losses);
        line->examples = grow(line->examples, line->cap, sizeof *line->examples);
    }
    for (size_t i = from; i < line->ids.count; i++) {
        line->losses[i] = (uint8_t)segment->loss;
        line->examples[i] = segment->example;
    }
}

static enum err_code append_special(struct tokenizer *tokenizer, const struct segment *segment,
                                    struct token_list *ids, struct err *err)
{
    char name[256];
    int32_t id = TOKEN_NONE;
    size_t len = segment->text.len;
    if (len < sizeof name && !memchr(segment->text.data, '\0', len)) {
        memcpy(name, segment->text.data, len);
        name[len] = '\0';
        id = tokenizer_special(tokenizer, name);
    }
    if (id == TOKEN_NONE)
        return err_set(err, ERR_INVALID, "the tokenizer has no special token '%.*s'",
                       (int)(len < 80 ? len : 80), segment->text.data);
    token_list_append(ids, &id, 1);
    return ERR_OK;
}

enum err_code corpus_segment(struct tokenizer *tokenizer, const struct segment *segment,
                             struct token_list *ids, struct err *err)
{
    return segment->kind == SEGMENT_SPECIAL ? append_special(tokenizer, segment, ids, err)
                                            : tokenizer_encode(tokenizer, segment->text, ids, err);
}

static enum err_code line_tokenize(struct line_tokens *line, const struct sequence *sequence,
                                   struct tokenizer *tokenizer, struct err *err)
{
    line->ids.count = 0;
    for (uint32_t i = 0; i < sequence->segment_count; i++) {
        const struct segment *segment = &sequence->segments[i];
        size_t from = line->ids.count;
        enum err_code rc = corpus_segment(tokenizer, segment, &line->ids, err);
        if (rc != ERR_OK)
            return rc;
        line_mark(line, from, segment);
    }
    return ERR_OK;
}

enum err_code corpus_loss_parse(const char *name, enum corpus_loss *loss_out, struct err *err)
{
    static const char *const names[CORPUS_LOSS_COUNT] = {
        [CORPUS_LOSS_OUTPUTS] = "outputs",
        [CORPUS_LOSS_ALL] = "all",
        [CORPUS_LOSS_FIRST] = "first",
        [CORPUS_LOSS_LAST] = "last",
    };
    for (int i = 0; i < CORPUS_LOSS_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *loss_out = (enum corpus_loss)i;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_INVALID, "unknown loss '%.40s': outputs, all, first or last", name);
}

/* Keep the losses of one example of the piece: the first or the last with content. A terminator
 * alone (of an output that is not learnt) is no example, but stays when there is nothing else. */
static void keep_one_example(uint8_t *losses, const int32_t *examples, size_t count,
                             enum corpus_loss loss)
{
    int32_t kept = -1;
    for (size_t i = 1; i < count && (kept < 0 || loss == CORPUS_LOSS_LAST); i++) {
        if (losses[i] == LOSS_CONTENT)
            kept = examples[i];
    }
    for (size_t i = 0; kept >= 0 && i < count; i++) {
        if (examples[i] != kept)
            losses[i] = LOSS_NONE;
    }
}

static bool has_loss(const uint8_t *losses, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (losses[i] != LOSS_NONE)
            return true;
    }
    return false;
}

void corpus_append(struct corpus *corpus, uint32_t line, const int32_t *ids, const uint8_t *losses,
                   const int32_t *examples, size_t count)
{
    ASSERT(count > 0);
    size_t start = corpus->sequence_count ? corpus->starts[corpus->sequence_count] : 0;
    if (start + count > corpus->token_cap) {
        corpus->token_cap = grown_cap(corpus->token_cap, start + count);
        corpus->ids = grow(corpus->ids, corpus->token_cap, sizeof *corpus->ids);
        corpus->losses = grow(corpus->losses, corpus->token_cap, sizeof *corpus->losses);
        corpus->examples = grow(corpus->examples, corpus->token_cap, sizeof *corpus->examples);
    }
    if (corpus->sequence_count + 2 > corpus->sequence_cap) {
        corpus->sequence_cap = grown_cap(corpus->sequence_cap, corpus->sequence_count + 2);
        corpus->starts = grow(corpus->starts, corpus->sequence_cap, sizeof *corpus->starts);
        corpus->lines = grow(corpus->lines, corpus->sequence_cap, sizeof *corpus->lines);
    }
    memcpy(corpus->ids + start, ids, count * sizeof *ids);
    memcpy(corpus->losses + start, losses, count * sizeof *losses);
    memcpy(corpus->examples + start, examples, count * sizeof *examples);
    corpus->losses[start] = LOSS_NONE;
    corpus->lines[corpus->sequence_count] = line;
    corpus->starts[corpus->sequence_count] = start;
    corpus->starts[++corpus->sequence_count] = start + count;
    for (size_t i = start; i < start + count; i++)
        corpus->loss_token_count += corpus->losses[i] != LOSS_NONE;
}

/* Cut a line into one sequence, or (`continued`) into as many as it takes. */
static void append_cut(struct corpus *corpus, uint32_t number, const struct line_tokens *line,
                       size_t sequence_tokens, enum corpus_loss loss, bool continued)
{
    bool kept = false;
    size_t count = line->ids.count;
    for (size_t from = 0; from + 1 < count; from += sequence_tokens - 1) {
        size_t piece = count - from < sequence_tokens ? count - from : sequence_tokens;
        if (loss == CORPUS_LOSS_FIRST || loss == CORPUS_LOSS_LAST)
            keep_one_example(line->losses + from, line->examples + from, piece, loss);
        if (has_loss(line->losses + from, piece)) {
            corpus_append(corpus, number, line->ids.ids + from, line->losses + from,
                          line->examples + from, piece);
            kept = true;
        }
        if (!continued)
            break;
    }
    corpus->dropped_count += !kept;
}

enum err_code corpus_for_training(const struct dataset *dataset, struct tokenizer *tokenizer,
                                  size_t sequence_tokens, enum corpus_loss loss, struct corpus *out,
                                  struct err *err)
{
    if (sequence_tokens < 2)
        return err_set(err, ERR_INVALID, "sequence_tokens is %zu, but a loss needs two tokens",
                       sequence_tokens);
    struct corpus corpus = {0};
    struct line_tokens line = {0};
    enum err_code rc = ERR_OK;
    bool continued = str_equal(dataset->format, str_from("text"));
    for (uint32_t i = 0; i < dataset->sequence_count; i++) {
        rc = line_tokenize(&line, &dataset->sequences[i], tokenizer, err);
        if (rc != ERR_OK) {
            rc = err_wrap(err, "tokenize '%.*s' sequence %u", (int)dataset->name.len,
                          dataset->name.data, i);
            goto done;
        }
        if (loss == CORPUS_LOSS_ALL && line.ids.count > 0)
            memset(line.losses, LOSS_CONTENT, line.ids.count);
        append_cut(&corpus, i, &line, sequence_tokens, loss, continued);
    }
    if (corpus.sequence_count == 0) {
        rc = err_set(err, ERR_INVALID, "tokenize '%.*s': no sequence has a token with a loss",
                     (int)dataset->name.len, dataset->name.data);
        goto done;
    }
    *out = corpus;
    corpus = (struct corpus){0};
done:
    line_release(&line);
    corpus_release(&corpus);
    return rc;
}

enum err_code corpus_for_evaluation(const struct dataset *dataset, struct tokenizer *tokenizer,
                                    size_t context, struct corpus *out, struct err *err)
{
    struct corpus corpus = {0};
    struct line_tokens line = {0};
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < dataset->sequence_count; i++) {
        rc = line_tokenize(&line, &dataset->sequences[i], tokenizer, err);
        if (rc == ERR_OK && line.ids.count == 0)
            rc = err_set(err, ERR_INVALID, "the sequence has no token");
        if (rc == ERR_OK && line.ids.count > context + 1)
            rc = err_set(err, ERR_INVALID, "%zu tokens do not fit a context of %zu", line.ids.count,
                         context);
        if (rc != ERR_OK) {
            rc = err_wrap(err, "tokenize '%.*s' sequence %u", (int)dataset->name.len,
                          dataset->name.data, i);
            goto done;
        }
        corpus_append(&corpus, i, line.ids.ids, line.losses, line.examples, line.ids.count);
    }
    *out = corpus;
    corpus = (struct corpus){0};
done:
    line_release(&line);
    corpus_release(&corpus);
    return rc;
}

void corpus_release(struct corpus *corpus)
{
    free(corpus->ids);
    free(corpus->losses);
    free(corpus->examples);
    free(corpus->starts);
    free(corpus->lines);
    *corpus = (struct corpus){0};
}

size_t corpus_length(const struct corpus *corpus, uint32_t sequence)
{
    ASSERT(sequence < corpus->sequence_count);
    return corpus->starts[sequence + 1] - corpus->starts[sequence];
}

size_t corpus_length_max(const struct corpus *corpus)
{
    size_t longest = 0;
    for (uint32_t i = 0; i < corpus->sequence_count; i++) {
        size_t length = corpus_length(corpus, i);
        longest = length > longest ? length : longest;
    }
    return longest;
}
