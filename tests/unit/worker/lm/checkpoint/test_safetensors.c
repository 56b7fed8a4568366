/* worker/lm safetensors: numbers converted by hand-computed bits, and headers that lie. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "safetensors.h"
#include "str.h"

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

/* A file made of this header and `data_len` bytes of data, the first of which are given. */
static struct strbuf make_file(const char *header, const void *data, size_t data_len)
{
    struct strbuf file = {0};
    uint64_t len = strlen(header);
    strbuf_append(&file, &len, 8);
    strbuf_puts(&file, header);
    strbuf_append(&file, data, data_len);
    return file;
}

static void test_types_convert_exactly(void **state)
{
    (void)state;
    struct err err;
    static const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x8000};
    static const float expected[] = {1, -2, 0x1p-24f, 65504, INFINITY, -INFINITY, NAN, -0.0f};
    struct strbuf file =
        make_file("{\"h\":{\"dtype\":\"F16\",\"shape\":[2,4],\"data_offsets\":[0,16]},\"b\":{"
                  "\"dtype\":\"BF16\","
                  "\"shape\":[1],\"data_offsets\":[16,18]},\"i\":{\"dtype\":\"I16\",\"shape\":[],"
                  "\"data_offsets\":[18,20]}}",
                  half, 16);
    strbuf_append(&file, "\x80\xbf\0\0", 4); /* bf16 -1 */
    struct safetensors *st = NULL;
    must(safetensors_open_memory(file.data, file.len, "made", &st, &err), &err);
    assert_int_equal(safetensors_count(st), 3);
    float values[8];
    must(tensor_view_read_f32(safetensors_find(st, "h"), values, &err), &err);
    for (int i = 0; i < 8; i++) {
        if (isnan(expected[i]))
            assert_true(isnan(values[i]));
        else
            assert_memory_equal(&values[i], &expected[i], 4);
    }
    must(tensor_view_read_f32(safetensors_find(st, "b"), values, &err), &err);
    assert_true(values[0] == -1.0f);
    assert_int_equal(tensor_view_read_f32(safetensors_find(st, "i"), values, &err), ERR_INVALID);
    assert_null(safetensors_find(st, "x"));
    safetensors_close(st);
    strbuf_release(&file);
}

struct liar {
    const char *header;
    const char *says;
};

static void test_headers_that_lie_are_refused(void **state)
{
    (void)state;
#define A "{\"a\":{\"dtype\":\"F32\",\"shape\":"
    static const struct liar liars[] = {
        {A "[2],\"data_offsets\":[0,8]}}", "belong to no tensor"}, /* 4 bytes too few */
        {A "[4],\"data_offsets\":[0,16]}}", "outside"},
        {A "[3],\"data_offsets\":[-4,8]}}", "outside"},
        {A "[3],\"data_offsets\":[8,4]}}", "outside"},
        {A "[2],\"data_offsets\":[0,12]}}", "elements"},
        {A "[-3],\"data_offsets\":[0,12]}}", "shape"},
        {A "[1.5],\"data_offsets\":[0,12]}}", "shape"},
        {A "[4294967296,4294967296,4294967296],\"data_offsets\":[0,12]}}", "shape"},
        {A "[4611686018427387904],\"data_offsets\":[0,0]}}", "elements"},
        {A "[1,1,1,1,1,1,1,1,3],\"data_offsets\":[0,12]}}", "shape"},
        {A "[3],\"data_offsets\":[0]}}", "data_offsets"},
        {A "[3],\"data_offsets\":\"x\"}}", "data_offsets"},
        {A "[3]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[3],\"data_offsets\":[0,12]}}", "dtype"},
        {"{\"a\":{\"shape\":[3],\"data_offsets\":[0,12]}}", "dtype"},
        {"{\"a\":7}", "dtype"},
        {A "[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":"
           "[4,12]}}",
         "overlaps"},
        {A "[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":"
           "[8,12]}}",
         "gap"},
        {A "[3],\"data_offsets\":[0,12]},\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":"
           "[0,12]}}",
         "duplicate"},
        {"[]", "not an object"},
        {"{", "parse"},
    };
#undef A
    for (size_t i = 0; i < sizeof liars / sizeof *liars; i++) {
        struct strbuf file = make_file(liars[i].header, "0123456789ab", 12);
        struct err err = {0};
        struct safetensors *st = NULL;
        assert_int_equal(safetensors_open_memory(file.data, file.len, "liar", &st, &err),
                         ERR_CORRUPT);
        assert_null(st);
        if (!strstr(err.text, liars[i].says))
            fail_msg("%s: '%s' does not say '%s'", liars[i].header, err.text, liars[i].says);
        strbuf_release(&file);
    }
}

