/* The text half of a multimodal checkpoint: its tensors are found under each spelling that
 * transformers has written, the vision half is passed over, and what is wrong is still named. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "file.h"

enum { VISION_ROWS = 3, VISION_COLS = 5 };

static const char wrapper[] =
    "{\"architectures\": [\"Gemma3ForConditionalGeneration\"], \"model_type\": \"gemma3\", "
    "\"eos_token_id\": [1, 6], \"vision_config\": {\"hidden_size\": 5}, "
    "\"text_config\": {\"model_type\": \"gemma3_text\", \"num_hidden_layers\": 3, "
    "\"hidden_size\": 8, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
    "\"head_dim\": 4, \"intermediate_size\": 12, \"vocab_size\": 20, \"sliding_window\": 16, "
    "\"max_position_embeddings\": 64, \"query_pre_attn_scalar\": 4}}";

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

struct folder {
    char path[64];
    struct model_config config;
    struct params params; /* what was written */
};

static void rename_tensor(struct tensor_spec *spec, const char *from, const char *to)
{
    char name[TENSOR_NAME_SIZE];
    if (strncmp(spec->name, from, strlen(from)) != 0)
        return;
    assert_true(snprintf(name, sizeof name, "%s%s", to, spec->name + strlen(from)) <
                (int)sizeof name);
    memcpy(spec->name, name, sizeof name);
}

/* A folder whose tensors begin with `prefix` instead of "model.", a vision tensor of this name
 * among them; `head` also writes a copy of the tied head under that name. */
static void make(struct folder *f, const char *prefix, const char *vision, const char *head)
{
    struct err err;
    char path[128];
    static float pixels[VISION_ROWS * VISION_COLS];
    *f = (struct folder){.path = "/tmp/triad-multimodal-XXXXXX"};
    assert_non_null(mkdtemp(f->path));
    snprintf(path, sizeof path, "%s/config.json", f->path);
    must(file_write_atomic(path, wrapper, strlen(wrapper), 0644, &err), &err);
    must(model_config_parse(&f->config, wrapper, strlen(wrapper), path, &err), &err);
    must(params_init(&f->params, &f->config, &err), &err);
    for (size_t i = 0; i < f->params.element_count; i++)
        f->params.block[i] = (float)i;
    const size_t count = f->params.tensor_count;
    struct tensor_spec *specs = calloc(count + 2, sizeof *specs);
    assert_non_null(specs);
    memcpy(specs, f->params.tensors, count * sizeof *specs);
    for (size_t i = 0; i < count; i++)
        rename_tensor(&specs[i], "model.", prefix);
    specs[count] = (struct tensor_spec){.rows = VISION_ROWS, .cols = VISION_COLS, .data = pixels};
    snprintf(specs[count].name, sizeof specs[count].name, "%s", vision);
    if (head) {
        specs[count + 1] = specs[0];
        snprintf(specs[count + 1].name, sizeof specs[count + 1].name, "%s", head);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", f->path);
    must(safetensors_write(path, specs, count + (head ? 2 : 1), TENSOR_F32, &err), &err);
    free(specs);
}

static void clean(struct folder *f)
{
    struct err err;
    params_release(&f->params);
    must(file_remove_tree(f->path, &err), &err);
}

static void test_both_spellings_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *vision, *head;
    } cases[] = {
        {"language_model.model.", "vision_tower.patch.weight", NULL},
        {"language_model.model.", "multi_modal_projector.mm.weight",
         "language_model.lm_head.weight"},
        {"model.language_model.", "model.vision_tower.patch.weight", "lm_head.weight"},
        {"model.language_model.", "model.multi_modal_projector.mm.weight", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct folder f;
        struct checkpoint_weights weights;
        struct err err;
        make(&f, cases[i].prefix, cases[i].vision, cases[i].head);
        must(checkpoint_weights_load(f.path, &weights, &err), &err);
        assert_int_equal(weights.config.kind, MODEL_GEMMA3);
        assert_int_equal(weights.config.eos_count, 2);
        assert_int_equal(weights.params.element_count, f.params.element_count);
        assert_memory_equal(weights.params.block, f.params.block,
                            f.params.element_count * sizeof(float));
        checkpoint_weights_release(&weights);
        clean(&f);
    }
}

static void test_what_is_neither_half_is_named(void **state)
{
    (void)state;
    struct folder f;
    struct checkpoint *checkpoint = NULL;
    struct err err = {0};
    make(&f, "language_model.model.", "audio_tower.patch.weight", NULL);
    assert_int_equal(checkpoint_open(f.path, &checkpoint, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "audio_tower.patch.weight"));
    clean(&f);
    make(&f, "text_model.", "vision_tower.patch.weight", NULL);
    assert_int_equal(checkpoint_open(f.path, &checkpoint, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "model.embed_tokens.weight"));
    assert_non_null(strstr(err.text, "missing"));
    clean(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_spellings_are_read),
        cmocka_unit_test(test_what_is_neither_half_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
