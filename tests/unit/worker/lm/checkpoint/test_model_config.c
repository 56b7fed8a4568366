/* config.json of the three families as published (tests/golden/configs): what is read, that it
 * comes back when printed, and what is refused. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "model_family.h"
#include "str.h"

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

static char *read_config(const char *name, size_t *len)
{
    char path[512], *text = NULL;
    struct err err;
    snprintf(path, sizeof path, TRIAD_SOURCE_DIR "/tests/golden/configs/%s.json", name);
    must(file_read(path, 0, &text, len, &err), &err);
    return text;
}

static struct model_config parse_file(const char *name)
{
    size_t len = 0;
    struct model_config config;
    struct err err;
    char *text = read_config(name, &len);
    must(model_config_parse(&config, text, len, name, &err), &err);
    free(text);
    return config;
}

/* The numbers of parameters are those that the makers publish (Gemma's 4B: its text half). */
static void test_published_models(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum model_kind kind;
        size_t parameters;
        int head_dim, kv_heads, eos_count, windowed;
        double scale;
    } cases[] = {
        {"llama3.2-1b", MODEL_LLAMA, 1235814400, 64, 8, 3, 0, 64},
        {"llama3.1-8b", MODEL_LLAMA, 8030261248, 128, 8, 1, 0, 128},
        {"qwen3-0.6b", MODEL_QWEN3, 596049920, 128, 8, 1, 0, 128},
        {"qwen3-8b", MODEL_QWEN3, 8190735360, 128, 8, 1, 0, 128},
        {"gemma3-1b", MODEL_GEMMA3, 999885952, 256, 1, 2, 22, 256},
        {"gemma3-1b-v5", MODEL_GEMMA3, 999885952, 256, 1, 2, 22, 256},
        {"gemma3-4b", MODEL_GEMMA3, 3880263168, 256, 4, 2, 29, 256},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct model_config c = parse_file(cases[i].name);
        int windowed = 0;
        for (int layer = 0; layer < c.layers; layer++)
            windowed += model_layer_is_windowed(&c, layer);
        assert_int_equal(c.kind, cases[i].kind);
        assert_int_equal(model_config_parameters(&c), cases[i].parameters);
        assert_int_equal(c.head_dim, cases[i].head_dim);
        assert_int_equal(c.kv_heads, cases[i].kv_heads);
        assert_int_equal(c.eos_count, cases[i].eos_count);
        assert_int_equal(windowed, cases[i].windowed);
        assert_true(fabs(model_config_score_scale(&c) - 1 / sqrt(cases[i].scale)) < 1e-15);
    }
    const struct model_config four = parse_file("gemma3-4b");
    assert_int_equal(four.rope_scaling, ROPE_LINEAR);
    assert_true(four.rope_factor == 8 && four.rope_theta == 1e6 && four.rope_local_theta == 1e4);
    assert_int_equal(four.window, 1024);
    assert_int_equal(four.bos_id, 2);
    assert_int_equal(four.eos_ids[1], 106);
    assert_true(four.head_tied);
    const struct model_config one = parse_file("llama3.2-1b");
    assert_int_equal(one.rope_scaling, ROPE_LLAMA3);
    assert_true(one.rope_factor == 32 && one.rope_low_factor == 1 && one.rope_high_factor == 4);
    assert_int_equal(one.rope_original_context, 8192);
}

static bool same(const struct model_config *a, const struct model_config *b)
{
    struct strbuf x = {0}, y = {0};
    model_config_print(a, &x);
    model_config_print(b, &y);
    const bool equal = strcmp(strbuf_text(&x), strbuf_text(&y)) == 0;
    strbuf_release(&x);
    strbuf_release(&y);
    return equal;
}

static void test_configs_come_back(void **state)
{
    (void)state;
    static const char *const names[] = {"llama3.2-1b", "llama3.1-8b", "qwen3-0.6b",
                                        "qwen3-8b",    "gemma3-1b",   "gemma3-4b"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct model_config c = parse_file(names[i]);
        struct strbuf text = {0};
        struct model_config back;
        struct err err;
        model_config_print(&c, &text);
        must(model_config_parse(&back, text.data, text.len, "printed", &err), &err);
        assert_true(same(&c, &back));
        assert_int_equal(back.rope_scaling, c.rope_scaling);
        assert_int_equal(back.window_period, c.window_period);
        strbuf_release(&text);
    }
    /* Both spellings of one model are one configuration; no bos and no eos stay none. */
    struct model_config old = parse_file("gemma3-1b"), new = parse_file("gemma3-1b-v5");
    assert_true(same(&old, &new));
    old.bos_id = -1;
    old.eos_count = 0;
    struct strbuf text = {0};
    struct err err;
    model_config_print(&old, &text);
    must(model_config_parse(&new, text.data, text.len, "printed", &err), &err);
    assert_int_equal(new.bos_id, -1);
    assert_int_equal(new.eos_count, 0);
    strbuf_release(&text);
}

