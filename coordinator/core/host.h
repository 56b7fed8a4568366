/* Hosts: workers that share cores, and fail together when their machine is broken. */
#ifndef TRIAD_HOST_H
#define TRIAD_HOST_H

#include "core_state.h"

/* The worker shares this host's cores from now on. */
void host_join(struct core *core, struct worker *worker, const char *name);
void host_leave(struct core *core, struct worker *worker);
/* A host of that name, made if necessary. */
struct host *host_known(struct core *core, const char *name);

/* An attempt of `job` failed on the worker in a way that its host may be to blame for. Different
 * jobs doing so in a row put the host into quarantine, if there is another to work on. */
void host_failed(struct core *core, const struct worker *worker, const struct job *job);
/* An attempt succeeded there: the host works. */
void host_succeeded(struct worker *worker);
/* Out of quarantine. False when it was in none. */
bool host_release(struct core *core, struct host *host);

#endif
