/* triad score: what a model thinks of a text, or of every item of a data set. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "evaluator.h"
#include "rows.h"
#include "score_tokens.h"
#include "verbs.h"
#include "voice.h"

#define TEXT_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define BATCH_TOKENS   ((size_t)4096)

/* ---- a text ---- */

static const struct rows_column token_columns[] = {
    {"position", "POS", ROWS_INTEGER}, {"id", "ID", ROWS_INTEGER},
    {"piece", "PIECE", ROWS_TEXT},     {"logprob_nats", "LOGPROB", ROWS_REAL},
    {"hit", "HIT", ROWS_TEXT},
};
enum { TOKEN_COLUMNS = sizeof token_columns / sizeof token_columns[0] };

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

/* The text to score: --text, else --file, else standard input. */
static enum err_code read_text(const struct cli *cli, struct strbuf *out, struct err *err)
{
    if (cli_value(cli, "text")) {
        strbuf_puts(out, cli_value(cli, "text"));
        return ERR_OK;
    }
    return voice_read_text(cli_value(cli, "file"), TEXT_BYTES_MAX, out, err);
}

static void fill_tokens(struct rows *rows, const struct voice *voice, const struct token_list *ids,
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

static void print_tokens(struct cli *cli, const struct voice *voice, const struct token_list *ids,
                         const double *logprob, const bool *hit)
{
    struct rows rows;
    double total = 0, hits = 0;
    const double tokens = (double)(ids->count - 1);
    for (size_t i = 0; i + 1 < ids->count; i++) {
        total += logprob[i];
        hits += hit[i];
    }
    const struct rows_total totals[] = {{"total_nats", total, false},
                                        {"tokens", tokens, true},
                                        {"nats_per_token", total / tokens, false},
                                        {"hits", hits, true}};
    rows_init(&rows, &cli->arena, "triad.score/1", token_columns, TOKEN_COLUMNS);
    fill_tokens(&rows, voice, ids, logprob, hit);
    rows.totals = totals;
    rows.total_count = sizeof totals / sizeof totals[0];
    rows_print(&rows, cli);
    if (cli->output == OUTPUT_TABLE)
        printf("total %.6f nats over %zu tokens, %.6f nats a token, %.0f hits\n", total,
               ids->count - 1, total / tokens, hits);
}

/* Every token after the first has a probability given what is before it. */
static enum err_code score_text(struct cli *cli, const struct voice *voice, struct err *err)
{
    struct strbuf text = {0};
    struct token_list ids = {0};
    enum err_code rc = read_text(cli, &text, err);
    if (rc == ERR_OK)
        rc = voice_encode(voice, (struct str){strbuf_text(&text), text.len}, &ids, err);
    voice_note_repair(cli, voice);
    if (rc == ERR_OK && ids.count < 2)
        rc = err_set(
            err, ERR_INVALID,
            "score: the text is too short: the first token has no probability, so there must "
            "be a second one");
    double *logprob = arena_array(&cli->arena, ids.count + 1, sizeof *logprob);
    bool *hit = arena_array(&cli->arena, ids.count + 1, sizeof *hit);
    if (rc == ERR_OK)
        rc = score_tokens(voice->model, ids.ids, ids.count, logprob, hit, err);
    if (rc == ERR_OK)
        print_tokens(cli, voice, &ids, logprob, hit);
    token_list_release(&ids);
    strbuf_release(&text);
    return rc;
}

/* ---- a data set ---- */

static const struct rows_column item_columns[] = {
    {"sequence", "SEQ", ROWS_INTEGER},
    {"id", "ID", ROWS_TEXT},
    {"position", "POS", ROWS_INTEGER},
    {"content_nats", "CONTENT", ROWS_REAL},
    {"terminator_nats", "TERMINATOR", ROWS_REAL},
    {"tokens", "TOKENS", ROWS_INTEGER},
    {"hit_tokens", "HITS", ROWS_INTEGER},
    {"hit", "ALL", ROWS_TEXT},
};
enum { ITEM_COLUMNS = sizeof item_columns / sizeof item_columns[0] };

struct items {
    struct rows rows;
    const struct dataset *dataset;
    double content, terminators, tokens, hit_tokens, hits;
};

static enum err_code on_records(void *ctx, const struct record *records, uint32_t count,
                                uint32_t next_sequence, struct err *err)
{
    struct items *items = ctx;
    (void)next_sequence;
    (void)err;
    for (uint32_t i = 0; i < count; i++) {
        const struct record *r = &records[i];
        const struct str id = items->dataset->sequences[r->sequence].id;
        struct rows_cell *cell = rows_add(&items->rows);
        cell[0].integer = r->sequence;
        cell[1].text = arena_strndup(items->rows.arena, id.data, id.len);
        cell[2].integer = r->position;
        cell[3].real = r->content_nats;
        cell[4].real = r->terminator_nats;
        cell[5].integer = r->token_count;
        cell[6].integer = r->hit_tokens;
        cell[7].text = r->hit ? "yes" : "no";
        items->content += r->content_nats;
        items->terminators += r->terminator_nats;
        items->tokens += r->token_count;
        items->hit_tokens += r->hit_tokens;
        items->hits += r->hit;
    }
    return ERR_OK;
}

static void print_items(struct cli *cli, struct items *items)
{
    const double count = items->rows.row_count, nats = items->content + items->terminators;
    const struct rows_total totals[] = {
        {"items", count, true},
        {"loss_nats", nats, false},
        {"content_nats", items->content, false},
        {"terminator_nats", items->terminators, false},
        {"tokens", items->tokens, true},
        {"loss_nats_per_token", nats / items->tokens, false},
        {"hits", items->hit_tokens, true},
        {"items_hit", items->hits, true},
    };
    items->rows.totals = totals;
    items->rows.total_count = sizeof totals / sizeof totals[0];
    rows_print(&items->rows, cli);
    if (cli->output == OUTPUT_TABLE)
        printf("%.0f items: %.6f nats an item (content %.6f, terminator %.6f), %.6f nats a token "
               "over %.0f tokens; %.0f tokens and %.0f items hit\n",
               count, nats / count, items->content / count, items->terminators / count,
               nats / items->tokens, items->tokens, items->hit_tokens, items->hits);
}

/* Items have losses, as everywhere in records: negative logarithms, where a text's tokens have
 * logarithms. */
static enum err_code score_dataset(struct cli *cli, const struct voice *voice, const char *path,
                                   struct err *err)
{
    struct dataset dataset;
    struct corpus corpus = {0};
    enum err_code rc = dataset_load(path, &dataset, err);
    if (rc != ERR_OK)
        return rc;
    struct items items = {.dataset = &dataset};
    rows_init(&items.rows, &cli->arena, "triad.score.items/1", item_columns, ITEM_COLUMNS);
    rc = corpus_for_evaluation(&dataset, voice->tokenizer,
                               (size_t)model_shape(voice->model)->context, &corpus, err);
    if (rc == ERR_OK) {
        const struct evaluate_options options = {.batch_tokens = BATCH_TOKENS};
        const struct evaluate_hooks hooks = {.ctx = &items, .on_records = on_records};
        rc = evaluator_run(voice->model, &corpus, &options, &hooks, err);
    }
    if (rc == ERR_OK)
        print_items(cli, &items);
    corpus_release(&corpus);
    dataset_release(&dataset);
    return rc;
}

enum cli_exit verb_score(struct cli *cli)
{
    struct err err;
    struct voice voice = {0};
    const char *dataset = cli_value(cli, "dataset");
    enum err_code rc = ERR_OK;
    if ((dataset != NULL) + (cli_value(cli, "text") != NULL) + (cli_value(cli, "file") != NULL) > 1)
        rc = err_set(&err, ERR_INVALID, "score: give one of --text, --file and --dataset");
    if (rc == ERR_OK)
        rc = voice_open(cli, cli->arguments[0], &voice, &err);
    if (rc == ERR_OK)
        rc = dataset ? score_dataset(cli, &voice, dataset, &err) : score_text(cli, &voice, &err);
    voice_close(&voice);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
