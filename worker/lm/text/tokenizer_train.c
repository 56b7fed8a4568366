/* Pair counts are kept up to date instead of counted anew: a merge visits only the words that hold
 * its pair. A pair is queued again whenever its count rises; counts in the queue may therefore only
 * be too high, and the top is put back with its true count until it is right. */
#include "tokenizer_train.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "text_normal.h"
#include "token_spelling.h"
#include "tokenizer.h"
#include "tokenizer_build.h"
#include "utf8.h"

enum {
    BYTE_VALUES = 256,
    /* A pair seen once teaches nothing about other text. */
    PAIR_COUNT_MIN = 2,
};

const char *const tokenizer_family_specials[] = {
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>",
};
_Static_assert(ARRAY_COUNT(tokenizer_family_specials) == TOKENIZER_FAMILY_SPECIALS_COUNT,
               "the header states the count");

/* A distinct word as symbols; they sit in one block for all words. */
struct train_word {
    int32_t *symbols;
    uint32_t symbols_count;
    int64_t count;
};

struct number_list {
    uint32_t *numbers;
    uint32_t count;
    uint32_t cap;
};

struct train_pair {
    int32_t left;
    int32_t right;
    int64_t count;
    struct number_list words; /* words that hold the pair, or once did */
    bool is_grown;            /* listed in trainer->grown */
    bool is_learned;          /* has a merge */
};

struct heap_entry {
    int64_t count;
    int32_t left;
    int32_t right;
    uint32_t pair;
};

struct tokenizer_trainer {
    struct text_split *split;
    struct text_map repaired;
    size_t replaced;
    struct intern words;
    int64_t *word_counts; /* by word number */
    uint32_t word_counts_cap;

    struct train_word *work;
    int32_t *symbols; /* the block behind work[].symbols */
    struct intern pair_numbers;
    struct train_pair *pairs;
    uint32_t pairs_cap;
    struct number_list grown; /* pairs that gained occurrences since they were last queued */
    struct heap_entry *heap;
    size_t heap_count;
    size_t heap_cap;
    struct intern texts; /* bytes of each entry: key number = token id */
    struct image_pair *merges;
    size_t merges_count;
};

enum err_code tokenizer_trainer_new(struct tokenizer_trainer **trainer_out, struct err *err)
{
    struct text_split *split = NULL;
    enum err_code rc = text_split_new(SPLIT_DIGITS_ONE, &split, err);
    if (rc != ERR_OK)
        return rc;
    struct tokenizer_trainer *trainer = calloc(1, sizeof *trainer);
    ASSERT(trainer != NULL);
    trainer->split = split;
    *trainer_out = trainer;
    return ERR_OK;
}

void tokenizer_trainer_free(struct tokenizer_trainer *trainer)
{
    if (!trainer)
        return;
    for (uint32_t i = 0; i < trainer->pair_numbers.count; i++)
        free(trainer->pairs[i].words.numbers);
    text_split_free(trainer->split);
    text_map_release(&trainer->repaired);
    intern_release(&trainer->words);
    free(trainer->word_counts);
    free(trainer->work);
    free(trainer->symbols);
    intern_release(&trainer->pair_numbers);
    free(trainer->pairs);
    free(trainer->grown.numbers);
    free(trainer->heap);
    intern_release(&trainer->texts);
    free(trainer->merges);
    free(trainer);
}

enum err_code tokenizer_trainer_add(struct tokenizer_trainer *trainer, struct str text,
                                    struct err *err)
{
    /* As encoding does: no merge is learned that no text can use. */
    text_map_begin(&trainer->repaired, false);
    if (text_repair(text, &trainer->repaired, &trainer->replaced))
        text = (struct str){trainer->repaired.text.data, trainer->repaired.text.len};
    text_split_begin(trainer->split, text);
    for (;;) {
        struct str word;
        enum err_code rc = text_split_next(trainer->split, &word, err);
        if (rc != ERR_OK || word.len == 0)
            return rc;
        uint32_t number = intern_add(&trainer->words, word.data, word.len);
        if (number >= trainer->word_counts_cap) {
            uint32_t cap = number ? number * 2 : 1024;
            trainer->word_counts = realloc(trainer->word_counts, cap * sizeof(int64_t));
            ASSERT(trainer->word_counts != NULL);
            memset(trainer->word_counts + trainer->word_counts_cap, 0,
                   (cap - trainer->word_counts_cap) * sizeof(int64_t));
            trainer->word_counts_cap = cap;
        }
        trainer->word_counts[number]++;
    }
}

size_t tokenizer_trainer_replaced(const struct tokenizer_trainer *trainer)
{
    return trainer->replaced;
}

/* The higher count first, then the smaller ids. */
static bool comes_before(const struct heap_entry *a, const struct heap_entry *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    if (a->left != b->left)
        return a->left < b->left;
    return a->right < b->right;
}

