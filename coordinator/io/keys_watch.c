#include "keys_watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "log.h"
#include "str.h"

#define LOOK_MS 1000

/* The coordinator's own keys stand in the list under the names of their roles. */
static struct net_keyring_entry own_entry(enum net_role role, const struct net_key_pair *pair)
{
    struct net_keyring_entry entry = {.role = role, .key = pair->public_key};
    snprintf(entry.name, sizeof entry.name, "%s", net_role_name(role));
    return entry;
}

static void say_refused(const struct err *why)
{
    log_event(LOG_ERROR, "key_file_refused", "error='%s'", why->text);
}

/* Everyone the folder admits: the own keys, then those in allowed/. */
static enum err_code read_list(const struct keys_watch *watch, struct net_server_keys *pairs,
                               struct net_keyring *out, struct err *err)
{
    struct net_keyring others = {0};
    enum err_code rc = net_server_keys_load(watch->keys_dir, pairs, err);
    if (rc == ERR_OK) {
        rc = net_keyring_load(watch->keys_dir, &others, say_refused, err);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    out->count = others.count + 2;
    out->entries = calloc(out->count, sizeof *out->entries);
    ASSERT(out->entries != NULL);
    out->entries[0] = own_entry(NET_WORKER, &pairs->worker);
    out->entries[1] = own_entry(NET_CLIENT, &pairs->client);
    if (others.count > 0) {
        memcpy(out->entries + 2, others.entries, others.count * sizeof *others.entries);
    }
    net_keyring_release(&others);
    return ERR_OK;
}

static bool has_key(const struct net_keyring *list, const struct net_keyring_entry *wanted)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->entries[i].key.z85, wanted->key.z85) == 0 &&
            list->entries[i].role == wanted->role) {
            return true;
        }
    }
    return false;
}

/* From now on exactly `list`; revocations first, so that a key may change its role. */
static void admit(struct keys_watch *watch, struct net_keyring *list)
{
    for (size_t i = 0; i < watch->allowed.count; i++) {
        const struct net_keyring_entry *entry = &watch->allowed.entries[i];
        if (!has_key(list, entry)) {
            net_revoke(watch->net, &entry->key);
            log_event(LOG_INFO, "key_revoked", "name=%s role=%s", entry->name,
                      net_role_name(entry->role));
        }
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct net_keyring_entry *entry = &list->entries[i];
        struct err err;
        if (has_key(&watch->allowed, entry)) {
            continue;
        }
        if (net_allow(watch->net, &entry->key, entry->role, entry->name, &err) != ERR_OK) {
            say_refused(&err);
        } else {
            log_event(LOG_INFO, "key_allowed", "name=%s role=%s", entry->name,
                      net_role_name(entry->role));
        }
    }
    net_keyring_release(&watch->allowed);
    watch->allowed = *list;
    *list = (struct net_keyring){0};
}

/* What changes when a file of the folder is made, replaced, written over or removed. */
struct folder_look {
    uint64_t stamp;  /* never 0 */
    bool is_settled; /* a further change would have another time */
};

/* The clock of files ticks slowly, on some file systems every two seconds only. */
#define SETTLED_NS INT64_C(2500000000)

static void look_at(struct folder_look *look, int dir_fd, const char *name, int64_t now_ns)
{
    struct stat status = {0};
    if (fstatat(dir_fd, name, &status, 0) != 0) {
        return;
    }
    const int64_t time_ns =
        (int64_t)status.st_mtim.tv_sec * 1000000000 + (int64_t)status.st_mtim.tv_nsec;
    uint64_t mixed = (uint64_t)time_ns + (uint64_t)status.st_ino * 97 + (uint64_t)status.st_size;
    mixed = (mixed ^ mixed >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    look->stamp += mixed ^ mixed >> 32; /* in whatever order the names come */
    look->is_settled &= time_ns > now_ns || now_ns - time_ns > SETTLED_NS;
}

static struct folder_look look_at_folder(const char *keys_dir)
{
    static const char *const parts[] = {"", "/allowed", "/worker.key", "/client.key"};
    const int64_t now_ns = clock_time_ms() * 1000000;
    struct folder_look look = {.is_settled = true};
    char path[4096];
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        snprintf(path, sizeof path, "%s%s", keys_dir, parts[i]);
        look_at(&look, AT_FDCWD, path, now_ns);
        look.stamp = look.stamp * 31 + i;
    }
    snprintf(path, sizeof path, "%s/allowed", keys_dir);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.') {
            look_at(&look, dirfd(dir), entry->d_name, now_ns);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    look.stamp |= 1;
    return look;
}

enum err_code keys_watch_open(struct keys_watch *watch, struct net *net,
                              const struct server_options *options, struct err *err)
{
    struct net_keyring list = {0};
    *watch =
        (struct keys_watch){.net = net,
                            .keys_dir = strdup(options->keys_dir),
                            .state_dir = strdup(options->state_dir),
                            .listen = strdup(options->listen),
                            .advertise = options->advertise ? strdup(options->advertise) : NULL};
    ASSERT(watch->keys_dir != NULL && watch->state_dir != NULL && watch->listen != NULL);
    const struct folder_look look = look_at_folder(watch->keys_dir);
    watch->stamp = look.is_settled ? look.stamp : 0;
    enum err_code rc = read_list(watch, &watch->pairs, &list, err);
    if (rc == ERR_OK) {
        admit(watch, &list);
    }
    return rc;
}

const struct net_key_pair *keys_watch_server(const struct keys_watch *watch)
{
    return &watch->pairs.server;
}

/* ---- access files ---- */

