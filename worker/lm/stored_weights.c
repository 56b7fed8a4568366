#include "stored_weights.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "checkpoint.h"
#include "kernel_pool.h"

enum {
    ALIGNMENT_BYTES = 64,
    RANGE_ELEMENTS = 1 << 15, /* converted by one task */
    PANEL_ELEMENTS = 1 << 22, /* of the head, at once: 16 MiB */
    NO_LAYER = -1,
};

#define CONVERT_NS 0.5 /* an element, about: only to skip waking threads for trifles */

struct stored_weights {
    struct checkpoint *checkpoint;
    struct model_config config;
    struct params params;             /* no block: data lie in the file, in `scratch` or `fixed` */
    const struct tensor_view **views; /* of each of the tensors */
    float *scratch;                   /* one layer's tensors that need conversion */
    size_t scratch_elements;
    int layer;        /* whose they are */
    bool layer_whole; /* its bf16 matrices, too */
    float *fixed;     /* vectors outside the layers */
    float *panel;     /* rows of the head */
    size_t panel_cap; /* elements */
    float *part;      /* logits of a panel */
    size_t part_cap;
    bool streams; /* the file is large beside the memory: tell the kernel what comes and goes */
};

/* Can these bytes be read as float where they are? */
static bool is_in_place(const struct tensor_view *view)
{
    return view->dtype == TENSOR_F32 && (uintptr_t)view->bytes % _Alignof(float) == 0;
}

static float *in_place(const struct tensor_view *view)
{
    return (float *)(uintptr_t)view->bytes; /* callers only read: the map is read-only */
}

/* ---- conversion ---- */

struct conversion {
    enum tensor_dtype dtype;
    const uint8_t *from;
    float *to;
    size_t count;
};

static void convert_task(void *ctx, int index, int thread)
{
    const struct conversion *c = ctx;
    const size_t start = (size_t)index * RANGE_ELEMENTS, left = c->count - start;
    (void)thread;
    tensor_convert_f32(c->dtype, c->from + start * tensor_dtype_bytes(c->dtype),
                       left < RANGE_ELEMENTS ? left : RANGE_ELEMENTS, c->to + start);
}

static void convert(const struct tensor_view *view, size_t first, size_t count, float *to)
{
    struct conversion c = {view->dtype, view->bytes + first * tensor_dtype_bytes(view->dtype), to,
                           count};
    const size_t tasks = (count + RANGE_ELEMENTS - 1) / RANGE_ELEMENTS;
    kernel_pool_run(convert_task, &c, (int)tasks, CONVERT_NS * (double)count);
}

/* ---- opening ---- */

static float *allocate(size_t elements)
{
    size_t bytes = elements * sizeof(float);
    bytes += (ALIGNMENT_BYTES - bytes % ALIGNMENT_BYTES) % ALIGNMENT_BYTES;
    return aligned_alloc(ALIGNMENT_BYTES, bytes ? bytes : ALIGNMENT_BYTES);
}

/* Give every tensor the place of its floats. Those of a layer come one after the other, so that all
 * layers share one scratch. Returns the elements that the largest layer needs. */
static size_t place(struct stored_weights *w, float *scratch)
{
    size_t used = 0, most = 0, fixed = 0;
    int layer = NO_LAYER;
    for (size_t i = 0; i < w->params.tensor_count; i++) {
        struct tensor_spec *t = &w->params.tensors[i];
        const size_t elements = tensor_spec_elements(t);
        if (t->layer != layer)
            used = 0;
        layer = t->layer;
        if (is_in_place(w->views[i])) {
            t->data = in_place(w->views[i]);
        } else if (layer != NO_LAYER) {
            t->data = scratch ? scratch + used : NULL;
            used += elements;
            most = used > most ? used : most;
        } else if (t->is_vector) {
            t->data = w->fixed + fixed;
            fixed += elements;
            ASSERT(fixed <= (size_t)w->config.width); /* there is one, the final norm */
            tensor_convert_f32(w->views[i]->dtype, w->views[i]->bytes, elements, t->data);
        }
    }
    return most;
}

