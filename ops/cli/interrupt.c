#include "interrupt.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t seen; /* a signal handler has nowhere else to write to */

static void on_signal(int signal_number)
{
    (void)signal_number;
    seen = 1;
}

void interrupt_catch(void)
{
    /* No SA_RESTART: a sleeping poll() ends. SA_RESETHAND: whoever insists gets their way (the
     * children die with us). */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_seen(void)
{
    return seen != 0;
}

void interrupt_sleep(int64_t ms)
{
    if (!interrupt_seen())
        poll(NULL, 0, (int)ms);
}
