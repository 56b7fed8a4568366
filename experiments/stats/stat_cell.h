/* What statistics starts from: the item records of one cell of the grid, and the metrics read off
 * a record. Everything here is borrowed: the caller's strings and records outlive the analysis. */
#ifndef TRIAD_STAT_CELL_H
#define TRIAD_STAT_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "divergence.h"

/* What a cell's records are; one kind of evaluation each (docs/data.md section 4). */
enum stat_kind {
    STAT_SCORES,  /* answers scored by teacher forcing */
    STAT_CHOICES, /* distributions over candidates, against a target */
    STAT_SAMPLES, /* texts drawn from prompts */
};

/* A probable token at one of an answer's places. */
struct stat_entry {
    float log_p;
    bool right;
};

/* One evaluated item. */
struct stat_record {
    uint32_t sequence; /* 0-based sequence of the data set */
    uint32_t position; /* scores: 0-based example in its sequence, that is how many examples came
                          before; choices: 0; samples: number of the draw */
    union {
        struct {                    /* STAT_SCORES */
            double content_nats;    /* summed -ln p of the answer's own tokens */
            double terminator_nats; /* the same for what ends the answer */
            double greedy_nats;     /* the same for the most probable tokens at its places */
            const struct stat_entry *entries; /* for calibration; NULL when not asked for */
            uint16_t entry_count;
            uint16_t token_count; /* tokens with a loss, terminator included */
            uint16_t hit_tokens;  /* how many of them were the argmax */
            bool first_hit;
            bool hit; /* all of them were, terminator included */
        };
        struct divergence choice; /* STAT_CHOICES */
        struct {                  /* STAT_SAMPLES */
            const char *text;     /* as drawn, up to where it was stopped */
            double nats;          /* -ln p of it */
            uint16_t sampled_tokens;
            bool valid;
            bool ended; /* by itself */
        };
    };
};

/* How the texts of one sequence of samples were drawn. */
struct stat_setting {
    const char *component; /* of the prompt: "description", "examples" or "both" */
    double temperature, top_p;
    int64_t top_k; /* 0: all tokens */
    uint32_t draws;
};
bool stat_setting_equal(const struct stat_setting *a, const struct stat_setting *b);

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
    enum stat_kind kind;
    uint64_t seed;
    uint32_t last_position; /* scores: k, every sequence is scored at positions 0 ... k; choices: 0;
                               samples: the most draws, less one */
    uint32_t permutations;  /* sequences that show the same examples in another order follow each
                               other, so many of them; 0 and 1: none do */
    const struct stat_setting *settings; /* samples: one per sequence */
    uint32_t setting_count;
    uint64_t allowed; /* samples: how many texts are valid at all; 0 when that is no list */
    enum stat_cell_state state;
    const char *reason;        /* one sentence when missing, else NULL */
    const char *pairing;       /* digest of the format-independent examples and positions, hex */
    uint32_t records_expected; /* fewer or more than this: the cell counts as missing */
    const struct stat_record *records; /* any order */
    uint32_t record_count;
    struct stat_provenance provenance;
};

/* Figures that every record of a kind has. Those that are compared come first. */
enum stat_metric {
    STAT_LOSS,         /* content + terminator, nats per answer: the headline, as published */
    STAT_CONTENT_LOSS, /* content only: comparable between formats that end an answer differently */
    STAT_ACCURACY,     /* share of answers whose every token was the argmax */
    STAT_JS,           /* Jensen-Shannon divergence from the target */
    STAT_MODE_MATCH,
    STAT_COVERAGE,       /* mass on the candidates */
    STAT_FIRST_ACCURACY, /* share of answers whose first token was the argmax */
    STAT_TOKEN_ACCURACY, /* mean over answers of the share of their tokens that were */
    STAT_KL,
    STAT_REVERSE_KL,
    STAT_CROSS_ENTROPY,
    STAT_METRIC_COUNT
};

/* Which positions of a sequence a figure is taken over. */
enum stat_scope {
    STAT_IN_CONTEXT, /* positions >= 1: the headline (docs/science.md section 4); all items of the
                        kinds without positions */
    STAT_LAST,       /* position k alone */
    STAT_ZERO_SHOT,  /* position 0 alone: no example in context yet */
};
#define STAT_SCOPE_COUNT 3

struct stat_metric_info {
    const char *name;  /* "loss": in CSV and JSON */
    const char *title; /* "Loss": in headings */
    const char *unit;
    bool lower_is_better;
    enum stat_kind kind;
    bool compared; /* declared pairs are tested on it */
};

const struct stat_metric_info *stat_metric_info(enum stat_metric metric);
/* Is this a metric of the kind, and (with `compared`) one that pairs are tested on? */
bool stat_metric_is(enum stat_metric metric, enum stat_kind kind, bool compared);
/* The name in CSV and JSON: "in_context", "last", "zero_shot"; "all" where a kind's items have no
 * examples before them. */
const char *stat_scope_name(enum stat_scope scope, enum stat_kind kind);
/* Scores have all scopes, the other kinds only the first one. */
bool stat_scope_is(enum stat_scope scope, enum stat_kind kind);

double stat_record_value(const struct stat_record *record, enum stat_metric metric);

/* Positions first ... last, both included. */
struct stat_range {
    uint32_t first, last;
};
struct stat_range stat_scope_range(enum stat_scope scope, enum stat_kind kind,
                                   uint32_t last_position);

#endif