static void heap_push(struct tokenizer_trainer *trainer, struct heap_entry entry)
{
    if (trainer->heap_count == trainer->heap_cap) {
        trainer->heap_cap = trainer->heap_cap ? trainer->heap_cap * 2 : 1024;
        trainer->heap = realloc(trainer->heap, trainer->heap_cap * sizeof *trainer->heap);
        ASSERT(trainer->heap != NULL);
    }
    struct heap_entry *heap = trainer->heap;
    size_t at = trainer->heap_count++;
    while (at > 0 && comes_before(&entry, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}

static struct heap_entry heap_pop(struct tokenizer_trainer *trainer)
{
    struct heap_entry *heap = trainer->heap;
    struct heap_entry top = heap[0];
    struct heap_entry last = heap[--trainer->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= trainer->heap_count)
            break;
        if (child + 1 < trainer->heap_count && comes_before(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_before(&heap[child], &last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

static void push_pair(struct tokenizer_trainer *trainer, uint32_t number)
{
    const struct train_pair *pair = &trainer->pairs[number];
    if (pair->count >= PAIR_COUNT_MIN)
        heap_push(trainer, (struct heap_entry){pair->count, pair->left, pair->right, number});
}

/* The number of a pair, which is entered with no occurrences when it is new. */
static uint32_t pair_number(struct tokenizer_trainer *trainer, int32_t left, int32_t right)
{
    int32_t key[2] = {left, right};
    uint32_t count_before = trainer->pair_numbers.count;
    uint32_t number = intern_add(&trainer->pair_numbers, key, sizeof key);
    if (number < count_before)
        return number;
    if (number >= trainer->pairs_cap) {
        trainer->pairs_cap = number ? number * 2 : 1024;
        trainer->pairs = realloc(trainer->pairs, trainer->pairs_cap * sizeof *trainer->pairs);
        ASSERT(trainer->pairs != NULL);
    }
    trainer->pairs[number] = (struct train_pair){.left = left, .right = right};
    return number;
}

static void append_number(struct number_list *list, uint32_t number)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 4;
        list->numbers = realloc(list->numbers, list->cap * sizeof *list->numbers);
        ASSERT(list->numbers != NULL);
    }
    list->numbers[list->count++] = number;
}

/* `change` more occurrences (or fewer) of a pair in word `word`. */
static void count_pair(struct tokenizer_trainer *trainer, int32_t left, int32_t right,
                       int64_t change, uint32_t word)
{
    uint32_t number = pair_number(trainer, left, right);
    struct train_pair *pair = &trainer->pairs[number];
    pair->count += change;
    if (change < 0)
        return;
    if (!pair->is_grown) {
        pair->is_grown = true;
        append_number(&trainer->grown, number);
    }
    if (pair->words.count == 0 || pair->words.numbers[pair->words.count - 1] != word)
        append_number(&pair->words, word);
}

/* Queue every pair that gained occurrences since the last call. */
static void push_grown(struct tokenizer_trainer *trainer)
{
    for (uint32_t i = 0; i < trainer->grown.count; i++) {
        struct train_pair *pair = &trainer->pairs[trainer->grown.numbers[i]];
        pair->is_grown = false;
        push_pair(trainer, trainer->grown.numbers[i]);
    }
    trainer->grown.count = 0;
}

/* Spell every word in bytes and count all pairs. */
static void begin_learning(struct tokenizer_trainer *trainer)
{
    uint32_t words_count = trainer->words.count;
    trainer->work = calloc(words_count + 1, sizeof *trainer->work);
    trainer->symbols = malloc((trainer->words.bytes.len + 1) * sizeof *trainer->symbols);
    ASSERT(trainer->work != NULL);
    ASSERT(trainer->symbols != NULL);
    int32_t *symbols = trainer->symbols;
    for (uint32_t w = 0; w < words_count; w++) {
        struct str text = intern_key_at(&trainer->words, w);
        trainer->work[w] =
            (struct train_word){symbols, (uint32_t)text.len, trainer->word_counts[w]};
        for (size_t i = 0; i < text.len; i++)
            symbols[i] = (unsigned char)text.data[i];
        for (size_t i = 0; i + 1 < text.len; i++)
            count_pair(trainer, symbols[i], symbols[i + 1], trainer->work[w].count, w);
        symbols += text.len;
    }
    push_grown(trainer);
    for (int byte = 0; byte < BYTE_VALUES; byte++) {
        char c = (char)byte;
        intern_add(&trainer->texts, &c, 1);
    }
}

/* Replace the pair in one word, from left to right, and move the counts of its neighbours. */
static void merge_in_word(struct tokenizer_trainer *trainer, uint32_t number,
                          const struct image_pair *merge)
{
    struct train_word *word = &trainer->work[number];
    int32_t *s = word->symbols;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < word->symbols_count; i++) {
        bool fits = i + 1 < word->symbols_count && s[i] == merge->left && s[i + 1] == merge->right;
        if (!fits) {
            s[kept++] = s[i];
            continue;
        }
        int64_t n = word->count;
        count_pair(trainer, merge->left, merge->right, -n, number);
        if (kept > 0) {
            count_pair(trainer, s[kept - 1], merge->left, -n, number);
            count_pair(trainer, s[kept - 1], merge->result, n, number);
        }
        if (i + 2 < word->symbols_count) {
            count_pair(trainer, merge->right, s[i + 2], -n, number);
            count_pair(trainer, merge->result, s[i + 2], n, number);
        }
        s[kept++] = merge->result;
        i++;
    }
    word->symbols_count = kept;
}

/* The most frequent pair, or false when none occurs often enough. */
static bool pop_best(struct tokenizer_trainer *trainer, uint32_t *pair_out)
{
    while (trainer->heap_count > 0) {
        struct heap_entry top = heap_pop(trainer);
        if (trainer->pairs[top.pair].count == top.count) {
            *pair_out = top.pair;
            return true;
        }
        push_pair(trainer, top.pair);
    }
    return false;
}

/* Two different pairs may spell the same text: then the later merge leads to the older entry. */
static int32_t entry_of(struct tokenizer_trainer *trainer, const struct train_pair *pair)
{
    struct strbuf joined = {0};
    struct str left = intern_key_at(&trainer->texts, (uint32_t)pair->left);
    struct str right = intern_key_at(&trainer->texts, (uint32_t)pair->right);
    strbuf_append(&joined, left.data, left.len);
    strbuf_append(&joined, right.data, right.len);
    uint32_t id = intern_add(&trainer->texts, joined.data, joined.len);
    strbuf_release(&joined);
    return (int32_t)id;
}

static void learn_one(struct tokenizer_trainer *trainer, uint32_t number)
{
    struct train_pair *pair = &trainer->pairs[number];
    struct image_pair merge = {
        .left = pair->left, .right = pair->right, .result = entry_of(trainer, pair)};
    /* A pair comes a second time when its left or right side was made anew by a later merge that
     * leads to the same entry; it keeps its first rank. */
    if (!pair->is_learned) {
        trainer->merges = realloc(trainer->merges, (trainer->merges_count + 1) * sizeof merge);
        ASSERT(trainer->merges != NULL);
        trainer->merges[trainer->merges_count++] = merge;
    }
    pair->is_learned = true;
    /* The list is taken away, because counting may move the pairs. */
    struct number_list words = pair->words;
    pair->words = (struct number_list){0};
    for (uint32_t i = 0; i < words.count; i++)
        merge_in_word(trainer, words.numbers[i], &merge);
    free(words.numbers);
    push_grown(trainer);
}

/* Make the tokenizer out of what was learned. */
static enum err_code build(const struct tokenizer_trainer *trainer,
                           const struct tokenizer_train_options *options,
                           struct tokenizer_builder *b, struct err *err)
{
    enum err_code rc = ERR_OK;
    struct strbuf name = {0};
    for (uint32_t id = 0; rc == ERR_OK && id < trainer->texts.count; id++) {
        strbuf_clear(&name);
        token_spell(intern_key_at(&trainer->texts, id), false, false, &name);
        rc = tokenizer_enter(b, (struct str){name.data, name.len}, (int32_t)id, err);
    }
    strbuf_release(&name);
    for (size_t i = 0; rc == ERR_OK && i < trainer->merges_count; i++) {
        const struct image_pair *merge = &trainer->merges[i];
        rc = tokenizer_enter_pair(b, merge->left, merge->right, merge->result, err);
    }
    int32_t next_id = (int32_t)trainer->texts.count;
    for (size_t i = 0; rc == ERR_OK && i < options->specials_count; i++)
        rc = tokenizer_enter_added(b, str_from(options->specials[i]), next_id++, true, err);
    return rc;
}

enum err_code tokenizer_trainer_finish(struct tokenizer_trainer *trainer,
                                       const struct tokenizer_train_options *options,
                                       struct tokenizer **tokenizer_out, struct err *err)
{
    int64_t entries = (int64_t)options->vocabulary - (int64_t)options->specials_count;
    if (entries < BYTE_VALUES || options->vocabulary > TOKENIZER_VOCABULARY_MAX)
        return err_set(err, ERR_INVALID,
                       "train a tokenizer of %d entries: it must hold 256 bytes and %zu special "
                       "tokens, and at most %d entries",
                       options->vocabulary, options->specials_count, TOKENIZER_VOCABULARY_MAX);
    begin_learning(trainer);
    uint32_t pair;
    while (trainer->texts.count < entries && pop_best(trainer, &pair))
        learn_one(trainer, pair);
    struct tokenizer_builder builder;
    tokenizer_builder_begin(&builder, 0, SPLIT_DIGITS_ONE);
    enum err_code rc = build(trainer, options, &builder, err);
    if (rc == ERR_OK)
        rc = tokenizer_builder_finish(&builder, NULL, NULL, tokenizer_out, err);
    tokenizer_builder_release(&builder);
    return rc;
}
