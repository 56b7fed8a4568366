/* SQL functions for queries of task files, all of them functions of their arguments only:
 *
 *   draw(seed, key)         uniform on [0, 1), from a stream of its own per (seed, key)
 *   shuffled(seed, json)    a JSON array in an order drawn by the seed
 *   position(json, value)   index from 0 of a value in a JSON array; NULL when it is not there
 *   letter(n)               A for 0, B for 1, …
 *   lettered(json)          "A. first\nB. second\n…"
 *   words(text)             how many words
 *   word(text, n)           word n from 0
 *   sentence(text)          the first sentence
 *   syllables(text)         of each line, "5-7-5": groups of vowels, a silent e aside
 *   trimmed(text)           without white space at the ends
 *   json_text(json)         JSON as Python prints it: a space after commas and colons, ASCII
 *   python_list(json)       JSON as Python's str() prints it
 *   from_python(text)       a Python literal as JSON
 *   digest(text)            a short hexadecimal id
 */
#ifndef TRIAD_TABLE_FUNCTIONS_H
#define TRIAD_TABLE_FUNCTIONS_H

#include <sqlite3.h>

#include "err.h"

/* Make them known to a connection. */
NODISCARD enum err_code table_functions_add(sqlite3 *db, struct err *err);

#endif
