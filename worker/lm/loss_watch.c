#include "loss_watch.h"

#include <math.h>

#define NEW_SHARE 0.1

struct loss_watch loss_watch_after(struct loss_watch watch, double loss_nats)
{
    if (watch.steps == 0)
        return (struct loss_watch){1, loss_nats, loss_nats};
    watch.mean += NEW_SHARE * (loss_nats - watch.mean);
    watch.lowest = fmin(watch.lowest, watch.mean);
    watch.steps++;
    return watch;
}

double loss_watch_rise(const struct loss_watch *watch)
{
    return watch->mean - watch->lowest;
}
