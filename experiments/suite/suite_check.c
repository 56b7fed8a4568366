#include "suite_check.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "shingles.h"

static const char *const names[] = {"placeholder", "no description", "duplicate", "degenerate",
                                    "empty",       "candidate",      "overlap"};

const char *finding_name(enum finding_kind kind)
{
    return names[kind];
}

struct suite_check suite_check_start(uint32_t sequences)
{
    return (struct suite_check){.sequences = sequences, .test = shingle_set_new()};
}

void suite_check_release(struct suite_check *check)
{
    shingle_set_free(check->test);
    free(check->items);
    arena_release(&check->arena);
    *check = (struct suite_check){0};
}

static void add(struct suite_check *check, enum finding_kind kind, const struct task *task,
                const char *format, ...) PRINTF(4, 5);

static void add(struct suite_check *check, enum finding_kind kind, const struct task *task,
                const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (check->count == check->cap) {
        check->cap = check->cap ? 2 * check->cap : 16;
        check->items = realloc(check->items, check->cap * sizeof *check->items);
        ASSERT(check->items != NULL);
    }
    check->items[check->count++] = (struct finding){kind, arena_strdup(&check->arena, task->name),
                                                    arena_strdup(&check->arena, text)};
}

/* What one look at a task's sequences gathers. */
struct look {
    struct digest *digests; /* of all texts of a sequence that can hardly repeat by chance */
    uint32_t distinctive;
    struct digest *starts; /* of its first outputs */
    uint32_t count;
    uint64_t outputs;
    bool same; /* all outputs so far are the same text */
    const char *output;
    size_t undescribed, placeholders, strange;
};

/* "{name}": what a template leaves when nobody fills it. */
static bool has_placeholder(const char *text)
{
    for (const char *open = strchr(text, '{'); open; open = strchr(open + 1, '{')) {
        const char *at = open + 1;
        while (isalnum((unsigned char)*at) || *at == '_')
            at++;
        if (at > open + 1 && *at == '}')
            return true;
    }
    return false;
}

static bool is_candidate(const struct instance *instance, const char *output)
{
    for (uint32_t i = 0; i < instance->candidate_count; i++) {
        if (strcmp(instance->candidates[i], output) == 0)
            return true;
    }
    return instance->candidate_count == 0;
}

static void hash_text(struct hash_state *hash, const char *text)
{
    hash_update(hash, text ? text : "", text ? strlen(text) + 1 : 1);
}

/* Short sequences, and those that say the same again and again, coincide by chance. */
static bool is_distinctive(const struct instance *instance)
{
    bool varies = false;
    for (uint32_t e = 1; e < instance->example_count; e++)
        varies = varies || strcmp(instance->examples[0].output, instance->examples[e].output) != 0;
    return varies && instance->example_count >= 6;
}

static void look_at(struct suite_check *check, const struct task *task,
                    const struct instance *instance, struct look *look)
{
    enum { START = 8 };
    struct hash_state all, start;
    hash_init(&all);
    hash_init(&start);
    look->undescribed += instance->description == NULL;
    look->placeholders += instance->description && has_placeholder(instance->description);
    for (uint32_t e = 0; e < instance->example_count; e++) {
        const struct example *example = &instance->examples[e];
        hash_text(&all, example->input);
        hash_text(&all, example->output);
        if (e < START)
            hash_text(&start, example->output);
        if (look->outputs++ == 0)
            look->output = arena_strdup(&check->arena, example->output);
        look->same = look->same && strcmp(look->output, example->output) == 0;
        look->strange += !is_candidate(instance, example->output);
        if (task->split == TASK_TEST) {
            shingle_set_add(check->test, example->input);
            shingle_set_add(check->test, example->output);
        }
    }
    if (is_distinctive(instance))
        look->digests[look->distinctive++] = hash_final(&all);
    look->starts[look->count++] = hash_final(&start);
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct digest));
}

/* How many of them are the same as another before. */
static uint32_t repeats(struct digest *digests, uint32_t count)
{
    uint32_t found = 0;
    qsort(digests, count, sizeof *digests, by_bytes);
    for (uint32_t i = 1; i < count; i++)
        found += digest_equal(&digests[i - 1], &digests[i]);
    return found;
}

