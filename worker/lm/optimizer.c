#include "optimizer.h"

#include <math.h>

#include "kernels.h"

enum err_code optimizer_init(struct optimizer *o, const struct params *trained,
                             const struct optimizer_options *options, struct err *err)
{
    struct optimizer fresh = {.options = *options};
    enum err_code rc = params_init_like(&fresh.first, trained, err);
    if (rc == ERR_OK)
        rc = params_init_like(&fresh.second, trained, err);
    if (rc != ERR_OK) {
        optimizer_release(&fresh);
        return rc;
    }
    *o = fresh;
    return ERR_OK;
}

void optimizer_release(struct optimizer *o)
{
    params_release(&o->first);
    params_release(&o->second);
}

double optimizer_norm(const struct params *gradients)
{
    return sqrt(kernel_select()->sum_squares(gradients->block, gradients->element_count));
}

void optimizer_update(struct optimizer *o, struct params *weights, struct params *gradients,
                      double grad_norm, double rate, int64_t update)
{
    const struct kernel_ops *ops = kernel_select();
    if (o->options.clip_norm > 0 && grad_norm > o->options.clip_norm)
        ops->scale(gradients->block, o->options.clip_norm / (grad_norm + 1e-6),
                   gradients->element_count);
    struct kernel_adamw step = {
        .learning_rate = rate,
        .beta1 = o->options.beta1,
        .beta2 = o->options.beta2,
        .epsilon = o->options.epsilon,
        .correction1 = 1.0 - pow(o->options.beta1, (double)update),
        .correction2 = 1.0 - pow(o->options.beta2, (double)update),
    };
    for (size_t i = 0; i < weights->tensor_count; i++) {
        const struct tensor_spec *t = &weights->tensors[i];
        step.weight_decay = t->is_vector ? 0.0 : o->options.weight_decay;
        ops->adamw(t->data, o->first.tensors[i].data, o->second.tensors[i].data,
                   gradients->tensors[i].data, &step, tensor_spec_elements(t));
    }
}
