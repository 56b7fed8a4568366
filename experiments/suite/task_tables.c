/* The `tables` of a task file, and the files they are read from. */
#include <string.h>

#include "check.h"
#include "task.h"

static const char *const format_names[] = {"csv",      "tsv",   "json", "jsonl",
                                           "document", "lines", NULL};
_Static_assert(ARRAY_COUNT(format_names) == RECORD_FORMAT_COUNT + 1, "one name per format");
static const char *const encoding_names[] = {"utf8", "latin1", NULL};

struct table_keys {
    struct field_texts files, missing, header;
    int format, encoding;
    const char *separator, *quote, *where;
    int64_t limit, skip_lines;
    bool optional;
    const struct yaml_node *columns, *items, *values;
};

#define AT(member) offsetof(struct table_keys, member)
static const struct field table_fields[] = {
    {.key = "file", .kind = FIELD_TEXTS, .offset = AT(files)},
    {.key = "format", .kind = FIELD_CHOICE, .offset = AT(format), .choices = format_names},
    {.key = "encoding", .kind = FIELD_CHOICE, .offset = AT(encoding), .choices = encoding_names},
    {.key = "separator", .kind = FIELD_TEXT, .offset = AT(separator)},
    {.key = "quote", .kind = FIELD_TEXT, .offset = AT(quote)},
    {.key = "header", .kind = FIELD_TEXTS, .offset = AT(header)},
    {.key = "skip_lines", .kind = FIELD_INTEGER, .offset = AT(skip_lines), .max = 10000},
    {.key = "missing", .kind = FIELD_TEXTS, .offset = AT(missing)},
    {.key = "optional", .kind = FIELD_BOOL, .offset = AT(optional)},
    {.key = "columns", .kind = FIELD_NODE, .offset = AT(columns)},
    {.key = "items", .kind = FIELD_NODE, .offset = AT(items)},
    {.key = "values", .kind = FIELD_NODE, .offset = AT(values)},
    {.key = "where", .kind = FIELD_TEXT, .offset = AT(where)},
    {.key = "limit", .kind = FIELD_INTEGER, .offset = AT(limit), .min = 1, .max = 1e12},
};
static const struct field_table table_table = {table_fields, ARRAY_COUNT(table_fields)};

/* A mapping code: text. */
static enum err_code read_pairs(struct yaml_doc *doc, const struct yaml_node *node,
                                struct table_item **out, size_t *count_out, struct err *err)
{
    if (node->kind != YAML_MAPPING || node->count == 0)
        return yaml_fail(doc, node, err, "a mapping of texts to texts is expected");
    struct table_item *pairs = arena_array(&doc->arena, node->count, sizeof *pairs);
    for (size_t i = 0; i < node->count; i++) {
        if (node->items[i]->kind != YAML_SCALAR || node->items[i]->text[0] == '\0')
            return yaml_fail(doc, node->items[i], err, "the text of '%.64s' is missing",
                             node->keys[i]->text);
        pairs[i] = (struct table_item){node->keys[i]->text, node->items[i]->text};
    }
    *out = pairs;
    *count_out = node->count;
    return ERR_OK;
}

/* A list of names, or a mapping from names to where they come from. */
static enum err_code read_columns(struct yaml_doc *doc, const struct yaml_node *node,
                                  struct table_import *import, struct err *err)
{
    if (node->kind == YAML_SCALAR || node->count == 0)
        return yaml_fail(doc, node, err, "'columns' must be a list or a mapping");
    struct table_column *columns = arena_array(&doc->arena, node->count, sizeof *columns);
    for (size_t i = 0; i < node->count; i++) {
        bool named = node->kind == YAML_MAPPING;
        if (node->items[i]->kind != YAML_SCALAR || node->items[i]->text[0] == '\0')
            return yaml_fail(doc, node->items[i], err, "a column's name or path is missing");
        columns[i] = named ? (struct table_column){node->keys[i]->text, node->items[i]->text}
                           : (struct table_column){node->items[i]->text, NULL};
    }
    import->columns = columns;
    import->column_count = node->count;
    return ERR_OK;
}

static enum err_code read_items(struct yaml_doc *doc, const struct yaml_node *node,
                                struct table_import *import, struct err *err)
{
    if (node->kind == YAML_SCALAR) {
        import->item_glob = node->text;
        return ERR_OK;
    }
    struct table_item *items = NULL;
    enum err_code code = read_pairs(doc, node, &items, &import->item_count, err);
    import->items = items;
    return code;
}

/* What the name of the first file says, where the format is not given. */
static int guess_format(const char *path)
{
    static const struct {
        const char *ending;
        enum record_format format;
    } known[] = {{".csv", RECORD_CSV},     {".tsv", RECORD_TSV},      {".json", RECORD_JSON},
                 {".jsonl", RECORD_JSONL}, {".ndjson", RECORD_JSONL}, {".txt", RECORD_LINES}};
    size_t len = strlen(path);
    static const char *const packed[] = {".gz", ".zst"};
    for (size_t i = 0; i < ARRAY_COUNT(packed); i++) {
        size_t n = strlen(packed[i]);
        if (len > n && strcmp(path + len - n, packed[i]) == 0)
            len -= n;
    }
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        size_t n = strlen(known[i].ending);
        if (len > n && strncmp(path + len - n, known[i].ending, n) == 0)
            return (int)known[i].format;
    }
    return -1;
}

