/* worker/lm special_tokens: new rows lie near the mean, and copied rows are the same bits. */
#include "cmocka_all.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "rng.h"
#include "special_tokens.h"
#include "tokenizer.h"

enum { WIDTH = 16, STORY_VOCABULARY = 512 };

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

/* A model of random weights with the vocabulary of stories260K. */
static struct checkpoint_weights random_weights(bool head_tied, int vocabulary, uint64_t seed)
{
    struct err err;
    struct model_config c = model_config_default();
    c.layers = 1;
    c.width = WIDTH;
    c.heads = c.kv_heads = 2;
    c.head_dim = 8;
    c.mlp_width = 8;
    c.vocabulary = vocabulary;
    c.context = 32;
    c.head_tied = head_tied;
    struct checkpoint_weights w = {.config = c};
    must(params_init(&w.params, &c, &err), &err);
    struct rng rng = rng_new(seed, "weights");
    for (size_t i = 0; i < model_config_parameters(&c); i++)
        w.params.block[i] = (float)(5 + rng_normal(&rng));
    return w;
}

static struct tokenizer *load_tokenizer(void)
{
    struct err err;
    struct tokenizer *t = NULL;
    must(tokenizer_load(TRIAD_SOURCE_DIR "/tests/golden/stories260K/tokenizer.json", &t, &err),
         &err);
    return t;
}

static const float *row(struct checkpoint_weights *w, enum tensor_role role, int32_t id)
{
    return params_data(&w->params, role, -1) + id * WIDTH;
}

static void test_new_rows_are_the_mean_and_a_little_noise(void **state)
{
    (void)state;
    struct err err;
    static const char *const names[] = {"<s>", "<|new|>", "<|other|>", "<|new|>"};
    struct tokenizer *t = load_tokenizer();
    struct checkpoint_weights w = random_weights(false, STORY_VOCABULARY, 1);
    float first = row(&w, TENSOR_EMBEDDING, 0)[0];
    float norm = params_data(&w.params, TENSOR_FINAL_NORM, -1)[3];
    double mean = 0;
    for (int32_t id = 0; id < STORY_VOCABULARY; id++)
        mean += (double)row(&w, TENSOR_HEAD, id)[2] / STORY_VOCABULARY;
    struct strbuf added = {0};
    must(special_tokens_append(&w, t, names, 4, 9, &added, &err), &err);
    assert_string_equal(added.data, "<|new|>\n<|other|>\n");
    assert_int_equal(w.config.vocabulary, STORY_VOCABULARY + 2);
    assert_int_equal(tokenizer_special(t, "<|new|>"), 512);
    assert_true(row(&w, TENSOR_EMBEDDING, 0)[0] == first);
    assert_true(params_data(&w.params, TENSOR_FINAL_NORM, -1)[3] == norm);
    assert_true(fabs((double)row(&w, TENSOR_HEAD, 512)[2] - mean) < 0.06);
    assert_true(row(&w, TENSOR_HEAD, 512)[2] != row(&w, TENSOR_HEAD, 513)[2]);
    /* Nothing is missing now, so nothing changes. */
    strbuf_clear(&added);
    must(special_tokens_append(&w, t, names, 4, 9, &added, &err), &err);
    assert_int_equal(added.len, 0);
    assert_int_equal(w.config.vocabulary, STORY_VOCABULARY + 2);
    strbuf_release(&added);
    checkpoint_weights_release(&w);
    tokenizer_free(t);
}

static void test_noise_depends_on_seed_and_text_only(void **state)
{
    (void)state;
    struct err err;
    static const char *const ab[] = {"<|a|>", "<|b|>"};
    static const char *const b[] = {"<|b|>"};
    float values[3];
    for (int i = 0; i < 3; i++) {
        struct tokenizer *t = load_tokenizer();
        struct checkpoint_weights w = random_weights(true, STORY_VOCABULARY, 1);
        struct strbuf added = {0};
        const char *const *names = i == 0 ? ab : b;
        must(special_tokens_append(&w, t, names, i == 0 ? 2 : 1, i == 2 ? 10 : 9, &added, &err),
             &err);
        values[i] = row(&w, TENSOR_EMBEDDING, tokenizer_special(t, "<|b|>"))[0];
        strbuf_release(&added);
        checkpoint_weights_release(&w);
        tokenizer_free(t);
    }
    assert_true(values[0] == values[1]);
    assert_true(values[0] != values[2]);
}