static void test_header_lengths_that_lie_are_refused(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {3, 100000001, UINT64_MAX, UINT64_MAX - 7, 1ull << 63};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char file[10] = "........{}";
        memcpy(file, &lengths[i], 8);
        struct err err = {0};
        struct safetensors *st = NULL;
        assert_int_equal(safetensors_open_memory(file, sizeof file, "liar", &st, &err),
                         ERR_CORRUPT);
        assert_non_null(strstr(err.text, "the header claims"));
        assert_int_equal(safetensors_open_memory(file, i, "liar", &st, &err), ERR_CORRUPT);
    }
}

static struct tensor_spec spec_of(const char *name, int rows, int cols, float *data)
{
    struct tensor_spec spec = {.rows = rows, .cols = cols, .is_vector = rows == 1, .data = data};
    snprintf(spec.name, sizeof spec.name, "%s", name);
    return spec;
}

static void test_written_files_read_back(void **state)
{
    (void)state;
    struct err err;
    char folder[] = "/tmp/triad-safetensors-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[100];
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    float a[6] = {1, -2, 3.25f, NAN, INFINITY, 1e-40f};
    float b[3] = {0x1.01p0f, 0x1.03p0f, 0x1.fffffep127f}; /* ties to even; rounds to infinity */
    struct tensor_spec specs[] = {spec_of("a", 2, 3, a), spec_of("b", 1, 3, b)};
    must(safetensors_write(path, specs, 2, TENSOR_F32, &err), &err);
    struct safetensors *st = NULL;
    must(safetensors_open(path, &st, &err), &err);
    assert_int_equal(safetensors_at(st, 1)->dims, 1);
    float values[6];
    must(tensor_view_read_f32(safetensors_find(st, "a"), values, &err), &err);
    assert_memory_equal(values, a, sizeof a);
    safetensors_close(st);
    must(safetensors_write(path, specs, 2, TENSOR_BF16, &err), &err);
    must(safetensors_open(path, &st, &err), &err);
    must(tensor_view_read_f32(safetensors_find(st, "b"), values, &err), &err);
    assert_true(values[0] == 0x1p0f);    /* half-way between 1 and 1 + 2^-7: to even, 1 */
    assert_true(values[1] == 0x1.04p0f); /* half-way the other time: up */
    assert_true(isinf(values[2]));
    must(tensor_view_read_f32(safetensors_find(st, "a"), values, &err), &err);
    assert_true(isnan(values[3]));
    safetensors_close(st);
    assert_int_equal(safetensors_write("/nonexistent/a", specs, 2, TENSOR_F32, &err), ERR_IO);
    must(file_remove_tree(folder, &err), &err);
}

static void test_shards_are_one_file(void **state)
{
    (void)state;
    struct err err;
    char folder[] = "/tmp/triad-shards-XXXXXX";
    char path[100];
    assert_non_null(mkdtemp(folder));
    float value = 1;
    struct tensor_spec a = spec_of("a", 1, 1, &value);
    struct tensor_spec b = spec_of("b", 1, 1, &value);
    snprintf(path, sizeof path, "%s/1.safetensors", folder);
    must(safetensors_write(path, &a, 1, TENSOR_F32, &err), &err);
    snprintf(path, sizeof path, "%s/2.safetensors", folder);
    must(safetensors_write(path, &b, 1, TENSOR_F32, &err), &err);
    static const struct {
        const char *index;
        enum err_code code;
        const char *says;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}", ERR_OK, ""},
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"c\":\"2.safetensors\"}}", ERR_CORRUPT, "'c'"},
        {"{\"weight_map\":{\"a\":\"../1.safetensors\"}}", ERR_CORRUPT, "no usable file"},
        {"{\"weight_map\":{\"a\":\"3.safetensors\"}}", ERR_NOT_FOUND, "3.safetensors"},
        {"{}", ERR_CORRUPT, "weight_map"},
    };
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        must(file_write_atomic(path, cases[i].index, strlen(cases[i].index), 0644, &err), &err);
        struct safetensors *st = NULL;
        err.text[0] = '\0';
        assert_int_equal(safetensors_open_sharded(folder, &st, &err), cases[i].code);
        assert_non_null(strstr(err.text, cases[i].says));
        if (cases[i].code == ERR_OK)
            assert_int_equal(safetensors_count(st), 2);
        safetensors_close(st);
    }
    must(file_remove_tree(folder, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types_convert_exactly),
        cmocka_unit_test(test_headers_that_lie_are_refused),
        cmocka_unit_test(test_header_lengths_that_lie_are_refused),
        cmocka_unit_test(test_written_files_read_back),
        cmocka_unit_test(test_shards_are_one_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
