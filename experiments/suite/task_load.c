/* A task's tables read, its rows made, and its sequences planned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "shuffle.h"
#include "task.h"

/* ---- Files that are checked while they are read ---- */

struct checked_files {
    const struct reader *reader;
    const struct source *source;
    const struct task *task;
    const char *folder;
};

struct checked_stream {
    struct byte_stream inner;
    const struct source_file *file;
    const struct task *task;
    struct hash_state hash;
};

static enum err_code checked_read(void *ctx, char *buffer, size_t cap, size_t *got_out,
                                  struct err *err)
{
    struct checked_stream *s = ctx;
    enum err_code code = s->inner.read(s->inner.ctx, buffer, cap, got_out, err);
    if (code)
        return code;
    hash_update(&s->hash, buffer, *got_out);
    if (*got_out > 0)
        return ERR_OK;
    struct digest wanted, found = hash_final(&s->hash);
    char hex[DIGEST_HEX_SIZE];
    ASSERT(digest_from_hex(s->file->digest, &wanted));
    hash_init(&s->hash); /* a reader may ask again at the end */
    if (digest_equal(&wanted, &found))
        return ERR_OK;
    return err_set(err, ERR_CORRUPT,
                   "task '%s': '%s' is not the file that source '%s' names (its digest is %s); "
                   "restore it, or correct 'digest' in the source file",
                   s->task->name, s->file->path, s->task->source, digest_hex(&found, hex));
}

static void checked_close(void *ctx)
{
    struct checked_stream *s = ctx;
    byte_stream_close(&s->inner);
    free(s);
}

static enum err_code checked_open(void *ctx, const char *path, struct byte_stream *out,
                                  struct err *err)
{
    const struct checked_files *files = ctx;
    const struct source_file *known = NULL;
    size_t len = files->folder ? strlen(files->folder) : 0;
    if (files->source && len > 0 && strncmp(path, files->folder, len) == 0)
        known = source_find_file(files->source, path + len + 1);
    enum err_code code = files->reader->open(files->reader->ctx, path, out, err);
    if (code || !known || !known->digest)
        return code;
    struct checked_stream *s = calloc(1, sizeof *s);
    ASSERT(s != NULL);
    *s = (struct checked_stream){.inner = *out, .file = known, .task = files->task};
    hash_init(&s->hash);
    *out = (struct byte_stream){s, checked_read, checked_close};
    return ERR_OK;
}

static enum err_code load_table(struct task *task, const struct task_table *table,
                                struct checked_files *files, struct err *err)
{
    struct arena arena = {0};
    struct table_file *found = NULL;
    size_t count = 0;
    struct table_opener opener = {files, checked_open};
    if (table->values)
        return table_db_values(task->db, table->import.name, table->values, table->value_count,
                               err);
    enum err_code code =
        task_find_files(task, table, files->reader, files->folder, &arena, &found, &count, err);
    if (code == ERR_NOT_FOUND && table->optional) {
        code = table_db_empty(task->db, &table->import, err);
    } else if (!code) {
        code = table_db_import(task->db, &table->import, &opener, found, count, err);
        if (code && code != ERR_CORRUPT)
            err_wrap(err, "task '%s'", task->name);
    }
    arena_release(&arena);
    return code;
}

/* ---- Columns ---- */

static void add_column(struct task *task, struct task_part *part, const char *name, size_t len)
{
    for (size_t i = 0; i < part->column_count; i++) {
        if (str_equal(str_from(part->columns[i]), (struct str){name, len}))
            return;
    }
    part->columns[part->column_count++] = arena_strndup(&task->data, name, len);
}

static void add_fields(struct task *task, struct task_part *part, bool optional)
{
    const struct task_fields *lists[] = {&part->input, &part->output};
    for (size_t l = 0; l < ARRAY_COUNT(lists); l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct task_field *f = &lists[l]->items[i];
            if (f->optional == optional)
                add_column(task, part, f->name, strlen(f->name));
        }
    }
}

/* Every column that the part mentions, once, those that must have a value first; returns how many
 * must. */
static size_t collect_columns(struct task *task, struct task_part *part)
{
    size_t cap = part->input.count + part->output.count + 3 + GENERATOR_COLUMNS_MAX;
    for (size_t i = 0; i < part->descriptions.count; i++)
        cap += strlen(part->descriptions.items[i]);
    part->columns = arena_array(&task->data, cap, sizeof *part->columns);
    for (size_t i = 0; task->generator && task->generator->columns[i]; i++)
        add_column(task, part, task->generator->columns[i], strlen(task->generator->columns[i]));
    if (task->generator)
        return part->column_count;
    add_fields(task, part, false);
    size_t needed = part->column_count;
    add_fields(task, part, true);
    for (size_t i = 0; i < part->descriptions.count; i++) {
        const char *text = part->descriptions.items[i];
        struct str name;
        while (task_next_field(&text, &name))
            add_column(task, part, name.data, name.len);
    }
    if (part->candidates_from)
        add_column(task, part, part->candidates_from, strlen(part->candidates_from));
    if (part->target_from)
        add_column(task, part, part->target_from, strlen(part->target_from));
    return needed;
}

size_t task_column(const struct task_part *part, const char *name)
{
    size_t i = 0;
    while (strcmp(part->columns[i], name) != 0)
        i++;
    ASSERT(i < part->column_count);
    return i;
}

/* ---- Sequences ---- */

static void add_sequence(struct task *task, struct task_part *part, size_t *cap,
                         struct task_sequence sequence)
{
    if (part->plan_count == *cap) {
        *cap = *cap ? 2 * *cap : 256;
        struct task_sequence *grown = arena_array(&task->data, *cap, sizeof *grown);
        if (part->plan_count > 0)
            memcpy(grown, part->plan, part->plan_count * sizeof *grown);
        part->plan = grown;
    }
    part->plan[part->plan_count++] = sequence;
}

