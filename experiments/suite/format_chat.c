/* Conversations: those of instances, and how a family writes them. */
#include <string.h>

#include "check.h"
#include "format_writer.h"

/* Our own wording of what a chat model must know (docs/science.md section 2), kept short
 * because it precedes every sequence of a small context. */
static const char turns_instruction[] =
    "Act as a source of outputs that may be random. You see a description or an example, "
    "sometimes inputs. Outputs of one source vary alike and do not depend on order; several fields "
    "are JSON. Reply with the next output only, as random as the source.";
static const char turns_request[] = "Generate.";

/* CHAT_PROMPT: what there is in the system turn decides how the request is worded. */
static const char prompt_instruction[] = "Reply with one output and nothing else.";
static const char *const prompt_requests[2][2] = {
    /* [has a description][has examples] */
    {"Generate an output.", "Generate one more output like the examples."},
    {"Generate an output that fits the description.",
     "Generate one more output that fits the description and is like the examples."},
};

/* ---- how a family writes a conversation ---- */

static void open_assistant(struct writer *w, int32_t example)
{
    const struct turn_style *style = w->style;
    writer_open_turn(w, example, style->assistant);
    if (style->think_open) {
        writer_special(w, LOSS_NONE, example, style->think_open);
        writer_text(w, example, "\n\n");
        writer_special(w, LOSS_NONE, example, style->think_close);
        writer_text(w, example, "\n\n");
    }
}

static const char *content_of(struct writer *w, const struct chat_message *message)
{
    return w->style->trims ? format_trimmed(w->arena, message->content) : message->content;
}

static void put_assistant(struct writer *w, const struct chat_message *message)
{
    open_assistant(w, message->example);
    if (message->scored)
        writer_scored(w, LOSS_CONTENT, message->example, content_of(w, message));
    else
        writer_text(w, message->example, content_of(w, message));
    writer_end_turn(w, message->scored ? LOSS_TERMINATOR : LOSS_NONE, message->example);
}

/* The system turn of a style that has one; `message` may be NULL. */
static void put_system(struct writer *w, const struct chat_message *message)
{
    const char *preamble = w->style->preamble;
    int32_t example = message ? message->example : -1;
    if (!message && !preamble)
        return;
    writer_open_turn(w, example, "system");
    if (preamble)
        writer_text(w, example, preamble);
    if (message)
        writer_text(w, example, content_of(w, message));
    writer_end_turn(w, LOSS_NONE, example);
}

/* format_chat() into a writer. */
static void chat_write(struct writer *w, const struct chat_message *messages, size_t count,
                       bool open)
{
    const struct chat_message *system =
        count > 0 && messages[0].role == CHAT_SYSTEM ? &messages[0] : NULL;
    if (w->style->has_system)
        put_system(w, system);
    for (size_t i = system ? 1 : 0; i < count; i++) {
        const struct chat_message *message = &messages[i];
        ASSERT(message->role != CHAT_SYSTEM);
        if (message->role == CHAT_ASSISTANT) {
            put_assistant(w, message);
            continue;
        }
        bool takes_system = system && !w->style->has_system && i == 1;
        writer_open_turn(w, takes_system ? system->example : message->example, "user");
        if (takes_system) {
            writer_text(w, system->example, system->content);
            writer_text(w, system->example, "\n\n");
        }
        writer_text(w, message->example, content_of(w, message));
        writer_end_turn(w, LOSS_NONE, message->example);
    }
    if (open)
        open_assistant(w, count ? messages[count - 1].example : -1);
}

void format_chat(const struct turn_style *style, const struct chat_message *messages, size_t count,
                 bool open, struct arena *arena, struct sequence *out)
{
    struct writer w = {.style = style, .arena = arena};
    if (style->bos)
        writer_special(&w, LOSS_NONE, -1, style->bos);
    chat_write(&w, messages, count, open);
    writer_finish(&w, open, out);
}

/* ---- the conversation of an instance ---- */

/* Put a part into a text, apart from what is there. */
static void add_part(struct strbuf *text, const char *gap, const char *label, const char *part)
{
    if (!part)
        return;
    if (text->len > 0)
        strbuf_puts(text, gap);
    strbuf_puts(text, label);
    strbuf_puts(text, part);
}

static void add_example(struct strbuf *text, const struct example *e)
{
    add_part(text, "\n\n", "Example input: ", e->input);
    add_part(text, "\n\n", "Example output: ", e->output);
}

static const char *instruction(const struct format_options *options, const char *ours)
{
    const char *text = options->instruction ? options->instruction : ours;
    return text[0] != '\0' ? text : NULL;
}

struct conversation {
    struct chat_message *messages;
    size_t count;
};

static void say(struct conversation *c, enum chat_role role, const char *content, int32_t example)
{
    c->messages[c->count++] = (struct chat_message){role, content, example, role == CHAT_ASSISTANT};
}

static void take_system(struct conversation *c, struct arena *arena, struct strbuf *text,
                        int32_t example)
{
    if (text->len > 0)
        say(c, CHAT_SYSTEM, arena_strndup(arena, text->data, text->len), example);
    strbuf_release(text);
}

/* Without a description the first example stands in for it, in the system turn. */
static void add_turns(struct conversation *c, struct arena *arena,
                      const struct format_options *options, const struct instance *instance,
                      uint32_t count, bool open)
{
    struct strbuf system = {0};
    uint32_t first = !instance->description && count > 0;
    add_part(&system, "\n\n", "", instruction(options, turns_instruction));
    add_part(&system, "\n\n", "Description: ", instance->description);
    if (first)
        add_example(&system, &instance->examples[0]);
    take_system(c, arena, &system, first ? 0 : -1);
    for (uint32_t i = first; i < count + open; i++) {
        const struct example *e = i < instance->example_count ? &instance->examples[i] : NULL;
        say(c, CHAT_USER, e && e->input ? e->input : turns_request, (int32_t)i);
        if (i < count)
            say(c, CHAT_ASSISTANT, e->output, (int32_t)i);
    }
}

static void add_prompt(struct conversation *c, struct arena *arena,
                       const struct format_options *options, const struct instance *instance,
                       uint32_t count, bool open)
{
    struct strbuf system = {0}, request = {0};
    uint32_t shown = open || count == 0 ? count : count - 1; /* the last one is the answer */
    const struct example *asked =
        shown < instance->example_count ? &instance->examples[shown] : NULL;
    add_part(&system, "\n\n", "", instruction(options, prompt_instruction));
    add_part(&system, "\n\n", "", instance->description);
    for (uint32_t i = 0; i < shown; i++)
        add_example(&system, &instance->examples[i]);
    take_system(c, arena, &system, -1);
    add_part(&request, "", "", prompt_requests[instance->description != NULL][shown > 0]);
    if (asked)
        add_part(&request, "\n\n", "Input: ", asked->input);
    say(c, CHAT_USER, arena_strndup(arena, request.data, request.len), (int32_t)shown);
    strbuf_release(&request);
    if (shown < count)
        say(c, CHAT_ASSISTANT, asked->output, (int32_t)shown);
}

void chat_instance(struct writer *w, const struct format_options *options,
                   const struct instance *instance, uint32_t count, bool open)
{
    struct conversation c = {.messages =
                                 arena_array(w->arena, 2 * (size_t)count + 3, sizeof *c.messages)};
    if (options->chat == CHAT_PROMPT)
        add_prompt(&c, w->arena, options, instance, count, open);
    else
        add_turns(&c, w->arena, options, instance, count, open);
    chat_write(w, c.messages, c.count, open);
}
