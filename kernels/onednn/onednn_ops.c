#include "onednn_ops.h"

#include "blas_ops.h"
#include "packed_ops.h"

const struct kernel_ops kernels_onednn = PACKED_OPS("onednn/bf16", half, onednn, blas_matmul_part);
