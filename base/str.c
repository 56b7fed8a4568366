#include "str.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

struct str str_from(const char *text)
{
    return (struct str){text, strlen(text)};
}

bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Bytes of the well-formed sequence at `at`, 0 when there is none (Unicode 15, table 3-7). */
static size_t utf8_sequence_bytes(const unsigned char *at, size_t left)
{
    const unsigned char lead = at[0];
    if (lead < 0x80)
        return 1;
    size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < bytes)
        return 0;
    unsigned char second_min = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char second_max = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < second_min || at[1] > second_max)
        return 0;
    for (size_t i = 2; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return bytes;
}

bool str_is_utf8(const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < len;) {
        size_t sequence_bytes = utf8_sequence_bytes(bytes + i, len - i);
        if (sequence_bytes == 0)
            return false;
        i += sequence_bytes;
    }
    return true;
}

size_t str_whole_characters(const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        const unsigned char lead = bytes[len - back];
        if ((lead & 0xc0) == 0x80)
            continue; /* inside a character */
        size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        return wanted > back ? len - back : len;
    }
    return len;
}

/* Length of the UTF-8 sequence that starts with this byte; 1 for anything odd. */
static size_t sequence_len(unsigned char lead)
{
    if (lead >= 0xf0)
        return 4;
    if (lead >= 0xe0)
        return 3;
    return lead >= 0xc0 ? 2 : 1;
}

/* Terminal columns of one code point, by its UTF-8 bytes. */
static size_t sequence_columns(const unsigned char *bytes, size_t len)
{
    if (len == 2 && (bytes[0] == 0xcc || (bytes[0] == 0xcd && bytes[1] < 0xb0)))
        return 0; /* U+0300 ... U+036F */
    if (len == 3 && bytes[0] == 0xe2)
        return 1;
    if (len == 3 && bytes[0] >= 0xe3 && bytes[0] <= 0xed)
        return 2; /* U+3000 ... U+D7FF */
    if (len == 3 && bytes[0] == 0xef && (bytes[1] == 0xbc || bytes[1] == 0xbd))
        return 2; /* full-width forms */
    return len == 4 && bytes[0] == 0xf0 && bytes[1] == 0x9f ? 2 : 1;
}

size_t str_fit(const char *text, size_t columns_max, size_t *columns_out)
{
    size_t bytes = 0;
    *columns_out = 0;
    const size_t len = strlen(text);
    while (bytes < len) {
        size_t step = sequence_len((unsigned char)text[bytes]);
        if (step > len - bytes)
            step = len - bytes;
        const size_t columns = sequence_columns((const unsigned char *)text + bytes, step);
        if (*columns_out + columns > columns_max)
            break;
        *columns_out += columns;
        bytes += step;
    }
    return bytes;
}

size_t str_columns(const char *text)
{
    size_t columns;
    str_fit(text, SIZE_MAX, &columns);
    return columns;
}

void strbuf_release(struct strbuf *b)
{
    free(b->data);
    *b = (struct strbuf){0};
}

void strbuf_clear(struct strbuf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

void strbuf_reserve(struct strbuf *b, size_t extra)
{
    size_t need = 0;
    ASSERT(!__builtin_add_overflow(b->len, extra, &need));
    ASSERT(need < (size_t)-1 / 4);
    if (need + 1 <= b->cap)
        return;
    size_t cap = b->cap ? b->cap * 2 : 64;
    if (cap < need + 1)
        cap = need + 1;
    char *data = realloc(b->data, cap);
    ASSERT(data != NULL);
    b->data = data;
    b->cap = cap;
}

void strbuf_append(struct strbuf *b, const void *bytes, size_t len)
{
    strbuf_reserve(b, len);
    if (len)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void strbuf_puts(struct strbuf *b, const char *text)
{
    strbuf_append(b, text, strlen(text));
}

void strbuf_putc(struct strbuf *b, char c)
{
    strbuf_append(b, &c, 1);
}

size_t str_control_bytes(const char *text)
{
    const unsigned char c = (unsigned char)text[0];
    if ((c > 0 && c < 0x20) || c == 0x7f)
        return 1;
    const unsigned char next = c == 0xc2 ? (unsigned char)text[1] : 0;
    return next >= 0x80 && next <= 0x9f ? 2 : 0;
}

void strbuf_append_clean(struct strbuf *b, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        unsigned char c = (unsigned char)bytes[at];
        size_t n = utf8_sequence_bytes((const unsigned char *)bytes + at, len - at);
        const bool is_control =
            n == 2 ? c == 0xc2 && (unsigned char)bytes[at + 1] < 0xa0 : c < 0x20 || c == 0x7f;
        if (n == 0 || (is_control && c != '\t'))
            strbuf_putc(b, '?');
        else
            strbuf_append(b, bytes + at, n);
        at += n ? n : 1;
    }
}

void strbuf_printf(struct strbuf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    strbuf_reserve(b, (size_t)len);
    va_start(args, format);
    vsnprintf(b->data + b->len, (size_t)len + 1, format, args);
    va_end(args);
    b->len += (size_t)len;
}

const char *strbuf_text(const struct strbuf *b)
{
    return b->data ? b->data : "";
}

char *strbuf_take(struct strbuf *b)
{
    strbuf_reserve(b, 0);
    b->data[b->len] = '\0';
    char *data = b->data;
    *b = (struct strbuf){0};
    return data;
}

/* Edit distance (Levenshtein) of two short words; words over 63 bytes are cut. */
static int str_distance(const char *a, const char *b)
{
    enum { MAX = 63 };
    int row[MAX + 1];
    size_t la = strlen(a);
    size_t lb = strlen(b);
    int na = (int)(la > MAX ? MAX : la);
    int nb = (int)(lb > MAX ? MAX : lb);
    for (int j = 0; j <= nb; j++)
        row[j] = j;
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int above = row[j];
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[nb];
}

const char *str_did_you_mean(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    int best_distance = 2 + (int)(strlen(word) / 3);
    for (size_t i = 0; i < count; i++) {
        int distance = str_distance(word, candidates[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidates[i];
        }
    }
    return best;
}

bool str_to_i64(const char *text, long long *out)
{
    if (*text == '\0' || isspace((unsigned char)*text))
        return false;
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end != '\0')
        return false;
    *out = value;
    return true;
}

bool str_host_port(const char *text, char *host, size_t host_size, long long *port_out)
{
    const char *colon = strrchr(text, ':');
    const size_t len = colon ? (size_t)(colon - text) : strlen(text);
    long long port = 0;
    if (len == 0 || len >= host_size || strcspn(text, " /\t\r\n") != strlen(text) ||
        (colon && (!str_to_i64(colon + 1, &port) || port < 0 || port > 65535)))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    *port_out = port;
    return true;
}

bool str_to_double(const char *text, double *out)
{
    if (*text == '\0' || isspace((unsigned char)*text))
        return false;
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (*end != '\0' || !isfinite(value))
        return false;
    *out = value;
    return true;
}

bool str_glob(const char *pattern, const char *text)
{
    /* Linear-time backtracking: only the last star can matter. */
    const char *star = NULL;
    const char *resume = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
