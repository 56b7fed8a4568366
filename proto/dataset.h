/* The dataset file: what to train on or to score, rendered by the planner and tokenized by workers.
 * Layout and meaning: docs/data.md section 1. */
#ifndef TRIAD_DATASET_H
#define TRIAD_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "records.h"
#include "str.h"

/* Of data sets that are scored or trained on; those of the other kinds are version 2, so that a
 * reader who knows scores only refuses them. */
#define DATASET_VERSION       1
#define DATASET_KINDS_VERSION 2
#define DATASET_STOPS_MAX     16

enum dataset_purpose { DATASET_TRAIN, DATASET_EVALUATE };

enum segment_kind {
    SEGMENT_TEXT,    /* never yields special tokens */
    SEGMENT_SPECIAL, /* exactly one special token, named by its text */
};

enum segment_loss { LOSS_NONE, LOSS_CONTENT, LOSS_TERMINATOR };

struct segment {
    enum segment_kind kind;
    enum segment_loss loss;
    int32_t example; /* 0-based example in its sequence; -1 for none */
    struct str text; /* owned by the dataset's arena; may hold any UTF-8, NUL included */
};

/* Something that may follow a prompt: its content and, when that is to be scored too, what ends it,
 * told apart by the segments' loss. */
struct candidate {
    struct segment *segments; /* at least one */
    uint32_t segment_count;
    double target; /* share it should have; finite, not negative */
};

/* What to draw after a prompt. */
struct sampling {
    uint32_t draws, max_tokens; /* at least 1 */
    double temperature, top_p;
    int64_t top_k; /* 0: all tokens */
    uint64_t seed; /* with the sequence's id and the number of the draw it names a stream */
    struct str stop_tokens[DATASET_STOPS_MAX]; /* special tokens that end a text */
    struct str stop_texts[DATASET_STOPS_MAX];  /* pieces of text that do, and are cut off */
    uint32_t stop_token_count, stop_text_count;
};

struct sequence {
    struct str id; /* "flight/17" */
    struct segment *segments;
    uint32_t segment_count;
    struct candidate *candidates; /* RECORDS_CHOICES: at least one; not all targets are 0 */
    uint32_t candidate_count;
    struct sampling *sampling; /* RECORDS_SAMPLES, else NULL */
};

struct dataset {
    struct arena arena; /* owns everything below */
    enum dataset_purpose purpose;
    enum record_kind kind; /* of the records that evaluating it gives; training: RECORDS_SCORES */
    struct str name;
    struct str format;  /* "text", "spectrum", "colon" or "chat" */
    struct str pairing; /* 64 hex digits, or empty */
    struct sequence *sequences;
    uint32_t sequence_count;
};

/* Parse a dataset from memory. `name` is what errors call it ("dataset 'name': line 7: …").
 * ERR_INVALID when the bytes are not a dataset, ERR_LIMIT past bounds.h. Free with
 * dataset_release(). */
NODISCARD enum err_code dataset_parse(const char *bytes, size_t len, const char *name,
                                      struct dataset *out, struct err *err);
/* Read and parse a file. */
NODISCARD enum err_code dataset_load(const char *path, struct dataset *out, struct err *err);
void dataset_release(struct dataset *d);

/* Append the header line for `d` (its sequences are not looked at, only their count). */
void dataset_write_header(struct strbuf *out, const struct dataset *d);
/* Append one sequence as a line, with candidates or sampling if it has them. Equal sequences give
 * equal bytes. */
void dataset_write_sequence(struct strbuf *out, const struct sequence *s);

#endif
