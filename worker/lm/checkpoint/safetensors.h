/* Tensors in files, as safetensors 0.4 stores them: eight bytes header length (little endian), a
 * JSON header {name: {"dtype", "shape", "data_offsets"}}, then the data without gaps. Files are
 * memory-mapped; nothing in them is trusted before it is checked. */
#ifndef TRIAD_SAFETENSORS_H
#define TRIAD_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "tensor_spec.h"

enum { TENSOR_DIMS_MAX = 8 };

enum tensor_dtype {
    TENSOR_F32,
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_OTHER, /* integers, F64, F8, …: listed, but cannot be read as numbers */
};

/* A tensor as it lies in its file; valid until the file is closed. */
struct tensor_view {
    const char *name;
    const char *file; /* where it lies, for messages */
    enum tensor_dtype dtype;
    const char *dtype_name; /* "BF16" */
    int dims;
    int64_t shape[TENSOR_DIMS_MAX];
    size_t elements;
    const uint8_t *bytes;
    bool is_mapped; /* from a file */
};

struct safetensors;

/* Map one file. ERR_CORRUPT when the header is not well-formed, or offsets overlap, leave gaps,
 * reach outside the file or do not fit shape and type. */
NODISCARD enum err_code safetensors_open(const char *path, struct safetensors **file_out,
                                         struct err *err);
/* Map all shards that FOLDER/model.safetensors.index.json names, as if they were one file. */
NODISCARD enum err_code safetensors_open_sharded(const char *folder, struct safetensors **file_out,
                                                 struct err *err);
/* The distinct files that the index of FOLDER, or the text of one, names. ERR_CORRUPT when it names
 * none, or one that is not a plain name. Texts belong to `arena`. */
NODISCARD enum err_code safetensors_index(const char *folder, struct arena *arena,
                                          const char ***shards_out, size_t *count_out,
                                          struct err *err);
NODISCARD enum err_code safetensors_index_parse(const char *text, size_t len, const char *source,
                                                struct arena *arena, const char ***shards_out,
                                                size_t *count_out, struct err *err);
/* The same checks on a file's content in memory, which must outlive the result. */
NODISCARD enum err_code safetensors_open_memory(const void *bytes, size_t len, const char *source,
                                                struct safetensors **file_out, struct err *err);
void safetensors_close(struct safetensors *file); /* accepts NULL */

/* Tensors in the order of the data. */
size_t safetensors_count(const struct safetensors *file);
const struct tensor_view *safetensors_at(const struct safetensors *file, size_t index);
/* NULL when there is no tensor of this name. */
const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name);

/* Bytes of an element; 0 for TENSOR_OTHER. */
size_t tensor_dtype_bytes(enum tensor_dtype dtype);
/* Convert `count` elements, little endian as in files, to float; f16 and bf16 are exact. `dtype` is
 * not TENSOR_OTHER. */
void tensor_convert_f32(enum tensor_dtype dtype, const void *from, size_t count, float *dest);
/* The index of the first element that is infinite or no number; `elements` when there is none. */
size_t tensor_view_bad(const struct tensor_view *view);
/* Let the pages of a tensor go, if it is mapped; they come back from the file when they are read.
 */
void tensor_view_forget(const struct tensor_view *view);
/* A mapped tensor will be read soon: begin to fetch its pages. */
void tensor_view_prefetch(const struct tensor_view *view);

/* Read all elements as float; f16 and bf16 convert exactly. ERR_INVALID for other types. */
NODISCARD enum err_code tensor_view_read_f32(const struct tensor_view *view, float *dest,
                                             struct err *err);

/* Write the tensors in this order as F32, or as BF16 rounded to nearest even; replaces the file
 * durably (a crash leaves the old or the new one). Equal input gives equal bytes. */
NODISCARD enum err_code safetensors_write(const char *path, const struct tensor_spec *specs,
                                          size_t count, enum tensor_dtype dtype, struct err *err);
/* The same with values that `fill` makes piece by piece, in order, for models larger than memory:
 * elements start … start + count - 1 of a tensor. */
typedef void tensor_fill_f(void *ctx, const struct tensor_spec *spec, size_t start, size_t count,
                           float *out);
NODISCARD enum err_code safetensors_write_filled(const char *path, const struct tensor_spec *specs,
                                                 size_t count, enum tensor_dtype dtype,
                                                 tensor_fill_f *fill, void *ctx, struct err *err);

#endif
