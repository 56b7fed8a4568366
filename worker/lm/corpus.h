/* A dataset as the model sees it: token ids, and what each of them counts for. */
#ifndef TRIAD_CORPUS_H
#define TRIAD_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "dataset.h"
#include "err.h"
#include "tokenizer.h"

/* Zero-initialise; free with corpus_release(). Sequence i has the tokens starts[i] …
 * starts[i + 1] - 1; its first token never has a loss. */
struct corpus {
    int32_t *ids;
    uint8_t *losses;   /* enum segment_loss */
    int32_t *examples; /* 0-based example in the sequence, -1 for none */
    size_t *starts;    /* sequence_count + 1 */
    uint32_t *lines;   /* 0-based line of the dataset after its header */
    uint32_t sequence_count;
    uint32_t dropped_count; /* sequences of the dataset that had no loss token left */
    size_t loss_token_count;
    size_t token_cap; /* what is allocated; only corpus.c looks at these */
    size_t sequence_cap;
};

enum corpus_loss {
    CORPUS_LOSS_OUTPUTS, /* as the dataset says */
    CORPUS_LOSS_ALL,     /* every token but the first counts as content */
    CORPUS_LOSS_FIRST,   /* of the dataset's, the first example that has content */
    CORPUS_LOSS_LAST,    /* and the last such, as far as the cut left it */
    CORPUS_LOSS_COUNT,
};

/* "outputs", "all", "first", "last". ERR_INVALID with the choices for anything else. */
NODISCARD enum err_code corpus_loss_parse(const char *name, enum corpus_loss *loss_out,
                                          struct err *err);

/* Tokenize for training, in file order (docs/data.md section 1): each segment alone; cut after
 * `sequence_tokens`; drop what has no loss left. Documents of a "text" dataset are continued: the
 * next sequence begins with the last token of the one before, so that every token but a document's
 * first is predicted exactly once. ERR_INVALID when a special token is unknown to the tokenizer
 * (the text names it and the line) or no sequence is left. */
NODISCARD enum err_code corpus_for_training(const struct dataset *dataset,
                                            struct tokenizer *tokenizer, size_t sequence_tokens,
                                            enum corpus_loss loss, struct corpus *out,
                                            struct err *err);
/* Tokenize for evaluation: nothing is cut or dropped. ERR_INVALID as above, and for a sequence that
 * would need more than `context` positions (its last token needs none). */
NODISCARD enum err_code corpus_for_evaluation(const struct dataset *dataset,
                                              struct tokenizer *tokenizer, size_t context,
                                              struct corpus *out, struct err *err);

/* Append the ids of one segment alone. ERR_INVALID names a special token that is unknown. */
NODISCARD enum err_code corpus_segment(struct tokenizer *tokenizer, const struct segment *segment,
                                       struct token_list *ids, struct err *err);

/* Add one sequence of ready tokens (at least one); the loss of its first token is cleared. */
void corpus_append(struct corpus *corpus, uint32_t line, const int32_t *ids, const uint8_t *losses,
                   const int32_t *examples, size_t count);
void corpus_release(struct corpus *corpus);

/* How many tokens a sequence has. */
size_t corpus_length(const struct corpus *corpus, uint32_t sequence);
/* Longest sequence, in tokens. */
size_t corpus_length_max(const struct corpus *corpus);

#endif