/* A group cut into chunks whose lengths its own stream draws. */
static void plan_chunks(struct task *task, struct task_part *part, uint32_t group,
                        const struct rng *root, size_t *cap)
{
    struct dice dice = dice_open(rng_child(root, "chunks", group));
    uint32_t count = part->set.groups[group].count, first = 0;
    while (first < count) {
        int64_t length = part->length == LENGTH_ALL  ? count
                         : part->length == LENGTH_GP ? dice_gp(&dice, (double)part->examples)
                                                     : part->examples;
        uint32_t left = count - first;
        uint32_t size = length < (int64_t)left ? (uint32_t)length : left;
        if ((int64_t)size >= part->examples_min || part->examples_min > length)
            add_sequence(task, part, cap, (struct task_sequence){group, 0, first, size});
        first += size;
    }
    dice_close(&dice);
}

/* Of more sequences than wanted, some: drawn, so that no group is preferred for standing first. */
static void keep_some(struct task_part *part, const struct rng *root)
{
    struct arena scratch = {0};
    if (part->plan_count <= part->sequences)
        return;
    struct shuffle order = shuffle_make(rng_child(root, "some", 0), part->plan_count, &scratch);
    uint32_t count = (uint32_t)part->sequences;
    struct task_sequence *kept = arena_array(&scratch, count, sizeof *kept);
    for (uint32_t i = 0; i < count; i++)
        kept[i] = part->plan[shuffle_at(&order, i)];
    memcpy(part->plan, kept, count * sizeof *kept);
    part->plan_count = count;
    arena_release(&scratch);
}

/* Groups one after another, a repeat after all of them as the reference does it. */
static enum err_code plan_part(struct task *task, size_t index, struct err *err)
{
    struct task_part *part = &task->parts[index];
    struct rng root = rng_new((uint64_t)task->seed, task->name);
    size_t cap = 0;
    root = rng_child(&root, "part", index);
    uint32_t used = 0;
    int64_t repeats = part->per_group ? part->per_group : 1;
    for (int64_t repeat = 0; repeat < repeats; repeat++) {
        used = 0;
        for (uint32_t g = 0; g < (uint32_t)part->set.group_count; g++) {
            bool enough = part->set.groups[g].count >= part->examples_min;
            if (!enough || (part->groups > 0 && used == part->groups))
                continue;
            used++;
            if (part->per_group == 0)
                plan_chunks(task, part, g, &root, &cap);
            else
                add_sequence(task, part, &cap, (struct task_sequence){g, (uint32_t)repeat, 0, 0});
        }
    }
    keep_some(part, &root);
    if (part->plan_count > 0)
        return ERR_OK;
    return yaml_fail(&task->doc, part->node, err,
                     "the rows give no sequence: %zu groups, none with %lld rows that have all "
                     "fields (%u rows were left out)",
                     part->set.group_count, (long long)part->examples_min, part->set.left_out);
}

static enum err_code load_part(struct task *task, size_t index, struct err *err)
{
    struct task_part *part = &task->parts[index];
    size_t needed = collect_columns(task, part);
    const char *sql = part->rows;
    if (!sql)
        sql = arena_printf(&task->data, "select * from \"%s\" order by _row",
                           task->tables[0].import.name);
    const char *group = task->generator ? task->generator->group : part->group;
    const struct yaml_node *at = yaml_get(part->node, "rows");
    at = at ? at : part->node;
    char what[300];
    snprintf(what, sizeof what, "%.200s:%u: rows", task->doc.name, at->line);
    enum err_code code = row_set_make(task->db, sql, what, group, part->columns, part->column_count,
                                      needed, &part->set, err);
    if (code || task->generator)
        return code;
    return plan_part(task, index, err);
}

enum err_code task_load(struct task *task, const struct reader *reader, const char *folder,
                        const struct source *source, struct err *err)
{
    if (task->loaded || task->table_count == 0) {
        task->loaded = true;
        return ERR_OK;
    }
    struct checked_files files = {reader, source, task, folder};
    enum err_code code = table_db_open(&task->limits, &task->db, err);
    for (size_t i = 0; !code && i < task->table_count; i++)
        code = load_table(task, &task->tables[i], &files, err);
    for (size_t i = 0; !code && i < task->part_count; i++)
        code = load_part(task, i, err);
    task->loaded = code == ERR_OK;
    if (!code)
        return ERR_OK;
    for (size_t i = 0; i < task->part_count; i++) {
        row_set_release(&task->parts[i].set);
        task->parts[i].plan_count = 0;
        task->parts[i].column_count = 0;
    }
    table_db_close(task->db);
    task->db = NULL;
    return code;
}

uint64_t task_part_supply(const struct task_part *part)
{
    return part->plan_count * (uint64_t)part->permutations;
}

uint32_t task_supply(const struct task *task)
{
    ASSERT(task->loaded || task->table_count == 0);
    if (task->generator)
        return UINT32_MAX;
    uint64_t supply = 0;
    for (size_t i = 0; i < task->part_count; i++)
        supply += task_part_supply(&task->parts[i]);
    return supply < UINT32_MAX ? (uint32_t)supply : UINT32_MAX - 1;
}

int64_t task_sequences_max(const struct task *task)
{
    return task->generator ? task->parts[0].sequences : INT32_MAX;
}

uint64_t task_left_out(const struct task *task)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < task->part_count; i++)
        rows += task->parts[i].set.left_out;
    return rows;
}
