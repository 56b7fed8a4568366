/* triad suite list, show, sample: what tasks there are, and what a model sees of them. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "format.h"
#include "rows.h"
#include "suite_open.h"
#include "verbs.h"

static const char *const split_names[] = {"train", "test"};
static const char *const type_names[] = {"multiple choice", "free text", "numeric"};

static const char *joined(struct arena *arena, const struct field_texts *texts)
{
    struct strbuf out = {0};
    for (size_t i = 0; i < texts->count; i++)
        strbuf_printf(&out, "%s%s", i ? " " : "", texts->items[i]);
    const char *text = arena_strdup(arena, strbuf_text(&out));
    strbuf_release(&out);
    return text;
}

/* What has to be done before the task can be used. */
static const char *what_to_do(struct cli *cli, const struct suite *suite, const struct task *task)
{
    const struct source *source = suite_find_source(suite, task->source);
    if (!source)
        return arena_printf(&cli->arena, "put its files into %s/%s", cli_data_dir(cli),
                            task->source);
    if (source->access == SOURCE_OPEN && source->files[0].url)
        return arena_printf(&cli->arena, "triad suite fetch %s%s", source->name,
                            source->convert ? ", then convert" : "");
    return arena_printf(&cli->arena, "%s: triad suite show %s",
                        source_access_name((enum source_access)source->access), task->name);
}

/* ---- list ---- */

static const struct rows_column list_columns[] = {
    {"task", "TASK", ROWS_TEXT},     {"split", "SPLIT", ROWS_TEXT}, {"type", "TYPE", ROWS_TEXT},
    {"source", "SOURCE", ROWS_TEXT}, {"state", "STATE", ROWS_TEXT}, {"suites", "SUITES", ROWS_TEXT},
    {"licence", NULL, ROWS_TEXT},    {"needs", "NEEDS", ROWS_TEXT},
};
enum { LIST_COLUMNS = ARRAY_COUNT(list_columns) };

static bool add_task(struct cli *cli, const struct suite *suite, const struct task *task,
                     struct rows *rows)
{
    struct err missing;
    bool ready = suite_has_data(suite, task, &missing);
    if (ready && cli_flag(cli, "missing"))
        return ready;
    struct rows_cell *cell = rows_add(rows);
    cell[0].text = task->name;
    cell[1].text = split_names[task->split];
    cell[2].text = type_names[task->type];
    cell[3].text = task->source;
    cell[4].text = ready ? "ready" : "needs data";
    cell[5].text = joined(&cli->arena, &task->suites);
    cell[6].text = suite_licence(suite, task);
    cell[7].text = ready ? "" : what_to_do(cli, suite, task);
    return ready;
}

/* "93 of Spectrum Suite (51 ready)" for each membership people ask for. */
static void say_counts(const struct cli *cli, const struct suite *suite)
{
    static const char *const asked[][2] = {{"spectrum", "of Spectrum Suite"},
                                           {"alignment", "of distributional alignment"},
                                           {"coverage", "of diversity and validity"},
                                           {"capability", "of capability"}};
    struct strbuf text = {0};
    for (size_t a = 0; a < ARRAY_COUNT(asked); a++) {
        size_t count = 0, ready = 0;
        for (size_t t = 0; t < suite->task_count; t++) {
            struct err ignored;
            if (!task_in_suite(&suite->tasks[t], asked[a][0]))
                continue;
            count++;
            ready += suite_has_data(suite, &suite->tasks[t], &ignored);
        }
        strbuf_printf(&text, "%s%zu %s (%zu ready)", a ? ", " : "", count, asked[a][1], ready);
    }
    fflush(stdout);
    cli_note(cli, "%s", strbuf_text(&text));
    strbuf_release(&text);
}

