#include "quantity.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "str.h"

struct unit {
    const char *suffix;
    double factor;
};

static const struct unit count_units[] = {{"k", 1e3}, {"M", 1e6}, {"G", 1e9}};
static const struct unit byte_units[] = {
    {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0},
    {"kB", 1e3},     {"MB", 1e6},        {"GB", 1e9},           {"TB", 1e12},
};

/* Bytes need not come out whole: 1.1GiB is meant well. */
static bool parse(const char *text, const struct unit *units, size_t unit_count, bool is_exact,
                  int64_t *out)
{
    char digits[32];
    size_t len = strspn(text, "+-0123456789.");
    if (len == 0 || len >= sizeof digits)
        return false;
    memcpy(digits, text, len);
    digits[len] = '\0';
    double factor = text[len] == '\0' ? 1.0 : 0.0;
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(text + len, units[i].suffix) == 0)
            factor = units[i].factor;
    }
    long long whole;
    if (text[len] == '\0' && str_to_i64(digits, &whole)) {
        *out = whole;
        return true;
    }
    double value;
    if (factor <= 1.0 || !str_to_double(digits, &value))
        return false;
    value *= factor;
    if (fabs(value) > 9e15 || (is_exact && fabs(value - round(value)) > 1e-6))
        return false;
    *out = (int64_t)llround(value);
    return true;
}

bool quantity_count(const char *text, int64_t *out)
{
    return parse(text, count_units, ARRAY_COUNT(count_units), true, out);
}

bool quantity_bytes(const char *text, int64_t *out)
{
    return parse(text, byte_units, ARRAY_COUNT(byte_units), false, out);
}

char *quantity_count_text(double count, char *out, size_t size)
{
    const char *suffix = count < 1e4 ? "" : count < 1e6 ? "k" : count < 1e9 ? "M" : "G";
    double factor = count < 1e4 ? 1 : count < 1e6 ? 1e3 : count < 1e9 ? 1e6 : 1e9;
    snprintf(out, size, count < 1e4 ? "%.0f%s" : "%.3g%s", count / factor, suffix);
    return out;
}

char *quantity_bytes_text(double bytes, char *out, size_t size)
{
    bool gib = bytes >= 1073741824.0;
    snprintf(out, size, "%.*f %s", gib ? 1 : 0, bytes / (gib ? 1073741824.0 : 1048576.0),
             gib ? "GiB" : "MiB");
    return out;
}
