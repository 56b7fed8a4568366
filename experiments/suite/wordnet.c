#include "wordnet.h"

#include <string.h>

#include "str.h"
#include "yaml.h"

enum { WORDS_MAX = 3 }; /* of a synset that are shown */

static void text_list_add(struct text_list *list, struct arena *arena, const char *text)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 1024;
        const char **grown = arena_array(arena, cap, sizeof *grown);
        if (list->count > 0)
            memcpy(grown, list->items, list->count * sizeof *grown);
        list->items = grown;
        list->cap = cap;
    }
    list->items[list->count++] = text;
}

/* The next word of a line, and the place after it. */
static struct str next_word(const char **at, const char *end)
{
    while (*at < end && **at == ' ')
        (*at)++;
    const char *start = *at;
    while (*at < end && **at != ' ')
        (*at)++;
    return (struct str){start, (size_t)(*at - start)};
}

/* The two hexadecimal digits that count a synset's words; 0 when they are none. */
static unsigned word_count(struct str digits)
{
    unsigned count = 0;
    for (size_t i = 0; i < digits.len; i++) {
        const char *digit = strchr("0123456789abcdef", digits.data[i]);
        if (!digit || digits.len != 2)
            return 0;
        count = count * 16 + (unsigned)(digit - "0123456789abcdef");
    }
    return count;
}

/* "abandoned_infant" is "abandoned infant"; adjectives may carry a marker as in "galore(ip)". */
static void put_word(struct strbuf *out, struct str word)
{
    for (size_t i = 0; i < word.len && word.data[i] != '('; i++)
        strbuf_putc(out, word.data[i] == '_' ? ' ' : word.data[i]);
}

/* Append "word, word: gloss"; false when the line is no data line. */
static bool put_synset(struct strbuf *out, const char *line, const char *end)
{
    const char *bar = memmem(line, (size_t)(end - line), " | ", 3);
    if (!bar || line[0] == ' ')
        return false;
    const char *at = line;
    for (int skipped = 0; skipped < 3; skipped++)
        next_word(&at, bar);
    unsigned words = word_count(next_word(&at, bar));
    for (unsigned i = 0; i < words; i++) {
        struct str word = next_word(&at, bar);
        next_word(&at, bar); /* lex_id */
        if (i >= WORDS_MAX)
            continue;
        strbuf_puts(out, i ? ", " : "");
        put_word(out, word);
    }
    const char *gloss = bar + 3;
    while (end > gloss && (end[-1] == ' ' || end[-1] == '\r'))
        end--;
    strbuf_puts(out, ": ");
    strbuf_append(out, gloss, (size_t)(end - gloss));
    return words > 0 && end > gloss;
}

enum err_code wordnet_parse(const char *bytes, size_t len, const char *name, struct arena *arena,
                            struct text_list *out, struct err *err)
{
    struct strbuf text = {0};
    size_t found = 0;
    const char *end = bytes + len;
    for (const char *line = bytes; line < end;) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        line_end = line_end ? line_end : end;
        strbuf_clear(&text);
        bool usable = put_synset(&text, line, line_end) && !memchr(text.data, '\0', text.len) &&
                      yaml_is_utf8(text.data, text.len);
        if (usable)
            text_list_add(out, arena, arena_strndup(arena, text.data, text.len));
        found += usable;
        line = line_end + 1;
    }
    strbuf_release(&text);
    if (found == 0)
        return err_set(err, ERR_INVALID, "corpus file '%s' is not a WordNet data file", name);
    return ERR_OK;
}
