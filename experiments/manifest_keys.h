/* The inside of manifest.h: the keys of every mapping, one table each, and the readers of its three
 * files. */
#ifndef TRIAD_MANIFEST_KEYS_H
#define TRIAD_MANIFEST_KEYS_H

#include "manifest.h"

/* Mappings that are looked into after their own keys were read. */
struct manifest_root_keys {
    const char *experiment, *notes;
    int numerics, precision, backend;
    const struct yaml_node *seeds, *corpora, *defaults, *families, *evaluate, *compare, *resources,
        *include, *exclude, *reference, *retry;
};

struct manifest_defaults_keys {
    const struct yaml_node *train, *evaluate;
};

struct manifest_family_keys {
    const char *turns;
    const struct yaml_node *architecture, *tokenizer, *train, *evaluate, *variants;
};

struct manifest_architecture_keys {
    struct jobspec_architecture architecture;
};

struct manifest_tokenizer_keys {
    int train;
    int64_t vocabulary;
};

struct manifest_variant_keys {
    const char *from, *checkpoint;
    const struct yaml_node *pretrain, *instruct, *spectrum;
};

struct manifest_lora_keys {
    int64_t rank;
    double alpha, dropout;
    struct field_texts targets;
    bool embeddings, head;
};

/* Settings that are looked into after the others were read. */
struct manifest_settings_nodes {
    const struct yaml_node *k, *restrict_to, *sweep;
};

struct manifest_suite_keys {
    struct manifest_suite suite;
    struct manifest_evaluate settings;
    struct manifest_settings_nodes nodes;
    const struct yaml_node *formats, *override;
};

struct manifest_settings_keys {
    struct manifest_evaluate settings;
    struct manifest_settings_nodes nodes;
};

struct manifest_resources_keys {
    const struct yaml_node *train, *evaluate;
};

extern const struct field_table manifest_root_table, manifest_defaults_table, manifest_family_table,
    manifest_architecture_table, manifest_tokenizer_table, manifest_variant_table,
    manifest_lora_table, manifest_suite_table, manifest_settings_table, manifest_compare_table,
    manifest_filter_table, manifest_resources_table, manifest_resource_table,
    manifest_train_resource_table, manifest_reference_table, manifest_retry_table;

/* Training keys alone (defaults and families), and with those of each kind of stage; by
 * enum manifest_origin, ORIGIN_CHECKPOINT standing for the former. All for struct manifest_stage.
 */
extern const struct field_table manifest_stage_tables[];

/* Read what makes a variant (`node`, of its origin): built-in values, then the `train` mappings of
 * defaults and family (`outer`, each may be NULL), then preset and compat, then its own keys. */
NODISCARD enum err_code manifest_read_stage(struct manifest *m, const struct yaml_node *node,
                                            const struct yaml_node *const outer[2],
                                            struct manifest_variant *variant, struct err *err);
/* Read a family's mapping; `default_train` are the defaults it overrides, or NULL. */
NODISCARD enum err_code manifest_read_family(struct manifest *m,
                                             const struct yaml_node *default_train,
                                             struct manifest_family *family, struct err *err);
/* Read the list of suite entries. */
NODISCARD enum err_code manifest_read_suites(struct manifest *m, const struct yaml_node *node,
                                             struct err *err);
/* Override `settings` by a mapping of settings, which errors call `what`. */
NODISCARD enum err_code manifest_read_settings(struct manifest *m, const struct yaml_node *node,
                                               const char *what, struct manifest_evaluate *settings,
                                               struct err *err);
/* ERR_INVALID unless some family has a variant of this name. */
NODISCARD enum err_code manifest_need_variant(const struct manifest *m, const struct yaml_node *at,
                                              const char *key, const char *name, struct err *err);

#endif
