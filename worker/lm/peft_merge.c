/* Merging an adapter that anybody made into a model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "peft.h"
#include "safetensors.h"

enum { CONFIG_BYTES_MAX = 1024 * 1024 };
static const char stem[] = "base_model.model.";
static const char lora_a[] = ".lora_A.weight", lora_b[] = ".lora_B.weight";

struct merge {
    const struct safetensors *file;
    const char *path;
    struct checkpoint_weights *weights;
    double scale;
    int rank;
    size_t pairs;
    struct strbuf *done;
};

static bool ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), suffix_len = strlen(suffix);
    return len > suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

/* The model's tensor NAME[0 … len) + suffix, or NULL. */
static struct tensor_spec *tensor_named(const struct merge *m, const char *name, size_t len,
                                        const char *suffix)
{
    char wanted[TENSOR_NAME_SIZE];
    int size = snprintf(wanted, sizeof wanted, "%.*s%s", (int)len, name, suffix);
    if (size < 0 || (size_t)size >= sizeof wanted)
        return NULL;
    for (size_t i = 0; i < m->weights->params.tensor_count; i++) {
        if (strcmp(m->weights->params.tensors[i].name, wanted) == 0)
            return &m->weights->params.tensors[i];
    }
    return NULL;
}

static bool has_shape(const struct tensor_view *view, int rows, int cols)
{
    return view->dims == 2 && view->shape[0] == rows && view->shape[1] == cols;
}

static enum err_code no_place(const struct merge *m, const char *name, struct err *err)
{
    return err_set(err, ERR_INVALID, "read '%s': the model has no place for tensor '%.150s'",
                   m->path, name);
}

/* W += scale * B A, row by row, in double. */
static void add_product(const struct tensor_spec *w, const float *a, const float *b, int rank,
                        double scale)
{
    for (int out = 0; out < w->rows; out++) {
        float *row = w->data + (size_t)out * (size_t)w->cols;
        for (int in = 0; in < w->cols; in++) {
            double sum = 0;
            for (int r = 0; r < rank; r++)
                sum += (double)b[(size_t)out * (size_t)rank + (size_t)r] *
                       (double)a[(size_t)r * (size_t)w->cols + (size_t)in];
            row[in] = (float)((double)row[in] + scale * sum);
        }
    }
}

static enum err_code merge_pair(struct merge *m, const struct tensor_view *a, struct err *err)
{
    const char *name = a->name + sizeof stem - 1;
    const size_t len = strlen(name) - (sizeof lora_a - 1);
    struct tensor_spec *w = tensor_named(m, name, len, ".weight");
    char other[TENSOR_NAME_SIZE + sizeof stem + sizeof lora_b];
    snprintf(other, sizeof other, "%s%.*s%s", stem, (int)len, name, lora_b);
    const struct tensor_view *b = safetensors_find(m->file, other);
    if (!w || w->is_vector)
        return no_place(m, a->name, err);
    if (!has_shape(a, m->rank, w->cols) || !b || !has_shape(b, w->rows, m->rank))
        return err_set(err, ERR_INVALID,
                       "read '%s': A and B of '%s' do not fit its %d × %d with rank %d", m->path,
                       w->name, w->rows, w->cols, m->rank);
    float *values = calloc(a->elements + b->elements, sizeof *values);
    if (!values)
        return err_set(err, ERR_LIMIT, "read '%s': no memory", m->path);
    enum err_code rc = tensor_view_read_f32(a, values, err);
    if (rc == ERR_OK)
        rc = tensor_view_read_f32(b, values + a->elements, err);
    if (rc == ERR_OK) {
        add_product(w, values, values + a->elements, m->rank, m->scale);
        strbuf_printf(m->done, "%s\n", w->name);
        m->pairs++;
    }
    free(values);
    return rc;
}

/* With a tied head the file must say the same of both ends, or the merged model would be another.
 */