static bool is_large(const struct stored_weights *w)
{
    const size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    return checkpoint_bytes(w->checkpoint) > memory / 2;
}

static enum err_code find_tensors(struct stored_weights *w, struct err *err)
{
    const size_t count = tensor_spec_count(&w->config);
    w->params.tensor_count = count;
    w->params.element_count = model_config_parameters(&w->config);
    w->params.tensors = calloc(count, sizeof *w->params.tensors);
    w->views = calloc(count, sizeof *w->views);
    w->fixed = allocate((size_t)w->config.width);
    if (!w->params.tensors || !w->views || !w->fixed)
        return err_set(err, ERR_LIMIT, "allocate the table of %zu tensors", count);
    for (size_t i = 0; i < count; i++) {
        w->params.tensors[i] = tensor_spec_at(&w->config, i);
        w->views[i] = checkpoint_tensor(w->checkpoint, &w->params.tensors[i]);
    }
    const size_t elements = place(w, NULL);
    w->scratch = allocate(elements);
    if (!w->scratch)
        return err_set(err, ERR_LIMIT, "allocate %zu bytes for a layer in float",
                       elements * sizeof(float));
    place(w, w->scratch);
    w->scratch_elements = elements;
    return ERR_OK;
}

enum err_code stored_weights_open(const char *folder, struct stored_weights **weights_out,
                                  struct model_config *config_out, struct err *err)
{
    struct stored_weights *w = calloc(1, sizeof *w);
    ASSERT(w != NULL);
    w->layer = NO_LAYER;
    enum err_code rc = checkpoint_open(folder, &w->checkpoint, err);
    if (rc == ERR_OK)
        rc = checkpoint_check_numbers(w->checkpoint, err);
    if (rc == ERR_OK) {
        w->config = *checkpoint_config(w->checkpoint);
        w->streams = is_large(w);
        rc = find_tensors(w, err);
    }
    if (rc != ERR_OK) {
        stored_weights_close(w);
        return rc;
    }
    *config_out = w->config;
    *weights_out = w;
    return ERR_OK;
}

void stored_weights_close(struct stored_weights *weights)
{
    if (!weights)
        return;
    free(weights->part);
    free(weights->panel);
    free(weights->fixed);
    free(weights->scratch);
    free(weights->views);
    free(weights->params.tensors);
    checkpoint_close(weights->checkpoint);
    free(weights);
}

void stored_weights_stream(struct stored_weights *weights, bool on)
{
    weights->streams = on;
}

const struct params *stored_weights_params(const struct stored_weights *weights)
{
    return &weights->params;
}

/* ---- layers ---- */

/* What comes next is read ahead, what was just used may go. */
static void stream_layer(const struct stored_weights *w, int layer)
{
    for (size_t i = 0; w->streams && i < w->params.tensor_count; i++) {
        if (w->params.tensors[i].layer == w->layer && w->layer != NO_LAYER)
            tensor_view_forget(w->views[i]);
        else if (w->params.tensors[i].layer == layer + 1)
            tensor_view_prefetch(w->views[i]);
    }
}

void stored_weights_layer(struct stored_weights *weights, int layer, bool but_bf16)
{
    if (layer == weights->layer && (but_bf16 || weights->layer_whole))
        return;
    stream_layer(weights, layer);
    for (size_t i = 0; i < weights->params.tensor_count; i++) {
        const struct tensor_spec *t = &weights->params.tensors[i];
        const struct tensor_view *view = weights->views[i];
        const bool stays = but_bf16 && !t->is_vector && view->dtype == TENSOR_BF16;
        if (t->layer == layer && !is_in_place(view) && !stays)
            convert(view, 0, tensor_spec_elements(t), t->data);
    }
    weights->layer = layer;
    weights->layer_whole = !but_bf16;
}

/* ---- embedding and head ---- */

static size_t index_of(const struct stored_weights *w, enum tensor_role role, int layer)
{
    return (size_t)(params_tensor(&w->params, role, layer) - w->params.tensors);
}

