/* MPI, loaded when it is needed: worker/mpi/triad-mpi.c as built on this machine. */
#ifndef TRIAD_RANK_MPI_H
#define TRIAD_RANK_MPI_H

#include <stdbool.h>

#include "err.h"
#include "train_group.h"

#define RANK_MPI_NAME_SIZE 64

struct rank_mpi {
    void *library;
    bool broken; /* an exchange failed: the others must be ended by abort() */
    int (*exchange)(int peer, const void *out, size_t out_len, void *in, size_t in_len);
    void (*abort)(int status);
    void (*end)(void);
    int (*begin)(int *rank, int *count);
    const char *(*name)(void);
};

/* Load it: $TRIAD_MPI, or ../lib/triad-mpi.so beside the folder of this program. ERR_NOT_FOUND says
 * how to make it, ERR_VERSION that it must be made anew. */
NODISCARD enum err_code rank_mpi_load(struct rank_mpi *mpi, struct err *err);
/* Could rank_mpi_load() do it? Tried in a process of its own: an MPI library is large, and starts
 * threads where it likes. */
NODISCARD enum err_code rank_mpi_probe(struct err *err);
/* "Open MPI v4.1.4": the first words of what it says of itself. Returns `out`. */
const char *rank_mpi_name(const struct rank_mpi *mpi, char out[RANK_MPI_NAME_SIZE]);
/* Join the other ranks; `ranks` of them were started. ERR_UNAVAILABLE when MPI says otherwise.
 * `mpi` must outlive the group. */
NODISCARD enum err_code rank_mpi_begin(struct rank_mpi *mpi, uint32_t ranks,
                                       struct train_group *group_out, struct err *err);

#endif
