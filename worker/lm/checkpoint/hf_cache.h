/* Checkpoints in the local cache of Hugging Face's hub, where its tools put what they download:
 *   CACHE/models--ORG--NAME/refs/REVISION      the commit that a branch or tag names
 *   CACHE/models--ORG--NAME/snapshots/COMMIT/  its files, as links into blobs/
 * Nothing is ever downloaded. */
#ifndef TRIAD_HF_CACHE_H
#define TRIAD_HF_CACHE_H

#include <stdbool.h>

#include "arena.h"
#include "err.h"

struct hf_snapshot {
    const char *repository; /* "google/gemma-3-1b-pt" */
    const char *revision;   /* as asked for; "main" when it was not said */
    const char *commit;     /* what that is here */
    const char *folder;
};

/* Is this "hf:ORG/NAME" or "hf:ORG/NAME@REVISION"? */
bool hf_is_reference(const char *text);
/* $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else $HF_HOME/hub, else
 * $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub; belongs to `arena`. */
const char *hf_cache_folder(struct arena *arena);
/* Find a reference's snapshot. ERR_INVALID when it is none, ERR_NOT_FOUND when the cache has not
 * got it (the text says where it was looked for, which revisions are there, and what to do). Texts
 * belong to `arena`. */
NODISCARD enum err_code hf_resolve(const char *reference, struct arena *arena,
                                   struct hf_snapshot *out, struct err *err);
/* A folder as it is, or a reference resolved. */
NODISCARD enum err_code hf_folder(const char *folder_or_reference, struct arena *arena,
                                  const char **folder_out, struct err *err);

#endif
