#define REAL     float
#define REF_NAME "ref/f32"
#include "ref_body.h"

const struct kernel_ops kernels_ref = REF_OPS;
