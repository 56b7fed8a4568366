#include "bad_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

#define SECTOR    512
#define PATH_SIZE 256
#define FILES_MAX 8
/* What the store opens its files by. Its log's index is in memory: no access of the disk. */
#define STORE_VFS_NAME "unix-excl"

/* A write or (data NULL) a truncation that no sync has followed yet. */
struct change {
    uint8_t *data;
    uint64_t offset, len; /* of a truncation: len is the new size */
};

/* What of a file is durable, and what has happened to it since. */
struct image {
    char path[PATH_SIZE];
    bool named;  /* its folder knows it now */
    bool exists; /* and will after a power cut */
    uint64_t inode;
    bool *dead; /* by sector: reads as zeros after a power cut, whatever is written */
    uint64_t dead_count;
    uint8_t *data;
    uint64_t len;
    struct change *changes;
    size_t change_count, change_capacity;
};

struct file {
    sqlite3_file base;
    struct image *image; /* NULL: a temporary one */
    sqlite3_file *real;  /* the usual VFS's, right behind this struct */
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    sqlite3_io_methods methods;
    struct image images[FILES_MAX];
    size_t image_count;
    uint64_t accesses, failures, syncs;
    uint64_t fail_first, fail_count, power_at;
    bool fails_full, dead, lies;
    struct rng rng; /* what of a failed sync got through */
} disk;

/* ---- images ---- */

static void image_change(struct image *image, const void *data, uint64_t offset, uint64_t len)
{
    if (image->change_count == image->change_capacity) {
        image->change_capacity = image->change_capacity == 0 ? 64 : 2 * image->change_capacity;
        image->changes = realloc(image->changes, image->change_capacity * sizeof *image->changes);
        ASSERT(image->changes != NULL);
    }
    struct change change = {.offset = offset, .len = len};
    if (data != NULL) {
        change.data = malloc(len > 0 ? len : 1);
        ASSERT(change.data != NULL);
        memcpy(change.data, data, len);
    }
    image->changes[image->change_count++] = change;
}

static void image_resize(struct image *image, uint64_t len)
{
    const uint64_t sectors = (len + SECTOR - 1) / SECTOR;
    image->dead_count = sectors < image->dead_count ? sectors : image->dead_count;
    if (len > image->len) {
        image->data = realloc(image->data, len);
        ASSERT(image->data != NULL);
        memset(image->data + image->len, 0, len - image->len);
    }
    image->len = len;
}

static void image_put(struct image *image, const uint8_t *data, uint64_t offset, uint64_t len)
{
    if (offset + len > image->len) {
        image_resize(image, offset + len);
    }
    memcpy(image->data + offset, data, len);
    for (uint64_t at = offset; at < offset + len; at++) {
        if (at / SECTOR < image->dead_count && image->dead[at / SECTOR]) {
            image->data[at] = 0;
        }
    }
}

/* Blocks that a failed sync was to fill for the first time. */
static void image_kill(struct image *image, uint64_t offset, uint64_t len)
{
    const uint64_t end = (offset + len + SECTOR - 1) / SECTOR;
    if (end > image->dead_count) {
        image->dead = realloc(image->dead, end * sizeof *image->dead);
        ASSERT(image->dead != NULL);
        memset(image->dead + image->dead_count, 0, (end - image->dead_count) * sizeof *image->dead);
        image->dead_count = end;
    }
    const uint64_t first = (image->len + SECTOR - 1) / SECTOR; /* what is older has its blocks */
    for (uint64_t i = offset / SECTOR > first ? offset / SECTOR : first; i < end; i++) {
        image->dead[i] = true;
    }
}

static void image_forget_changes(struct image *image)
{
    for (size_t i = 0; i < image->change_count; i++) {
        free(image->changes[i].data);
    }
    image->change_count = 0;
}

static void image_sync(struct image *image)
{
    for (size_t i = 0; i < image->change_count; i++) {
        const struct change *change = &image->changes[i];
        if (change->data == NULL) {
            image_resize(image, change->len);
        } else {
            image_put(image, change->data, change->offset, change->len);
        }
    }
    image_forget_changes(image);
}

/* SQLite syncs the folder when it first syncs a new journal or log: what was deleted stays so. */
static void sync_folder(void)
{
    for (size_t i = 0; i < disk.image_count; i++) {
        disk.images[i].exists = disk.images[i].named;
    }
}