/* Gemma 3's text-only models: their tokenizer knows a special token that has no row. */
static void test_special_tokens_at_the_end_may_lack_rows(void **state)
{
    (void)state;
    struct err err;
    static const char *const image[] = {"<|image|>"}, *const added[] = {"<|new|>"};
    struct tokenizer *t = load_tokenizer();
    struct checkpoint_weights w = random_weights(false, STORY_VOCABULARY, 1);
    struct strbuf names = {0};
    int32_t id = 0;
    assert_true(special_tokens_fit(t, STORY_VOCABULARY));
    assert_false(special_tokens_fit(t, STORY_VOCABULARY - 1));
    must(tokenizer_add_special(t, image[0], &id, &err), &err);
    assert_true(special_tokens_fit(t, STORY_VOCABULARY));
    struct special_tokens_side side = {&w, t};
    assert_int_equal(special_tokens_copy(side, side, image, 1, &names, &err), ERR_INVALID);
    must(special_tokens_copy(side, side, NULL, 0, &names, &err), &err);
    assert_null(strstr(strbuf_text(&names), image[0]));
    /* A further one gets its row, and so does the first. */
    must(special_tokens_append(&w, t, added, 1, 9, &names, &err), &err);
    assert_int_equal(w.config.vocabulary, STORY_VOCABULARY + 2);
    assert_true(row(&w, TENSOR_EMBEDDING, STORY_VOCABULARY)[0] != 0);
    assert_true(row(&w, TENSOR_HEAD, STORY_VOCABULARY + 1)[0] != 0);
    strbuf_release(&names);
    checkpoint_weights_release(&w);
    tokenizer_free(t);
}

static void test_rows_of_a_padded_vocabulary_are_used_first(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = load_tokenizer();
    struct checkpoint_weights w = random_weights(true, 520, 1);
    struct strbuf added = {0};
    must(special_tokens_append(&w, t, (const char *const[]){"<|a|>"}, 1, 9, &added, &err), &err);
    assert_int_equal(w.config.vocabulary, 520);
    assert_int_equal(tokenizer_special(t, "<|a|>"), 512);
    struct checkpoint_weights small = random_weights(true, 500, 1);
    assert_int_equal(
        special_tokens_append(&small, t, (const char *const[]){"<|b|>"}, 1, 9, &added, &err),
        ERR_INVALID);
    assert_int_equal(special_tokens_append(&w, t, (const char *const[]){"<|b|>", "\u2581the"}, 2, 9,
                                           &added, &err),
                     ERR_CONFLICT);
    assert_int_equal(tokenizer_special(t, "<|b|>"), TOKEN_NONE); /* nothing changed */
    strbuf_release(&added);
    checkpoint_weights_release(&small);
    checkpoint_weights_release(&w);
    tokenizer_free(t);
}

