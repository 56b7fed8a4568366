#include "packed_ops.h"

#include "blas_ops.h"

const struct kernel_ops kernels_packed = PACKED_OPS("packed/f32", packed, packed, NULL);
const struct kernel_ops kernels_half = PACKED_OPS("packed/bf16", half, half, NULL);
