#include "blob_folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "bounds.h"
#include "check.h"
#include "file.h"

char *blob_folder_path(const char *folder, const struct digest *digest, struct arena *arena)
{
    char hex[DIGEST_HEX_SIZE];
    digest_hex(digest, hex);
    return arena_printf(arena, "%s/%.2s/%s", folder, hex, hex + 2);
}

char *blob_folder_incoming(const char *folder, const struct digest *digest, uint64_t nonce,
                           struct arena *arena)
{
    char hex[DIGEST_HEX_SIZE];
    return arena_printf(arena, "%s/incoming/%s.%016" PRIx64, folder, digest_hex(digest, hex),
                        nonce);
}

enum err_code blob_folder_token(const char *folder, struct digest *out, struct err *err)
{
    struct arena arena = {0};
    char *text = NULL;
    size_t len = 0;
    const char *path = arena_printf(&arena, "%s/token", folder);
    enum err_code rc = file_read(path, DIGEST_HEX_SIZE, &text, &len, err);
    if (rc == ERR_OK) {
        if (len > 0 && text[len - 1] == '\n')
            text[len - 1] = '\0';
        if (!digest_from_hex(text, out))
            rc = err_set(err, ERR_INVALID, "'%s' does not hold a token", path);
    }
    free(text);
    arena_release(&arena);
    return rc;
}

enum err_code blob_folder_token_make(const char *folder, struct digest *out, struct err *err)
{
    struct arena arena = {0};
    char hex[DIGEST_HEX_SIZE];
    enum err_code rc = blob_folder_token(folder, out, err);
    if (rc == ERR_NOT_FOUND) {
        ssize_t n = getrandom(out->bytes, sizeof out->bytes, 0);
        ASSERT(n == (ssize_t)sizeof out->bytes);
        const char *text = arena_printf(&arena, "%s\n", digest_hex(out, hex));
        rc = file_write_atomic(arena_printf(&arena, "%s/token", folder), text, strlen(text),
                               BLOB_MODE, err);
    }
    arena_release(&arena);
    return rc;
}

/* The token, a space, the folder, a newline. */
enum err_code blob_folder_noted(const char *state_dir, struct arena *arena, const char **dir_out,
                                struct digest *token, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    char hex[DIGEST_HEX_SIZE];
    const size_t head = DIGEST_HEX_SIZE - 1;
    const char *path = arena_printf(arena, "%s/shared-store", state_dir);
    *dir_out = NULL;
    enum err_code rc = file_read(path, PATH_BYTES_MAX + DIGEST_HEX_SIZE + 2, &text, &len, err);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    if (rc != ERR_OK)
        return rc;
    if (len > head + 2 && text[head] == ' ' && text[len - 1] == '\n') {
        memcpy(hex, text, head);
        hex[head] = '\0';
        if (digest_from_hex(hex, token))
            *dir_out = arena_strndup(arena, text + head + 1, len - head - 2);
    }
    free(text);
    return *dir_out ? ERR_OK : err_set(err, ERR_INVALID, "'%s' cannot be understood", path);
}

enum err_code blob_folder_note(const char *state_dir, const char *dir, const struct digest *token,
                               struct err *err)
{
    struct arena arena = {0};
    char hex[DIGEST_HEX_SIZE];
    const char *text = arena_printf(&arena, "%s %s\n", digest_hex(token, hex), dir);
    enum err_code rc = file_write_atomic(arena_printf(&arena, "%s/shared-store", state_dir), text,
                                         strlen(text), 0600, err);
    arena_release(&arena);
    return rc;
}

enum err_code blob_link_or_copy(const char *from, const char *to, struct err *err)
{
    if (link(from, to) == 0 || errno == EEXIST)
        return ERR_OK;
    return file_copy(from, to, BLOB_MODE, err);
}

enum err_code blob_folder_take(const char *folder, const struct digest *digest, const char *to,
                               bool may_link, struct err *err)
{
    struct arena arena = {0};
    struct digest found;
    const char *from = blob_folder_path(folder, digest, &arena);
    enum err_code rc =
        may_link ? blob_link_or_copy(from, to, err) : file_copy(from, to, BLOB_MODE, err);
    if (rc == ERR_OK)
        rc = hash_file(to, &found, err);
    if (rc == ERR_OK && !digest_equal(&found, digest))
        rc = err_set(err, ERR_CORRUPT, "'%s' does not hold the bytes that its name promises", from);
    if (rc != ERR_OK)
        unlink(to); /* ours: nobody else knows the name */
    arena_release(&arena);
    return rc;
}

enum err_code blob_folder_place(const char *folder, const struct digest *digest, uint64_t nonce,
                                const char *from, bool may_link, struct err *err)
{
    struct arena arena = {0};
    const char *to = blob_folder_incoming(folder, digest, nonce, &arena);
    enum err_code rc =
        may_link ? blob_link_or_copy(from, to, err) : file_copy(from, to, BLOB_MODE, err);
    if (rc == ERR_OK)
        rc = file_sync_dir(arena_printf(&arena, "%s/incoming", folder), err);
    arena_release(&arena);
    return rc;
}
