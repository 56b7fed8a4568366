/* Tables and corpus files: people's answers as CSV, and WordNet's data lines. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "csv.h"
#include "wordnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct csv csv;
    struct err err;
    struct arena arena = {0};
    struct text_list texts = {0};
    if (csv_parse((const char *)data, len, "fuzz.csv", &csv, &err) == ERR_OK) {
        ASSERT(csv.column_count >= 1);
        for (size_t row = 0; row < csv.row_count; row++)
            ASSERT(csv_cell(&csv, row, csv.column_count - 1) != NULL);
        ASSERT(csv_column(&csv, csv.columns[0]) == 0);
        csv_release(&csv);
    }
    if (wordnet_parse((const char *)data, len, "fuzz", &arena, &texts, &err) == ERR_OK)
        ASSERT(texts.count > 0);
    arena_release(&arena);
    return 0;
}
