#include "plan_memory.h"

#include "model_family.h"
#include "shard_sum.h"
#include "train_memory.h"

/* The shape of a model as far as memory goes. */
static bool config_of(const struct plan_model *m, struct model_config *out)
{
    enum model_kind kind;
    if (!m->kind || model_kind_find(m->kind, &kind, NULL) != ERR_OK)
        return false;
    *out = model_config_default();
    out->kind = kind;
    out->layers = (int)m->layers;
    out->width = (int)m->width;
    out->heads = (int)m->heads;
    out->kv_heads = (int)m->kv_heads;
    out->head_dim = (int)m->head_dim;
    out->mlp_width = (int)m->mlp;
    out->context = (int)m->context;
    out->vocabulary = (int)m->vocabulary;
    out->head_tied = m->tied;
    if (model_family(kind)->windows)
        out->window = out->window_period = 1; /* whatever they are */
    return true;
}

static bool adapter_of(const struct jobspec_lora *lora, struct adapter_config *out)
{
    *out = (struct adapter_config){.rank = (int)lora->rank,
                                   .alpha = lora->alpha,
                                   .dropout = lora->dropout,
                                   .embeddings = lora->embeddings,
                                   .head = lora->head};
    for (int i = 0; i < LORA_TARGET_COUNT; i++) {
        enum adapter_target target = adapter_target_find(jobspec_lora_target_names[i]);
        if (lora->targets[i] && target < ADAPTER_TARGET_COUNT)
            out->targets[target] = true;
    }
    return lora->rank > 0;
}

int64_t plan_training_memory(void *ctx, const struct plan_model *model,
                             const struct jobspec_train *train, const struct plan_batch *batch,
                             bool again, struct strbuf *text)
{
    (void)ctx;
    struct model_config config;
    struct adapter_config adapter;
    if (!config_of(model, &config))
        return 0;
    const bool adapted = adapter_of(&train->lora, &adapter);
    const struct model_capacity capacity = {.sequences = (size_t)batch->sequences,
                                            .tokens = (size_t)batch->tokens,
                                            .loss_tokens = (size_t)batch->tokens,
                                            .sequence_tokens = (size_t)batch->sequence_tokens};
    const uint32_t held = shard_sum_levels((uint32_t)batch->shards);
    const struct train_memory memory =
        train_memory_of(&config, adapted ? &adapter : NULL, &capacity, held, again);
    if (text)
        train_memory_print_line(&memory, text);
    return (int64_t)memory.all;
}
