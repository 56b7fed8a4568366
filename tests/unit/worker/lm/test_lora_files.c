/* Adapters in files: against PEFT's names, merged against applied, and what is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "file.h"
#include "lora_golden.h"
#include "peft.h"

static void merging_gives_what_the_adapter_gave(void **state)
{
    (void)state;
    for (size_t k = 0; k < LORA_GOLDEN_CASES; k++) {
        static const uint32_t which[3] = {1, 4, 6};
        char folder[] = "/tmp/test_lora.XXXXXX";
        struct lora_golden g;
        struct params gradients;
        struct err err;
        struct strbuf done = {0};
        assert_non_null(mkdtemp(folder));
        lora_golden_load(&g, lora_golden_cases[k]);
        /* Something in embedding and head that an adapter's file must carry. */
        for (size_t i = g.adapter.own.tensor_count; i < g.adapter.trained.tensor_count; i++)
            g.adapter.trained.tensors[i].data[5] = 0.5f;
        const bool tied = model_shape(g.model)->head_tied;
        if (peft_write(folder, "", &g.adapter, tied, "some/base", &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(params_init_like(&gradients, &g.adapter.trained, &err), ERR_OK);
        double adapted = lora_golden_loss(&g, which, 3, 0, &gradients, NULL);

        /* By somebody else's reader of the same folder, on the model as it was. */
        struct model *other = golden_model(&g.base);
        struct checkpoint_weights weights = {.config = *model_shape(other),
                                             .params = *model_params(other)};
        if (peft_merge(folder, &weights, &done, &err) != ERR_OK)
            fail_msg("%s", err.text);
        adapter_merge(&g.adapter, model_params(g.model));
        assert_memory_equal(weights.params.block, model_weights(g.model)->block,
                            weights.params.element_count * sizeof(float));
        assert_non_null(strstr(done.data, "model.layers.0.self_attn."));
        /* B at zero: the adapter does nothing, the merged weights do it all. */
        for (size_t i = 1; i < g.adapter.own.tensor_count; i += 2)
            memset(g.adapter.own.tensors[i].data, 0,
                   tensor_spec_elements(&g.adapter.own.tensors[i]) * sizeof(float));
        double merged = lora_golden_loss(&g, which, 3, 0, &gradients, NULL);
        assert_true(fabs(merged / adapted - 1) < 1e-5);
        strbuf_release(&done);
        params_release(&gradients);
        model_free(other);
        lora_golden_release(&g);
        assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
    }
}

static void files_have_the_names_that_peft_expects(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_lora.XXXXXX", path[128], *text = NULL;
    size_t len = 0;
    struct lora_golden g;
    struct safetensors *file = NULL;
    struct peft_config config;
    struct err err;
    assert_non_null(mkdtemp(folder));
    lora_golden_load(&g, "qwen3-paper");
    assert_int_equal(peft_write(folder, "lora_", &g.adapter, true, NULL, &err), ERR_OK);
    snprintf(path, sizeof path, "%s/lora_adapter_model.safetensors", folder);
    assert_int_equal(safetensors_open(path, &file, &err), ERR_OK);
    static const struct {
        const char *name;
        int rows, cols;
    } expected[] = {
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 4, 20},
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", 32, 4},
        {"base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight", 16, 4},
        {"base_model.model.model.embed_tokens.weight", 53, 20},
        {"base_model.model.lm_head.weight", 53, 20}, /* tied: PEFT would part them otherwise */
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct tensor_view *view = safetensors_find(file, expected[i].name);
        assert_non_null(view);
        assert_int_equal(view->shape[0], expected[i].rows);
        assert_int_equal(view->shape[1], expected[i].cols);
    }
    assert_int_equal(safetensors_count(file), 2 * 2 * 2 + 2);
    safetensors_close(file);
    snprintf(path, sizeof path, "%s/lora_adapter_config.json", folder);
    assert_int_equal(file_read(path, 0, &text, &len, &err), ERR_OK);
    json_t *root = json_loadb(text, len, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "peft_type")), "LORA");
    assert_int_equal(json_integer_value(json_object_get(root, "r")), 4);
    assert_true(json_number_value(json_object_get(root, "lora_alpha")) == 2);
    assert_int_equal(json_array_size(json_object_get(root, "target_modules")), 2);
    assert_int_equal(json_array_size(json_object_get(root, "modules_to_save")), 2);
    json_decref(root);
    assert_int_equal(peft_config_parse(&config, text, len, path, &err), ERR_OK);
    assert_int_equal(config.rank, 4);
    free(text);
    lora_golden_release(&g);
    assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
}

