/* A tree from anywhere: what is accepted is exactly what would be written. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct tree tree;
    if (tree_parse(data, len, &tree, NULL) != ERR_OK)
        return 0;
    struct strbuf again = {0};
    tree_encode(&tree, &again);
    if (again.len != len || memcmp(again.data, data, len) != 0)
        abort();
    strbuf_release(&again);
    tree_release(&tree);
    return 0;
}
