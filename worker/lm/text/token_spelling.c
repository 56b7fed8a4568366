#include "token_spelling.h"

#include <string.h>

#include "utf8.h"

static const char space_mark[] = "\xe2\x96\x81";
enum { MARK_LEN = sizeof space_mark - 1 };

/* The byte of "<0x0A>", or -1. */
static int byte_of_fallback(struct str name)
{
    static const char digits[] = "0123456789ABCDEF";
    if (name.len != 6 || memcmp(name.data, "<0x", 3) != 0 || name.data[5] != '>')
        return -1;
    const char *high = memchr(digits, name.data[3], 16);
    const char *low = memchr(digits, name.data[4], 16);
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

static bool unspell_fallback(struct str name, bool *is_byte, struct strbuf *out)
{
    int byte = byte_of_fallback(name);
    *is_byte = byte >= 0;
    if (*is_byte) {
        strbuf_putc(out, (char)byte);
        return true;
    }
    if (memchr(name.data, ' ', name.len))
        return false;
    for (size_t at = 0; at < name.len;) {
        bool is_mark =
            name.len - at >= MARK_LEN && memcmp(name.data + at, space_mark, MARK_LEN) == 0;
        strbuf_putc(out, is_mark ? ' ' : name.data[at]);
        at += is_mark ? MARK_LEN : 1;
    }
    return true;
}

bool token_unspell(struct str name, bool is_fallback, bool *is_byte, struct strbuf *out)
{
    *is_byte = false;
    if (is_fallback)
        return unspell_fallback(name, is_byte, out);
    size_t before = out->len;
    for (size_t at = 0; at < name.len;) {
        uint32_t codepoint;
        size_t len = utf8_decode(name.data + at, name.len - at, &codepoint);
        int byte = len > 0 ? byte_from_spelling(codepoint) : -1;
        if (byte < 0) {
            out->len = before;
            return false;
        }
        strbuf_putc(out, (char)byte);
        at += len;
    }
    return true;
}

void token_spell(struct str text, bool is_fallback, bool is_byte, struct strbuf *out)
{
    if (is_byte) {
        strbuf_printf(out, "<0x%02X>", (unsigned)(unsigned char)text.data[0]);
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        char character[4];
        if (!is_fallback)
            strbuf_append(out, character,
                          utf8_encode(byte_spelling((uint8_t)text.data[i]), character));
        else if (text.data[i] == ' ')
            strbuf_puts(out, space_mark);
        else
            strbuf_putc(out, text.data[i]);
    }
}
