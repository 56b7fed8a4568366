/* Submissions: checked as their parts arrive, and taken into the state a few parts a turn, so that
 * a plan of a million jobs holds nobody up. From the first part on the state says which part is
 * next (document `intake`): a coordinator that dies in between goes on where it was. */
#ifndef TRIAD_INTAKE_H
#define TRIAD_INTAKE_H

#include "client_request.h"

request_f client_submit;

/* With a core just loaded: find a plan that was being taken, remove the files of others. */
NODISCARD enum err_code intake_resume(struct server *server, struct err *err);
/* Take some parts into the turn under way; after its commit call intake_settle(). */
void intake_step(struct server *server);
void intake_settle(struct server *server);
bool intake_has_work(struct server *server);
/* The experiment was cancelled: what has not been taken of its plans will not be. */
void intake_abandon(struct server *server, const char *experiment);
/* Does a plan wait whose inputs the jobs do not name yet? */
bool intake_is_busy(const struct server *server);

#endif