/* A write of which the power cut left some: by whole sectors, as the file's offsets have them. */
static void image_tear(struct image *image, const struct change *change, struct rng *rng)
{
    const uint64_t fate = rng_below(rng, 5);
    const uint64_t end = change->offset + change->len;
    const uint64_t cut = change->offset + rng_below(rng, change->len + 1);
    for (uint64_t at = change->offset; at < end;) {
        const uint64_t next = (at / SECTOR + 1) * SECTOR < end ? (at / SECTOR + 1) * SECTOR : end;
        const uint8_t *data = change->data + (at - change->offset);
        const bool kept =
            fate == 0 || (fate == 2 && next <= cut) || (fate == 3 && rng_below(rng, 2) == 0);
        if (kept) {
            image_put(image, data, at, next - at);
        } else if (fate == 4 && rng_below(rng, 2) == 0) { /* the head was over it: noise */
            uint8_t noise[SECTOR];
            for (uint64_t i = 0; i < next - at; i++) {
                noise[i] = (uint8_t)rng_u32(rng);
            }
            image_put(image, noise, at, next - at);
        }
        at = next;
    }
}

/* What was not synced is kept in part. */
static void image_lose_changes(struct image *image, struct rng *rng)
{
    for (size_t i = 0; i < image->change_count; i++) {
        const struct change *change = &image->changes[i];
        if (change->data != NULL) {
            image_tear(image, change, rng);
        } else if (rng_below(rng, 2) == 0) {
            image_resize(image, change->len);
        }
    }
    image_forget_changes(image);
}

static void image_write_out(const struct image *image)
{
    if (!image->exists) {
        unlink(image->path);
        return;
    }
    const int fd = open(image->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ASSERT(fd >= 0);
    ASSERT(image->len == 0 || pwrite(fd, image->data, image->len, 0) == (ssize_t)image->len);
    close(fd);
}

/* The image of a file; one seen for the first time is durable as it is. */
static uint64_t inode_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (uint64_t)info.st_ino : 0;
}

static void image_release(struct image *image)
{
    image_forget_changes(image);
    free(image->changes);
    free(image->data);
    free(image->dead);
    *image = (struct image){0};
}

/* Renaming and removing happen beside SQLite, durably: follow them. */
static void follow_names(void)
{
    for (size_t i = 0; i < disk.image_count; i++) {
        struct image *image = &disk.images[i];
        const uint64_t inode = inode_of(image->path);
        if (image->inode == 0 || inode == image->inode || !image->named) {
            continue;
        }
        size_t from = 0;
        while (from < disk.image_count && (inode == 0 || disk.images[from].inode != inode)) {
            from++;
        }
        char path[PATH_SIZE];
        strcpy(path, image->path);
        image_release(image);
        if (from < disk.image_count) {
            *image = disk.images[from];
            disk.images[from] = (struct image){0};
            strcpy(disk.images[from].path, image->path);
        }
        strcpy(image->path, path);
    }
}

static struct image *image_of(const char *path)
{
    follow_names();
    for (size_t i = 0; i < disk.image_count; i++) {
        if (strcmp(disk.images[i].path, path) == 0) {
            return &disk.images[i];
        }
    }
    ASSERT(disk.image_count < FILES_MAX && strlen(path) < PATH_SIZE);
    struct image *image = &disk.images[disk.image_count++];
    *image = (struct image){0};
    strcpy(image->path, path);
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &info) == 0) {
        image->named = image->exists = true;
        image_resize(image, (uint64_t)info.st_size);
        ASSERT(pread(fd, image->data, image->len, 0) == (ssize_t)image->len);
        close(fd);
    }
    return image;
}

/* ---- faults ---- */

/* One more access: SQLITE_OK, or what it fails with. */
static int access_disk(int failure, bool is_write)
{
    const uint64_t number = disk.accesses++;
    if (number >= disk.power_at) {
        disk.dead = true;
    }
    const bool hit = number - disk.fail_first < disk.fail_count && number >= disk.fail_first;
    if (!disk.dead && (!hit || (disk.fails_full && !is_write))) {
        return SQLITE_OK;
    }
    disk.failures++;
    errno = disk.fails_full ? ENOSPC : EIO;
    return disk.fails_full && !disk.dead ? SQLITE_FULL : failure;
}

