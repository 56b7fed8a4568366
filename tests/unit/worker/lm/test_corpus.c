/* Datasets into tokens: cutting, dropping, continuing, special tokens, and which sequences a step
 * takes. Byte tokens only, so that every expectation can be counted by hand. */
#include <stdio.h>
#include <string.h>

#include "batch.h"
#include "cmocka_all.h"
#include "corpus.h"
#include "tokenizer_train.h"

/* 256 bytes (in the order of their values is not assumed) and two special tokens. */
static struct tokenizer *byte_tokenizer(void)
{
    static const char *const specials[] = {"<|begin|>", "<|end|>"};
    struct tokenizer_trainer *trainer = NULL;
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_train_options options = {258, specials, 2};
    struct err err;
    assert_int_equal(tokenizer_trainer_new(&trainer, &err), ERR_OK);
    if (tokenizer_trainer_finish(trainer, &options, &tokenizer, &err) != ERR_OK)
        fail_msg("%s", err.text);
    tokenizer_trainer_free(trainer);
    return tokenizer;
}

static struct dataset parse(const char *header, const char *lines)
{
    char text[4096];
    struct dataset dataset;
    struct err err;
    snprintf(text, sizeof text, "{\"triad_dataset\":1,%s}\n%s", header, lines);
    if (dataset_parse(text, strlen(text), "test", &dataset, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return dataset;
}

#define TRAIN_COLON                                                                                \
    "\"purpose\":\"train\",\"name\":\"t\",\"format\":\"colon\",\"sequences\":3,\"pairing\":\"\""
#define TRAIN_TEXT                                                                                 \
    "\"purpose\":\"train\",\"name\":\"t\",\"format\":\"text\",\"sequences\":1,\"pairing\":\"\""

static const char three_lines[] =
    "{\"id\":\"a\",\"segments\":[[\"s\",\"<|begin|>\",0,-1],[\"t\",\"abc\",1,0],[\"t\",\"\\n\",2,0]"
    "]}\n"
    "{\"id\":\"b\",\"segments\":[[\"t\",\"abcdefgh\",0,-1],[\"t\",\"xyz\",1,0]]}\n"
    "{\"id\":\"c\",\"segments\":[[\"t\",\"ab\",0,-1],[\"t\",\"cdefghij\",1,0]]}\n";

static void sequences_are_cut_and_dropped_when_no_loss_is_left(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = byte_tokenizer();
    struct dataset dataset = parse(TRAIN_COLON, three_lines);
    struct corpus corpus;
    struct err err;
    assert_int_equal(
        corpus_for_training(&dataset, tokenizer, 6, CORPUS_LOSS_OUTPUTS, &corpus, &err), ERR_OK);
    assert_int_equal(corpus.sequence_count, 2);
    assert_int_equal(corpus.dropped_count, 1); /* b: its outputs begin at token 8 */
    assert_int_equal(corpus_length(&corpus, 0), 5);
    assert_int_equal(corpus_length(&corpus, 1), 6);
    assert_int_equal(corpus.lines[1], 2);
    assert_int_equal(corpus.ids[0], tokenizer_special(tokenizer, "<|begin|>"));
    static const uint8_t losses[11] = {0, 1, 1, 1, 2, 0, 0, 1, 1, 1, 1};
    assert_memory_equal(corpus.losses, losses, sizeof losses);
    assert_int_equal(corpus.examples[0], -1);
    assert_int_equal(corpus.examples[4], 0);
    assert_int_equal(corpus.loss_token_count, 8);
    corpus_release(&corpus);
    assert_int_equal(corpus_for_training(&dataset, tokenizer, 2, CORPUS_LOSS_ALL, &corpus, &err),
                     ERR_OK);
    assert_int_equal(corpus.sequence_count, 3);
    assert_int_equal(corpus.loss_token_count, 3); /* the first of two tokens never counts */
    corpus_release(&corpus);
    dataset_release(&dataset);
    tokenizer_free(tokenizer);
}

static void documents_are_continued_and_every_token_counts_once(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = byte_tokenizer();
    struct dataset dataset =
        parse(TRAIN_TEXT, "{\"id\":\"d\",\"segments\":[[\"t\",\"abcdefghij\",1,-1]]}\n");
    struct corpus corpus;
    struct err err;
    assert_int_equal(
        corpus_for_training(&dataset, tokenizer, 4, CORPUS_LOSS_OUTPUTS, &corpus, &err), ERR_OK);
    /* abcd defg ghij: nine predictions for ten tokens. */
    assert_int_equal(corpus.sequence_count, 3);
    assert_int_equal(corpus.loss_token_count, 9);
    assert_int_equal(corpus.ids[3], corpus.ids[4]);
    assert_int_equal(corpus_length(&corpus, 2), 4);
    corpus_release(&corpus);
    dataset_release(&dataset);
    tokenizer_free(tokenizer);
}

static void what_cannot_be_tokenized_is_named(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = byte_tokenizer();
    struct corpus corpus;
    struct err err;
    struct dataset dataset = parse(
        TRAIN_TEXT, "{\"id\":\"d\",\"segments\":[[\"s\",\"<|eot|>\",0,-1],[\"t\",\"a\",1,-1]]}\n");
    assert_int_equal(
        corpus_for_training(&dataset, tokenizer, 4, CORPUS_LOSS_OUTPUTS, &corpus, &err),
        ERR_INVALID);
    assert_string_equal(err.text,
                        "tokenize 't' sequence 0: the tokenizer has no special token '<|eot|>'");
    dataset_release(&dataset);
    dataset = parse(TRAIN_TEXT, "{\"id\":\"d\",\"segments\":[[\"t\",\"abc\",0,-1]]}\n");
    assert_int_equal(
        corpus_for_training(&dataset, tokenizer, 4, CORPUS_LOSS_OUTPUTS, &corpus, &err),
        ERR_INVALID);
    assert_string_equal(err.text, "tokenize 't': no sequence has a token with a loss");
    assert_int_equal(corpus_for_evaluation(&dataset, tokenizer, 1, &corpus, &err), ERR_INVALID);
    assert_string_equal(err.text, "tokenize 't' sequence 0: 3 tokens do not fit a context of 1");
    assert_int_equal(corpus_for_evaluation(&dataset, tokenizer, 2, &corpus, &err), ERR_OK);
    corpus_release(&corpus);
    dataset_release(&dataset);
    tokenizer_free(tokenizer);
}

/* Sequences of the given lengths, every token but the first with a loss. */
static struct corpus corpus_of(const size_t *lengths, size_t count)
{
    static const int32_t ids[64], examples[64];
    static const uint8_t losses[64] = {[0 ... 63] = LOSS_CONTENT};
    struct corpus corpus = {0};
    for (size_t i = 0; i < count; i++)
        corpus_append(&corpus, (uint32_t)i, ids, losses, examples, lengths[i]);
    return corpus;
}

static void steps_take_sequences_until_the_next_would_not_fit(void **state)
{
    (void)state;
    static const size_t lengths[] = {5, 4, 1, 30, 3, 3};
    struct corpus corpus = corpus_of(lengths, 6);
    struct batch_plan plan = {.corpus = &corpus, .batch_tokens = 10, .accumulate = 2};
    struct data_cursor cursor = {0};
    struct micro_batch micro[2];
    assert_int_equal(batch_step(&plan, &cursor, micro), 2);
    assert_int_equal(micro[0].sequence_count, 3);
    assert_int_equal(micro[0].token_count, 10);
    assert_int_equal(micro[0].loss_token_count, 7);
    assert_int_equal(micro[1].sequence_count, 1); /* longer than a batch: taken alone */
    assert_int_equal(cursor.sequence, 4);
    assert_int_equal(batch_step(&plan, &cursor, micro), 1); /* no step crosses the end */
    assert_int_equal(micro[0].sequence_count, 2);
    assert_int_equal(cursor.sequence, 0);
    assert_int_equal(cursor.epoch, 1);
    assert_int_equal(batch_steps_per_pass(&plan), 2);
    struct micro_batch largest = batch_largest(&plan, 0);
    assert_int_equal(largest.sequence_count, 3);
    assert_int_equal(largest.token_count, 30);
    assert_int_equal(largest.loss_token_count, 29);
    assert_int_equal(batch_largest(&plan, 4).token_count, 6);
    corpus_release(&corpus);
}

/* batch_sequences: what a step holds does not depend on batch_tokens, which only cuts it up. */
static void steps_can_be_counted_in_sequences(void **state)
{
    (void)state;
    static const size_t lengths[] = {5, 4, 1, 30, 3, 3, 2};
    struct corpus corpus = corpus_of(lengths, 7);
    static const size_t sizes[] = {1, 8, 1000};
    static const uint32_t micro_counts[][3] = {{3, 3, 1}, {2, 2, 1}, {1, 1, 1}};
    for (size_t k = 0; k < 3; k++) {
        struct batch_plan plan = {
            .corpus = &corpus, .batch_tokens = sizes[k], .accumulate = 1, .batch_sequences = 3};
        struct data_cursor cursor = {0};
        struct micro_batch micro[3];
        assert_int_equal(batch_micro_max(&plan), 3);
        assert_int_equal(batch_steps_per_pass(&plan), 3);
        for (uint32_t step = 0; step < 3; step++) {
            uint32_t count = batch_step(&plan, &cursor, micro), sequences = 0;
            assert_int_equal(count, micro_counts[k][step]);
            for (uint32_t i = 0; i < count; i++)
                sequences += micro[i].sequence_count;
            assert_int_equal(sequences, step < 2 ? 3 : 1);
        }
        assert_int_equal(cursor.epoch, 1);
        assert_int_equal(batch_largest(&plan, 0).token_count, sizes[k] < 1000 ? 30 : 36);
    }
    corpus_release(&corpus);
}

static void only_the_first_or_last_example_may_count(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = byte_tokenizer();
    /* The first output is not learnt, its turn end is: example 1 is the first with content. */
    struct dataset dataset =
        parse(TRAIN_TEXT,
              "{\"id\":\"d\",\"segments\":[[\"t\",\"ab\",0,0],[\"t\",\".\",2,0],"
              "[\"t\",\"cd\",1,1],[\"t\",\".\",2,1],[\"t\",\"ef\",1,2],[\"t\",\".\",2,2]]}\n");
    static const struct {
        enum corpus_loss loss;
        size_t cut;
        uint8_t losses[9];
    } cases[] = {
        {CORPUS_LOSS_OUTPUTS, 9, {0, 0, 2, 1, 1, 2, 1, 1, 2}},
        {CORPUS_LOSS_FIRST, 9, {0, 0, 0, 1, 1, 2, 0, 0, 0}},
        {CORPUS_LOSS_LAST, 9, {0, 0, 0, 0, 0, 0, 1, 1, 2}},
        {CORPUS_LOSS_LAST, 6, {0, 0, 0, 1, 1, 2}}, /* the last that the cut left */
        {CORPUS_LOSS_FIRST, 3, {0, 0, 2}},         /* there is no other loss */
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct corpus corpus;
        struct err err;
        assert_int_equal(
            corpus_for_training(&dataset, tokenizer, cases[k].cut, cases[k].loss, &corpus, &err),
            ERR_OK);
        assert_int_equal(corpus_length(&corpus, 0), cases[k].cut);
        assert_memory_equal(corpus.losses, cases[k].losses, cases[k].cut);
        corpus_release(&corpus);
    }
    dataset_release(&dataset);
    tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_are_cut_and_dropped_when_no_loss_is_left),
        cmocka_unit_test(documents_are_continued_and_every_token_counts_once),
        cmocka_unit_test(what_cannot_be_tokenized_is_named),
        cmocka_unit_test(steps_take_sequences_until_the_next_would_not_fit),
        cmocka_unit_test(steps_can_be_counted_in_sequences),
        cmocka_unit_test(only_the_first_or_last_example_may_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
