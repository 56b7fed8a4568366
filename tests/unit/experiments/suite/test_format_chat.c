/* Turns of every family against the real chat templates, rendered by software we did not write
 * (tests/golden/chat), and what the formats make of them. */
#include "cmocka_all.h"

#include <jansson.h>
#include <string.h>

#include "format.h"
#include "format_template.h"
#include "golden.h"

static struct example pair_examples[] = {{"a b", "1"}, {"c", "22"}, {"d", "333"}};
static const struct instance described = {
    .id = "t/0", .description = "Say.", .examples = pair_examples, .example_count = 3};
static const struct instance bare = {
    .id = "t/1", .description = NULL, .examples = pair_examples, .example_count = 3};
static struct example draws[] = {{NULL, "red"}, {NULL, " blue "}};
static const struct instance urn = {
    .id = "u/0", .description = "An urn.", .examples = draws, .example_count = 2};

static char *whole_text(const struct sequence *s)
{
    struct strbuf out = {0};
    for (uint32_t i = 0; i < s->segment_count; i++)
        strbuf_append(&out, s->segments[i].text.data, s->segments[i].text.len);
    return strbuf_take(&out);
}

static void check_text(char *text, const char *expected)
{
    assert_string_equal(text, expected);
    free(text);
}

static enum chat_role role_of(const char *name)
{
    if (strcmp(name, "system") == 0)
        return CHAT_SYSTEM;
    return strcmp(name, "user") == 0 ? CHAT_USER : CHAT_ASSISTANT;
}

/* A text of software that writes what follows the last terminator, which we do not need. */
static char *without_end(const json_t *golden, const struct turn_style *style)
{
    const char *text = json_string_value(json_object_get(golden, "text"));
    size_t after = json_is_true(json_object_get(golden, "open")) ? 0 : strlen(style->after_text);
    return strndup(text, strlen(text) - after);
}

static void check_case(const json_t *golden)
{
    const json_t *messages = json_object_get(golden, "messages");
    struct chat_message list[16];
    size_t count = json_array_size(messages);
    assert_in_range(count, 1, 16);
    for (size_t i = 0; i < count; i++) {
        const json_t *message = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(message, "role"));
        const char *content = json_string_value(json_object_get(message, "content"));
        list[i] = (struct chat_message){role_of(role), content, -1, i % 2 == 1};
    }
    const char *name = json_string_value(json_object_get(golden, "style"));
    const struct turn_style *style = turn_style_find(name);
    assert_non_null(style);
    bool open = json_is_true(json_object_get(golden, "open"));
    struct arena arena = {0};
    struct sequence sequence;
    format_chat(style, list, count, open, &arena, &sequence);
    char *expected = without_end(golden, style);
    check_text(whole_text(&sequence), expected);
    free(expected);
    arena_release(&arena);
}

static void conversations_are_those_of_the_templates(void **state)
{
    (void)state;
    json_t *cases =
        json_load_file(TRIAD_SOURCE_DIR "/tests/golden/chat/conversations.json", 0, NULL);
    assert_in_range(json_array_size(cases), 60, 1000);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(json_array_get(cases, i));
    json_decref(cases);
}

/* ---- our own templates ---- */

/* The templates, for tests/oracle/chat_templates.py to render and for worker/lm to know again;
 * UPDATE_GOLDEN=1 rewrites them, and then that script must run. */
static void templates_are_those_that_were_rendered(void **state)
{
    (void)state;
    json_t *all = json_array();
    for (const char *const *name = turn_style_names(); *name; name++) {
        for (int f = 0; f < FORMAT_COUNT; f++) {
            struct strbuf text = {0};
            format_template((enum format)f, turn_style_find(*name), &text);
            assert_true((text.len == 0) == (f == FORMAT_COLON));
            if (text.len > 0)
                json_array_append_new(all,
                                      json_pack("{ssssss}", "format", format_name((enum format)f),
                                                "style", *name, "text", strbuf_text(&text)));
            strbuf_release(&text);
        }
    }
    char *dump = json_dumps(all, JSON_INDENT(1));
    assert_true(golden_matches("chat/templates.json", dump, strlen(dump)));
    free(dump);
    json_decref(all);
}

