#include "timers.h"

#include "check.h"
#include "core_memory.h"

void timers_release(struct timers *timers)
{
    core_memory_free(timers->heap);
    *timers = (struct timers){0};
}

static bool is_before(const struct timer *a, const struct timer *b)
{
    if (a->at_ms != b->at_ms) {
        return a->at_ms < b->at_ms;
    }
    return a->kind != b->kind ? a->kind < b->kind : a->tie < b->tie;
}

static void put(struct timers *timers, size_t place, struct timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place;
    while (place > 1 && is_before(timer, timers->heap[place / 2])) {
        put(timers, place, timers->heap[place / 2]);
        place /= 2;
    }
    put(timers, place, timer);
}

static void sift_down(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place;
    for (;;) {
        size_t child = 2 * place;
        if (child > timers->count) {
            break;
        }
        if (child < timers->count && is_before(timers->heap[child + 1], timers->heap[child])) {
            child++;
        }
        if (!is_before(timers->heap[child], timer)) {
            break;
        }
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

void timers_set(struct timers *timers, struct timer *timer, int64_t at_ms)
{
    if (timer->place == 0) {
        if (timers->count + 2 > timers->capacity) {
            timers->capacity = timers->capacity == 0 ? 64 : 2 * timers->capacity;
            timers->heap = core_memory_grow(timers->heap, timers->capacity, sizeof *timers->heap);
        }
        put(timers, ++timers->count, timer);
    }
    timer->at_ms = at_ms;
    sift_up(timers, timer);
    sift_down(timers, timer);
}

void timers_clear(struct timers *timers, struct timer *timer)
{
    if (timer->place == 0) {
        return;
    }
    ASSERT(timers->heap[timer->place] == timer);
    struct timer *last = timers->heap[timers->count--];
    size_t place = timer->place;
    timer->place = 0;
    if (last != timer) {
        put(timers, place, last);
        sift_up(timers, last);
        sift_down(timers, last);
    }
}

struct timer *timers_first(const struct timers *timers)
{
    return timers->count == 0 ? NULL : timers->heap[1];
}
