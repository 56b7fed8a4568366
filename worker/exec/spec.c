#include "spec.h"

#include <math.h>
#include <string.h>

#include <jansson.h>

#include "bounds.h"
#include "check.h"
#include "str.h"

enum field_type {
    FIELD_INTEGER, /* int64_t */
    FIELD_NUMBER,  /* double */
    FIELD_BOOL,
    FIELD_TEXT,    /* const char * */
    FIELD_NAMES,   /* struct spec_names: a list of texts */
    FIELD_DIGESTS, /* struct spec_digests: an object of digests */
    FIELD_OBJECT,  /* described by `table` */
};

struct field_table {
    const struct field *fields;
    size_t count;
};

/* One key of an object: where it goes, and what may stand there. */
struct field {
    const char *key;
    enum field_type type;
    size_t offset;
    unsigned kinds;    /* bits of enum job_kind that have it */
    double min, max;   /* numbers; both included */
    const char *texts; /* texts that are allowed, "a|b"; NULL: any */
    const struct field_table *table;
    size_t count_max; /* lists */
    bool optional;    /* zero when absent */
};

#define BIT(kind)  (1u << (kind))
#define ALL_KINDS  (BIT(JOB_KIND_COUNT) - 1)
#define TUNED      (BIT(JOB_INSTRUCT) | BIT(JOB_SPECTRUM))
#define TRAINED    (BIT(JOB_PRETRAIN) | TUNED)
#define FINITE_MAX 1e300
#define COUNT_MAX  2147483647.0

#define AT(type, member) offsetof(struct type, member)
#define INTEGER(type, member, low, high)                                                           \
    {                                                                                              \
#member, FIELD_INTEGER, AT(type, member), ALL_KINDS, low, high, NULL, NULL, 0, false       \
    }
#define NUMBER(type, member, low, high)                                                            \
    {                                                                                              \
#member, FIELD_NUMBER, AT(type, member), ALL_KINDS, low, high, NULL, NULL, 0, false        \
    }
#define TEXT(type, member, allowed)                                                                \
    {                                                                                              \
#member, FIELD_TEXT, AT(type, member), ALL_KINDS, 0, 0, allowed, NULL, 0, false            \
    }

#define BOOLEAN(record, member)                                                                    \
    {                                                                                              \
        .key = #member, .type = FIELD_BOOL, .offset = AT(record, member), .kinds = ALL_KINDS       \
    }

static const struct field numerics_fields[] = {
    TEXT(spec_numerics, backend, "packed|blas|onednn"),
    TEXT(spec_numerics, mode, "strict|fast"),
    TEXT(spec_numerics, precision, "f32|bf16"),
    TEXT(spec_numerics, core_type, NULL),
};

static const struct field architecture_fields[] = {
    TEXT(spec_architecture, kind, NULL),
    INTEGER(spec_architecture, layers, 1, COUNT_MAX),
    INTEGER(spec_architecture, width, 1, COUNT_MAX),
    INTEGER(spec_architecture, heads, 1, COUNT_MAX),
    INTEGER(spec_architecture, kv_heads, 1, COUNT_MAX),
    INTEGER(spec_architecture, head_dim, 1, COUNT_MAX),
    INTEGER(spec_architecture, mlp, 1, COUNT_MAX),
    INTEGER(spec_architecture, context, 1, COUNT_MAX),
    NUMBER(spec_architecture, rope_theta, 1, FINITE_MAX),
    NUMBER(spec_architecture, norm_eps, 0, 1),
    NUMBER(spec_architecture, init_std, 0, FINITE_MAX),
    BOOLEAN(spec_architecture, tied),
    {.key = "window",
     .type = FIELD_INTEGER,
     .offset = AT(spec_architecture, window),
     .kinds = ALL_KINDS,
     .min = 1,
     .max = COUNT_MAX,
     .optional = true},
    {.key = "window_pattern",
     .type = FIELD_INTEGER,
     .offset = AT(spec_architecture, window_pattern),
     .kinds = ALL_KINDS,
     .min = 1,
     .max = COUNT_MAX,
     .optional = true},
    {.key = "query_scalar",
     .type = FIELD_INTEGER,
     .offset = AT(spec_architecture, query_scalar),
     .kinds = ALL_KINDS,
     .min = 1,
     .max = COUNT_MAX,
     .optional = true},
    {.key = "rope_local_theta",
     .type = FIELD_NUMBER,
     .offset = AT(spec_architecture, rope_local_theta),
     .kinds = ALL_KINDS,
     .min = 1,
     .max = FINITE_MAX,
     .optional = true},
};

