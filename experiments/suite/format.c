#include "format.h"

#include <string.h>

#include "check.h"

static const char *const names[] = {"spectrum", "colon", "chat", NULL};
_Static_assert(ARRAY_COUNT(names) == FORMAT_COUNT + 1, "one name per format");

/* llama3 is also the style of the families that Triad builds itself; llama2 is llama3's turns for a
 * tokenizer that already has Llama 2's <s> and </s>. */
static const struct turn_style styles[] = {
    {
        .name = "llama3",
        .bos = "<|begin_of_text|>",
        .eos = "<|end_of_text|>",
        .open = "<|start_header_id|>",
        .close = "<|end_header_id|>",
        .break_text = "\n\n",
        .end = "<|eot_id|>",
        .after_text = "",
        .assistant = "assistant",
        .has_system = true,
    },
    {
        .name = "llama2",
        .bos = "<s>",
        .eos = "</s>",
        .open = "<|start_header_id|>",
        .close = "<|end_header_id|>",
        .break_text = "\n\n",
        .end = "<|eot_id|>",
        .after_text = "",
        .assistant = "assistant",
        .has_system = true,
    },
};

/* Our own wording of what a chat model must know (docs/science.md section 2), kept short
 * because it precedes every sequence of a small context. */
static const char chat_instruction[] =
    "Act as a source of outputs that may be random. You see a description or an example, "
    "sometimes inputs. Outputs of one source vary alike and do not depend on order; several fields "
    "are JSON. Reply with the next output only, as random as the source.";
static const char chat_request[] = "Generate.";

const char *format_name(enum format format)
{
    return names[format];
}

const char *const *format_names(void)
{
    return names;
}

const struct turn_style *turn_style_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(styles); i++) {
        if (strcmp(styles[i].name, name) == 0)
            return &styles[i];
    }
    return NULL;
}

const char *const *turn_style_names(void)
{
    static const char *const all[] = {"llama3", "llama2", NULL};
    _Static_assert(ARRAY_COUNT(all) == ARRAY_COUNT(styles) + 1, "one name per style");
    return all;
}

size_t turn_style_tokens(const struct turn_style *style, const char *out[TURN_TOKENS_MAX],
                         size_t *turn_first)
{
    size_t count = 0;
    if (style->bos)
        out[count++] = style->bos;
    if (style->eos)
        out[count++] = style->eos;
    *turn_first = count;
    out[count++] = style->open;
    if (style->close)
        out[count++] = style->close;
    out[count++] = style->end;
    return count;
}

/* A sequence being written. Plain text without loss is collected until something else comes, so
 * that neighbouring pieces become one segment. */
struct writer {
    const struct format_options *options;
    struct arena *arena;
    struct segment *segments;
    uint32_t count, cap;
    struct strbuf text; /* collected */
    int32_t example;    /* of what is collected */
};

static void push(struct writer *w, enum segment_kind kind, enum segment_loss loss, int32_t example,
                 struct str text)
{
    if (w->count == w->cap) {
        uint32_t cap = w->cap ? 2 * w->cap : 64;
        struct segment *grown = arena_array(w->arena, cap, sizeof *grown);
        if (w->count > 0)
            memcpy(grown, w->segments, w->count * sizeof *grown);
        w->segments = grown;
        w->cap = cap;
    }
    w->segments[w->count++] = (struct segment){kind, loss, example, text};
}

static void flush(struct writer *w)
{
    if (w->text.len == 0)
        return;
    char *text = arena_strndup(w->arena, strbuf_text(&w->text), w->text.len);
    push(w, SEGMENT_TEXT, LOSS_NONE, w->example, (struct str){text, w->text.len});
    strbuf_clear(&w->text);
}

/* Text without loss. */
static void put_text(struct writer *w, int32_t example, const char *text)
{
    if (w->text.len == 0)
        w->example = example;
    strbuf_puts(&w->text, text);
}

static void put_special(struct writer *w, enum segment_loss loss, int32_t example,
                        const char *token)
{
    flush(w);
    push(w, SEGMENT_SPECIAL, loss, example, str_from(token));
}

/* Text with its own loss mark: always its own segment. */
static void put_scored(struct writer *w, enum segment_loss loss, int32_t example, const char *text)
{
    flush(w);
    push(w, SEGMENT_TEXT, loss, example, str_from(text));
}

static void open_turn(struct writer *w, int32_t example, const char *role)
{
    const struct turn_style *style = w->options->style;
    put_special(w, LOSS_NONE, example, style->open);
    put_text(w, example, role);
    if (style->close)
        put_special(w, LOSS_NONE, example, style->close);
    put_text(w, example, style->break_text);
}

