/* What squeue and sbatch print: every row that is accepted has an id, a name and a state. */
#include <stdlib.h>
#include <string.h>

#include "slurm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct alloc_listed *rows = NULL;
    size_t count = 0;
    struct err err;
    if (slurm_list_parse((const char *)data, len, &arena, &rows, &count, &err) == ERR_OK) {
        for (size_t i = 0; i < count; i++) {
            if (!rows[i].name || !rows[i].state || !rows[i].text || !*rows[i].batch_id ||
                strlen(rows[i].batch_id) >= ALLOC_BATCH_ID_BYTES)
                abort();
        }
    }
    const char *id = slurm_batch_id(arena_strndup(&arena, (const char *)data, len), &arena);
    if (id && (!*id || strlen(id) >= ALLOC_BATCH_ID_BYTES))
        abort();
    arena_release(&arena);
    return 0;
}
