/* How a variant is trained: built-in values, presets, and the keys that override them. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "manifest_keys.h"

/* Built-in training values: AdamW as commonly used for small models from nothing, and the
 * protocol's gentle settings for what follows (docs/science.md section 3). */
static struct manifest_stage stage_defaults(enum manifest_origin origin)
{
    bool first = origin == ORIGIN_PRETRAIN;
    return (struct manifest_stage){
        .train =
            {
                .batch_tokens = 4096,
                .accumulate = 1,
                .shards = 1,
                .learning_rate = first ? 2e-3 : 3e-4,
                .schedule = first ? JOBSPEC_COSINE : JOBSPEC_LINEAR,
                .warmup_steps = first ? 20 : 0,
                .minimum_lr_ratio = first ? 0.1 : 0.0,
                .weight_decay = first ? 0.1 : 0.0,
                .beta1 = 0.9,
                .beta2 = first ? 0.95 : 0.999,
                .epsilon = 1e-8,
                .clip_norm = 1.0,
                .loss_rise_max = 3.0,
                .loss = first ? JOBSPEC_LOSS_ALL : JOBSPEC_LOSS_OUTPUTS,
                .checkpoint_steps = 50,
            },
        .drop_description = 0.2,
        .first_terminator = true,
        .format = origin == ORIGIN_INSTRUCT ? FORMAT_CHAT : FORMAT_SPECTRUM,
    };
}

/* The paper's training (docs/training.md): one pass, in batches of sequences. Model size and
 * batch_tokens, which only bounds memory, are the manifest's. */
static void apply_preset(struct manifest_stage *stage)
{
    struct jobspec_train *t = &stage->train;
    if (stage->preset == PRESET_NONE)
        return;
    t->sequence_tokens = 1024;
    t->batch_sequences = stage->preset == PRESET_SPECTRUM_V0 ? 2048 : 1024;
    t->accumulate = 1;
    t->epochs = 1;
    t->learning_rate = 3e-6;
    t->schedule = JOBSPEC_LINEAR;
    t->warmup_steps = 0;
    t->minimum_lr_ratio = 0;
    t->weight_decay = 0;
    t->beta1 = 0.9;
    t->beta2 = 0.999;
    t->epsilon = 1e-8;
    t->clip_norm = 1;
    t->loss = JOBSPEC_LOSS_OUTPUTS;
    t->checkpoint_steps = 8;
    stage->drop_description = 0.2;
    stage->sampling = SAMPLING_PROPORTIONAL;
}

/* What the paper's public code does where it differs from the paper: descriptions are kept with
 * probability 0.6, and the first output of a sequence without one is not learnt at all. */
static void apply_compat(struct manifest_stage *stage)
{
    if (stage->compat != COMPAT_REFERENCE)
        return;
    stage->drop_description = 0.4;
    stage->first_terminator = false;
}

/* The rank and targets of the paper's LoRA option. */
static enum err_code read_lora(struct manifest *m, struct manifest_stage *stage, struct err *err)
{
    struct jobspec_lora *lora = &stage->train.lora;
    struct manifest_lora_keys keys = {.rank = 16, .alpha = 80, .embeddings = true, .head = true};
    enum err_code code =
        fields_read(&m->doc, stage->lora, "'lora'", &manifest_lora_table, &keys, err);
    if (code)
        return code;
    *lora = (struct jobspec_lora){.rank = keys.rank,
                                  .alpha = keys.alpha,
                                  .dropout = keys.dropout,
                                  .embeddings = keys.embeddings,
                                  .head = keys.head};
    if (keys.targets.count == 0)
        lora->targets[LORA_Q] = lora->targets[LORA_V] = true;
    for (size_t i = 0; i < keys.targets.count; i++) {
        int target = 0;
        while (target < LORA_TARGET_COUNT &&
               strcmp(keys.targets.items[i], jobspec_lora_target_names[target]) != 0)
            target++;
        if (target == LORA_TARGET_COUNT) {
            char hint[300];
            fields_suggest(keys.targets.items[i], jobspec_lora_target_names, LORA_TARGET_COUNT,
                           hint, sizeof hint);
            return yaml_fail(&m->doc, keys.targets.nodes[i], err,
                             "an adapter cannot be put on '%.64s'%s", keys.targets.items[i], hint);
        }
        lora->targets[target] = true;
    }
    return ERR_OK;
}

