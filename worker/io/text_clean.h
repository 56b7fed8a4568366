/* Text that somebody else wrote, made fit for messages and terminals. */
#ifndef TRIAD_TEXT_CLEAN_H
#define TRIAD_TEXT_CLEAN_H

#include <stddef.h>

#include "str.h"

/* Append `len` bytes, with control bytes (but tabs) and whatever is not UTF-8 replaced by '?'. */
void text_clean(struct strbuf *out, const char *bytes, size_t len);

#endif