/* ---- methods of a file ---- */

static struct file *of(sqlite3_file *base)
{
    return (struct file *)(void *)base;
}

static int file_close(sqlite3_file *base)
{
    return of(base)->real->pMethods->xClose(of(base)->real);
}

static int file_read(sqlite3_file *base, void *data, int len, sqlite3_int64 offset)
{
    const int rc = access_disk(SQLITE_IOERR_READ, false);
    return rc != SQLITE_OK ? rc
                           : of(base)->real->pMethods->xRead(of(base)->real, data, len, offset);
}

static int file_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 offset)
{
    struct file *file = of(base);
    const int rc = access_disk(SQLITE_IOERR_WRITE, true);
    if (rc != SQLITE_OK && disk.dead) {
        return rc;
    }
    /* What fails has got to the disk in half, as with a real one. */
    const int done = rc == SQLITE_OK ? len : len / 2;
    const int real = file->real->pMethods->xWrite(file->real, data, done, offset);
    if (file->image != NULL) {
        image_change(file->image, data, (uint64_t)offset, (uint64_t)done);
    }
    return rc != SQLITE_OK ? rc : real;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 len)
{
    struct file *file = of(base);
    const int rc = access_disk(SQLITE_IOERR_TRUNCATE, false);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (file->image != NULL) {
        image_change(file->image, NULL, 0, (uint64_t)len);
    }
    return file->real->pMethods->xTruncate(file->real, len);
}

static int file_sync(sqlite3_file *base, int flags)
{
    (void)flags;
    const int rc = access_disk(SQLITE_IOERR_FSYNC, false);
    struct image *image = of(base)->image;
    if (rc == SQLITE_OK && image != NULL && !disk.lies) {
        image_sync(image);
        if (!image->exists) {
            sync_folder();
        }
    } else if (image != NULL && !disk.dead && !disk.lies) {
        /* The kernel forgets what it could not write: the next sync will not try again. */
        for (size_t i = 0; i < image->change_count; i++) {
            if (image->changes[i].data != NULL) {
                image_kill(image, image->changes[i].offset, image->changes[i].len);
            }
        }
        image_lose_changes(image, &disk.rng);
    }
    disk.syncs += rc == SQLITE_OK;
    return rc;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    const int rc = access_disk(SQLITE_IOERR_FSTAT, false);
    return rc != SQLITE_OK ? rc : of(base)->real->pMethods->xFileSize(of(base)->real, size);
}

static int file_lock(sqlite3_file *base, int level)
{
    return of(base)->real->pMethods->xLock(of(base)->real, level);
}

static int file_unlock(sqlite3_file *base, int level)
{
    return of(base)->real->pMethods->xUnlock(of(base)->real, level);
}

static int file_check_lock(sqlite3_file *base, int *out)
{
    return of(base)->real->pMethods->xCheckReservedLock(of(base)->real, out);
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
    return of(base)->real->pMethods->xFileControl(of(base)->real, op, arg);
}

static int file_sector_size(sqlite3_file *base)
{
    return of(base)->real->pMethods->xSectorSize(of(base)->real);
}

static int file_traits(sqlite3_file *base)
{
    return of(base)->real->pMethods->xDeviceCharacteristics(of(base)->real);
}

static int file_shm_map(sqlite3_file *base, int page, int page_bytes, int extend,
                        void volatile **out)
{
    return of(base)->real->pMethods->xShmMap(of(base)->real, page, page_bytes, extend, out);
}

static int file_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
    return of(base)->real->pMethods->xShmLock(of(base)->real, offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *base)
{
    of(base)->real->pMethods->xShmBarrier(of(base)->real);
}

static int file_shm_unmap(sqlite3_file *base, int remove)
{
    return of(base)->real->pMethods->xShmUnmap(of(base)->real, remove);
}

