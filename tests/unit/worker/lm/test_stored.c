/* Weights left as they are stored give the bits of weights that were loaded as float: every family,
 * every type, layers and head converted in turn; whole sequences, the sampler and branches. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "branch.h"
#include "checkpoint.h"
#include "checkpoint_files.h"
#include "file.h"
#include "kernels.h"
#include "model.h"
#include "model_weights.h"
#include "rng.h"
#include "sampler.h"
#include "stored_weights.h"

enum { TOKENS = 90, VOCABULARY = 17011, WIDTH = 256 }; /* more than a panel of the head holds */

static char folder[64];

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/triad-stored-XXXXXX");
    kernel_threads_set(2);
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    struct err err;
    return file_remove_tree(folder, &err) == ERR_OK ? 0 : -1;
}

static struct model_config config_of(enum model_kind kind, bool tied)
{
    struct model_config c = model_config_default();
    c.kind = kind;
    c.layers = 3;
    c.width = WIDTH;
    c.heads = 4;
    c.kv_heads = 2;
    c.head_dim = 32;
    c.mlp_width = 96;
    c.vocabulary = VOCABULARY;
    c.context = 128;
    c.head_tied = tied;
    if (kind == MODEL_GEMMA3) {
        c.window = 16;
        c.window_period = 2;
        c.query_scalar = 32;
        c.rope_local_theta = 10000;
        c.rope_theta = 1e6;
    }
    return c;
}

static const char *path(const char *name)
{
    static char text[200];
    snprintf(text, sizeof text, "%s/%s", folder, name);
    return text;
}

static void write_checkpoint(const struct model_config *config, enum tensor_dtype dtype)
{
    struct err err;
    struct params params;
    struct strbuf text = {0};
    must(params_init(&params, config, &err), &err);
    params_randomize(&params, config, 3, 0.05);
    model_config_print(config, &text);
    must(file_write_atomic(path("config.json"), text.data, text.len, 0644, &err), &err);
    must(safetensors_write(path("model.safetensors"), params.tensors, params.tensor_count, dtype,
                           &err),
         &err);
    strbuf_release(&text);
    params_release(&params);
}

/* The same 16 bits called F16: other numbers, as good as any. */
static void call_it_f16(void)
{
    struct err err;
    char *bytes = NULL;
    size_t len = 0;
    must(file_read(path("model.safetensors"), 0, &bytes, &len, &err), &err);
    for (char *at = bytes; (at = memmem(at, len - (size_t)(at - bytes), "\"BF16\"", 6)) != NULL;)
        memcpy(at, "\"F16\" ", 6);
    must(file_write_atomic(path("model.safetensors"), bytes, len, 0644, &err), &err);
    free(bytes);
}

/* A longer header moves the data to an odd address. */
static void move_by_a_byte(void)
{
    struct err err;
    char *bytes = NULL;
    size_t len = 0;
    uint64_t header;
    must(file_read(path("model.safetensors"), 0, &bytes, &len, &err), &err);
    memcpy(&header, bytes, 8);
    char *moved = malloc(len + 1);
    assert_non_null(moved);
    memcpy(moved, bytes, 8 + header);
    moved[8 + header] = ' ';
    memcpy(moved + 9 + header, bytes + 8 + header, len - 8 - header);
    header++;
    memcpy(moved, &header, 8);
    must(file_write_atomic(path("model.safetensors"), moved, len + 1, 0644, &err), &err);
    free(moved);
    free(bytes);
}

struct numbers {
    struct token_score scores[TOKENS];
    float logits[VOCABULARY];
    struct branch_sum sums[2];
};

static void compute(const struct model *model, struct numbers *out)
{
    struct err err;
    int32_t ids[TOKENS];
    uint8_t losses[TOKENS];
    struct rng rng = rng_new(1, "ids");
    memset(out, 0, sizeof *out);
    memset(losses, 1, sizeof losses);
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (int32_t)rng_below(&rng, VOCABULARY);
    ids[5] = VOCABULARY - 1;

    struct model_capacity capacity = {1, TOKENS, TOKENS, TOKENS};
    struct model_run *run = NULL;
    struct model_sequence sequence = {.ids = ids, .losses = losses, .count = TOKENS};
    must(model_run_new(model, MODEL_SCORE, &capacity, &run, &err), &err);
    model_forward(run, &sequence, 1, out->scores);
    model_run_free(run);

    struct sample_options options = {.temperature = 1, .top_p = 1};
    struct sampler *sampler = NULL;
    must(sampler_new(model, &options, &sampler, &err), &err);
    must(sampler_feed(sampler, ids, 70, &err), &err);
    memcpy(out->logits, sampler_logits(sampler), sizeof out->logits);
    sampler_free(sampler);

    struct branch_capacity room = {.prompt_tokens = 20, .continuation_tokens = 4};
    struct branch_candidate candidates[] = {{ids + 30, 3}, {ids + 40, 2}};
    struct branch *branch = NULL;
    must(branch_new(model, &room, &branch, &err), &err);
    must(branch_prompt(branch, ids, 20, &err), &err);
    must(branch_score(branch, candidates, 2, out->sums, NULL, &err), &err);
    branch_free(branch);
}

