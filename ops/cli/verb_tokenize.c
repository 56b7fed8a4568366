/* triad tokenize: the pieces of a text, their ids, where they come from, and where the loss falls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataset.h"
#include "file.h"
#include "hf_cache.h"
#include "rows.h"
#include "tokenizer.h"
#include "verbs.h"
#include "voice.h"

#define TEXT_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* What is shown: ids with a place in the text, a loss and an example for each. */
struct shown {
    struct token_list ids;
    struct place_list places;
    uint8_t *losses;   /* enum segment_loss */
    int32_t *examples; /* -1 for none */
    size_t cap;        /* of the two above */
    size_t text_bytes;
    bool has_losses; /* it is a sequence of a dataset */
};

static void shown_release(struct shown *shown)
{
    token_list_release(&shown->ids);
    place_list_release(&shown->places);
    free(shown->losses);
    free(shown->examples);
}

/* A piece as it would stand in a program: nothing invisible in it. Belongs to the arena. */
static const char *quoted(struct arena *arena, struct str piece)
{
    struct strbuf out = {0};
    strbuf_putc(&out, '"');
    for (size_t at = 0; at < piece.len;) {
        unsigned char c = (unsigned char)piece.data[at];
        size_t len = 1;
        while (len < 4 && at + len < piece.len &&
               ((unsigned char)piece.data[at + len] & 0xc0) == 0x80)
            len++;
        if (c >= 0x80 && str_is_utf8(piece.data + at, len)) {
            strbuf_append(&out, piece.data + at, len);
            at += len;
            continue;
        }
        if (c == '\n')
            strbuf_puts(&out, "\\n");
        else if (c == '"' || c == '\\')
            strbuf_printf(&out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            strbuf_printf(&out, "\\x%02x", c);
        else
            strbuf_putc(&out, (char)c);
        at++;
    }
    strbuf_putc(&out, '"');
    const char *text = arena_strdup(arena, strbuf_text(&out));
    strbuf_release(&out);
    return text;
}

static void put_special(struct shown *shown, int32_t id, size_t bytes)
{
    token_list_append(&shown->ids, &id, 1);
    place_list_append(&shown->places, (struct text_place){(uint32_t)shown->text_bytes,
                                                          (uint32_t)(shown->text_bytes + bytes)});
}

/* Append a text, whose places are counted from the start of the whole. */
static enum err_code put_text(struct shown *shown, struct tokenizer *tokenizer, struct str text,
                              enum added_policy policy, struct err *err)
{
    size_t from = shown->places.count;
    enum err_code rc =
        tokenizer_encode_with(tokenizer, text, policy, &shown->ids, &shown->places, err);
    for (size_t i = from; i < shown->places.count; i++) {
        shown->places.places[i].begin += (uint32_t)shown->text_bytes;
        shown->places.places[i].end += (uint32_t)shown->text_bytes;
    }
    return rc;
}

static void mark(struct shown *shown, size_t from, const struct segment *segment)
{
    if (shown->ids.count > shown->cap) {
        shown->cap = 2 * shown->ids.count;
        shown->losses = realloc(shown->losses, shown->cap * sizeof *shown->losses);
        shown->examples = realloc(shown->examples, shown->cap * sizeof *shown->examples);
    }
    for (size_t i = from; i < shown->ids.count; i++) {
        /* Nothing comes before the first token that could predict it. */
        shown->losses[i] = (uint8_t)(i > 0 ? segment->loss : LOSS_NONE);
        shown->examples[i] = segment->example;
    }
}

static enum err_code put_segment(struct shown *shown, struct tokenizer *tokenizer,
                                 const struct segment *segment, struct arena *arena,
                                 struct err *err)
{
    size_t from = shown->ids.count;
    enum err_code rc = ERR_OK;
    if (segment->kind == SEGMENT_SPECIAL) {
        const char *name = arena_printf(arena, "%.*s", (int)segment->text.len, segment->text.data);
        int32_t id = tokenizer_special(tokenizer, name);
        if (id == TOKEN_NONE)
            return err_set(err, ERR_INVALID, "the tokenizer has no special token '%.80s'", name);
        put_special(shown, id, segment->text.len);
    } else {
        rc = put_text(shown, tokenizer, segment->text, ADDED_ORDINARY, err);
    }
    shown->text_bytes += segment->text.len;
    if (rc == ERR_OK)
        mark(shown, from, segment);
    return rc;
}

/* The sequence of a dataset that --sequence asks for, by number or by id. */
static enum err_code find_sequence(const struct cli *cli, const struct dataset *dataset,
                                   const struct sequence **out, struct err *err)
{
    const char *wanted = cli_value(cli, "sequence");
    long long number = -1;
    for (uint32_t i = 0; i < dataset->sequence_count; i++) {
        if (str_equal(dataset->sequences[i].id, str_from(wanted)) ||
            (str_to_i64(wanted, &number) && number == (long long)i)) {
            *out = &dataset->sequences[i];
            return ERR_OK;
        }
    }
    return err_set(err, ERR_NOT_FOUND,
                   "--sequence: '%s' is neither an id in the dataset nor a number below %u", wanted,
                   dataset->sequence_count);
}

static enum err_code show_sequence(struct cli *cli, struct tokenizer *tokenizer,
                                   struct shown *shown, struct err *err)
{
    struct dataset dataset = {0};
    const struct sequence *sequence = NULL;
    enum err_code rc = dataset_load(cli_value(cli, "dataset"), &dataset, err);
    if (rc != ERR_OK)
        return rc;
    rc = find_sequence(cli, &dataset, &sequence, err);
    for (uint32_t i = 0; rc == ERR_OK && i < sequence->segment_count; i++)
        rc = put_segment(shown, tokenizer, &sequence->segments[i], &cli->arena, err);
    shown->has_losses = true;
    dataset_release(&dataset);
    return rc;
}

/* --text, --file, or standard input. The caller frees. */
static enum err_code read_text(const struct cli *cli, struct strbuf *out, struct err *err)
{
    if (cli_value(cli, "text")) {
        strbuf_puts(out, cli_value(cli, "text"));
        return ERR_OK;
    }
    return voice_read_text(cli_value(cli, "file"), TEXT_BYTES_MAX, out, err);
}

static enum err_code show_text(const struct cli *cli, struct tokenizer *tokenizer,
                               struct shown *shown, struct err *err)
{
    struct strbuf text = {0};
    enum err_code rc = read_text(cli, &text, err);
    if (rc == ERR_OK && cli_flag(cli, "bos")) {
        if (tokenizer_bos(tokenizer) == TOKEN_NONE)
            rc = err_set(err, ERR_INVALID, "--bos: the tokenizer has no token that begins a text");
        else
            put_special(shown, tokenizer_bos(tokenizer), 0);
    }
    if (rc == ERR_OK)
        rc = put_text(shown, tokenizer, (struct str){strbuf_text(&text), text.len},
                      cli_flag(cli, "special") ? ADDED_ALL : ADDED_ORDINARY, err);
    shown->text_bytes = text.len;
    strbuf_release(&text);
    return rc;
}

static const struct rows_column columns[] = {
    {"index", "INDEX", ROWS_INTEGER}, {"id", "ID", ROWS_INTEGER},
    {"piece", "PIECE", ROWS_TEXT},    {"begin", "BEGIN", ROWS_INTEGER},
    {"end", "END", ROWS_INTEGER},     {"kind", "KIND", ROWS_TEXT},
    {"loss", "LOSS", ROWS_TEXT},      {"example", "EXAMPLE", ROWS_INTEGER},
};
enum { PLAIN_COLUMNS = 6, COLUMNS = sizeof columns / sizeof columns[0] };

static void fill_rows(struct rows *rows, const struct shown *shown,
                      const struct tokenizer *tokenizer)
{
    static const char *const losses[] = {
        [LOSS_NONE] = "", [LOSS_CONTENT] = "content", [LOSS_TERMINATOR] = "terminator"};
    for (size_t i = 0; i < shown->ids.count; i++) {
        struct rows_cell *cell = rows_add(rows);
        int32_t id = shown->ids.ids[i];
        cell[0].integer = (int64_t)i;
        cell[1].integer = id;
        cell[2].text = quoted(rows->arena, tokenizer_token(tokenizer, id));
        cell[3].integer = shown->places.places[i].begin;
        cell[4].integer = shown->places.places[i].end;
        cell[5].text = tokenizer_is_special(tokenizer, id) ? "special" : "";
        if (!shown->has_losses)
            continue;
        cell[6].text = losses[shown->losses[i]];
        cell[7].integer = shown->examples[i];
    }
}

/* A line of names and one of figures. */
static void print_totals_csv(const struct rows *rows)
{
    for (int i = 0; i < rows->total_count; i++)
        printf("%s%s", i ? "," : "", rows->totals[i].name);
    for (int i = 0; i < rows->total_count; i++)
        printf("%s%.0f", i ? "," : "\n", rows->totals[i].value);
    putchar('\n');
}

static void print_shown(struct cli *cli, const struct shown *shown,
                        const struct tokenizer *tokenizer)
{
    struct rows rows;
    size_t lossy = 0;
    rows_init(&rows, &cli->arena, "triad.tokens/1", columns,
              shown->has_losses ? COLUMNS : PLAIN_COLUMNS);
    if (!cli_flag(cli, "total"))
        fill_rows(&rows, shown, tokenizer);
    for (size_t i = 0; shown->has_losses && i < shown->ids.count; i++)
        lossy += shown->losses[i] != LOSS_NONE;
    const struct rows_total totals[] = {
        {"tokens", (double)shown->ids.count, true},
        {"bytes", (double)shown->text_bytes, true},
        {"replaced", (double)tokenizer_replaced(tokenizer), true},
        {"loss_tokens", (double)lossy, true},
    };
    rows.totals = totals;
    rows.total_count = shown->has_losses ? 4 : 3;
    if (cli->output == OUTPUT_CSV && cli_flag(cli, "total"))
        print_totals_csv(&rows);
    else if (cli->output != OUTPUT_TABLE || !cli_flag(cli, "total"))
        rows_print(&rows, cli);
    if (cli->output != OUTPUT_TABLE)
        return;
    printf("%zu tokens for %zu bytes", shown->ids.count, shown->text_bytes);
    if (shown->has_losses)
        printf("; %zu of them have a loss", lossy);
    printf("\n");
}

enum cli_exit verb_tokenize(struct cli *cli)
{
    struct err err;
    struct tokenizer *tokenizer = NULL;
    struct shown shown = {0};
    const char *folder = NULL;
    static const struct cli_need needs = {"sequence", "dataset"};
    int sources = (cli_value(cli, "text") != NULL) + (cli_value(cli, "file") != NULL) +
                  (cli_value(cli, "dataset") != NULL);
    enum err_code rc = cli_check_needs(cli, &needs, 1, &err);
    if (rc == ERR_OK && sources > 1)
        rc = err_set(&err, ERR_INVALID, "give one of --text, --file and --dataset");
    if (rc == ERR_OK && cli_flag(cli, "dataset") &&
        (cli_flag(cli, "bos") || cli_flag(cli, "special")))
        rc = err_set(&err, ERR_INVALID,
                     "--%s does not go with --dataset, which says itself what its tokens are",
                     cli_flag(cli, "bos") ? "bos" : "special");
    if (rc == ERR_OK)
        rc = hf_folder(cli->arguments[0], &cli->arena, &folder, &err);
    if (rc == ERR_OK)
        rc = tokenizer_load(folder, &tokenizer, &err);
    if (rc == ERR_OK)
        rc = cli_value(cli, "dataset") ? show_sequence(cli, tokenizer, &shown, &err)
                                       : show_text(cli, tokenizer, &shown, &err);
    if (rc == ERR_OK) {
        print_shown(cli, &shown, tokenizer);
        if (tokenizer_replaced(tokenizer) > 0)
            cli_note(cli, "the text is not UTF-8 in %zu places: U+FFFD stands there",
                     tokenizer_replaced(tokenizer));
    }
    shown_release(&shown);
    tokenizer_free(tokenizer);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
