/* triad generate: a model's words, without any coordinator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "branch.h"
#include "rows.h"
#include "verbs.h"
#include "voice.h"

enum { TEXTS_AT_ONCE = 64 };

static const struct rows_column columns[] = {
    {"index", NULL, ROWS_INTEGER},
    {"seed", NULL, ROWS_INTEGER},
    {"prompt_tokens", NULL, ROWS_INTEGER},
    {"tokens", NULL, ROWS_INTEGER},
    {"nats", NULL, ROWS_REAL},
    {"stopped", NULL, ROWS_TEXT},
    {"text", NULL, ROWS_TEXT},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

struct request {
    struct sample_options draw;
    long long tokens, count;
    struct token_list prompt;
    bool continues;   /* the prompt's text is part of what is printed */
    const char *stop; /* special token that ends a turn, or NULL */
    bool one_line;    /* the text ends with its line */
};

static enum err_code read_numbers(const struct cli *cli, struct request *r, struct err *err)
{
    long long seed = 0, top_k = 0;
    r->draw = (struct sample_options){.temperature = 1, .top_p = 1};
    enum err_code rc = cli_integer(cli, "tokens", 0, 1000000, &r->tokens, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "count", 1, 100000, &r->count, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "seed", 0, INT64_MAX, &seed, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "top-k", 0, INT32_MAX, &top_k, err);
    if (rc == ERR_OK)
        rc = cli_real(cli, "temperature", 0, 1e6, &r->draw.temperature, err);
    if (rc == ERR_OK)
        rc = cli_real(cli, "top-p", 0, 1, &r->draw.top_p, err);
    if (rc == ERR_OK) {
        r->draw.seed = (uint64_t)seed;
        r->draw.top_k = (int)top_k;
        if (cli_flag(cli, "greedy"))
            r->draw.temperature = 0;
        rc = sample_options_check(&r->draw, err);
    }
    return rc;
}

/* ---- prompts ---- */

static enum err_code render_chat(struct cli *cli, const struct turn_style *style,
                                 struct sequence *out)
{
    struct chat_message messages[2];
    size_t count = 0;
    const char *system = cli_value(cli, "system");
    if (system)
        messages[count++] = (struct chat_message){CHAT_SYSTEM, system, -1, false};
    messages[count++] = (struct chat_message){CHAT_USER, cli_value(cli, "chat"), -1, false};
    format_chat(style, messages, count, true, &cli->arena, out);
    return ERR_OK;
}

/* What an experiment shows a model when it asks for the first output. */
static enum err_code render_format(struct cli *cli, const struct turn_style *style,
                                   const char *name, struct request *r, struct sequence *out,
                                   struct err *err)
{
    struct format_options options = {.style = style, .first_terminator = true};
    struct example asked = {.input = cli_value(cli, "input"), .output = ""};
    const struct instance instance = {.id = "prompt",
                                      .description = cli_value(cli, "description"),
                                      .examples = &asked,
                                      .example_count = 1};
    int format = 0;
    while (format < FORMAT_COUNT && strcmp(format_name((enum format)format), name) != 0)
        format++;
    if (format == FORMAT_COUNT)
        return err_set(err, ERR_INVALID, "--format: '%.40s' is none of spectrum, colon, chat",
                       name);
    if (!instance.description && !asked.input)
        return err_set(err, ERR_INVALID, "--format wants a --description, an --input, or both");
    options.format = (enum format)format;
    format_prompt(&options, &instance, 0, &cli->arena, out);
    r->stop = format_stop(&options);
    r->one_line = !r->stop;
    return ERR_OK;
}

/* What says how to ask, and what only one way of asking reads. */
static enum err_code check_asking(const struct cli *cli, struct err *err)
{
    static const struct cli_need needs[] = {
        {"system", "chat"}, {"description", "format"}, {"input", "format"}};
    const bool has_prompt = *cli_value(cli, "prompt") != '\0';
    if (has_prompt + cli_flag(cli, "chat") + cli_flag(cli, "format") > 1)
        return err_set(err, ERR_INVALID, "give one of --prompt, --chat and --format");
    return cli_check_needs(cli, needs, sizeof needs / sizeof *needs, err);
}

static enum err_code read_prompt(struct cli *cli, const struct voice *voice, struct request *r,
                                 struct err *err)
{
    const struct turn_style *style = NULL;
    const char *format = cli_value(cli, "format"), *chat = cli_value(cli, "chat");
    struct sequence sequence;
    if (!format && !chat) {
        r->continues = true;
        enum err_code encoded =
            voice_encode(voice, str_from(cli_value(cli, "prompt")), &r->prompt, err);
        voice_note_repair(cli, voice);
        return encoded;
    }
    enum err_code rc = voice_turns(cli, voice, &style, err);
    if (rc == ERR_OK) {
        r->stop = style->end;
        rc = format ? render_format(cli, style, format, r, &sequence, err)
                    : render_chat(cli, style, &sequence);
    }
    if (rc == ERR_OK)
        rc = voice_encode_sequence(voice, &sequence, &r->prompt, err);
    voice_note_repair(cli, voice);
    return rc;
}

/* ---- texts ---- */

/* Of a text that ends with its line: has it? */
static bool has_line(void *ctx, size_t index, const int32_t *ids, size_t count)
{
    const struct voice *voice = ctx;
    (void)index;
    const struct str piece = tokenizer_token(voice->tokenizer, ids[count - 1]);
    return memchr(piece.data, '\n', piece.len) != NULL;
}

