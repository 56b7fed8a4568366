#include "manifest_keys.h"

#include "bounds.h"
#include "check.h"

const char *const manifest_test_names[] = {"paired-cluster", "paper-like", NULL};
const char *const manifest_correction_names[] = {"none", "holm", "benjamini-hochberg", NULL};
const char *const manifest_sampling_names[] = {"auto", "uniform", "proportional", NULL};
const char *const manifest_preset_names[] = {"none", "spectrum-v0", "spectrum-v1", NULL};
const char *const manifest_compat_names[] = {"paper", "reference", NULL};
const char *const manifest_recompute_names[] = {"auto", "always", "never", NULL};
static const char *const reference_unit_names[] = {"task", "component", "model", NULL};
static const char *const format_choices[] = {"spectrum", "colon", "chat", NULL}; /* enum format */
static const char *const tokenizer_kind_names[] = {"bpe", NULL};

#define TABLE(fields)                                                                              \
    {                                                                                              \
        fields, ARRAY_COUNT(fields)                                                                \
    }

/* One row each: the key, the member, and what is allowed. */
#define TEXT_KEY(k, s, m)                                                                          \
    {                                                                                              \
        .key = k, .kind = FIELD_TEXT, .offset = offsetof(struct s, m)                              \
    }
#define NAME_KEY(k, s, m)                                                                          \
    {                                                                                              \
        .key = k, .kind = FIELD_NAME, .offset = offsetof(struct s, m)                              \
    }
#define TEXTS_KEY(k, s, m)                                                                         \
    {                                                                                              \
        .key = k, .kind = FIELD_TEXTS, .offset = offsetof(struct s, m)                             \
    }
#define NODE_KEY(k, s, m)                                                                          \
    {                                                                                              \
        .key = k, .kind = FIELD_NODE, .offset = offsetof(struct s, m)                              \
    }
#define BOOL_KEY(k, s, m)                                                                          \
    {                                                                                              \
        .key = k, .kind = FIELD_BOOL, .offset = offsetof(struct s, m)                              \
    }
#define CHOICE_KEY(k, s, m, c)                                                                     \
    {                                                                                              \
        .key = k, .kind = FIELD_CHOICE, .offset = offsetof(struct s, m), .choices = c              \
    }
#define INTEGER_KEY(k, s, m, lo, hi)                                                               \
    {                                                                                              \
        .key = k, .kind = FIELD_INTEGER, .offset = offsetof(struct s, m), .min = lo, .max = hi     \
    }
#define REAL_KEY(k, s, m, lo, hi)                                                                  \
    {                                                                                              \
        .key = k, .kind = FIELD_REAL, .offset = offsetof(struct s, m), .min = lo, .max = hi        \
    }
/* The same, and the key may not be missing. */
#define NEED_NAME(k, s, m)                                                                         \
    {                                                                                              \
        .key = k, .kind = FIELD_NAME, .offset = offsetof(struct s, m), .required = true            \
    }
#define NEED_TEXTS(k, s, m)                                                                        \
    {                                                                                              \
        .key = k, .kind = FIELD_TEXTS, .offset = offsetof(struct s, m), .required = true           \
    }
#define NEED_NODE(k, s, m)                                                                         \
    {                                                                                              \
        .key = k, .kind = FIELD_NODE, .offset = offsetof(struct s, m), .required = true            \
    }
#define NEED_INTEGER(k, s, m, lo, hi)                                                              \
    {                                                                                              \
        .key = k, .kind = FIELD_INTEGER, .offset = offsetof(struct s, m), .min = lo, .max = hi,    \
        .required = true                                                                           \
    }

/* clang-format off */
static const struct field root[] = {
    NEED_NAME("experiment", manifest_root_keys, experiment),
    TEXT_KEY("notes", manifest_root_keys, notes),
    CHOICE_KEY("numerics", manifest_root_keys, numerics, jobspec_numerics_names),
    CHOICE_KEY("precision", manifest_root_keys, precision, jobspec_precision_names),
    CHOICE_KEY("backend", manifest_root_keys, backend, jobspec_backend_names),
    NODE_KEY("seeds", manifest_root_keys, seeds),
    NODE_KEY("corpora", manifest_root_keys, corpora),
    NODE_KEY("defaults", manifest_root_keys, defaults),
    NEED_NODE("families", manifest_root_keys, families),
    NEED_NODE("evaluate", manifest_root_keys, evaluate),
    NODE_KEY("compare", manifest_root_keys, compare),
    NODE_KEY("resources", manifest_root_keys, resources),
    NODE_KEY("retry", manifest_root_keys, retry),
    NODE_KEY("include", manifest_root_keys, include),
    NODE_KEY("exclude", manifest_root_keys, exclude),
    NODE_KEY("reference", manifest_root_keys, reference),
};
const struct field_table manifest_root_table = TABLE(root);

