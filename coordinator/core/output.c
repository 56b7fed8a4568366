#include "core_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Arrays in an arena grow by copying; doubling keeps the waste below the final size. */
static void *grown(struct arena *arena, const void *old, size_t count, size_t *capacity,
                   size_t element_bytes)
{
    *capacity = *capacity == 0 ? 16 : 2 * *capacity;
    char *bigger = arena_array(arena, *capacity, element_bytes);
    if (count > 0) {
        memcpy(bigger, old, count * element_bytes);
    }
    return bigger;
}

void core_output_init(struct core_output *out, struct arena *arena)
{
    *out = (struct core_output){.arena = arena, .wake_at_ms = INT64_MAX};
}

void output_reserve(struct core *core, size_t ops)
{
    struct core_output *out = core->out;
    if (out->op_count + ops <= out->op_capacity) {
        return;
    }
    struct core_op *bigger = arena_array(out->arena, out->op_count + ops, sizeof *bigger);
    if (out->op_count > 0) {
        memcpy(bigger, out->ops, out->op_count * sizeof *bigger);
    }
    out->ops = bigger;
    out->op_capacity = out->op_count + ops;
}

struct core_op *output_op(struct core *core, enum core_op_kind kind)
{
    struct core_output *out = core->out;
    if (out->op_count == out->op_capacity) {
        out->ops = grown(out->arena, out->ops, out->op_count, &out->op_capacity, sizeof *out->ops);
    }
    struct core_op *op = &out->ops[out->op_count++];
    op->kind = kind;
    op->time_ms = core->event->time_ms;
    return op;
}

struct msg *output_send(struct core *core, uint64_t peer, enum msg_kind kind)
{
    struct core_output *out = core->out;
    if (out->send_count == out->send_capacity) {
        out->sends =
            grown(out->arena, out->sends, out->send_count, &out->send_capacity, sizeof *out->sends);
    }
    struct core_send *send = &out->sends[out->send_count++];
    send->peer = peer;
    send->order = 0;
    send->immediate = core->fault == CORE_FAULT_ACK_BEFORE_COMMIT;
    send->msg.kind = kind;
    return &send->msg;
}

const char *output_text(struct core *core, const char *text)
{
    return arena_strdup(core->out->arena, text);
}

const char *output_printf(struct core *core, const char *format, ...)
{
    char text[REASON_BYTES_MAX + 1];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* A reason around a long reason is cut: between characters, or no reply could carry it. */
    text[str_whole_characters(text, strlen(text))] = '\0';
    return output_text(core, text);
}

void output_error(struct core *core, uint64_t request, enum err_code code, const char *text)
{
    struct msg *reply = output_send(core, core->event->peer, MSG_ERROR);
    reply->error = (struct msg_error){.request = request, .code = code, .text = text};
}
