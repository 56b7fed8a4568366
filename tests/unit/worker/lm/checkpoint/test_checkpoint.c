/* worker/lm model_config, tensor_spec, checkpoint: what is refused, and that folders come back. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "file.h"
#include "tokenizer.h"

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

static struct model_config small_config(void)
{
    struct model_config c = model_config_default();
    c.layers = 2;
    c.width = 8;
    c.heads = 4;
    c.kv_heads = 2;
    c.head_dim = 4; /* heads * head_dim differs from width on purpose */
    c.mlp_width = 12;
    c.vocabulary = 1024;
    c.context = 64;
    c.rope_theta = 500000;
    c.head_tied = false;
    c.bos_id = 1;
    c.eos_count = 2;
    c.eos_ids[0] = 2;
    c.eos_ids[1] = 7;
    return c;
}

static void test_config_comes_back(void **state)
{
    (void)state;
    struct err err;
    struct model_config c = small_config();
    struct model_config back;
    struct strbuf text = {0};
    struct strbuf again = {0};
    model_config_print(&c, &text);
    must(model_config_parse(&back, text.data, text.len, "config.json", &err), &err);
    model_config_print(&back, &again);
    assert_string_equal(text.data, again.data);
    assert_int_equal(back.head_dim, 4);
    assert_int_equal(back.eos_ids[1], 7);
    assert_false(back.head_tied);
    assert_true(back.norm_eps == 1e-5);
    strbuf_release(&text);
    strbuf_release(&again);
}

#define SIZES                                                                                      \
    "\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":8,\"num_attention_heads\":"  \
    "4,"                                                                                           \
    "\"intermediate_size\":12,\"vocab_size\":10,\"max_position_embeddings\":64"

static void test_defaults_are_those_of_transformers(void **state)
{
    (void)state;
    struct err err;
    struct model_config c;
    const char *text =
        "{" SIZES ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5e5}}";
    must(model_config_parse(&c, text, strlen(text), "config.json", &err), &err);
    assert_int_equal(c.kv_heads, 4);
    assert_int_equal(c.head_dim, 2);
    assert_false(c.head_tied);
    assert_true(c.norm_eps == 1e-6);
    assert_true(c.rope_theta == 5e5);
    assert_int_equal(c.bos_id, -1);
}

static void test_what_would_change_the_computation_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        const char *says;
    } cases[] = {
        {"\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}", "rope_scaling"},
        {"\"rope_parameters\":{\"rope_type\":\"yarn\"}", "yarn"},
        {"\"attention_bias\":true", "attention_bias"},
        {"\"mlp_bias\":true", "mlp_bias"},
        {"\"sliding_window\":4096", "sliding_window"},
        {"\"hidden_act\":\"gelu\"", "hidden_act"},
        {"\"quantization_config\":{}", "quantization_config"},
        {"\"head_dim\":3", "odd"},
        {"\"num_key_value_heads\":3", "not a multiple"},
        {"\"num_key_value_heads\":0", "between 1 and"},
        {"\"bos_token_id\":10", "outside the vocabulary"},
        {"\"eos_token_id\":[1,10]", "outside the vocabulary"},
        {"\"eos_token_id\":\"</s>\"", "eos_token_id"},
        {"\"rope_theta\":0", "rope_theta"},
        {"\"rms_norm_eps\":\"small\"", "rms_norm_eps"},
        {"\"hidden_size\":8", "duplicate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000];
        struct err err = {0};
        struct model_config c = {.layers = 77};
        snprintf(text, sizeof text, "{" SIZES ",%s}", cases[i].more);
        enum err_code rc = model_config_parse(&c, text, strlen(text), "config.json", &err);
        if (rc == ERR_OK || !strstr(err.text, cases[i].says))
            fail_msg("%s: '%s' does not say '%s'", cases[i].more, err.text, cases[i].says);
        assert_int_equal(c.layers, 77); /* untouched */
    }
    struct err err;
    struct model_config c;
    const char *neutral = "{" SIZES ",\"rope_scaling\":null,\"attention_bias\":false,\"bogus\":1}";
    must(model_config_parse(&c, neutral, strlen(neutral), "config.json", &err), &err);
    const char *other = "{\"model_type\":\"mistral\"}";
    assert_int_equal(model_config_parse(&c, other, strlen(other), "x", &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "mistral"));
    assert_non_null(strstr(err.text, "gemma3_text"));
}

static void test_the_table_names_every_tensor_once(void **state)
{
    (void)state;
    struct model_config c = small_config();
    assert_int_equal(tensor_spec_count(&c), 3 + 2 * 9);
    struct tensor_spec k = tensor_spec_at(&c, 1 + 9 + 2);
    assert_string_equal(k.name, "model.layers.1.self_attn.k_proj.weight");
    assert_int_equal(k.rows, 8);
    assert_int_equal(k.cols, 8);
    assert_string_equal(tensor_spec_at(&c, 20).name, "lm_head.weight");
    /* embedding and head, per layer q o (16 × 8) k v (8 × 8) and three of 12 × 8, norms */
    size_t expected = 2 * 1024 * 8 + 2 * (2 * 128 + 2 * 64 + 3 * 96 + 2 * 8) + 8;
    assert_int_equal(model_config_parameters(&c), expected);
    c.head_tied = true;
    assert_string_equal(tensor_spec_at(&c, 19).name, "model.norm.weight");
    assert_int_equal(model_config_parameters(&c), expected - 1024 * 8);
}