static void test_rows_are_copied_by_text(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *to_tokenizer = load_tokenizer();
    struct tokenizer *from_tokenizer = load_tokenizer();
    struct checkpoint_weights to = random_weights(false, STORY_VOCABULARY, 1);
    struct checkpoint_weights from = random_weights(true, STORY_VOCABULARY, 2);
    struct strbuf out = {0};
    must(special_tokens_append(&to, to_tokenizer, (const char *const[]){"<|a|>", "<|b|>"}, 2, 9,
                               &out, &err),
         &err);
    must(special_tokens_append(&from, from_tokenizer, (const char *const[]){"<|b|>"}, 1, 9, &out,
                               &err),
         &err);
    strbuf_clear(&out);
    struct special_tokens_side to_side = {&to, to_tokenizer};
    struct special_tokens_side from_side = {&from, from_tokenizer};
    assert_int_equal(
        special_tokens_copy(to_side, from_side, (const char *const[]){"<|a|>"}, 1, &out, &err),
        ERR_INVALID);
    must(special_tokens_copy(to_side, from_side, (const char *const[]){"<|b|>"}, 1, &out, &err),
         &err);
    assert_string_equal(out.data, "<|b|> (id 513, there 512)\n");
    const float *source = row(&from, TENSOR_EMBEDDING, 512);
    assert_memory_equal(row(&to, TENSOR_EMBEDDING, 513), source, WIDTH * sizeof(float));
    assert_memory_equal(row(&to, TENSOR_HEAD, 513), source, WIDTH * sizeof(float));
    assert_memory_not_equal(row(&to, TENSOR_EMBEDDING, 1), row(&from, TENSOR_EMBEDDING, 1),
                            WIDTH * sizeof(float));
    strbuf_clear(&out);
    must(special_tokens_copy(to_side, from_side, NULL, 0, &out, &err), &err);
    assert_string_equal(out.data, "<unk>\n<s>\n</s>\n<|b|> (id 513, there 512)\n");
    assert_memory_equal(row(&to, TENSOR_EMBEDDING, 1), row(&from, TENSOR_EMBEDDING, 1),
                        WIDTH * sizeof(float));
    strbuf_release(&out);
    checkpoint_weights_release(&to);
    checkpoint_weights_release(&from);
    tokenizer_free(to_tokenizer);
    tokenizer_free(from_tokenizer);
}

/* As Gemma 3's smallest: one special token of the file has no row in the model. */
static void test_a_special_token_without_a_row_is_in_nobodys_way(void **state)
{
    (void)state;
    struct err err;
    int32_t id = 0;
    static const char *const without[] = {"<|no row|>"};
    static const char *const next[] = {"<|next|>"};
    struct tokenizer *t = load_tokenizer();
    must(tokenizer_add_special(t, without[0], &id, &err), &err);
    assert_int_equal(id, STORY_VOCABULARY);
    assert_true(special_tokens_fit(t, STORY_VOCABULARY));
    assert_false(special_tokens_fit(t, STORY_VOCABULARY - 1));
    struct checkpoint_weights w = random_weights(true, STORY_VOCABULARY, 1);
    struct checkpoint_weights other = random_weights(true, STORY_VOCABULARY, 2);
    struct special_tokens_side to = {&w, t};
    struct special_tokens_side from = {&other, t};
    struct strbuf out = {0};
    must(special_tokens_copy(to, from, NULL, 0, &out, &err), &err);
    assert_string_equal(out.data, "<unk>\n<s>\n</s>\n");
    assert_int_equal(special_tokens_copy(to, from, without, 1, &out, &err), ERR_INVALID);
    strbuf_clear(&out);
    must(special_tokens_append(&w, t, next, 1, 9, &out, &err), &err);
    assert_string_equal(out.data, "<|next|>\n");
    assert_int_equal(w.config.vocabulary, STORY_VOCABULARY + 2);
    /* The rows begin around 5 (random_weights()); both new ones are filled, not zero. */
    for (int32_t i = STORY_VOCABULARY; i < STORY_VOCABULARY + 2; i++)
        assert_true(fabs((double)row(&w, TENSOR_EMBEDDING, i)[0] - 5) < 1);
    strbuf_release(&out);
    checkpoint_weights_release(&w);
    checkpoint_weights_release(&other);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_rows_are_the_mean_and_a_little_noise),
        cmocka_unit_test(test_noise_depends_on_seed_and_text_only),
        cmocka_unit_test(test_special_tokens_at_the_end_may_lack_rows),
        cmocka_unit_test(test_rows_of_a_padded_vocabulary_are_used_first),
        cmocka_unit_test(test_rows_are_copied_by_text),
        cmocka_unit_test(test_a_special_token_without_a_row_is_in_nobodys_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
