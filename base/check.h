/* Assertions for our own bugs. They stay on in every build; never use them on outside bytes or on
 * numerical results. */
#ifndef TRIAD_CHECK_H
#define TRIAD_CHECK_H

#define ASSERT(cond)     ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, __func__, #cond))
#define IMPLIES(a, b)    (!(a) || (b))
#define UNREACHABLE(why) check_failed(__FILE__, __LINE__, __func__, why)
#define ARRAY_COUNT(a)   (sizeof(a) / sizeof((a)[0]))

/* Say on stderr which assertion failed where, and abort. */
_Noreturn void check_failed(const char *file, int line, const char *function, const char *what);

#endif
