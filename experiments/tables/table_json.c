#include "table_json.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* The character at `*at`, which moves behind it. The text is UTF-8. */
static uint32_t next_character(const char *text, size_t len, size_t *at)
{
    unsigned char lead = (unsigned char)text[(*at)++];
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    uint32_t value = more == 3   ? lead & 0x07
                     : more == 2 ? lead & 0x0f
                     : more == 1 ? lead & 0x1f
                                 : lead;
    for (; more > 0 && *at < len; more--)
        value = value << 6 | ((unsigned char)text[(*at)++] & 0x3f);
    return value;
}

void table_json_put_text(struct strbuf *out, const char *text, size_t len)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    strbuf_putc(out, '"');
    for (size_t at = 0; at < len;) {
        uint32_t c = next_character(text, len, &at);
        const char *short_form = c > 0 && c < 0x80 ? strchr(plain, (int)c) : NULL;
        if (short_form)
            strbuf_printf(out, "\\%c", letters[short_form - plain]);
        else if (c >= 0x20 && c < 0x7f)
            strbuf_putc(out, (char)c);
        else if (c < 0x10000)
            strbuf_printf(out, "\\u%04x", (unsigned)c);
        else
            strbuf_printf(out, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)),
                          (unsigned)(0xdc00 + ((c - 0x10000) & 0x3ff)));
    }
    strbuf_putc(out, '"');
}

void table_json_put_real(struct strbuf *out, double value)
{
    char text[40];
    /* Python turns to exponents at 1e16 and below 1e-4, whatever the number of digits. */
    const double size = fabs(value);
    const bool exponent = size >= 1e16 || (size > 0.0 && size < 1e-4);
    if (!exponent && floor(value) >= value) {
        strbuf_printf(out, "%.1f", value);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        if (exponent)
            snprintf(text, sizeof text, "%.*e", digits - 1, value);
        else
            snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (!(back < value) && !(back > value))
            break;
    }
    strbuf_puts(out, text);
}

/* How a language spells what differs. */
struct spelling {
    const char *true_text, *false_text, *null_text;
    void (*text)(struct strbuf *out, const char *text, size_t len);
};

static void put_value(struct strbuf *out, const json_t *value, const struct spelling *s)
{
    size_t i;
    const char *key;
    json_t *item;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        strbuf_putc(out, '{');
        i = 0;
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
        {
            strbuf_puts(out, i++ ? ", " : "");
            s->text(out, key, strlen(key));
            strbuf_puts(out, ": ");
            put_value(out, item, s);
        }
        strbuf_putc(out, '}');
        return;
    case JSON_ARRAY:
        strbuf_putc(out, '[');
        json_array_foreach(value, i, item)
        {
            strbuf_puts(out, i ? ", " : "");
            put_value(out, item, s);
        }
        strbuf_putc(out, ']');
        return;
    case JSON_STRING:
        s->text(out, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
        strbuf_printf(out, "%lld", (long long)json_integer_value(value));
        return;
    case JSON_REAL:
        table_json_put_real(out, json_real_value(value));
        return;
    case JSON_TRUE:
        strbuf_puts(out, s->true_text);
        return;
    case JSON_FALSE:
        strbuf_puts(out, s->false_text);
        return;
    case JSON_NULL:
        strbuf_puts(out, s->null_text);
        return;
    }
}

void table_json_put(struct strbuf *out, const json_t *value)
{
    static const struct spelling json = {"true", "false", "null", table_json_put_text};
    put_value(out, value, &json);
}

/* What repr() does not show as it is: controls, formats, private characters and every space but
 * U+0020 (Unicode 14, categories Cc, Cf, Co, Zl, Zp, Zs; unassigned ones are left as they are). */
static bool prints_in_python(uint32_t c)
{
    static const uint32_t hidden[][2] = {
        {0x0, 0x1f},        {0x7f, 0xa0},       {0xad, 0xad},       {0x600, 0x605},
        {0x61c, 0x61c},     {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},
        {0x8e2, 0x8e2},     {0x1680, 0x1680},   {0x180e, 0x180e},   {0x2000, 0x200f},
        {0x2028, 0x202f},   {0x205f, 0x2064},   {0x2066, 0x206f},   {0x3000, 0x3000},
        {0xe000, 0xf8ff},   {0xfeff, 0xfeff},   {0xfff9, 0xfffb},   {0x110bd, 0x110bd},
        {0x110cd, 0x110cd}, {0x13430, 0x13438}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
        {0xe0001, 0xe0001}, {0xe0020, 0xe007f}, {0xf0000, 0xffffd}, {0x100000, 0x10fffd},
    };
    for (size_t i = 0; i < ARRAY_COUNT(hidden); i++)
        if (c >= hidden[i][0] && c <= hidden[i][1])
            return false;
    return true;
}

