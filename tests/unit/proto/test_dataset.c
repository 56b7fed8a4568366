/* proto/dataset: the example of docs/data.md is read as written there, and what is wrong is said
 * with its line. */
#include "cmocka_all.h"

#include <string.h>

#include "dataset.h"

#define PAIRING "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEADER(count)                                                                              \
    "{\"triad_dataset\":1,\"purpose\":\"evaluate\",\"name\":\"flight\",\"format\":\"spectrum\","   \
    "\"sequences\":" #count ",\"pairing\":\"" PAIRING "\"}\n"
#define SEQUENCE                                                                                   \
    "{\"id\":\"flight/17\",\"segments\":[[\"s\",\"<|begin_of_text|>\",0,-1],"                      \
    "[\"t\",\"Output:\",0,0],[\"t\",\" 2\",1,0],[\"t\",\"\\n\\n\",2,0]]}\n"

static void test_reads_and_writes_the_documented_example(void **state)
{
    (void)state;
    static const char text[] = HEADER(1) SEQUENCE;
    struct dataset d;
    struct err err;
    assert_int_equal(dataset_parse(text, sizeof text - 1, "a", &d, &err), ERR_OK);
    assert_int_equal(d.purpose, DATASET_EVALUATE);
    assert_true(str_equal(d.name, str_from("flight")));
    assert_true(str_equal(d.format, str_from("spectrum")));
    assert_true(str_equal(d.pairing, str_from(PAIRING)));
    assert_int_equal(d.sequence_count, 1);
    assert_true(str_equal(d.sequences[0].id, str_from("flight/17")));
    assert_int_equal(d.sequences[0].segment_count, 4);
    const struct segment *s = d.sequences[0].segments;
    assert_int_equal(s[0].kind, SEGMENT_SPECIAL);
    assert_int_equal(s[0].example, -1);
    assert_int_equal(s[2].kind, SEGMENT_TEXT);
    assert_int_equal(s[2].loss, LOSS_CONTENT);
    assert_int_equal(s[3].loss, LOSS_TERMINATOR);
    assert_true(str_equal(s[3].text, str_from("\n\n")));
    struct strbuf again = {0};
    dataset_write_header(&again, &d);
    dataset_write_sequence(&again, &d.sequences[0]);
    assert_string_equal(strbuf_text(&again), text);
    strbuf_release(&again);
    dataset_release(&d);
}

#define KIND_HEADER(kind)                                                                          \
    "{\"triad_dataset\":2,\"purpose\":\"evaluate\",\"kind\":\"" kind                               \
    "\",\"name\":\"urn\",\"format\":\"colon\",\"sequences\":1,\"pairing\":\"\"}\n"
#define PROMPT "{\"id\":\"urn/0\",\"segments\":[[\"t\",\"Color:\",0,0]]"
#define CHOICES                                                                                    \
    ",\"candidates\":[{\"segments\":[[\"t\",\" "                                                   \
    "red\",1,0],[\"t\",\"\\n\\n\",2,0]],\"target\":0.25},"                                         \
    "{\"segments\":[[\"t\",\" blue\",1,0]],\"target\":3.0}]"
#define SAMPLE(draws, top_p)                                                                       \
    ",\"sample\":{\"draws\":" draws ",\"max_tokens\":8,\"temperature\":0.69999999999999996,"       \
    "\"top_p\":" top_p ",\"top_k\":0,\"seed\":42,\"stop_tokens\":[\"<|eot_id|>\"],"                \
    "\"stop_texts\":[\"\\n\"]}"

static void test_kinds_are_read_and_written(void **state)
{
    (void)state;
    static const char *const texts[] = {KIND_HEADER("choices") PROMPT CHOICES "}\n",
                                        KIND_HEADER("samples") PROMPT SAMPLE("100", "1.0") "}\n"};
    for (size_t i = 0; i < 2; i++) {
        struct dataset d;
        struct err err;
        struct strbuf again = {0};
        assert_int_equal(dataset_parse(texts[i], strlen(texts[i]), "a", &d, &err), ERR_OK);
        const struct sequence *s = &d.sequences[0];
        assert_int_equal(d.kind, i == 0 ? RECORDS_CHOICES : RECORDS_SAMPLES);
        if (i == 0) {
            assert_int_equal(s->candidate_count, 2);
            assert_true(s->candidates[1].target > 2.9 && s->candidates[1].target < 3.1);
            assert_int_equal(s->candidates[0].segments[1].loss, LOSS_TERMINATOR);
        } else {
            assert_int_equal(s->sampling->draws, 100);
            assert_int_equal(s->sampling->seed, 42);
            assert_true(str_equal(s->sampling->stop_tokens[0], str_from("<|eot_id|>")));
            assert_true(str_equal(s->sampling->stop_texts[0], str_from("\n")));
        }
        dataset_write_header(&again, &d);
        dataset_write_sequence(&again, s);
        /* jansson keeps the order of keys. */
        assert_string_equal(strbuf_text(&again), texts[i]);
        strbuf_release(&again);
        dataset_release(&d);
    }
}