/* The text for people: with the prompt when it goes on from there, without what ended it; U+FFFD
 * stands where the model made no whole character. */
static enum err_code decode(struct cli *cli, const struct voice *voice, const struct request *r,
                            const struct branch_text *text, const int32_t *stops, size_t stop_count,
                            const char **out, struct err *err)
{
    struct token_list ids = {0};
    struct strbuf bytes = {0};
    size_t count = text->count, skip = 0;
    for (size_t i = 0; i < stop_count && count > 0; i++) {
        if (text->stopped && text->ids[text->count - 1] == stops[i])
            count = text->count - 1;
    }
    if (r->continues) {
        skip = tokenizer_bos(voice->tokenizer) != TOKEN_NONE;
        token_list_append(&ids, r->prompt.ids + skip, r->prompt.count - skip);
    }
    token_list_append(&ids, text->ids, count);
    enum err_code rc =
        tokenizer_decode_text(voice->tokenizer, ids.ids, ids.count, false, &bytes, err);
    size_t len = bytes.len;
    if (rc == ERR_OK && r->one_line) {
        const char *line = memchr(strbuf_text(&bytes), '\n', bytes.len);
        len = line ? (size_t)(line - bytes.data) : len;
    }
    *out = arena_strndup(&cli->arena, strbuf_text(&bytes), len);
    strbuf_release(&bytes);
    token_list_release(&ids);
    return rc;
}

static enum err_code print_texts(struct cli *cli, const struct voice *voice,
                                 const struct request *r, const struct branch_text *texts,
                                 const int32_t *stops, size_t stop_count, struct err *err)
{
    struct rows rows;
    enum err_code rc = ERR_OK;
    rows_init(&rows, &cli->arena, "triad.generate/1", columns, COLUMNS);
    for (long long i = 0; rc == ERR_OK && i < r->count; i++) {
        const char *text = NULL;
        rc = decode(cli, voice, r, &texts[i], stops, stop_count, &text, err);
        if (rc == ERR_OK && cli->output == OUTPUT_TABLE) {
            rows_print_text(text);
            putchar('\n');
            continue;
        }
        struct rows_cell *cell = rows_add(&rows);
        cell[0].integer = i;
        cell[1].integer = (int64_t)r->draw.seed;
        cell[2].integer = (int64_t)r->prompt.count;
        cell[3].integer = (int64_t)texts[i].count;
        cell[4].real = texts[i].nats;
        cell[5].text = texts[i].stopped ? "yes" : "no";
        cell[6].text = text;
    }
    if (rc == ERR_OK && cli->output != OUTPUT_TABLE)
        rows_print(&rows, cli);
    return rc;
}

static enum err_code generate(struct cli *cli, struct voice *voice, const struct request *r,
                              struct err *err)
{
    const size_t context = (size_t)model_shape(voice->model)->context;
    int32_t stops[VOICE_STOPS_MAX];
    const size_t stop_count = voice_stops(cli, voice, r->stop, stops);
    struct branch_text *texts = arena_array(&cli->arena, (size_t)r->count, sizeof *texts);
    struct branch *branch = NULL;
    if (r->prompt.count > context)
        return err_set(err, ERR_LIMIT, "the prompt has %zu tokens, the model's context %zu",
                       r->prompt.count, context);
    const size_t room = context - r->prompt.count;
    const size_t most = (size_t)r->tokens < room ? (size_t)r->tokens : room;
    if (most == 0)
        return print_texts(cli, voice, r, texts, stops, stop_count, err);
    for (long long i = 0; i < r->count; i++)
        texts[i].ids = arena_array(&cli->arena, most, sizeof *texts[i].ids);
    const struct branch_capacity capacity = {.prompt_tokens = r->prompt.count,
                                             .continuation_tokens = most,
                                             .texts = r->count < TEXTS_AT_ONCE ? (size_t)r->count
                                                                               : TEXTS_AT_ONCE};
    const struct branch_sampling sampling = {.draw = r->draw,
                                             .max_tokens = most,
                                             .stop_ids = stops,
                                             .stop_count = stop_count,
                                             .should_stop = r->one_line ? has_line : NULL,
                                             .ctx = voice};
    enum err_code rc = branch_new(voice->model, &capacity, &branch, err);
    if (rc == ERR_OK)
        rc = branch_prompt(branch, r->prompt.ids, r->prompt.count, err);
    if (rc == ERR_OK)
        rc = branch_sample(branch, &sampling, (size_t)r->count, texts, err);
    if (rc == ERR_OK)
        rc = print_texts(cli, voice, r, texts, stops, stop_count, err);
    branch_free(branch);
    return rc;
}

enum cli_exit verb_generate(struct cli *cli)
{
    struct err err;
    struct voice voice = {0};
    struct request request = {0};
    enum err_code rc = read_numbers(cli, &request, &err);
    if (rc == ERR_OK)
        rc = check_asking(cli, &err);
    if (rc == ERR_OK)
        rc = voice_open(cli, cli->arguments[0], &voice, &err);
    if (rc == ERR_OK)
        rc = read_prompt(cli, &voice, &request, &err);
    if (rc == ERR_OK && request.prompt.count == 0)
        rc = err_set(&err, ERR_INVALID,
                     "this model has no token that begins a text: give a --prompt");
    if (rc == ERR_OK)
        rc = generate(cli, &voice, &request, &err);
    token_list_release(&request.prompt);
    voice_close(&voice);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
