/* Stored allocations: what is accepted prints as a text that reads back as the same. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct alloc *alloc = NULL;
    struct alloc *again = NULL;
    struct strbuf first = {0};
    struct strbuf second = {0};
    struct err err;
    if (alloc_parse((const char *)data, len, &alloc, &err) != ERR_OK)
        return 0;
    alloc_print(alloc, &first);
    if (alloc_parse(strbuf_text(&first), first.len, &again, &err) != ERR_OK)
        abort();
    alloc_print(again, &second);
    if (strcmp(strbuf_text(&first), strbuf_text(&second)) != 0)
        abort();
    alloc_free(alloc);
    alloc_free(again);
    strbuf_release(&first);
    strbuf_release(&second);
    return 0;
}
