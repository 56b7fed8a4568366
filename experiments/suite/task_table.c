/* People's answers out of a table: reading, checking, and resolving codes to wordings. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "csv.h"
#include "task.h"

#define ANSWERS_MIN 2 /* fewer cannot be learnt from in context */

static const char *wording_of(const struct task_item *items, size_t count, const char *code)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].code, code) == 0)
            return items[i].wording;
    }
    return NULL;
}

/* The answer as shown, or NULL when it is missing. */
static const char *answer_text(const struct task_table *table, const char *code)
{
    if (code[0] == '\0' || strcmp(code, "NA") == 0)
        return NULL;
    return table->answer_count ? wording_of(table->answers, table->answer_count, code) : code;
}

static enum err_code need_column(const struct csv *csv, const struct task *task, const char *name,
                                 size_t *out, struct err *err)
{
    int index = csv_column(csv, name);
    if (index < 0)
        return err_set(err, ERR_INVALID, "task '%s': table '%s' has no column '%s'", task->name,
                       task->table.file, name);
    *out = (size_t)index;
    return ERR_OK;
}

static enum err_code bad_answer(const struct task *task, size_t row, const char *cell,
                                struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "task '%s': table '%s': row %zu: answer '%.40s' has no wording", task->name,
                   task->table.file, row + 1, cell);
}

/* Append an answer to the person being read. Inputs and outputs are copied, for the table goes. */
static void add_answer(struct task *task, struct person *person, const char *input,
                       const char *output)
{
    person->answers[person->answer_count].input = input;
    person->answers[person->answer_count++].output = arena_strdup(&task->data, output);
}

static enum err_code resolve_wide(struct task *task, const struct csv *csv, struct err *err)
{
    const struct task_table *t = &task->table;
    size_t *columns = arena_array(&task->data, t->item_count, sizeof *columns);
    for (size_t i = 0; i < t->item_count; i++) {
        enum err_code code = need_column(csv, task, t->items[i].code, &columns[i], err);
        if (code)
            return code;
    }
    for (size_t row = 0; row < csv->row_count; row++) {
        struct person *person = &task->people[task->person_count];
        person->answers = arena_array(&task->data, t->item_count, sizeof *person->answers);
        person->answer_count = 0;
        for (size_t i = 0; i < t->item_count; i++) {
            const char *cell = csv_cell(csv, row, columns[i]);
            const char *text = answer_text(t, cell);
            if (!text && cell[0] != '\0' && strcmp(cell, "NA") != 0)
                return bad_answer(task, row, cell, err);
            if (text)
                add_answer(task, person, t->items[i].wording, text);
        }
        task->person_count += person->answer_count >= ANSWERS_MIN;
    }
    return ERR_OK;
}

/* A row number of a long table with its person, for grouping by stable sort. */
struct keyed_row {
    const char *person;
    size_t row;
};

static int by_person(const void *a, const void *b)
{
    const struct keyed_row *x = a, *y = b;
    int order = strcmp(x->person, y->person);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

/* One person's rows, which stand together. */
static enum err_code resolve_group(struct task *task, const struct csv *csv,
                                   const struct keyed_row *rows, size_t count,
                                   const size_t columns[2], struct err *err)
{
    const struct task_table *t = &task->table;
    struct person *person = &task->people[task->person_count];
    person->answers = arena_array(&task->data, count, sizeof *person->answers);
    person->answer_count = 0;
    for (size_t i = 0; i < count; i++) {
        const char *item = csv_cell(csv, rows[i].row, columns[0]);
        const char *cell = csv_cell(csv, rows[i].row, columns[1]);
        const char *input = wording_of(t->items, t->item_count, item);
        const char *text = answer_text(t, cell);
        if (!text && cell[0] != '\0' && strcmp(cell, "NA") != 0)
            return bad_answer(task, rows[i].row, cell, err);
        if (input && text)
            add_answer(task, person, input, text);
    }
    task->person_count += person->answer_count >= ANSWERS_MIN;
    return ERR_OK;
}

static enum err_code resolve_long(struct task *task, const struct csv *csv, struct err *err)
{
    const struct task_table *t = &task->table;
    size_t person_column = 0;
    size_t columns[2] = {0, 0}; /* item, answer */
    enum err_code code = need_column(csv, task, t->person, &person_column, err);
    if (!code)
        code = need_column(csv, task, t->item, &columns[0], err);
    if (!code)
        code = need_column(csv, task, t->answer, &columns[1], err);
    if (code)
        return code;
    struct keyed_row *rows = arena_array(&task->data, csv->row_count + 1, sizeof *rows);
    for (size_t i = 0; i < csv->row_count; i++)
        rows[i] = (struct keyed_row){csv_cell(csv, i, person_column), i};
    qsort(rows, csv->row_count, sizeof *rows, by_person);
    size_t first = 0;
    for (size_t i = 1; !code && i <= csv->row_count; i++) {
        if (i < csv->row_count && strcmp(rows[i].person, rows[first].person) == 0)
            continue;
        code = resolve_group(task, csv, rows + first, i - first, columns, err);
        first = i;
    }
    return code;
}

static enum err_code check_digest(const struct task *task, const char *bytes, size_t len,
                                  struct err *err)
{
    struct digest wanted, found = hash_bytes(bytes, len);
    char hex[DIGEST_HEX_SIZE];
    ASSERT(digest_from_hex(task->table.digest, &wanted));
    if (digest_equal(&wanted, &found))
        return ERR_OK;
    return err_set(err, ERR_CORRUPT,
                   "task '%s': table '%s' is not the file the task names (its digest is %s); "
                   "restore it or correct 'digest'",
                   task->name, task->table.file, digest_hex(&found, hex));
}

enum err_code task_load_table(struct task *task, const struct reader *reader, const char *folder,
                              struct err *err)
{
    if (task->generator || task->loaded)
        return ERR_OK;
    char *bytes = NULL;
    size_t len = 0;
    struct csv csv = {0};
    char *path = arena_printf(&task->data, "%s/%s", folder, task->table.file);
    enum err_code code = reader->read(reader->ctx, path, CSV_BYTES_MAX, &bytes, &len, err);
    if (code)
        return err_wrap(err, "task '%s'", task->name);
    code = check_digest(task, bytes, len, err);
    if (!code && !yaml_is_utf8(bytes, len))
        code = err_set(err, ERR_INVALID, "task '%s': table '%s' is not UTF-8", task->name,
                       task->table.file);
    if (!code)
        code = csv_parse(bytes, len, task->table.file, &csv, err);
    if (!code) {
        task->people = arena_array(&task->data, csv.row_count + 1, sizeof *task->people);
        task->person_count = 0;
        code = task->table.shape == TABLE_WIDE ? resolve_wide(task, &csv, err)
                                               : resolve_long(task, &csv, err);
    }
    if (!code && task->person_count == 0)
        code = err_set(err, ERR_INVALID, "task '%s': nobody in '%s' answered at least %d items",
                       task->name, task->table.file, ANSWERS_MIN);
    task->loaded = code == ERR_OK;
    csv_release(&csv);
    free(bytes);
    return code;
}