static const struct field defaults[] = {
    NODE_KEY("train", manifest_defaults_keys, train),
    NODE_KEY("evaluate", manifest_defaults_keys, evaluate),
};
const struct field_table manifest_defaults_table = TABLE(defaults);

static const struct field family[] = {
    NODE_KEY("architecture", manifest_family_keys, architecture),
    NODE_KEY("tokenizer", manifest_family_keys, tokenizer),
    TEXT_KEY("turns", manifest_family_keys, turns),
    NODE_KEY("train", manifest_family_keys, train),
    NODE_KEY("evaluate", manifest_family_keys, evaluate),
    NEED_NODE("variants", manifest_family_keys, variants),
};
const struct field_table manifest_family_table = TABLE(family);

#define A manifest_architecture_keys
static const struct field architecture[] = {
    {.key = "kind", .kind = FIELD_CHOICE, .offset = offsetof(struct A, architecture.kind),
     .choices = jobspec_architecture_names,
     .required = true},
    NEED_INTEGER("layers", A, architecture.layers, 1, 256),
    NEED_INTEGER("width", A, architecture.width, 2, 65536),
    NEED_INTEGER("heads", A, architecture.heads, 1, 1024),
    INTEGER_KEY("kv_heads", A, architecture.kv_heads, 1, 1024),
    INTEGER_KEY("head_dim", A, architecture.head_dim, 2, 4096),
    NEED_INTEGER("mlp", A, architecture.mlp, 1, 1048576),
    NEED_INTEGER("context", A, architecture.context, 8, 1048576),
    REAL_KEY("rope_theta", A, architecture.rope_theta, 1, 1e12),
    REAL_KEY("norm_eps", A, architecture.norm_eps, 1e-12, 0.1),
    REAL_KEY("init_std", A, architecture.init_std, 0, 10),
    BOOL_KEY("tied", A, architecture.tied),
    INTEGER_KEY("window", A, architecture.window, 1, 1048576),
    INTEGER_KEY("window_pattern", A, architecture.window_pattern, 1, 257),
    INTEGER_KEY("query_scalar", A, architecture.query_scalar, 1, 65536),
    REAL_KEY("rope_local_theta", A, architecture.rope_local_theta, 1, 1e12),
};
#undef A
const struct field_table manifest_architecture_table = TABLE(architecture);

static const struct field tokenizer[] = {
    {.key = "train", .kind = FIELD_CHOICE, .offset = offsetof(struct manifest_tokenizer_keys, train),
     .choices = tokenizer_kind_names, .required = true},
    NEED_INTEGER("vocabulary", manifest_tokenizer_keys, vocabulary, 300, 1000000),
};
const struct field_table manifest_tokenizer_table = TABLE(tokenizer);

static const struct field variant[] = {
    NAME_KEY("from", manifest_variant_keys, from),
    TEXT_KEY("checkpoint", manifest_variant_keys, checkpoint),
    NODE_KEY("pretrain", manifest_variant_keys, pretrain),
    NODE_KEY("instruct", manifest_variant_keys, instruct),
    NODE_KEY("spectrum", manifest_variant_keys, spectrum),
};
const struct field_table manifest_variant_table = TABLE(variant);

#define S manifest_stage
#define TRAIN_KEYS                                                                                 \
    INTEGER_KEY("sequence_tokens", S, train.sequence_tokens, 8, 1048576),                          \
    INTEGER_KEY("batch_tokens", S, train.batch_tokens, 8, 1e8),                                    \
    INTEGER_KEY("batch_sequences", S, train.batch_sequences, 0, 1e8),                              \
    INTEGER_KEY("accumulate", S, train.accumulate, 1, 65536),                                      \
    INTEGER_KEY("shards", S, train.shards, 1, 1024),                                               \
    INTEGER_KEY("epochs", S, train.epochs, 1, 1e6),                                                \
    INTEGER_KEY("warmup_steps", S, train.warmup_steps, 0, 1e9),                                    \
    INTEGER_KEY("checkpoint_steps", S, train.checkpoint_steps, 0, 1e9),                            \
    REAL_KEY("learning_rate", S, train.learning_rate, 0, 10),                                      \
    CHOICE_KEY("schedule", S, train.schedule, jobspec_schedule_names),                             \
    REAL_KEY("minimum_lr_ratio", S, train.minimum_lr_ratio, 0, 1),                                 \
    REAL_KEY("weight_decay", S, train.weight_decay, 0, 10),                                        \
    REAL_KEY("beta1", S, train.beta1, 0, 0.9999999),                                               \
    REAL_KEY("beta2", S, train.beta2, 0, 0.9999999),                                               \
    REAL_KEY("epsilon", S, train.epsilon, 1e-30, 1),                                               \
    REAL_KEY("clip_norm", S, train.clip_norm, 0, 1e9),                                             \
    REAL_KEY("loss_rise_max", S, train.loss_rise_max, 0, 1e9),                                     \
    CHOICE_KEY("recompute", S, recompute, manifest_recompute_names),                               \
    CHOICE_KEY("loss", S, train.loss, jobspec_loss_names),                                         \
    CHOICE_KEY("saved_as", S, train.saved_as, jobspec_precision_names)
