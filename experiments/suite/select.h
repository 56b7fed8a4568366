/* How many examples a task is evaluated with: k, chosen once for all variants and formats
 * (docs/science.md section 4), so that all of them score the same positions. */
#ifndef TRIAD_SELECT_H
#define TRIAD_SELECT_H

#include "format.h"

/* Tokens of a piece of plain text; a special token is one. Remembers what it was asked, for formats
 * repeat the same pieces thousands of times. */
struct token_counter {
    void *ctx;
    enum err_code (*count)(void *ctx, struct str text, size_t *count_out, struct err *err);
    struct token_memo *memo; /* made on first use; free with token_counter_release() */
};

NODISCARD enum err_code token_counter_text(struct token_counter *counter, struct str text,
                                           size_t *count_out, struct err *err);
/* Tokens of a rendered sequence. */
NODISCARD enum err_code token_counter_sequence(struct token_counter *counter,
                                               const struct sequence *sequence, size_t *count_out,
                                               struct err *err);
void token_counter_release(struct token_counter *counter);

/* The highest example (0-based) of the instance that ends within `context` tokens in every one of
 * the formats; -1 when not even the first does. */
NODISCARD enum err_code select_reach(struct token_counter *counter,
                                     const struct format_options *formats, size_t format_count,
                                     const struct instance *instance, size_t context,
                                     int32_t *reach_out, struct err *err);

/* A task whose k would be 1 is evaluated with 2 where so many sequences reach that. */
enum { SELECT_K_MIN = 2, SELECT_K_MIN_REACHING = 10 };

/* The k >= 1 that maximises k · #{reach >= k}, the smallest of equals; where that is 1,
 * SELECT_K_MIN if enough sequences reach it; 0 when nothing reaches 1. */
uint32_t select_k(const int32_t *reach, size_t count);

/* Of the instances that reach k, at most `max`, drawn without replacement by `seed`, in ascending
 * order; `chosen` holds `count` numbers. Returns how many. */
size_t select_sequences(const int32_t *reach, size_t count, uint32_t k, size_t max, uint64_t seed,
                        uint32_t *chosen);

#endif
