#include "model_family.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "str.h"

static const struct model_family *const families[MODEL_KIND_COUNT] = {
    [MODEL_LLAMA] = &family_llama,
    [MODEL_QWEN3] = &family_qwen3,
    [MODEL_GEMMA3] = &family_gemma3,
};

const struct model_family *model_family(enum model_kind kind)
{
    ASSERT((unsigned)kind < MODEL_KIND_COUNT);
    return families[kind];
}

enum err_code model_kind_find(const char *name, enum model_kind *kind_out, struct err *err)
{
    struct strbuf known = {0};
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        if (strcmp(families[kind]->name, name) == 0) {
            strbuf_release(&known);
            *kind_out = (enum model_kind)kind;
            return ERR_OK;
        }
        strbuf_printf(&known, "%s%s", kind ? ", " : "", families[kind]->name);
    }
    enum err_code rc = err_set(err, ERR_INVALID, "there is no model family '%.40s' (known: %s)",
                               name, strbuf_text(&known));
    strbuf_release(&known);
    return rc;
}

/* To the nearest bf16, ties to even. */
static double bf16_rounded(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += 0x7fffu + (bits >> 16 & 1);
    bits &= 0xffff0000u;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

double model_embedding_scale(const struct model_config *config)
{
    return model_family(config->kind)->embedding_scale ? bf16_rounded(sqrtf((float)config->width))
                                                       : 1.0;
}

bool model_layer_is_windowed(const struct model_config *config, int layer)
{
    return config->window > 0 && (layer + 1) % config->window_period != 0;
}
