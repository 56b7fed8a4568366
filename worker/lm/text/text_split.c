#include "text_split.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "check.h"
#include "utf8.h"

#define SPLIT_REGEX(space, not_space, digits)                                                      \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" space             \
    "\\p{L}\\p{N}]+[\\r\\n]*|" space "*[\\r\\n]+|" space "+(?!" not_space ")|" space "+"

/* PCRE2's own \s (with UCP) also holds U+180E, which left White_Space in Unicode 6.3; the engines
 * of the original tokenizers follow the property, so ours names it. */
#define SPLIT_ROW(digits)                                                                          \
    {                                                                                              \
        SPLIT_REGEX("\\s", "\\S", digits),                                                         \
            SPLIT_REGEX("\\p{White_Space}", "\\P{White_Space}", digits)                            \
    }

struct pattern_row {
    const char *json;  /* as in tokenizer.json */
    const char *pcre2; /* the same language for PCRE2 */
};

static const struct pattern_row patterns[SPLIT_PATTERN_COUNT] = {
    [SPLIT_DIGITS_ONE] = SPLIT_ROW("\\p{N}"),
    [SPLIT_DIGITS_THREE] = SPLIT_ROW("\\p{N}{1,3}"),
};

struct text_split {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *context;
    struct str text;
    size_t at;        /* the next word starts here */
    size_t valid_end; /* [at, valid_end) is well-formed UTF-8 */
};

const char *split_pattern_regex(enum split_pattern pattern)
{
    return patterns[pattern].json;
}

enum err_code split_pattern_find(const char *regex, enum split_pattern *pattern_out,
                                 struct err *err)
{
    for (int i = 0; i < SPLIT_PATTERN_COUNT; i++) {
        if (strcmp(patterns[i].json, regex) == 0) {
            *pattern_out = (enum split_pattern)i;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_INVALID, "pre-tokenizer pattern '%.160s' is not one we have tested",
                   regex);
}

enum err_code text_split_new(enum split_pattern pattern, struct text_split **split_out,
                             struct err *err)
{
    struct text_split *split = calloc(1, sizeof *split);
    ASSERT(split != NULL);
    int code = 0;
    PCRE2_SIZE offset = 0;
    split->code = pcre2_compile((PCRE2_SPTR)patterns[pattern].pcre2, PCRE2_ZERO_TERMINATED,
                                PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &code, &offset, NULL);
    if (!split->code) {
        char reason[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
        text_split_free(split);
        return err_set(err, ERR_UNAVAILABLE,
                       "compile the pre-tokenizer: %s at %zu (PCRE2 10.40 or later is needed)",
                       reason, (size_t)offset);
    }
    /* Faster where the machine allows it; without it the interpreter gives the same matches.
     * (Anchored when compiled: as an option of a match it would keep the machine code out.) */
    (void)pcre2_jit_compile(split->code, PCRE2_JIT_COMPLETE);
    split->match = pcre2_match_data_create_from_pattern(split->code, NULL);
    split->context = pcre2_match_context_create(NULL);
    ASSERT(split->match != NULL);
    ASSERT(split->context != NULL);
    /* A long run of spaces is stepped through once per alternative: linear, but above the default
     * limit of ten million steps for a text of that size. */
    pcre2_set_match_limit(split->context, UINT32_MAX);
    *split_out = split;
    return ERR_OK;
}

void text_split_free(struct text_split *split)
{
    if (!split)
        return;
    pcre2_match_context_free(split->context);
    pcre2_match_data_free(split->match);
    pcre2_code_free(split->code);
    free(split);
}

void text_split_begin(struct text_split *split, struct str text)
{
    split->text = text;
    split->at = 0;
    split->valid_end = utf8_valid_prefix(text.data, text.len);
}

/* The run of bytes at the front that no character starts with. */
static struct str take_invalid(struct text_split *split)
{
    struct str text = split->text;
    size_t start = split->at;
    size_t end = start + 1;
    uint32_t codepoint;
    while (end < text.len && utf8_decode(text.data + end, text.len - end, &codepoint) == 0)
        end++;
    split->at = end;
    split->valid_end = end + utf8_valid_prefix(text.data + end, text.len - end);
    return (struct str){text.data + start, end - start};
}

enum err_code text_split_next(struct text_split *split, struct str *word_out, struct err *err)
{
    struct str text = split->text;
    if (split->at == text.len) {
        *word_out = (struct str){text.data, 0};
        return ERR_OK;
    }
    if (split->at == split->valid_end) {
        *word_out = take_invalid(split);
        return ERR_OK;
    }
    /* The match may look no further than the valid part, and not before it: every alternative
     * starts at the present place. */
    const char *from = text.data + split->at;
    size_t left = split->valid_end - split->at;
    int rc = pcre2_match(split->code, (PCRE2_SPTR)from, left, 0,
                         PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, split->match, split->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter takes its memory from the heap */
        rc = pcre2_match(split->code, (PCRE2_SPTR)from, left, 0,
                         PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | PCRE2_NO_JIT, split->match,
                         split->context);
    if (rc < 0)
        return err_set(err, rc == PCRE2_ERROR_NOMEMORY ? ERR_LIMIT : ERR_INVALID,
                       "split text at byte %zu: the pattern gave up (PCRE2 %d)", split->at, rc);
    size_t len = pcre2_get_ovector_pointer(split->match)[1];
    split->at += len;
    *word_out = (struct str){from, len};
    return ERR_OK;
}