/* How long a stage lasts and what a step is, said once. */
static enum err_code check_length(struct manifest *m, const struct yaml_node *node,
                                  struct manifest_variant *variant, struct err *err)
{
    struct jobspec_train *t = &variant->stage.train;
    const struct yaml_node *steps = yaml_get(node, "steps"), *epochs = yaml_get(node, "epochs");
    if (steps && epochs)
        return yaml_fail(&m->doc, epochs, err, "give 'steps' or 'epochs', not both");
    bool ends = steps || t->epochs > 0 || variant->stage.sequences > 0;
    if (!ends && variant->origin != ORIGIN_PRETRAIN)
        return yaml_fail(&m->doc, node, err,
                         "'%s' needs 'steps', 'epochs', 'sequences' or a 'preset'",
                         manifest_origin_name(variant->origin));
    if (steps || t->epochs == 0)
        t->epochs = 1;
    if (!steps && variant->origin == ORIGIN_INSTRUCT && variant->stage.sequences == 0)
        return yaml_fail(&m->doc, node, err,
                         "'instruct' needs 'steps', or 'sequences': its mix has no end");
    if (t->batch_sequences > 0 && t->accumulate > 1) {
        const struct yaml_node *at = yaml_get(node, "accumulate");
        return yaml_fail(&m->doc, at ? at : node, err,
                         "a step is 'batch_sequences' (%lld) or 'accumulate' micro-batches (%lld), "
                         "not both",
                         (long long)t->batch_sequences, (long long)t->accumulate);
    }
    return ERR_OK;
}

/* Their gradients are summed in a full binary tree. */
static enum err_code check_shards(struct manifest *m, const struct yaml_node *node,
                                  const struct manifest_stage *stage, struct err *err)
{
    const int64_t shards = stage->train.shards;
    if ((shards & (shards - 1)) == 0)
        return ERR_OK;
    const struct yaml_node *at = yaml_get(node, "shards");
    return yaml_fail(&m->doc, at ? at : node, err,
                     "'shards' is %lld, but must be a power of two (1, 2, 4 …)", (long long)shards);
}

enum err_code manifest_read_stage(struct manifest *m, const struct yaml_node *node,
                                  const struct yaml_node *const outer[2],
                                  struct manifest_variant *variant, struct err *err)
{
    static const char *const outer_names[2] = {"'train' of the defaults", "'train' of the family"};
    const struct field_table *train = &manifest_stage_tables[ORIGIN_CHECKPOINT];
    const struct field_table *own = &manifest_stage_tables[variant->origin];
    struct manifest_stage *stage = &variant->stage;
    *stage = stage_defaults(variant->origin);
    for (int i = 0; i < 2; i++) {
        if (!outer[i])
            continue;
        enum err_code code = fields_read(&m->doc, outer[i], outer_names[i], train, stage, err);
        if (code)
            return code;
    }
    char what[32];
    snprintf(what, sizeof what, "'%s'", manifest_origin_name(variant->origin));
    /* Its own keys say which preset, and override it. */
    struct manifest_stage named = *stage;
    enum err_code code = fields_read(&m->doc, node, what, own, &named, err);
    if (code)
        return code;
    stage->preset = named.preset;
    stage->compat = named.compat;
    apply_preset(stage);
    apply_compat(stage);
    code = fields_read(&m->doc, node, what, own, stage, err);
    if (!code)
        code = check_length(m, node, variant, err);
    if (!code)
        code = check_shards(m, node, stage, err);
    if (!code && stage->lora)
        code = read_lora(m, stage, err);
    return code;
}
