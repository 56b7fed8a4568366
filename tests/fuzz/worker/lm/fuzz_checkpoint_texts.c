/* Any bytes as the small texts of a checkpoint: the first one says which. An index names plain
 * files only; a chat template can be compared with those we know. */
#include <stdint.h>
#include <string.h>

#include "arena.h"
#include "chat_template.h"
#include "check.h"
#include "file.h"
#include "safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_index(const char *text, size_t len, struct arena *arena)
{
    struct err err;
    const char **shards = NULL;
    size_t count = 0;
    if (safetensors_index_parse(text, len, "fuzz", arena, &shards, &count, &err) != ERR_OK)
        return;
    ASSERT(count > 0);
    for (size_t i = 0; i < count; i++)
        ASSERT(file_name_is_safe(shards[i]));
}

static void try_template(const char *text, struct arena *arena)
{
    struct chat_template_match match = chat_template_compare(text);
    ASSERT(!match.is_known || (match.extra_lines == 0 && match.missing_lines == 0));
    ASSERT(match.extra_lines == 0 || match.line_len > 0);
    const char *warning = chat_template_warning(text, "qwen3", arena);
    ASSERT(match.is_known || warning != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct err err;
    const char *text = (const char *)data + 1, *found = NULL;
    if (len == 0)
        return 0;
    switch (data[0]) {
    case 'i':
        try_index(text, len - 1, &arena);
        break;
    case 'c':
        if (chat_template_of_config(text, len - 1, "fuzz", &arena, &found, &err) == ERR_OK && found)
            try_template(found, &arena);
        break;
    case 't':
        try_template(arena_strndup(&arena, text, strnlen(text, len - 1)), &arena);
        break;
    default:
        break;
    }
    arena_release(&arena);
    return 0;
}
