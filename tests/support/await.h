/* Waits that end. AWAIT(loop, condition) turns a loop until the condition holds, and fails with a
 * sentence that names what never came.
 *
 * It counts the time of the turns, of each no more than a tick: who gets no processor for minutes
 * loses no patience, and only what never comes takes AWAIT_S. ctest's own limits are larger. */
#ifndef TRIAD_AWAIT_H
#define TRIAD_AWAIT_H

#include <uv.h>

#include "cmocka_all.h"

enum { AWAIT_S = 120, AWAIT_TICK_MS = 20 };

struct await {
    uint64_t last_ns, spent_ns;
};

/* The loop has to wake now and then: see await_tick(). */
#define AWAIT(loop, condition) AWAIT_BY((void)uv_run(loop, UV_RUN_ONCE), condition)

/* The same with another way to let things happen. */
#define AWAIT_BY(turn, condition)                                                                  \
    for (struct await await_ = {uv_hrtime(), 0}; !(condition);                                     \
         await_more(&await_, #condition, __FILE__, __LINE__))                                      \
    turn

static inline void await_more(struct await *wait, const char *what, const char *file, int line)
{
    const uint64_t now_ns = uv_hrtime(), tick_ns = (uint64_t)AWAIT_TICK_MS * 1000000;
    const uint64_t turn_ns = now_ns - wait->last_ns;
    wait->last_ns = now_ns;
    wait->spent_ns += turn_ns < tick_ns ? turn_ns : tick_ns;
    if (wait->spent_ns < (uint64_t)AWAIT_S * 1000000000)
        return;
    print_error("waited %d s, and never came: %s\n", AWAIT_S, what);
    _fail(file, line);
}

static inline void await_on_pass(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* Let so much time pass on the loop, or less: uv_stop() in a callback ends it. */
static inline void await_pass(uv_loop_t *loop, uint64_t ms)
{
    uv_timer_t timer;
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, await_on_pass, ms, 0);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}

static inline void await_on_tick(uv_timer_t *ticker)
{
    (void)ticker;
}

/* UV_RUN_ONCE sleeps for as long as nothing happens: a ticker wakes it. It keeps no loop alive;
 * uv_close() it before the loop. */
static inline void await_tick(uv_loop_t *loop, uv_timer_t *ticker)
{
    uv_timer_init(loop, ticker);
    uv_timer_start(ticker, await_on_tick, AWAIT_TICK_MS, AWAIT_TICK_MS);
    uv_unref((uv_handle_t *)ticker);
}

#endif
