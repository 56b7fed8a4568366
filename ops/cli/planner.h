/* The planner on this machine: files from disk, tokenizers and checkpoints by worker/lm, trained
 * tokenizers kept in STATE/cache under the digest of what they were made from. */
#ifndef TRIAD_PLANNER_H
#define TRIAD_PLANNER_H

#include "cli.h"
#include "files_read.h"
#include "plan.h"

struct planned {
    char *manifest_text; /* as written */
    size_t manifest_len;
    struct manifest manifest;
    struct plan plan;
    struct files_read files;     /* what it was made from; the paths are the command line's */
    bool has_manifest, has_plan; /* what planned_release() must free */
};

/* Read the manifest and make its plan; with `missing_ok` also of what is not here. ERR_NOT_FOUND
 * when there is no such file, ERR_INVALID with the place in it. Release with planned_release(),
 * also after a failure. */
NODISCARD enum err_code planner_make(struct cli *cli, const char *manifest_path, bool missing_ok,
                                     struct planned *out, struct err *err);
void planned_release(struct planned *p);

/* The folder with suite/, mixes/ and data/: $TRIAD_EXPERIMENTS, else the nearest one above the
 * manifest, else above this program. ERR_NOT_FOUND says where it looked. */
NODISCARD enum err_code planner_root(struct cli *cli, const char *manifest_path,
                                     const char **root_out, struct err *err);

#endif
