#include "utf8.h"

#include <stdbool.h>
#include <string.h>

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_decode(const char *text, size_t len, uint32_t *codepoint_out)
{
    const unsigned char *s = (const unsigned char *)text;
    if (len == 0)
        return 0;
    if (s[0] < 0x80) {
        *codepoint_out = s[0];
        return 1;
    }
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    static const unsigned char lead_mask[5] = {0, 0, 0x1f, 0x0f, 0x07};
    if (s[0] < 0xc2 || s[0] > 0xf4 || n > len)
        return 0;
    uint32_t codepoint = s[0] & lead_mask[n];
    for (size_t i = 1; i < n; i++) {
        if (!is_continuation(s[i]))
            return 0;
        codepoint = codepoint << 6 | (s[i] & 0x3f);
    }
    bool is_surrogate = codepoint >= 0xd800 && codepoint <= 0xdfff;
    if (codepoint < smallest[n] || codepoint > 0x10ffff || is_surrogate)
        return 0;
    *codepoint_out = codepoint;
    return n;
}

size_t utf8_encode(uint32_t codepoint, char out[4])
{
    if (codepoint < 0x80) {
        out[0] = (char)codepoint;
        return 1;
    }
    size_t n = codepoint < 0x800 ? 2 : codepoint < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (codepoint & 0x3f));
        codepoint >>= 6;
    }
    out[0] = (char)(lead[n] | codepoint);
    return n;
}

size_t utf8_ascii_prefix(const char *text, size_t len)
{
    size_t at = 0;
    for (uint64_t word; len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text + at, sizeof word);
        if (word & 0x8080808080808080u)
            break;
    }
    while (at < len && (unsigned char)text[at] < 0x80)
        at++;
    return at;
}

size_t utf8_valid_prefix(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        uint32_t codepoint;
        size_t n = (unsigned char)text[at] < 0x80 ? utf8_ascii_prefix(text + at, len - at)
                                                  : utf8_decode(text + at, len - at, &codepoint);
        if (n == 0)
            break;
        at += n;
    }
    return at;
}

size_t utf8_ill_formed(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char lead = s[0];
    if (lead < 0xc2 || lead > 0xf4 || len < 2)
        return 1;
    /* Only the second byte has a range of its own. */
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    size_t full = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (s[1] < low || s[1] > high)
        return 1;
    size_t n = 2;
    while (n < full && n < len && is_continuation(s[n]))
        n++;
    return n;
}

static bool spells_itself(uint32_t c)
{
    return (c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff);
}

/* The bytes that do not spell themselves, in order: 0x00–0x20, 0x7f–0xa0, 0xad. */
enum { LOW_COUNT = 0x21, HIGH_COUNT = 0xa0 - 0x7f + 1, OTHER_COUNT = LOW_COUNT + HIGH_COUNT + 1 };

uint32_t byte_spelling(uint8_t byte)
{
    if (spells_itself(byte))
        return byte;
    if (byte <= 0x20)
        return 0x100u + byte;
    if (byte <= 0xa0)
        return 0x100u + LOW_COUNT + (byte - 0x7fu);
    return 0x100u + LOW_COUNT + HIGH_COUNT;
}

int byte_from_spelling(uint32_t codepoint)
{
    if (codepoint < 0x100)
        return spells_itself(codepoint) ? (int)codepoint : -1;
    uint32_t other = codepoint - 0x100;
    if (other < LOW_COUNT)
        return (int)other;
    if (other < LOW_COUNT + HIGH_COUNT)
        return (int)(other - LOW_COUNT + 0x7f);
    return other < OTHER_COUNT ? 0xad : -1;
}
