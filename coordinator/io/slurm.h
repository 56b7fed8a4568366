/* Slurm's commands as Triad uses them, and what they print. Pure texts: batch_run.h runs them. */
#ifndef TRIAD_SLURM_H
#define TRIAD_SLURM_H

#include "alloc.h"
#include "arena.h"
#include "err.h"

/* What an allocation's batch script starts. */
struct slurm_worker {
    const char *program; /* triad-worker, absolute */
    const char *access;  /* absolute; on a file system that compute nodes see */
    const char *folder;  /* the worker's own */
    const char *name;    /* of the batch job and of the worker */
    const char *log;     /* absolute */
};

/* sbatch with everything an allocation of this queue needs; the user's own arguments come last and
 * win. `dry_run`: only ask whether it could run (sbatch --test-only). Ended by NULL. */
const char *const *slurm_submit_command(const struct alloc_queue_options *queue,
                                        const struct slurm_worker *worker, bool dry_run,
                                        struct arena *arena);
/* The batch script, for sbatch's standard input. */
const char *slurm_script(const struct alloc_queue_options *queue, const struct slurm_worker *worker,
                         struct arena *arena);
/* Both as a person would type them into a shell. */
const char *slurm_shown(const char *const *command, const char *script, struct arena *arena);
/* The batch id in what `sbatch --parsable` printed ("123" or "123;cluster"), or NULL. */
const char *slurm_batch_id(const char *text, struct arena *arena);
/* Is sbatch's complaint about a lost answer, so that the job may be there all the same? */
bool slurm_may_have_taken(const char *complaint);

/* One squeue for all names, ended jobs that Slurm still remembers included. */
const char *const *slurm_list_command(const char *names, struct arena *arena);
/* What it printed; a line that is no row is ERR_INVALID and names it. */
NODISCARD enum err_code slurm_list_parse(const char *text, size_t len, struct arena *arena,
                                         struct alloc_listed **rows_out, size_t *count_out,
                                         struct err *err);
const char *const *slurm_cancel_command(const char *batch_id, struct arena *arena);

#endif
