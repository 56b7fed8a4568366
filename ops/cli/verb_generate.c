/* triad generate, triad score: a model's words and numbers, without any coordinator. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels.h"
#include "model.h"
#include "rows.h"
#include "sampler.h"
#include "tokenizer.h"
#include "verbs.h"

#define TEXT_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* A model and its tokenizer, ready to compute. */
struct voice {
    struct model *model;
    struct tokenizer *tokenizer;
};

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

static enum err_code voice_open(const struct cli *cli, const char *folder, struct voice *out,
                                struct err *err)
{
    *out = (struct voice){0};
    enum err_code rc = set_threads(cli, err);
    if (rc == ERR_OK)
        rc = tokenizer_load(folder, &out->tokenizer, err);
    if (rc == ERR_OK)
        rc = model_load(folder, &out->model, err);
    return rc;
}

static void voice_close(struct voice *voice)
{
    model_free(voice->model);
    tokenizer_free(voice->tokenizer);
}

/* The token that begins a text, where the tokenizer has one, and the text. */
static enum err_code encode(const struct voice *voice, struct str text, struct token_list *ids,
                            struct err *err)
{
    const int32_t bos = tokenizer_bos(voice->tokenizer);
    if (bos != TOKEN_NONE)
        token_list_append(ids, &bos, 1);
    return text.len ? tokenizer_encode(voice->tokenizer, text, ids, err) : ERR_OK;
}

static bool ends_text(const struct voice *voice, int32_t id)
{
    const struct model_config *config = model_shape(voice->model);
    for (int i = 0; i < config->eos_count; i++)
        if (config->eos_ids[i] == id)
            return true;
    return id == tokenizer_eos(voice->tokenizer);
}

/* Continue `prompt` by at most `wanted` tokens, or up to the end of the text or of the context. */
static enum err_code continue_text(const struct voice *voice, const struct sample_options *options,
                                   const struct token_list *prompt, long long wanted,
                                   struct token_list *ids, struct err *err)
{
    struct sampler *sampler = NULL;
    const size_t context = (size_t)model_shape(voice->model)->context;
    token_list_append(ids, prompt->ids, prompt->count);
    enum err_code rc = sampler_new(voice->model, options, &sampler, err);
    if (rc == ERR_OK)
        rc = sampler_feed(sampler, prompt->ids, prompt->count, err);
    for (long long i = 0; rc == ERR_OK && i < wanted && ids->count <= context; i++) {
        int32_t id = sampler_choose(sampler);
        if (ends_text(voice, id))
            break;
        token_list_append(ids, &id, 1);
        if (ids->count <= context && i + 1 < wanted)
            rc = sampler_feed(sampler, &id, 1, err);
    }
    sampler_free(sampler);
    return rc;
}

static const struct rows_column generate_columns[] = {
    {"index", NULL, ROWS_INTEGER},
    {"seed", NULL, ROWS_INTEGER},
    {"prompt_tokens", NULL, ROWS_INTEGER},
    {"tokens", NULL, ROWS_INTEGER},
    {"text", NULL, ROWS_TEXT},
};
enum { GENERATE_COLUMNS = sizeof generate_columns / sizeof generate_columns[0] };

static enum err_code generate_options(const struct cli *cli, struct sample_options *out,
                                      long long *tokens_out, long long *count_out, struct err *err)
{
    long long seed = 0, top_k = 0;
    *out = (struct sample_options){.temperature = 1, .top_p = 1};
    enum err_code rc = cli_integer(cli, "tokens", 0, 1000000, tokens_out, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "count", 1, 100000, count_out, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "seed", 0, INT64_MAX, &seed, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "top-k", 0, INT32_MAX, &top_k, err);
    if (rc == ERR_OK)
        rc = cli_real(cli, "temperature", 0, 1e6, &out->temperature, err);
    if (rc == ERR_OK)
        rc = cli_real(cli, "top-p", 0, 1, &out->top_p, err);
    if (rc == ERR_OK) {
        out->seed = (uint64_t)seed;
        out->top_k = (int)top_k;
        if (cli_flag(cli, "greedy"))
            out->temperature = 0;
        rc = sample_options_check(out, err);
    }
    return rc;
}

enum cli_exit verb_generate(struct cli *cli)
{
    struct err err;
    struct voice voice = {0};
    struct sample_options options;
    struct token_list prompt = {0};
    struct rows rows;
    long long tokens = 0, count = 1;
    rows_init(&rows, &cli->arena, "triad.generate/1", generate_columns, GENERATE_COLUMNS);
    enum err_code rc = generate_options(cli, &options, &tokens, &count, &err);
    if (rc == ERR_OK)
        rc = voice_open(cli, cli->arguments[0], &voice, &err);
    if (rc == ERR_OK)
        rc = encode(&voice, str_from(cli_value(cli, "prompt")), &prompt, &err);
    if (rc == ERR_OK && prompt.count == 0)
        rc = err_set(&err, ERR_INVALID,
                     "this model has no token that begins a text: give a --prompt");
    for (long long i = 0; rc == ERR_OK && i < count; i++) {
        struct token_list ids = {0};
        struct strbuf text = {0};
        rc = continue_text(&voice, &options, &prompt, tokens, &ids, &err);
        const size_t skip = tokenizer_bos(voice.tokenizer) != TOKEN_NONE;
        if (rc == ERR_OK)
            rc = tokenizer_decode(voice.tokenizer, ids.ids + skip, ids.count - skip, &text, &err);
        if (rc == ERR_OK && cli->output == OUTPUT_TABLE) {
            fwrite(strbuf_text(&text), 1, text.len, stdout);
            putchar('\n');
        } else if (rc == ERR_OK) {
            struct rows_cell *cell = rows_add(&rows);
            cell[0].integer = i;
            cell[1].integer = (int64_t)options.seed;
            cell[2].integer = (int64_t)prompt.count;
            cell[3].integer = (int64_t)(ids.count - prompt.count);
            cell[4].text = arena_strndup(&cli->arena, strbuf_text(&text), text.len);
        }
        options.seed++;
        strbuf_release(&text);
        token_list_release(&ids);
    }
    if (rc == ERR_OK && cli->output != OUTPUT_TABLE)
        rows_print(&rows, cli);
    token_list_release(&prompt);
    voice_close(&voice);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}

