#include "rows.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "str.h"

#define CELL_TEXT_SIZE 512

void rows_init(struct rows *r, struct arena *arena, const char *schema,
               const struct rows_column *columns, int column_count)
{
    *r = (struct rows){
        .schema = schema, .columns = columns, .column_count = column_count, .arena = arena};
}

struct rows_cell *rows_add(struct rows *r)
{
    const size_t width = (size_t)r->column_count;
    if (r->row_count == r->row_cap) {
        int cap = r->row_cap ? r->row_cap * 2 : 32;
        struct rows_cell *grown = arena_array(r->arena, (size_t)cap * width, sizeof *grown);
        if (r->row_count)
            memcpy(grown, r->cells, (size_t)r->row_count * width * sizeof *grown);
        r->cells = grown;
        r->row_cap = cap;
    }
    return &r->cells[(size_t)r->row_count++ * width];
}

/* A cell's text: short for the table, exact for CSV. */
static const char *cell_text(const struct rows_column *column, const struct rows_cell *cell,
                             bool exact, char out[CELL_TEXT_SIZE])
{
    switch (column->kind) {
    case ROWS_TEXT:
        return cell->text ? cell->text : "";
    case ROWS_DIGEST:
        if (exact || !cell->text)
            return cell->text ? cell->text : "";
        snprintf(out, CELL_TEXT_SIZE, "%.12s", cell->text);
        return out;
    case ROWS_INTEGER:
        snprintf(out, CELL_TEXT_SIZE, "%lld", (long long)cell->integer);
        return out;
    case ROWS_REAL:
        if (isnan(cell->real))
            return exact ? "" : "-";
        snprintf(out, CELL_TEXT_SIZE, exact ? "%.17g" : "%.4g", cell->real);
        return out;
    case ROWS_TIME:
        if (cell->integer == 0)
            return exact ? "" : "-";
        clock_iso(cell->integer, out);
        if (!exact) /* to the second, and still said to be UTC */
            memcpy(out + 19, "Z", 2);
        return out;
    }
    UNREACHABLE("column kind");
}

/* A cell must neither break its line nor steer the terminal: control characters become blanks. */
static void print_clean(const char *text, size_t bytes)
{
    for (const char *c = text; c < text + bytes;) {
        const size_t control = str_control_bytes(c);
        putchar(control ? ' ' : *c);
        c += control ? control : 1;
    }
}

/* Cut with "…" where the column is narrower; width 0 for no blanks behind the text. */
static void print_padded(const char *text, int width, int most, bool right)
{
    size_t columns;
    size_t bytes = str_fit(text, SIZE_MAX, &columns);
    const bool is_cut = most > 0 && columns > (size_t)most;
    if (is_cut)
        bytes = str_fit(text, (size_t)most - 1, &columns);
    const int pad = width - (int)columns - is_cut;
    printf("%*s", right && pad > 0 ? pad : 0, "");
    print_clean(text, bytes);
    fputs(is_cut ? "…" : "", stdout);
    printf("%*s", !right && pad > 0 ? pad : 0, "");
}

static const struct rows_cell *cell_at(const struct rows *r, int row, int column)
{
    return &r->cells[(size_t)row * (size_t)r->column_count + (size_t)column];
}

static int column_width(const struct rows *r, int c)
{
    char buffer[CELL_TEXT_SIZE];
    const struct rows_column *column = &r->columns[c];
    int width = (int)str_columns(column->title);
    for (int i = 0; i < r->row_count; i++) {
        const int w = (int)str_columns(cell_text(column, cell_at(r, i, c), false, buffer));
        width = w > width ? w : width;
    }
    return width;
}

/* Does no row say anything in this column? Zeros are nothing as well. */
static bool says_nothing(const struct rows *r, int c)
{
    char buffer[CELL_TEXT_SIZE];
    for (int i = 0; i < r->row_count; i++) {
        const char *text = cell_text(&r->columns[c], cell_at(r, i, c), false, buffer);
        if (*text && strcmp(text, "-") != 0 && strcmp(text, "0") != 0)
            return false;
    }
    return r->row_count > 0;
}

#define GAP              2
#define TEXT_COLUMNS_MIN 16

static int total_width(const struct rows *r, const int *widths)
{
    int total = -GAP;
    for (int c = 0; c < r->column_count; c++)
        total += widths[c] > 0 ? widths[c] + GAP : 0;
    return total;
}

/* Make the table fit: columns that say nothing go, the last first; then texts are cut, the widest
 * first. Figures and identities stay as they are, however narrow the terminal is. */
static void fit(const struct rows *r, int *widths, int width)
{
    for (int c = r->column_count - 1; c > 0 && total_width(r, widths) > width; c--)
        if (widths[c] > 0 && says_nothing(r, c))
            widths[c] = 0;
    while (total_width(r, widths) > width) {
        int widest = -1;
        for (int c = 0; c < r->column_count; c++)
            if (r->columns[c].kind == ROWS_TEXT && widths[c] > TEXT_COLUMNS_MIN &&
                (widest < 0 || widths[c] > widths[widest]))
                widest = c;
        if (widest < 0)
            return;
        widths[widest]--;
    }
}

