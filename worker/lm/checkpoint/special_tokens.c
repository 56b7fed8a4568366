#include "special_tokens.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "rng.h"
#include "tokenizer.h"

/* Of the spread of the existing rows: enough to tell new tokens apart, too little to matter. */
#define NOISE_SHARE 0.01

static float *row_at(const struct tensor_spec *spec, int32_t row)
{
    return spec->data + (size_t)row * (size_t)spec->cols;
}

static const struct tensor_spec *input_end(const struct checkpoint_weights *weights)
{
    return params_tensor(&weights->params, TENSOR_EMBEDDING, -1);
}

/* The matrix that a model uses at its output. */
static const struct tensor_spec *output_end(const struct checkpoint_weights *weights)
{
    enum tensor_role role = weights->config.head_tied ? TENSOR_EMBEDDING : TENSOR_HEAD;
    return params_tensor(&weights->params, role, -1);
}

static void column_means(const struct tensor_spec *spec, int32_t rows, double *means)
{
    for (int col = 0; col < spec->cols; col++) {
        double sum = 0;
        for (int32_t row = 0; row < rows; row++)
            sum += (double)row_at(spec, row)[col];
        means[col] = sum / rows;
    }
}

/* Root mean square distance of the elements from their column's mean. */
static double spread(const struct tensor_spec *spec, int32_t rows, const double *means)
{
    double sum = 0;
    for (int32_t row = 0; row < rows; row++) {
        for (int col = 0; col < spec->cols; col++) {
            double distance = (double)row_at(spec, row)[col] - means[col];
            sum += distance * distance;
        }
    }
    return sqrt(sum / ((double)rows * spec->cols));
}

/* Fill the rows from `first` to `end` after the tokens that they now belong to. */
static void fill_rows(const struct tensor_spec *spec, const struct tokenizer *tokenizer,
                      int32_t first, int32_t end, uint64_t seed)
{
    double *means = calloc((size_t)spec->cols, sizeof *means);
    ASSERT(means != NULL);
    column_means(spec, first, means);
    double noise = NOISE_SHARE * spread(spec, first, means);
    struct rng root = rng_new(seed, "special_tokens");
    for (int32_t row = first; row < end; row++) {
        struct strbuf name = {0};
        struct str text = tokenizer_token(tokenizer, row);
        strbuf_append(&name, text.data, text.len);
        struct rng rng = rng_child(&root, name.data, (uint64_t)spec->role);
        for (int col = 0; col < spec->cols; col++)
            row_at(spec, row)[col] = (float)(means[col] + noise * rng_normal(&rng));
        strbuf_release(&name);
    }
    free(means);
}

bool special_tokens_fit(const struct tokenizer *tokenizer, int rows)
{
    for (int32_t id = rows; id < tokenizer_vocabulary(tokenizer); id++) {
        if (!tokenizer_is_special(tokenizer, id))
            return false;
    }
    return true;
}

static enum err_code check_rows(const struct checkpoint_weights *weights,
                                const struct tokenizer *tokenizer, struct err *err)
{
    if (special_tokens_fit(tokenizer, weights->config.vocabulary))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "the tokenizer has %d entries, but the model only %d rows",
                   tokenizer_vocabulary(tokenizer), weights->config.vocabulary);
}

/* The same weights with room for more tokens. */
static enum err_code grow_vocabulary(const struct checkpoint_weights *weights, int vocabulary,
                                     struct checkpoint_weights *grown_out, struct err *err)
{
    struct checkpoint_weights grown = {.config = weights->config};
    grown.config.vocabulary = vocabulary;
    enum err_code rc = model_config_check(&grown.config, err);
    if (rc == ERR_OK)
        rc = params_init(&grown.params, &grown.config, err);
    if (rc != ERR_OK)
        return rc;
    const struct tensor_spec *from = weights->params.tensors;
    for (size_t i = 0; i < weights->params.tensor_count; i++)
        memcpy(grown.params.tensors[i].data, from[i].data,
               tensor_spec_elements(&from[i]) * sizeof(float));
    *grown_out = grown;
    return ERR_OK;
}

enum err_code special_tokens_missing(const struct tokenizer *tokenizer, const char *const *names,
                                     size_t count, int *missing_out, struct err *err)
{
    int missing = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_repeated = false;
        for (size_t k = 0; k < i; k++)
            is_repeated = is_repeated || strcmp(names[i], names[k]) == 0;
        if (is_repeated || tokenizer_special(tokenizer, names[i]) != TOKEN_NONE)
            continue;
        enum err_code rc = tokenizer_check_special(tokenizer, names[i], err);
        if (rc != ERR_OK)
            return rc;
        missing++;
    }
    *missing_out = missing;
    return ERR_OK;
}

