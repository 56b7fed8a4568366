#include "shared_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "blob_folder.h"
#include "bounds.h"
#include "check.h"
#include "file.h"

#define OWNER_BYTES_MAX (PATH_BYTES_MAX + 2)

/* Is there anything in STATE/blobs? The folders of blobs are made with their first. */
static bool state_has_blobs(const char *state_dir, struct arena *arena)
{
    for (unsigned first = 0; first < 256; first++) {
        if (file_exists(arena_printf(arena, "%s/blobs/%02x", state_dir, first))) {
            return true;
        }
    }
    return false;
}

static enum err_code check_is_ours(const char *dir, const struct digest *token, struct arena *arena,
                                   struct err *err)
{
    struct digest found;
    struct err cause;
    if (blob_folder_token(arena_printf(arena, "%s/blobs", dir), &found, &cause) != ERR_OK) {
        return err_set(err, ERR_NOT_FOUND,
                       "the shared store '%s' is not there (%s): is its file system mounted?", dir,
                       cause.text);
    }
    return digest_equal(&found, token)
               ? ERR_OK
               : err_set(err, ERR_CONFLICT, "'%s' is not the shared store of this state any more",
                         dir);
}

/* How an owner names itself: the state folder, whatever it was called by. */
static const char *owner_text(const char *state_dir, struct arena *arena)
{
    char *absolute = realpath(state_dir, NULL);
    const char *text = arena_printf(arena, "%s\n", absolute != NULL ? absolute : state_dir);
    free(absolute);
    return text;
}

static enum err_code check_is_free(const char *state_dir, const char *dir, struct arena *arena,
                                   struct err *err)
{
    const char *owner = arena_printf(arena, "%s/blobs/owner", dir);
    char *text = NULL;
    size_t len = 0;
    const bool has_owner = file_read(owner, OWNER_BYTES_MAX, &text, &len, err) == ERR_OK;
    const bool is_ours = has_owner && strcmp(text, owner_text(state_dir, arena)) == 0;
    if (has_owner && !is_ours) {
        err_set(err, ERR_CONFLICT,
                "the shared store '%s' belongs to the coordinator of '%.*s': name another folder "
                "(or, when that one is gone for good, remove '%s')",
                dir, (int)strcspn(text, "\n"), text, owner);
        free(text);
        return ERR_CONFLICT;
    }
    free(text);
    if (state_has_blobs(state_dir, arena)) {
        return err_set(err, ERR_CONFLICT,
                       "blobs lie in '%s/blobs' already; move them first: mv '%s/blobs' '%s/blobs'",
                       state_dir, state_dir, dir);
    }
    return ERR_OK;
}

enum err_code shared_store_find(const char *state_dir, const char *wish, char **out,
                                struct err *err)
{
    struct arena arena = {0};
    struct digest token;
    const char *noted = NULL;
    char *absolute = NULL;
    const char *dir = state_dir;
    enum err_code rc = blob_folder_noted(state_dir, &arena, &noted, &token, err);
    if (rc == ERR_OK && wish != NULL) {
        rc = file_mkdirs(wish, 0700, err);
        if (rc == ERR_OK) {
            absolute = realpath(wish, NULL);
            rc = absolute != NULL ? ERR_OK : err_os(err, errno, "find folder '%s'", wish);
        }
        dir = absolute;
    } else if (noted != NULL) {
        dir = noted;
    }
    if (rc == ERR_OK && noted != NULL) {
        rc = check_is_ours(dir, &token, &arena, err);
    } else if (rc == ERR_OK && wish != NULL) {
        rc = check_is_free(state_dir, dir, &arena, err);
    }
    if (rc == ERR_OK) {
        *out = strdup(dir);
        ASSERT(*out != NULL);
    }
    free(absolute);
    arena_release(&arena);
    return rc;
}

enum err_code shared_store_claim(const char *state_dir, const char *dir, const struct digest *token,
                                 struct err *err)
{
    struct arena arena = {0};
    struct digest noted_token;
    const char *noted = NULL;
    if (strcmp(state_dir, dir) == 0) {
        return ERR_OK;
    }
    if (digest_is_none(token)) {
        return err_set(err, ERR_IO, "the shared store '%s' cannot be written", dir);
    }
    enum err_code rc = blob_folder_noted(state_dir, &arena, &noted, &noted_token, err);
    if (rc != ERR_OK || (noted != NULL && strcmp(noted, dir) == 0)) {
        arena_release(&arena);
        return rc; /* a restart on a full disk has nothing to write here */
    }
    const char *owner = owner_text(state_dir, &arena);
    rc = file_write_atomic(arena_printf(&arena, "%s/blobs/owner", dir), owner, strlen(owner), 0600,
                           err);
    if (rc == ERR_OK) {
        rc = blob_folder_note(state_dir, dir, token, err);
    }
    arena_release(&arena);
    return rc;
}
