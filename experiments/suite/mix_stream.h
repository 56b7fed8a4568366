/* Documents out of a mix, one after another, as its shares demand. Deterministic: the n-th document
 * depends on mix, files and seed only, and on the sizes that the caller accounted before. */
#ifndef TRIAD_MIX_STREAM_H
#define TRIAD_MIX_STREAM_H

#include "mix.h"

struct mix_stream;

/* Where a corpus has its files, when not where the mix says. */
struct mix_files {
    const char *corpus;
    const char *const *files;
    size_t count;
};

/* Open a mix: find its tasks, read its corpora. `mix` and `suite` are borrowed. ERR_INVALID for an
 * unknown task (with its place in the mix), ERR_NOT_FOUND for a missing corpus file (naming the
 * package to install). Free with mix_stream_close(), which accepts NULL. */
NODISCARD enum err_code mix_stream_open(const struct mix *mix, struct suite *suite,
                                        const struct mix_files *files, size_t files_count,
                                        uint64_t seed, struct mix_stream **out, struct err *err);
void mix_stream_close(struct mix_stream *stream);

/* One document: text for pretraining, an instance of one example for instruction. */
struct mix_document {
    const char *id;
    struct str text;
    struct instance instance;
    size_t part;
};

/* The next document, of the part that is furthest behind its share; in `arena`. */
void mix_stream_next(struct mix_stream *stream, struct arena *arena, struct mix_document *out);
/* Say how big the document was (tokens, bytes: the caller's unit) so that shares come true. */
void mix_stream_account(struct mix_stream *stream, size_t part, double size);

#endif