/* One byte, or "none". */
static enum err_code read_byte(struct yaml_doc *doc, const struct yaml_node *node, const char *key,
                               const char *text, char *out, struct err *err)
{
    if (!text)
        return ERR_OK;
    if (strcmp(text, "none") == 0)
        *out = '\0';
    else if (strlen(text) == 1)
        *out = text[0];
    else
        return yaml_fail(doc, yaml_get(node, key), err, "'%s' must be one character or none", key);
    return ERR_OK;
}

static enum err_code read_table(struct yaml_doc *doc, const struct yaml_node *node,
                                const char *name, struct task_table *out, struct err *err)
{
    char what[96];
    struct table_keys keys = {.format = -1};
    snprintf(what, sizeof what, "table '%.64s'", name);
    enum err_code code = fields_read(doc, node, what, &table_table, &keys, err);
    if (code)
        return code;
    if ((keys.files.count == 0) == !keys.values)
        return yaml_fail(doc, node, err, "a table has either a 'file' or 'values'");
    *out = (struct task_table){.node = node, .files = keys.files, .optional = keys.optional};
    struct table_import *import = &out->import;
    import->name = name;
    if (keys.values)
        return read_pairs(doc, keys.values, &out->values, &out->value_count, err);
    int format = keys.format >= 0 ? keys.format : guess_format(keys.files.items[0]);
    if (format < 0)
        return yaml_fail(doc, keys.files.nodes[0], err,
                         "the name of the file does not say its format; add 'format'");
    import->records = (struct record_options){.format = (enum record_format)format,
                                              .encoding = (enum text_encoding)keys.encoding,
                                              .quote = '"',
                                              .header = keys.header.items,
                                              .header_count = keys.header.count,
                                              .skip_lines = (size_t)keys.skip_lines};
    import->missing = keys.missing.items;
    import->missing_count = keys.missing.count;
    import->where = keys.where;
    import->limit = keys.limit;
    code = read_byte(doc, node, "separator", keys.separator, &import->records.separator, err);
    if (!code)
        code = read_byte(doc, node, "quote", keys.quote, &import->records.quote, err);
    if (!code && keys.columns)
        code = read_columns(doc, keys.columns, import, err);
    if (!code && keys.items)
        code = read_items(doc, keys.items, import, err);
    if (!code && out->optional && (import->column_count == 0 || keys.items))
        code = yaml_fail(doc, node, err, "an optional table needs 'columns', and has no items");
    return code;
}

enum err_code task_read_tables(struct yaml_doc *doc, const struct yaml_node *node,
                               struct task *task, struct err *err)
{
    if (node->kind != YAML_MAPPING || node->count == 0)
        return yaml_fail(doc, node, err, "'tables' must map names to tables");
    task->tables = arena_array(&doc->arena, node->count, sizeof *task->tables);
    for (size_t i = 0; i < node->count; i++) {
        enum err_code code =
            read_table(doc, node->items[i], node->keys[i]->text, &task->tables[i], err);
        if (code)
            return code;
        task->table_count++;
    }
    return ERR_OK;
}

/* ---- Files ---- */

/* Files found so far. */
struct finding {
    const struct reader *reader;
    struct arena *arena;
    struct table_file *files;
    size_t count, cap;
};

static void add_file(struct finding *f, const char *path, const char *label)
{
    if (f->count == f->cap) {
        size_t cap = f->cap ? 2 * f->cap : 16;
        struct table_file *grown = arena_array(f->arena, cap, sizeof *grown);
        if (f->count > 0)
            memcpy(grown, f->files, f->count * sizeof *grown);
        f->files = grown;
        f->cap = cap;
    }
    f->files[f->count++] = (struct table_file){path, label};
}

/* Walk one component of the pattern. What cannot be listed holds no file. */
static void find_below(struct finding *f, const char *folder, const char *label,
                       const char *pattern)
{
    const char **names = NULL;
    size_t count = 0, len = strcspn(pattern, "/");
    const char *part = arena_strndup(f->arena, pattern, len);
    struct err ignored;
    if (f->reader->list(f->reader->ctx, folder, f->arena, &names, &count, &ignored) != ERR_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(part, names[i]) != 0 && !str_glob(part, names[i]))
            continue;
        const char *path = arena_printf(f->arena, "%s/%s", folder, names[i]);
        const char *below = label[0] ? arena_printf(f->arena, "%s/%s", label, names[i]) : names[i];
        if (pattern[len] == '/')
            find_below(f, path, below, pattern + len + 1);
        else
            add_file(f, path, below);
    }
}

enum err_code task_find_files(const struct task *task, const struct task_table *table,
                              const struct reader *reader, const char *folder, struct arena *arena,
                              struct table_file **files_out, size_t *count_out, struct err *err)
{
    struct finding f = {.reader = reader, .arena = arena};
    for (size_t i = 0; i < table->files.count; i++) {
        size_t before = f.count;
        const char *pattern = table->files.items[i];
        if (pattern[0] == '/')
            add_file(&f, pattern, pattern);
        else if (folder)
            find_below(&f, folder, "", pattern);
        if (f.count == before)
            return err_set(err, ERR_NOT_FOUND, "task '%s' needs '%.200s' of source '%s'%s%.200s",
                           task->name, pattern, task->source, folder ? " in " : "",
                           folder ? folder : "");
    }
    *files_out = f.files;
    *count_out = f.count;
    return ERR_OK;
}
