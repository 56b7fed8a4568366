#include "voice.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint_env.h"
#include "file.h"
#include "hf_cache.h"
#include "kernels.h"
#include "special_tokens.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)

static enum err_code set_threads(const struct cli *cli, struct err *err)
{
    long long threads = sysconf(_SC_NPROCESSORS_ONLN);
    if (cli_value(cli, "threads")) {
        enum err_code rc = cli_integer(cli, "threads", 1, 1024, &threads, err);
        if (rc != ERR_OK)
            return rc;
    }
    kernel_threads_set((int)(threads > 0 ? threads : 1));
    return ERR_OK;
}

enum err_code voice_open(struct cli *cli, const char *name, struct voice *out, struct err *err)
{
    *out = (struct voice){0};
    enum err_code rc = set_threads(cli, err);
    if (rc == ERR_OK)
        rc = hf_folder(name, &cli->arena, &out->folder, err);
    if (rc == ERR_OK)
        rc = tokenizer_load(out->folder, &out->tokenizer, err);
    if (rc == ERR_OK)
        rc = model_open(out->folder, &out->model, err);
    if (rc != ERR_OK)
        return rc;
    const int tokens = tokenizer_vocabulary(out->tokenizer);
    const int rows = model_shape(out->model)->vocabulary;
    if (!special_tokens_fit(out->tokenizer, rows))
        return err_set(err, ERR_INVALID,
                       "'%s': the tokenizer has %d entries, but the model only %d rows",
                       out->folder, tokens, rows);
    return ERR_OK;
}

void voice_close(struct voice *voice)
{
    model_free(voice->model);
    tokenizer_free(voice->tokenizer);
}

void voice_note_repair(const struct cli *cli, const struct voice *voice)
{
    size_t places = tokenizer_replaced(voice->tokenizer);
    if (places > 0)
        cli_note(cli, "the text is not UTF-8 in %zu places: U+FFFD stands there", places);
}

enum err_code voice_encode(const struct voice *voice, struct str text, struct token_list *ids,
                           struct err *err)
{
    const int32_t bos = tokenizer_bos(voice->tokenizer);
    if (bos != TOKEN_NONE)
        token_list_append(ids, &bos, 1);
    return text.len ? tokenizer_encode(voice->tokenizer, text, ids, err) : ERR_OK;
}

enum err_code voice_encode_sequence(const struct voice *voice, const struct sequence *sequence,
                                    struct token_list *ids, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < sequence->segment_count; i++) {
        const struct segment *s = &sequence->segments[i];
        if (s->kind == SEGMENT_TEXT) {
            rc = tokenizer_encode(voice->tokenizer, s->text, ids, err);
            continue;
        }
        const int32_t id = tokenizer_special(voice->tokenizer, s->text.data);
        if (id == TOKEN_NONE)
            rc = err_set(err, ERR_INVALID,
                         "'%s' has no token '%s', which these turns need: name others with --turns",
                         voice->folder, s->text.data);
        else
            token_list_append(ids, &id, 1);
    }
    return rc;
}

enum err_code voice_turns(struct cli *cli, const struct voice *voice,
                          const struct turn_style **style_out, struct err *err)
{
    struct plan_chat chat;
    const char *name = cli_value(cli, "turns");
    enum err_code rc = checkpoint_env_chat(NULL, voice->folder, name, &cli->arena, &chat, err);
    if (rc != ERR_OK)
        return rc;
    if (!name && chat.turns)
        rc = checkpoint_env_chat(NULL, voice->folder, chat.turns, &cli->arena, &chat, err);
    if (rc != ERR_OK)
        return rc;
    if (chat.warning)
        cli_note(cli, "'%s': %s", voice->folder, chat.warning);
    name = name ? name : chat.turns ? chat.turns : "llama3";
    *style_out = turn_style_find(name);
    if (*style_out)
        return ERR_OK;
    struct strbuf known = {0};
    for (const char *const *n = turn_style_names(); *n; n++)
        strbuf_printf(&known, " %s", *n);
    rc = err_set(err, ERR_INVALID, "--turns: no style is called '%.40s'; there are%s", name,
                 strbuf_text(&known));
    strbuf_release(&known);
    return rc;
}

enum err_code voice_read_text(const char *path, size_t bytes_max, struct strbuf *out,
                              struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    enum err_code rc =
        path ? file_read(path, bytes_max, &text, &len, err)
             : file_read_open(STDIN_FILENO, "standard input", bytes_max, &text, &len, err);
    if (rc == ERR_OK)
        strbuf_append(out, text, len);
    free(text);
    return rc;
}

static void add_stop(int32_t out[VOICE_STOPS_MAX], size_t *count, int32_t id)
{
    bool known = id < 0 || *count == VOICE_STOPS_MAX;
    for (size_t i = 0; i < *count; i++)
        known = known || out[i] == id;
    if (!known)
        out[(*count)++] = id;
}

/* eos_token_id of generation_config.json, a number or a list; what cannot be read says nothing. */
static void add_configured(struct cli *cli, const struct voice *voice, int32_t *out, size_t *count)
{
    const char *path = arena_printf(&cli->arena, "%s/generation_config.json", voice->folder);
    char *text = NULL;
    size_t len = 0;
    struct err ignored;
    if (file_read(path, CONFIG_BYTES_MAX, &text, &len, &ignored) != ERR_OK)
        return;
    json_t *root = json_loadb(text, len, 0, NULL);
    const json_t *value = json_object_get(root, "eos_token_id");
    const size_t ids = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < ids; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;
        const json_int_t number = json_is_integer(id) ? json_integer_value(id) : -1;
        if (number >= 0 && number < model_shape(voice->model)->vocabulary)
            add_stop(out, count, (int32_t)number);
    }
    json_decref(root);
    free(text);
}

size_t voice_stops(struct cli *cli, const struct voice *voice, const char *end,
                   int32_t out[VOICE_STOPS_MAX])
{
    const struct model_config *config = model_shape(voice->model);
    size_t count = 0;
    for (int i = 0; i < config->eos_count; i++)
        add_stop(out, &count, config->eos_ids[i]);
    add_configured(cli, voice, out, &count);
    add_stop(out, &count, tokenizer_eos(voice->tokenizer));
    if (end)
        add_stop(out, &count, tokenizer_special(voice->tokenizer, end));
    return count;
}
