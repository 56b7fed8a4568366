/* Raised by hand whenever results may change: it is part of every job's identity, so that old and
 * new numbers are never mixed (a golden test fails when bits change and this did not). */
#ifndef TRIAD_NUMERICS_VERSION_H
#define TRIAD_NUMERICS_VERSION_H

#define NUMERICS_VERSION 4

#endif
