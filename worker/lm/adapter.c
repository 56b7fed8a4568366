#include "adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "rng.h"

static const struct {
    const char *name;
    enum tensor_role role;
} targets[ADAPTER_TARGET_COUNT] = {
    [ADAPTER_Q] = {"q_proj", TENSOR_ATTN_Q},         [ADAPTER_K] = {"k_proj", TENSOR_ATTN_K},
    [ADAPTER_V] = {"v_proj", TENSOR_ATTN_V},         [ADAPTER_O] = {"o_proj", TENSOR_ATTN_O},
    [ADAPTER_GATE] = {"gate_proj", TENSOR_MLP_GATE}, [ADAPTER_UP] = {"up_proj", TENSOR_MLP_UP},
    [ADAPTER_DOWN] = {"down_proj", TENSOR_MLP_DOWN},
};

const char *adapter_target_name(enum adapter_target target)
{
    return targets[target].name;
}

enum adapter_target adapter_target_find(const char *name)
{
    int target = 0;
    while (target < ADAPTER_TARGET_COUNT && strcmp(targets[target].name, name) != 0)
        target++;
    return (enum adapter_target)target;
}

/* Which target a tensor of the model is; ADAPTER_TARGET_COUNT for none that is configured. */
static enum adapter_target target_of(const struct adapter_config *config,
                                     const struct tensor_spec *spec)
{
    for (int i = 0; spec->layer >= 0 && i < ADAPTER_TARGET_COUNT; i++) {
        if (targets[i].role == spec->role && config->targets[i])
            return (enum adapter_target)i;
    }
    return ADAPTER_TARGET_COUNT;
}

/* Is the tensor trained in full beside the adapters? */
static bool is_trained_whole(const struct adapter_config *config, const struct model_config *shape,
                             const struct tensor_spec *spec)
{
    if (spec->role == TENSOR_EMBEDDING)
        return config->embeddings || (config->head && shape->head_tied);
    return spec->role == TENSOR_HEAD && config->head;
}

static enum err_code check_config(const struct adapter_config *config,
                                  const struct model_config *shape, struct err *err)
{
    bool any = false;
    for (int i = 0; i < ADAPTER_TARGET_COUNT; i++)
        any = any || config->targets[i];
    if (!any)
        return err_set(err, ERR_INVALID, "LoRA: no matrix is named to put adapters on");
    if (config->rank < 1 || config->rank > shape->width)
        return err_set(err, ERR_INVALID, "LoRA: rank is %d, but must lie between 1 and %d",
                       config->rank, shape->width);
    if (!(config->alpha > 0 && isfinite(config->alpha)))
        return err_set(err, ERR_INVALID, "LoRA: alpha is %g, but must be above 0", config->alpha);
    if (!(config->dropout >= 0 && config->dropout < 1))
        return err_set(err, ERR_INVALID, "LoRA: dropout is %g, but must lie in 0 … 1",
                       config->dropout);
    return ERR_OK;
}

/* Describe A and B of one matrix: PEFT's names, our shapes. */
static void describe_pair(const struct adapter_config *config, const struct tensor_spec *matrix,
                          struct tensor_spec pair[2])
{
    const int stem = (int)(strlen(matrix->name) - strlen(".weight"));
    for (int i = 0; i < 2; i++) {
        pair[i] = *matrix;
        pair[i].rows = config->rank;
        pair[i].cols = i == 0 ? matrix->cols : matrix->rows;
        pair[i].data = NULL;
        int len =
            snprintf(pair[i].name, sizeof pair[i].name, "base_model.model.%.*s.lora_%c.weight",
                     stem, matrix->name, i == 0 ? 'A' : 'B');
        ASSERT(len > 0 && (size_t)len < sizeof pair[i].name);
    }
}

/* The tensors of all pairs; `table` NULL only counts. */
static size_t describe_own(const struct adapter_config *config, const struct params *model,
                           struct tensor_spec *table)
{
    size_t count = 0;
    for (size_t i = 0; i < model->tensor_count; i++) {
        if (target_of(config, &model->tensors[i]) == ADAPTER_TARGET_COUNT)
            continue;
        if (table)
            describe_pair(config, &model->tensors[i], table + count);
        count += 2;
    }
    return count;
}

static void randomize(struct params *own, uint64_t seed)
{
    struct rng root = rng_new(seed, "adapter");
    for (size_t i = 0; i < own->tensor_count; i += 2) { /* A; the B that follows stays zero */
        struct tensor_spec *a = &own->tensors[i];
        struct rng stream = rng_child(&root, a->name, 0);
        const double bound = 1.0 / sqrt(a->cols);
        for (size_t k = 0; k < tensor_spec_elements(a); k++)
            a->data[k] = (float)(bound * (2.0 * rng_uniform(&stream) - 1.0));
    }
}

