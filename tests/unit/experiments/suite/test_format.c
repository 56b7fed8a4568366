/* Formats: which pieces there are, and which of them count. The expected segments are written out
 * by hand from docs/science.md section 2; the golden datasets are what other rooms test
 * against. */
#include "cmocka_all.h"

#include "build.h"
#include "golden.h"
#include "layout.h"
#include "suite.h"

static struct example pair_examples[] = {{"a b", "1"}, {"c", "22"}};
static const struct instance described = {
    .id = "t/0", .description = "Say.", .examples = pair_examples, .example_count = 2};
static const struct instance bare = {
    .id = "t/1", .description = NULL, .examples = pair_examples, .example_count = 2};

/* One line per segment: kind, loss, example, text. */
static char *print(const struct sequence *s)
{
    struct strbuf out = {0};
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment *g = &s->segments[i];
        strbuf_printf(&out, "%c%d%+d[", g->kind == SEGMENT_TEXT ? 't' : 's', (int)g->loss,
                      (int)g->example);
        for (size_t j = 0; j < g->text.len; j++) {
            if (g->text.data[j] == '\n')
                strbuf_puts(&out, "~");
            else
                strbuf_putc(&out, g->text.data[j]);
        }
        strbuf_puts(&out, "]");
    }
    return strbuf_take(&out);
}

static void check(enum format format, bool first_terminator, const struct instance *instance,
                  uint32_t count, uint32_t items, const char *expected)
{
    struct format_options options = {
        .format = format, .style = turn_style_find("llama3"), .first_terminator = first_terminator};
    struct arena arena = {0};
    struct sequence sequence;
    format_render(&options, instance, count, &arena, &sequence);
    char *text = print(&sequence);
    assert_string_equal(text, expected);
    assert_int_equal(format_item_count(&sequence), items);
    free(text);
    arena_release(&arena);
}

#define BOS          "s0-1[<|begin_of_text|>]"
#define HEAD(e)      "s0" e "[<|start_header_id|>]"
#define HEAD_END(e)  "s0" e "[<|end_header_id|>]"
#define EOT(loss, e) "s" loss e "[<|eot_id|>]"

static void spectrum_scores_output_and_turn_end(void **state)
{
    (void)state;
    check(FORMAT_SPECTRUM, true, &described, 1, 1,
          BOS HEAD("-1") "t0-1[description]" HEAD_END("-1") "t0-1[~~Say.]" EOT("0", "-1")
              HEAD("+0") "t0+0[input]" HEAD_END("+0") "t0+0[~~a b]" EOT("0", "+0")
                  HEAD("+0") "t0+0[output]" HEAD_END("+0") "t0+0[~~]t1+0[1]" EOT("2", "+0"));
}

static void spectrum_masks_first_output_without_description(void **state)
{
    (void)state;
    static const char middle[] =
        HEAD("+0") "t0+0[input]" HEAD_END("+0") "t0+0[~~a b]" EOT("0", "+0")
            HEAD("+0") "t0+0[output]" HEAD_END("+0") "t0+0[~~]t0+0[1]";
    static const char second[] = HEAD("+1") "t0+1[input]" HEAD_END("+1") "t0+1[~~c]" EOT("0", "+1")
        HEAD("+1") "t0+1[output]" HEAD_END("+1") "t0+1[~~]t1+1[22]" EOT("2", "+1");
    char expected[1024];
    snprintf(expected, sizeof expected, BOS "%s" EOT("2", "+0") "%s", middle, second);
    check(FORMAT_SPECTRUM, true, &bare, 2, 2, expected);
    snprintf(expected, sizeof expected, BOS "%s" EOT("0", "+0") "%s", middle, second);
    check(FORMAT_SPECTRUM, false, &bare, 2, 1, expected);
}

static void colon_scores_space_content_and_blank_line(void **state)
{
    (void)state;
    check(FORMAT_COLON, true, &described, 2, 2,
          BOS "t0-1[Description: Say.~~Input: a b~~Output:]t1+0[ 1]t2+0[~~]"
              "t0+1[Input: c~~Output:]t1+1[ 22]t2+1[~~]");
    check(FORMAT_COLON, true, &bare, 1, 1, BOS "t0+0[Input: a b~~Output:]t1+0[ 1]t2+0[~~]");
}

static void chat_shows_first_example_without_description(void **state)
{
    (void)state;
    struct format_options options = {
        .format = FORMAT_CHAT, .style = turn_style_find("llama3"), .first_terminator = true};
    struct arena arena = {0};
    struct sequence sequence;
    format_render(&options, &bare, 2, &arena, &sequence);
    char *text = print(&sequence);
    assert_non_null(strstr(text, "~~Example input: a b~~Example output: 1]"));
    assert_non_null(strstr(
        text, HEAD("+1") "t0+1[assistant]" HEAD_END("+1") "t0+1[~~]t1+1[22]" EOT("2", "+1")));
    assert_null(strstr(text, "t1+0"));
    assert_int_equal(format_item_count(&sequence), 1);
    free(text);
    arena_release(&arena);
}

static void chat_asks_when_there_is_no_input(void **state)
{
    (void)state;
    struct example draws[] = {{NULL, "red"}, {NULL, "blue"}};
    struct instance urn = {
        .id = "u/0", .description = "An urn.", .examples = draws, .example_count = 2};
    struct format_options options = {
        .format = FORMAT_CHAT, .style = turn_style_find("llama3"), .first_terminator = true};
    struct arena arena = {0};
    struct sequence sequence;
    format_render(&options, &urn, 2, &arena, &sequence);
    char *text = print(&sequence);
    assert_non_null(strstr(text, "~~Description: An urn.]" EOT("0", "-1")
                                     HEAD("+0") "t0+0[user]" HEAD_END("+0") "t0+0[~~Generate.]"));
    assert_int_equal(format_item_count(&sequence), 2);
    free(text);
    arena_release(&arena);
}