#define TABLE(fields) (&(const struct field_table){fields, ARRAY_COUNT(fields)})
static const struct field lora_fields[] = {
    INTEGER(spec_lora, rank, 1, 65536),
    NUMBER(spec_lora, alpha, 0, FINITE_MAX),
    NUMBER(spec_lora, dropout, 0, 0.99),
    {.key = "targets",
     .type = FIELD_NAMES,
     .offset = AT(spec_lora, targets),
     .kinds = ALL_KINDS,
     .count_max = 64},
    BOOLEAN(spec_lora, embeddings),
    BOOLEAN(spec_lora, head),
};

static const struct field train_fields[] = {
    INTEGER(spec_train, sequence_tokens, 2, COUNT_MAX),
    INTEGER(spec_train, batch_tokens, 2, COUNT_MAX),
    INTEGER(spec_train, batch_sequences, 0, COUNT_MAX),
    INTEGER(spec_train, accumulate, 1, 65536),
    INTEGER(spec_train, steps, 0, 1e15),
    INTEGER(spec_train, epochs, 1, 1e6),
    INTEGER(spec_train, warmup_steps, 0, 1e15),
    INTEGER(spec_train, checkpoint_steps, 0, 1e15),
    INTEGER(spec_train, seed, 0, 9e18),
    NUMBER(spec_train, learning_rate, 0, FINITE_MAX),
    NUMBER(spec_train, minimum_lr_ratio, 0, 1),
    NUMBER(spec_train, weight_decay, 0, FINITE_MAX),
    NUMBER(spec_train, beta1, 0, 1),
    NUMBER(spec_train, beta2, 0, 1),
    NUMBER(spec_train, epsilon, 0, FINITE_MAX),
    NUMBER(spec_train, clip_norm, 0, FINITE_MAX),
    NUMBER(spec_train, loss_rise_max, 0, FINITE_MAX),
    TEXT(spec_train, schedule, "linear|cosine|constant"),
    TEXT(spec_train, loss, "outputs|all|first|last"),
    {.key = "shards",
     .type = FIELD_INTEGER,
     .offset = AT(spec_train, shards),
     .kinds = ALL_KINDS,
     .min = 1,
     .max = 1024,
     .optional = true},
    {.key = "saved_as",
     .type = FIELD_TEXT,
     .offset = AT(spec_train, saved_as),
     .kinds = ALL_KINDS,
     .texts = "f32|bf16",
     .optional = true},
    {.key = "lora",
     .type = FIELD_OBJECT,
     .offset = AT(spec_train, lora),
     .kinds = TUNED,
     .table = TABLE(lora_fields),
     .optional = true},
};

static const struct field turns_fields[] = {
    TEXT(spec_turns, end, NULL),
    {.key = "template",
     .type = FIELD_TEXT,
     .offset = AT(spec_turns, chat_template),
     .kinds = ALL_KINDS},
};

static const struct field restrict_fields[] = {
    TEXT(spec_restrict, mode, "none|auto|list"),
    {"texts", FIELD_NAMES, AT(spec_restrict, texts), ALL_KINDS, 0, 0, NULL, NULL, 1024, false},
    {"terminators", FIELD_BOOL, AT(spec_restrict, terminators), ALL_KINDS, 0, 0, NULL, NULL, 0,
     false},
};

static const struct field evaluate_fields[] = {
    TEXT(spec_evaluate, kind, "scores|choices|samples"),
    TEXT(spec_evaluate, task, NULL),
    TEXT(spec_evaluate, suite, NULL),
    TEXT(spec_evaluate, format, NULL),
    INTEGER(spec_evaluate, k, 0, COUNT_MAX),
    INTEGER(spec_evaluate, sequences, 0, COUNT_MAX),
    INTEGER(spec_evaluate, items, 0, 1e15),
    INTEGER(spec_evaluate, first, 0, COUNT_MAX),
    {"calibration", FIELD_BOOL, AT(spec_evaluate, calibration), ALL_KINDS, 0, 0, NULL, NULL, 0,
     false},
    {"restrict", FIELD_OBJECT, AT(spec_evaluate, restrict_to), ALL_KINDS, 0, 0, NULL,
     TABLE(restrict_fields), 0, false},
};

