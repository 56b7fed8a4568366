/* One sequence of a task: drawn by its generator, or one person's answers in a new order. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "str.h"
#include "task.h"

uint32_t task_supply(const struct task *task)
{
    ASSERT(task->generator || task->loaded);
    return task->generator ? UINT32_MAX : (uint32_t)task->person_count;
}

/* Replace every {field}, which task_parse() has checked. */
static const char *fill_template(const struct task *task, const char *text,
                                 const struct drawn *drawn, struct arena *arena)
{
    if (!strchr(text, '{'))
        return arena_strdup(arena, text);
    struct strbuf out = {0};
    for (const char *open = strchr(text, '{'); open; open = strchr(text, '{')) {
        const char *close = strchr(open, '}');
        ASSERT(close != NULL);
        strbuf_append(&out, text, (size_t)(open - text));
        struct str word = {open + 1, (size_t)(close - open - 1)};
        size_t i = 0;
        while (!str_equal(word, str_from(task->generator->fields[i])))
            i++;
        strbuf_puts(&out, drawn->values[i]);
        text = close + 1;
    }
    strbuf_puts(&out, text);
    char *filled = arena_strdup(arena, strbuf_text(&out));
    strbuf_release(&out);
    return filled;
}

/* Text as a format shows it: no space at either end, so that every format ends an output alike. */
static const char *stripped(struct arena *arena, const char *text)
{
    static const char space[] = " \t\r\n";
    size_t start = strspn(text, space), end = strlen(text);
    while (end > start && strchr(space, text[end - 1]))
        end--;
    return arena_strndup(arena, text + start, end - start);
}

static uint32_t wanted_length(const struct task *task, const struct instance_options *options,
                              struct dice *s)
{
    bool random = task->length == LENGTH_GP || options->examples_mean > 0;
    int64_t mean = options->examples_mean > 0 ? options->examples_mean : task->examples;
    int64_t length = random && mean >= 2 ? dice_gp(s, (double)mean) : mean;
    if (options->examples_max > 0 && length > options->examples_max)
        length = options->examples_max;
    return (uint32_t)length;
}

static void draw_synthetic(const struct task *task, const struct instance_options *options,
                           struct dice *s, struct arena *arena, struct drawn *drawn,
                           struct instance *out)
{
    out->example_count = wanted_length(task, options, s);
    out->examples = arena_array(arena, out->example_count, sizeof *out->examples);
    task->generator->draw(s, arena, out->examples, out->example_count, drawn);
}

/* What most people answered to the item, the first in order of the table on ties. */
static const char *commonest_answer(const struct task *task, const char *input)
{
    enum { DISTINCT_MAX = 64 };
    const char *texts[DISTINCT_MAX];
    size_t counts[DISTINCT_MAX], distinct = 0, best = 0;
    for (size_t p = 0; p < task->person_count; p++) {
        for (uint32_t a = 0; a < task->people[p].answer_count; a++) {
            const struct example *e = &task->people[p].answers[a];
            if (e->input != input) /* wordings are shared, so the pointer names the item */
                continue;
            size_t i = 0;
            while (i < distinct && strcmp(texts[i], e->output) != 0)
                i++;
            if (i == DISTINCT_MAX)
                return NULL; /* free text: there is no mode worth the name */
            if (i == distinct) {
                texts[distinct] = e->output;
                counts[distinct++] = 0;
            }
            counts[i]++;
        }
    }
    for (size_t i = 1; i < distinct; i++)
        best = counts[i] > counts[best] ? i : best;
    return distinct ? texts[best] : NULL;
}

/* Person `index` in an order that depends on the root stream only. */
static const struct person *pick_person(const struct task *task, const struct rng *root,
                                        uint32_t index, struct arena *arena)
{
    ASSERT(index < task->person_count);
    struct rng stream = rng_child(root, "people", 0);
    uint32_t *order = arena_array(arena, task->person_count, sizeof *order);
    rng_permutation(&stream, order, task->person_count);
    return &task->people[order[index]];
}

static void draw_person(const struct task *task, const struct instance_options *options,
                        uint32_t index, struct dice *s, struct arena *arena, struct drawn *drawn,
                        struct instance *out)
{
    const struct person *person = pick_person(task, &options->root, index, arena);
    uint32_t length = wanted_length(task, options, s);
    uint32_t *order = arena_array(arena, person->answer_count, sizeof *order);
    rng_permutation(gsl_rng_state(s->gsl), order, person->answer_count);
    out->example_count = length < person->answer_count ? length : person->answer_count;
    out->examples = arena_array(arena, out->example_count, sizeof *out->examples);
    for (uint32_t i = 0; i < out->example_count; i++)
        out->examples[i] = person->answers[order[i]];
    drawn->mode = commonest_answer(task, out->examples[0].input);
}

/* Does the description let a reader know the most likely output? A generator's only through its
 * parameters; of people the commonest answer counts. */
static bool tells_mode(const struct task *task, const char *description)
{
    if (!task->generator)
        return true;
    for (const char *const *field = task->generator->telling; *field; field++) {
        char mention[64];
        snprintf(mention, sizeof mention, "{%s}", *field);
        if (strstr(description, mention))
            return true;
    }
    return false;
}

void task_instance(const struct task *task, const struct instance_options *options, uint32_t index,
                   struct arena *arena, struct instance *out)
{
    struct dice s = dice_open(rng_child(&options->root, "sequence", index));
    struct drawn drawn = {0};
    *out = (struct instance){.id = arena_printf(arena, "%s/%u", task->name, index)};
    if (task->generator)
        draw_synthetic(task, options, &s, arena, &drawn, out);
    else
        draw_person(task, options, index, &s, arena, &drawn, out);
    for (uint32_t i = 0; i < out->example_count; i++) {
        struct example *e = &out->examples[i];
        e->input = e->input ? stripped(arena, e->input) : NULL;
        e->output = stripped(arena, e->output);
    }
    /* Drawn whether used or not, so that dropping the description changes nothing else. */
    int64_t form = dice_between(&s, 0, (int64_t)task->descriptions.count - 1);
    bool keep = gsl_rng_uniform(s.gsl) < options->keep_description;
    const char *text = task->descriptions.items[form];
    out->description = keep ? fill_template(task, text, &drawn, arena) : NULL;
    bool told = keep && drawn.mode && tells_mode(task, text);
    out->mode = told ? stripped(arena, drawn.mode) : NULL;
    dice_close(&s);
}
