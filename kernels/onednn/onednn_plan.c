#include "onednn_plan.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct onednn_plan *plans;
static pthread_mutex_t plans_mutex = PTHREAD_MUTEX_INITIALIZER;

static bool strides_equal(const long a[2], const long b[2])
{
    return a[0] == b[0] && a[1] == b[1];
}

static bool shapes_equal(const struct onednn_shape *a, const struct onednn_shape *b)
{
    return a->M == b->M && a->K == b->K && a->N == b->N && strides_equal(a->left, b->left) &&
           strides_equal(a->right, b->right) && a->right_is_float == b->right_is_float &&
           a->out == b->out && a->add == b->add;
}

static void describe(dnnl_memory_desc_t *to, int rows, int cols, dnnl_data_type_t type,
                     const long strides[2])
{
    const dnnl_dims_t dims = {rows, cols}, apart = {strides[0], strides[1]};
    onednn_must(onednn()->memory_desc_init_by_strides(to, 2, dims, type, apart),
                "describe a factor");
}

/* Sums are added to what is there, and work space is ours: one primitive serves all threads. */
static dnnl_primitive_attr_t attributes(bool add)
{
    const struct onednn *lib = onednn();
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t post = NULL;
    onednn_must(lib->primitive_attr_create(&attr), "make attributes");
    onednn_must(lib->primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user),
                "set attributes");
    if (add) {
        onednn_must(lib->post_ops_create(&post), "make attributes");
        onednn_must(lib->post_ops_append_sum(post, 1.0f), "set attributes");
        onednn_must(lib->primitive_attr_set_post_ops(attr, post), "set attributes");
        lib->post_ops_destroy(post);
    }
    return attr;
}

static void make_product(struct onednn_plan *p)
{
    const struct onednn *lib = onednn();
    const struct onednn_shape *s = &p->shape;
    const dnnl_dims_t right_dims = {s->K, s->N};
    dnnl_memory_desc_t any;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_attr_t attr = attributes(s->add);
    if (p->like)
        any = p->like->packed;
    else
        onednn_must(
            lib->memory_desc_init_by_tag(&any, 2, right_dims, dnnl_bf16, dnnl_format_tag_any),
            "describe a factor");
    onednn_must(lib->matmul_desc_init(&matmul, &p->left, &any, NULL, &p->out),
                "describe a product");
    onednn_must(lib->primitive_desc_create(&desc, &matmul, attr, lib->engine, NULL),
                "plan a product");
    p->packed = *lib->primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
    p->scratch = *lib->primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    p->packed_bytes = lib->memory_desc_get_size(&p->packed);
    p->scratch_bytes = lib->memory_desc_get_size(&p->scratch);
    onednn_must(lib->primitive_create(&p->product, desc), "make a product");
    lib->primitive_desc_destroy(desc);
    lib->primitive_attr_destroy(attr);
}

static void make_reorder(struct onednn_plan *p)
{
    const struct onednn *lib = onednn();
    dnnl_primitive_desc_t desc = NULL;
    onednn_must(lib->reorder_primitive_desc_create(&desc, &p->right, lib->engine, &p->packed,
                                                   lib->engine, NULL),
                "plan a reorder");
    onednn_must(lib->primitive_create(&p->reorder, desc), "make a reorder");
    lib->primitive_desc_destroy(desc);
}

static struct onednn_plan *plan_new(const struct onednn_shape *shape,
                                    const struct onednn_plan *like)
{
    struct onednn_plan *p = calloc(1, sizeof *p);
    const long out[2] = {shape->out, 1};
    onednn_must(p ? dnnl_success : dnnl_out_of_memory, "plan a product");
    (void)onednn_stream(); /* primitives are made for as many threads as will run them: one */
    p->shape = *shape;
    p->like = like;
    describe(&p->left, shape->M, shape->K, dnnl_bf16, shape->left);
    describe(&p->right, shape->K, shape->N, shape->right_is_float ? dnnl_f32 : dnnl_bf16,
             shape->right);
    describe(&p->out, shape->M, shape->N, dnnl_f32, out);
    make_product(p);
    make_reorder(p);
    return p;
}

const struct onednn_plan *onednn_plan(const struct onednn_shape *shape,
                                      const struct onednn_plan *like)
{
    pthread_mutex_lock(&plans_mutex);
    struct onednn_plan *p = plans;
    while (p && !(p->like == like && shapes_equal(&p->shape, shape)))
        p = p->next;
    if (!p) {
        p = plan_new(shape, like);
        p->next = plans;
        plans = p;
    }
    pthread_mutex_unlock(&plans_mutex);
    return p;
}

static dnnl_memory_t memory_at(const dnnl_memory_desc_t *desc, const void *data)
{
    dnnl_memory_t memory = NULL;
    onednn_must(onednn()->memory_create(&memory, desc, onednn()->engine, (void *)(uintptr_t)data),
                "describe memory");
    return memory;
}

static void execute(dnnl_primitive_t primitive, const dnnl_exec_arg_t *args, int count)
{
    onednn_must(onednn()->primitive_execute(primitive, onednn_stream(), count, args), "compute");
    for (int i = 0; i < count; i++)
        onednn()->memory_destroy(args[i].memory);
}

void onednn_pack(const struct onednn_plan *plan, const void *right, void *packed)
{
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, memory_at(&plan->right, right)},
                                    {DNNL_ARG_TO, memory_at(&plan->packed, packed)}};
    execute(plan->reorder, args, 2);
}

void onednn_multiply(const struct onednn_plan *plan, float *out, const void *left,
                     const void *packed, void *scratch)
{
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, memory_at(&plan->left, left)},
                                    {DNNL_ARG_WEIGHTS, memory_at(&plan->packed, packed)},
                                    {DNNL_ARG_DST, memory_at(&plan->out, out)},
                                    {DNNL_ARG_SCRATCHPAD, memory_at(&plan->scratch, scratch)}};
    execute(plan->product, args, 4);
}