/* repr() of a string: single quotes unless only those are in it. */
static void put_python_text(struct strbuf *out, const char *text, size_t len)
{
    char quote = memchr(text, '\'', len) && !memchr(text, '"', len) ? '"' : '\'';
    strbuf_putc(out, quote);
    for (size_t at = 0, from = 0; at < len; from = at) {
        const uint32_t c = next_character(text, len, &at);
        if (c == (unsigned char)quote || c == '\\')
            strbuf_printf(out, "\\%c", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            strbuf_puts(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        else if (prints_in_python(c))
            strbuf_append(out, text + from, at - from);
        else
            strbuf_printf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    }
    strbuf_putc(out, quote);
}

void table_json_put_python(struct strbuf *out, const json_t *value)
{
    static const struct spelling python = {"True", "False", "None", put_python_text};
    put_value(out, value, &python);
}

/* ---- Python literals ---- */

enum { DEPTH_MAX = 50 };

static void skip_blank(const char **at)
{
    *at += strspn(*at, " \t\r\n");
}

static void put_character(struct strbuf *out, uint32_t c)
{
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        c = 0xfffd; /* no character of a text */
    if (c < 0x80) {
        strbuf_putc(out, (char)c);
        return;
    }
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
    strbuf_putc(out, (char)(leads[more] | c >> (6 * more)));
    for (int i = more - 1; i >= 0; i--)
        strbuf_putc(out, (char)(0x80 | (c >> (6 * i) & 0x3f)));
}

/* What follows a backslash. repr() writes characters that do not print as \xa0, \u200b or
 * \U0001f1e6: two, four or eight digits. */
static bool take_escape(const char **at, struct strbuf *out)
{
    static const char letters[] = "ntr", meant[] = "\n\t\r";
    const char c = *(*at)++;
    const int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    const char *letter = strchr(letters, c);
    uint32_t value = 0;
    for (int i = 0; i < digits; i++) {
        const char digit = *(*at)++;
        if (!isxdigit((unsigned char)digit))
            return false;
        value = value << 4 | (uint32_t)(digit <= '9' ? digit - '0' : (digit & 7) + 9);
    }
    if (digits > 0)
        put_character(out, value);
    else
        strbuf_putc(out, letter ? meant[letter - letters] : c);
    return true;
}

static bool take_text(const char **at, struct strbuf *out)
{
    struct strbuf text = {0};
    const char quote = *(*at)++;
    bool good = true;
    while (good && **at && **at != quote) {
        const char c = *(*at)++;
        if (c == '\\' && **at)
            good = take_escape(at, &text);
        else
            strbuf_putc(&text, c);
    }
    good = good && **at == quote;
    *at += good;
    if (good)
        table_json_put_text(out, strbuf_text(&text), text.len);
    strbuf_release(&text);
    return good;
}

static bool take_literal(const char **at, struct strbuf *out, int depth);

/* The inside of brackets up to `close`; pairs for dictionaries. */
static bool take_items(const char **at, struct strbuf *out, char close, bool pairs, int depth)
{
    bool first = true;
    strbuf_putc(out, pairs ? '{' : '[');
    for (skip_blank(at); **at != close; skip_blank(at)) {
        if (!first)
            strbuf_puts(out, ", ");
        first = false;
        if (pairs && **at != '\'' && **at != '"')
            return false;
        if (!take_literal(at, out, depth))
            return false;
        skip_blank(at);
        if (pairs) {
            if (*(*at)++ != ':')
                return false;
            strbuf_puts(out, ": ");
            if (!take_literal(at, out, depth))
                return false;
            skip_blank(at);
        }
        if (**at == ',')
            (*at)++;
        else if (**at != close)
            return false;
    }
    (*at)++;
    strbuf_putc(out, pairs ? '}' : ']');
    return true;
}

/* name(<…>, VALUE): what a defaultdict prints as. */
static bool take_call(const char **at, struct strbuf *out, int depth)
{
    const char *value = strchr(*at, '{');
    if (!value || !take_literal(&value, out, depth))
        return false;
    skip_blank(&value);
    *at = value + 1;
    return *value == ')';
}

static bool take_word(const char **at, struct strbuf *out, int depth)
{
    static const char *const words[][2] = {
        {"True", "true"}, {"False", "false"}, {"None", "null"}, {"nan", "null"}};
    size_t len = strcspn(*at, ",:]})( \t\r\n");
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (strlen(words[i][0]) == len && strncmp(*at, words[i][0], len) == 0) {
            strbuf_puts(out, words[i][1]);
            *at += len;
            return true;
        }
    }
    if ((*at)[len] == '(')
        return take_call(at, out, depth);
    char number[64];
    double value;
    if (len == 0 || len >= sizeof number)
        return false;
    memcpy(number, *at, len);
    number[len] = '\0';
    if (!str_to_double(number, &value))
        return false;
    /* Only what JSON allows too: no leading zeros or plus, digits around the point. */
    json_t *as_json = json_loads(number, JSON_DECODE_ANY, NULL);
    if (as_json)
        strbuf_puts(out, number);
    else
        table_json_put_real(out, value);
    json_decref(as_json);
    *at += len;
    return true;
}

static bool take_literal(const char **at, struct strbuf *out, int depth)
{
    skip_blank(at);
    if (depth == DEPTH_MAX)
        return false;
    char c = **at;
    if (c == '\'' || c == '"')
        return take_text(at, out);
    if (c == '[' || c == '(' || c == '{') {
        (*at)++;
        return take_items(at, out,
                          (char)(c == '['   ? ']'
                                 : c == '(' ? ')'
                                            : '}'),
                          c == '{', depth + 1);
    }
    return take_word(at, out, depth + 1);
}

bool table_json_from_python(const char *text, struct strbuf *out)
{
    size_t before = out->len;
    if (take_literal(&text, out, 0)) { /* else `text` may be behind its end */
        skip_blank(&text);
        if (*text == '\0')
            return true;
    }
    out->len = before;
    return false;
}
