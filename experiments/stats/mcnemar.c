#include "mcnemar.h"

#include <gsl/gsl_cdf.h>

#include "check.h"

double mcnemar_exact(uint64_t gained, uint64_t lost)
{
    ASSERT(gained + lost <= UINT32_MAX);
    const uint64_t fewer = gained < lost ? gained : lost;
    if (gained + lost == 0)
        return 1.0;
    double tail = gsl_cdf_binomial_P((unsigned)fewer, 0.5, (unsigned)(gained + lost));
    return tail >= 0.5 ? 1.0 : 2.0 * tail;
}
