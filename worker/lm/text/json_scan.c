#include "json_scan.h"

#include <string.h>

#include "utf8.h"

enum { DEPTH_MAX = 64, DIGITS_MAX = 9 };

enum err_code json_scan_fault(const struct json_scan *scan, const char *what, struct err *err)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < scan->at && i < scan->text.len; i++) {
        bool is_end = scan->text.data[i] == '\n';
        line += is_end;
        column = is_end ? 1 : column + 1;
    }
    return err_set(err, ERR_CORRUPT, "parse '%s': %zu:%zu: %s", scan->source, line, column, what);
}

enum err_code json_scan_begin(struct json_scan *scan, struct str text, const char *source,
                              struct err *err)
{
    *scan = (struct json_scan){.text = text, .source = source};
    size_t valid = utf8_valid_prefix(text.data, text.len);
    if (valid == text.len)
        return ERR_OK;
    scan->at = valid;
    return json_scan_fault(scan, "not UTF-8", err);
}

static void skip_space(struct json_scan *scan)
{
    const char *data = scan->text.data;
    while (scan->at < scan->text.len && (data[scan->at] == ' ' || data[scan->at] == '\n' ||
                                         data[scan->at] == '\t' || data[scan->at] == '\r'))
        scan->at++;
}

bool json_scan_is(struct json_scan *scan, char character)
{
    skip_space(scan);
    return scan->at < scan->text.len && scan->text.data[scan->at] == character;
}

static bool take(struct json_scan *scan, char character)
{
    bool is_there = json_scan_is(scan, character);
    scan->at += is_there;
    return is_there;
}

enum err_code json_scan_end(struct json_scan *scan, struct err *err)
{
    skip_space(scan);
    return scan->at == scan->text.len ? ERR_OK : json_scan_fault(scan, "text after the end", err);
}

enum err_code json_scan_open(struct json_scan *scan, char bracket, struct err *err)
{
    if (take(scan, bracket))
        return ERR_OK;
    return json_scan_fault(scan, bracket == '{' ? "an object is wanted" : "a list is wanted", err);
}

/* The comma between members, or the closing bracket. */
static enum err_code next_member(struct json_scan *scan, char bracket, bool *is_first,
                                 bool *more_out, struct err *err)
{
    *more_out = !take(scan, bracket);
    if (*more_out && !*is_first && !take(scan, ','))
        return json_scan_fault(scan, "a comma or a closing bracket is wanted", err);
    *is_first = false;
    return ERR_OK;
}

enum err_code json_scan_key(struct json_scan *scan, bool *is_first, struct strbuf *room,
                            struct str *key_out, bool *more_out, struct err *err)
{
    enum err_code rc = next_member(scan, '}', is_first, more_out, err);
    if (rc != ERR_OK || !*more_out)
        return rc;
    rc = json_scan_string(scan, room, key_out, err);
    if (rc == ERR_OK && !take(scan, ':'))
        rc = json_scan_fault(scan, "a colon is wanted", err);
    return rc;
}

enum err_code json_scan_element(struct json_scan *scan, bool *is_first, bool *more_out,
                                struct err *err)
{
    return next_member(scan, ']', is_first, more_out, err);
}

