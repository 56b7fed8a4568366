#include "net_keys.h"

#include "net_keys_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <zmq.h>

#include "check.h"
#include "file.h"
#include "str.h"

#define KEY_FILE_BYTES_MAX 8192
#define Z85_CHARS          40

static const struct {
    const char *name;
    enum net_role role;
} roles[] = {{"worker", NET_WORKER}, {"client", NET_CLIENT}, {"viewer", NET_VIEWER}};

const char *net_role_name(enum net_role role)
{
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        if (roles[i].role == role)
            return roles[i].name;
    }
    UNREACHABLE("a role without a name");
}

bool net_role_parse(const char *name, enum net_role *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        if (strcmp(roles[i].name, name) == 0) {
            *out = roles[i].role;
            return true;
        }
    }
    return false;
}

void net_key_pair_new(struct net_key_pair *out)
{
    int rc = zmq_curve_keypair(out->public_key.z85, out->secret_z85);
    ASSERT(rc == 0); /* only fails when libzmq was built without CURVE */
}

void net_public_key_from_raw(const uint8_t raw[NET_KEY_BYTES], struct net_public_key *out)
{
    char *text = zmq_z85_encode(out->z85, raw, NET_KEY_BYTES);
    ASSERT(text != NULL); /* any 32 bytes have a text */
}

bool net_public_key_to_raw(const struct net_public_key *key, uint8_t out[NET_KEY_BYTES])
{
    return strlen(key->z85) == Z85_CHARS && zmq_z85_decode(out, key->z85) != NULL;
}

/* Create `path` with mode 0600, durably; ERR_CONFLICT when it is there: it never replaces. */
static enum err_code net_key_write_new(const char *path, const char *text, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_set(err, ERR_CONFLICT,
                       "write '%s': it is already there, and keys are never "
                       "overwritten",
                       path);
    if (fd < 0)
        return file_create_failed(path, errno, err);
    enum err_code rc = ERR_OK;
    size_t len = strlen(text);
    ssize_t n = write(fd, text, len);
    if (n < 0 || fsync(fd) != 0)
        rc = err_os(err, errno, "write '%s'", path);
    else if ((size_t)n != len)
        rc = err_os(err, ENOSPC, "write '%s'", path);
    close(fd);
    if (rc != ERR_OK)
        unlink(path); /* ours: O_EXCL said so */
    return rc;
}

/* Read a file that holds a secret: ERR_DENIED when others may read it. Give the text to
 * net_key_forget(). */
static enum err_code net_key_read_secret(const char *path, char **text_out, size_t *len_out,
                                         struct err *err)
{
    struct stat status;
    const bool is_there = stat(path, &status) == 0;
    if (is_there && !S_ISREG(status.st_mode))
        return err_set(err, ERR_INVALID, "read '%s': it is no file", path);
    if (is_there && (status.st_mode & 077) != 0)
        return err_set(
            err, ERR_DENIED,
            "read '%s': it holds a secret key, but others may read it; run: chmod 600 %s", path,
            path);
    return file_read(path, KEY_FILE_BYTES_MAX, text_out, len_out, err);
}

/* Overwrite and free a text that held a secret; accepts NULL. */
static void net_key_forget(char *text, size_t len)
{
    if (text)
        explicit_bzero(text, len);
    free(text);
}

enum err_code net_key_take_text(json_t *object, const char *name, const char *key, char *out,
                                size_t out_bytes, struct err *err)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text)
        return err_set(err, ERR_INVALID, "'%s': \"%s\" is missing or not a text", name, key);
    if (strlen(text) >= out_bytes)
        return err_set(err, ERR_INVALID, "'%s': \"%s\" is longer than %zu characters", name, key,
                       out_bytes - 1);
    snprintf(out, out_bytes, "%s", text);
    return ERR_OK;
}

enum err_code net_key_take_key(json_t *object, const char *name, const char *key,
                               char out[Z85_CHARS + 1], struct err *err)
{
    uint8_t raw[32];
    enum err_code rc = net_key_take_text(object, name, key, out, Z85_CHARS + 1, err);
    if (rc != ERR_OK)
        return rc;
    bool good = strlen(out) == Z85_CHARS && zmq_z85_decode(raw, out) != NULL;
    explicit_bzero(raw, sizeof raw);
    if (!good)
        return err_set(err, ERR_INVALID, "'%s': \"%s\" is not a key of 40 Z85 characters", name,
                       key);
    return ERR_OK;
}