static struct tokenizer *load_tokenizer(void)
{
    struct err err;
    struct tokenizer *t = NULL;
    must(tokenizer_load(TRIAD_SOURCE_DIR "/tests/golden/tokenizer/license-1024.json", &t, &err),
         &err);
    return t;
}

static void write_model(const char *folder, const struct model_config *config,
                        struct checkpoint_weights *weights)
{
    struct err err;
    struct tokenizer *t = load_tokenizer();
    *weights = (struct checkpoint_weights){.config = *config};
    must(params_init(&weights->params, config, &err), &err);
    for (size_t i = 0; i < model_config_parameters(config); i++)
        weights->params.block[i] = (float)i;
    must(checkpoint_write(folder, config, weights->params.tensors, weights->params.tensor_count, t,
                          TENSOR_F32, &err),
         &err);
    tokenizer_free(t);
}

static void test_a_folder_comes_back(void **state)
{
    (void)state;
    struct err err;
    char folder[] = "/tmp/triad-checkpoint-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct model_config c = small_config();
    struct checkpoint_weights written;
    struct checkpoint_weights read;
    write_model(folder, &c, &written);
    must(checkpoint_weights_load(folder, &read, &err), &err);
    assert_memory_equal(read.params.block, written.params.block,
                        model_config_parameters(&c) * sizeof(float));
    struct tokenizer *t = NULL;
    must(tokenizer_load(folder, &t, &err), &err);
    assert_int_equal(tokenizer_bos(t), 1019);
    tokenizer_free(t);
    checkpoint_weights_release(&read);
    checkpoint_weights_release(&written);
    must(file_remove_tree(folder, &err), &err);
}

/* Replace config.json by that of another shape, and see the first tensor that does not fit named.
 */
static void expect_mismatch(const char *folder, const struct model_config *config, const char *says)
{
    struct err err = {0};
    char path[200];
    struct strbuf text = {0};
    struct checkpoint *checkpoint = NULL;
    snprintf(path, sizeof path, "%s/config.json", folder);
    model_config_print(config, &text);
    must(file_write_atomic(path, text.data, text.len, 0644, &err), &err);
    assert_int_equal(checkpoint_open(folder, &checkpoint, &err), ERR_INVALID);
    assert_null(checkpoint);
    if (!strstr(err.text, says))
        fail_msg("'%s' does not say '%s'", err.text, says);
    strbuf_release(&text);
}

static void test_weights_that_do_not_fit_are_named(void **state)
{
    (void)state;
    struct err err;
    char folder[] = "/tmp/triad-checkpoint-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct model_config c = small_config();
    struct checkpoint_weights written;
    write_model(folder, &c, &written);
    struct model_config other = c;
    other.kv_heads = 4;
    expect_mismatch(folder, &other,
                    "tensor 'model.layers.0.self_attn.k_proj.weight' is 8 × 8, but config.json "
                    "makes it 16 × 8");
    other = c;
    other.layers = 3;
    expect_mismatch(folder, &other, "tensor 'model.layers.2.input_layernorm.weight' is missing");
    other = c;
    other.layers = 1;
    expect_mismatch(folder, &other, "tensor 'model.layers.1.input_layernorm.weight' is not part");
    struct tokenizer *t = load_tokenizer();
    other = c;
    other.vocabulary = 1000;
    assert_int_equal(checkpoint_write(folder, &other, written.params.tensors,
                                      written.params.tensor_count, t, TENSOR_F32, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.text, "the tokenizer has 1024 entries, the model 1000"));
    tokenizer_free(t);
    checkpoint_weights_release(&written);
    must(file_remove_tree(folder, &err), &err);
    struct checkpoint *checkpoint = NULL;
    assert_int_equal(checkpoint_open(folder, &checkpoint, &err), ERR_NOT_FOUND);
}

static void test_a_new_model_in_bf16_says_so(void **state)
{
    (void)state;
    struct err err;
    char folder[] = "/tmp/triad-checkpoint-XXXXXX", path[64], *text = NULL;
    size_t len = 0;
    assert_non_null(mkdtemp(folder));
    struct model_config c = small_config();
    struct checkpoint_weights written;
    write_model(folder, &c, &written);
    struct tokenizer *t = load_tokenizer();
    must(checkpoint_write(folder, &c, written.params.tensors, written.params.tensor_count, t,
                          TENSOR_BF16, &err),
         &err);
    struct checkpoint *checkpoint = NULL;
    must(checkpoint_open(folder, &checkpoint, &err), &err);
    assert_int_equal(checkpoint_dtype(checkpoint), TENSOR_BF16);
    snprintf(path, sizeof path, "%s/config.json", folder);
    must(file_read(path, 0, &text, &len, &err), &err);
    assert_non_null(strstr(text, "\"torch_dtype\": \"bfloat16\""));
    free(text);
    checkpoint_close(checkpoint);
    checkpoint_weights_release(&written);
    tokenizer_free(t);
    must(file_remove_tree(folder, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_comes_back),
        cmocka_unit_test(test_defaults_are_those_of_transformers),
        cmocka_unit_test(test_what_would_change_the_computation_is_refused),
        cmocka_unit_test(test_the_table_names_every_tensor_once),
        cmocka_unit_test(test_a_folder_comes_back),
        cmocka_unit_test(test_weights_that_do_not_fit_are_named),
        cmocka_unit_test(test_a_new_model_in_bf16_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
