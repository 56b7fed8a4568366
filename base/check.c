#include "check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *function, const char *what)
{
    fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function, what);
    abort();
}