static enum err_code take_pair(json_t *object, const char *name, struct net_key_pair *out,
                               struct err *err)
{
    char derived[Z85_CHARS + 1];
    enum err_code rc = net_key_take_key(object, name, "public", out->public_key.z85, err);
    if (rc == ERR_OK)
        rc = net_key_take_key(object, name, "secret", out->secret_z85, err);
    if (rc != ERR_OK)
        return rc;
    if (zmq_curve_public(derived, out->secret_z85) != 0 ||
        strcmp(derived, out->public_key.z85) != 0)
        return err_set(err, ERR_INVALID, "'%s': \"public\" does not belong to \"secret\"", name);
    return ERR_OK;
}

enum err_code net_key_parse_object(const char *bytes, size_t len, const char *name,
                                   const char *marker, json_t **out, struct err *err)
{
    json_error_t problem;
    json_t *object = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &problem);
    if (!object)
        return err_set(err, ERR_INVALID, "'%s': line %d: %s", name, problem.line, problem.text);
    if (json_integer_value(json_object_get(object, marker)) != 1) {
        json_decref(object);
        return err_set(err, ERR_INVALID, "'%s': does not say \"%s\": 1", name, marker);
    }
    *out = object;
    return ERR_OK;
}

/* ---- access files ---- */

enum err_code net_access_parse(const char *bytes, size_t len, const char *name,
                               struct net_access *out, struct err *err)
{
    json_t *object;
    struct net_access a;
    memset(&a, 0, sizeof a);
    enum err_code rc = net_key_parse_object(bytes, len, name, "triad_access", &object, err);
    if (rc != ERR_OK)
        return rc;
    rc = net_key_take_text(object, name, "role", a.role, sizeof a.role, err);
    if (rc == ERR_OK && !net_role_parse(a.role, &(enum net_role){NET_WORKER}))
        rc = err_set(err, ERR_INVALID, "'%s': \"role\" is neither worker, client nor viewer", name);
    if (rc == ERR_OK)
        rc = net_key_take_text(object, name, "endpoint", a.endpoint, sizeof a.endpoint, err);
    if (rc == ERR_OK)
        rc = net_key_take_text(object, name, "data_endpoint", a.data_endpoint,
                               sizeof a.data_endpoint, err);
    if (rc == ERR_OK)
        rc = net_key_take_key(object, name, "server", a.server.z85, err);
    if (rc == ERR_OK)
        rc = take_pair(object, name, &a.own, err);
    if (rc == ERR_OK)
        *out = a;
    explicit_bzero(&a, sizeof a);
    json_decref(object);
    return rc;
}

enum err_code net_access_load(const char *path, struct net_access *out, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    enum err_code rc = net_key_read_secret(path, &text, &len, err);
    if (rc == ERR_OK)
        rc = net_access_parse(text, len, path, out, err);
    net_key_forget(text, len);
    return rc == ERR_OK ? rc : err_wrap(err, "load access file");
}

bool net_access_equal(const struct net_access *a, const struct net_access *b)
{
    return strcmp(a->role, b->role) == 0 && strcmp(a->endpoint, b->endpoint) == 0 &&
           strcmp(a->data_endpoint, b->data_endpoint) == 0 &&
           strcmp(a->server.z85, b->server.z85) == 0 &&
           strcmp(a->own.public_key.z85, b->own.public_key.z85) == 0 &&
           strcmp(a->own.secret_z85, b->own.secret_z85) == 0;
}

/* Write what holds a secret as `path`, by net_key_write_new(); takes the object. */
static enum err_code write_object(const char *path, json_t *object, struct err *err)
{
    ASSERT(object != NULL);
    char *text = json_dumps(object, JSON_INDENT(2));
    ASSERT(text != NULL);
    enum err_code rc = net_key_write_new(path, text, err);
    net_key_forget(text, strlen(text));
    json_decref(object);
    return rc;
}

enum err_code net_access_save(const char *path, const struct net_access *a, struct err *err)
{
    json_t *object =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s}", "triad_access", 1, "role", a->role,
                  "endpoint", a->endpoint, "data_endpoint", a->data_endpoint, "server",
                  a->server.z85, "public", a->own.public_key.z85, "secret", a->own.secret_z85);
    return write_object(path, object, err);
}

/* ---- the coordinator's keys ---- */

enum { KEY_SERVER, KEY_CLIENT, KEY_WORKER };
static const char *const server_key_names[] = {"server", "client", "worker"};

static struct net_key_pair *server_key(struct net_server_keys *keys, size_t i)
{
    struct net_key_pair *pairs[] = {&keys->server, &keys->client, &keys->worker};
    return pairs[i];
}

static enum err_code key_path(const char *folder, size_t i, char *path, size_t path_bytes,
                              struct err *err)
{
    int n = snprintf(path, path_bytes, "%s/%s.key", folder, server_key_names[i]);
    if (n < 0 || (size_t)n >= path_bytes)
        return err_set(err, ERR_LIMIT, "keys folder '%s': path too long", folder);
    return ERR_OK;
}

