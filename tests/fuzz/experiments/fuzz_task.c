/* Task, source, set and mix files: a task that was read gives a sequence. */
#include <stdint.h>

#include "check.h"
#include "mix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 loses buffers on some syntax errors; ours are still found. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

static void draw(const struct task *task)
{
    struct arena arena = {0};
    struct instance instance;
    struct instance_options options = {
        .root = rng_new(1, "fuzz"), .keep_description = 1.0, .examples_max = 50};
    task_instance(task, &options, 3, &arena, &instance);
    ASSERT(instance.example_count >= 1);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct task task;
    struct mix mix;
    struct err err;
    if (task_parse((const char *)data, len, "fuzz.yaml", &task, &err) == ERR_OK) {
        if (task.generator && task.table_count == 0)
            draw(&task);
        task_release(&task);
    }
    struct source source;
    struct task_set set;
    if (source_parse((const char *)data, len, "fuzz.yaml", &source, &err) == ERR_OK) {
        ASSERT(source.file_count > 0);
        source_release(&source);
    }
    if (set_parse((const char *)data, len, "fuzz.yaml", &set, &err) == ERR_OK) {
        ASSERT(!set_has(&set, ""));
        set_release(&set);
    }
    if (mix_parse((const char *)data, len, "fuzz.yaml", &mix, &err) == ERR_OK)
        mix_release(&mix);
    return 0;
}
