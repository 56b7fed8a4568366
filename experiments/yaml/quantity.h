/* Numbers as people write them: 600k, 1.5M, 4GiB. */
#ifndef TRIAD_QUANTITY_H
#define TRIAD_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole number with an optional suffix k (1,000), M or G; decimals are fine when the product is
 * whole ("1.5M"). False on anything else; the output is then untouched. */
bool quantity_count(const char *text, int64_t *out);
/* A size in bytes: a number with a suffix KiB, MiB, GiB, TiB, kB, MB, GB or TB, rounded to whole
 * bytes, or a whole number without one. */
bool quantity_bytes(const char *text, int64_t *out);
/* The shortest of these forms for people: "600k", "1.2M", "4.0 GiB". Returns `out`. */
char *quantity_count_text(double count, char *out, size_t size);
char *quantity_bytes_text(double bytes, char *out, size_t size);

#endif
