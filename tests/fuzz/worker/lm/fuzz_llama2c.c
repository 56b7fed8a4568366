/* Any bytes as a llama2.c model (first byte even) or tokenizer (odd). */
#include <stdint.h>

#include "check.h"
#include "convert_llama2c.h"
#include "llama2c_tokenizer.h"
#include "tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err;
    if (len == 0)
        return 0;
    if (data[0] % 2 == 0) {
        struct checkpoint_weights weights;
        if (llama2c_read_weights(data + 1, len - 1, "fuzz", &weights, &err) == ERR_OK)
            checkpoint_weights_release(&weights);
        return 0;
    }
    struct tokenizer *t = NULL;
    if (llama2c_read_tokenizer(data + 1, len - 1, "fuzz", &t, &err) == ERR_OK) {
        struct token_list list = {0};
        ASSERT(tokenizer_encode(t, str_from("Once upon a time"), &list, &err) == ERR_OK);
        token_list_release(&list);
    }
    tokenizer_free(t);
    return 0;
}
