/* What statistics starts from: the item records of one cell of the grid, and the metrics read off
 * a record. Everything here is borrowed: the caller's strings and records outlive the analysis. */
#ifndef TRIAD_STAT_CELL_H
#define TRIAD_STAT_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One scored answer; the fields of a record batch (docs/data.md section 4). */
struct stat_record {
    uint32_t sequence;      /* 0-based sequence of the data set */
    uint32_t position;      /* 0-based example in its sequence: how many examples came before */
    double content_nats;    /* summed negative log-likelihood of the answer's own tokens */
    double terminator_nats; /* the same for what ends the answer */
    uint16_t token_count;   /* tokens with a loss, terminator included */
    uint16_t hit_tokens;    /* how many of them were the argmax */
    bool first_hit;
    bool hit; /* all of them were, terminator included */
};

/* Where a cell's numbers come from: job -> attempt -> artifact. Empty strings where unknown. */
struct stat_provenance {
    const char *job;      /* identity of the evaluation job, hex */
    const char *model;    /* identity of the job that made the model, hex */
    const char *attempt;  /* id of the attempt whose records were accepted */
    const char *artifact; /* digest of those records, hex */
};

enum stat_cell_state {
    STAT_CELL_PRESENT,
    STAT_CELL_MISSING, /* failed, cancelled, not yet run: `reason` says which */
};

/* One cell of the grid: a model (family, variant, seed) on a task. */
struct stat_cell {
    const char *family;
    const char *variant;
    const char *format;
    const char *suite;
    const char *task;
    uint64_t seed;
    uint32_t last_position; /* k: every sequence is scored at positions 0 ... k */
    enum stat_cell_state state;
    const char *reason;        /* one sentence when missing, else NULL */
    const char *pairing;       /* digest of the format-independent examples and positions, hex */
    uint32_t records_expected; /* fewer or more than this: the cell counts as missing */
    const struct stat_record *records; /* any order */
    uint32_t record_count;
    struct stat_provenance provenance;
};

enum stat_metric {
    STAT_LOSS,         /* content + terminator, nats per answer: the headline, as published */
    STAT_CONTENT_LOSS, /* content only: comparable between formats that end an answer differently */
    STAT_ACCURACY,     /* share of answers whose every token was the argmax */
};
#define STAT_METRIC_COUNT 3

/* Which positions of a sequence a figure is taken over. */
enum stat_scope {
    STAT_IN_CONTEXT, /* positions >= 1: the headline (docs/science.md section 4) */
    STAT_LAST,       /* position k alone */
    STAT_ZERO_SHOT,  /* position 0 alone: no example in context yet */
};
#define STAT_SCOPE_COUNT 3

struct stat_metric_info {
    const char *name;  /* "loss": in CSV and JSON */
    const char *title; /* "Loss": in headings */
    const char *unit;
    bool lower_is_better;
};

const struct stat_metric_info *stat_metric_info(enum stat_metric metric);
/* The scope's name in CSV and JSON: "in_context", "last", "zero_shot". */
const char *stat_scope_name(enum stat_scope scope);

double stat_record_value(const struct stat_record *record, enum stat_metric metric);

/* Positions first ... last, both included. */
struct stat_range {
    uint32_t first, last;
};
struct stat_range stat_scope_range(enum stat_scope scope, uint32_t last_position);

#endif