static void check_same(const struct model_config *config)
{
    struct err err;
    static struct numbers loaded, mapped;
    struct model *model = NULL;
    must(model_load(folder, &model, &err), &err);
    compute(model, &loaded);
    model_free(model);
    must(model_open(folder, &model, &err), &err);
    compute(model, &mapped);
    assert_true(model_weight_bytes(model) <
                model_config_parameters(config) * sizeof(float) / 2 + ((size_t)70 << 20));
    model_free(model);
    for (int i = 0; i < TOKENS - 1; i++) {
        assert_memory_equal(&loaded.scores[i].nats, &mapped.scores[i].nats, sizeof(double));
        assert_true(loaded.scores[i].nats > 0 && loaded.scores[i].hit == mapped.scores[i].hit);
    }
    assert_memory_equal(loaded.logits, mapped.logits, sizeof loaded.logits);
    for (int i = 0; i < 2; i++)
        assert_memory_equal(&loaded.sums[i].nats, &mapped.sums[i].nats, sizeof(double));
}

static void mapped_weights_give_the_bits_of_loaded_ones(void **state)
{
    (void)state;
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        struct model_config config = config_of((enum model_kind)kind, kind != MODEL_LLAMA);
        write_checkpoint(&config, TENSOR_BF16);
        check_same(&config);
    }
}

/* In bf16 the stored values themselves are the factors, also where no word is aligned. */
static void so_do_products_in_bf16(void **state)
{
    struct model_config config = config_of(MODEL_QWEN3, true);
    (void)state;
    assert_true(kernel_use("packed/bf16"));
    write_checkpoint(&config, TENSOR_BF16);
    check_same(&config);
    move_by_a_byte();
    check_same(&config);
    assert_true(kernel_use("packed/f32"));
    check_same(&config);
}

static void so_do_f16_and_f32_aligned_or_not(void **state)
{
    (void)state;
    struct model_config config = config_of(MODEL_QWEN3, true);
    write_checkpoint(&config, TENSOR_BF16);
    call_it_f16();
    check_same(&config);
    write_checkpoint(&config, TENSOR_F32);
    check_same(&config);
    move_by_a_byte();
    check_same(&config);
}

/* The seam for products in the stored type. */
static void weights_can_be_seen_as_they_are_stored(void **state)
{
    (void)state;
    struct err err;
    struct stored_weights *weights = NULL;
    struct model_config config = config_of(MODEL_GEMMA3, true), read;
    write_checkpoint(&config, TENSOR_BF16);
    must(stored_weights_open(folder, &weights, &read, &err), &err);
    struct weight_view view = stored_weights_view(weights, TENSOR_MLP_UP, 2);
    assert_int_equal(view.dtype, TENSOR_BF16);
    assert_int_equal(view.rows, 96);
    assert_int_equal(view.cols, WIDTH);
    stored_weights_layer(weights, 2, false);
    const float *floats = params_data(stored_weights_params(weights), TENSOR_MLP_UP, 2);
    for (size_t i = 0; i < (size_t)96 * WIDTH; i++) {
        uint16_t bits;
        uint32_t wide;
        memcpy(&bits, (const char *)view.data + 2 * i, 2);
        memcpy(&wide, &floats[i], 4);
        assert_int_equal(wide, (uint32_t)bits << 16);
    }
    stored_weights_close(weights);
}

/* As with weights larger than memory: pages come and go, numbers stay. */
static void streamed_layers_come_back(void **state)
{
    (void)state;
    struct err err;
    struct stored_weights *weights = NULL;
    struct model_config config = config_of(MODEL_QWEN3, true), read;
    static const enum tensor_dtype dtypes[] = {TENSOR_BF16, TENSOR_F32};
    const size_t count = (size_t)96 * WIDTH;
    float *first = malloc(3 * count * sizeof *first);
    assert_non_null(first);
    for (int d = 0; d < 2; d++) {
        write_checkpoint(&config, dtypes[d]);
        must(stored_weights_open(folder, &weights, &read, &err), &err);
        const struct params *params = stored_weights_params(weights);
        for (int pass = 0; pass < 3; pass++) {
            stored_weights_stream(weights, pass > 0);
            for (int layer = 0; layer < 3; layer++) {
                stored_weights_layer(weights, layer, false);
                const float *here = params_data(params, TENSOR_MLP_UP, layer);
                if (pass == 0)
                    memcpy(first + (size_t)layer * count, here, count * sizeof *here);
                assert_memory_equal(first + (size_t)layer * count, here, count * sizeof *here);
            }
        }
        stored_weights_close(weights);
    }
    free(first);
}

static void damaged_weights_are_not_opened(void **state)
{
    (void)state;
    struct err err = {0};
    struct model *model = NULL;
    struct model_config config = config_of(MODEL_LLAMA, true);
    write_checkpoint(&config, TENSOR_BF16);
    char *bytes = NULL;
    size_t len = 0;
    must(file_read(path("model.safetensors"), 0, &bytes, &len, &err), &err);
    bytes[len - 1] = 0x7f; /* the last value of the final norm */
    bytes[len - 2] = (char)0x80;
    must(file_write_atomic(path("model.safetensors"), bytes, len, 0644, &err), &err);
    assert_int_equal(model_open(folder, &model, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "'model.norm.weight'"));
    assert_non_null(strstr(err.text, "row 0, column 255"));
    must(file_write_atomic(path("model.safetensors"), bytes, len - 7, 0644, &err), &err);
    assert_int_equal(model_open(folder, &model, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "model.safetensors"));
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mapped_weights_give_the_bits_of_loaded_ones, begin, end),
        cmocka_unit_test_setup_teardown(so_do_products_in_bf16, begin, end),
        cmocka_unit_test_setup_teardown(so_do_f16_and_f32_aligned_or_not, begin, end),
        cmocka_unit_test_setup_teardown(weights_can_be_seen_as_they_are_stored, begin, end),
        cmocka_unit_test_setup_teardown(streamed_layers_come_back, begin, end),
        cmocka_unit_test_setup_teardown(damaged_weights_are_not_opened, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