/* ---- methods of the disk ---- */

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *out)
{
    (void)vfs;
    struct file *file = of(base);
    base->pMethods = NULL;
    const int failed = access_disk(SQLITE_CANTOPEN, false);
    if (failed != SQLITE_OK) {
        return failed;
    }
    file->image = path == NULL ? NULL : image_of(path);
    if (path != NULL && access(path, F_OK) != 0) { /* a new file, whatever was called so before */
        image_forget_changes(file->image);
        image_resize(file->image, 0);
        file->image->exists = false;
    }
    file->real = (sqlite3_file *)(void *)(file + 1);
    const int rc = disk.real->xOpen(disk.real, path, file->real, flags, out);
    if (rc == SQLITE_OK) {
        base->pMethods = &disk.methods;
        if (path != NULL) {
            file->image->named = true;
            file->image->inode = inode_of(path);
        }
    }
    return rc;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int is_durable)
{
    (void)vfs;
    const int failed = access_disk(SQLITE_IOERR_DELETE, false);
    if (failed != SQLITE_OK) {
        return failed;
    }
    struct image *image = image_of(path);
    image_forget_changes(image);
    image->inode = 0;
    image->named = false; /* until that is durable it may come back with what was durable of it */
    if (is_durable) {
        sync_folder();
    }
    return disk.real->xDelete(disk.real, path, 0);
}

static int disk_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
    (void)vfs;
    const int failed = access_disk(SQLITE_IOERR_ACCESS, false);
    return failed != SQLITE_OK ? failed : disk.real->xAccess(disk.real, path, flags, out);
}

/* ---- for the tests ---- */

void bad_disk_install(void)
{
    disk.real = sqlite3_vfs_find(STORE_VFS_NAME);
    ASSERT(disk.real != NULL);
    disk.methods = (sqlite3_io_methods){.iVersion = 2, /* no mapping */
                                        .xClose = file_close,
                                        .xRead = file_read,
                                        .xWrite = file_write,
                                        .xTruncate = file_truncate,
                                        .xSync = file_sync,
                                        .xFileSize = file_size,
                                        .xLock = file_lock,
                                        .xUnlock = file_unlock,
                                        .xCheckReservedLock = file_check_lock,
                                        .xFileControl = file_control,
                                        .xSectorSize = file_sector_size,
                                        .xDeviceCharacteristics = file_traits,
                                        .xShmMap = file_shm_map,
                                        .xShmLock = file_shm_lock,
                                        .xShmBarrier = file_shm_barrier,
                                        .xShmUnmap = file_shm_unmap};
    disk.vfs = *disk.real;
    disk.vfs.pNext = NULL;
    disk.vfs.zName = STORE_VFS_NAME; /* found before the real one, being the default */
    disk.vfs.szOsFile = (int)sizeof(struct file) + disk.real->szOsFile;
    disk.vfs.xOpen = disk_open;
    disk.vfs.xDelete = disk_delete;
    disk.vfs.xAccess = disk_access;
    bad_disk_reset();
    ASSERT(sqlite3_vfs_register(&disk.vfs, 1) == SQLITE_OK);
}

void bad_disk_reset(void)
{
    for (size_t i = 0; i < disk.image_count; i++) {
        image_release(&disk.images[i]);
    }
    disk.image_count = 0;
    disk.accesses = disk.failures = disk.syncs = 0;
    disk.fail_first = disk.fail_count = 0;
    disk.power_at = UINT64_MAX;
    disk.fails_full = disk.dead = disk.lies = false;
    disk.rng = rng_new(1, "bad-disk");
}

uint64_t bad_disk_accesses(void)
{
    return disk.accesses;
}

uint64_t bad_disk_failures(void)
{
    return disk.failures;
}

uint64_t bad_disk_syncs(void)
{
    return disk.syncs;
}

void bad_disk_fail(uint64_t first, uint64_t count, bool full)
{
    disk.fail_first = first;
    disk.fail_count = count;
    disk.fails_full = full;
}

void bad_disk_repair(void)
{
    for (size_t i = 0; i < disk.image_count; i++) {
        disk.images[i].dead_count = 0;
    }
}

void bad_disk_cut_power(uint64_t at)
{
    disk.power_at = at;
}

bool bad_disk_is_dead(void)
{
    return disk.dead;
}

void bad_disk_power_on(struct rng *rng)
{
    follow_names();
    for (size_t i = 0; i < disk.image_count; i++) {
        struct image *image = &disk.images[i];
        image_lose_changes(image, rng);
        /* A new file whose name was never synced is there or not. */
        image->exists = image->exists || (image->named && rng_below(rng, 2) == 0);
        image->named = image->exists;
        image_write_out(image);
    }
    disk.dead = false;
    disk.power_at = UINT64_MAX;
}

void bad_disk_lie_about_syncs(bool lie)
{
    disk.lies = lie;
}
