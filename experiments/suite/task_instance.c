/* One sequence of a task: drawn by its generator, or rows of a group in a new order. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "shuffle.h"
#include "str.h"
#include "table_json.h"
#include "task.h"

/* Where a description's fields get their values. */
struct values {
    const struct task *task;
    const struct task_part *part;
    const struct drawn *drawn; /* generators */
    const struct cell *cells;  /* rows: of the sequence's first */
    struct dice *dice;
    struct arena *arena;
};

static const char *value_of(const struct values *v, struct str name)
{
    size_t i = 0;
    if (v->task->generator) {
        while (!str_equal(name, str_from(v->task->generator->fields[i])))
            i++;
        return v->drawn->values[i] ? v->drawn->values[i] : "";
    }
    while (!str_equal(name, str_from(v->part->columns[i])))
        i++;
    return v->cells[i].text;
}

static const struct task_fragment *fragment_of(const struct task_part *part, struct str name)
{
    for (size_t i = 0; i < part->fragment_count; i++) {
        if (str_equal(name, str_from(part->fragments[i].field)))
            return &part->fragments[i];
    }
    return NULL;
}

/* The elements of a JSON array that are kept, with commas; a text that is no array is kept whole.
 */
static void put_fragments(const struct values *v, const struct task_fragment *fragment,
                          const char *text, struct strbuf *out)
{
    json_t *item, *list = json_loads(text, 0, NULL);
    size_t i, kept = 0;
    if (!json_is_array(list))
        strbuf_puts(out, text);
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item) || gsl_rng_uniform(v->dice->gsl) >= fragment->keep)
            continue;
        strbuf_printf(out, "%s%s", kept++ ? "; " : "", json_string_value(item));
    }
    if (json_is_array(list) && kept == 0)
        strbuf_puts(out, "not stated");
    json_decref(list);
}

static void put_plain(struct strbuf *out, const char *text, const char *end)
{
    for (; text < end; text++) {
        strbuf_putc(out, *text);
        text += (*text == '{' || *text == '}') && text + 1 < end && text[1] == *text;
    }
}

/* Replace every {field}. */
static const char *fill_template(const struct values *v, const char *text)
{
    struct strbuf out = {0};
    struct str name;
    const char *at = text;
    while (task_next_field(&at, &name)) {
        put_plain(&out, text, name.data - 1);
        const struct task_fragment *fragment = fragment_of(v->part, name);
        if (fragment)
            put_fragments(v, fragment, value_of(v, name), &out);
        else
            strbuf_puts(&out, value_of(v, name));
        text = at;
    }
    put_plain(&out, text, text + strlen(text));
    char *filled = arena_strndup(v->arena, strbuf_text(&out), out.len);
    strbuf_release(&out);
    return filled;
}

/* A description applies where all that it mentions has a value. */
static bool applies(const struct values *v, const char *text)
{
    struct str name;
    while (task_next_field(&text, &name)) {
        if (value_of(v, name)[0] == '\0')
            return false;
    }
    return true;
}

