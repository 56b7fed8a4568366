/* All that Triad asks of MPI, behind plain C types: MPI libraries differ in their binary interface,
 * so this file is built where it runs, with that site's compiler,
 *
 *   mpicc -O2 -shared -fPIC -o triad-mpi.so triad-mpi.c
 *
 * and loaded by triad-worker from ../lib beside its own folder, or from $TRIAD_MPI. */
#include <limits.h>
#include <mpi.h>
#include <stddef.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

/* Nobody waits longer for another rank: the coordinator has given the attempt up long before. */
#define PATIENCE_S 1800
#define SPINS      2000 /* looks before a waiting rank lets others have its core */

enum { INTERFACE = 1, TAG = 7 };

EXPORT int triad_mpi_interface(void);
EXPORT const char *triad_mpi_library(void);
EXPORT int triad_mpi_begin(int *rank, int *count);
EXPORT int triad_mpi_exchange(int peer, const void *out, size_t out_len, void *in, size_t in_len);
EXPORT void triad_mpi_abort(int status);
EXPORT void triad_mpi_end(void);

/* Raised when a function changes. */
int triad_mpi_interface(void)
{
    return INTERFACE;
}

const char *triad_mpi_library(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int len = 0;
    return MPI_Get_library_version(text, &len) == MPI_SUCCESS ? text : "an unknown MPI";
}

int triad_mpi_begin(int *rank, int *count)
{
    int provided = 0;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return -1;
    if (provided < MPI_THREAD_FUNNELED)
        return -1;
    return MPI_Comm_rank(MPI_COMM_WORLD, rank) == MPI_SUCCESS &&
                   MPI_Comm_size(MPI_COMM_WORLD, count) == MPI_SUCCESS
               ? 0
               : -1;
}

/* Send and receive at once; 0, or -1. A wait is a look every 50 microseconds and not the library's
 * own, which would keep a core busy while rank 0 writes a checkpoint. */
int triad_mpi_exchange(int peer, const void *out, size_t out_len, void *in, size_t in_len)
{
    MPI_Request requests[2];
    MPI_Status statuses[2];
    int count = 0, done = 0;
    const time_t begin = time(NULL);
    if (out_len > INT_MAX || in_len > INT_MAX)
        return -1;
    if (in_len > 0 && MPI_Irecv(in, (int)in_len, MPI_BYTE, peer, TAG, MPI_COMM_WORLD,
                                &requests[count++]) != MPI_SUCCESS)
        return -1;
    if (out_len > 0 && MPI_Isend(out, (int)out_len, MPI_BYTE, peer, TAG, MPI_COMM_WORLD,
                                 &requests[count++]) != MPI_SUCCESS)
        return -1;
    for (long looks = 0; count > 0; looks++) {
        if (MPI_Testall(count, requests, &done, statuses) != MPI_SUCCESS)
            return -1;
        if (done)
            return 0;
        if (looks < SPINS)
            continue;
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
        if (time(NULL) - begin > PATIENCE_S)
            MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return 0;
}

void triad_mpi_abort(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
}

void triad_mpi_end(void)
{
    MPI_Finalize();
}
