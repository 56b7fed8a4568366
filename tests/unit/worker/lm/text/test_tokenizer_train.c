/* Learning a byte-level BPE: against its definition (every pair counted anew at each step), a
 * stored result, and its own file form. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "text_split.h"
#include "tokenizer_made.h"
#include "tokenizer_train.h"

static void test_training_merges_the_most_frequent_pair(void **state)
{
    (void)state;
    static const char *const texts[] = {"aab", "aab", "aa", "aab", "aa"};
    struct tokenizer *t = made_from(texts, 5, 1024);
    assert_int_equal(tokenizer_vocabulary(t), 256 + 2 + 5);
    assert_memory_equal(tokenizer_token(t, 256).data, "aa", 2);
    assert_memory_equal(tokenizer_token(t, 257).data, "aab", 3);
    struct token_list list = made_encode(t, str_from("aaab"));
    assert_int_equal(list.count, 3); /* aa a b: the leftmost aa merges first */
    assert_int_equal(list.ids[0], 256);
    assert_int_equal(list.ids[1], 'a');
    token_list_release(&list);
    tokenizer_free(t);
}

static void test_training_breaks_ties_by_ids_and_ignores_order(void **state)
{
    (void)state;
    static const char *const one[] = {"zy", "ab", "ab", "zy", "once"};
    static const char *const other[] = {"ab", "once", "zy", "zy", "ab"};
    struct tokenizer *a = made_from(one, 5, 1024);
    struct tokenizer *b = made_from(other, 5, 1024);
    assert_int_equal(tokenizer_vocabulary(a), 256 + 2 + 5);
    assert_memory_equal(tokenizer_token(a, 256).data, "ab", 2);
    assert_memory_equal(tokenizer_token(a, 257).data, "zy", 2);
    struct strbuf text_a = {0};
    struct strbuf text_b = {0};
    tokenizer_print(a, &text_a);
    tokenizer_print(b, &text_b);
    assert_string_equal(text_a.data, text_b.data);
    strbuf_release(&text_a);
    strbuf_release(&text_b);
    tokenizer_free(a);
    tokenizer_free(b);
}

static void test_training_refuses_a_vocabulary_without_room(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer_trainer *trainer = NULL;
    struct tokenizer *t = NULL;
    made_must(tokenizer_trainer_new(&trainer, &err), &err);
    struct tokenizer_train_options options = {260, tokenizer_family_specials,
                                              TOKENIZER_FAMILY_SPECIALS_COUNT};
    assert_int_equal(tokenizer_trainer_finish(trainer, &options, &t, &err), ERR_INVALID);
    assert_null(t);
    tokenizer_trainer_free(trainer);
}

/* Training as its definition says, counting every pair anew at each step. */
enum { NAIVE_ENTRIES = 400 };

struct naive_words {
    int32_t *symbols; /* words one after the other, each ended by -1 */
    size_t count;
};

static struct naive_words naive_split(struct str text)
{
    struct err err;
    struct text_split *split = NULL;
    struct naive_words words = {malloc(2 * text.len * sizeof(int32_t)), 0};
    made_must(text_split_new(SPLIT_DIGITS_ONE, &split, &err), &err);
    text_split_begin(split, text);
    for (;;) {
        struct str word;
        made_must(text_split_next(split, &word, &err), &err);
        if (word.len == 0)
            break;
        for (size_t i = 0; i < word.len; i++)
            words.symbols[words.count++] = (unsigned char)word.data[i];
        words.symbols[words.count++] = -1;
    }
    text_split_free(split);
    return words;
}

/* The most frequent pair, the first in order of ids among equals. */
static void naive_best(const struct naive_words *words, int32_t *left, int32_t *right)
{
    static int counts[NAIVE_ENTRIES][NAIVE_ENTRIES];
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i + 1 < words->count; i++) {
        if (words->symbols[i] >= 0 && words->symbols[i + 1] >= 0)
            counts[words->symbols[i]][words->symbols[i + 1]]++;
    }
    int best = 0;
    for (int32_t a = 0; a < NAIVE_ENTRIES; a++) {
        for (int32_t b = 0; b < NAIVE_ENTRIES; b++) {
            if (counts[a][b] > best) {
                best = counts[a][b];
                *left = a;
                *right = b;
            }
        }
    }
}

static void naive_merge(struct naive_words *words, int32_t left, int32_t right, int32_t result)
{
    size_t kept = 0;
    for (size_t i = 0; i < words->count; i++) {
        bool fits =
            words->symbols[i] == left && i + 1 < words->count && words->symbols[i + 1] == right;
        words->symbols[kept++] = fits ? result : words->symbols[i];
        i += fits;
    }
    words->count = kept;
}

static void test_training_equals_counting_anew(void **state)
{
    (void)state;
    size_t len = 0;
    char *text = made_read(TRIAD_SOURCE_DIR "/LICENSE", &len);
    struct naive_words words = naive_split((struct str){text, len});
    struct tokenizer *t = made_from_license();
    for (int32_t id = 256; id < NAIVE_ENTRIES; id++) {
        int32_t left = 0;
        int32_t right = 0;
        naive_best(&words, &left, &right);
        naive_merge(&words, left, right, id);
        struct str whole = tokenizer_token(t, id);
        struct str a = tokenizer_token(t, left);
        struct str b = tokenizer_token(t, right);
        assert_int_equal(whole.len, a.len + b.len);
        assert_memory_equal(whole.data, a.data, a.len);
        assert_memory_equal(whole.data + a.len, b.data, b.len);
    }
    tokenizer_free(t);
    free(words.symbols);
    free(text);
}

static void test_training_reproduces_the_stored_tokenizer(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = made_from_license();
    struct strbuf text = {0};
    tokenizer_print(t, &text);
    assert_int_equal(tokenizer_vocabulary(t), 1024);
    if (getenv("UPDATE_GOLDEN"))
        made_must(file_write_atomic(TRAINED_FILE, text.data, text.len, 0644, &err), &err);
    size_t len = 0;
    char *golden = made_read(TRAINED_FILE, &len);
    assert_int_equal(len, text.len);
    assert_memory_equal(golden, text.data, len);
    free(golden);
    strbuf_release(&text);
    tokenizer_free(t);
}

static void test_print_and_parse_give_the_same_tokenizer(void **state)
{
    (void)state;
    static const char *const files[] = {TRAINED_FILE, GOLDEN_FOLDER "stories260K/tokenizer.json"};
    for (size_t i = 0; i < 2; i++) {
        struct err err;
        size_t len = 0;
        char *golden = made_read(files[i], &len);
        struct tokenizer *t = NULL;
        made_must(tokenizer_parse(golden, len, files[i], &t, &err), &err);
        struct strbuf text = {0};
        tokenizer_print(t, &text);
        assert_string_equal(text.data, golden);
        strbuf_release(&text);
        tokenizer_free(t);
        free(golden);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_merges_the_most_frequent_pair),
        cmocka_unit_test(test_training_breaks_ties_by_ids_and_ignores_order),
        cmocka_unit_test(test_training_refuses_a_vocabulary_without_room),
        cmocka_unit_test(test_training_equals_counting_anew),
        cmocka_unit_test(test_training_reproduces_the_stored_tokenizer),
        cmocka_unit_test(test_print_and_parse_give_the_same_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
