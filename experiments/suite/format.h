/* The three prompt formats, from instances to dataset segments with their loss marks
 * (docs/science.md section 2).
 *
 *   spectrum  every message is a turn headed by its role; loss on output content and turn end;
 *             without a description the first output is not scored (its turn end is, unless
 *             first_terminator says otherwise)
 *   colon     "Description: …", "Input: …", "Output: …" between blank lines; loss on a space with
 *             the content, and on the blank line
 *   chat      a system turn with our instruction and the description, inputs as user turns, outputs
 *             as assistant turns; loss on assistant content and turn end. Or, with CHAT_PROMPT, all
 *             but the last output in the system turn, and one request
 *
 * Every piece with its own loss mark is its own segment, so token edges are the same whatever
 * surrounds it. All but CHAT_PROMPT are prefix-stable: rendering fewer examples gives a prefix. */
#ifndef TRIAD_FORMAT_H
#define TRIAD_FORMAT_H

#include "arena.h"
#include "dataset.h"
#include "format_turns.h"
#include "instance.h"

enum format { FORMAT_SPECTRUM, FORMAT_COLON, FORMAT_CHAT, FORMAT_COUNT };

const char *format_name(enum format format);
/* For choices in manifests; ended by NULL. */
const char *const *format_names(void);

enum chat_mode {
    CHAT_TURNS,  /* every example is a pair of turns */
    CHAT_PROMPT, /* description and examples stand in the system turn, labelled */
};

/* Members left zero mean: the usual. */
struct format_options {
    enum format format;
    const struct turn_style *style;
    /* spectrum without a description: keep the loss on the first output's turn end, as the paper's
     * algorithm does (true), or mask it too, as its code does. */
    bool first_terminator;
    enum chat_mode chat;
    const char *instruction;  /* chat: in place of ours; "" for none */
    const char *output_label; /* colon: in place of "Output" */
};

/* Render the first `example_count` examples (at most the instance's) into one sequence in `arena`.
 * The texts borrow from the instance. The last segment is the last terminator. */
void format_render(const struct format_options *options, const struct instance *instance,
                   uint32_t example_count, struct arena *arena, struct sequence *out);

/* Render a prompt that asks for one more output: the first `example_count` examples, then the next
 * one's input (when the instance has it, and it one), then what opens an output. Nothing has a
 * loss. A model's answer ends with format_stop(). */
void format_prompt(const struct format_options *options, const struct instance *instance,
                   uint32_t example_count, struct arena *arena, struct sequence *out);
/* Render an answer as format_render() would after that prompt: its content, and what ends it. The
 * segments are in `arena`, the text is borrowed. */
void format_answer(const struct format_options *options, const char *text, struct arena *arena,
                   struct segment **segments_out, uint32_t *count_out);
/* The special token that ends an output; NULL for colon, whose outputs end with a line. */
const char *format_stop(const struct format_options *options);

/* How many (sequence, example) pairs have a loss: the records that evaluating it gives. */
uint32_t format_item_count(const struct sequence *sequence);

/* A conversation, as people have it with chat models. */
enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

struct chat_message {
    enum chat_role role; /* system at most once and first; then user and assistant in turn */
    const char *content;
    int32_t example; /* of its segments; -1 for none */
    bool scored;     /* assistant: loss on content and turn end */
};

/* Render a conversation exactly as the family's own template does, up to the end of its last turn;
 * `open` adds what opens a turn of the assistant. Texts are borrowed. */
void format_chat(const struct turn_style *style, const struct chat_message *messages, size_t count,
                 bool open, struct arena *arena, struct sequence *out);

#endif
