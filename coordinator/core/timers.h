/* Deadlines in a binary heap. A timer is embedded in what it belongs to. */
#ifndef TRIAD_TIMERS_H
#define TRIAD_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum timer_kind { TIMER_WORKER, TIMER_JOB };

struct timer {
    int64_t at_ms;
    uint64_t tie; /* equal deadlines fire in this order, whatever the heap looks like */
    size_t place; /* 1-based place in the heap; 0: not armed */
    enum timer_kind kind;
};

struct timers {
    struct timer **heap; /* heap[1] is the earliest; heap[0] unused */
    size_t count, capacity;
};

void timers_release(struct timers *timers);
/* Arm, or move an armed one. */
void timers_set(struct timers *timers, struct timer *timer, int64_t at_ms);
/* Disarm; an unarmed one is fine. */
void timers_clear(struct timers *timers, struct timer *timer);
/* The earliest, or NULL. */
struct timer *timers_first(const struct timers *timers);

#endif
