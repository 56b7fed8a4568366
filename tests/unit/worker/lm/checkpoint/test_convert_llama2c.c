/* The converter of llama2.c models, on a trained one: its token ids against llama.cpp's (the golden
 * file), its tokenizer against llama2.c's own rule written down plainly, its rows by hand. */
#include "cmocka_all.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "convert_llama2c.h"
#include "file.h"
#include "llama2c_tokenizer.h"
#include "rng.h"
#include "tokenizer.h"

#define FOLDER TRIAD_SOURCE_DIR "/tests/golden/stories260K/"

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

static char *read_file(const char *path, size_t *len)
{
    struct err err;
    char *text = NULL;
    must(file_read(path, 0, &text, len, &err), &err);
    return text;
}

static struct tokenizer *read_tokenizer(void)
{
    struct err err;
    size_t len = 0;
    char *bytes = read_file(FOLDER "tok512.bin", &len);
    struct tokenizer *t = NULL;
    must(llama2c_read_tokenizer(bytes, len, "tok512.bin", &t, &err), &err);
    free(bytes);
    return t;
}

static void test_ids_equal_the_golden_ones(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = read_tokenizer();
    json_t *root = json_load_file(FOLDER "stories260K.json", 0, NULL);
    json_t *texts = json_object_get(root, "texts");
    assert_true(json_array_size(texts) >= 2);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        json_t *entry = json_array_get(texts, i);
        json_t *ids = json_object_get(entry, "ids");
        struct token_list list = {0};
        int32_t bos = tokenizer_bos(t);
        token_list_append(&list, &bos, 1);
        must(tokenizer_encode(t, str_from(json_string_value(json_object_get(entry, "text"))), &list,
                              &err),
             &err);
        assert_int_equal(list.count, json_array_size(ids));
        for (size_t k = 0; k < list.count; k++)
            assert_int_equal(list.ids[k], json_integer_value(json_array_get(ids, k)));
        token_list_release(&list);
    }
    json_decref(root);
    tokenizer_free(t);
}

static void test_decoding_drops_the_leading_space_only(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = read_tokenizer();
    struct token_list list = {0};
    struct strbuf text = {0};
    const char *story = "Once upon a time  there\xc3\xa9\xf0\x9f\x98\x80\x01 was";
    must(tokenizer_encode(t, str_from(story), &list, &err), &err);
    must(tokenizer_decode(t, list.ids, list.count, &text, &err), &err);
    assert_string_equal(text.data, story);
    assert_memory_equal(tokenizer_token(t, 403).data, " Once", 5);
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), 2);
    strbuf_release(&text);
    token_list_release(&list);
    tokenizer_free(t);
}

/* llama2.c's rule, as its documentation states it: join the adjacent pair of best score, leftmost
 * first, until none can be joined. */
struct reference {
    char *file;
    int count;
    float score[512];
    const char *text[512];
    size_t len[512];
};

static struct reference read_reference(void)
{
    struct reference r = {0};
    size_t len = 0;
    r.file = read_file(FOLDER "tok512.bin", &len);
    for (size_t at = 4; at < len; r.count++) {
        int32_t text_len;
        memcpy(&r.score[r.count], r.file + at, 4);
        memcpy(&text_len, r.file + at + 4, 4);
        r.text[r.count] = r.file + at + 8;
        r.len[r.count] = (size_t)text_len;
        at += 8 + (size_t)text_len;
    }
    return r;
}

static int reference_find(const struct reference *r, const char *text, size_t len)
{
    for (int id = 259; id < r->count; id++) {
        if (r->len[id] == len && memcmp(r->text[id], text, len) == 0)
            return id;
    }
    return -1;
}