static enum err_code net_key_write_pair(const char *path, const struct net_key_pair *pair,
                                        struct err *err)
{
    json_t *object = json_pack("{s:i, s:s, s:s}", "triad_key", 1, "public", pair->public_key.z85,
                               "secret", pair->secret_z85);
    return write_object(path, object, err);
}

/* Write a new pair as `folder`/NAME.key. */
static enum err_code write_key(const char *folder, size_t i, struct err *err)
{
    char path[4096];
    enum err_code rc = key_path(folder, i, path, sizeof path, err);
    if (rc != ERR_OK)
        return rc;
    struct net_key_pair pair;
    net_key_pair_new(&pair);
    rc = net_key_write_pair(path, &pair, err);
    explicit_bzero(&pair, sizeof pair);
    return rc;
}

static enum err_code check_no_keys(const char *folder, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(server_key_names); i++) {
        char path[4096];
        enum err_code rc = key_path(folder, i, path, sizeof path, err);
        if (rc != ERR_OK)
            return rc;
        if (file_exists(path))
            return err_set(err, ERR_CONFLICT,
                           "make keys in '%s': %s.key is already there, and keys are never "
                           "overwritten",
                           folder, server_key_names[i]);
    }
    return ERR_OK;
}

/* Give a finished folder its name; an empty folder may have it. */
static enum err_code name_folder(const char *fresh, const char *folder, struct err *err)
{
    if (rename(fresh, folder) == 0)
        return ERR_OK;
    if (errno == ENOTEMPTY || errno == EEXIST)
        return err_set(err, ERR_CONFLICT,
                       "make keys in '%s': the folder holds other files; name a new or empty one",
                       folder);
    return err_os(err, errno, "make keys in '%s'", folder);
}

/* All three or none: they are made in a neighbouring folder, which takes the name at the end. */
enum err_code net_server_keys_init(const char *folder, struct err *err)
{
    char fresh[4096];
    char parent[4096];
    int n = snprintf(fresh, sizeof fresh, "%s.XXXXXX", folder);
    if (n < 0 || (size_t)n >= sizeof fresh)
        return err_set(err, ERR_LIMIT, "keys folder '%s': path too long", folder);
    enum err_code rc = file_mkdirs(folder, 0700, err); /* and with it the folders above */
    if (rc == ERR_OK)
        rc = check_no_keys(folder, err);
    if (rc != ERR_OK)
        return rc;
    if (!mkdtemp(fresh))
        return err_os(err, errno, "make keys in '%s'", folder);
    for (size_t i = 0; rc == ERR_OK && i < ARRAY_COUNT(server_key_names); i++)
        rc = write_key(fresh, i, err);
    if (rc == ERR_OK)
        rc = file_sync_dir(fresh, err);
    if (rc == ERR_OK)
        rc = name_folder(fresh, folder, err);
    if (rc != ERR_OK) {
        struct err later;
        (void)!file_remove_tree(fresh, &later);
        return rc;
    }
    snprintf(parent, sizeof parent, "%s/..", folder);
    return file_sync_dir(parent, err);
}

enum err_code net_server_keys_load(const char *folder, struct net_server_keys *out, struct err *err)
{
    struct net_server_keys keys;
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < ARRAY_COUNT(server_key_names); i++) {
        char path[4096];
        char *text = NULL;
        size_t len = 0;
        json_t *object = NULL;
        rc = key_path(folder, i, path, sizeof path, err);
        if (rc == ERR_OK)
            rc = net_key_read_secret(path, &text, &len, err);
        if (rc == ERR_OK)
            rc = net_key_parse_object(text, len, path, "triad_key", &object, err);
        if (rc == ERR_OK)
            rc = take_pair(object, path, server_key(&keys, i), err);
        json_decref(object);
        net_key_forget(text, len);
    }
    if (rc == ERR_OK)
        *out = keys;
    explicit_bzero(&keys, sizeof keys);
    return rc == ERR_OK ? rc : err_wrap(err, "load keys");
}

enum err_code net_server_keys_rotate(const char *folder, enum net_role role, struct err *err)
{
    char path[4096];
    char fresh[4096 + 8];
    struct net_key_pair pair;
    ASSERT(role == NET_WORKER || role == NET_CLIENT);
    enum err_code rc =
        key_path(folder, role == NET_WORKER ? KEY_WORKER : KEY_CLIENT, path, sizeof path, err);
    if (rc != ERR_OK)
        return rc;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    unlink(fresh); /* of an interrupted rotation */
    net_key_pair_new(&pair);
    rc = net_key_write_pair(fresh, &pair, err);
    explicit_bzero(&pair, sizeof pair);
    if (rc == ERR_OK && rename(fresh, path) != 0)
        rc = err_os(err, errno, "rename '%s' to '%s'", fresh, path);
    return rc == ERR_OK ? file_sync_dir(folder, err) : rc;
}
