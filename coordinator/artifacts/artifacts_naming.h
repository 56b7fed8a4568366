/* Blobs whose bytes are all here and right, on their way to their names. That waits for the disk,
 * so it happens on threads; meanwhile a name that may be lost with the power counts as none. Only
 * the files of artifacts include this; callers use artifacts.h. */
#ifndef TRIAD_ARTIFACTS_NAMING_H
#define TRIAD_ARTIFACTS_NAMING_H

#include "artifacts.h"

/* Begin: `from` lies in the folder of the store. `fd` is of what came piece by piece, and owned
 * from now on; -1: the file is durable already. */
struct artifacts_naming *artifacts_naming_new(struct artifacts_naming **list, const char *folder,
                                              const struct digest *digest, const char *from,
                                              int fd);
void artifacts_naming_free(struct artifacts_naming **list, struct artifacts_naming *naming);
/* Its name is to be seen, and may not be durable yet. */
bool artifacts_naming_hides(const struct artifacts_naming *list, const struct digest *digest);
/* It came piece by piece and is all here. */
bool artifacts_naming_is_written(const struct artifacts_naming *list, const struct digest *digest);

#endif
