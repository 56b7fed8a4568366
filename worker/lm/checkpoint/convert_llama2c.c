#include "convert_llama2c.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "file.h"
#include "llama2c_tokenizer.h"
#include "tokenizer.h"

enum { HEADER_INTS = 7, MODEL_BYTES_MAX = 0x7fffffff, TOKENIZER_BYTES_MAX = 64 << 20 };

static int32_t load_int(const uint8_t *bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)bytes[i] << (8 * i);
    return (int32_t)value;
}

static enum err_code read_header(const uint8_t *bytes, struct model_config *config_out,
                                 struct err *err)
{
    int32_t header[HEADER_INTS];
    for (int i = 0; i < HEADER_INTS; i++)
        header[i] = load_int(bytes + 4 * i);
    struct model_config config = model_config_default();
    config.width = header[0];
    config.mlp_width = header[1];
    config.layers = header[2];
    config.heads = header[3];
    config.kv_heads = header[4];
    config.head_tied = header[5] > 0;
    config.vocabulary = header[5] == INT32_MIN ? 0 : abs(header[5]);
    config.context = header[6];
    if (config.heads <= 0 || config.width <= 0 || config.width % config.heads != 0)
        return err_set(err, ERR_CORRUPT, "width %d is not a multiple of %d heads", config.width,
                       config.heads);
    config.head_dim = config.width / config.heads;
    if (config.vocabulary > 2) {
        config.bos_id = LLAMA2C_BOS;
        config.eos_ids[config.eos_count++] = LLAMA2C_EOS;
    }
    enum err_code rc = model_config_check(&config, err);
    if (rc == ERR_OK)
        *config_out = config;
    return rc;
}

/* Move the rows of each head from (0, 1, 2, 3, …) to (0, 2, 4, …, 1, 3, 5, …). */
static size_t source_row(const struct model_config *config, enum tensor_role role, size_t row)
{
    if (role != TENSOR_ATTN_Q && role != TENSOR_ATTN_K)
        return row;
    size_t dim = (size_t)config->head_dim;
    size_t head = row / dim;
    size_t in_head = row % dim;
    size_t half = dim / 2;
    return head * dim + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
}

/* Copy the tensor that starts at `*at`, and step over it. */
static void take_tensor(const uint8_t **at, const struct model_config *config,
                        const struct tensor_spec *spec)
{
    size_t cols = (size_t)spec->cols;
    for (size_t row = 0; row < (size_t)spec->rows; row++) {
        const uint8_t *from = *at + 4 * cols * source_row(config, spec->role, row);
        for (size_t col = 0; col < cols; col++) {
            int32_t bits = load_int(from + 4 * col);
            memcpy(&spec->data[row * cols + col], &bits, sizeof bits);
        }
    }
    *at += 4 * tensor_spec_elements(spec);
}

static void take_all(const uint8_t *at, struct checkpoint_weights *weights)
{
    /* The order in the file; each of these is a stack over the layers. */
    static const enum tensor_role stacks[] = {TENSOR_ATTN_NORM, TENSOR_ATTN_Q,   TENSOR_ATTN_K,
                                              TENSOR_ATTN_V,    TENSOR_ATTN_O,   TENSOR_MLP_NORM,
                                              TENSOR_MLP_GATE,  TENSOR_MLP_DOWN, TENSOR_MLP_UP};
    const struct model_config *config = &weights->config;
    take_tensor(&at, config, params_tensor(&weights->params, TENSOR_EMBEDDING, -1));
    for (size_t i = 0; i < ARRAY_COUNT(stacks); i++) {
        for (int layer = 0; layer < config->layers; layer++)
            take_tensor(&at, config, params_tensor(&weights->params, stacks[i], layer));
    }
    take_tensor(&at, config, params_tensor(&weights->params, TENSOR_FINAL_NORM, -1));
    at += 4 * (size_t)config->context * (size_t)config->head_dim; /* both RoPE tables */
    if (!config->head_tied)
        take_tensor(&at, config, params_tensor(&weights->params, TENSOR_HEAD, -1));
}

enum err_code llama2c_read_weights(const void *bytes, size_t len, const char *source,
                                   struct checkpoint_weights *weights_out, struct err *err)
{
    struct model_config config;
    if (len < 4 * HEADER_INTS)
        return err_set(err, ERR_CORRUPT, "read '%s': %zu bytes are too few for a header", source,
                       len);
    enum err_code rc = read_header(bytes, &config, err);
    if (rc != ERR_OK)
        return err_wrap(err, "read '%s'", source);
    size_t rope = (size_t)config.context * (size_t)config.head_dim;
    size_t wanted = 4 * (HEADER_INTS + model_config_parameters(&config) + rope);
    if (len != wanted)
        return err_set(err, ERR_CORRUPT, "read '%s': the header asks for %zu bytes, there are %zu",
                       source, wanted, len);
    struct checkpoint_weights weights = {.config = config};
    rc = params_init(&weights.params, &config, err);
    if (rc != ERR_OK)
        return rc;
    take_all((const uint8_t *)bytes + 4 * HEADER_INTS, &weights);
    *weights_out = weights;
    return ERR_OK;
}

enum err_code llama2c_convert(const char *model_path, const char *tokenizer_path,
                              const char *folder, struct err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    struct checkpoint_weights weights = {0};
    struct tokenizer *tokenizer = NULL;
    enum err_code rc = file_read(model_path, MODEL_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = llama2c_read_weights(bytes, len, model_path, &weights, err);
    free(bytes);
    bytes = NULL;
    if (rc == ERR_OK)
        rc = file_read(tokenizer_path, TOKENIZER_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = llama2c_read_tokenizer(bytes, len, tokenizer_path, &tokenizer, err);
    free(bytes);
    if (rc == ERR_OK && tokenizer_vocabulary(tokenizer) != weights.config.vocabulary)
        rc = err_set(err, ERR_INVALID, "'%s' has %d tokens, but '%s' wants %d", tokenizer_path,
                     tokenizer_vocabulary(tokenizer), model_path, weights.config.vocabulary);
    if (rc == ERR_OK)
        rc = checkpoint_write(folder, &weights.config, weights.params.tensors,
                              weights.params.tensor_count, tokenizer, TENSOR_F32, err);
    tokenizer_free(tokenizer);
    checkpoint_weights_release(&weights);
    return rc;
}