void rows_print_table(const struct rows *r, int width)
{
    char buffer[CELL_TEXT_SIZE];
    int *widths = arena_array(r->arena, (size_t)r->column_count, sizeof *widths);
    int last = 0;
    for (int c = 0; c < r->column_count; c++)
        widths[c] = r->columns[c].title ? column_width(r, c) : 0;
    if (width > 0)
        fit(r, widths, width);
    for (int c = 0; c < r->column_count; c++)
        last = widths[c] > 0 ? c : last;
    for (int row = -1; row < r->row_count; row++) {
        const char *gap = "";
        for (int c = 0; c < r->column_count; c++) {
            const struct rows_column *column = &r->columns[c];
            if (widths[c] == 0)
                continue;
            const char *text =
                row < 0 ? column->title : cell_text(column, cell_at(r, row, c), false, buffer);
            const bool right = column->kind == ROWS_INTEGER || column->kind == ROWS_REAL;
            fputs(gap, stdout);
            print_padded(text, c == last && !right ? 0 : widths[c], widths[c], right);
            gap = "  ";
        }
        putchar('\n');
    }
}

/* Of the terminal on standard output; 0 for anything else: files and pipes get whole tables. */
static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 0;
}

/* JSON has no NaN and no infinity. */
static json_t *real_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* JSON has no text that is not UTF-8 (a file's name can be one). */
static json_t *text_json(const char *text)
{
    const size_t len = strlen(text);
    if (str_is_utf8(text, len))
        return json_string(text);
    struct strbuf clean = {0};
    strbuf_append_clean(&clean, text, len);
    json_t *value = json_string(strbuf_text(&clean));
    strbuf_release(&clean);
    return value;
}

static json_t *cell_json(const struct rows_column *column, const struct rows_cell *cell)
{
    char buffer[CELL_TEXT_SIZE];
    switch (column->kind) {
    case ROWS_TEXT:
    case ROWS_DIGEST:
        return cell->text ? text_json(cell->text) : json_null();
    case ROWS_INTEGER:
        return json_integer(cell->integer);
    case ROWS_REAL:
        return real_json(cell->real);
    case ROWS_TIME:
        return cell->integer ? json_string(clock_iso(cell->integer, buffer)) : json_null();
    }
    UNREACHABLE("column kind");
}

json_t *rows_json_row(const struct rows *r, int row)
{
    json_t *object = json_object();
    for (int c = 0; c < r->column_count; c++)
        json_object_set_new(object, r->columns[c].name,
                            cell_json(&r->columns[c], &r->cells[row * r->column_count + c]));
    return object;
}

json_t *rows_json(const struct rows *r)
{
    json_t *list = json_array();
    for (int row = 0; row < r->row_count; row++)
        json_array_append_new(list, rows_json_row(r, row));
    return list;
}

void rows_print_document(json_t *root)
{
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static void print_json(const struct rows *r)
{
    json_t *root = json_object();
    json_object_set_new(root, "schema", json_string(r->schema));
    json_object_set_new(root, "rows", rows_json(r));
    for (int i = 0; i < r->total_count; i++)
        json_object_set_new(root, r->totals[i].name,
                            r->totals[i].whole ? json_integer((json_int_t)r->totals[i].value)
                                               : real_json(r->totals[i].value));
    rows_print_document(root);
}

static void print_csv_field(const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_csv(const struct rows *r)
{
    char buffer[CELL_TEXT_SIZE];
    for (int row = -1; row < r->row_count; row++) {
        for (int c = 0; c < r->column_count; c++) {
            if (c)
                putchar(',');
            print_csv_field(row < 0
                                ? r->columns[c].name
                                : cell_text(&r->columns[c], &r->cells[row * r->column_count + c],
                                            true, buffer));
        }
        putchar('\n');
    }
}

void rows_print(const struct rows *r, const struct cli *cli)
{
    switch (cli->output) {
    case OUTPUT_TABLE:
        rows_print_table(r, terminal_columns());
        return;
    case OUTPUT_JSON:
        print_json(r);
        return;
    case OUTPUT_CSV:
        print_csv(r);
        return;
    }
}

const char *rows_clean(struct arena *arena, const char *text)
{
    struct strbuf clean = {0};
    strbuf_append_clean(&clean, text, strlen(text));
    const char *copy = arena_strdup(arena, strbuf_text(&clean));
    strbuf_release(&clean);
    return copy;
}

void rows_print_text(const char *text)
{
    if (isatty(STDOUT_FILENO) != 1) {
        fputs(text, stdout);
        return;
    }
    for (const char *c = text; *c;) {
        const size_t control = *c == '\n' || *c == '\t' ? 0 : str_control_bytes(c);
        putchar(control ? '?' : *c);
        c += control ? control : 1;
    }
}
