/* The `coverage` settings of a task: what is drawn, and which texts are valid.
 *
 *     coverage:
 *       max_tokens: 15
 *       valid: {rule: member, list: lists/element_names.txt, ignore_case: true}
 *
 * Keys of `valid`: `rule` (validator.h), `values` or `list` (a file of values below the embedded
 * data, one a line) with the `digest` it must have, `ignore_case`, `lenient`, `minimum`, `maximum`.
 */
#ifndef TRIAD_COVERAGE_H
#define TRIAD_COVERAGE_H

#include "fields.h"
#include "reader.h"
#include "validator.h"

struct coverage_settings {
    int64_t max_tokens; /* of a text, its end included */
    bool lines;         /* a text ends with its line; else only where the model ends it */
    struct validator validator;
};

/* Read `node` of a task file; lists are read from `folder`. Everything belongs to the document.
 * Errors name file, line and column; ERR_NOT_FOUND when a list is missing. */
NODISCARD enum err_code coverage_read(struct yaml_doc *doc, const struct yaml_node *node,
                                      const struct reader *reader, const char *folder,
                                      struct coverage_settings *out, struct err *err);

#endif
