/* When a training goes wrong without a NaN: its loss rises and does not come back. */
#ifndef TRIAD_LOSS_WATCH_H
#define TRIAD_LOSS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* The rule (docs/training.md): the running mean m of the steps' losses, m = 0.9 m + 0.1 loss from
 * the first loss on, may stand at most so many nats above the lowest value it had. A single odd
 * step moves it by a tenth, a plateau does not at all. Part of what is saved, so that a resumed
 * run decides like an undisturbed one. Zero-initialise. */
struct loss_watch {
    int64_t steps; /* losses taken in */
    double mean;
    double lowest;
};

/* The watch after one more loss. */
struct loss_watch loss_watch_after(struct loss_watch watch, double loss_nats);
/* How far the mean stands above its lowest value; 0 before the first loss. */
double loss_watch_rise(const struct loss_watch *watch);

#endif
