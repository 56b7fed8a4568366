/* Quantities as people read them; `out` holds HUMAN_SIZE bytes and is returned. */
#ifndef TRIAD_HUMAN_H
#define TRIAD_HUMAN_H

#include <stdint.h>

#define HUMAN_SIZE 32

/* "340 ms", "12.4 s", "3m05s", "2h10m", "3d04h". */
char *human_duration(int64_t ms, char out[HUMAN_SIZE]);
/* "512 B", "1.5 MiB". */
char *human_bytes(uint64_t bytes, char out[HUMAN_SIZE]);
/* "950", "12.3k", "4.56M". */
char *human_count(double count, char out[HUMAN_SIZE]);

#endif
