/* Why a job of a plan is new, though the experiment has had one of that label: what its spec says
 * now and what it said then. */
#ifndef TRIAD_WHY_NEW_H
#define TRIAD_WHY_NEW_H

#include "submit.h"

/* Compare each new job of the plan with the latest of its label in the stored experiment, and note
 * the sentences in `fates`. Without such an experiment there are none. */
NODISCARD enum err_code why_new_fetch(struct connection *c, const struct plan *plan,
                                      struct arena *arena, struct fates *fates, struct err *err);

/* Append how the JSON text `is` differs from `was`: "train.steps 12, was 10; …", a few places. */
void why_new_difference(const char *was, size_t was_len, const char *is, size_t is_len,
                        struct strbuf *out);

#endif
