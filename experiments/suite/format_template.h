/* A format's turns as a chat template: text in the Jinja dialect that Hugging Face's libraries and
 * llama.cpp run, for models that Triad trained and other programs shall talk to. */
#ifndef TRIAD_FORMAT_TEMPLATE_H
#define TRIAD_FORMAT_TEMPLATE_H

#include "format.h"
#include "str.h"

/* Append the template of a style's turns; it renders what format_render() and format_chat() do.
 * spectrum takes the roles description, input and output as they are and asks for an output; chat
 * takes system, user and assistant. Nothing for colon, which has no turns. */
void format_template(enum format format, const struct turn_style *style, struct strbuf *out);

#endif