/* The endpoint of socket `place` (0: workers, 1: clients, 2: blobs) as others reach it. */
static enum err_code advertised(const struct keys_watch *watch, int place, const char *bound,
                                char out[256], struct err *err)
{
    char host[128] = "";
    const char *port = strrchr(bound, ':') + 1;
    char forwarded[16];
    if (watch->advertise != NULL) {
        long long first = 0;
        if (!str_host_port(watch->advertise, host, sizeof host, &first) || first > 65535 - 2) {
            return err_set(err, ERR_INVALID,
                           "--advertise wants HOST or HOST:PORT with a port up to 65533, not '%s'",
                           watch->advertise);
        }
        if (first > 0) {
            snprintf(forwarded, sizeof forwarded, "%lld", first + place);
            port = forwarded;
        }
    } else if (strcmp(watch->listen, "0.0.0.0") == 0 || strcmp(watch->listen, "*") == 0) {
        gethostname(host, sizeof host - 1);
    }
    if (*host == '\0') {
        snprintf(out, 256, "%s", bound);
    } else {
        snprintf(out, 256, "tcp://%s:%s", host, port);
    }
    return ERR_OK;
}

static enum err_code write_access(const struct keys_watch *watch, enum net_role role,
                                  const char *endpoint, const struct net_key_pair *own,
                                  struct err *err)
{
    struct net_access access = {.server = watch->pairs.server.public_key, .own = *own};
    char path[4096];
    char fresh[4096 + 8];
    snprintf(access.role, sizeof access.role, "%s", net_role_name(role));
    snprintf(access.endpoint, sizeof access.endpoint, "%s", endpoint);
    snprintf(access.data_endpoint, sizeof access.data_endpoint, "%s", watch->endpoints[2]);
    snprintf(path, sizeof path, "%s/%s.access", watch->state_dir, access.role);
    struct net_access there;
    struct err none;
    if (net_access_load(path, &there, &none) == ERR_OK && net_access_equal(&there, &access)) {
        return ERR_OK; /* a restart on a full disk has nothing to write here */
    }
    snprintf(fresh, sizeof fresh, "%s.new", path);
    unlink(fresh);
    enum err_code rc = net_access_save(fresh, &access, err);
    if (rc == ERR_OK && rename(fresh, path) != 0) {
        rc = err_os(err, errno, "rename '%s' to '%s'", fresh, path);
    }
    explicit_bzero(&access, sizeof access);
    return rc;
}

static enum err_code write_both(const struct keys_watch *watch, struct err *err)
{
    enum err_code rc =
        write_access(watch, NET_CLIENT, watch->endpoints[1], &watch->pairs.client, err);
    return rc != ERR_OK
               ? rc
               : write_access(watch, NET_WORKER, watch->endpoints[0], &watch->pairs.worker, err);
}

enum err_code keys_watch_bound(struct keys_watch *watch, const char *workers, const char *clients,
                               const char *blobs, struct err *err)
{
    const char *const bound[] = {workers, clients, blobs};
    for (int i = 0; i < 3; i++) {
        enum err_code rc = advertised(watch, i, bound[i], watch->endpoints[i], err);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return write_both(watch, err);
}

/* ---- changes ---- */

/* Own keys that were rotated go into the access files, which local workers and clients read. */
static void take_pairs(struct keys_watch *watch, const struct net_server_keys *pairs)
{
    const bool same = memcmp(&pairs->worker, &watch->pairs.worker, sizeof pairs->worker) == 0 &&
                      memcmp(&pairs->client, &watch->pairs.client, sizeof pairs->client) == 0;
    struct err err;
    watch->pairs.worker = pairs->worker;
    watch->pairs.client = pairs->client;
    if (!same && write_both(watch, &err) != ERR_OK) {
        log_event(LOG_ERROR, "access_not_written", "error='%s'", err.text);
    }
}

bool keys_watch_look(struct keys_watch *watch, int64_t now_ms)
{
    struct net_server_keys pairs;
    struct net_keyring list = {0};
    struct err err;
    if (now_ms - watch->looked_ms < LOOK_MS) {
        return false;
    }
    watch->looked_ms = now_ms;
    /* Taken before reading: a change meanwhile is seen the next time. What was written just now is
     * read once more later: another change could have the same time. */
    const struct folder_look look = look_at_folder(watch->keys_dir);
    if (look.stamp == watch->stamp) {
        return false;
    }
    if (read_list(watch, &pairs, &list, &err) != ERR_OK) {
        if (!watch->failing) {
            log_event(LOG_ERROR, "keys_not_read", "error='%s'", err.text);
        }
        watch->failing = true;
        return false;
    }
    watch->failing = false;
    watch->stamp = look.is_settled ? look.stamp : 0;
    admit(watch, &list);
    take_pairs(watch, &pairs);
    explicit_bzero(&pairs, sizeof pairs);
    return true;
}

bool keys_watch_has_user(const struct keys_watch *watch, const char *user)
{
    for (size_t i = 0; i < watch->allowed.count; i++) {
        if (strcmp(watch->allowed.entries[i].name, user) == 0) {
            return true;
        }
    }
    return false;
}

size_t keys_watch_worker_keys(const struct keys_watch *watch, struct digest *out, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < watch->allowed.count && count < max; i++) {
        const struct net_keyring_entry *entry = &watch->allowed.entries[i];
        if (entry->role == NET_WORKER && net_public_key_to_raw(&entry->key, out[count].bytes)) {
            count++;
        }
    }
    return count;
}

void keys_watch_close(struct keys_watch *watch)
{
    free(watch->keys_dir);
    free(watch->state_dir);
    free(watch->listen);
    free(watch->advertise);
    net_keyring_release(&watch->allowed);
    explicit_bzero(watch, sizeof *watch);
}
