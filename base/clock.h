/* The two clocks. Pure code never calls these: time comes in with the event. */
#ifndef TRIAD_CLOCK_H
#define TRIAD_CLOCK_H

#include <stdint.h>

/* Milliseconds since the Unix epoch: for storing and showing, never for deadlines. */
int64_t clock_time_ms(void);
/* Monotonic milliseconds: for deadlines within one process. */
int64_t clock_mono_ms(void);
/* Monotonic nanoseconds: for measuring. */
int64_t clock_mono_ns(void);

/* Nanoseconds of processor time that this process has used, all threads: for measuring on a machine
 * that others use, too. */
int64_t clock_cpu_ns(void);

/* ISO 8601 in UTC with milliseconds, "2026-11-24T01:02:03.456Z"; `out` holds 25 bytes. */
char *clock_iso(int64_t time_ms, char out[25]);

#endif