enum cli_exit verb_suite_list(struct cli *cli)
{
    struct suite suite;
    struct err err;
    struct rows rows;
    struct task **tasks;
    size_t count;
    enum err_code rc = suite_open(cli, &suite, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    rc = suite_select(cli, &suite, &tasks, &count, &err);
    if (rc == ERR_OK) {
        rows_init(&rows, &cli->arena, "triad.tasks/1", list_columns, LIST_COLUMNS);
        for (size_t i = 0; i < count; i++)
            add_task(cli, &suite, tasks[i], &rows);
        rows_print(&rows, cli);
        if (cli->output == OUTPUT_TABLE)
            say_counts(cli, &suite);
    }
    suite_release(&suite);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}

/* ---- sample ---- */

/* How sequences are shown. */
struct view {
    bool rendered; /* in a format; else as labelled text */
    struct format_options format;
    struct instance_options options;
};

static enum err_code read_view(const struct cli *cli, struct view *view, struct err *err)
{
    const char *format = cli_value(cli, "format"), *turns = cli_value(cli, "turns");
    long long seed = 0, examples = 0;
    *view = (struct view){.rendered = strcmp(format, "text") != 0,
                          .format = {.style = turn_style_find(turns), .first_terminator = true}};
    int f = 0;
    while (view->rendered && f < FORMAT_COUNT && strcmp(format_name((enum format)f), format) != 0)
        f++;
    if (f == FORMAT_COUNT)
        return err_set(err, ERR_INVALID, "--format %.32s: known are text, spectrum, colon and chat",
                       format);
    if (!view->format.style)
        return err_set(err, ERR_INVALID, "--turns %.32s: no family spells its turns so", turns);
    view->format.format = (enum format)f;
    enum err_code rc = cli_integer(cli, "seed", 0, (long long)1e15, &seed, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "examples", 0, 100000, &examples, err);
    if (rc == ERR_OK)
        rc = cli_real(cli, "keep-description", 0.0, 1.0, &view->options.keep_description, err);
    view->options.root = rng_new((uint64_t)seed, "sample");
    view->options.examples_max = (uint32_t)examples;
    return rc;
}

/* The instance as labelled lines. */
static void put_text(struct strbuf *out, const struct instance *instance)
{
    if (instance->description)
        strbuf_printf(out, "description: %s\n", instance->description);
    for (uint32_t i = 0; i < instance->example_count; i++) {
        const struct example *e = &instance->examples[i];
        if (e->input)
            strbuf_printf(out, "input:  %s\n", e->input);
        strbuf_printf(out, "output: %s\n", e->output);
    }
    for (uint32_t c = 0; c < instance->candidate_count && instance->target; c++)
        strbuf_printf(out, "target: %s %.4f\n", instance->candidates[c], instance->target[c]);
}

/* The rendered sequence; what has a loss stands between double brackets. */
static void put_rendered(struct strbuf *out, const struct view *view,
                         const struct instance *instance)
{
    struct arena scratch = {0};
    struct sequence sequence;
    bool open = false;
    format_render(&view->format, instance, instance->example_count, &scratch, &sequence);
    for (uint32_t i = 0; i < sequence.segment_count; i++) {
        const struct segment *s = &sequence.segments[i];
        bool loss = s->loss != LOSS_NONE;
        if (loss != open)
            strbuf_puts(out, loss ? "\u27e6" : "\u27e7");
        open = loss;
        strbuf_append(out, s->text.data, s->text.len);
    }
    strbuf_puts(out, open ? "\u27e7\n" : "\n");
    arena_release(&scratch);
}

static const struct rows_column sample_columns[] = {
    {"id", "SEQUENCE", ROWS_TEXT},
    {"examples", "EXAMPLES", ROWS_INTEGER},
    {"text", "TEXT", ROWS_TEXT},
};

/* Print `count` sequences from `first` on. */
static enum err_code show_sequences(struct cli *cli, struct suite *suite, struct task *task,
                                    uint32_t first, uint32_t count, struct err *err)
{
    struct view view;
    struct rows rows;
    enum err_code rc = read_view(cli, &view, err);
    if (rc == ERR_OK)
        rc = suite_ready(suite, task, err);
    if (rc != ERR_OK)
        return rc;
    uint32_t supply = task_supply(task);
    if (first >= supply)
        return err_set(err, ERR_NOT_FOUND, "task '%s' has %u sequences", task->name, supply);
    rows_init(&rows, &cli->arena, "triad.sequences/1", sample_columns, ARRAY_COUNT(sample_columns));
    for (uint32_t i = first; i < supply && i - first < count; i++) {
        struct instance instance;
        struct strbuf text = {0};
        task_instance(task, &view.options, i, &cli->arena, &instance);
        if (view.rendered)
            put_rendered(&text, &view, &instance);
        else
            put_text(&text, &instance);
        struct rows_cell *cell = rows_add(&rows);
        cell[0].text = instance.id;
        cell[1].integer = instance.example_count;
        cell[2].text = arena_strdup(&cli->arena, strbuf_text(&text));
        if (cli->output == OUTPUT_TABLE) {
            printf("--- %s, %u examples\n", instance.id, instance.example_count);
            rows_print_text(strbuf_text(&text));
        }
        strbuf_release(&text);
    }
    if (cli->output != OUTPUT_TABLE)
        rows_print(&rows, cli);
    return ERR_OK;
}

enum cli_exit verb_suite_sample(struct cli *cli)
{
    struct suite suite;
    struct err err;
    struct task *task = NULL;
    long long first = 0, count = 0;
    enum err_code rc = suite_open(cli, &suite, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    rc = suite_one(cli, &suite, cli->arguments[0], &task, &err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "first", 0, UINT32_MAX - 1, &first, &err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "count", 1, 1000000, &count, &err);
    if (rc == ERR_OK)
        rc = show_sequences(cli, &suite, task, (uint32_t)first, (uint32_t)count, &err);
    suite_release(&suite);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}

/* ---- show ---- */

static void show_source(const struct source *source, const char *folder)
{
    printf("source       %s: %s\n", source->name, source->title);
    printf("address      %s\n", source->address);
    printf("licence      %s\n", source->licence);
    printf("access       %s%s%s\n", source_access_name((enum source_access)source->access),
           source->how ? ": " : "", source->how ? source->how : "");
    for (size_t i = 0; i < source->file_count && i < 8; i++)
        printf("%-12s %s/%s\n", i ? "" : "files", folder ? folder : ".", source->files[i].path);
    if (source->file_count > 8)
        printf("             and %zu more\n", source->file_count - 8);
    if (source->convert)
        printf("convert      %s\n", source->convert);
}

static void show_task(struct cli *cli, const struct suite *suite, const struct task *task)
{
    struct err missing;
    const struct source *source = suite_find_source(suite, task->source);
    printf("task         %s\n", task->name);
    printf("kind         %s, %s\n", split_names[task->split], type_names[task->type]);
    printf("suites       %s\n", joined(&cli->arena, &task->suites));
    if (task->generator)
        printf("generator    %s\n", task->generator->name);
    if (source)
        show_source(source, suite_source_folder(suite, task->source, &cli->arena));
    else
        printf("source       %s: %s\nlicence      %s\n", task->source,
               task->origin ? task->origin : "", task->licence);
    if (task->notes)
        printf("notes        %s\n", task->notes);
    bool ready = suite_has_data(suite, task, &missing);
    printf("state        %s\n", ready ? "ready" : missing.text);
    if (!ready)
        printf("to do        %s\n", what_to_do(cli, suite, task));
}

enum cli_exit verb_suite_show(struct cli *cli)
{
    struct suite suite;
    struct err err;
    struct task *task = NULL;
    enum err_code rc = suite_open(cli, &suite, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    rc = suite_one(cli, &suite, cli->arguments[0], &task, &err);
    if (rc == ERR_OK && cli->output == OUTPUT_TABLE)
        show_task(cli, &suite, task);
    if (rc == ERR_OK && (cli->output != OUTPUT_TABLE || suite_has_data(&suite, task, &err)))
        rc = show_sequences(cli, &suite, task, 0, 1, &err);
    suite_release(&suite);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
