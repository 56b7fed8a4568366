/* Keeps the allocations of a batch system: hands the pure rules (alloc.h) what the core and the
 * batch system say, makes what they decide durable, and only then does it. */
#ifndef TRIAD_ALLOC_DRIVE_H
#define TRIAD_ALLOC_DRIVE_H

#include "client_request.h"

/* Read the stored queues; after the store is open and the sockets are bound. */
NODISCARD enum err_code alloc_drive_open(struct server *server, struct err *err);
/* On every tick; looks around once a second when there are queues. */
void alloc_drive_tick(struct server *server);
/* Let go of commands that run; allocations stay. Before the loop ends. */
void alloc_drive_close(struct server *server);
void alloc_drive_free(struct server *server);

request_f client_get_allocs, client_alloc_act;

#endif
