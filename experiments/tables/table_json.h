/* JSON and Python literals as text, for the SQL functions. */
#ifndef TRIAD_TABLE_JSON_H
#define TRIAD_TABLE_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "str.h"

/* JSON as Python's json.dumps() writes it by default: ", " and ": ", ASCII only. */
void table_json_put(struct strbuf *out, const json_t *value);
/* A text as a JSON string of ASCII characters, with its quotes. The text is UTF-8. */
void table_json_put_text(struct strbuf *out, const char *text, size_t len);
/* A finite number as Python's repr() writes it: the shortest decimal that reads back as the same,
 * "20.0", "1e-05". */
void table_json_put_real(struct strbuf *out, double value);
/* The value as Python's str() prints it: True, None, 'text'. */
void table_json_put_python(struct strbuf *out, const json_t *value);
/* A Python literal (dict, list, tuple, string, number, True, False, None; names before a bracket as
 * in defaultdict(<class 'list'>, {…}) are passed over) as JSON. False when it is none; nesting is
 * bounded. */
bool table_json_from_python(const char *text, struct strbuf *out);

#endif