static const struct field root_fields[] = {
    {"kind", FIELD_TEXT, SIZE_MAX, ALL_KINDS, 0, 0, NULL, NULL, 0, false}, /* read before */
    INTEGER(spec, numerics_version, 1, COUNT_MAX),
    {"numerics", FIELD_OBJECT, AT(spec, numerics), ALL_KINDS, 0, 0, NULL, TABLE(numerics_fields), 0,
     false},
    {"inputs", FIELD_DIGESTS, AT(spec, inputs), ALL_KINDS, 0, 0, NULL, NULL, JOB_INPUTS_MAX, false},
    {"parents", FIELD_DIGESTS, AT(spec, parents), ALL_KINDS, 0, 0, NULL, NULL, JOB_PARENTS_MAX,
     false},
    {"layout", FIELD_TEXT, AT(spec, layout), BIT(JOB_IMPORT), 0, 0, "huggingface|llama2c", NULL, 0,
     false},
    {"special_tokens", FIELD_NAMES, AT(spec, special_tokens), BIT(JOB_IMPORT), 0, 0, NULL, NULL,
     1024, false},
    {"seed", FIELD_INTEGER, AT(spec, seed), BIT(JOB_IMPORT), 0, 9e18, NULL, NULL, 0, false},
    {"architecture", FIELD_OBJECT, AT(spec, architecture), BIT(JOB_PRETRAIN), 0, 0, NULL,
     TABLE(architecture_fields), 0, false},
    {"train", FIELD_OBJECT, AT(spec, train), TRAINED, 0, 0, NULL, TABLE(train_fields), 0, false},
    {"embedding_tokens", FIELD_NAMES, AT(spec, embedding_tokens), TUNED, 0, 0, NULL, NULL, 1024,
     false},
    {"turns", FIELD_OBJECT, AT(spec, turns), TUNED, 0, 0, NULL, TABLE(turns_fields), 0, true},
    {"evaluate", FIELD_OBJECT, AT(spec, evaluate), BIT(JOB_EVALUATE), 0, 0, NULL,
     TABLE(evaluate_fields), 0, false},
};
static const struct field_table root_table = {root_fields, ARRAY_COUNT(root_fields)};

/* An object being read, and the way to it ("train." or empty) for messages. */
struct place {
    json_t *object;
    const char *prefix;
    enum job_kind kind;
    struct arena *arena;
};

static enum err_code wrong(struct err *err, const struct place *at, const char *key,
                           const char *what)
{
    return err_set(err, ERR_INVALID, "job spec: '%s%s' must be %s", at->prefix, key, what);
}

static enum err_code unknown(struct err *err, const struct place *at,
                             const struct field_table *table, const char *key)
{
    const char *known[ARRAY_COUNT(root_fields) + ARRAY_COUNT(train_fields)];
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (table->fields[i].kinds & BIT(at->kind))
            known[count++] = table->fields[i].key;
    }
    const char *near = str_did_you_mean(key, known, count);
    return err_set(err, ERR_INVALID, "job spec: unknown key '%s%s'%s%s%s", at->prefix, key,
                   near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool text_is_allowed(const char *texts, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = texts; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        if (strncmp(at, text, len) == 0 && (at[len] == '|' || at[len] == '\0'))
            return true;
    }
    return false;
}

static enum err_code read_text(const struct place *at, const struct field *f, const json_t *value,
                               const char **out, struct err *err)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) != json_string_length(value))
        return wrong(err, at, f->key, "a text");
    if (f->texts && !text_is_allowed(f->texts, text))
        return err_set(err, ERR_INVALID, "job spec: '%s%s' is '%.40s', not one of %s", at->prefix,
                       f->key, text, f->texts);
    *out = arena_strdup(at->arena, text);
    return ERR_OK;
}

static enum err_code read_number(const struct place *at, const struct field *f, const json_t *value,
                                 void *out, struct err *err)
{
    bool integer = f->type == FIELD_INTEGER;
    if (integer ? !json_is_integer(value) : !json_is_number(value))
        return wrong(err, at, f->key, integer ? "an integer" : "a number");
    double number = json_number_value(value);
    if (!isfinite(number) || number < f->min || number > f->max)
        return err_set(err, ERR_INVALID, "job spec: '%s%s' is %g, not within %g … %g", at->prefix,
                       f->key, number, f->min, f->max);
    if (integer)
        *(int64_t *)out = json_integer_value(value);
    else
        *(double *)out = number;
    return ERR_OK;
}

static enum err_code read_names(const struct place *at, const struct field *f, const json_t *value,
                                struct spec_names *out, struct err *err)
{
    if (!json_is_array(value) || json_array_size(value) > f->count_max)
        return wrong(err, at, f->key, "a list of at most 1024 texts");
    out->count = json_array_size(value);
    out->items = arena_array(at->arena, out->count + 1, sizeof *out->items);
    for (size_t i = 0; i < out->count; i++) {
        enum err_code code = read_text(at, f, json_array_get(value, i), &out->items[i], err);
        if (code)
            return code;
    }
    return ERR_OK;
}

