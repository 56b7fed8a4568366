/* k selection, mixes and corpora. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "mix_stream.h"
#include "select.h"
#include "wordnet.h"

/* Every byte is a token, so lengths can be counted by hand. */
static enum err_code count_bytes(void *ctx, struct str text, size_t *count_out, struct err *err)
{
    (void)err;
    ++*(int *)ctx;
    *count_out = text.len;
    return ERR_OK;
}

static void k_maximises_scored_examples(void **state)
{
    (void)state;
    /* k = 1 scores 6, 2 scores 10, 3 scores 9, 5 scores 10: the smaller of equals. */
    const int32_t reach[] = {1, 2, 2, 3, 5, 5, -1};
    assert_int_equal(select_k(reach, 7), 2);
    const int32_t longer[] = {1, 2, 2, 5, 5, 5, -1};
    assert_int_equal(select_k(longer, 7), 5);
    const int32_t none[] = {0, -1};
    assert_int_equal(select_k(none, 2), 0);
    /* k = 1 scores 30, 2 scores 20: not 1, but 2, which ten reach; nine would be too few. */
    int32_t shallow[30];
    for (int i = 0; i < 30; i++)
        shallow[i] = i < 10 ? 2 : 1;
    assert_int_equal(select_k(shallow, 30), 2);
    shallow[0] = 1;
    assert_int_equal(select_k(shallow, 30), 1);
}

static void selection_is_a_seeded_sample_of_those_that_reach(void **state)
{
    (void)state;
    int32_t reach[100];
    uint32_t a[100], b[100];
    for (int i = 0; i < 100; i++)
        reach[i] = i % 2 ? 9 : 3;
    assert_int_equal(select_sequences(reach, 100, 9, 20, 1, a), 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(a[i] % 2, 1);
        assert_true(i == 0 || a[i] > a[i - 1]);
    }
    assert_int_equal(select_sequences(reach, 100, 9, 20, 1, b), 20);
    assert_memory_equal(a, b, 20 * sizeof *a);
    assert_int_equal(select_sequences(reach, 100, 9, 20, 2, b), 20);
    assert_memory_not_equal(a, b, 20 * sizeof *a);
    assert_int_equal(select_sequences(reach, 100, 9, 1000, 1, b), 50);
}

static void reach_is_that_of_the_longest_format(void **state)
{
    (void)state;
    struct example examples[] = {{NULL, "red"}, {NULL, "blue"}, {NULL, "red"}};
    struct instance instance = {
        .id = "u/0", .description = "Urn", .examples = examples, .example_count = 3};
    struct err err;
    int asked = 0;
    struct token_counter counter = {.ctx = &asked, .count = count_bytes};
    const struct turn_style *style = turn_style_find("llama3");
    struct format_options colon = {
        .format = FORMAT_COLON, .style = style, .first_terminator = true};
    struct format_options both[] = {
        colon, {.format = FORMAT_CHAT, .style = style, .first_terminator = true}};
    int32_t reach;
    /* bos 1, "Description: Urn\n\n" 18, "Output:" 7, " red" 4, "\n\n" 2: 32; then 7 + 5 + 2. */
    assert_int_equal(select_reach(&counter, &colon, 1, &instance, 31, &reach, &err), ERR_OK);
    assert_int_equal(reach, -1);
    assert_int_equal(select_reach(&counter, &colon, 1, &instance, 32, &reach, &err), ERR_OK);
    assert_int_equal(reach, 0);
    assert_int_equal(select_reach(&counter, &colon, 1, &instance, 45, &reach, &err), ERR_OK);
    assert_int_equal(reach, 0);
    assert_int_equal(select_reach(&counter, &colon, 1, &instance, 46, &reach, &err), ERR_OK);
    assert_int_equal(reach, 1);
    assert_int_equal(select_reach(&counter, &colon, 1, &instance, 1000, &reach, &err), ERR_OK);
    assert_int_equal(reach, 2);
    assert_int_equal(select_reach(&counter, both, 2, &instance, 200, &reach, &err), ERR_OK);
    assert_int_equal(reach, -1); /* chat's instruction alone is longer */
    int before = asked;
    assert_int_equal(select_reach(&counter, &colon, 1, &instance, 1000, &reach, &err), ERR_OK);
    assert_int_equal(asked, before); /* remembered */
    token_counter_release(&counter);
}