static void test_text_may_hold_nul(void **state)
{
    (void)state;
    static const char text[] = HEADER(1) "{\"id\":\"x\",\"segments\":[[\"t\",\"a\\u0000b\",1,0]]}";
    struct dataset d;
    struct err err;
    assert_int_equal(dataset_parse(text, sizeof text - 1, "a", &d, &err), ERR_OK);
    assert_int_equal(d.sequences[0].segments[0].text.len, 3);
    assert_memory_equal(d.sequences[0].segments[0].text.data, "a\0b", 3);
    dataset_release(&d);
}

static void test_wrong_datasets_are_said_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *says;
    } cases[] = {
        {"", ERR_INVALID, "line 1: empty file"},
        {"[]\n", ERR_INVALID, "line 1: not a dataset of version 1"},
        {"{\"triad_dataset\":3}", ERR_INVALID, "line 1: not a dataset of version 1"},
        {"{\"triad_dataset\":1}", ERR_INVALID, "the header needs"},
        {"nonsense", ERR_INVALID, "dataset 'a': 1:"},
        {HEADER(2) SEQUENCE, ERR_CORRUPT, "promises 2 sequences, the file holds 1"},
        {HEADER(0) SEQUENCE, ERR_CORRUPT, "promises 0 sequences, the file holds 1"},
        {HEADER(-1), ERR_INVALID, "out of range"},
        {HEADER(2) SEQUENCE "{\"id\":1}", ERR_INVALID, "line 3: a sequence needs"},
        {HEADER(1) "{\"id\":\"x\",\"segments\":[[\"t\",\"a\",3,0]]}", ERR_INVALID,
         "line 2: a segment's loss"},
        {HEADER(1) "{\"id\":\"x\",\"segments\":[[\"u\",\"a\",1,0]]}", ERR_INVALID,
         "line 2: a segment's kind"},
        {HEADER(1) "{\"id\":\"x\",\"segments\":[[\"t\",\"a\",1,-2]]}", ERR_INVALID,
         "line 2: a segment's example"},
        {HEADER(1) "{\"id\":\"x\",\"segments\":[[\"t\",\"a\",1]]}", ERR_INVALID,
         "line 2: a segment is"},
        {HEADER(1) "{\"id\":\"x\",\"id\":\"y\",\"segments\":[]}", ERR_INVALID, "2:"},
        {KIND_HEADER("scores") PROMPT "}", ERR_INVALID, "kind is neither"},
        {KIND_HEADER("choices") PROMPT "}", ERR_INVALID, "line 2: a choice needs"},
        {KIND_HEADER("choices") PROMPT ",\"candidates\":[{\"segments\":[],\"target\":1}]}",
         ERR_INVALID, "line 2: a candidate needs"},
        {KIND_HEADER("choices") PROMPT
         ",\"candidates\":[{\"segments\":[[\"t\",\"x\",1,0]],\"target\":-1}]}",
         ERR_INVALID, "line 2: a candidate needs"},
        {KIND_HEADER("choices") PROMPT
         ",\"candidates\":[{\"segments\":[[\"t\",\"x\",1,0]],\"target\":0}]}",
         ERR_INVALID, "line 2: no candidate has a target"},
        {KIND_HEADER("samples") PROMPT "}", ERR_INVALID, "line 2: a prompt needs"},
        {KIND_HEADER("samples") PROMPT SAMPLE("0", "1.0") "}", ERR_INVALID, "in range"},
        {KIND_HEADER("samples") PROMPT SAMPLE("1", "1.5") "}", ERR_INVALID, "out of range"},
        {"{\"triad_dataset\":2,\"purpose\":\"train\",\"kind\":\"choices\",\"name\":\"\","
         "\"format\":\"text\",\"sequences\":0,\"pairing\":\"\"}",
         ERR_INVALID, "evaluated, not trained on"},
        {"{\"triad_dataset\":1,\"purpose\":\"sell\",\"name\":\"\",\"format\":\"text\","
         "\"sequences\":0,\"pairing\":\"\"}",
         ERR_INVALID, "purpose is neither"},
        {"{\"triad_dataset\":1,\"purpose\":\"train\",\"name\":\"\",\"format\":\"morse\","
         "\"sequences\":0,\"pairing\":\"\"}",
         ERR_INVALID, "format is none"},
        {"{\"triad_dataset\":1,\"purpose\":\"train\",\"name\":\"\",\"format\":\"text\","
         "\"sequences\":0,\"pairing\":\"abc\"}",
         ERR_INVALID, "\"pairing\" is neither empty nor 64 hex digits"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dataset d;
        struct err err = {0};
        assert_int_equal(dataset_parse(cases[i].text, strlen(cases[i].text), "a", &d, &err),
                         cases[i].code);
        if (!strstr(err.text, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_writes_the_documented_example),
        cmocka_unit_test(test_kinds_are_read_and_written),
        cmocka_unit_test(test_text_may_hold_nul),
        cmocka_unit_test(test_wrong_datasets_are_said_with_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