/* Groups that are too short say that the query or the data are not what the task expects. */
static void check_groups(struct suite_check *check, const struct task *task)
{
    for (size_t p = 0; p < task->part_count; p++) {
        const struct task_part *part = &task->parts[p];
        const struct row_set *set = &part->set;
        size_t empty = 0;
        for (size_t g = 0; g < set->group_count; g++)
            empty += set->groups[g].count < part->examples_min;
        if (set->group_count > 0 && empty * 2 > set->group_count)
            add(check, FINDING_EMPTY, task, "%zu of %zu groups have fewer than %lld examples",
                empty, set->group_count, (long long)part->examples_min);
        if (set->left_out > set->row_count)
            add(check, FINDING_EMPTY, task, "%u of %u rows miss something that is needed",
                set->left_out, set->left_out + set->row_count);
    }
}

static void judge(struct suite_check *check, const struct task *task, struct look *look)
{
    if (look->placeholders > 0)
        add(check, FINDING_PLACEHOLDER, task, "%zu of %u descriptions hold a field in braces",
            look->placeholders, look->count);
    if (look->undescribed > 0)
        add(check, FINDING_NO_DESCRIPTION, task, "no description applies to %zu of %u sequences",
            look->undescribed, look->count);
    if (look->strange > 0)
        add(check, FINDING_CANDIDATE, task, "%zu of %llu outputs are not among the candidates",
            look->strange, (unsigned long long)look->outputs);
    /* Of alignment tasks the distribution counts, not the output that stands for it. */
    if (look->outputs > 1 && look->same && !task_in_suite(task, "alignment"))
        add(check, FINDING_DEGENERATE, task, "every output is '%.40s'", look->output);
    uint32_t same = repeats(look->digests, look->distinctive);
    /* A few may still coincide where few values are possible; many do not. */
    if (same > 1 + look->distinctive / 50)
        add(check, FINDING_DUPLICATE, task, "%u of %u sequences repeat another one", same,
            look->distinctive);
    same = repeats(look->starts, look->count);
    /* A single output of few possible ones says nothing about the seeds. */
    if (task->generator && !task->generator->columns[0] && look->outputs > look->count &&
        same * 2 > look->count)
        add(check, FINDING_DEGENERATE, task, "%u of %u sequences begin like another one", same,
            look->count);
}

static uint32_t looked_at(const struct suite_check *check, const struct task *task)
{
    int64_t most = task_sequences_max(task);
    uint32_t supply = task_supply(task);
    uint32_t count = supply < check->sequences ? supply : check->sequences;
    return most < (int64_t)count ? (uint32_t)most : count;
}

static struct instance_options options_of(void)
{
    return (struct instance_options){
        .root = rng_new(1, "check"), .keep_description = 1.0, .examples_max = 64};
}

void suite_check_task(struct suite_check *check, const struct task *task)
{
    uint32_t count = looked_at(check, task);
    struct instance_options options = options_of();
    struct look look = {.same = true};
    look.digests = calloc((size_t)count + 1, sizeof *look.digests);
    look.starts = calloc((size_t)count + 1, sizeof *look.starts);
    ASSERT(look.digests && look.starts);
    for (uint32_t i = 0; i < count; i++) {
        struct arena arena = {0};
        struct instance instance;
        task_instance(task, &options, i, &arena, &instance);
        check->examples_looked_at += instance.example_count;
        look_at(check, task, &instance, &look);
        arena_release(&arena);
    }
    check_groups(check, task);
    judge(check, task, &look);
    free(look.digests);
    free(look.starts);
}

void suite_check_overlap(struct suite_check *check, const struct task *task)
{
    enum { NEAR_PERCENT = 80 };
    uint32_t count = looked_at(check, task);
    struct instance_options options = options_of();
    size_t near = 0;
    char first[120] = "";
    ASSERT(task->split == TASK_TRAIN);
    for (uint32_t i = 0; i < count; i++) {
        struct arena arena = {0};
        struct instance instance;
        task_instance(task, &options, i, &arena, &instance);
        for (uint32_t e = 0; e < instance.example_count; e++) {
            const struct example *example = &instance.examples[e];
            const char *text = shingle_set_percent(check->test, example->input) >= NEAR_PERCENT
                                   ? example->input
                               : shingle_set_percent(check->test, example->output) >= NEAR_PERCENT
                                   ? example->output
                                   : NULL;
            if (text && near++ == 0)
                snprintf(first, sizeof first, "%.100s", text);
        }
        arena_release(&arena);
    }
    if (near > 0)
        add(check, FINDING_OVERLAP, task,
            "%zu examples nearly occur in a test task, the first: \"%.*s\"", near,
            (int)str_whole_characters(first, strlen(first)), first);
}
