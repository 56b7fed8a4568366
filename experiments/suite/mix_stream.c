#include "mix_stream.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "wordnet.h"

/* A part being read. */
struct part_stream {
    const struct mix_part *part;
    struct rng root;
    struct task **tasks;
    uint32_t drawn; /* documents made so far */
    struct text_list entries;
    uint32_t *order; /* of the entries */
    size_t next_entry;
    double accounted;
};

struct mix_stream {
    struct arena arena;
    const struct mix *mix;
    struct part_stream *parts;
};

static enum err_code find_tasks(struct mix_stream *stream, struct part_stream *p,
                                struct suite *suite, struct err *err)
{
    const struct field_texts *names = &p->part->tasks;
    p->tasks = arena_array(&stream->arena, names->count + 1, sizeof(struct task *));
    for (size_t i = 0; i < names->count; i++) {
        p->tasks[i] = suite_find(suite, names->items[i]);
        if (!p->tasks[i]) {
            char hint[300];
            return yaml_fail(&stream->mix->doc, names->nodes[i], err, "no task is called '%.64s'%s",
                             names->items[i],
                             fields_suggest(names->items[i], suite_names(suite, &stream->arena),
                                            suite->task_count, hint, sizeof hint));
        }
        enum err_code code = suite_ready(suite, p->tasks[i], err);
        if (code)
            return code;
    }
    return ERR_OK;
}

static enum err_code read_entries(struct mix_stream *stream, struct part_stream *p,
                                  const struct reader *reader, const char *path, struct err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    const struct mix_corpus *corpus = &p->part->corpus;
    enum err_code code = reader->read(reader->ctx, path, WORDNET_BYTES_MAX, &bytes, &len, err);
    if (code == ERR_NOT_FOUND)
        code = err_set(err, ERR_NOT_FOUND,
                       "mix '%s': corpus '%s' needs '%s'; install it with: apt-get install %s",
                       stream->mix->name, corpus->name, path, corpus->package);
    if (!code)
        code = wordnet_parse(bytes, len, path, &stream->arena, &p->entries, err);
    free(bytes);
    return code;
}

static enum err_code read_corpus(struct mix_stream *stream, struct part_stream *p,
                                 const struct reader *reader, const struct mix_files *files,
                                 size_t files_count, struct err *err)
{
    const struct mix_corpus *corpus = &p->part->corpus;
    const char *const *paths = corpus->files.items;
    size_t count = corpus->files.count;
    for (size_t i = 0; i < files_count; i++) {
        if (strcmp(files[i].corpus, corpus->name) == 0) {
            paths = files[i].files;
            count = files[i].count;
        }
    }
    for (size_t i = 0; i < count; i++) {
        enum err_code code = read_entries(stream, p, reader, paths[i], err);
        if (code)
            return code;
    }
    struct rng shuffle = rng_child(&p->root, "entries", 0);
    p->order = arena_array(&stream->arena, p->entries.count, sizeof *p->order);
    rng_permutation(&shuffle, p->order, p->entries.count);
    return ERR_OK;
}

enum err_code mix_stream_open(const struct mix *mix, struct suite *suite,
                              const struct mix_files *files, size_t files_count, uint64_t seed,
                              struct mix_stream **out, struct err *err)
{
    struct mix_stream *stream = calloc(1, sizeof *stream);
    ASSERT(stream != NULL);
    enum err_code code = ERR_OK;
    stream->mix = mix;
    stream->parts = arena_array(&stream->arena, mix->part_count, sizeof *stream->parts);
    struct rng root = rng_new((uint64_t)mix->seed, mix->name);
    root = rng_child(&root, "seed", seed);
    for (size_t i = 0; !code && i < mix->part_count; i++) {
        struct part_stream *p = &stream->parts[i];
        p->part = &mix->parts[i];
        p->root = rng_child(&root, "part", i);
        code = p->part->tasks.count > 0
                   ? find_tasks(stream, p, suite, err)
                   : read_corpus(stream, p, &suite->reader, files, files_count, err);
    }
    if (code) {
        mix_stream_close(stream);
        return code;
    }
    *out = stream;
    return ERR_OK;
}

