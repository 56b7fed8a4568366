#include "checkpoint_turns.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "file.h"
#include "json_field.h"
#include "model_config.h"
#include "str.h"

enum { CONFIG_BYTES_MAX = 64 << 20, FILE_MODE = 0644 };

static const char stop_key[] = "eos_token_id";

/* Put `id` behind the ids that already stop, in the form of real checkpoints: a list. */
static enum err_code add_stop(json_t *root, const char *path, int32_t id, struct err *err)
{
    json_t *old = json_object_get(root, stop_key), *list = json_array();
    if (json_is_integer(old))
        json_array_append(list, old);
    else if (json_is_array(old))
        json_array_extend(list, old);
    bool is_known = false;
    for (size_t i = 0; i < json_array_size(list); i++)
        is_known = is_known || json_integer_value(json_array_get(list, i)) == id;
    if (!is_known)
        json_array_append_new(list, json_integer(id));
    const bool fits = json_array_size(list) <= MODEL_EOS_MAX;
    if (fits && !is_known)
        json_object_set(root, stop_key, list);
    json_decref(list);
    return fits ? ERR_OK
                : err_set(err, ERR_LIMIT, "'%s': %s lists %d ids already; there is no room for %d",
                          path, stop_key, MODEL_EOS_MAX, (int)id);
}

static enum err_code read_object(const char *path, json_t **root_out, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    enum err_code rc = file_read(path, CONFIG_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = json_parse_object(text, len, path, root_out, err);
    free(text);
    return rc;
}

static enum err_code write_object(const char *path, const json_t *root, struct err *err)
{
    struct strbuf text = {0};
    char *printed = json_print_object(root);
    strbuf_puts(&text, printed);
    strbuf_putc(&text, '\n');
    enum err_code rc = file_write_atomic(path, text.data, text.len, FILE_MODE, err);
    strbuf_release(&text);
    free(printed);
    return rc;
}

static enum err_code stop_in_config(const char *path, int32_t id, json_t **root_out,
                                    struct err *err)
{
    enum err_code rc = read_object(path, root_out, err);
    if (rc == ERR_OK)
        rc = add_stop(*root_out, path, id, err);
    return rc == ERR_OK ? write_object(path, *root_out, err) : rc;
}

/* What generate() of transformers obeys; where there is none, as it makes one from `config`. */
static enum err_code stop_in_generation(const char *path, int32_t id, const json_t *config,
                                        struct err *err)
{
    json_t *root = NULL;
    enum err_code rc = ERR_OK;
    if (file_exists(path)) {
        rc = read_object(path, &root, err);
    } else {
        static const char *const shared[] = {"bos_token_id", stop_key};
        root = json_pack("{sb}", "_from_model_config", 1);
        for (size_t i = 0; i < 2; i++) {
            if (json_object_get(config, shared[i]))
                json_object_set(root, shared[i], json_object_get(config, shared[i]));
        }
    }
    if (rc == ERR_OK)
        rc = add_stop(root, path, id, err);
    if (rc == ERR_OK)
        rc = write_object(path, root, err);
    json_decref(root);
    return rc;
}

/* A file with an integer too large for JSON's readers (model_max_length of tokenizers without a
 * limit) was read with all its numbers as reals: those that are integers become such again. */
static void restore_integers(json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    json_object_foreach(value, key, member)
    {
        const double number = json_is_real(member) ? json_real_value(member) : 0.5;
        if (number == floor(number) && fabs(number) < 9e15)
            json_object_set_new_nocheck(value, key, json_integer((json_int_t)number));
        else
            restore_integers(member);
    }
    json_array_foreach(value, i, member) restore_integers(member);
}

static enum err_code write_template(const char *folder, const char *text, struct arena *arena,
                                    struct err *err)
{
    const char *config = arena_printf(arena, "%s/tokenizer_config.json", folder);
    json_t *root = NULL;
    enum err_code rc = file_write_atomic(arena_printf(arena, "%s/chat_template.jinja", folder),
                                         text, strlen(text), FILE_MODE, err);
    if (rc != ERR_OK || !file_exists(config))
        return rc;
    rc = read_object(config, &root, err);
    if (rc == ERR_OK) {
        if (json_is_real(json_object_get(root, "model_max_length")))
            restore_integers(root);
        json_object_set_new(root, "chat_template", json_string(text));
        rc = write_object(config, root, err);
    }
    json_decref(root);
    return rc;
}

enum err_code checkpoint_add_turns(const char *folder, const struct tokenizer *tokenizer,
                                   const char *end, const char *chat_template, struct err *err)
{
    struct arena arena = {0};
    json_t *config = NULL;
    const int32_t id = tokenizer_special(tokenizer, end);
    if (id == TOKEN_NONE)
        return err_set(err, ERR_INVALID, "'%s' has no token '%.64s' to end its turns", folder, end);
    enum err_code rc =
        stop_in_config(arena_printf(&arena, "%s/config.json", folder), id, &config, err);
    if (rc == ERR_OK)
        rc = stop_in_generation(arena_printf(&arena, "%s/generation_config.json", folder), id,
                                config, err);
    if (rc == ERR_OK && chat_template)
        rc = write_template(folder, chat_template, &arena, err);
    json_decref(config);
    arena_release(&arena);
    return rc;
}
