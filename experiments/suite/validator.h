/* Is a sampled text one that was asked for? One table of rules; what a rule needs (lists, bounds)
 * comes from the task file and travels in the plan, so that stored texts can be judged anywhere.
 *
 * Texts are judged after white space around them is dropped. */
#ifndef TRIAD_VALIDATOR_H
#define TRIAD_VALIDATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "arena.h"
#include "err.h"

enum validity_rule {
    VALID_ANY,    /* any text that is not empty */
    VALID_MEMBER, /* one of the values */
    /* Some value's fields (between tabs) all stand somewhere in the text. */
    VALID_CONTAINS,
    /* LOCAL@DOMAIN: letters, digits and . _ % + - before it, letters, digits, hyphens and dots
     * after it, an ending of two letters or more; at most 64 and 255 characters; no dot at an end
     * of either part or beside another. With values, the domain ends in one of them. */
    VALID_EMAIL,
    VALID_US_PHONE, /* ddd-ddd-dddd, (ddd) ddd-dddd or ddd ddd dddd */
    /* "+", 1 to 3 digits, then groups of digits, a single space or hyphen before a group or not: 7
     * to 15 digits and at most 6 separators in all. */
    VALID_INTERNATIONAL_PHONE,
    VALID_INTEGER, /* within the bounds, digits alone, no leading zero; `lenient`: as Python's int()
                      reads it (a sign, leading zeros, single underscores between digits) */
    VALID_PRIME,   /* such an integer, and prime */
    VALIDITY_RULE_COUNT
};

struct validator {
    enum validity_rule rule;
    bool ignore_case; /* members and contents; by Unicode's simple lower case */
    bool lenient;
    const char *const *values; /* sorted by bytes, lower case when case is ignored */
    size_t value_count;
    uint64_t minimum, maximum; /* integers and primes, both included */
};

/* "member"; ended by NULL for choices. */
extern const char *const validity_rule_names[];

/* Sort the values (and lower their case where it is ignored) into `arena`; equal ones once. */
void validator_prepare(struct validator *validator, const char *const *values, size_t count,
                       struct arena *arena);
bool validator_accepts(const struct validator *validator, const char *text);
/* How many texts are valid at all; 0 where that is no list of exact texts. */
uint64_t validator_allowed(const struct validator *validator);

/* As a plan holds it. Reading: ERR_INVALID names what is wrong; all belongs to `arena`. */
json_t *validator_json(const struct validator *validator);
NODISCARD enum err_code validator_from_json(const json_t *json, struct arena *arena,
                                            struct validator *out, struct err *err);

#endif