#define NOUNS                                                                                      \
    "  1 This software is licensed\n"                                                              \
    "00001740 03 n 01 entity 0 000 | that which exists  \n"                                        \
    "00002684 03 n 03 object 0 physical_object 0 thing(p) 1 001 @ 00001930 n 0000 | a tangible "   \
    "one; \"it was full of rackets\"\n"

static void wordnet_lines_become_sentences(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct text_list texts = {0};
    struct err err;
    assert_int_equal(wordnet_parse(NOUNS, sizeof NOUNS - 1, "n", &arena, &texts, &err), ERR_OK);
    assert_int_equal(texts.count, 2);
    assert_string_equal(texts.items[0], "entity: that which exists");
    assert_string_equal(texts.items[1], "object, physical object, thing: a tangible one; \"it was "
                                        "full of rackets\"");
    assert_int_equal(wordnet_parse("a | b\n", 6, "n", &arena, &texts, &err), ERR_INVALID);
    arena_release(&arena);
}

static enum err_code read_nouns(void *ctx, const char *path, size_t bytes_max, char **data_out,
                                size_t *len_out, struct err *err)
{
    if (!strstr(path, "nouns"))
        return reader_disk().read(ctx, path, bytes_max, data_out, len_out, err);
    *data_out = strdup(NOUNS);
    *len_out = sizeof NOUNS - 1;
    return ERR_OK;
}

