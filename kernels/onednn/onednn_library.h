/* oneDNN's functions (version 2, C interface), found by dlopen. */
#ifndef TRIAD_ONEDNN_LIBRARY_H
#define TRIAD_ONEDNN_LIBRARY_H

#include <oneapi/dnnl/dnnl.h>

#define ONEDNN_FUNCTIONS(X)                                                                        \
    X(version)                                                                                     \
    X(get_effective_cpu_isa)                                                                       \
    X(engine_create)                                                                               \
    X(stream_create)                                                                               \
    X(memory_desc_init_by_strides)                                                                 \
    X(memory_desc_init_by_tag)                                                                     \
    X(memory_desc_get_size)                                                                        \
    X(memory_create)                                                                               \
    X(memory_destroy)                                                                              \
    X(primitive_attr_create)                                                                       \
    X(primitive_attr_destroy)                                                                      \
    X(primitive_attr_set_scratchpad_mode)                                                          \
    X(primitive_attr_set_post_ops)                                                                 \
    X(post_ops_create)                                                                             \
    X(post_ops_destroy)                                                                            \
    X(post_ops_append_sum)                                                                         \
    X(matmul_desc_init)                                                                            \
    X(reorder_primitive_desc_create)                                                               \
    X(primitive_desc_create)                                                                       \
    X(primitive_desc_destroy)                                                                      \
    X(primitive_desc_query_md)                                                                     \
    X(primitive_create)                                                                            \
    X(primitive_execute)

#define ONEDNN_MEMBER(NAME) __typeof__(&dnnl_##NAME) NAME;
struct onednn {
    ONEDNN_FUNCTIONS(ONEDNN_MEMBER)
    void (*omp_set_num_threads)(int); /* of the library's own OpenMP, for the calling thread */
    dnnl_engine_t engine;
};
#undef ONEDNN_MEMBER

/* Opened once; NULL with onednn_lack() saying why. */
const struct onednn *onednn(void);
/* This thread's stream: a call on it stays on this thread. */
dnnl_stream_t onednn_stream(void);
/* Abort when a call failed: out of memory, or our own mistake. */
void onednn_must(dnnl_status_t status, const char *what);

#endif
