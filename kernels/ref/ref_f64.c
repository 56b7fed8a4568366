#define REAL     double
#define REF_NAME "ref/f64"
#include "ref_body.h"

const struct kernel_ops_f64 kernels_ref_f64 = REF_OPS;
