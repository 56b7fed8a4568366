/* The plan document that an experiment was submitted with (docs/data.md section 6). */
#ifndef TRIAD_PLAN_DOCUMENT_H
#define TRIAD_PLAN_DOCUMENT_H

#include <jansson.h>

#include "connection.h"

/* Fetch and parse it; the caller owns the reference. ERR_NOT_FOUND when there is no such
 * experiment, ERR_CORRUPT when it cannot be read, ERR_VERSION when it has another schema. */
NODISCARD enum err_code plan_document_fetch(struct connection *c, const char *experiment,
                                            json_t **out, struct err *err);

#endif
