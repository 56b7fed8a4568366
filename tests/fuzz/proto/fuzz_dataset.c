/* Datasets: what is accepted, written and read again is the same. */
#include <stdlib.h>
#include <string.h>

#include "dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void write_dataset(struct strbuf *out, const struct dataset *d)
{
    dataset_write_header(out, d);
    for (uint32_t i = 0; i < d->sequence_count; i++)
        dataset_write_sequence(out, &d->sequences[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct dataset first;
    struct dataset second;
    struct strbuf once = {0};
    struct strbuf twice = {0};
    struct err err;
    if (dataset_parse((const char *)data, len, "fuzz", &first, &err) != ERR_OK)
        return 0;
    write_dataset(&once, &first);
    if (dataset_parse(once.data, once.len, "fuzz", &second, &err) != ERR_OK)
        abort();
    write_dataset(&twice, &second);
    if (once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
        abort();
    dataset_release(&first);
    dataset_release(&second);
    strbuf_release(&once);
    strbuf_release(&twice);
    return 0;
}
