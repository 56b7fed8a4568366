#include "hf_cache.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "str.h"

enum { COMMIT_DIGITS = 40, REF_BYTES_MAX = 256, LISTED_MAX = 8 };

static const char prefix[] = "hf:";

bool hf_is_reference(const char *text)
{
    return strncmp(text, prefix, sizeof prefix - 1) == 0;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] != '\0' ? value : NULL;
}

const char *hf_cache_folder(struct arena *arena)
{
    static const struct {
        const char *variable, *below;
    } places[] = {{"HF_HUB_CACHE", ""},
                  {"HUGGINGFACE_HUB_CACHE", ""},
                  {"HF_HOME", "/hub"},
                  {"XDG_CACHE_HOME", "/huggingface/hub"},
                  {"HOME", "/.cache/huggingface/hub"}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *value = variable(places[i].variable);
        if (value)
            return arena_printf(arena, "%s%s", value, places[i].below);
    }
    return arena_strdup(arena, ".cache/huggingface/hub");
}

/* One part of a path, of the characters that the hub allows in names. */
static bool is_name(const char *text, size_t len)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return len > 0 && len <= 96 && text[0] != '.' && strspn(text, allowed) >= len;
}

/* A branch, tag or commit; branches may hold slashes ("refs/pr/1"). */
static bool is_revision(const char *text)
{
    for (;;) {
        size_t len = strcspn(text, "/");
        if (!is_name(text, len))
            return false;
        if (text[len] == '\0')
            return true;
        text += len + 1;
    }
}

static bool is_commit(const char *text)
{
    return strlen(text) == COMMIT_DIGITS && strspn(text, "0123456789abcdef") == COMMIT_DIGITS;
}

static enum err_code split(const char *reference, struct arena *arena, struct hf_snapshot *out,
                           struct err *err)
{
    const char *rest = reference + sizeof prefix - 1;
    size_t len = strcspn(rest, "@"), org = strcspn(rest, "/@");
    const char *revision = rest[len] == '@' ? rest + len + 1 : "main";
    bool good = hf_is_reference(reference) && is_name(rest, org) && rest[org] == '/' &&
                is_name(rest + org + 1, len - org - 1) && is_revision(revision);
    if (!good)
        return err_set(err, ERR_INVALID,
                       "'%.200s' is no checkpoint of the Hugging Face hub: write "
                       "hf:ORG/NAME or hf:ORG/NAME@REVISION",
                       reference);
    out->repository = arena_strndup(arena, rest, len);
    out->revision = arena_strdup(arena, revision);
    return ERR_OK;
}

/* The commit that refs/REVISION names; the revision itself when it is a commit. */
static enum err_code find_commit(const char *folder, struct arena *arena, struct hf_snapshot *s,
                                 struct err *err)
{
    const char *path = arena_printf(arena, "%s/refs/%s", folder, s->revision);
    char *text = NULL;
    size_t len = 0;
    struct err ignored;
    enum err_code rc = file_read(path, REF_BYTES_MAX, &text, &len, &ignored);
    if (rc == ERR_OK) {
        s->commit = arena_strndup(arena, text, strcspn(text, " \t\r\n"));
        if (!is_commit(s->commit))
            rc = err_set(err, ERR_CORRUPT, "read '%s': '%.60s' is no commit", path, s->commit);
        free(text);
        return rc;
    }
    if (!is_commit(s->revision))
        return err_set(err, ERR_NOT_FOUND, "the revision is not there");
    s->commit = s->revision;
    return ERR_OK;
}

/* "; revisions there: main, v1", or that there is nothing. */
static const char *list_revisions(const char *folder, struct arena *arena)
{
    struct strbuf out = {0};
    DIR *dir = opendir(arena_printf(arena, "%s/refs", folder));
    int count = 0;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (e->d_name[0] == '.')
            continue;
        if (count++ < LISTED_MAX)
            strbuf_printf(&out, "%s%s", count > 1 ? ", " : "; revisions there: ", e->d_name);
    }
    if (dir)
        closedir(dir);
    const char *text = arena_strdup(arena, count ? strbuf_text(&out) : "");
    strbuf_release(&out);
    return text;
}

enum err_code hf_resolve(const char *reference, struct arena *arena, struct hf_snapshot *out,
                         struct err *err)
{
    struct hf_snapshot s = {0};
    enum err_code rc = split(reference, arena, &s, err);
    if (rc != ERR_OK)
        return rc;
    const char *cache = hf_cache_folder(arena);
    const char *slash = strchr(s.repository, '/');
    const char *folder = arena_printf(arena, "%s/models--%.*s--%s", cache,
                                      (int)(slash - s.repository), s.repository, slash + 1);
    rc = find_commit(folder, arena, &s, err);
    if (rc == ERR_OK) {
        s.folder = arena_printf(arena, "%s/snapshots/%s", folder, s.commit);
        if (!file_exists(s.folder))
            rc = ERR_NOT_FOUND;
    }
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND,
                       "%s at revision '%s' is not in the local cache '%s'%s. Triad downloads "
                       "nothing: fetch it with 'hf download %s --revision %s', or set HF_HOME",
                       s.repository, s.revision, cache, list_revisions(folder, arena), s.repository,
                       s.revision);
    if (rc == ERR_OK)
        *out = s;
    return rc;
}

enum err_code hf_folder(const char *folder_or_reference, struct arena *arena,
                        const char **folder_out, struct err *err)
{
    struct hf_snapshot snapshot;
    if (!hf_is_reference(folder_or_reference)) {
        *folder_out = folder_or_reference;
        return ERR_OK;
    }
    enum err_code rc = hf_resolve(folder_or_reference, arena, &snapshot, err);
    if (rc == ERR_OK)
        *folder_out = snapshot.folder;
    return rc;
}
