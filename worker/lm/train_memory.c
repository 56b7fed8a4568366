#include "train_memory.h"

#include "kernels.h"
#include "tensor_spec.h"

static size_t layer_weights(const struct model_config *config)
{
    size_t elements = 0;
    for (size_t i = 0; i < tensor_spec_count(config); i++) {
        struct tensor_spec spec = tensor_spec_at(config, i);
        if (spec.layer == 0)
            elements += tensor_spec_elements(&spec);
    }
    return elements * sizeof(float);
}

/* All layers take the same: the difference that one more makes. */
static size_t layer_activations(const struct model_config *config, enum model_purpose purpose,
                                const struct model_capacity *capacity)
{
    struct model_config one = *config, two = *config;
    one.layers = 1;
    two.layers = 2;
    return model_run_bytes(&two, purpose, capacity) - model_run_bytes(&one, purpose, capacity);
}

struct train_memory train_memory_of(const struct model_config *config,
                                    const struct adapter_config *adapter,
                                    const struct model_capacity *capacity, uint32_t held,
                                    bool again)
{
    const enum model_purpose purpose = again ? MODEL_TRAIN_AGAIN : MODEL_TRAIN;
    const size_t all = model_config_parameters(config);
    const size_t trained = adapter ? adapter_trained_elements(adapter, config) : all;
    struct train_memory m = {
        .layers = config->layers,
        .weights = all * sizeof(float),
        .layer_weights = layer_weights(config),
        .adapter = adapter ? adapter_own_elements(adapter, config) * sizeof(float) : 0,
        .gradients = (1 + held) * trained * sizeof(float),
        .gradient_blocks = 1 + held,
        .moments = 2 * trained * sizeof(float),
        .activations = model_run_bytes(config, purpose, capacity),
        .layer_activations = layer_activations(config, purpose, capacity),
        .kernels = kernel_scratch_bytes(),
        .again = again,
    };
    if (adapter)
        m.activations += model_run_adapter_bytes(config, adapter, capacity);
    m.all = m.weights + m.adapter + m.gradients + m.moments + m.activations + m.kernels;
    return m;
}

static double mib(size_t bytes)
{
    return (double)bytes / 1048576.0;
}

static void put_row(struct strbuf *out, const char *what, size_t bytes)
{
    strbuf_printf(out, "  %-28s %10.1f MiB", what, mib(bytes));
}

/* " = 12 layers of 27.0 + 93.8 for the rest" */
static void put_layers(struct strbuf *out, int layers, size_t each, size_t all)
{
    const size_t of_layers = (size_t)layers * each;
    strbuf_printf(out, " = %d layers of %.2f, and %.1f for the rest\n", layers, mib(each),
                  mib(all > of_layers ? all - of_layers : 0));
}

void train_memory_print(const struct train_memory *m, size_t bytes_max, struct strbuf *out)
{
    strbuf_printf(out, "memory plan: %.1f MiB", mib(m->all));
    if (bytes_max > 0)
        strbuf_printf(out, " of the job's %.1f", mib(bytes_max));
    strbuf_putc(out, '\n');
    put_row(out, "weights", m->weights);
    put_layers(out, m->layers, m->layer_weights, m->weights);
    if (m->adapter > 0) {
        put_row(out, "adapter", m->adapter);
        strbuf_putc(out, '\n');
    }
    put_row(out, "gradients", m->gradients);
    if (m->gradient_blocks > 1)
        strbuf_printf(out, " = %u sums of shards", m->gradient_blocks);
    strbuf_putc(out, '\n');
    put_row(out, "moments", m->moments);
    strbuf_putc(out, '\n');
    put_row(out, m->again ? "activations (computed twice)" : "activations", m->activations);
    put_layers(out, m->layers, m->layer_activations, m->activations);
    put_row(out, "packed factors", m->kernels);
    strbuf_putc(out, '\n');
}

void train_memory_print_line(const struct train_memory *m, struct strbuf *out)
{
    strbuf_printf(out, "%.0f MiB: weights %.1f (%d layers of %.2f)", mib(m->all), mib(m->weights),
                  m->layers, mib(m->layer_weights));
    if (m->adapter > 0)
        strbuf_printf(out, ", adapter %.1f", mib(m->adapter));
    strbuf_printf(out,
                  ", gradients %.1f, moments %.1f, activations %.1f (%d layers of %.2f%s), packed "
                  "factors %.1f",
                  mib(m->gradients), mib(m->moments), mib(m->activations), m->layers,
                  mib(m->layer_activations), m->again ? ", computed twice" : "", mib(m->kernels));
}