void stored_weights_gather(const struct stored_weights *weights, float *out, const int32_t *ids,
                           int count)
{
    const struct tensor_view *view = weights->views[index_of(weights, TENSOR_EMBEDDING, -1)];
    const size_t width = (size_t)weights->config.width;
    for (int n = 0; n < count; n++) {
        float *row = out + (size_t)n * width;
        const size_t first = ids[n] < 0 ? 0 : (size_t)ids[n] * width;
        if (ids[n] < 0)
            memset(row, 0, width * sizeof *row);
        else
            tensor_convert_f32(view->dtype, view->bytes + first * tensor_dtype_bytes(view->dtype),
                               width, row);
    }
}

/* Columns of the panel from `first` on: whole products of them give the bits of one of all. */
static int panel_columns(const struct kernel_ops *ops, const struct model_config *m, int first)
{
    const int most = PANEL_ELEMENTS / m->width > 1 ? PANEL_ELEMENTS / m->width : 1;
    const int left = m->vocabulary - first;
    if (ops->matmul_part)
        return ops->matmul_part(m->vocabulary, first, most);
    return most < left ? most : left;
}

static float *need(float **block, size_t *cap, size_t elements)
{
    if (*cap < elements) {
        free(*block);
        *block = allocate(elements);
        ASSERT(*block != NULL); /* some tens of MiB, counted by stored_weights_bytes() */
        *cap = elements;
    }
    return *block;
}

static void copy_part(float *logits, const float *part, int rows, int vocabulary, int first,
                      int columns)
{
    for (int row = 0; row < rows; row++)
        memcpy(logits + (size_t)row * (size_t)vocabulary + first,
               part + (size_t)row * (size_t)columns, (size_t)columns * sizeof *logits);
}

void stored_weights_logits(struct stored_weights *weights, const struct kernel_ops *ops,
                           float *logits, const float *in, int rows)
{
    const struct model_config *m = &weights->config;
    const enum tensor_role role = m->head_tied ? TENSOR_EMBEDDING : TENSOR_HEAD;
    const struct tensor_view *view = weights->views[index_of(weights, role, -1)];
    if (is_in_place(view)) {
        ops->matmul_forward(logits, in, in_place(view), rows, m->width, m->vocabulary);
        return;
    }
    const size_t width = (size_t)m->width;
    const bool reads_stored = view->dtype == TENSOR_BF16 && ops->matmul_forward_stored;
    if (reads_stored)
        ops->matmul_forward_stored(logits, in, view->bytes, rows, m->width, m->vocabulary);
    for (int first = reads_stored ? m->vocabulary : 0, columns; first < m->vocabulary;
         first += columns) {
        columns = panel_columns(ops, m, first);
        float *panel = need(&weights->panel, &weights->panel_cap, (size_t)columns * width);
        float *part = need(&weights->part, &weights->part_cap, (size_t)rows * (size_t)columns);
        convert(view, (size_t)first * width, (size_t)columns * width, panel);
        ops->matmul_forward(part, in, panel, rows, m->width, columns);
        copy_part(logits, part, rows, m->vocabulary, first, columns);
    }
    if (weights->streams)
        tensor_view_forget(view);
}

struct weight_view stored_weights_view(const struct stored_weights *weights, enum tensor_role role,
                                       int layer)
{
    const struct tensor_view *view = weights->views[index_of(weights, role, layer)];
    const struct tensor_spec *spec = params_tensor(&weights->params, role, layer);
    return (struct weight_view){view->dtype, view->bytes, spec->rows, spec->cols};
}

size_t stored_weights_bytes(const struct stored_weights *weights)
{
    const enum tensor_role role = weights->config.head_tied ? TENSOR_EMBEDDING : TENSOR_HEAD;
    const bool panel = !is_in_place(weights->views[index_of(weights, role, -1)]);
    return (weights->scratch_elements + (panel ? 2 * (size_t)PANEL_ELEMENTS : 0)) * sizeof(float);
}
