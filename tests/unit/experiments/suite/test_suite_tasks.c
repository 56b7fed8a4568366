/* Every task on its data: on small files of the same layout (tests/data/suite), and where they are,
 * on the real files (../shared/data/suite). What comes out is compared with golden tables, and the
 * counts of the real ones with counts that a Python script made from the same files
 * (tests/oracle/suite_counts.py).
 *
 * usage: test_suite_tasks small|real|real-slow     (UPDATE_GOLDEN=1 rewrites the tables) */
#include "cmocka_all.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "golden.h"
#include "suite.h"

enum { LOOK_AT = 40 };

#define SMALL_DATA TRIAD_SOURCE_DIR "/tests/data/suite"
#define REAL_DATA  TRIAD_SOURCE_DIR "/../shared/data/suite"

static const char *mode = "small";
static struct suite suite;

static int load(void **state)
{
    (void)state;
    struct reader reader = reader_disk();
    struct err err;
    if (suite_load(&reader, TRIAD_SOURCE_DIR "/experiments", &suite, &err) != ERR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    suite_set_data(&suite, strcmp(mode, "small") == 0 ? SMALL_DATA : REAL_DATA);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    suite_release(&suite);
    return 0;
}

/* Tables of hundreds of megabytes once unpivoted or summed over a century. */
static bool is_slow(const char *task)
{
    return strcmp(task, "polis_vote") == 0 || strcmp(task, "babynames") == 0;
}

/* The tasks that this run looks at: those with tables whose data are in its folder. */
static bool is_wanted(const struct task *task)
{
    struct err err;
    const struct source *source = suite_find_source(&suite, task->source);
    bool embedded = source && source->access == SOURCE_EMBEDDED;
    if (task->table_count == 0 || !suite_has_data(&suite, task, &err))
        return false;
    if (strcmp(mode, "small") == 0)
        return !embedded;
    return !embedded && is_slow(task->name) == (strcmp(mode, "real-slow") == 0);
}

static void add_text(struct hash_state *hash, size_t *bytes, const char *text)
{
    if (text)
        hash_update(hash, text, strlen(text));
    hash_update(hash, "", 1);
    *bytes += text ? strlen(text) : 0;
}

/* Is the output one of the candidates, where the task names them? */
static void check_candidate(const struct task *task, const struct instance *instance,
                            const char *output)
{
    const struct field_texts *candidates = &task->parts[0].candidates;
    bool found = candidates->count == 0;
    for (size_t i = 0; i < candidates->count; i++)
        found = found || strcmp(candidates->items[i], output) == 0;
    if (!found)
        fail_msg("%s: '%s' is not among the candidates", instance->id, output);
}

/* One line: sequences, rows, rows left out, and over the first sequences their examples, bytes,
 * share with input, and a digest of all texts. */
static void describe(struct task *task, struct strbuf *out)
{
    struct err err = {0};
    if (suite_ready(&suite, task, &err) != ERR_OK)
        fail_msg("%s", err.text);
    struct instance_options options = {.root = rng_new(42, "golden"), .keep_description = 1.0};
    struct hash_state hash;
    size_t examples = 0, bytes = 0, inputs = 0;
    uint64_t rows = 0;
    uint32_t supply = task_supply(task);
    hash_init(&hash);
    for (uint32_t i = 0; i < supply && i < LOOK_AT; i++) {
        struct arena arena = {0};
        struct instance instance;
        task_instance(task, &options, i, &arena, &instance);
        if (!instance.description || strchr(instance.description, '{'))
            fail_msg("%s: its description is '%s'", instance.id,
                     instance.description ? instance.description : "(none)");
        add_text(&hash, &bytes, instance.description);
        for (uint32_t e = 0; e < instance.example_count; e++) {
            assert_true(instance.examples[e].output[0] != '\0');
            check_candidate(task, &instance, instance.examples[e].output);
            add_text(&hash, &bytes, instance.examples[e].input);
            add_text(&hash, &bytes, instance.examples[e].output);
            inputs += instance.examples[e].input != NULL;
        }
        examples += instance.example_count;
        arena_release(&arena);
    }
    for (size_t p = 0; p < task->part_count; p++)
        rows += task->parts[p].set.row_count;
    struct digest digest = hash_final(&hash);
    char hex[DIGEST_HEX_SIZE];
    digest_hex(&digest, hex);
    hex[16] = '\0';
    strbuf_printf(out, "%s,%lld,%llu,%llu,%zu,%zu,%zu,%s\n", task->name,
                  supply == UINT32_MAX ? -1LL : (long long)supply, (unsigned long long)rows,
                  (unsigned long long)task_left_out(task), examples, inputs, bytes, hex);
}

static void tasks_give_what_the_golden_table_says(void **state)
{
    (void)state;
    struct strbuf table = {0};
    char name[64];
    strbuf_puts(&table, "task,sequences,rows,left_out,examples,inputs,bytes,digest\n");
    for (size_t t = 0; t < suite.task_count; t++) {
        if (is_wanted(&suite.tasks[t]))
            describe(&suite.tasks[t], &table);
    }
    snprintf(name, sizeof name, "suite/tasks-%s.csv", mode);
    assert_true(golden_matches(name, strbuf_text(&table), table.len));
    strbuf_release(&table);
}

/* No task of the suite is without a trial: its generator needs no data, or its data are small files
 * here. */
static void every_published_task_has_a_trial(void **state)
{
    (void)state;
    size_t published = 0;
    if (strcmp(mode, "small") != 0)
        return;
    for (size_t t = 0; t < suite.task_count; t++) {
        const struct task *task = &suite.tasks[t];
        struct err err;
        published += task_in_suite(task, "spectrum");
        suite_set_data(&suite, SMALL_DATA);
        bool tried = suite_has_data(&suite, task, &err);
        suite_set_data(&suite, REAL_DATA);
        tried = tried || suite_has_data(&suite, task, &err) || !file_exists(REAL_DATA);
        suite_set_data(&suite, SMALL_DATA);
        if (!tried)
            fail_msg("task '%s' has neither small nor real files", task->name);
    }
    assert_int_equal(published, 93);
}

/* Rows and groups of real files, as another program counted them. */
static void counts_agree_with_the_oracle(void **state)
{
    (void)state;
    const char *name;
    json_t *counts;
    json_t *golden = json_load_file(TRIAD_SOURCE_DIR "/tests/golden/suite/counts.json", 0, NULL);
    assert_non_null(golden);
    size_t compared = 0;
    json_object_foreach(json_object_get(golden, "tasks"), name, counts)
    {
        struct task *task = suite_find(&suite, name);
        assert_non_null(task);
        if (!is_wanted(task) || strcmp(mode, "small") == 0)
            continue;
        struct err err = {0};
        if (suite_ready(&suite, task, &err) != ERR_OK)
            fail_msg("%s", err.text);
        const struct row_set *set = &task->parts[0].set;
        long long rows = json_integer_value(json_object_get(counts, "rows"));
        long long groups = json_integer_value(json_object_get(counts, "groups"));
        if (set->row_count != rows || (long long)set->group_count != groups)
            fail_msg("%s: %u rows in %zu groups, the oracle counted %lld in %lld", name,
                     set->row_count, set->group_count, rows, groups);
        compared++;
    }
    assert_true(compared > 0 || strcmp(mode, "small") == 0);
    json_decref(golden);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_give_what_the_golden_table_says),
        cmocka_unit_test(every_published_task_has_a_trial),
        cmocka_unit_test(counts_agree_with_the_oracle),
    };
    mode = argc > 1 ? argv[1] : mode;
    if (strcmp(mode, "small") != 0 && !file_exists(REAL_DATA)) {
        printf("SKIP: there are no files in ../shared/data/suite\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, load, unload);
}
