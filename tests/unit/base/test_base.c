/* base/: digests against published vectors, Philox against its published known answers, parsing at
 * its edges, atomic replacement of files. */
#include "cmocka_all.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "err.h"
#include "file.h"
#include "hash.h"
#include "rng.h"
#include "str.h"

static void test_err_wraps_outer_first(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(err_set(&err, ERR_INVALID, "unknown key '%s'", "lrr"), ERR_INVALID);
    assert_int_equal(err_wrap(&err, "load 'a.yaml'"), ERR_INVALID);
    assert_string_equal(err.text, "load 'a.yaml': unknown key 'lrr'");
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    err_wrap(&err, "%s", big); /* cut, not overrun */
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void test_crc32c_known_answer(void **state)
{
    (void)state;
    /* RFC 3720 B.4: 32 bytes of zeros, 32 of ones, and the customary "123456789". */
    uint8_t zeros[32] = {0};
    uint8_t ones[32];
    memset(ones, 0xff, sizeof ones);
    assert_int_equal(hash_crc32c(zeros, 32), 0x8a9136aa);
    assert_int_equal(hash_crc32c(ones, 32), 0x62a8ab43);
    assert_int_equal(hash_crc32c("123456789", 9), 0xe3069283);
}

/* Bit by bit from the polynomial 0x82f63b78 (reversed), whatever path the processor takes. */
static void test_crc32c_every_length(void **state)
{
    (void)state;
    uint8_t bytes[67];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    for (size_t start = 0; start < 8; start++) {
        for (size_t len = 0; start + len <= sizeof bytes; len++) {
            uint32_t crc = 0xffffffffu;
            for (size_t i = 0; i < 8 * len; i++) {
                uint32_t bit = (crc ^ (uint32_t)bytes[start + i / 8] >> i % 8) & 1;
                crc = crc >> 1 ^ (bit ? 0x82f63b78u : 0);
            }
            assert_int_equal(hash_crc32c(bytes + start, len), ~crc);
        }
    }
}

static void test_blake2b_known_answer(void **state)
{
    (void)state;
    /* printf abc | b2sum -l 256 */
    char hex[DIGEST_HEX_SIZE];
    struct digest d = hash_bytes("abc", 3);
    assert_string_equal(digest_hex(&d, hex),
                        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    struct digest back;
    assert_true(digest_from_hex(hex, &back));
    assert_true(digest_equal(&d, &back));
    assert_false(digest_from_hex("bddd", &back));
}

static void test_philox_known_answer(void **state)
{
    (void)state;
    /* Random123 kat_vectors, philox4x32 10: counter and key all zero, then all ones. */
    struct rng zero = {0};
    assert_int_equal(rng_u32(&zero), 0x6627e8d5);
    assert_int_equal(rng_u32(&zero), 0xe169c58d);
    assert_int_equal(rng_u32(&zero), 0xbc57ac4c);
    assert_int_equal(rng_u32(&zero), 0x9b00dbd8);
    struct rng ones = {.key = {~0u, ~0u}, .nonce = {~0u, ~0u}, .block = UINT64_MAX};
    assert_int_equal(rng_u32(&ones), 0x408f276d);
    assert_int_equal(rng_u32(&ones), 0x41c83b0e);
    assert_int_equal(rng_u32(&ones), 0xa20bc7c6);
    assert_int_equal(rng_u32(&ones), 0x6d5451fd);
}

static void test_rng_streams(void **state)
{
    (void)state;
    struct rng a = rng_new(42, "suite");
    struct rng b = rng_new(42, "suite");
    struct rng c = rng_new(42, "init");
    assert_int_equal(rng_u64(&a), rng_u64(&b));
    assert_int_not_equal(rng_u64(&a), rng_u64(&c));
    struct rng child1 = rng_child(&c, "task", 1);
    struct rng child2 = rng_child(&c, "task", 2);
    assert_int_not_equal(rng_u64(&child1), rng_u64(&child2));
    double sum = 0, squares = 0;
    for (int i = 0; i < 20000; i++) {
        double z = rng_normal(&a);
        sum += z;
        squares += z * z;
    }
    assert_true(fabs(sum / 20000) < 0.03); /* four standard errors */
    assert_true(fabs(squares / 20000 - 1) < 0.04);
    uint32_t order[100];
    int seen[100] = {0};
    rng_permutation(&a, order, 100);
    for (int i = 0; i < 100; i++)
        seen[order[i]]++;
    for (int i = 0; i < 100; i++)
        assert_int_equal(seen[i], 1);
}

static void test_str_parsing(void **state)
{
    (void)state;
    long long i = 7;
    double d = 7;
    assert_true(str_to_i64("-12", &i));
    assert_int_equal(i, -12);
    assert_false(str_to_i64("12x", &i));
    assert_false(str_to_i64("99999999999999999999", &i));
    assert_int_equal(i, -12);
    assert_true(str_to_double("3e-6", &d));
    assert_false(str_to_double("nan", &d));
    assert_false(str_to_double("", &d));
    char host[12];
    long long port = 7;
    assert_true(str_host_port("0.0.0.0", host, sizeof host, &port));
    assert_string_equal(host, "0.0.0.0");
    assert_int_equal(port, 0);
    assert_true(str_host_port("n7:7304", host, sizeof host, &port));
    assert_string_equal(host, "n7");
    assert_int_equal(port, 7304);
    static const char *const wrong[] = {"",      ":7304",    "n7:", "n7:x",          "n7:-1",
                                        "n 7:1", "n7:65536", "a/b", "longer-than-12"};
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
        assert_false(str_host_port(wrong[k], host, sizeof host, &port));
    assert_string_equal(host, "n7");
    static const char *const keys[] = {"families", "evaluate", "compare"};
    assert_string_equal(str_did_you_mean("familes", keys, 3), "families");
    assert_null(str_did_you_mean("zzz", keys, 3));
    assert_true(str_glob("habermas_*", "habermas_question"));
    assert_true(str_glob("*a*b?", "xxaxxbc"));
    assert_false(str_glob("flight", "flights"));
}

static void test_arena_bounds(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1000);
    assert_non_null(arena_try_alloc(&a, 500));
    assert_null(arena_try_alloc(&a, 600));
    assert_null(arena_try_alloc(&a, (size_t)-1));
    assert_string_equal(arena_printf(&a, "%d-%s", 5, "x"), "5-x");
    arena_release(&a);
    assert_non_null(arena_try_alloc(&a, 900));
    arena_release(&a);
}

static void test_file_atomic(void **state)
{
    (void)state;
    char folder[] = "/tmp/triad-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[128];
    struct err err;
    snprintf(path, sizeof path, "%s/a/b/c.txt", folder);
    char *data = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 0, &data, &len, &err), ERR_NOT_FOUND);
    char sub[128];
    snprintf(sub, sizeof sub, "%s/a/b", folder);
    assert_int_equal(file_mkdirs(sub, 0700, &err), ERR_OK);
    assert_int_equal(file_read(sub, 0, &data, &len, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "a folder"));
    assert_true(file_is_folder(sub));
    assert_int_equal(file_write_atomic(path, "one", 3, 0600, &err), ERR_OK);
    assert_int_equal(file_write_atomic(path, "three", 5, 0600, &err), ERR_OK);
    assert_int_equal(file_read(path, 4, &data, &len, &err), ERR_LIMIT);
    assert_int_equal(file_read(path, 5, &data, &len, &err), ERR_OK);
    assert_string_equal(data, "three");
    free(data);
    assert_false(file_is_folder(path));
    char below[sizeof path + 8];
    snprintf(below, sizeof below, "%s/below", path);
    assert_int_equal(file_read(below, 0, &data, &len, &err), ERR_NOT_FOUND);
    assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
    assert_false(file_exists(folder));
    assert_true(file_name_is_safe("model.safetensors"));
    assert_false(file_name_is_safe("../x"));
    assert_false(file_name_is_safe(".."));
    assert_false(file_name_is_safe("a\nb"));
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {
        "", "plain", "gr\xc3\xb6\xc3\x9f", "\xe2\x82\xac", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",             /* continuation without a lead */
        "\xc3",             /* cut */
        "\xc0\xaf",         /* overlong slash */
        "\xe0\x9f\xbf",     /* overlong */
        "\xed\xa0\x80",     /* surrogate */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf0\x90\x80(",    /* bad fourth byte */
        "\xff",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(str_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(str_is_utf8(bad[i], strlen(bad[i])));
}

static void test_text_of_others_is_made_clean(void **state)
{
    (void)state;
    struct strbuf out = {0};
    static const char dirty[] = "a\x1b[1m\xc3\xa4\xff\xed\xa0\x80\t\xe2\x82";
    strbuf_append_clean(&out, dirty, sizeof dirty - 1);
    assert_string_equal(out.data, "a?[1m\xc3\xa4????\t??");
    strbuf_clear(&out); /* U+009B and U+0085 are commands in two bytes, U+00A0 is a blank */
    static const char eight_bit[] = "a\xc2\x9b"
                                    "31m\xc2\x85\xc2\xa0\xc2";
    strbuf_append_clean(&out, eight_bit, sizeof eight_bit - 1);
    assert_string_equal(out.data, "a?31m?\xc2\xa0?");
    assert_int_equal(str_control_bytes("\xc2\x9b"), 2);
    assert_int_equal(str_control_bytes("\xc2\xa0"), 0);
    assert_int_equal(str_control_bytes("\xc2"), 0);
    assert_int_equal(str_control_bytes("\x7f"), 1);
    assert_int_equal(str_control_bytes(""), 0);
    strbuf_release(&out);
}

static void test_a_cut_text_ends_with_a_whole_character(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";
    static const size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t len = 0; len < sizeof text; len++)
        assert_int_equal(str_whole_characters(text, len), whole[len]);
    struct err err;
    for (int shift = 0; shift < 4; shift++) { /* the buffer ends at every byte of a character */
        struct strbuf long_text = {0};
        strbuf_append(&long_text, "xxx", (size_t)shift);
        for (int i = 0; i < 200; i++)
            strbuf_puts(&long_text, "\xf0\x9f\x98\x80");
        err_set(&err, ERR_INVALID, "%s", long_text.data);
        assert_true(str_is_utf8(err.text, strlen(err.text)));
        assert_true(strlen(err.text) > sizeof err.text - 5);
        err_wrap(&err, "x");
        assert_true(str_is_utf8(err.text, strlen(err.text)));
        err_os(&err, EIO, "%s", long_text.data);
        assert_true(str_is_utf8(err.text, strlen(err.text)));
        strbuf_release(&long_text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_wraps_outer_first),
        cmocka_unit_test(test_crc32c_known_answer),
        cmocka_unit_test(test_crc32c_every_length),
        cmocka_unit_test(test_blake2b_known_answer),
        cmocka_unit_test(test_philox_known_answer),
        cmocka_unit_test(test_rng_streams),
        cmocka_unit_test(test_str_parsing),
        cmocka_unit_test(test_arena_bounds),
        cmocka_unit_test(test_file_atomic),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_text_of_others_is_made_clean),
        cmocka_unit_test(test_a_cut_text_ends_with_a_whole_character),

    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
