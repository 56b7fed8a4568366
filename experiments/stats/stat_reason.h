/* Why a figure is missing, in one sentence of bounded length. */
#ifndef TRIAD_STAT_REASON_H
#define TRIAD_STAT_REASON_H

#include "err.h"

#define STAT_REASON_SIZE 192

/* As snprintf(); what does not fit ends with "…", and never in the middle of a character. */
void stat_reason(char out[STAT_REASON_SIZE], const char *format, ...) PRINTF(2, 3);

#endif
