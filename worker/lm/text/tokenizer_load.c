/* Tokenizers from files and folders. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "json_scan.h"
#include "tokenizer_cache.h"
#include "tokenizer_impl.h"
#include "tokenizer_json.h"

/* The largest in use (Gemma 3) has 33 MB. */
enum { FILE_BYTES_MAX = 256 << 20, CONFIG_BYTES_MAX = 16 << 20, PATH_BYTES = 4096 };

/* bos_token and eos_token are a text, an object with "content", or null. */
static enum err_code read_name(struct json_scan *scan, struct strbuf *room, struct str *name,
                               struct err *err)
{
    struct str value = {0};
    *name = (struct str){0};
    if (json_scan_is(scan, '"'))
        return json_scan_string(scan, room, name, err);
    if (!json_scan_is(scan, '{'))
        return json_scan_value(scan, &value, err);
    bool is_first = true;
    enum err_code rc = json_scan_open(scan, '{', err);
    struct strbuf key_room = {0};
    for (bool more = true; rc == ERR_OK && more;) {
        struct str key;
        rc = json_scan_key(scan, &is_first, &key_room, &key, &more, err);
        if (rc != ERR_OK || !more)
            break;
        bool is_content = str_equal(key, str_from("content")) && json_scan_is(scan, '"');
        rc = is_content ? json_scan_string(scan, room, name, err)
                        : json_scan_value(scan, &value, err);
    }
    strbuf_release(&key_room);
    return rc;
}

static enum err_code set_named(const struct tokenizer *t, const char *key, struct str name,
                               int32_t *id, struct err *err)
{
    if (!name.data)
        return ERR_OK;
    int32_t found = added_tokens_find(&t->added, name);
    if (found == TOKEN_NONE)
        return err_set(err, ERR_INVALID, "%s '%.*s' is not among the added tokens", key,
                       (int)(name.len < 80 ? name.len : 80), name.data);
    *id = found;
    return ERR_OK;
}

/* Only two keys matter to us, and the list of tokens beside them can have a megabyte. */
static enum err_code scan_config(struct tokenizer *t, struct json_scan *scan, struct err *err)
{
    bool is_first = true;
    struct strbuf room = {0};
    struct strbuf key_room = {0};
    enum err_code rc = json_scan_open(scan, '{', err);
    while (rc == ERR_OK) {
        struct str key;
        struct str value;
        bool more = false;
        rc = json_scan_key(scan, &is_first, &key_room, &key, &more, err);
        if (rc != ERR_OK || !more)
            break;
        bool is_bos = str_equal(key, str_from("bos_token"));
        if (is_bos || str_equal(key, str_from("eos_token"))) {
            rc = read_name(scan, &room, &value, err);
            if (rc == ERR_OK)
                rc = set_named(t, is_bos ? "bos_token" : "eos_token", value,
                               is_bos ? &t->bos : &t->eos, err);
        } else {
            rc = json_scan_value(scan, &value, err);
        }
    }
    strbuf_release(&room);
    strbuf_release(&key_room);
    return rc == ERR_OK ? json_scan_end(scan, err) : rc;
}

static enum err_code read_config(struct tokenizer *t, const char *path, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    struct json_scan scan;
    enum err_code rc = file_read(path, CONFIG_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = json_scan_begin(&scan, (struct str){text, len}, path, err);
    if (rc == ERR_OK)
        rc = scan_config(t, &scan, err);
    free(text);
    return rc == ERR_OK ? rc : err_wrap(err, "read '%s'", path);
}

static enum err_code open_text(struct str text, const char *path, struct tokenizer **tokenizer_out,
                               struct err *err)
{
    if (text.len < TOKENIZER_CACHE_BYTES_MIN)
        return tokenizer_read_json(text, path, NULL, tokenizer_out, err);
    struct digest source = hash_bytes(text.data, text.len);
    if (tokenizer_cache_open(&source, tokenizer_out, NULL) == ERR_OK)
        return ERR_OK;
    enum err_code rc = tokenizer_read_json(text, path, &source, tokenizer_out, err);
    if (rc == ERR_OK)
        (void)!tokenizer_cache_write(*tokenizer_out, NULL);
    return rc;
}

enum err_code tokenizer_load(const char *path, struct tokenizer **tokenizer_out, struct err *err)
{
    char file[PATH_BYTES];
    char config[PATH_BYTES];
    if (snprintf(file, sizeof file, "%s/tokenizer.json", path) >= (int)sizeof file ||
        snprintf(config, sizeof config, "%s/tokenizer_config.json", path) >= (int)sizeof config)
        return err_set(err, ERR_INVALID, "load tokenizer '%s': path too long", path);
    bool is_folder = file_exists(file);
    if (!is_folder && file_is_folder(path))
        return err_set(err, ERR_NOT_FOUND, "load tokenizer '%s': there is no tokenizer.json", path);
    char *text = NULL;
    size_t len = 0;
    enum err_code rc = file_read(is_folder ? file : path, FILE_BYTES_MAX, &text, &len, err);
    struct tokenizer *t = NULL;
    if (rc == ERR_OK)
        rc = open_text((struct str){text, len}, is_folder ? file : path, &t, err);
    free(text);
    if (rc == ERR_OK && is_folder && file_exists(config))
        rc = read_config(t, config, err);
    if (rc != ERR_OK) {
        tokenizer_free(t);
        return rc;
    }
    *tokenizer_out = t;
    return ERR_OK;
}
