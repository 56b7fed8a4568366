/* cmocka wants these four before it. */
#ifndef TRIAD_CMOCKA_ALL_H
#define TRIAD_CMOCKA_ALL_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#endif