void mix_stream_close(struct mix_stream *stream)
{
    if (!stream)
        return;
    arena_release(&stream->arena);
    free(stream);
}

/* The part whose accounted size is furthest below its share; the first of equals. */
static size_t pick_part(const struct mix_stream *stream)
{
    size_t best = 0;
    double least = 0.0;
    for (size_t i = 0; i < stream->mix->part_count; i++) {
        double filled = stream->parts[i].accounted / stream->mix->parts[i].share;
        if (i == 0 || filled < least) {
            best = i;
            least = filled;
        }
    }
    return best;
}

/* A sequence of one of the part's tasks, all in turn. People come again in another order when all
 * have been used. */
static void draw_instance(struct part_stream *p, uint32_t examples_max, bool want_mode,
                          struct arena *arena, struct instance *out)
{
    uint32_t task_count = (uint32_t)p->part->tasks.count;
    const struct task *task = p->tasks[p->drawn % task_count];
    uint32_t turn = p->drawn++ / task_count;
    uint32_t supply = task_supply(task);
    struct instance_options options = {
        .root = rng_child(&p->root, task->name, turn / supply),
        .keep_description = p->part->keep_description,
        .examples_max = examples_max,
        .examples_mean = (uint32_t)p->part->examples,
        .want_mode = want_mode,
    };
    task_instance(task, &options, turn % supply, arena, out);
}

static void draw_text(struct part_stream *p, struct arena *arena, struct mix_document *out)
{
    struct strbuf text = {0};
    struct rng choice = rng_child(&p->root, "layout", p->drawn);
    draw_instance(p, 0, false, arena, &out->instance);
    const char *name = p->part->layouts.items[rng_below(&choice, p->part->layouts.count)];
    int layout = 0;
    while (strcmp(layout_names()[layout], name) != 0)
        layout++;
    layout_render((enum layout)layout, &out->instance, &text);
    out->id = out->instance.id;
    out->text = (struct str){arena_strndup(arena, strbuf_text(&text), text.len), text.len};
    strbuf_release(&text);
}

/* Entries joined to about document_bytes; from the first again when all were used. */
static void draw_entries(struct part_stream *p, struct arena *arena, struct mix_document *out)
{
    struct strbuf text = {0};
    out->id = arena_printf(arena, "%s/%u", p->part->corpus.name, p->drawn++);
    while (text.len < (size_t)p->part->document_bytes) {
        strbuf_printf(&text, "%s\n", p->entries.items[p->order[p->next_entry]]);
        p->next_entry = (p->next_entry + 1) % p->entries.count;
    }
    out->text = (struct str){arena_strndup(arena, strbuf_text(&text), text.len), text.len};
    strbuf_release(&text);
}

/* One question and its answer: the mode where the description determines one, else the draw. */
static void draw_answer(struct part_stream *p, struct arena *arena, struct mix_document *out)
{
    draw_instance(p, 1, true, arena, &out->instance);
    if (out->instance.mode)
        out->instance.examples[0].output = out->instance.mode;
    out->id = out->instance.id;
}

void mix_stream_next(struct mix_stream *stream, struct arena *arena, struct mix_document *out)
{
    *out = (struct mix_document){.part = pick_part(stream)};
    struct part_stream *p = &stream->parts[out->part];
    if (stream->mix->purpose == MIX_INSTRUCT)
        draw_answer(p, arena, out);
    else if (p->part->tasks.count > 0)
        draw_text(p, arena, out);
    else
        draw_entries(p, arena, out);
}

void mix_stream_account(struct mix_stream *stream, size_t part, double size)
{
    stream->parts[part].accounted += size;
}
