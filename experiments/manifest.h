/* What a person wrote: the manifest, read strictly, with every default filled in.
 *
 * Overrides go from the general to the special: built-in values, `defaults`, the family, the
 * variant (training) or the suite entry and its `override` per task (evaluation). What can be
 * checked without reading other files is checked here; what needs task files, mixes or tokenizers
 * is checked by the planner. The key tables are in manifest_keys.c. */
#ifndef TRIAD_MANIFEST_H
#define TRIAD_MANIFEST_H

#include "fields.h"
#include "format.h"
#include "jobspec.h"
#include "vocab.h"

enum manifest_origin {
    ORIGIN_CHECKPOINT, /* weights somebody else trained */
    ORIGIN_PRETRAIN,
    ORIGIN_INSTRUCT,
    ORIGIN_SPECTRUM,
};

/* CHECKPOINT_HUB: a Hugging Face folder in the local cache of the hub. */
enum checkpoint_layout { CHECKPOINT_HUGGINGFACE, CHECKPOINT_LLAMA2C, CHECKPOINT_HUB };

/* How the next task is drawn: all alike while they have sequences left, or by how many they have.
 */
enum manifest_sampling { SAMPLING_AUTO, SAMPLING_UNIFORM, SAMPLING_PROPORTIONAL };
/* The paper's settings (docs/training.md). */
enum manifest_preset { PRESET_NONE, PRESET_SPECTRUM_V0, PRESET_SPECTRUM_V1 };
/* Ours, or what the paper's public code does where the two differ. */
enum manifest_compat { COMPAT_PAPER, COMPAT_REFERENCE };
/* Keep activations for the backward pass, or compute them again: when memory demands it, always, or
 * never. */
enum manifest_recompute { RECOMPUTE_AUTO, RECOMPUTE_ALWAYS, RECOMPUTE_NEVER };

/* How a variant comes into being; which members count depends on `origin`. */
struct manifest_stage {
    struct jobspec_train train;
    const char *mix;              /* pretrain, instruct: experiments/mixes/NAME.yaml */
    int64_t tokens;               /* pretrain: length of the data */
    struct field_texts tasks;     /* spectrum: "train", or globs over training tasks */
    double drop_description;      /* spectrum: probability */
    bool first_terminator;        /* spectrum: format.h */
    const char *embeddings_from;  /* spectrum: a variant, or "none" */
    int64_t sequences;            /* instruct, spectrum: at most so many different ones; 0: any */
    int64_t sequences_per_task;   /* spectrum: and of one task */
    int sampling;                 /* spectrum: enum manifest_sampling */
    int format;                   /* instruct, spectrum: enum format to train in */
    int preset;                   /* enum manifest_preset: what it set is in the other members */
    int compat;                   /* enum manifest_compat, likewise */
    int recompute;                /* enum manifest_recompute: changes memory, never results */
    const struct yaml_node *lora; /* what train.lora was read from, or NULL */
};

struct manifest_variant {
    const char *name;
    const char *family; /* whose it is */
    const struct yaml_node *node;
    enum manifest_origin origin;
    const char *from; /* the variant it starts from; NULL for checkpoint and pretrain */
    /* As a path, relative to the manifest's folder unless absolute; hub: "hf:ORG/NAME@REVISION". */
    const char *checkpoint;
    enum checkpoint_layout layout;
    struct manifest_stage stage;
};

struct manifest_tokenizer {
    bool train; /* byte-level BPE on the pretraining mix */
    int64_t vocabulary;
    const char *path; /* or a tokenizer.json */
};

/* Settings of an evaluation, which a task can override. */
struct manifest_evaluate {
    int64_t max_sequences;
    int64_t k; /* 0: choose (docs/science.md section 4) */
    int64_t seed;
    double description_keep;
    int64_t shard; /* sequences of one job; 0: as many as take a while (plan_cells.c) */
    /* Scores: */
    int64_t permutations; /* orders of every sequence's examples */
    bool calibration;     /* keep the probable tokens of every answer */
    int restrict_mode;    /* enum restrict_mode */
    struct field_texts restrict_texts;
    bool restrict_terminators;
    /* Choices: */
    bool terminator; /* a candidate counts with what ends it */
    /* Samples: */
    int64_t draws, top_k;
    double top_p;
    struct field_texts components;   /* of prompts: "description", "examples", "both" */
    struct field_texts temperatures; /* checked to be numbers */
    const struct yaml_node *sweep;   /* variant → further temperatures; or NULL */
};

/* The temperatures of a variant: the settings' own, then those of its sweep, each once. Returns how
 * many there are, at most MANIFEST_TEMPERATURES_MAX. */
enum { MANIFEST_TEMPERATURES_MAX = 64 };
size_t manifest_temperatures(const struct manifest_evaluate *settings, const char *variant,
                             double out[MANIFEST_TEMPERATURES_MAX]);

struct manifest_family {
    const char *name;
    const struct yaml_node *node;
    bool has_architecture;
    struct jobspec_architecture architecture;
    struct manifest_tokenizer tokenizer;
    const struct turn_style *turns;
    bool turns_given;                 /* else the planner may find better ones in a checkpoint */
    const struct yaml_node *evaluate; /* overrides, or NULL */
    struct manifest_variant *variants;
    size_t variant_count;
};