/* One of those that apply, or NULL. The draw is made whatever applies. */
static const char *pick_description(const struct values *v)
{
    const struct field_texts *all = &v->part->descriptions;
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        count += applies(v, all->items[i]);
    if (count == 0)
        return NULL;
    int64_t pick = dice_between(v->dice, 0, (int64_t)count - 1);
    for (size_t i = 0; i < all->count; i++) {
        if (applies(v, all->items[i]) && pick-- == 0)
            return all->items[i];
    }
    UNREACHABLE("the pick is among those counted");
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

static uint32_t wanted_length(const struct task_part *part, const struct instance_options *options,
                              uint32_t all, struct dice *s)
{
    bool given = options->examples_mean > 0;
    bool random = part->length == LENGTH_GP || given;
    int64_t mean = given                        ? options->examples_mean
                   : part->length == LENGTH_ALL ? all
                                                : part->examples;
    int64_t length = random && mean >= 2 ? dice_gp(s, (double)mean) : mean;
    if (options->examples_max > 0 && length > options->examples_max)
        length = options->examples_max;
    return (uint32_t)length;
}

/* ---- Rows ---- */

static bool shown(const struct task_field *field, const struct cell *cell)
{
    return !field->optional || (cell->kind != CELL_NULL && cell->text[0] != '\0');
}

/* A field plain, several as a JSON object in their order. */
static const char *content(const struct task_part *part, const struct task_fields *fields,
                           const struct cell *cells, struct arena *arena)
{
    if (fields->count == 0)
        return NULL;
    if (fields->count == 1)
        return cells[task_column(part, fields->items[0].name)].text;
    struct strbuf out = {0};
    strbuf_putc(&out, '{');
    for (size_t i = 0; i < fields->count; i++) {
        const struct task_field *field = &fields->items[i];
        const struct cell *cell = &cells[task_column(part, field->name)];
        if (!shown(field, cell))
            continue;
        strbuf_puts(&out, out.len > 1 ? ", " : "");
        table_json_put_text(&out, field->name, strlen(field->name));
        strbuf_puts(&out, ": ");
        if (cell->kind == CELL_TEXT)
            table_json_put_text(&out, cell->text, strlen(cell->text));
        else
            strbuf_puts(&out, cell->kind == CELL_NULL ? "null" : cell->text);
    }
    strbuf_putc(&out, '}');
    char *text = arena_strndup(arena, strbuf_text(&out), out.len);
    strbuf_release(&out);
    return text;
}

/* Which part and which of its sequences, in an order that depends on the root stream only. */
static const struct task_sequence *pick_sequence(const struct task *task, const struct rng *root,
                                                 uint32_t index, const struct task_part **part_out,
                                                 struct arena *scratch)
{
    struct shuffle order = shuffle_make(rng_child(root, "order", 0), task_supply(task), scratch);
    ASSERT(index < order.count);
    uint32_t at = shuffle_at(&order, index);
    const struct task_part *part = task->parts;
    for (; at >= task_part_supply(part); part++)
        at -= (uint32_t)task_part_supply(part);
    *part_out = part;
    return &part->plan[at / (uint32_t)part->permutations];
}

/* The rows of a sequence. Those of a chunk are fixed by the task; a repeat draws its own, which all
 * its permutations share. */
static uint32_t *pick_rows(const struct task *task, const struct task_part *part,
                           const struct task_sequence *sequence,
                           const struct instance_options *options, struct arena *scratch,
                           uint32_t *count_out)
{
    const struct row_group *group = &part->set.groups[sequence->group];
    size_t index = (size_t)(part - task->parts);
    struct rng fixed = rng_new((uint64_t)task->seed, task->name), stream;
    fixed = rng_child(&fixed, "part", index);
    uint32_t first = sequence->first, count = sequence->count;
    if (part->per_group == 0) {
        stream = rng_child(&fixed, "rows", sequence->group);
        if (options->examples_max > 0 && count > options->examples_max)
            count = options->examples_max;
    } else {
        stream = rng_child(&options->root, "rows", (uint64_t)index << 32 | sequence->group);
        stream = rng_child(&stream, "repeat", sequence->repeat);
        struct dice dice = dice_open(rng_child(&stream, "length", 0));
        count = wanted_length(part, options, group->count, &dice);
        count = count < group->count ? count : group->count;
        dice_close(&dice);
    }
    struct shuffle order = shuffle_make(stream, group->count, scratch);
    uint32_t *rows = arena_array(scratch, (size_t)count + 1, sizeof *rows);
    for (uint32_t i = 0; i < count; i++)
        rows[i] = group->first + shuffle_at(&order, first + i);
    *count_out = count;
    return rows;
}

/* The candidates of a row, or the task's. */
static void add_candidates(const struct task_part *part, const struct cell *cells,
                           struct arena *arena, struct instance *out)
{
    out->candidates = part->candidates.items;
    out->candidate_count = (uint32_t)part->candidates.count;
    if (!part->candidates_from)
        return;
    json_t *item, *list = json_loads(cells[task_column(part, part->candidates_from)].text, 0, NULL);
    json_t *weights = part->target_from
                          ? json_loads(cells[task_column(part, part->target_from)].text, 0, NULL)
                          : NULL;
    size_t i, count = json_array_size(list);
    out->candidates = arena_array(arena, count + 1, sizeof *out->candidates);
    out->candidate_count = (uint32_t)count;
    json_array_foreach(list, i, item)
    {
        struct strbuf text = {0};
        if (json_is_string(item))
            strbuf_puts(&text, json_string_value(item));
        else
            table_json_put(&text, item);
        out->candidates[i] = arena_strdup(arena, strbuf_text(&text));
        strbuf_release(&text);
    }
    double sum = 0.0;
    json_array_foreach(weights, i, item) sum += json_number_value(item);
    if (json_array_size(weights) == count && sum > 0.0) {
        out->target = arena_array(arena, count + 1, sizeof *out->target);
        json_array_foreach(weights, i, item) out->target[i] = json_number_value(item) / sum;
    }
    json_decref(weights);
    json_decref(list);
}

static const char *commonest(const struct task_part *part, const struct example *e,
                             struct arena *arena)
{
    if (part->input.count > 1 || part->output.count != 1)
        return NULL;
    struct row_set set = part->set;
    size_t output = task_column(part, part->output.items[0].name);
    if (part->input.count == 0)
        return NULL;
    return row_set_commonest(&set, output, task_column(part, part->input.items[0].name), e->input,
                             arena);
}

static void draw_rows(const struct task *task, const struct instance_options *options,
                      uint32_t index, struct values *v, struct drawn *drawn, struct instance *out)
{
    struct arena scratch = {0};
    const struct task_sequence *sequence =
        pick_sequence(task, &options->root, index, &v->part, &scratch);
    const struct task_part *part = v->part;
    uint32_t *rows = pick_rows(task, part, sequence, options, &scratch, &out->example_count);
    uint32_t *order = arena_array(&scratch, (size_t)out->example_count + 1, sizeof *order);
    /* The dice are the sequence's own, so every permutation has another order. */
    rng_permutation(gsl_rng_state(v->dice->gsl), order, out->example_count);
    out->examples = arena_array(v->arena, (size_t)out->example_count + 1, sizeof *out->examples);
    for (uint32_t i = 0; i < out->example_count; i++) {
        struct cell *cells = arena_array(v->arena, part->column_count, sizeof *cells);
        row_set_fetch(&part->set, rows[order[i]], v->arena, cells);
        out->examples[i].input = content(part, &part->input, cells, v->arena);
        out->examples[i].output = content(part, &part->output, cells, v->arena);
        if (i == 0)
            v->cells = cells;
        if (i + 1 == out->example_count)
            add_candidates(part, cells, v->arena, out);
    }
    if (options->want_mode)
        drawn->mode = commonest(part, &out->examples[0], v->arena);
    arena_release(&scratch);
}

/* ---- Generators ---- */

static void draw_synthetic(const struct task *task, const struct instance_options *options,
                           struct values *v, struct drawn *drawn, struct instance *out)
{
    const struct task_part *part = &task->parts[0];
    size_t wanted = wanted_length(part, options, 0, v->dice);
    out->examples = arena_array(v->arena, wanted, sizeof *out->examples);
    struct drawing drawing = {v->dice, v->arena, &part->set, out->examples, wanted};
    task->generator->draw(&drawing, drawn);
    out->example_count = (uint32_t)drawing.count;
    out->candidates = drawn->candidate_count ? drawn->candidates : part->candidates.items;
    out->candidate_count =
        drawn->candidate_count ? drawn->candidate_count : (uint32_t)part->candidates.count;
    out->target = drawn->target;
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
    struct values v = {
        .task = task, .part = &task->parts[0], .drawn = &drawn, .dice = &s, .arena = arena};
    *out = (struct instance){.id = arena_printf(arena, "%s/%u", task->name, index)};
    if (task->generator)
        draw_synthetic(task, options, &v, &drawn, out);
    else
        draw_rows(task, options, index, &v, &drawn, out);
    for (uint32_t i = 0; i < out->example_count; i++) {
        struct example *e = &out->examples[i];
        e->input = e->input ? stripped(arena, e->input) : NULL;
        e->output = stripped(arena, e->output);
    }
    /* Drawn whether used or not, so that dropping the description changes nothing else. */
    const char *text = pick_description(&v);
    bool keep = gsl_rng_uniform(s.gsl) < options->keep_description && text;
    out->description = keep ? fill_template(&v, text) : NULL;
    bool told = keep && drawn.mode && tells_mode(task, text);
    out->mode = told ? stripped(arena, drawn.mode) : NULL;
    dice_close(&s);
}