static struct mix read_mix(const char *text)
{
    struct mix mix;
    struct err err;
    if (mix_parse(text, strlen(text), "m.yaml", &mix, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return mix;
}

static struct suite load_suite(void)
{
    struct reader reader = reader_disk();
    struct suite suite;
    struct err err;
    assert_int_equal(suite_load(&reader, TRIAD_SOURCE_DIR "/experiments", &suite, &err), ERR_OK);
    suite.reader.read = read_nouns;
    return suite;
}

#define CORPUS                                                                                     \
    "  - {share: 0.25, licence: x, document_bytes: 300, corpus: {name: w, source: w, reader: "     \
    "wordnet, package: p, files: [nouns]}}\n"

static void shares_come_true(void **state)
{
    (void)state;
    struct suite suite = load_suite();
    struct mix mix = read_mix("mix: m\npurpose: pretrain\nseed: 1\nparts:\n" CORPUS
                              "  - {share: 0.75, licence: x, tasks: [coinflip_small, "
                              "poisson_small], layouts: [colon, commas]}\n");
    struct mix_stream *stream;
    struct err err;
    double bytes[2] = {0}, largest = 0;
    assert_int_equal(mix_stream_open(&mix, &suite, NULL, 0, 5, &stream, &err), ERR_OK);
    for (int i = 0; i < 500; i++) {
        struct arena arena = {0};
        struct mix_document document;
        mix_stream_next(stream, &arena, &document);
        assert_true(document.text.len > 0);
        bytes[document.part] += (double)document.text.len;
        largest = fmax(largest, (double)document.text.len);
        mix_stream_account(stream, document.part, (double)document.text.len);
        arena_release(&arena);
    }
    double total = bytes[0] + bytes[1];
    assert_true(bytes[0] > 0.25 * total - 2 * largest && bytes[0] < 0.25 * total + 2 * largest);
    mix_stream_close(stream);
    mix_release(&mix);
    suite_release(&suite);
}

static void instruction_answers_with_the_mode(void **state)
{
    (void)state;
    struct suite suite = load_suite();
    struct mix mix = read_mix("mix: m\npurpose: instruct\nseed: 1\nparts:\n"
                              "  - {share: 1, licence: x, tasks: [coinflip_small]}\n");
    struct mix_stream *stream;
    struct err err;
    struct arena arena = {0};
    int modes = 0, draws = 0;
    assert_int_equal(mix_stream_open(&mix, &suite, NULL, 0, 5, &stream, &err), ERR_OK);
    for (int i = 0; i < 400; i++) {
        struct mix_document document;
        double heads;
        mix_stream_next(stream, &arena, &document);
        const struct instance *instance = &document.instance;
        assert_int_equal(instance->example_count, 1);
        const char *share = instance->description ? strstr(instance->description, "Heads ") : NULL;
        char next = ' ';
        if (share && sscanf(share, "Heads %lf%c", &heads, &next) >= 1 && heads <= 1.0 &&
            next != '%') {
            assert_string_equal(instance->examples[0].output, heads >= 0.5 ? "Heads" : "Tails");
            modes++;
        }
        draws += instance->mode == NULL;
        mix_stream_account(stream, 0, 1);
    }
    assert_true(modes > 20);
    assert_true(draws > 40); /* two of the seven forms say nothing of the bias */
    arena_release(&arena);
    mix_stream_close(stream);
    mix_release(&mix);
    suite_release(&suite);
}

/* "Numbers around one value, 3 decimals." names a parameter, but not the one that the mode needs.
 */
static void a_mode_needs_the_parameter_that_tells_it(void **state)
{
    (void)state;
    struct suite suite = load_suite();
    const struct task *normal = suite_find(&suite, "normal_small");
    struct instance_options options = {.root = rng_new(3, "modes"), .keep_description = 1.0};
    struct arena arena = {0};
    int told = 0, vague = 0;
    for (uint32_t i = 0; i < 200; i++) {
        struct instance instance;
        task_instance(normal, &options, i, &arena, &instance);
        if (strstr(instance.description, "mean ")) {
            bool rough = strstr(instance.description, "mean about") != NULL;
            assert_true((instance.mode != NULL) == !rough);
            told += !rough;
        } else {
            assert_null(instance.mode);
            vague++;
        }
    }
    assert_true(told > 30 && vague > 60);
    arena_release(&arena);
    suite_release(&suite);
}

static void refuse(const char *text, const char *message)
{
    struct mix mix;
    struct err err;
    assert_int_equal(mix_parse(text, strlen(text), "m.yaml", &mix, &err), ERR_INVALID);
    assert_string_equal(err.text, message);
}

static void wrong_mixes_say_what(void **state)
{
    (void)state;
    refuse("mix: m\npurpose: pretrain\nseed: 1\nparts:\n" CORPUS,
           "m.yaml:5:3: the shares add up to 0.25, not 1");
    refuse("mix: m\npurpose: pretrain\nseed: 1\nparts:\n  - {share: 1, licence: x}\n",
           "m.yaml:5:5: a part of a mix has either 'tasks' or a 'corpus'");
    refuse("mix: m\npurpose: pretrain\nseed: 1\nparts:\n"
           "  - {share: 1, licence: x, tasks: a, layouts: [colom]}\n",
           "m.yaml:5:48: no layout is called 'colom', did you mean 'colon'?");
    refuse("mix: m\npurpose: pretrain\nseed: 1\nparts:\n  - {share: 1, licence: x, tasks: a}\n",
           "m.yaml:5:5: tasks in a mix for pretraining need 'layouts'");
    refuse("mix: m\npurpose: instruct\nseed: 1\nparts:\n"
           "  - {share: 1, licence: x, tasks: a, keep_description: 0.8}\n",
           "m.yaml:5:56: an instruction is its description: 'keep_description' is for pretraining");
    struct suite suite = load_suite();
    struct mix mix = read_mix("mix: m\npurpose: instruct\nseed: 1\nparts:\n"
                              "  - {share: 1, licence: x, tasks: [coinflop_small]}\n");
    struct mix_stream *stream;
    struct err err;
    assert_int_equal(mix_stream_open(&mix, &suite, NULL, 0, 5, &stream, &err), ERR_INVALID);
    assert_string_equal(
        err.text,
        "m.yaml:5:36: no task is called 'coinflop_small', did you mean 'coinflip_small'?");
    mix_release(&mix);
    suite_release(&suite);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(k_maximises_scored_examples),
        cmocka_unit_test(selection_is_a_seeded_sample_of_those_that_reach),
        cmocka_unit_test(reach_is_that_of_the_longest_format),
        cmocka_unit_test(wordnet_lines_become_sentences),
        cmocka_unit_test(shares_come_true),
        cmocka_unit_test(instruction_answers_with_the_mode),
        cmocka_unit_test(a_mode_needs_the_parameter_that_tells_it),
        cmocka_unit_test(wrong_mixes_say_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
