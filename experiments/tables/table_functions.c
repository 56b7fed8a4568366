#include "table_functions.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "hash.h"
#include "rng.h"
#include "str.h"
#include "table_json.h"

typedef sqlite3_context context;
typedef sqlite3_value value;

static const char *text_of(value *v)
{
    const char *text = (const char *)sqlite3_value_text(v);
    return text ? text : "";
}

static void give(context *c, struct strbuf *text)
{
    sqlite3_result_text(c, strbuf_text(text), (int)text->len, SQLITE_TRANSIENT);
    strbuf_release(text);
}

/* The JSON value of an argument, or NULL with the error given. */
static json_t *json_of(context *c, value *v, const char *function)
{
    json_t *json = json_loads(text_of(v), JSON_DECODE_ANY, NULL);
    if (!json) {
        char message[100];
        snprintf(message, sizeof message, "%s(): the text is no JSON", function);
        sqlite3_result_error(c, message, -1);
    }
    return json;
}

/* The stream of (seed, key): the key enters through its digest. */
static struct rng stream_of(value *seed, const char *key)
{
    struct rng root = rng_new((uint64_t)sqlite3_value_int64(seed), "sql");
    struct digest digest = hash_bytes(key, strlen(key));
    uint64_t index;
    memcpy(&index, digest.bytes, sizeof index);
    return rng_child(&root, "draw", index);
}

static void do_draw(context *c, int n, value **v)
{
    (void)n;
    struct rng stream = stream_of(v[0], text_of(v[1]));
    sqlite3_result_double(c, rng_uniform(&stream));
}

static void do_shuffled(context *c, int n, value **v)
{
    (void)n;
    struct strbuf out = {0};
    json_t *json = json_of(c, v[1], "shuffled");
    if (!json)
        return;
    size_t count = json_array_size(json);
    uint32_t *order = calloc(count + 1, sizeof *order);
    json_t *shuffled = json_array();
    ASSERT(order && shuffled);
    struct rng stream = stream_of(v[0], "shuffled");
    rng_permutation(&stream, order, count);
    for (size_t i = 0; i < count; i++)
        json_array_append(shuffled, json_array_get(json, order[i]));
    table_json_put(&out, shuffled);
    json_decref(shuffled);
    json_decref(json);
    free(order);
    give(c, &out);
}

static void do_position(context *c, int n, value **v)
{
    (void)n;
    size_t i;
    json_t *item, *json = json_of(c, v[0], "position");
    const char *wanted = text_of(v[1]);
    if (!json)
        return;
    json_array_foreach(json, i, item)
    {
        struct strbuf text = {0};
        if (json_is_string(item))
            strbuf_puts(&text, json_string_value(item));
        else
            table_json_put(&text, item);
        bool found = strcmp(strbuf_text(&text), wanted) == 0;
        strbuf_release(&text);
        if (found) {
            sqlite3_result_int64(c, (int64_t)i);
            break;
        }
    }
    json_decref(json);
}

static void do_letter(context *c, int n, value **v)
{
    (void)n;
    int64_t index = sqlite3_value_int64(v[0]);
    char letter[2] = {(char)('A' + index % 26), '\0'};
    if (sqlite3_value_type(v[0]) != SQLITE_NULL && index >= 0 && index < 26)
        sqlite3_result_text(c, letter, 1, SQLITE_TRANSIENT);
}

static void do_lettered(context *c, int n, value **v)
{
    (void)n;
    size_t i;
    struct strbuf out = {0};
    json_t *item, *json = json_of(c, v[0], "lettered");
    if (!json)
        return;
    json_array_foreach(json, i, item)
    {
        strbuf_printf(&out, "%s%c. ", i ? "\n" : "", (char)('A' + i % 26));
        if (json_is_string(item))
            strbuf_puts(&out, json_string_value(item));
        else
            table_json_put(&out, item);
    }
    json_decref(json);
    give(c, &out);
}

static const char space[] = " \t\r\n\v\f";

static void do_words(context *c, int n, value **v)
{
    (void)n;
    int64_t count = 0;
    const char *at = text_of(v[0]);
    for (at += strspn(at, space); *at; at += strspn(at, space)) {
        at += strcspn(at, space);
        count++;
    }
    sqlite3_result_int64(c, count);
}

static void do_word(context *c, int n, value **v)
{
    (void)n;
    int64_t wanted = sqlite3_value_int64(v[1]);
    const char *at = text_of(v[0]);
    for (at += strspn(at, space); *at; at += strspn(at, space)) {
        size_t len = strcspn(at, space);
        if (wanted-- == 0) {
            sqlite3_result_text(c, at, (int)len, SQLITE_TRANSIENT);
            return;
        }
        at += len;
    }
}