/* "description", then inputs and outputs in turn, as an instance. */
static void check_spectrum(const json_t *golden)
{
    struct example examples[8] = {0};
    struct instance instance = {.id = "", .examples = examples};
    const json_t *messages = json_object_get(golden, "messages");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(message, "role"));
        const char *content = json_string_value(json_object_get(message, "content"));
        struct example *e = &examples[instance.example_count];
        if (strcmp(role, "description") == 0)
            instance.description = content;
        else if (strcmp(role, "input") == 0)
            e->input = content;
        else if (strcmp(role, "output") == 0)
            examples[instance.example_count++].output = content;
    }
    const bool open = json_is_true(json_object_get(golden, "open"));
    const uint32_t count = instance.example_count;
    struct format_options options = {
        .format = FORMAT_SPECTRUM,
        .style = turn_style_find(json_string_value(json_object_get(golden, "style")))};
    struct arena arena = {0};
    struct sequence sequence;
    if (examples[count].input) /* an input that waits for its output */
        examples[instance.example_count++].output = "";
    (open ? format_prompt : format_render)(&options, &instance, count, &arena, &sequence);
    char *expected = without_end(golden, options.style);
    check_text(whole_text(&sequence), expected);
    free(expected);
    arena_release(&arena);
}

static void our_templates_write_our_turns(void **state)
{
    (void)state;
    json_t *cases = json_load_file(TRIAD_SOURCE_DIR "/tests/golden/chat/rendered.json", 0, NULL);
    assert_in_range(json_array_size(cases), 60, 1000);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *golden = json_array_get(cases, i);
        const char *format = json_string_value(json_object_get(golden, "format"));
        (strcmp(format, "spectrum") == 0 ? check_spectrum : check_case)(golden);
    }
    json_decref(cases);
}

static const struct turn_style *style_at(size_t i)
{
    const char *name = turn_style_names()[i];
    return name ? turn_style_find(name) : NULL;
}

/* The token that begins a sequence is there once, where the family has one, and in no text. */
static void begin_of_text_is_not_doubled(void **state)
{
    (void)state;
    for (size_t s = 0; style_at(s); s++) {
        for (int f = 0; f < FORMAT_COUNT; f++) {
            struct format_options options = {.format = (enum format)f, .style = style_at(s)};
            struct arena arena = {0};
            struct sequence sequence;
            format_render(&options, &described, 3, &arena, &sequence);
            const char *bos = style_at(s)->bos;
            for (uint32_t i = 0; i < sequence.segment_count; i++) {
                struct str text = sequence.segments[i].text;
                bool is_bos = bos && str_equal(text, str_from(bos));
                assert_true(is_bos == (bos && i == 0));
                assert_true(!bos || !memmem(text.data, text.len, bos, strlen(bos)) || i == 0);
            }
            arena_release(&arena);
        }
    }
}

/* A prompt is what stands before the next output when that is rendered. */
static void prompts_are_what_precedes_the_output(void **state)
{
    (void)state;
    const struct instance *const instances[] = {&described, &bare, &urn};
    for (size_t s = 0; style_at(s); s++) {
        for (int f = 0; f < 2 * FORMAT_COUNT; f++) {
            for (uint32_t i = 0; i < 3; i++) {
                struct format_options options = {.format = (enum format)(f % FORMAT_COUNT),
                                                 .style = style_at(s),
                                                 .chat =
                                                     f < FORMAT_COUNT ? CHAT_TURNS : CHAT_PROMPT};
                struct arena arena = {0};
                struct sequence prompt, whole;
                format_prompt(&options, instances[i], 1, &arena, &prompt);
                format_render(&options, instances[i], 2, &arena, &whole);
                assert_in_range(whole.segment_count, prompt.segment_count + 2,
                                prompt.segment_count + 2);
                for (uint32_t g = 0; g < prompt.segment_count; g++) {
                    assert_true(str_equal(prompt.segments[g].text, whole.segments[g].text));
                    assert_true(prompt.segments[g].kind == whole.segments[g].kind);
                }
                assert_int_equal(whole.segments[prompt.segment_count].loss, LOSS_CONTENT);
                assert_int_equal(whole.segments[prompt.segment_count + 1].loss, LOSS_TERMINATOR);
                const char *stop = format_stop(&options);
                if (stop)
                    assert_true(
                        str_equal(whole.segments[whole.segment_count - 1].text, str_from(stop)));
                arena_release(&arena);
            }
        }
    }
}

static void check_prompt(const char *style, enum chat_mode mode, const struct instance *instance,
                         uint32_t count, const char *expected)
{
    struct format_options options = {
        .format = FORMAT_CHAT, .style = turn_style_find(style), .chat = mode, .instruction = "Do."};
    struct arena arena = {0};
    struct sequence sequence;
    format_prompt(&options, instance, count, &arena, &sequence);
    char *text = whole_text(&sequence);
    assert_string_equal(text, expected);
    free(text);
    arena_release(&arena);
}

