#include "number_text.h"

#include <math.h>
#include <stdio.h>

struct number_text number_fixed(double value)
{
    struct number_text n = {NUMBER_NONE};
    if (!isnan(value))
        snprintf(n.text, sizeof n.text, "%.4f", value);
    return n;
}

struct number_text number_signed(double value)
{
    struct number_text n = {NUMBER_NONE};
    if (!isnan(value))
        snprintf(n.text, sizeof n.text, "%+.4f", value);
    return n;
}

struct number_text number_with_se(double value, double se)
{
    struct number_text n = {NUMBER_NONE};
    if (!isnan(value))
        snprintf(n.text, sizeof n.text, "%.24s ± %.24s", number_fixed(value).text,
                 number_fixed(se).text);
    return n;
}

struct number_text number_interval(double lo, double hi)
{
    struct number_text n = {NUMBER_NONE};
    if (!isnan(lo) && !isnan(hi))
        snprintf(n.text, sizeof n.text, "[%.24s, %.24s]", number_signed(lo).text,
                 number_signed(hi).text);
    return n;
}

struct number_text number_p(double p)
{
    if (p < 0.0001)
        return (struct number_text){"<0.0001"};
    return number_fixed(p);
}

const char *number_stars(double p_adjusted)
{
    if (p_adjusted < 0.001)
        return "***";
    if (p_adjusted < 0.01)
        return "**";
    return p_adjusted < 0.05 ? "*" : "";
}