static size_t reference_encode(const struct reference *r, const char *text, int *ids)
{
    size_t count = 0;
    for (const char *c = text; *c; c++) {
        int id = reference_find(r, c, 1);
        ids[count++] = id >= 0 ? id : 3 + (unsigned char)*c;
    }
    for (;;) {
        float best_score = -FLT_MAX;
        int best_id = -1;
        size_t best_at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            char joined[64];
            size_t left = r->len[ids[i]];
            size_t right = r->len[ids[i + 1]];
            if (ids[i] < 259 || ids[i + 1] < 259 || left + right > sizeof joined)
                continue;
            memcpy(joined, r->text[ids[i]], left);
            memcpy(joined + left, r->text[ids[i + 1]], right);
            int id = reference_find(r, joined, left + right);
            if (id >= 0 && r->score[id] > best_score) {
                best_score = r->score[id];
                best_id = id;
                best_at = i;
            }
        }
        if (best_id < 0)
            return count;
        ids[best_at] = best_id;
        memmove(ids + best_at + 1, ids + best_at + 2, (count - best_at - 2) * sizeof *ids);
        count--;
    }
}

static void test_ranks_give_what_scores_give(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = read_tokenizer();
    struct reference r = read_reference();
    struct rng rng = rng_new(7, "ranks");
    for (int round = 0; round < 3000; round++) {
        /* Even rounds: pieces of the vocabulary; odd: letters that merge a lot. */
        char text[256] = " ";
        size_t len = 1;
        while (len < 40) {
            int id = 259 + (int)rng_below(&rng, 253);
            if (round % 2 == 0 && (unsigned char)r.text[id][0] < 0x80 &&
                (unsigned char)r.text[id][r.len[id] - 1] < 0x80) {
                memcpy(text + len, r.text[id], r.len[id]);
                len += r.len[id];
            } else if (round % 2 == 1) {
                text[len++] = " herandst"[rng_below(&rng, 9)];
            }
        }
        text[len] = '\0';
        int expected[256];
        size_t expected_count = reference_encode(&r, text, expected);
        struct token_list list = {0};
        must(tokenizer_encode(t, str_from(text + 1), &list, &err), &err);
        if (list.count != expected_count)
            fail_msg("'%s': %zu tokens, not %zu", text, list.count, expected_count);
        for (size_t i = 0; i < list.count; i++)
            assert_int_equal(list.ids[i], expected[i]);
        token_list_release(&list);
    }
    free(r.file);
    tokenizer_free(t);
}

static void append_token(struct strbuf *out, float score, const char *text)
{
    int32_t len = (int32_t)strlen(text);
    strbuf_append(out, &score, 4);
    strbuf_append(out, &len, 4);
    strbuf_append(out, text, (size_t)len);
}

static struct strbuf small_tokenizer(const char *const *texts, const float *scores, size_t count)
{
    struct strbuf file = {0};
    int32_t longest = 8;
    strbuf_append(&file, &longest, 4);
    for (int i = 0; i < 259; i++)
        append_token(&file, 0, "x");
    for (size_t i = 0; i < count; i++)
        append_token(&file, scores[i], texts[i]);
    return file;
}

static void expect_refusal(struct strbuf *file, enum err_code code, const char *says)
{
    struct err err = {0};
    struct tokenizer *t = NULL;
    assert_int_equal(llama2c_read_tokenizer(file->data, file->len, "small.bin", &t, &err), code);
    assert_null(t);
    if (!strstr(err.text, says))
        fail_msg("'%s' does not say '%s'", err.text, says);
    strbuf_release(file);
}

static void test_vocabularies_that_ranks_cannot_express_are_refused(void **state)
{
    (void)state;
    struct err err;
    struct strbuf good =
        small_tokenizer((const char *[]){"a", "b", "ab", "aa"}, (float[]){-9, -9, -1, -2}, 4);
    struct tokenizer *t = NULL;
    must(llama2c_read_tokenizer(good.data, good.len, "small.bin", &t, &err), &err);
    tokenizer_free(t);
    strbuf_release(&good);
    struct strbuf equal =
        small_tokenizer((const char *[]){"a", "b", "ab", "ba"}, (float[]){-9, -9, -1, -1}, 4);
    expect_refusal(&equal, ERR_INVALID, "same score");
    struct strbuf overlap =
        small_tokenizer((const char *[]){"a", "aa", "aaa"}, (float[]){-9, -1, -2}, 3);
    expect_refusal(&overlap, ERR_INVALID, "overlaps itself");
    struct strbuf cut = small_tokenizer((const char *[]){"a"}, (float[]){-9}, 1);
    cut.len--;
    expect_refusal(&cut, ERR_CORRUPT, "claims 1 bytes");
    struct strbuf few = {0};
    strbuf_append(&few, "\1\0\0\0", 4);
    expect_refusal(&few, ERR_CORRUPT, "too few");
}