static void chat_has_two_modes(void **state)
{
    (void)state;
    check_prompt("gemma3", CHAT_TURNS, &urn, 1,
                 "<bos><start_of_turn>user\nDo.\n\nDescription: An urn.\n\nGenerate.<end_of_turn>\n"
                 "<start_of_turn>model\nred<end_of_turn>\n"
                 "<start_of_turn>user\nGenerate.<end_of_turn>\n<start_of_turn>model\n");
    check_prompt("gemma3", CHAT_PROMPT, &urn, 1,
                 "<bos><start_of_turn>user\nDo.\n\nAn urn.\n\nExample output: red\n\n"
                 "Generate one more output that fits the description and is like the examples."
                 "<end_of_turn>\n<start_of_turn>model\n");
    check_prompt("qwen3", CHAT_PROMPT, &bare, 2,
                 "<|im_start|>system\nDo.\n\nExample input: a b\n\nExample output: 1\n\n"
                 "Example input: c\n\nExample output: 22<|im_end|>\n"
                 "<|im_start|>user\nGenerate one more output like the examples.\n\nInput: d"
                 "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n");
}

/* The white space that the templates drop is not scored either; colon strips its outputs. */
static void outputs_are_scored_as_the_template_writes_them(void **state)
{
    (void)state;
    static const struct {
        enum format format;
        const char *style, *output;
    } rows[] = {{FORMAT_CHAT, "gemma3", "blue"},
                {FORMAT_CHAT, "llama3.1", "blue"},
                {FORMAT_CHAT, "qwen3", " blue "},
                {FORMAT_COLON, "qwen3", " blue"},
                {FORMAT_SPECTRUM, "gemma3", " blue "}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct format_options options = {.format = rows[i].format,
                                         .style = turn_style_find(rows[i].style)};
        struct arena arena = {0};
        struct sequence sequence;
        format_render(&options, &urn, 2, &arena, &sequence);
        struct segment output = sequence.segments[sequence.segment_count - 2];
        assert_int_equal(output.loss, LOSS_CONTENT);
        assert_true(str_equal(output.text, str_from(rows[i].output)));
        arena_release(&arena);
    }
}

/* An empty thought precedes every answer of Qwen3, without loss; spectrum has none. */
static void thoughts_have_no_loss(void **state)
{
    (void)state;
    for (int f = 0; f < FORMAT_COUNT; f++) {
        struct format_options options = {.format = (enum format)f,
                                         .style = turn_style_find("qwen3")};
        struct arena arena = {0};
        struct sequence sequence;
        uint32_t thoughts = 0;
        format_render(&options, &described, 3, &arena, &sequence);
        for (uint32_t i = 0; i < sequence.segment_count; i++) {
            struct segment s = sequence.segments[i];
            if (!str_equal(s.text, str_from("<think>")))
                continue;
            thoughts++;
            assert_int_equal(s.kind, SEGMENT_SPECIAL);
            assert_int_equal(s.loss, LOSS_NONE);
            assert_true(str_equal(sequence.segments[i + 2].text, str_from("</think>")));
            assert_int_equal(sequence.segments[i + 4].loss, LOSS_CONTENT);
        }
        assert_int_equal(thoughts, f == FORMAT_CHAT ? 3 : 0);
        arena_release(&arena);
    }
}

static void a_label_replaces_output(void **state)
{
    (void)state;
    struct format_options options = {
        .format = FORMAT_COLON, .style = turn_style_find("llama3"), .output_label = "Colour"};
    struct arena arena = {0};
    struct sequence sequence;
    format_prompt(&options, &urn, 1, &arena, &sequence);
    char *text = whole_text(&sequence);
    assert_string_equal(text, "<|begin_of_text|>Description: An urn.\n\nColour: red\n\nColour:");
    assert_null(format_stop(&options));
    free(text);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations_are_those_of_the_templates),
        cmocka_unit_test(templates_are_those_that_were_rendered),
        cmocka_unit_test(our_templates_write_our_turns),
        cmocka_unit_test(begin_of_text_is_not_doubled),
        cmocka_unit_test(prompts_are_what_precedes_the_output),
        cmocka_unit_test(chat_has_two_modes),
        cmocka_unit_test(outputs_are_scored_as_the_template_writes_them),
        cmocka_unit_test(thoughts_have_no_loss),
        cmocka_unit_test(a_label_replaces_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