/* The table of what is trained: the adapter's tensors and, where they lie, the model's. */
static enum err_code list_trained(struct adapter *adapter, const struct model_config *shape,
                                  const struct params *model, struct err *err)
{
    const struct params *own = &adapter->own;
    struct params *trained = &adapter->trained;
    trained->tensors = calloc(own->tensor_count + 2, sizeof *trained->tensors);
    if (!trained->tensors)
        return err_set(err, ERR_LIMIT, "LoRA: no memory");
    memcpy(trained->tensors, own->tensors, own->tensor_count * sizeof *own->tensors);
    trained->tensor_count = own->tensor_count;
    trained->element_count = own->element_count;
    for (size_t i = 0; i < model->tensor_count; i++) {
        if (!is_trained_whole(&adapter->config, shape, &model->tensors[i]))
            continue;
        trained->tensors[trained->tensor_count++] = model->tensors[i];
        trained->element_count += tensor_spec_elements(&model->tensors[i]);
    }
    return ERR_OK;
}

enum err_code adapter_init(struct adapter *adapter, const struct adapter_config *config,
                           const struct model_config *shape, const struct params *model,
                           uint64_t seed, struct err *err)
{
    struct adapter fresh = {.config = *config, .scale = config->alpha / config->rank};
    enum err_code rc = check_config(config, shape, err);
    if (rc != ERR_OK)
        return rc;
    struct params table = {.tensor_count = describe_own(config, model, NULL)};
    table.tensors = calloc(table.tensor_count, sizeof *table.tensors);
    if (!table.tensors)
        return err_set(err, ERR_LIMIT, "LoRA: no memory");
    describe_own(config, model, table.tensors);
    rc = params_init_like(&fresh.own, &table, err);
    free(table.tensors);
    if (rc == ERR_OK) {
        randomize(&fresh.own, seed);
        rc = list_trained(&fresh, shape, model, err);
    }
    if (rc == ERR_OK)
        *adapter = fresh;
    else
        adapter_release(&fresh);
    return rc;
}

void adapter_release(struct adapter *adapter)
{
    params_release(&adapter->own);
    free(adapter->trained.tensors);
    adapter->trained = (struct params){0};
}

struct adapter_pair adapter_pair_at(const struct adapter *adapter, const struct params *block,
                                    int layer, enum adapter_target target)
{
    if (!adapter->config.targets[target])
        return (struct adapter_pair){NULL, NULL};
    for (size_t i = 0; i < adapter->own.tensor_count; i += 2) {
        const struct tensor_spec *a = &block->tensors[i];
        if (a->layer == layer && a->role == targets[target].role)
            return (struct adapter_pair){a->data, block->tensors[i + 1].data};
    }
    UNREACHABLE("a configured target is in every layer");
}

void adapter_merge(const struct adapter *adapter, struct params *model)
{
    for (size_t i = 0; i < adapter->own.tensor_count; i += 2) {
        const struct tensor_spec *a = &adapter->own.tensors[i], *b = a + 1;
        const struct tensor_spec *w = params_tensor(model, a->role, a->layer);
        for (int out = 0; out < w->rows; out++) {
            float *row = w->data + (size_t)out * (size_t)w->cols;
            for (int in = 0; in < w->cols; in++) {
                double sum = 0;
                for (int r = 0; r < a->rows; r++)
                    sum += (double)b->data[(size_t)r * (size_t)b->cols + (size_t)out] *
                           (double)a->data[(size_t)r * (size_t)a->cols + (size_t)in];
                row[in] = (float)((double)row[in] + adapter->scale * sum);
            }
        }
    }
}

size_t adapter_own_elements(const struct adapter_config *config, const struct model_config *shape)
{
    size_t elements = 0;
    for (size_t i = 0; i < tensor_spec_count(shape); i++) {
        struct tensor_spec spec = tensor_spec_at(shape, i);
        if (target_of(config, &spec) != ADAPTER_TARGET_COUNT)
            elements += (size_t)config->rank * ((size_t)spec.rows + (size_t)spec.cols);
    }
    return elements;
}

size_t adapter_trained_elements(const struct adapter_config *config,
                                const struct model_config *shape)
{
    size_t elements = adapter_own_elements(config, shape);
    for (size_t i = 0; i < tensor_spec_count(shape); i++) {
        struct tensor_spec spec = tensor_spec_at(shape, i);
        if (is_trained_whole(config, shape, &spec))
            elements += tensor_spec_elements(&spec);
    }
    return elements;
}
