#include "format_template.h"

#include <string.h>

/* A piece of text within a literal that is open. */
static void put_text(const char *text, struct strbuf *out)
{
    for (; *text; text++) {
        if (*text == '\n')
            strbuf_puts(out, "\\n");
        else if (*text == '\'' || *text == '\\')
            strbuf_printf(out, "\\%c", *text);
        else
            strbuf_putc(out, *text);
    }
}

static void put_literal(const char *text, struct strbuf *out)
{
    strbuf_putc(out, '\'');
    put_text(text, out);
    strbuf_putc(out, '\'');
}

/* Before and after a role: "'<start_of_turn>' + ROLE + '\n'". */
static void put_header(const struct turn_style *style, const char *role, struct strbuf *out)
{
    put_literal(style->open, out);
    strbuf_printf(out, " + %s + '", role);
    put_text(style->close ? style->close : "", out);
    put_text(style->break_text, out);
    strbuf_putc(out, '\'');
}

static void put_end(const struct turn_style *style, struct strbuf *out)
{
    strbuf_puts(out, " + '");
    put_text(style->end, out);
    put_text(style->after_text, out);
    strbuf_puts(out, "' }}\n");
}

static void put_start(const char *what, const struct turn_style *style, struct strbuf *out)
{
    strbuf_printf(out, "{#- %s, as Triad writes the turns of %s. -#}\n", what, style->name);
    if (!style->bos)
        return;
    strbuf_puts(out, "{{- ");
    put_literal(style->bos, out);
    strbuf_puts(out, " }}\n");
}

/* What opens an answer. */
static void put_request(const struct turn_style *style, const char *role, bool thinks,
                        struct strbuf *out)
{
    strbuf_puts(out, "{%- if add_generation_prompt %}\n    {{- ");
    put_header(style, role, out);
    if (thinks) {
        strbuf_puts(out, " + ");
        put_literal(style->think_open, out);
        strbuf_puts(out, " + '\\n\\n' + ");
        put_literal(style->think_close, out);
        strbuf_puts(out, " + '\\n\\n'");
    }
    strbuf_puts(out, " }}\n{%- endif %}\n");
}

static void spectrum(const struct turn_style *style, struct strbuf *out)
{
    put_start("description, input and output", style, out);
    strbuf_puts(out, "{%- for message in messages %}\n    {{- ");
    put_header(style, "message['role']", out);
    strbuf_puts(out, " + message['content']");
    put_end(style, out);
    strbuf_puts(out, "{%- endfor %}\n");
    put_request(style, "'output'", false, out);
}

/* The first message apart from the others, where the style treats a system text in its own way. */
static void put_system(const struct turn_style *style, struct strbuf *out)
{
    strbuf_puts(out, "{%- set told = messages and messages[0]['role'] == 'system' %}\n"
                     "{%- set system = messages[0]['content'] if told else '' %}\n"
                     "{%- set turns = messages[1:] if told else messages %}\n");
    if (style->has_system) {
        strbuf_puts(out, "{{- ");
        put_header(style, "'system'", out);
        strbuf_puts(out, " + ");
        put_literal(style->preamble, out);
        strbuf_printf(out, " + system%s", style->trims ? " | trim" : "");
        put_end(style, out);
        return;
    }
    strbuf_puts(out, "{%- set system = system + '\\n\\n' if told else '' %}\n");
}

static void chat(const struct turn_style *style, struct strbuf *out)
{
    const bool is_apart = style->preamble || !style->has_system;
    put_start("chat", style, out);
    if (is_apart)
        put_system(style, out);
    strbuf_printf(out, "{%%- for message in %s %%}\n", is_apart ? "turns" : "messages");
    const char *role = "message['role']";
    if (strcmp(style->assistant, "assistant") != 0) {
        strbuf_puts(out, "    {%- set role = ");
        put_literal(style->assistant, out);
        strbuf_puts(out, " if message['role'] == 'assistant' else message['role'] %}\n");
        role = "role";
    }
    if (style->think_open) {
        strbuf_puts(out, "    {%- set thought = ");
        put_literal(style->think_open, out);
        strbuf_puts(out, " + '\\n\\n' + ");
        put_literal(style->think_close, out);
        strbuf_puts(out, " + '\\n\\n' if message['role'] == 'assistant' else '' %}\n");
    }
    strbuf_puts(out, "    {{- ");
    put_header(style, role, out);
    if (style->think_open)
        strbuf_puts(out, " + thought");
    if (!style->has_system)
        strbuf_puts(out, " + (system if loop.first else '')");
    strbuf_printf(out, " + message['content']%s", style->trims ? " | trim" : "");
    put_end(style, out);
    strbuf_puts(out, "{%- endfor %}\n");
    struct strbuf assistant = {0};
    put_literal(style->assistant, &assistant);
    put_request(style, strbuf_text(&assistant), style->think_open != NULL, out);
    strbuf_release(&assistant);
}

void format_template(enum format format, const struct turn_style *style, struct strbuf *out)
{
    if (format == FORMAT_SPECTRUM)
        spectrum(style, out);
    else if (format == FORMAT_CHAT)
        chat(style, out);
}
