/* assert_near(a, b, tolerance) on doubles: cmocka's assert_float_equal rounds its arguments to
 * float, so it cannot see a difference below 1e-7. */
#ifndef TRIAD_ASSERT_NEAR_H
#define TRIAD_ASSERT_NEAR_H

#include <math.h>

#include "cmocka_all.h"

#define assert_near(actual, expected, tolerance)                                                   \
    assert_near_at(actual, expected, tolerance, #actual, __FILE__, __LINE__)

static inline void assert_near_at(double actual, double expected, double tolerance,
                                  const char *what, const char *file, int line)
{
    if (fabs(actual - expected) <= tolerance)
        return;
    print_error("%s is %.17g, expected %.17g within %g\n", what, actual, expected, tolerance);
    _fail(file, line);
}

#endif