static void fewer_examples_are_a_prefix(void **state)
{
    (void)state;
    for (int f = 0; f < FORMAT_COUNT; f++) {
        struct format_options options = {
            .format = (enum format)f, .style = turn_style_find("llama3"), .first_terminator = true};
        struct arena arena = {0};
        struct sequence one, two;
        format_render(&options, &described, 1, &arena, &one);
        format_render(&options, &described, 2, &arena, &two);
        char *short_text = print(&one), *long_text = print(&two);
        assert_int_equal(strncmp(short_text, long_text, strlen(short_text)), 0);
        free(short_text);
        free(long_text);
        arena_release(&arena);
    }
}

/* Else a pair of variants with different formats could not be compared item by item. */
static void evaluation_has_the_same_items_in_every_format(void **state)
{
    (void)state;
    const struct instance instances[] = {described, bare};
    for (int f = 0; f < FORMAT_COUNT; f++) {
        struct format_options options = {
            .format = (enum format)f, .style = turn_style_find("llama3"), .first_terminator = true};
        struct strbuf out = {0};
        struct build_counts counts;
        struct dataset parsed;
        struct err err;
        build_evaluation(&options, "t", instances, 2, 2, &out, &counts);
        assert_int_equal(counts.items, 2 + 1);
        assert_int_equal(dataset_parse(out.data, out.len, "t", &parsed, &err), ERR_OK);
        assert_int_equal(format_item_count(&parsed.sequences[0]), 2);
        assert_int_equal(format_item_count(&parsed.sequences[1]), 1);
        dataset_release(&parsed);
        strbuf_release(&out);
    }
}

/* What pretraining calls the colon layout is the colon format to the byte, so that a pretrained
 * model is evaluated in a format that it knows. */
static void the_colon_layout_is_the_colon_format(void **state)
{
    (void)state;
    const struct instance *const instances[] = {&described, &bare};
    for (int i = 0; i < 2; i++) {
        struct format_options options = {
            .format = FORMAT_COLON, .style = turn_style_find("llama3"), .first_terminator = true};
        struct arena arena = {0};
        struct sequence sequence;
        struct strbuf layout = {0}, format = {0};
        layout_render(LAYOUT_COLON, instances[i], &layout);
        format_render(&options, instances[i], 2, &arena, &sequence);
        for (uint32_t g = 1; g < sequence.segment_count; g++) /* after the start of text */
            strbuf_append(&format, sequence.segments[g].text.data, sequence.segments[g].text.len);
        assert_string_equal(strbuf_text(&layout), strbuf_text(&format));
        strbuf_release(&layout);
        strbuf_release(&format);
        arena_release(&arena);
    }
}

/* Six sequences of a task in all three formats: small real files for tests of other rooms. Rewrite
 * with UPDATE_GOLDEN=1 build/dev/tests/unit/experiments/suite/test_format. */
static void golden_datasets(void **state)
{
    (void)state;
    static const char *const tasks[] = {"housevotes", "flight_small", "urn_icl"};
    static const char *const files[] = {"housevotes", "flight", "urn_icl"};
    struct reader reader = reader_disk();
    struct suite suite;
    struct err err;
    assert_int_equal(suite_load(&reader, TRIAD_SOURCE_DIR "/experiments", &suite, &err), ERR_OK);
    for (size_t t = 0; t < 3; t++) {
        struct task *task = suite_find(&suite, tasks[t]);
        assert_int_equal(suite_ready(&suite, task, &err), ERR_OK);
        struct arena arena = {0};
        struct instance instances[6];
        struct instance_options options = {.root = rng_new(42, "golden"),
                                           .keep_description = t == 1 ? 0.5 : 1.0};
        for (uint32_t i = 0; i < 6; i++)
            task_instance(task, &options, i, &arena, &instances[i]);
        struct digest pairing = build_pairing(instances, 6, 4);
        for (int f = 0; f < FORMAT_COUNT; f++) {
            struct format_options format = {.format = (enum format)f,
                                            .style = turn_style_find("llama3"),
                                            .first_terminator = true};
            struct strbuf out = {0};
            struct build_counts counts;
            struct dataset parsed;
            char hex[DIGEST_HEX_SIZE], name[64];
            build_evaluation(&format, tasks[t], instances, 6, 4, &out, &counts);
            snprintf(name, sizeof name, "datasets/%s.%s.jsonl", files[t],
                     format_name(format.format));
            assert_true(golden_matches(name, strbuf_text(&out), out.len));
            assert_int_equal(dataset_parse(out.data, out.len, name, &parsed, &err), ERR_OK);
            assert_true(str_equal(parsed.pairing, str_from(digest_hex(&pairing, hex))));
            assert_int_equal(parsed.sequence_count, 6);
            dataset_release(&parsed);
            strbuf_release(&out);
        }
        arena_release(&arena);
    }
    suite_release(&suite);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spectrum_scores_output_and_turn_end),
        cmocka_unit_test(spectrum_masks_first_output_without_description),
        cmocka_unit_test(colon_scores_space_content_and_blank_line),
        cmocka_unit_test(chat_shows_first_example_without_description),
        cmocka_unit_test(chat_asks_when_there_is_no_input),
        cmocka_unit_test(fewer_examples_are_a_prefix),
        cmocka_unit_test(evaluation_has_the_same_items_in_every_format),
        cmocka_unit_test(the_colon_layout_is_the_colon_format),
        cmocka_unit_test(golden_datasets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
