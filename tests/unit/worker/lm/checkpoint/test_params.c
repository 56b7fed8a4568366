/* The parameter block: names, order, no gaps, and values that depend on seed and name alone. */
#include "params.h"

#include <math.h>
#include <string.h>

#include "cmocka_all.h"

static struct model_config small_config(void)
{
    struct model_config c = model_config_default();
    c.layers = 2;
    c.width = 24;
    c.heads = 4;
    c.kv_heads = 2;
    c.head_dim = 8;
    c.mlp_width = 40;
    c.vocabulary = 61;
    c.context = 32;
    return c;
}

static void tensors_lie_in_one_block_without_gaps(void **state)
{
    (void)state;
    struct model_config config = small_config();
    struct params p;
    struct err err;
    assert_int_equal(params_init(&p, &config, &err), ERR_OK);
    const float *next = p.block;
    for (size_t i = 0; i < p.tensor_count; i++) {
        assert_ptr_equal(p.tensors[i].data, next);
        next += tensor_spec_elements(&p.tensors[i]);
    }
    assert_int_equal(next - p.block, p.element_count);
    assert_int_equal(p.element_count, model_config_parameters(&config));
    assert_ptr_equal(params_data(&p, TENSOR_ATTN_K, 1),
                     params_data(&p, TENSOR_ATTN_Q, 1) + 4 * 8 * 24);
    params_release(&p);
}

static void random_values_have_the_asked_spread(void **state)
{
    (void)state;
    struct model_config config = small_config();
    struct params p;
    struct err err;
    assert_int_equal(params_init(&p, &config, &err), ERR_OK);
    params_randomize(&p, &config, 42, 0.02);
    const struct tensor_spec *up = params_tensor(&p, TENSOR_MLP_UP, 1);
    const struct tensor_spec *down = params_tensor(&p, TENSOR_MLP_DOWN, 1);
    double up_squares = 0, down_squares = 0;
    for (int i = 0; i < 960; i++) {
        up_squares += (double)up->data[i] * (double)up->data[i];
        down_squares += (double)down->data[i] * (double)down->data[i];
    }
    /* 960 squares: the root's standard error is 2.3 %. */
    assert_true(fabs(sqrt(up_squares / 960) / 0.02 - 1) < 0.1);
    assert_true(fabs(sqrt(down_squares / 960) / 0.01 - 1) < 0.1); /* 1 / sqrt(2 * 2 layers) */
    for (int i = 0; i < 24; i++)
        assert_true(params_data(&p, TENSOR_FINAL_NORM, -1)[i] == 1.0f);
    params_release(&p);
}

static void values_depend_on_seed_and_name_alone(void **state)
{
    (void)state;
    struct model_config config = small_config(), deeper = small_config();
    deeper.head_tied = false;
    struct params p, q, other;
    struct err err;
    assert_int_equal(params_init(&p, &config, &err), ERR_OK);
    assert_int_equal(params_init(&q, &deeper, &err), ERR_OK);
    assert_int_equal(params_init(&other, &config, &err), ERR_OK);
    params_randomize(&p, &config, 42, 0.02);
    params_randomize(&q, &deeper, 42, 0.02);
    params_randomize(&other, &config, 43, 0.02);
    size_t bytes = 24 * 61 * sizeof(float);
    assert_memory_equal(p.block, q.block, bytes);
    assert_memory_not_equal(p.block, other.block, bytes);
    assert_memory_not_equal(params_data(&q, TENSOR_HEAD, -1), q.block, bytes);
    params_release(&other);
    params_release(&q);
    params_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_lie_in_one_block_without_gaps),
        cmocka_unit_test(random_values_have_the_asked_spread),
        cmocka_unit_test(values_depend_on_seed_and_name_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