/* Four hexadecimal digits, or -1. */
static int32_t hex4(struct str text, size_t at)
{
    int32_t value = 0;
    if (text.len - at < 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        char c = text.data[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The escape behind a backslash at scan->at; false when it is none. */
static bool unescape(struct json_scan *scan, struct strbuf *room)
{
    static const char names[] = "\"\\/bfnrt";
    static const char bytes[] = "\"\\/\b\f\n\r\t";
    if (scan->at == scan->text.len)
        return false;
    char c = scan->text.data[scan->at++];
    const char *name = c ? strchr(names, c) : NULL;
    if (name) {
        strbuf_putc(room, bytes[name - names]);
        return true;
    }
    int32_t codepoint = c == 'u' ? hex4(scan->text, scan->at) : -1;
    if (codepoint < 0)
        return false;
    scan->at += 4;
    if (codepoint >= 0xd800 && codepoint <= 0xdbff) { /* UTF-16: half of a character */
        struct str text = scan->text;
        bool is_pair = text.len - scan->at >= 6 && memcmp(text.data + scan->at, "\\u", 2) == 0;
        int32_t low = is_pair ? hex4(text, scan->at + 2) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return false;
        scan->at += 6;
        codepoint = 0x10000 + ((codepoint - 0xd800) << 10) + (low - 0xdc00);
    } else if (codepoint >= 0xdc00 && codepoint <= 0xdfff) {
        return false;
    }
    char encoded[4];
    strbuf_append(room, encoded, utf8_encode((uint32_t)codepoint, encoded));
    return true;
}

/* The rest of a string that has escapes; its front part is in `room`. */
static enum err_code escaped_string(struct json_scan *scan, struct strbuf *room, struct err *err)
{
    while (scan->at < scan->text.len) {
        char c = scan->text.data[scan->at];
        if (c == '"') {
            scan->at++;
            return ERR_OK;
        }
        if ((unsigned char)c < 0x20)
            return json_scan_fault(scan, "a control character in a string", err);
        scan->at++;
        if (c != '\\')
            strbuf_putc(room, c);
        else if (!unescape(scan, room))
            return json_scan_fault(scan, "not an escape", err);
    }
    return json_scan_fault(scan, "a string without an end", err);
}

enum err_code json_scan_string(struct json_scan *scan, struct strbuf *room, struct str *out,
                               struct err *err)
{
    if (!take(scan, '"'))
        return json_scan_fault(scan, "a string is wanted", err);
    const char *begin = scan->text.data + scan->at;
    while (scan->at < scan->text.len) {
        unsigned char c = (unsigned char)scan->text.data[scan->at];
        if (c == '"') {
            *out = (struct str){begin, (size_t)(scan->text.data + scan->at - begin)};
            scan->at++;
            return ERR_OK;
        }
        if (c == '\\' || c < 0x20)
            break;
        scan->at++;
    }
    strbuf_clear(room);
    strbuf_append(room, begin, (size_t)(scan->text.data + scan->at - begin));
    enum err_code rc = escaped_string(scan, room, err);
    *out = (struct str){strbuf_text(room), room->len};
    return rc;
}

enum err_code json_scan_integer(struct json_scan *scan, int32_t *out, struct err *err)
{
    skip_space(scan);
    size_t begin = scan->at;
    int32_t value = 0;
    while (scan->at < scan->text.len && scan->at - begin < DIGITS_MAX &&
           scan->text.data[scan->at] >= '0' && scan->text.data[scan->at] <= '9')
        value = value * 10 + (scan->text.data[scan->at++] - '0');
    if (scan->at == begin)
        return json_scan_fault(scan, "a whole number is wanted", err);
    *out = value;
    return ERR_OK;
}

/* From behind the opening quote to behind the closing one. */
static bool skip_string(struct json_scan *scan)
{
    while (scan->at < scan->text.len) {
        char c = scan->text.data[scan->at++];
        if (c == '"')
            return true;
        scan->at += c == '\\' && scan->at < scan->text.len;
    }
    return false;
}

static bool is_delimiter(char c)
{
    return c != '\0' && strchr(",:]} \n\t\r", c);
}

enum err_code json_scan_value(struct json_scan *scan, struct str *raw_out, struct err *err)
{
    char closing[DEPTH_MAX];
    int depth = 0;
    skip_space(scan);
    size_t begin = scan->at;
    while (scan->at < scan->text.len) {
        char c = scan->text.data[scan->at];
        if (depth == 0 && is_delimiter(c))
            break;
        scan->at++;
        if (c == '{' || c == '[') {
            if (depth == DEPTH_MAX)
                return json_scan_fault(scan, "nested too deep", err);
            closing[depth++] = c == '{' ? '}' : ']';
        } else if (c == '}' || c == ']') {
            if (depth == 0 || closing[--depth] != c)
                return json_scan_fault(scan, "a bracket that closes nothing", err);
        } else if (c == '"' && !skip_string(scan)) {
            return json_scan_fault(scan, "a string without an end", err);
        }
        bool is_scalar = depth == 0 && c != '"' && c != '}' && c != ']';
        if (depth == 0 && !is_scalar)
            break;
    }
    if (depth > 0 || scan->at == begin)
        return json_scan_fault(scan, "a value is wanted", err);
    *raw_out = (struct str){scan->text.data + begin, scan->at - begin};
    return ERR_OK;
}
