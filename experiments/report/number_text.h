/* How numbers look to a person; machines read CSV and JSON, where all digits are. */
#ifndef TRIAD_NUMBER_TEXT_H
#define TRIAD_NUMBER_TEXT_H

#include "bootstrap.h"

/* By value, so that several fit into one printf. */
struct number_text {
    char text[64];
};

#define NUMBER_NONE "—" /* what is not there */

/* Four decimals; NUMBER_NONE for NaN. */
struct number_text number_fixed(double value);
/* The same with its sign. */
struct number_text number_signed(double value);
/* "1.2345 ± 0.0123". */
struct number_text number_with_se(double value, double se);
/* "[-0.1000, +0.2000]". */
struct number_text number_interval(double lo, double hi);
/* "0.0312", "<0.0001". */
struct number_text number_p(double p);
/* "***" below 0.001, "**" below 0.01, "*" below 0.05, else "". */
const char *number_stars(double p_adjusted);

#endif
