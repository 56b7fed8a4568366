#include "text_clean.h"

#include <stdint.h>

/* Length of the well-formed UTF-8 character at `s` (Unicode 15, table 3-7), 0 when there is none.
 */
static size_t utf8_length(const uint8_t *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || left < len)
        return 0;
    uint8_t low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    uint8_t high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    return len;
}

void text_clean(struct strbuf *out, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint8_t c = (uint8_t)bytes[at];
        size_t n = utf8_length((const uint8_t *)bytes + at, len - at);
        if (n == 0 || (c < 0x20 && c != '\t') || c == 0x7F)
            strbuf_putc(out, '?');
        else
            strbuf_append(out, bytes + at, n);
        at += n ? n : 1;
    }
}