static enum err_code check_tied(const struct merge *m, struct err *err)
{
    const struct tensor_view *in =
        safetensors_find(m->file, "base_model.model.model.embed_tokens.weight");
    const struct tensor_view *out = safetensors_find(m->file, "base_model.model.lm_head.weight");
    if (!m->weights->config.head_tied || (!in && !out))
        return ERR_OK;
    bool same = in && out && in->dtype == out->dtype && in->elements == out->elements;
    if (same) {
        size_t each = in->dtype == TENSOR_F32 ? 4 : 2;
        same = memcmp(in->bytes, out->bytes, in->elements * each) == 0;
    }
    if (same)
        return ERR_OK;
    return err_set(err, ERR_INVALID,
                   "read '%s': the model's head is its embedding, but the adapter changed %s",
                   m->path, in && out ? "each in its own way" : "only one of them");
}

static enum err_code merge_whole(struct merge *m, const struct tensor_view *view, struct err *err)
{
    const char *name = view->name + sizeof stem - 1;
    if (m->weights->config.head_tied && strcmp(name, "lm_head.weight") == 0)
        return ERR_OK; /* the embedding's values, which check_tied() compared */
    struct tensor_spec *w = tensor_named(m, name, strlen(name), "");
    if (!w || (w->role != TENSOR_EMBEDDING && w->role != TENSOR_HEAD))
        return no_place(m, view->name, err);
    if (!has_shape(view, w->rows, w->cols))
        return err_set(err, ERR_INVALID, "read '%s': '%s' is not %d × %d as in the model", m->path,
                       w->name, w->rows, w->cols);
    strbuf_printf(m->done, "%s (whole)\n", w->name);
    return tensor_view_read_f32(view, w->data, err);
}

static enum err_code merge_tensor(struct merge *m, const struct tensor_view *view, struct err *err)
{
    if (strncmp(view->name, stem, sizeof stem - 1) != 0)
        return no_place(m, view->name, err);
    if (strstr(view->name, "lora_embedding_"))
        return err_set(err, ERR_INVALID,
                       "read '%s': '%.150s': adapters on embeddings are not implemented: merge "
                       "this adapter with PEFT first",
                       m->path, view->name);
    if (ends_with(view->name, lora_a))
        return merge_pair(m, view, err);
    if (ends_with(view->name, lora_b)) {
        char other[TENSOR_NAME_SIZE + sizeof stem + sizeof lora_a];
        snprintf(other, sizeof other, "%.*s%s", (int)(strlen(view->name) - (sizeof lora_b - 1)),
                 view->name, lora_a);
        return safetensors_find(m->file, other) ? ERR_OK : no_place(m, view->name, err);
    }
    return merge_whole(m, view, err);
}

static enum err_code read_config(const char *folder, struct peft_config *out, struct err *err)
{
    char path[4096];
    char *text = NULL;
    size_t len = 0;
    if (snprintf(path, sizeof path, "%s/adapter_config.json", folder) >= (int)sizeof path)
        return err_set(err, ERR_INVALID, "the path of folder '%.100s…' is too long", folder);
    enum err_code rc = file_read(path, CONFIG_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = peft_config_parse(out, text, len, path, err);
    free(text);
    return rc;
}

enum err_code peft_merge(const char *folder, struct checkpoint_weights *weights,
                         struct strbuf *done, struct err *err)
{
    char path[4096];
    struct peft_config config;
    struct safetensors *file = NULL;
    enum err_code rc = read_config(folder, &config, err);
    if (rc == ERR_OK &&
        snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder) >= (int)sizeof path)
        rc = err_set(err, ERR_INVALID, "the path of folder '%.100s…' is too long", folder);
    if (rc == ERR_OK)
        rc = safetensors_open(path, &file, err);
    if (rc != ERR_OK)
        return rc;
    struct merge m = {
        .file = file,
        .path = path,
        .weights = weights,
        .scale = config.alpha / (config.rank_stabilized ? sqrt(config.rank) : config.rank),
        .rank = config.rank,
        .done = done,
    };
    rc = check_tied(&m, err);
    for (size_t i = 0; rc == ERR_OK && i < safetensors_count(file); i++)
        rc = merge_tensor(&m, safetensors_at(file, i), err);
    if (rc == ERR_OK && m.pairs == 0)
        rc = err_set(err, ERR_INVALID, "read '%s': there is no adapter in it", path);
    safetensors_close(file);
    return rc;
}