static enum err_code read_digests(const struct place *at, const struct field *f, json_t *value,
                                  struct spec_digests *out, struct err *err)
{
    if (!json_is_object(value) || json_object_size(value) > f->count_max)
        return wrong(err, at, f->key, "an object of digests");
    out->items = arena_array(at->arena, json_object_size(value) + 1, sizeof *out->items);
    const char *name;
    json_t *digest;
    json_object_foreach(value, name, digest)
    {
        struct named_digest *item = &out->items[out->count++];
        item->name = arena_strdup(at->arena, name);
        const char *hex = json_string_value(digest);
        if (!hex || !digest_from_hex(hex, &item->digest))
            return err_set(err, ERR_INVALID, "job spec: '%s.%.64s' must be 64 hexadecimal digits",
                           f->key, name);
    }
    return ERR_OK;
}

static enum err_code read_object(const struct place *at, const struct field_table *table, void *out,
                                 struct err *err);

static enum err_code read_field(const struct place *at, const struct field *f, json_t *value,
                                void *out, struct err *err)
{
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_NUMBER:
        return read_number(at, f, value, out, err);
    case FIELD_BOOL:
        if (!json_is_boolean(value))
            return wrong(err, at, f->key, "true or false");
        *(bool *)out = json_is_true(value);
        return ERR_OK;
    case FIELD_TEXT:
        return read_text(at, f, value, out, err);
    case FIELD_NAMES:
        return read_names(at, f, value, out, err);
    case FIELD_DIGESTS:
        return read_digests(at, f, value, out, err);
    case FIELD_OBJECT: {
        if (!json_is_object(value))
            return wrong(err, at, f->key, "an object");
        struct place inner = *at;
        inner.object = value;
        inner.prefix = arena_printf(at->arena, "%s%s.", at->prefix, f->key);
        return read_object(&inner, f->table, out, err);
    }
    }
    UNREACHABLE("unknown field type");
}

static const struct field *field_find(const struct field_table *table, enum job_kind kind,
                                      const char *key)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct field *f = &table->fields[i];
        if ((f->kinds & BIT(kind)) && strcmp(f->key, key) == 0)
            return f;
    }
    return NULL;
}

static enum err_code read_object(const struct place *at, const struct field_table *table, void *out,
                                 struct err *err)
{
    enum err_code code = ERR_OK;
    const char *key;
    json_t *value;
    json_object_foreach(at->object, key, value)
    {
        const struct field *f = field_find(table, at->kind, key);
        if (!f)
            code = unknown(err, at, table, key);
        else if (f->offset != SIZE_MAX)
            code = read_field(at, f, value, (char *)out + f->offset, err);
        if (code)
            break;
    }
    for (size_t i = 0; !code && i < table->count; i++) {
        const struct field *f = &table->fields[i];
        if ((f->kinds & BIT(at->kind)) && !f->optional && !json_object_get(at->object, f->key))
            code = err_set(err, ERR_INVALID, "job spec: key '%s%s' is missing", at->prefix, f->key);
    }
    return code;
}

static enum err_code read_kind(const json_t *root, enum job_kind *out, struct err *err)
{
    const char *text = json_string_value(json_object_get(root, "kind"));
    for (int kind = 0; text && kind < JOB_KIND_COUNT; kind++) {
        if (strcmp(text, job_kind_name((enum job_kind)kind)) == 0) {
            *out = (enum job_kind)kind;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_INVALID,
                   "job spec: 'kind' must be one of import, pretrain, instruct, "
                   "spectrum, evaluate");
}

enum err_code spec_parse(const void *bytes, size_t len, struct spec *out, struct err *err)
{
    if (len > SPEC_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "job spec of %zu bytes (at most %d)", len, SPEC_BYTES_MAX);
    json_error_t at;
    json_t *root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_INVALID, "job spec: %s (byte %d)", root ? "not an object" : at.text,
                       root ? 0 : at.position);
    }
    struct spec spec;
    memset(&spec, 0, sizeof spec);
    arena_init(&spec.arena, 0);
    enum err_code code = read_kind(root, &spec.kind, err);
    if (!code) {
        struct place place = {
            .object = root, .prefix = "", .kind = spec.kind, .arena = &spec.arena};
        code = read_object(&place, &root_table, &spec, err);
    }
    json_decref(root);
    if (code) {
        arena_release(&spec.arena);
        return code;
    }
    *out = spec;
    return ERR_OK;
}

void spec_release(struct spec *spec)
{
    arena_release(&spec->arena);
    memset(spec, 0, sizeof *spec);
}