/* Of stages that start from a model. */
#define TUNE_KEYS                                                                                  \
    INTEGER_KEY("steps", S, train.steps, 1, 1e9),                                                  \
    INTEGER_KEY("sequences", S, sequences, 1, 1e9),                                                \
    CHOICE_KEY("format", S, format, format_choices),                                               \
    CHOICE_KEY("preset", S, preset, manifest_preset_names),                                        \
    NODE_KEY("lora", S, lora)

static const struct field train[] = {TRAIN_KEYS};
static const struct field pretrain[] = {
    NEED_NAME("mix", S, mix),
    NEED_INTEGER("tokens", S, tokens, 1000, 1e12),
    TRAIN_KEYS,
};
static const struct field instruct[] = {
    NEED_NAME("mix", S, mix),
    TUNE_KEYS,
    TRAIN_KEYS,
};
static const struct field spectrum[] = {
    NEED_TEXTS("tasks", S, tasks),
    TUNE_KEYS,
    INTEGER_KEY("sequences_per_task", S, sequences_per_task, 1, 1e9),
    CHOICE_KEY("sampling", S, sampling, manifest_sampling_names),
    CHOICE_KEY("compat", S, compat, manifest_compat_names),
    REAL_KEY("drop_description", S, drop_description, 0, 1),
    BOOL_KEY("first_terminator", S, first_terminator),
    {.key = "embeddings_from", .kind = FIELD_NAME, .offset = offsetof(struct S, embeddings_from),
     .required = true},
    TRAIN_KEYS,
};
#undef S

static const struct field lora[] = {
    INTEGER_KEY("rank", manifest_lora_keys, rank, 1, 4096),
    REAL_KEY("alpha", manifest_lora_keys, alpha, 1e-6, 1e6),
    REAL_KEY("dropout", manifest_lora_keys, dropout, 0, 0.99),
    TEXTS_KEY("targets", manifest_lora_keys, targets),
    BOOL_KEY("embeddings", manifest_lora_keys, embeddings),
    BOOL_KEY("head", manifest_lora_keys, head),
};
const struct field_table manifest_lora_table = TABLE(lora);

const struct field_table manifest_stage_tables[] = {
    [ORIGIN_CHECKPOINT] = TABLE(train),
    [ORIGIN_PRETRAIN] = TABLE(pretrain),
    [ORIGIN_INSTRUCT] = TABLE(instruct),
    [ORIGIN_SPECTRUM] = TABLE(spectrum),
};

#define EVALUATE_KEYS(s)                                                                           \
    INTEGER_KEY("max_sequences", s, settings.max_sequences, 1, 1e7),                               \
    NODE_KEY("k", s, nodes.k),                                                                     \
    INTEGER_KEY("seed", s, settings.seed, 0, 4e15),                                                \
    REAL_KEY("description_keep", s, settings.description_keep, 0, 1),                              \
    INTEGER_KEY("shard", s, settings.shard, 0, 1e7),                                               \
    INTEGER_KEY("permutations", s, settings.permutations, 1, 1000),                                \
    BOOL_KEY("calibration", s, settings.calibration),                                              \
    NODE_KEY("restrict", s, nodes.restrict_to),                                                    \
    BOOL_KEY("restrict_terminators", s, settings.restrict_terminators),                            \
    BOOL_KEY("terminator", s, settings.terminator),                                                \
    INTEGER_KEY("draws", s, settings.draws, 1, DATASET_DRAWS_MAX),                                 \
    INTEGER_KEY("top_k", s, settings.top_k, 0, INT32_MAX),                                         \
    REAL_KEY("top_p", s, settings.top_p, 1e-9, 1),                                                 \
    TEXTS_KEY("components", s, settings.components),                                               \
    TEXTS_KEY("temperatures", s, settings.temperatures),                                           \
    NODE_KEY("sweep", s, nodes.sweep)