static void end_turn(struct writer *w, enum segment_loss loss, int32_t example)
{
    put_special(w, loss, example, w->options->style->end);
    put_text(w, example, w->options->style->after_text);
}

static void put_turn(struct writer *w, int32_t example, const char *role, const char *content)
{
    open_turn(w, example, role);
    put_text(w, example, content);
    end_turn(w, LOSS_NONE, example);
}

static void put_scored_turn(struct writer *w, int32_t example, const char *role,
                            const char *content, enum segment_loss content_loss,
                            enum segment_loss end_loss)
{
    open_turn(w, example, role);
    put_scored(w, content_loss, example, content);
    end_turn(w, end_loss, example);
}

static void render_spectrum(struct writer *w, const struct instance *instance, uint32_t count)
{
    if (instance->description)
        put_turn(w, -1, "description", instance->description);
    for (uint32_t i = 0; i < count; i++) {
        const struct example *e = &instance->examples[i];
        bool unseen = i == 0 && !instance->description; /* nothing says yet what to output */
        bool mask_end = unseen && !w->options->first_terminator;
        if (e->input)
            put_turn(w, (int32_t)i, "input", e->input);
        put_scored_turn(w, (int32_t)i, "output", e->output, unseen ? LOSS_NONE : LOSS_CONTENT,
                        mask_end ? LOSS_NONE : LOSS_TERMINATOR);
    }
}

static void render_colon(struct writer *w, const struct instance *instance, uint32_t count)
{
    if (instance->description) {
        put_text(w, -1, "Description: ");
        put_text(w, -1, instance->description);
        put_text(w, -1, "\n\n");
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct example *e = &instance->examples[i];
        if (e->input) {
            put_text(w, (int32_t)i, "Input: ");
            put_text(w, (int32_t)i, e->input);
            put_text(w, (int32_t)i, "\n\n");
        }
        put_text(w, (int32_t)i, "Output:");
        put_scored(w, LOSS_CONTENT, (int32_t)i, arena_printf(w->arena, " %s", e->output));
        put_scored(w, LOSS_TERMINATOR, (int32_t)i, "\n\n");
    }
}

/* The system turn; without a description the first example stands in for it. Returns how many
 * examples it used up. */
static uint32_t put_system(struct writer *w, const struct instance *instance, uint32_t count)
{
    bool shows_example = !instance->description && count > 0;
    int32_t example = shows_example ? 0 : -1;
    open_turn(w, example, w->options->style->has_system ? "system" : "user");
    put_text(w, example, chat_instruction);
    if (instance->description) {
        put_text(w, example, "\n\nDescription: ");
        put_text(w, example, instance->description);
    } else if (shows_example) {
        if (instance->examples[0].input) {
            put_text(w, example, "\n\nExample input: ");
            put_text(w, example, instance->examples[0].input);
        }
        put_text(w, example, "\n\nExample output: ");
        put_text(w, example, instance->examples[0].output);
    }
    if (w->options->style->has_system)
        end_turn(w, LOSS_NONE, example);
    else
        put_text(w, example, "\n\n");
    return shows_example ? 1 : 0;
}

static void render_chat(struct writer *w, const struct instance *instance, uint32_t count)
{
    const struct turn_style *style = w->options->style;
    uint32_t first = put_system(w, instance, count);
    for (uint32_t i = first; i < count; i++) {
        const struct example *e = &instance->examples[i];
        const char *request = e->input ? e->input : chat_request;
        if (i == first && !style->has_system) { /* the user turn is already open */
            put_text(w, (int32_t)i, request);
            end_turn(w, LOSS_NONE, (int32_t)i);
        } else {
            put_turn(w, (int32_t)i, "user", request);
        }
        put_scored_turn(w, (int32_t)i, style->assistant, e->output, LOSS_CONTENT, LOSS_TERMINATOR);
    }
}

void format_render(const struct format_options *options, const struct instance *instance,
                   uint32_t example_count, struct arena *arena, struct sequence *out)
{
    struct writer w = {.options = options, .arena = arena};
    uint32_t count =
        example_count < instance->example_count ? example_count : instance->example_count;
    if (options->style->bos)
        put_special(&w, LOSS_NONE, -1, options->style->bos);
    switch (options->format) {
    case FORMAT_SPECTRUM:
        render_spectrum(&w, instance, count);
        break;
    case FORMAT_COLON:
        render_colon(&w, instance, count);
        break;
    case FORMAT_CHAT:
        render_chat(&w, instance, count);
        break;
    case FORMAT_COUNT:
        UNREACHABLE("FORMAT_COUNT is no format");
    }
    strbuf_release(&w.text); /* what follows the last terminator is not needed */
    *out = (struct sequence){str_from(instance->id), w.segments, w.count};
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
