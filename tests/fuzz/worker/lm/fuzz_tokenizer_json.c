/* Any bytes as a tokenizer.json: what is accepted must print, read back and encode. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err;
    struct tokenizer *t = NULL;
    if (tokenizer_parse((const char *)data, len, "fuzz", &t, &err) != ERR_OK)
        return 0;
    struct strbuf printed = {0};
    struct strbuf again = {0};
    struct tokenizer *back = NULL;
    tokenizer_print(t, &printed);
    ASSERT(tokenizer_parse(printed.data, printed.len, "printed", &back, &err) == ERR_OK);
    tokenizer_print(back, &again);
    ASSERT(strcmp(printed.data, again.data) == 0);
    struct token_list list = {0};
    ASSERT(tokenizer_encode(t, str_from("Hello, <|eot_id|> 12 \xff\n"), &list, &err) == ERR_OK);
    token_list_release(&list);
    strbuf_release(&printed);
    strbuf_release(&again);
    tokenizer_free(back);
    tokenizer_free(t);
    return 0;
}