/* The text of a published file with `from` replaced by `to`. */
static struct strbuf changed_config(const char *name, const char *from, const char *to)
{
    size_t len = 0;
    struct strbuf changed = {0};
    char *text = read_config(name, &len);
    size_t at = 0;
    while (at < len && strncmp(text + at, from, strlen(from)) != 0)
        at++;
    assert_true(at < len);
    strbuf_append(&changed, text, at);
    strbuf_puts(&changed, to);
    strbuf_puts(&changed, text + at + strlen(from));
    free(text);
    return changed;
}

/* A published file with one key set to something else. */
static void test_what_is_not_computed_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *from, *to, *says;
    } cases[] = {
        {"gemma3-1b", "\"attn_logit_softcapping\": null", "\"attn_logit_softcapping\": 50.0",
         "attn_logit_softcapping"},
        {"gemma3-1b", "\"final_logit_softcapping\": null", "\"final_logit_softcapping\": 30.0",
         "final_logit_softcapping"},
        {"gemma3-1b", "gelu_pytorch_tanh", "gelu", "hidden_activation"},
        {"gemma3-1b", "\"sliding_window_pattern\": 6", "\"sliding_window_pattern\": 0",
         "sliding_window_pattern"},
        {"gemma3-1b", "\"rope_local_base_freq\": 10000", "\"rope_local_base_freq\": 0",
         "rope_local_base_freq"},
        {"gemma3-1b", "\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"yarn\"}",
         "rope_scaling"},
        {"gemma3-1b-v5", "\"use_bidirectional_attention\": false",
         "\"use_bidirectional_attention\": true", "use_bidirectional_attention"},
        {"gemma3-1b-v5", "[\"sliding_attention\"", "[\"full_attention\"", "layer_types"},
        {"gemma3-1b-v5",
         "\"sliding_attention\": {\"rope_theta\": 10000, \"rope_type\": \"default\"",
         "\"sliding_attention\": {\"rope_theta\": 10000, \"rope_type\": \"linear\"", "linear"},
        {"gemma3-4b", "\"text_config\"", "\"text\"", "text_config"},
        {"gemma3-4b", "\"num_hidden_layers\": 34", "\"num_hidden_layers\": 0", "num_hidden_layers"},
        {"qwen3-0.6b", "\"use_sliding_window\": false", "\"use_sliding_window\": true",
         "use_sliding_window"},
        {"qwen3-0.6b", "\"attention_bias\": false", "\"attention_bias\": true", "attention_bias"},
        {"qwen3-0.6b", "\"rope_scaling\": null",
         "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0}", "dynamic"},
        {"qwen3-8b", "[\"full_attention\"", "[\"sliding_attention\"", "layer_types"},
        {"llama3.2-1b", "\"low_freq_factor\": 1.0,", "", "low_freq_factor"},
        {"llama3.2-1b", "\"low_freq_factor\": 1.0", "\"low_freq_factor\": 4.0", "low_freq_factor"},
        {"llama3.2-1b", "\"factor\": 32.0", "\"factor\": 0.5", "factor"},
        {"llama3.2-1b", "\"model_type\": \"llama\"", "\"model_type\": \"gemma2\"", "gemma2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        struct model_config c;
        struct strbuf changed = changed_config(cases[i].name, cases[i].from, cases[i].to);
        const enum err_code rc =
            model_config_parse(&c, changed.data, changed.len, cases[i].name, &err);
        if (rc != ERR_INVALID || !strstr(err.text, cases[i].says))
            fail_msg("case %zu: '%s' does not say '%s'", i, err.text, cases[i].says);
        strbuf_release(&changed);
    }
}

/* sqrt(1152) is 33.94, and 34 in bf16. */
static void test_embedding_scale_is_rounded(void **state)
{
    (void)state;
    const struct model_config gemma = parse_file("gemma3-1b"), qwen = parse_file("qwen3-0.6b");
    assert_true(model_embedding_scale(&gemma) == 34.0);
    assert_true(model_embedding_scale(&qwen) == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_models),
        cmocka_unit_test(test_configs_come_back),
        cmocka_unit_test(test_what_is_not_computed_is_refused),
        cmocka_unit_test(test_embedding_scale_is_rounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