struct manifest_task_override {
    const char *pattern; /* glob over task names */
    const struct yaml_node *node;
};

struct manifest_variant_format {
    const char *family; /* NULL: of every family */
    const char *variant;
    enum format format;
};

struct manifest_suite {
    const char *suite;
    const struct yaml_node *node; /* the entry: its settings override the family's */
    struct field_texts tasks;     /* globs */
    struct manifest_task_override *overrides;
    size_t override_count;
    struct manifest_variant_format *formats; /* where it differs from the variant's usual format */
    size_t format_count;
};

enum { MANIFEST_CORPORA_MAX = 64 };

enum compare_test { COMPARE_PAIRED_CLUSTER, COMPARE_PAPER_LIKE };
enum compare_correction { CORRECTION_NONE, CORRECTION_HOLM, CORRECTION_BH };

struct manifest_compare {
    const char *baseline;
    struct field_texts against;
    int test, correction; /* enums above */
    double alpha;
};

/* A pattern over cells; members that are absent match everything. */
struct manifest_filter {
    const char *family, *variant, *task; /* globs or NULL */
    int64_t seed;                        /* -1: any */
};

struct manifest_resources {
    int64_t threads;
    int64_t memory_bytes;      /* 0: as estimated */
    struct field_texts labels; /* as written */
    const char *label_set;     /* labels.h: a worker must have all of them */
    double time_limit_minutes; /* of one attempt; 0: none */
    int64_t ranks;             /* train: processes that share a job, each with the above */
};

/* How often a job is tried again: in all, and after each class of failure (vocab.h). */
struct manifest_retry {
    int64_t attempts; /* that cost something: all but lost and pre-empted ones */
    int64_t again[FAILURE_CLASS_COUNT];
    double backoff_seconds, backoff_max_seconds;
    double memory_growth; /* share by which the request grows after each failure for want of it */
};

/* What a published grid counts as one of its jobs. */
enum reference_unit {
    REFERENCE_TASK,      /* a model on a task */
    REFERENCE_COMPONENT, /* a model with one kind of prompt, on all tasks */
    REFERENCE_MODEL,     /* a model that is trained */
};

/* A published grid that the manifest stands for. */
struct manifest_reference {
    const struct yaml_node *node; /* NULL: there is none */
    int64_t jobs;
    int unit;                  /* enum reference_unit */
    struct field_texts absent; /* names of its grid that stand for nothing */
    const char *why;           /* they are absent, in a sentence; or "" */
};

struct manifest_corpus {
    const char *name;
    struct field_texts files;
};

struct manifest {
    struct yaml_doc doc; /* owns everything */
    const char *folder;  /* of the manifest file, for relative paths */
    const char *experiment;
    const char *notes; /* "" when there are none */
    int numerics;      /* enum numerics_mode */
    int precision;     /* enum numerics_precision */
    int backend;       /* enum numerics_backend, one that has this precision */
    int64_t *seeds;    /* distinct */
    size_t seed_count;
    const struct yaml_node *default_evaluate; /* or NULL */
    struct manifest_family *families;
    size_t family_count;
    struct manifest_suite *suites;
    size_t suite_count;
    struct manifest_compare *compares;
    size_t compare_count;
    struct manifest_filter *includes, *excludes;
    size_t include_count, exclude_count;
    struct manifest_corpus *corpora; /* at most MANIFEST_CORPORA_MAX */
    size_t corpus_count;
    struct manifest_resources train_resources, evaluate_resources;
    struct manifest_reference reference;
    struct manifest_retry retry;
};

/* Parse a manifest. `path` is for messages and for relative paths. ERR_INVALID with
 * "PATH:LINE:COLUMN: what, did you mean …". Free with manifest_release(). */
NODISCARD enum err_code manifest_parse(const char *bytes, size_t len, const char *path,
                                       struct manifest *out, struct err *err);
void manifest_release(struct manifest *manifest);

/* The settings of one task of a suite entry in a family, all overrides applied. They were checked
 * by manifest_parse(). */
struct manifest_evaluate manifest_evaluate_settings(struct manifest *manifest,
                                                    const struct manifest_family *family,
                                                    const struct manifest_suite *suite,
                                                    const char *task);
/* The format a variant is evaluated in: as the entry says, else the one it was trained in (chat for
 * instruct, spectrum for spectrum, unless they say otherwise), colon for the others. */
enum format manifest_format(const struct manifest_suite *suite,
                            const struct manifest_variant *variant);

const struct manifest_variant *manifest_find_variant(const struct manifest_family *family,
                                                     const char *name);

/* Names of the enums, as in manifests; ended by NULL. */
extern const char *const manifest_test_names[];
extern const char *const manifest_correction_names[];
extern const char *const manifest_sampling_names[];
extern const char *const manifest_preset_names[];
extern const char *const manifest_compat_names[];
extern const char *const manifest_recompute_names[];
const char *manifest_origin_name(enum manifest_origin origin);

#endif