/* Up to the first full stop, exclamation or question mark that a space or the end follows. */
static void do_sentence(context *c, int n, value **v)
{
    (void)n;
    const char *text = text_of(v[0]), *at = text;
    for (; *at; at++) {
        if (strchr(".!?", *at) && (at[1] == '\0' || strchr(space, at[1]))) {
            at++;
            break;
        }
    }
    sqlite3_result_text(c, text, (int)(at - text), SQLITE_TRANSIENT);
}

static bool is_vowel(char c)
{
    return c != '\0' && strchr("aeiouyAEIOUY", c);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* Groups of vowels in a word; a final e that follows a consonant is silent, unless it is the only
 * group or follows l ("table"). */
static int word_syllables(const char *word, size_t len)
{
    int groups = 0;
    for (size_t i = 0; i < len; i++)
        groups += is_vowel(word[i]) && (i == 0 || !is_vowel(word[i - 1]));
    bool silent = len > 2 && (word[len - 1] == 'e' || word[len - 1] == 'E') &&
                  !is_vowel(word[len - 2]) && word[len - 2] != 'l';
    groups -= silent && groups > 1;
    return groups ? groups : 1;
}

static void do_syllables(context *c, int n, value **v)
{
    (void)n;
    struct strbuf out = {0};
    int count = 0;
    for (const char *at = text_of(v[0]);; at++) {
        if (is_letter(*at)) {
            size_t len = 1;
            while (is_letter(at[len]) || at[len] == '\'')
                len++;
            count += word_syllables(at, len);
            at += len - 1;
        } else if ((*at == '\n' || *at == '\0') && count > 0) {
            strbuf_printf(&out, "%s%d", out.len ? "-" : "", count);
            count = 0;
        }
        if (*at == '\0')
            break;
    }
    give(c, &out);
}

static void do_trimmed(context *c, int n, value **v)
{
    (void)n;
    const char *text = text_of(v[0]);
    if (sqlite3_value_type(v[0]) == SQLITE_NULL)
        return;
    text += strspn(text, space);
    size_t len = strlen(text);
    while (len > 0 && strchr(space, text[len - 1]))
        len--;
    sqlite3_result_text(c, text, (int)len, SQLITE_TRANSIENT);
}

/* A blob, which is how a row says that the value is JSON already. */
static void do_json_text(context *c, int n, value **v)
{
    (void)n;
    struct strbuf out = {0};
    json_t *json = json_of(c, v[0], "json_text");
    if (!json)
        return;
    table_json_put(&out, json);
    json_decref(json);
    sqlite3_result_blob(c, strbuf_text(&out), (int)out.len, SQLITE_TRANSIENT);
    strbuf_release(&out);
}

static void do_python_list(context *c, int n, value **v)
{
    (void)n;
    struct strbuf out = {0};
    json_t *json = json_of(c, v[0], "python_list");
    if (!json)
        return;
    table_json_put_python(&out, json);
    json_decref(json);
    give(c, &out);
}

static void do_from_python(context *c, int n, value **v)
{
    (void)n;
    struct strbuf out = {0};
    if (sqlite3_value_type(v[0]) == SQLITE_NULL)
        return;
    if (table_json_from_python(text_of(v[0]), &out))
        give(c, &out);
    else
        sqlite3_result_error(c, "from_python(): the text is no Python literal", -1);
    strbuf_release(&out);
}

static void do_digest(context *c, int n, value **v)
{
    (void)n;
    char hex[DIGEST_HEX_SIZE];
    const char *text = text_of(v[0]);
    struct digest digest = hash_bytes(text, strlen(text));
    sqlite3_result_text(c, digest_hex(&digest, hex), 16, SQLITE_TRANSIENT);
}

enum err_code table_functions_add(sqlite3 *db, struct err *err)
{
    static const struct {
        const char *name;
        int arguments;
        void (*run)(context *c, int n, value **v);
    } table[] = {
        {"draw", 2, do_draw},
        {"shuffled", 2, do_shuffled},
        {"position", 2, do_position},
        {"letter", 1, do_letter},
        {"lettered", 1, do_lettered},
        {"words", 1, do_words},
        {"word", 2, do_word},
        {"sentence", 1, do_sentence},
        {"trimmed", 1, do_trimmed},
        {"json_text", 1, do_json_text},
        {"digest", 1, do_digest},
        {"python_list", 1, do_python_list},
        {"from_python", 1, do_from_python},
        {"syllables", 1, do_syllables},
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
        if (sqlite3_create_function(db, table[i].name, table[i].arguments, flags, NULL,
                                    table[i].run, NULL, NULL) != SQLITE_OK)
            return err_set(err, ERR_IO, "define SQL function %s: %s", table[i].name,
                           sqlite3_errmsg(db));
    }
    return ERR_OK;
}
