/* Long work beside the turns, a slice at a time: copying the database, sweeping the blobs. */
#ifndef TRIAD_JANITOR_H
#define TRIAD_JANITOR_H

#include "server_state.h"

void janitor_init(struct server *server);
/* Stop what is under way and close the timer; before the loop ends. */
void janitor_close(struct server *server);
void janitor_free(struct server *server);

/* Begin, or tell how far it is (docs/protocol.md section 6). */
NODISCARD enum err_code janitor_backup(struct server *server, const struct msg_backup *request,
                                       struct msg_backup_state *out, struct err *err);
NODISCARD enum err_code janitor_gc(struct server *server, const struct msg_gc *request,
                                   struct msg_gc_state *out, struct err *err);

#endif
