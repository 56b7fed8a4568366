/* A disk that fails, under SQLite: a VFS (https://sqlite.org/vfs.html) that hands everything to the
 * usual one, counts what reaches the disk, and can
 *  - let the n-th access fail, and as many after it as asked. After a sync that failed, what it was
 *    for is lost in part, and its blocks never hold anything again though they seem to: the worst
 *    that a file system does;
 *  - cut the power: from then on nothing works, and what had not been synced is lost in part: each
 *    write is kept, dropped, kept up to a sector's boundary, or lost and kept sector by sector.
 * Real fsync is left out: what counts as durable is decided here. */
#ifndef TRIAD_BAD_DISK_H
#define TRIAD_BAD_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "rng.h"

/* Make it the default VFS of the process. */
void bad_disk_install(void);
/* A sound disk again; forgets all files. Accesses are counted from 0. */
void bad_disk_reset(void);
uint64_t bad_disk_accesses(void);
/* How many accesses failed since the reset, and how many syncs there were. */
uint64_t bad_disk_failures(void);
uint64_t bad_disk_syncs(void);

/* Let accesses number `first` to `first + count - 1` fail with EIO, or, when `full`, writes among
 * them with ENOSPC (the others work). */
void bad_disk_fail(uint64_t first, uint64_t count, bool full);
/* Somebody saw to the disk: blocks that never held anything do again. */
void bad_disk_repair(void);
/* The power fails at access number `at`. */
void bad_disk_cut_power(uint64_t at);
bool bad_disk_is_dead(void);
/* Power again, on a sound disk: the files are what the disk holds. All must be closed. */
void bad_disk_power_on(struct rng *rng);

/* For the self-check: syncs are promised, but not done. */
void bad_disk_lie_about_syncs(bool lie);

#endif
