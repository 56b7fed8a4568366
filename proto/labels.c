#include "labels.h"

#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "check.h"

#define LABELS_MAX 64

static bool is_separator(char c)
{
    return c == ',' || c == ' ';
}

static bool is_label_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_.=-/:", c) != NULL);
}

struct word {
    const char *text;
    size_t len;
};

static int compare_words(const void *a, const void *b)
{
    const struct word *x = a;
    const struct word *y = b;
    const size_t len = x->len < y->len ? x->len : y->len;
    const int order = memcmp(x->text, y->text, len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* The next word from *at on; its length is 0 at the end. */
static struct word next_word(const char **at)
{
    while (is_separator(**at))
        (*at)++;
    struct word word = {.text = *at};
    while (**at != '\0' && !is_separator(**at))
        (*at)++;
    word.len = (size_t)(*at - word.text);
    return word;
}

static enum err_code check_word(const struct word *word, struct err *err)
{
    for (size_t i = 0; i < word->len; i++)
        if (!is_label_character(word->text[i]))
            return err_set(err, ERR_INVALID,
                           "label '%.*s': a label has letters, digits and _.=-/: only",
                           (int)(word->len < 64 ? word->len : 64), word->text);
    return ERR_OK;
}

enum err_code labels_parse(const char *text, struct strbuf *out, struct err *err)
{
    struct word words[LABELS_MAX];
    size_t count = 0;
    for (const char *at = text;;) {
        const struct word word = next_word(&at);
        if (word.len == 0)
            break;
        if (count == LABELS_MAX)
            return err_set(err, ERR_LIMIT, "more than %d labels", LABELS_MAX);
        enum err_code code = check_word(&word, err);
        if (code != ERR_OK)
            return code;
        words[count++] = word;
    }
    qsort(words, count, sizeof *words, compare_words);
    const size_t begin = out->len;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && compare_words(&words[i - 1], &words[i]) == 0)
            continue;
        if (out->len > begin)
            strbuf_append(out, ",", 1);
        strbuf_append(out, words[i].text, words[i].len);
    }
    return out->len - begin <= NAME_BYTES_MAX
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "labels of more than %d bytes", NAME_BYTES_MAX);
}

bool labels_have(const char *had, const char *wanted)
{
    struct word has = next_word(&had);
    for (;;) {
        const struct word want = next_word(&wanted);
        if (want.len == 0)
            return true;
        while (has.len > 0 && compare_words(&has, &want) < 0)
            has = next_word(&had);
        if (has.len == 0 || compare_words(&has, &want) != 0)
            return false;
    }
}
