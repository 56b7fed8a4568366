#include "params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "model_family.h"
#include "rng.h"

enum { ALIGNMENT_BYTES = 64 };

/* One zeroed block under the tensors of a table that is filled in but for `data`. */
static enum err_code allocate_block(struct params *fresh, struct err *err)
{
    for (size_t i = 0; i < fresh->tensor_count; i++)
        fresh->element_count += tensor_spec_elements(&fresh->tensors[i]);
    size_t bytes = fresh->element_count * sizeof(float);
    bytes += (ALIGNMENT_BYTES - bytes % ALIGNMENT_BYTES) % ALIGNMENT_BYTES;
    fresh->block = aligned_alloc(ALIGNMENT_BYTES, bytes);
    if (!fresh->block)
        return err_set(err, ERR_LIMIT, "allocate %zu bytes for the model's tensors", bytes);
    memset(fresh->block, 0, bytes);
    float *next = fresh->block;
    for (size_t i = 0; i < fresh->tensor_count; i++) {
        fresh->tensors[i].data = next;
        next += tensor_spec_elements(&fresh->tensors[i]);
    }
    return ERR_OK;
}

static enum err_code allocate_table(struct params *fresh, size_t count, struct err *err)
{
    *fresh = (struct params){.tensor_count = count};
    fresh->tensors = calloc(count, sizeof *fresh->tensors);
    if (!fresh->tensors)
        return err_set(err, ERR_LIMIT, "allocate the table of %zu tensors", count);
    return ERR_OK;
}

enum err_code params_init(struct params *p, const struct model_config *config, struct err *err)
{
    struct params fresh;
    enum err_code rc = allocate_table(&fresh, tensor_spec_count(config), err);
    for (size_t i = 0; rc == ERR_OK && i < fresh.tensor_count; i++)
        fresh.tensors[i] = tensor_spec_at(config, i);
    if (rc == ERR_OK)
        rc = allocate_block(&fresh, err);
    if (rc == ERR_OK)
        *p = fresh;
    else
        free(fresh.tensors);
    return rc;
}

enum err_code params_init_like(struct params *p, const struct params *other, struct err *err)
{
    struct params fresh;
    enum err_code rc = allocate_table(&fresh, other->tensor_count, err);
    if (rc == ERR_OK) {
        memcpy(fresh.tensors, other->tensors, other->tensor_count * sizeof *fresh.tensors);
        rc = allocate_block(&fresh, err);
    }
    if (rc == ERR_OK)
        *p = fresh;
    else
        free(fresh.tensors);
    return rc;
}

void params_release(struct params *p)
{
    free(p->tensors);
    free(p->block);
    *p = (struct params){0};
}

void params_randomize(struct params *p, const struct model_config *config, uint64_t seed,
                      double init_std)
{
    struct rng root = rng_new(seed, "parameters");
    const float unit = (float)(1.0 - model_family(config->kind)->norm_base);
    double residual_scale = 1.0 / sqrt(2.0 * config->layers);
    for (size_t i = 0; i < p->tensor_count; i++) {
        struct tensor_spec *t = &p->tensors[i];
        struct rng stream = rng_child(&root, t->name, 0);
        bool into_residual = t->role == TENSOR_ATTN_O || t->role == TENSOR_MLP_DOWN;
        double std = into_residual ? init_std * residual_scale : init_std;
        for (size_t k = 0; k < tensor_spec_elements(t); k++)
            t->data[k] = t->is_vector ? unit : (float)(std * rng_normal(&stream));
    }
}

const struct tensor_spec *params_tensor(const struct params *p, enum tensor_role role, int layer)
{
    for (size_t i = 0; i < p->tensor_count; i++) {
        if (p->tensors[i].role == role && p->tensors[i].layer == layer)
            return &p->tensors[i];
    }
    UNREACHABLE("no such tensor in this model");
}

float *params_data(const struct params *p, enum tensor_role role, int layer)
{
    return params_tensor(p, role, layer)->data;
}
