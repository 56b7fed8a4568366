/* A model that we did not train, against software that we did not write: stories260K, converted,
 * must give llama.cpp's log-probabilities and its greedy story. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "convert_llama2c.h"
#include "file.h"
#include "model.h"
#include "sampler.h"
#include "score_tokens.h"
#include "tokenizer.h"

#define STORIES TRIAD_SOURCE_DIR "/tests/golden/stories260K/"

enum { TOKENS_MAX = 256, STORY_TOKENS = 120 };

struct stories {
    char folder[64];
    struct model *model;
    struct tokenizer *tokenizer;
    json_t *golden;
};

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

static int setup(void **state)
{
    static struct stories s = {.folder = "/tmp/test_stories.XXXXXX"};
    struct err err = {0};
    assert_non_null(mkdtemp(s.folder));
    must(llama2c_convert(STORIES "stories260K.bin", STORIES "tok512.bin", s.folder, &err), &err);
    must(model_load(s.folder, &s.model, &err), &err);
    must(tokenizer_load(s.folder, &s.tokenizer, &err), &err);
    s.golden = json_load_file(STORIES "stories260K.json", 0, NULL);
    assert_non_null(s.golden);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct stories *s = *state;
    struct err err;
    json_decref(s->golden);
    tokenizer_free(s->tokenizer);
    model_free(s->model);
    return file_remove_tree(s->folder, &err) == ERR_OK ? 0 : -1;
}

static size_t read_ids(const json_t *list, int32_t ids[TOKENS_MAX])
{
    size_t count = json_array_size(list);
    assert_in_range(count, 1, TOKENS_MAX);
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return count;
}

static void log_probabilities_agree_with_llama_cpp(void **state)
{
    struct stories *s = *state;
    size_t index;
    json_t *text;
    json_array_foreach(json_object_get(s->golden, "texts"), index, text)
    {
        int32_t ids[TOKENS_MAX];
        double logprob[TOKENS_MAX];
        bool hit[TOKENS_MAX];
        struct err err = {0};
        size_t count = read_ids(json_object_get(text, "ids"), ids);
        must(score_tokens(s->model, ids, count, logprob, hit, &err), &err);
        const json_t *expected = json_object_get(text, "logprob_of_next");
        const json_t *best = json_object_get(text, "argmax_of_next");
        assert_int_equal(json_array_size(expected), count - 1);
        for (size_t i = 0; i + 1 < count; i++) {
            double value = json_number_value(json_array_get(expected, i));
            assert_true(fabs(logprob[i] - value) < 1e-3);
            assert_int_equal(hit[i], json_integer_value(json_array_get(best, i)) == ids[i + 1]);
        }
    }
}

static void the_greedy_story_is_llama_cpps(void **state)
{
    struct stories *s = *state;
    const json_t *golden = json_object_get(s->golden, "greedy_120_from");
    const char *expected = json_string_value(json_object_get(golden, "text"));
    int32_t ids[TOKENS_MAX];
    size_t count = read_ids(json_object_get(golden, "ids"), ids);
    struct sample_options greedy = {.temperature = 0, .top_p = 1};
    struct sampler *sampler = NULL;
    struct strbuf story = {0};
    struct err err = {0};
    must(sampler_new(s->model, &greedy, &sampler, &err), &err);
    must(sampler_feed(sampler, ids, count, &err), &err);
    for (int i = 0; i < STORY_TOKENS; i++) {
        ids[count] = sampler_choose(sampler);
        must(sampler_feed(sampler, &ids[count], 1, &err), &err);
        count++;
    }
    must(tokenizer_decode(s->tokenizer, ids + 1, count - 1, &story, &err), &err);
    assert_string_equal(strbuf_text(&story), expected);
    strbuf_release(&story);
    sampler_free(sampler);
}

/* One path computes attention over whole sequences, the other over a cache. */
static void the_cache_gives_the_logits_of_the_whole(void **state)
{
    struct stories *s = *state;
    struct sample_options greedy = {.temperature = 0, .top_p = 1};
    const int vocabulary = model_shape(s->model)->vocabulary;
    int32_t ids[TOKENS_MAX];
    double logprob[TOKENS_MAX];
    struct sampler *sampler = NULL;
    struct err err = {0};
    const json_t *text = json_array_get(json_object_get(s->golden, "texts"), 0);
    size_t count = read_ids(json_object_get(text, "ids"), ids);
    for (size_t i = count; i < 200; i++) /* over several blocks */
        ids[i] = ids[i - count];
    must(score_tokens(s->model, ids, 200, logprob, NULL, &err), &err);
    must(sampler_new(s->model, &greedy, &sampler, &err), &err);
    must(sampler_feed(sampler, ids, 100, &err), &err); /* a whole block and a part */
    for (size_t i = 100; i < 200; i++) {
        const float *logits = sampler_logits(sampler);
        double sum = 0;
        for (int v = 0; v < vocabulary; v++)
            sum += exp((double)logits[v] - (double)logits[ids[i]]);
        assert_true(fabs(-log(sum) - logprob[i - 1]) < 1e-4);
        must(sampler_feed(sampler, &ids[i], 1, &err), &err);
    }
    sampler_free(sampler);
}

static void a_full_context_and_foreign_ids_are_refused(void **state)
{
    struct stories *s = *state;
    struct sample_options greedy = {.temperature = 0, .top_p = 1};
    struct sampler *sampler = NULL;
    struct err err = {0};
    static int32_t ids[513];
    double logprob[1];
    const int32_t foreign = 512;
    must(sampler_new(s->model, &greedy, &sampler, &err), &err);
    assert_int_equal(sampler_feed(sampler, ids, 513, &err), ERR_LIMIT);
    assert_int_equal(sampler_feed(sampler, &foreign, 1, &err), ERR_INVALID);
    must(sampler_feed(sampler, ids, 512, &err), &err);
    assert_int_equal(sampler_feed(sampler, ids, 1, &err), ERR_LIMIT);
    assert_int_equal(score_tokens(s->model, &foreign, 1, logprob, NULL, &err), ERR_INVALID);
    sampler_free(sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_probabilities_agree_with_llama_cpp),
        cmocka_unit_test(the_greedy_story_is_llama_cpps),
        cmocka_unit_test(the_cache_gives_the_logits_of_the_whole),
        cmocka_unit_test(a_full_context_and_foreign_ids_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