static const struct field settings[] = {EVALUATE_KEYS(manifest_settings_keys)};
const struct field_table manifest_settings_table = TABLE(settings);

static const struct field suite[] = {
    NEED_NAME("suite", manifest_suite_keys, suite.suite),
    NEED_TEXTS("tasks", manifest_suite_keys, suite.tasks),
    NODE_KEY("formats", manifest_suite_keys, formats),
    NODE_KEY("override", manifest_suite_keys, override),
    EVALUATE_KEYS(manifest_suite_keys),
};
const struct field_table manifest_suite_table = TABLE(suite);

static const struct field compare[] = {
    NEED_NAME("baseline", manifest_compare, baseline),
    NEED_TEXTS("against", manifest_compare, against),
    CHOICE_KEY("test", manifest_compare, test, manifest_test_names),
    REAL_KEY("alpha", manifest_compare, alpha, 1e-6, 0.5),
    CHOICE_KEY("correction", manifest_compare, correction, manifest_correction_names),
};
const struct field_table manifest_compare_table = TABLE(compare);

static const struct field filter[] = {
    TEXT_KEY("family", manifest_filter, family),
    TEXT_KEY("variant", manifest_filter, variant),
    TEXT_KEY("task", manifest_filter, task),
    INTEGER_KEY("seed", manifest_filter, seed, 0, 4e15),
};
const struct field_table manifest_filter_table = TABLE(filter);

#define RESOURCE_KEYS                                                                              \
    INTEGER_KEY("threads", manifest_resources, threads, 1, 4096),                                  \
    {.key = "memory", .kind = FIELD_BYTES, .offset = offsetof(struct manifest_resources, memory_bytes), \
     .min = 1048576, .max = 1e15},                                                                 \
    TEXTS_KEY("labels", manifest_resources, labels),                                               \
    REAL_KEY("time_limit_minutes", manifest_resources, time_limit_minutes, 0.01, 1e6)

static const struct field resources[] = {
    NODE_KEY("train", manifest_resources_keys, train),
    NODE_KEY("evaluate", manifest_resources_keys, evaluate),
};
const struct field_table manifest_resources_table = TABLE(resources);

static const struct field resource[] = {RESOURCE_KEYS};
const struct field_table manifest_resource_table = TABLE(resource);

static const struct field train_resource[] = {
    RESOURCE_KEYS,
    INTEGER_KEY("ranks", manifest_resources, ranks, 1, 1024),
};
const struct field_table manifest_train_resource_table = TABLE(train_resource);

static const struct field reference[] = {
    {.key = "jobs", .kind = FIELD_INTEGER, .offset = offsetof(struct manifest_reference, jobs),
     .min = 1, .max = 1e9, .required = true},
    CHOICE_KEY("unit", manifest_reference, unit, reference_unit_names),
    TEXTS_KEY("absent", manifest_reference, absent),
    TEXT_KEY("why", manifest_reference, why),
};
const struct field_table manifest_reference_table = TABLE(reference);

#define AGAIN_KEY(k, class)                                                                        \
    INTEGER_KEY(k, manifest_retry, again[class], 0, RETRY_AGAIN_MAX)
static const struct field retry[] = {
    INTEGER_KEY("attempts", manifest_retry, attempts, 1, 1000),
    AGAIN_KEY("error", FAILURE_ERROR),
    AGAIN_KEY("exit", FAILURE_EXIT),
    AGAIN_KEY("signal", FAILURE_SIGNAL),
    AGAIN_KEY("memory", FAILURE_MEMORY),
    AGAIN_KEY("timeout", FAILURE_TIMEOUT),
    AGAIN_KEY("lost", FAILURE_LOST),
    AGAIN_KEY("preempted", FAILURE_PREEMPTED),
    AGAIN_KEY("invalid", FAILURE_INVALID),
    REAL_KEY("backoff_seconds", manifest_retry, backoff_seconds, 0.001, 86400),
    REAL_KEY("backoff_max_seconds", manifest_retry, backoff_max_seconds, 0.001, 86400),
    REAL_KEY("memory_growth", manifest_retry, memory_growth, 0, 10),
};
#undef AGAIN_KEY
const struct field_table manifest_retry_table = TABLE(retry);
/* clang-format on */
