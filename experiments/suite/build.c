#include "build.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static json_t *text_or_null(const char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    ASSERT(value != NULL); /* task files and tables are checked UTF-8 */
    return value;
}

static void hash_instance(struct hash_state *state, const struct instance *instance,
                          uint32_t example_count)
{
    json_t *root = json_object(), *examples = json_array();
    for (uint32_t i = 0; i < example_count && i < instance->example_count; i++) {
        const struct example *e = &instance->examples[i];
        json_t *pair = json_array();
        json_array_append_new(pair, text_or_null(e->input));
        json_array_append_new(pair, text_or_null(e->output));
        json_array_append_new(examples, pair);
    }
    json_object_set_new(root, "id", text_or_null(instance->id));
    json_object_set_new(root, "description", text_or_null(instance->description));
    json_object_set_new(root, "examples", examples);
    char *line = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    ASSERT(line != NULL);
    hash_update(state, line, strlen(line));
    hash_update(state, "\n", 1);
    free(line);
    json_decref(root);
}

struct digest build_pairing(const struct instance *instances, uint32_t count,
                            uint32_t example_count)
{
    struct hash_state state;
    hash_init(&state);
    for (uint32_t i = 0; i < count; i++)
        hash_instance(&state, &instances[i], example_count);
    return hash_final(&state);
}

/* Without a description nothing says what the first output should be, and chat shows it in its
 * system turn: it is scored in no format, so that all formats give the same items. */
static void mask_unannounced(const struct instance *instance, struct sequence *sequence)
{
    for (uint32_t i = 0; i < sequence->segment_count && !instance->description; i++) {
        if (sequence->segments[i].example == 0)
            sequence->segments[i].loss = LOSS_NONE;
    }
}

void build_evaluation(const struct format_options *options, const char *name,
                      const struct instance *instances, uint32_t count, uint32_t example_count,
                      struct strbuf *out, struct build_counts *counts_out)
{
    char hex[DIGEST_HEX_SIZE];
    struct digest pairing = build_pairing(instances, count, example_count);
    struct dataset header = {
        .purpose = DATASET_EVALUATE,
        .name = str_from(name),
        .format = str_from(format_name(options->format)),
        .pairing = str_from(digest_hex(&pairing, hex)),
        .sequence_count = count,
    };
    *counts_out = (struct build_counts){.sequences = count};
    dataset_write_header(out, &header);
    for (uint32_t i = 0; i < count; i++) {
        struct arena scratch = {0};
        struct sequence sequence;
        format_render(options, &instances[i], example_count, &scratch, &sequence);
        mask_unannounced(&instances[i], &sequence);
        counts_out->items += format_item_count(&sequence);
        dataset_write_sequence(out, &sequence);
        arena_release(&scratch);
    }
}
