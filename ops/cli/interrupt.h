/* Ctrl-C and SIGTERM as a question asked between two steps, for commands that have children to stop
 * or a screen to tidy up. */
#ifndef TRIAD_INTERRUPT_H
#define TRIAD_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

/* From now on SIGINT and SIGTERM only set a flag; a second SIGINT ends the process at once. */
void interrupt_catch(void);
bool interrupt_seen(void);
/* Sleep, but no longer than until a signal comes. */
void interrupt_sleep(int64_t ms);

#endif