static void what_cannot_be_merged_exactly_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } wrong[] = {
        {"{\"peft_type\":\"LOHA\",\"r\":2,\"lora_alpha\":4}", "'peft_type' is LOHA"},
        {"{\"peft_type\":\"LORA\",\"lora_alpha\":4}", "'r'"},
        {"{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"bias\":\"all\"}", "'bias' is 'all'"},
        {"{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"use_dora\":true}",
         "'use_dora' is set"},
        {"{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"rank_pattern\":{\"a\":1}}",
         "'rank_pattern' is set"},
        {"{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"init_lora_weights\":\"pissa_niter_"
         "4\"}",
         "'init_lora_weights' is 'pissa_niter_4'"},
        {"{\"peft_type\":\"LORA\",\"r\":0,\"lora_alpha\":4}", "'r'"},
        {"[]", "object"},
    };
    struct peft_config config;
    struct err err;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_true(peft_config_parse(&config, wrong[i].text, strlen(wrong[i].text), "c.json",
                                      &err) != ERR_OK);
        if (!strstr(err.text, wrong[i].error))
            fail_msg("%s", err.text);
    }
    static const char gaussian[] =
        "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"init_lora_weights\":\"gaussian\"}";
    assert_int_equal(peft_config_parse(&config, gaussian, strlen(gaussian), "c.json", &err),
                     ERR_OK);
    /* An adapter for another model. */
    char folder[] = "/tmp/test_lora.XXXXXX";
    struct lora_golden small, large;
    struct strbuf done = {0};
    assert_non_null(mkdtemp(folder));
    lora_golden_load(&small, "qwen3-paper");
    lora_golden_load(&large, "llama-all");
    assert_int_equal(peft_write(folder, "", &large.adapter, false, NULL, &err), ERR_OK);
    struct checkpoint_weights weights = {.config = *model_shape(small.model),
                                         .params = *model_params(small.model)};
    assert_int_equal(peft_merge(folder, &weights, &done, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "do not fit"));
    assert_int_equal(peft_read(folder, &small.adapter, &err), ERR_CORRUPT);
    strbuf_release(&done);
    lora_golden_release(&small);
    lora_golden_release(&large);
    assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
}

static void impossible_adapters_are_refused(void **state)
{
    (void)state;
    struct golden g;
    struct adapter adapter;
    struct err err;
    golden_load(&g, "llama-tied");
    struct model *model = golden_model(&g);
    struct adapter_config good = {.rank = 2, .alpha = 4, .targets = {[ADAPTER_Q] = true}};
    struct adapter_config wrong[4] = {good, good, good, good};
    wrong[0].rank = 0;
    wrong[1].targets[ADAPTER_Q] = false;
    wrong[2].dropout = 1;
    wrong[3].alpha = NAN;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(
            adapter_init(&adapter, &wrong[i], &g.config, model_weights(model), 1, &err),
            ERR_INVALID);
    /* A fresh adapter leaves the model as it is: B is zero, A is not. */
    assert_int_equal(adapter_init(&adapter, &good, &g.config, model_weights(model), 1, &err),
                     ERR_OK);
    struct model *before = golden_model(&g);
    adapter_merge(&adapter, model_params(model));
    assert_memory_equal(model_weights(model)->block, model_weights(before)->block,
                        model_weights(model)->element_count * sizeof(float));
    float largest = 0;
    for (size_t i = 0; i < adapter.own.element_count; i++)
        largest = fmaxf(largest, fabsf(adapter.own.block[i]));
    assert_true(largest > 0.1f && largest <= 1 / sqrtf(20) + 1e-6f);
    adapter_release(&adapter);
    model_free(before);
    model_free(model);
    golden_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_gives_what_the_adapter_gave),
        cmocka_unit_test(files_have_the_names_that_peft_expects),
        cmocka_unit_test(what_cannot_be_merged_exactly_is_refused),
        cmocka_unit_test(impossible_adapters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