static void test_rows_of_q_and_k_move_and_others_do_not(void **state)
{
    (void)state;
    struct err err;
    size_t len = 0;
    char *bytes = read_file(FOLDER "stories260K.bin", &len);
    struct checkpoint_weights w = {0};
    must(llama2c_read_weights(bytes, len, "stories260K.bin", &w, &err), &err);
    assert_int_equal(w.config.width, 64);
    assert_int_equal(w.config.mlp_width, 172);
    assert_int_equal(w.config.kv_heads, 4);
    assert_true(w.config.head_tied);
    assert_int_equal(model_config_parameters(&w.config), 260032);
    /* In floats: the header, embedding, five norms; then wq of layer 0. */
    const float *file = (const float *)(const void *)(bytes + 4 * 7);
    const float *wq = file + 512 * 64 + 5 * 64;
    const float *wv = wq + 5 * 64 * 64 + 5 * 32 * 64;
    const float *q = params_data(&w.params, TENSOR_ATTN_Q, 0);
    const float *v = params_data(&w.params, TENSOR_ATTN_V, 0);
    const float *e = params_data(&w.params, TENSOR_EMBEDDING, -1);
    /* Heads of 8: rows 0 1 2 3 of a head are the file's 0 2 4 6, rows 4 … 7 its 1 3 5 7. */
    assert_memory_equal(q + 8 * 64, wq + 8 * 64, 64 * 4);
    assert_memory_equal(q + 9 * 64, wq + 10 * 64, 64 * 4);
    assert_memory_equal(q + 12 * 64, wq + 9 * 64, 64 * 4);
    assert_memory_equal(v, wv, 32 * 64 * 4);
    assert_memory_equal(e, file, 512 * 64 * 4);
    checkpoint_weights_release(&w);
    assert_int_equal(llama2c_read_weights(bytes, len - 4, "x", &w, &err), ERR_CORRUPT);
    assert_int_equal(llama2c_read_weights(bytes, 20, "x", &w, &err), ERR_CORRUPT);
    free(bytes);
}

static void test_the_folder_is_complete(void **state)
{
    (void)state;
    struct err err;
    char folder[] = "/tmp/triad-convert-XXXXXX";
    assert_non_null(mkdtemp(folder));
    must(llama2c_convert(FOLDER "stories260K.bin", FOLDER "tok512.bin", folder, &err), &err);
    char path[300];
    size_t len = 0;
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    char *text = read_file(path, &len);
    if (getenv("UPDATE_GOLDEN"))
        must(file_write_atomic(FOLDER "tokenizer.json", text, len, 0644, &err), &err);
    size_t golden_len = 0;
    char *golden = read_file(FOLDER "tokenizer.json", &golden_len);
    assert_string_equal(text, golden);
    free(text);
    free(golden);
    struct checkpoint_weights w = {0};
    must(checkpoint_weights_load(folder, &w, &err), &err);
    assert_int_equal(w.config.bos_id, 1);
    checkpoint_weights_release(&w);
    must(file_remove_tree(folder, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_equal_the_golden_ones),
        cmocka_unit_test(test_decoding_drops_the_leading_space_only),
        cmocka_unit_test(test_ranks_give_what_scores_give),
        cmocka_unit_test(test_vocabularies_that_ranks_cannot_express_are_refused),
        cmocka_unit_test(test_rows_of_q_and_k_move_and_others_do_not),
        cmocka_unit_test(test_the_folder_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
