/* Clock, queue and dice. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "sim.h"

static bool is_earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void sim_schedule(struct sim *s, int64_t delay_ms, struct sim_event event)
{
    ASSERT(delay_ms >= 0);
    if (s->heap_count == s->heap_capacity) {
        s->heap_capacity = s->heap_capacity ? s->heap_capacity * 2 : 256;
        s->heap = realloc(s->heap, s->heap_capacity * sizeof *s->heap);
        ASSERT(s->heap != NULL);
    }
    event.at_ms = s->now_ms + delay_ms;
    event.order = s->order_next++;
    size_t i = s->heap_count++;
    while (i > 0 && is_earlier(&event, &s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = event;
}

struct sim_event sim_take_next(struct sim *s)
{
    ASSERT(s->heap_count > 0);
    const struct sim_event first = s->heap[0];
    const struct sim_event last = s->heap[--s->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->heap_count)
            break;
        if (child + 1 < s->heap_count && is_earlier(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!is_earlier(&s->heap[child], &last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    if (s->heap_count > 0)
        s->heap[i] = last;
    return first;
}

int64_t sim_between(struct sim *s, int64_t low, int64_t high)
{
    return low + (int64_t)rng_below(&s->rng, (uint64_t)(high - low + 1));
}

bool sim_chance(struct sim *s, double probability)
{
    return rng_uniform(&s->rng) < probability;
}

bool sim_weather_is_bad(const struct sim *s)
{
    return s->now_ms < SIM_FAULTS_END_MS;
}

bool sim_mishap(struct sim *s, double probability)
{
    return sim_weather_is_bad(s) && sim_chance(s, probability);
}

void sim_fail(struct sim *s, const char *format, ...)
{
    if (*s->failure)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(s->failure, sizeof s->failure, format, args);
    va_end(args);
}
