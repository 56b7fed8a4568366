#include "validator.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "check.h"
#include "format_writer.h"

const char *const validity_rule_names[] = {
    [VALID_ANY] = "any",           [VALID_MEMBER] = "member",
    [VALID_CONTAINS] = "contains", [VALID_EMAIL] = "email",
    [VALID_US_PHONE] = "us_phone", [VALID_INTERNATIONAL_PHONE] = "international_phone",
    [VALID_INTEGER] = "integer",   [VALID_PRIME] = "prime",
    [VALIDITY_RULE_COUNT] = NULL,
};

/* --- lists --------------------------------------------------------------------------------------
 */

/* The text in Unicode's simple lower case. */
static const char *lowered(struct arena *arena, const char *text)
{
    const size_t len = strlen(text);
    /* A character may grow: U+023A takes two bytes, its lower case three. */
    char *out = arena_alloc(arena, 2 * len + 1), *at = out;
    for (size_t i = 0; i < len;) {
        utf8proc_int32_t codepoint;
        const utf8proc_ssize_t bytes = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
                                                        (utf8proc_ssize_t)(len - i), &codepoint);
        if (bytes <= 0) { /* not UTF-8: such a byte stands for itself */
            *at++ = text[i++];
            continue;
        }
        at += utf8proc_encode_char(utf8proc_tolower(codepoint), (utf8proc_uint8_t *)at);
        i += (size_t)bytes;
    }
    *at = '\0';
    return out;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void validator_prepare(struct validator *validator, const char *const *values, size_t count,
                       struct arena *arena)
{
    const char **sorted = arena_array(arena, count + 1, sizeof *sorted);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        sorted[i] =
            validator->ignore_case ? lowered(arena, values[i]) : arena_strdup(arena, values[i]);
    qsort(sorted, count, sizeof *sorted, compare_texts);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || strcmp(sorted[kept - 1], sorted[i]) != 0)
            sorted[kept++] = sorted[i];
    }
    validator->values = sorted;
    validator->value_count = kept;
}

static bool is_member(const struct validator *v, const char *text)
{
    return bsearch(&text, v->values, v->value_count, sizeof *v->values, compare_texts) != NULL;
}

/* Does every field of the row stand in the text? */
static bool has_fields(const char *row, const char *text)
{
    for (const char *field = row; field; field = strchr(field, '\t')) {
        field += *field == '\t';
        const char *end = strchr(field, '\t');
        const size_t len = end ? (size_t)(end - field) : strlen(field);
        if (!memmem(text, strlen(text), field, len))
            return false;
    }
    return true;
}

static bool contains_some(const struct validator *v, const char *text)
{
    for (size_t i = 0; i < v->value_count; i++) {
        if (has_fields(v->values[i], text))
            return true;
    }
    return false;
}

/* --- shapes -------------------------------------------------------------------------------------
 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Only characters of the set, letters and digits; no dot at an end or beside another. */
static bool is_address_part(const char *text, size_t len, const char *others)
{
    if (len == 0 || text[0] == '.' || text[len - 1] == '.')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_letter(text[i]) && !is_digit(text[i]) && !strchr(others, text[i]))
            return false;
        if (text[i] == '.' && text[i + 1] == '.')
            return false;
    }
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool is_email(const struct validator *v, const char *text)
{
    enum { LOCAL_MAX = 64, DOMAIN_MAX = 255, ENDING_MIN = 2 };
    const char *at = strchr(text, '@');
    if (!at || strchr(at + 1, '@'))
        return false;
    const char *domain = at + 1, *dot = strrchr(domain, '.');
    const size_t local_len = (size_t)(at - text), domain_len = strlen(domain);
    if (local_len > LOCAL_MAX || domain_len > DOMAIN_MAX ||
        !is_address_part(text, local_len, "._%+-") || !is_address_part(domain, domain_len, ".-") ||
        !dot || strlen(dot + 1) < ENDING_MIN)
        return false;
    for (const char *c = dot + 1; *c; c++) {
        if (!is_letter(*c))
            return false;
    }
    bool ending = v->value_count == 0;
    for (size_t i = 0; i < v->value_count && !ending; i++)
        ending = ends_with(domain, v->values[i]);
    return ending;
}

/* 'd' in the pattern stands for a digit, everything else for itself. */
static bool matches(const char *pattern, const char *text)
{
    for (; *pattern; pattern++, text++) {
        if (*pattern == 'd' ? !is_digit(*text) : *text != *pattern)
            return false;
    }
    return *text == '\0';
}

static bool is_us_phone(const struct validator *v, const char *text)
{
    (void)v;
    return matches("ddd-ddd-dddd", text) || matches("(ddd) ddd-dddd", text) ||
           matches("ddd ddd dddd", text);
}

/* Any run of digits begins with a country code of 1 to 3, so what is left to check is the shape. */
static bool is_international_phone(const struct validator *v, const char *text)
{
    enum { DIGITS_MIN = 7, DIGITS_MAX = 15, SEPARATORS_MAX = 6 };
    (void)v;
    size_t digits = 0, separators = 0;
    if (text[0] != '+' || !is_digit(text[1]))
        return false;
    for (const char *c = text + 1; *c; c++) {
        const bool separator = *c == ' ' || *c == '-';
        if (!is_digit(*c) && !(separator && is_digit(c[1])))
            return false;
        digits += !separator;
        separators += separator;
    }
    return digits >= DIGITS_MIN && digits <= DIGITS_MAX && separators <= SEPARATORS_MAX;
}

/* --- numbers ------------------------------------------------------------------------------------
 */

