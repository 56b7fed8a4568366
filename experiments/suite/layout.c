#include "layout.h"

#include "check.h"

static const char *const names[] = {"colon",  "labels",    "lines",    "commas",
                                    "arrows", "questions", "numbered", NULL};
_Static_assert(ARRAY_COUNT(names) == LAYOUT_COUNT + 1, "one name per layout");

/* A layout is what stands around the parts of an instance. */
struct frame {
    const char *before_description, *after_description;
    const char *before_input, *after_input;
    const char *before_output, *after_output;
};

static const struct frame frames[LAYOUT_COUNT] = {
    [LAYOUT_COLON] = {"Description: ", "\n\n", "Input: ", "\n\n", "Output: ", "\n\n"},
    [LAYOUT_LABELS] = {"description: ", "\n", "input: ", "\n", "output: ", "\n"},
    [LAYOUT_LINES] = {"", "\n\n", "", "\n", "", "\n"},
    [LAYOUT_COMMAS] = {"", "\n", "", ": ", "", ", "},
    [LAYOUT_ARROWS] = {"", "\n", "", " -> ", "", "\n"},
    [LAYOUT_QUESTIONS] = {"", "\n\n", "Q: ", "\n", "A: ", "\n\n"},
    [LAYOUT_NUMBERED] = {"", "\n", "", "\n", "", "\n"},
};

const char *const *layout_names(void)
{
    return names;
}

void layout_render(enum layout layout, const struct instance *instance, struct strbuf *out)
{
    const struct frame *f = &frames[layout];
    if (instance->description)
        strbuf_printf(out, "%s%s%s", f->before_description, instance->description,
                      f->after_description);
    for (uint32_t i = 0; i < instance->example_count; i++) {
        const struct example *e = &instance->examples[i];
        if (layout == LAYOUT_NUMBERED)
            strbuf_printf(out, "%u. ", i + 1);
        if (e->input)
            strbuf_printf(out, "%s%s%s", f->before_input, e->input, f->after_input);
        strbuf_printf(out, "%s%s%s", f->before_output, e->output, f->after_output);
    }
}
