#include "source.h"

#include <string.h>

#include "check.h"

static const char *const access_names[] = {"embedded", "open",   "account",
                                           "request",  "manual", NULL};
static const char *const status_names[] = {"published", "inferred", "ours", NULL};

struct source_keys {
    struct source source;
    const char *base;
    const struct yaml_node *files;
};

#define AT(member) offsetof(struct source_keys, source.member)
static const struct field source_fields[] = {
    {.key = "source", .kind = FIELD_NAME, .offset = AT(name), .required = true},
    {.key = "title", .kind = FIELD_TEXT, .offset = AT(title), .required = true},
    {.key = "address", .kind = FIELD_TEXT, .offset = AT(address), .required = true},
    {.key = "licence", .kind = FIELD_TEXT, .offset = AT(licence), .required = true},
    {.key = "access",
     .kind = FIELD_CHOICE,
     .offset = AT(access),
     .choices = access_names,
     .required = true},
    {.key = "how", .kind = FIELD_TEXT, .offset = AT(how)},
    {.key = "convert", .kind = FIELD_TEXT, .offset = AT(convert)},
    {.key = "base", .kind = FIELD_TEXT, .offset = offsetof(struct source_keys, base)},
    {.key = "files",
     .kind = FIELD_NODE,
     .offset = offsetof(struct source_keys, files),
     .required = true},
};
static const struct field_table source_table = {source_fields, ARRAY_COUNT(source_fields)};

#define FILE_AT(member) offsetof(struct source_file, member)
static const struct field file_fields[] = {
    {.key = "path", .kind = FIELD_TEXT, .offset = FILE_AT(path), .required = true},
    {.key = "url", .kind = FIELD_TEXT, .offset = FILE_AT(url)},
    {.key = "digest", .kind = FIELD_TEXT, .offset = FILE_AT(digest)},
    {.key = "bytes", .kind = FIELD_BYTES, .offset = FILE_AT(bytes), .max = 1e15},
};
static const struct field_table file_table = {file_fields, ARRAY_COUNT(file_fields)};

/* A path below the source's folder: no way out of it. */
static bool path_is_safe(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        size_t len = strcspn(at, "/");
        if (len == 0 || (len == 1 && at[0] == '.') || (len == 2 && strncmp(at, "..", 2) == 0))
            return false;
    }
    return true;
}

/* A file is a mapping, or only its path; `base` is put before the path where no address is given.
 */
static enum err_code read_file(struct yaml_doc *doc, const struct yaml_node *node, const char *base,
                               struct source_file *out, struct err *err)
{
    struct digest ignored;
    enum err_code code = ERR_OK;
    if (node->kind == YAML_SCALAR)
        out->path = node->text;
    else
        code = fields_read(doc, node, "a file", &file_table, out, err);
    if (code)
        return code;
    if (!path_is_safe(out->path))
        return yaml_fail(doc, node, err, "'%.100s' is no path below the source's folder",
                         out->path);
    if (out->digest && !digest_from_hex(out->digest, &ignored))
        return yaml_fail(doc, node, err, "'digest' must be 64 hexadecimal digits");
    if (!out->url && base)
        out->url = arena_printf(&doc->arena, "%s%s", base, out->path);
    return ERR_OK;
}

static enum err_code read_source(struct yaml_doc *doc, struct source *source, struct err *err)
{
    struct source_keys keys = {0};
    enum err_code code = fields_read(doc, doc->root, "the source", &source_table, &keys, err);
    if (code)
        return code;
    if (keys.files->kind != YAML_SEQUENCE || keys.files->count == 0)
        return yaml_fail(doc, keys.files, err, "'files' must be a list");
    *source = keys.source;
    source->files = arena_array(&doc->arena, keys.files->count, sizeof *source->files);
    for (size_t i = 0; !code && i < keys.files->count; i++)
        code = read_file(doc, keys.files->items[i], keys.base, &source->files[source->file_count++],
                         err);
    if (!code && source->access > SOURCE_OPEN && !source->how)
        return yaml_fail(doc, doc->root, err, "access '%s' needs 'how': what a person has to do",
                         access_names[source->access]);
    return code;
}

enum err_code source_parse(const char *bytes, size_t len, const char *path, struct source *out,
                           struct err *err)
{
    struct yaml_doc doc;
    struct source source = {0};
    enum err_code code = yaml_parse(bytes, len, path, &doc, err);
    if (code)
        return code;
    code = read_source(&doc, &source, err);
    source.doc = doc;
    if (code)
        source_release(&source);
    else
        *out = source;
    return code;
}

void source_release(struct source *source)
{
    yaml_release(&source->doc);
    *source = (struct source){0};
}

const char *source_access_name(enum source_access access)
{
    return access_names[access];
}

const struct source_file *source_find_file(const struct source *source, const char *path)
{
    for (size_t i = 0; i < source->file_count; i++) {
        if (strcmp(source->files[i].path, path) == 0)
            return &source->files[i];
    }
    return NULL;
}

#define SET_AT(member) offsetof(struct task_set, member)
static const struct field set_fields[] = {
    {.key = "set", .kind = FIELD_NAME, .offset = SET_AT(name), .required = true},
    {.key = "what", .kind = FIELD_TEXT, .offset = SET_AT(what), .required = true},
    {.key = "status",
     .kind = FIELD_CHOICE,
     .offset = SET_AT(status),
     .choices = status_names,
     .required = true},
    {.key = "published", .kind = FIELD_INTEGER, .offset = SET_AT(published), .max = 1000},
    {.key = "tasks", .kind = FIELD_TEXTS, .offset = SET_AT(tasks), .required = true},
};
static const struct field_table set_table = {set_fields, ARRAY_COUNT(set_fields)};

enum err_code set_parse(const char *bytes, size_t len, const char *path, struct task_set *out,
                        struct err *err)
{
    struct task_set set = {0};
    struct yaml_doc doc;
    enum err_code code = yaml_parse(bytes, len, path, &doc, err);
    if (code)
        return code;
    code = fields_read(&doc, doc.root, "the set", &set_table, &set, err);
    set.doc = doc;
    if (code)
        set_release(&set);
    else
        *out = set;
    return code;
}

void set_release(struct task_set *set)
{
    yaml_release(&set->doc);
    *set = (struct task_set){0};
}

bool set_has(const struct task_set *set, const char *task)
{
    for (size_t i = 0; i < set->tasks.count; i++) {
        if (strcmp(set->tasks.items[i], task) == 0)
            return true;
    }
    return false;
}
