#include "coverage.h"

#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "str.h"

#define LIST_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct valid_keys {
    int rule;
    struct field_texts values;
    const char *list, *digest;
    bool ignore_case, lenient;
    int64_t minimum, maximum;
};

struct coverage_keys {
    int64_t max_tokens;
    bool lines;
    const struct yaml_node *valid;
};

/* clang-format off */
static const struct field valid_fields[] = {
    {.key = "rule", .kind = FIELD_CHOICE, .offset = offsetof(struct valid_keys, rule),
     .choices = validity_rule_names, .required = true},
    {.key = "values", .kind = FIELD_TEXTS, .offset = offsetof(struct valid_keys, values)},
    {.key = "list", .kind = FIELD_TEXT, .offset = offsetof(struct valid_keys, list)},
    {.key = "digest", .kind = FIELD_TEXT, .offset = offsetof(struct valid_keys, digest)},
    {.key = "ignore_case", .kind = FIELD_BOOL, .offset = offsetof(struct valid_keys, ignore_case)},
    {.key = "lenient", .kind = FIELD_BOOL, .offset = offsetof(struct valid_keys, lenient)},
    {.key = "minimum", .kind = FIELD_INTEGER, .offset = offsetof(struct valid_keys, minimum),
     .min = 0, .max = 9e18},
    {.key = "maximum", .kind = FIELD_INTEGER, .offset = offsetof(struct valid_keys, maximum),
     .min = 0, .max = 9e18},
};
static const struct field_table valid_table = {valid_fields,
                                               sizeof valid_fields / sizeof valid_fields[0]};

static const struct field coverage_fields[] = {
    {.key = "max_tokens", .kind = FIELD_INTEGER, .offset = offsetof(struct coverage_keys, max_tokens),
     .min = 1, .max = DATASET_DRAW_TOKENS_MAX, .required = true},
    {.key = "lines", .kind = FIELD_BOOL, .offset = offsetof(struct coverage_keys, lines)},
    {.key = "valid", .kind = FIELD_NODE, .offset = offsetof(struct coverage_keys, valid),
     .required = true},
};
static const struct field_table coverage_table = {
    coverage_fields, sizeof coverage_fields / sizeof coverage_fields[0]};
/* clang-format on */

/* The lines of a list file, without their ends. With a `digest` (hex) it must be that file. */
static enum err_code read_list(struct yaml_doc *doc, const struct yaml_node *node,
                               const struct reader *reader, const char *path, const char *digest,
                               const char ***values_out, size_t *count_out, struct err *err)
{
    char *bytes = NULL, hex[DIGEST_HEX_SIZE];
    size_t len = 0, lines = 1, count = 0;
    enum err_code code = reader->read(reader->ctx, path, LIST_BYTES_MAX, &bytes, &len, err);
    if (code)
        return err_wrap(err, "'list' of a coverage task");
    const struct digest own = hash_bytes(bytes, len);
    if (digest && strcmp(digest, digest_hex(&own, hex)) != 0) {
        free(bytes);
        return yaml_fail(doc, node, err,
                         "the list '%.200s' is not the one with the digest that is given", path);
    }
    if (!str_is_utf8(bytes, len)) {
        free(bytes);
        return yaml_fail(doc, node, err, "the list '%.200s' is not UTF-8", path);
    }
    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    const char **values = arena_array(&doc->arena, lines, sizeof *values);
    for (char *at = bytes; at < bytes + len;) {
        const size_t line = strcspn(at, "\r\n");
        if (line > 0)
            values[count++] = arena_strndup(&doc->arena, at, line);
        at += line + strspn(at + line, "\r\n");
        if (line == 0 && *at == '\0')
            break;
    }
    free(bytes);
    *values_out = values;
    *count_out = count;
    return ERR_OK;
}

static enum err_code read_valid(struct yaml_doc *doc, const struct yaml_node *node,
                                const struct reader *reader, const char *folder,
                                struct validator *out, struct err *err)
{
    struct valid_keys keys = {.maximum = INT64_MAX};
    enum err_code code = fields_read(doc, node, "in 'valid'", &valid_table, &keys, err);
    if (code)
        return code;
    const bool listed = keys.rule == VALID_MEMBER || keys.rule == VALID_CONTAINS;
    const char **values = keys.values.items;
    size_t count = keys.values.count;
    if (keys.list && count > 0)
        return yaml_fail(doc, node, err, "'valid' has both 'values' and 'list'; one is enough");
    if (keys.list)
        code = read_list(doc, node, reader, arena_printf(&doc->arena, "%s/%s", folder, keys.list),
                         keys.digest, &values, &count, err);
    if (!code && listed && count == 0)
        code = yaml_fail(doc, node, err, "the rule '%s' needs 'values' or a 'list'",
                         validity_rule_names[keys.rule]);
    if (!code && keys.minimum > keys.maximum)
        code = yaml_fail(doc, node, err, "'minimum' is above 'maximum'");
    if (code)
        return code;
    *out = (struct validator){.rule = (enum validity_rule)keys.rule,
                              .ignore_case = keys.ignore_case,
                              .lenient = keys.lenient,
                              .minimum = (uint64_t)keys.minimum,
                              .maximum = (uint64_t)keys.maximum};
    validator_prepare(out, values, count, &doc->arena);
    return ERR_OK;
}

enum err_code coverage_read(struct yaml_doc *doc, const struct yaml_node *node,
                            const struct reader *reader, const char *folder,
                            struct coverage_settings *out, struct err *err)
{
    struct coverage_keys keys = {.lines = true};
    enum err_code code = fields_read(doc, node, "in 'coverage'", &coverage_table, &keys, err);
    if (!code)
        code = read_valid(doc, keys.valid, reader, folder, &out->validator, err);
    out->max_tokens = keys.max_tokens;
    out->lines = keys.lines;
    return code;
}
