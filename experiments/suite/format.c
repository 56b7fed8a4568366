#include "format.h"

#include <string.h>

#include "check.h"
#include "format_writer.h"

static const char *const names[] = {"spectrum", "colon", "chat", NULL};
_Static_assert(ARRAY_COUNT(names) == FORMAT_COUNT + 1, "one name per format");

const char *format_name(enum format format)
{
    return names[format];
}

const char *const *format_names(void)
{
    return names;
}

static void put_turn(struct writer *w, int32_t example, const char *role, const char *content)
{
    writer_open_turn(w, example, role);
    writer_text(w, example, content);
    writer_end_turn(w, LOSS_NONE, example);
}

static void render_spectrum(struct writer *w, const struct format_options *options,
                            const struct instance *instance, uint32_t count, bool open)
{
    if (instance->description)
        put_turn(w, -1, "description", instance->description);
    for (uint32_t i = 0; i < count + open; i++) {
        const struct example *e = i < instance->example_count ? &instance->examples[i] : NULL;
        bool unseen = i == 0 && !instance->description; /* nothing says yet what to output */
        bool mask_end = unseen && !options->first_terminator;
        if (e && e->input)
            put_turn(w, (int32_t)i, "input", e->input);
        writer_open_turn(w, (int32_t)i, "output");
        if (i == count)
            break;
        writer_scored(w, unseen ? LOSS_NONE : LOSS_CONTENT, (int32_t)i, e->output);
        writer_end_turn(w, mask_end ? LOSS_NONE : LOSS_TERMINATOR, (int32_t)i);
    }
}

static void render_colon(struct writer *w, const struct format_options *options,
                         const struct instance *instance, uint32_t count, bool open)
{
    const char *label = options->output_label ? options->output_label : "Output";
    if (instance->description) {
        writer_text(w, -1, "Description: ");
        writer_text(w, -1, instance->description);
        writer_text(w, -1, "\n\n");
    }
    for (uint32_t i = 0; i < count + open; i++) {
        const struct example *e = i < instance->example_count ? &instance->examples[i] : NULL;
        if (e && e->input) {
            writer_text(w, (int32_t)i, "Input: ");
            writer_text(w, (int32_t)i, e->input);
            writer_text(w, (int32_t)i, "\n\n");
        }
        writer_text(w, (int32_t)i, label);
        writer_text(w, (int32_t)i, ":");
        if (i == count)
            break;
        writer_scored(w, LOSS_CONTENT, (int32_t)i,
                      arena_printf(w->arena, " %s", format_trimmed(w->arena, e->output)));
        writer_scored(w, LOSS_TERMINATOR, (int32_t)i, "\n\n");
    }
}

static void render(const struct format_options *options, const struct instance *instance,
                   uint32_t example_count, bool open, struct arena *arena, struct sequence *out)
{
    struct writer w = {.style = options->style, .arena = arena};
    uint32_t count =
        example_count < instance->example_count ? example_count : instance->example_count;
    if (options->style->bos)
        writer_special(&w, LOSS_NONE, -1, options->style->bos);
    switch (options->format) {
    case FORMAT_SPECTRUM:
        render_spectrum(&w, options, instance, count, open);
        break;
    case FORMAT_COLON:
        render_colon(&w, options, instance, count, open);
        break;
    case FORMAT_CHAT:
        chat_instance(&w, options, instance, count, open);
        break;
    case FORMAT_COUNT:
        UNREACHABLE("FORMAT_COUNT is no format");
    }
    writer_finish(&w, open, out);
    out->id = str_from(instance->id);
}

void format_render(const struct format_options *options, const struct instance *instance,
                   uint32_t example_count, struct arena *arena, struct sequence *out)
{
    render(options, instance, example_count, false, arena, out);
}

void format_prompt(const struct format_options *options, const struct instance *instance,
                   uint32_t example_count, struct arena *arena, struct sequence *out)
{
    render(options, instance, example_count, true, arena, out);
}

void format_answer(const struct format_options *options, const char *text, struct arena *arena,
                   struct segment **segments_out, uint32_t *count_out)
{
    const struct turn_style *style = options->style;
    const bool colon = options->format == FORMAT_COLON;
    const bool trims = colon || (options->format == FORMAT_CHAT && style->trims);
    struct segment *segments = arena_array(arena, 2, sizeof *segments);
    const char *content = trims ? format_trimmed(arena, text) : text;
    if (colon)
        content = arena_printf(arena, " %s", content);
    segments[0] = (struct segment){SEGMENT_TEXT, LOSS_CONTENT, 0, str_from(content)};
    segments[1] = colon
                      ? (struct segment){SEGMENT_TEXT, LOSS_TERMINATOR, 0, str_from("\n\n")}
                      : (struct segment){SEGMENT_SPECIAL, LOSS_TERMINATOR, 0, str_from(style->end)};
    *segments_out = segments;
    *count_out = 2;
}

const char *format_stop(const struct format_options *options)
{
    return options->format == FORMAT_COLON ? NULL : options->style->end;
}

uint32_t format_item_count(const struct sequence *sequence)
{
    uint32_t count = 0;
    int32_t last = -1;
    for (uint32_t i = 0; i < sequence->segment_count; i++) {
        const struct segment *segment = &sequence->segments[i];
        if (segment->loss == LOSS_NONE || segment->example == last)
            continue;
        last = segment->example;
        count++;
    }
    return count;
}