/* ---- score ---- */

static const struct rows_column score_columns[] = {
    {"position", "POS", ROWS_INTEGER}, {"id", "ID", ROWS_INTEGER},
    {"piece", "PIECE", ROWS_TEXT},     {"logprob_nats", "LOGPROB", ROWS_REAL},
    {"hit", "HIT", ROWS_TEXT},
};
enum { SCORE_COLUMNS = sizeof score_columns / sizeof score_columns[0] };

/* A token's bytes as text in any terminal and in JSON: \n, \xNN for what is not whole UTF-8. */
static const char *printable(struct arena *arena, struct str piece)
{
    struct strbuf out = {0};
    const bool is_text = str_is_utf8(piece.data, piece.len);
    for (size_t i = 0; i < piece.len; i++) {
        const unsigned char byte = (unsigned char)piece.data[i];
        if (byte == '\n')
            strbuf_puts(&out, "\\n");
        else if (byte == '\\')
            strbuf_puts(&out, "\\\\");
        else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_text))
            strbuf_printf(&out, "\\x%02x", byte);
        else
            strbuf_putc(&out, (char)byte);
    }
    const char *text = arena_strdup(arena, strbuf_text(&out));
    strbuf_release(&out);
    return text;
}

/* The text to score: --text, else standard input. The caller frees it. */
static enum err_code score_text(const struct cli *cli, struct strbuf *out, struct err *err)
{
    const char *given = cli_value(cli, "text");
    if (given) {
        strbuf_puts(out, given);
        return ERR_OK;
    }
    char buffer[65536];
    size_t n;
    while ((n = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
        if (out->len + n > TEXT_BYTES_MAX)
            return err_set(err, ERR_LIMIT, "score: more than %zu MiB of text",
                           TEXT_BYTES_MAX >> 20);
        strbuf_append(out, buffer, n);
    }
    return ERR_OK;
}

static void fill_scores(struct rows *rows, const struct voice *voice, const struct token_list *ids,
                        const double *logprob, const bool *hit)
{
    for (size_t i = 0; i < ids->count; i++) {
        struct rows_cell *cell = rows_add(rows);
        cell[0].integer = (int64_t)i;
        cell[1].integer = ids->ids[i];
        cell[2].text = printable(rows->arena, tokenizer_token(voice->tokenizer, ids->ids[i]));
        cell[3].real = i ? logprob[i - 1] : (double)NAN;
        cell[4].text = !i ? "" : hit[i - 1] ? "yes" : "no";
    }
}

/* Every token after the first has a probability given what is before it. */
enum cli_exit verb_score(struct cli *cli)
{
    struct err err;
    struct voice voice = {0};
    struct strbuf text = {0};
    struct token_list ids = {0};
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.score/1", score_columns, SCORE_COLUMNS);
    enum err_code rc = score_text(cli, &text, &err);
    if (rc == ERR_OK)
        rc = voice_open(cli, cli->arguments[0], &voice, &err);
    if (rc == ERR_OK)
        rc = encode(&voice, (struct str){strbuf_text(&text), text.len}, &ids, &err);
    if (rc == ERR_OK && ids.count < 2)
        rc = err_set(
            &err, ERR_INVALID,
            "score: the text is too short: the first token has no probability, so there must "
            "be a second one");
    double *logprob = arena_array(&cli->arena, ids.count + 1, sizeof *logprob);
    bool *hit = arena_array(&cli->arena, ids.count + 1, sizeof *hit);
    if (rc == ERR_OK)
        rc = sampler_score(voice.model, ids.ids, ids.count, logprob, hit, &err);
    if (rc == ERR_OK) {
        double total = 0;
        for (size_t i = 0; i + 1 < ids.count; i++)
            total += logprob[i];
        const struct rows_total totals[] = {{"total_nats", total},
                                            {"tokens", (double)(ids.count - 1)}};
        fill_scores(&rows, &voice, &ids, logprob, hit);
        rows.totals = totals;
        rows.total_count = 2;
        rows_print(&rows, cli);
        if (cli->output == OUTPUT_TABLE)
            printf("total %.6f nats over %zu tokens, %.6f nats a token\n", total, ids.count - 1,
                   total / (double)(ids.count - 1));
    }
    strbuf_release(&text);
    token_list_release(&ids);
    voice_close(&voice);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