enum err_code special_tokens_append(struct checkpoint_weights *weights, struct tokenizer *tokenizer,
                                    const char *const *names, size_t count, uint64_t seed,
                                    struct strbuf *added, struct err *err)
{
    int missing = 0;
    const int32_t entries = tokenizer_vocabulary(tokenizer);
    const int32_t rows = weights->config.vocabulary;
    const int32_t first = entries < rows ? entries : rows; /* the first row that no token had */
    enum err_code rc = check_rows(weights, tokenizer, err);
    if (rc == ERR_OK)
        rc = special_tokens_missing(tokenizer, names, count, &missing, err);
    if (rc != ERR_OK || missing == 0)
        return rc;
    const int32_t end = entries + missing;
    if (end > rows) {
        struct checkpoint_weights grown;
        rc = grow_vocabulary(weights, end, &grown, err);
        if (rc != ERR_OK)
            return rc;
        checkpoint_weights_release(weights);
        *weights = grown;
    }
    for (size_t i = 0; i < count; i++) {
        if (tokenizer_special(tokenizer, names[i]) != TOKEN_NONE)
            continue;
        int32_t id;
        enum err_code entered = tokenizer_add_special(tokenizer, names[i], &id, NULL);
        ASSERT(entered == ERR_OK); /* special_tokens_missing() asked */
        strbuf_printf(added, "%s\n", names[i]);
    }
    fill_rows(input_end(weights), tokenizer, first, end, seed);
    if (!weights->config.head_tied)
        fill_rows(output_end(weights), tokenizer, first, end, seed);
    return ERR_OK;
}

/* Copy the token's rows and say so: "TEXT", with both ids where they differ. */
static void copy_token(struct special_tokens_side to, struct special_tokens_side from,
                       const char *name, struct strbuf *copied)
{
    int32_t to_id = tokenizer_special(to.tokenizer, name);
    int32_t from_id = tokenizer_special(from.tokenizer, name);
    size_t row_bytes = (size_t)to.weights->config.width * sizeof(float);
    memcpy(row_at(input_end(to.weights), to_id), row_at(input_end(from.weights), from_id),
           row_bytes);
    if (!to.weights->config.head_tied)
        memcpy(row_at(output_end(to.weights), to_id), row_at(output_end(from.weights), from_id),
               row_bytes);
    strbuf_puts(copied, name);
    if (to_id != from_id)
        strbuf_printf(copied, " (id %d, there %d)", to_id, from_id);
    strbuf_putc(copied, '\n');
}

static bool has_row(struct special_tokens_side side, const char *name)
{
    int32_t id = tokenizer_special(side.tokenizer, name);
    return id != TOKEN_NONE && id < side.weights->config.vocabulary;
}

static void copy_shared(struct special_tokens_side to, struct special_tokens_side from,
                        struct strbuf *copied)
{
    for (int32_t id = 0; id < tokenizer_vocabulary(to.tokenizer); id++) {
        if (!tokenizer_is_special(to.tokenizer, id))
            continue;
        struct str text = tokenizer_token(to.tokenizer, id);
        struct strbuf name = {0};
        strbuf_append(&name, text.data, text.len);
        if (has_row(to, name.data) && has_row(from, name.data))
            copy_token(to, from, name.data, copied);
        strbuf_release(&name);
    }
}

enum err_code special_tokens_copy(struct special_tokens_side to, struct special_tokens_side from,
                                  const char *const *names, size_t count, struct strbuf *copied,
                                  struct err *err)
{
    if (to.weights->config.width != from.weights->config.width)
        return err_set(err, ERR_INVALID,
                       "copy special tokens: the models are %d and %d wide, rows do not fit",
                       to.weights->config.width, from.weights->config.width);
    enum err_code rc = check_rows(to.weights, to.tokenizer, err);
    if (rc == ERR_OK)
        rc = check_rows(from.weights, from.tokenizer, err);
    if (rc != ERR_OK)
        return rc;
    if (!names) {
        copy_shared(to, from, copied);
        return ERR_OK;
    }
    for (size_t i = 0; i < count; i++) {
        bool in_to = has_row(to, names[i]);
        bool in_from = has_row(from, names[i]);
        if (!in_to || !in_from)
            return err_set(err, ERR_INVALID,
                           "copy special token '%s': the model %s has no such token", names[i],
                           in_to ? "to copy from" : "to copy to");
    }
    for (size_t i = 0; i < count; i++)
        copy_token(to, from, names[i], copied);
    return ERR_OK;
}