/* Digits alone, no leading zero. */
static bool read_plain(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (!is_digit(*text) || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (; *text; text++) {
        if (!is_digit(*text) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

/* As int() of Python reads ASCII text; a negative number but -0 is none that we take. */
static bool read_lenient(const char *text, uint64_t *out)
{
    const bool negative = *text == '-';
    uint64_t value = 0;
    text += *text == '-' || *text == '+';
    if (!is_digit(*text))
        return false;
    for (; *text; text++) {
        if (*text == '_' && is_digit(text[1]))
            continue;
        if (!is_digit(*text) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    *out = value;
    return !negative || value == 0;
}

static bool is_integer(const struct validator *v, const char *text)
{
    uint64_t value;
    const bool number = v->lenient ? read_lenient(text, &value) : read_plain(text, &value);
    return number && value >= v->minimum && value <= v->maximum;
}

static uint64_t multiply(uint64_t a, uint64_t b, uint64_t modulus)
{
    return (uint64_t)((unsigned __int128)a * b % modulus);
}

static uint64_t power(uint64_t base, uint64_t exponent, uint64_t modulus)
{
    uint64_t result = 1;
    for (base %= modulus; exponent > 0; exponent >>= 1) {
        if (exponent & 1)
            result = multiply(result, base, modulus);
        base = multiply(base, base, modulus);
    }
    return result;
}

/* Miller and Rabin with the bases that decide all 64-bit numbers (Sorenson and Webster 2015). */
static bool is_prime_number(uint64_t n)
{
    static const uint64_t bases[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
    for (size_t i = 0; i < ARRAY_COUNT(bases); i++) {
        if (n % bases[i] == 0)
            return n == bases[i];
    }
    if (n < 2)
        return false;
    uint64_t odd = n - 1;
    unsigned twos = 0;
    for (; odd % 2 == 0; odd /= 2)
        twos++;
    for (size_t i = 0; i < ARRAY_COUNT(bases); i++) {
        uint64_t x = power(bases[i], odd, n);
        bool composite = x != 1 && x != n - 1;
        for (unsigned t = 1; t < twos && composite; t++) {
            x = multiply(x, x, n);
            composite = x != n - 1;
        }
        if (composite)
            return false;
    }
    return true;
}

static bool is_prime(const struct validator *v, const char *text)
{
    uint64_t value;
    return is_integer(v, text) && read_plain(text, &value) && is_prime_number(value);
}

/* --- the table -----------------------------------------------------------------------------------
 */

static bool is_any(const struct validator *v, const char *text)
{
    (void)v;
    return *text != '\0';
}

static bool (*const rules[VALIDITY_RULE_COUNT])(const struct validator *, const char *) = {
    [VALID_ANY] = is_any,
    [VALID_MEMBER] = is_member,
    [VALID_CONTAINS] = contains_some,
    [VALID_EMAIL] = is_email,
    [VALID_US_PHONE] = is_us_phone,
    [VALID_INTERNATIONAL_PHONE] = is_international_phone,
    [VALID_INTEGER] = is_integer,
    [VALID_PRIME] = is_prime,
};

bool validator_accepts(const struct validator *validator, const char *text)
{
    struct arena scratch = {0};
    const char *judged = format_trimmed(&scratch, text);
    if (validator->ignore_case)
        judged = lowered(&scratch, judged);
    const bool accepted = rules[validator->rule](validator, judged);
    arena_release(&scratch);
    return accepted;
}

uint64_t validator_allowed(const struct validator *validator)
{
    return validator->rule == VALID_MEMBER && !validator->ignore_case ? validator->value_count : 0;
}

/* --- in a plan -----------------------------------------------------------------------------------
 */

json_t *validator_json(const struct validator *v)
{
    json_t *object = json_object(), *values = json_array();
    for (size_t i = 0; i < v->value_count; i++)
        json_array_append_new(values, json_string(v->values[i]));
    json_object_set_new(object, "rule", json_string(validity_rule_names[v->rule]));
    json_object_set_new(object, "ignore_case", json_boolean(v->ignore_case));
    json_object_set_new(object, "lenient", json_boolean(v->lenient));
    json_object_set_new(object, "minimum", json_integer((json_int_t)v->minimum));
    json_object_set_new(object, "maximum", json_integer((json_int_t)v->maximum));
    json_object_set_new(object, "values", values);
    return object;
}

static enum err_code wrong(struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "a rule of validity: %s", what);
}

enum err_code validator_from_json(const json_t *json, struct arena *arena, struct validator *out,
                                  struct err *err)
{
    struct validator v = {0};
    const char *rule = json_string_value(json_object_get(json, "rule"));
    const json_t *values = json_object_get(json, "values");
    const json_int_t minimum = json_integer_value(json_object_get(json, "minimum"));
    const json_int_t maximum = json_integer_value(json_object_get(json, "maximum"));
    while (rule && v.rule < VALIDITY_RULE_COUNT && strcmp(validity_rule_names[v.rule], rule) != 0)
        v.rule++;
    if (!rule || v.rule == VALIDITY_RULE_COUNT)
        return wrong(err, "it is none that this version knows");
    if (minimum < 0 || maximum < 0 || !json_is_array(values))
        return wrong(err, "bounds or values are missing");
    const char **texts = arena_array(arena, json_array_size(values) + 1, sizeof *texts);
    for (size_t i = 0; i < json_array_size(values); i++) {
        texts[i] = json_string_value(json_array_get(values, i));
        if (!texts[i])
            return wrong(err, "a value is no text");
    }
    v.ignore_case = json_is_true(json_object_get(json, "ignore_case"));
    v.lenient = json_is_true(json_object_get(json, "lenient"));
    v.minimum = (uint64_t)minimum;
    v.maximum = (uint64_t)maximum;
    validator_prepare(&v, texts, json_array_size(values), arena);
    *out = v;
    return ERR_OK;
}
