#include "text_diversity.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A text as numbers: equal words have equal numbers. */
struct words {
    uint32_t *ids;
    size_t count;
};

/* An n-gram at its place, and whose it is. */
struct gram {
    const uint32_t *ids;
    uint32_t length; /* n */
    uint32_t text;
};

struct word_place {
    const char *start;
    size_t len;
    uint32_t *id; /* where its number belongs */
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int compare_words(const void *a, const void *b)
{
    const struct word_place *x = a, *y = b;
    const int order = memcmp(x->start, y->start, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static int compare_grams(const struct gram *a, const struct gram *b)
{
    for (uint32_t i = 0; i < a->length; i++) {
        if (a->ids[i] != b->ids[i])
            return a->ids[i] < b->ids[i] ? -1 : 1;
    }
    return 0;
}

static int compare_grams_by_text(const void *a, const void *b)
{
    const struct gram *x = a, *y = b;
    const int order = compare_grams(x, y);
    return order != 0 ? order : (x->text > y->text) - (x->text < y->text);
}

static int compare_numbers(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Cut the texts into words and number these; returns how many words there are in all. */
static size_t read_words(const char *const *texts, size_t count, struct words *out,
                         struct arena *scratch)
{
    size_t longest = 0, places = 0;
    for (size_t t = 0; t < count; t++)
        longest += strlen(texts[t]) / 2 + 1;
    struct word_place *found = arena_array(scratch, longest, sizeof *found);
    uint32_t *ids = arena_array(scratch, longest, sizeof *ids);
    for (size_t t = 0; t < count; t++) {
        out[t] = (struct words){ids + places, 0};
        for (const char *at = texts[t]; *at;) {
            const char *end = at;
            while (*end && !is_space(*end))
                end++;
            if (end > at) {
                found[places] = (struct word_place){at, (size_t)(end - at), ids + places};
                places++;
                out[t].count++;
            }
            at = *end ? end + 1 : end;
        }
    }
    qsort(found, places, sizeof *found, compare_words);
    uint32_t number = 0;
    for (size_t i = 0; i < places; i++) {
        number += i > 0 && compare_words(&found[i - 1], &found[i]) != 0;
        *found[i].id = number;
    }
    return places;
}

/* All n-grams of all texts, equal ones together and by text. */
static struct gram *read_grams(const struct words *words, size_t count, uint32_t n,
                               size_t word_count, size_t *gram_count, struct arena *scratch)
{
    struct gram *grams = arena_array(scratch, word_count + 1, sizeof *grams);
    size_t used = 0;
    for (size_t t = 0; t < count; t++) {
        for (size_t i = 0; i + n <= words[t].count; i++)
            grams[used++] = (struct gram){words[t].ids + i, n, (uint32_t)t};
    }
    qsort(grams, used, sizeof *grams, compare_grams_by_text);
    *gram_count = used;
    return grams;
}

/* Add to each text how many of its n-grams of one kind (grams[0 … count - 1], by text) some other
 * text has too: its own count, at most the largest of another's. */
static void add_matches(const struct gram *grams, size_t count, uint64_t *matches)
{
    uint64_t most = 0, second = 0; /* largest counts of one text */
    uint32_t most_text = 0;
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && grams[end].text == grams[i].text;)
            end++;
        const uint64_t own = end - i;
        if (own > most) {
            second = most;
            most = own;
            most_text = grams[i].text;
        } else if (own > second) {
            second = own;
        }
    }
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && grams[end].text == grams[i].text;)
            end++;
        const uint64_t own = end - i, others = grams[i].text == most_text ? second : most;
        matches[grams[i].text] += own < others ? own : others;
    }
}

/* Length of another text nearest to that of text `t`, the shorter of two as near. `lengths` are
 * sorted and hold t's own once. */
static size_t nearest_length(const size_t *lengths, size_t count, size_t own)
{
    size_t best = SIZE_MAX, best_distance = SIZE_MAX;
    bool skipped = false;
    for (size_t i = 0; i < count; i++) {
        if (lengths[i] == own && !skipped) {
            skipped = true;
            continue;
        }
        const size_t distance = lengths[i] > own ? lengths[i] - own : own - lengths[i];
        if (distance < best_distance) {
            best = lengths[i];
            best_distance = distance;
        }
    }
    return best;
}

/* BLEU-4 of one text, from its matches per order. */
static double bleu(const uint64_t matches[TEXT_NGRAM_MAX], size_t own, size_t reference)
{
    if (own == 0 || matches[0] == 0)
        return 0.0;
    double log_precision = 0.0;
    for (size_t n = 0; n < TEXT_NGRAM_MAX; n++) {
        const double grams = own > n ? (double)(own - n) : 1.0;
        const double matched = matches[n] > 0 ? (double)matches[n] : 0.1;
        log_precision += log(matched / grams) / TEXT_NGRAM_MAX;
    }
    const double brevity = own > reference ? 0.0 : 1.0 - (double)reference / (double)own;
    return exp(log_precision + brevity);
}

static double self_bleu(const struct words *words, size_t count, uint64_t *matches,
                        struct arena *scratch)
{
    size_t *lengths = arena_array(scratch, count + 1, sizeof *lengths);
    double sum = 0.0;
    for (size_t t = 0; t < count; t++)
        lengths[t] = words[t].count;
    qsort(lengths, count, sizeof *lengths, compare_numbers);
    for (size_t t = 0; t < count; t++) {
        uint64_t own[TEXT_NGRAM_MAX];
        for (size_t n = 0; n < TEXT_NGRAM_MAX; n++)
            own[n] = matches[n * count + t];
        sum += bleu(own, words[t].count, nearest_length(lengths, count, words[t].count));
    }
    return count > 1 ? sum / (double)count : (double)NAN;
}

/* Entropy estimates from `count` counts, zeros allowed. NaN when all are zero. */
static struct entropy entropy_estimate(const uint64_t *counts, size_t count)
{
    struct entropy e = {NAN, NAN, NAN};
    uint64_t samples = 0, different = 0, singletons = 0;
    for (size_t i = 0; i < count; i++) {
        samples += counts[i];
        different += counts[i] > 0;
        singletons += counts[i] == 1;
    }
    if (samples == 0)
        return e;
    const double N = (double)samples;
    /* All of them once says nothing about what was seen: one fewer keeps the estimate finite. */
    const double once = singletons == samples ? N - 1.0 : (double)singletons;
    const double seen = 1.0 - once / N;
    e.plug_in = e.chao_shen = 0.0;
    for (size_t i = 0; i < count; i++) {
        if (counts[i] == 0)
            continue;
        const double share = (double)counts[i] / N, adjusted = seen * share;
        e.plug_in -= share * log(share);
        e.chao_shen -= adjusted * log(adjusted) / (1.0 - pow(1.0 - adjusted, N));
    }
    e.miller_madow = e.plug_in + (double)(different - 1) / (2.0 * N);
    return e;
}

/* Entropy of the texts as wholes: equal texts are neighbours after sorting. */
static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct entropy entropy_of_texts(const char *const *texts, size_t count,
                                       struct arena *scratch)
{
    const char **sorted = arena_array(scratch, count + 1, sizeof *sorted);
    uint64_t *counts = arena_array(scratch, count + 1, sizeof *counts);
    size_t different = 0;
    for (size_t i = 0; i < count; i++)
        sorted[i] = texts[i];
    qsort(sorted, count, sizeof *sorted, compare_texts);
    for (size_t i = 0; i < count; i++) {
        different += i == 0 || strcmp(sorted[i - 1], sorted[i]) != 0;
        counts[different - 1]++;
    }
    return entropy_estimate(counts, different);
}

struct text_diversity text_diversity_measure(const char *const *texts, size_t count,
                                             struct arena *scratch)
{
    struct text_diversity d = {.texts = count};
    struct words *words = arena_array(scratch, count + 1, sizeof *words);
    uint64_t *matches = arena_array(scratch, count * TEXT_NGRAM_MAX + 1, sizeof *matches);
    d.words = read_words(texts, count, words, scratch);
    d.words_mean = count ? (double)d.words / (double)count : (double)NAN;
    d.of_words = (struct entropy){NAN, NAN, NAN};
    for (uint32_t n = 1; n <= TEXT_NGRAM_MAX; n++) {
        size_t gram_count, different = 0;
        struct gram *grams = read_grams(words, count, n, d.words, &gram_count, scratch);
        uint64_t *counts = arena_array(scratch, gram_count + 1, sizeof *counts);
        for (size_t i = 0, end; i < gram_count; i = end) {
            for (end = i + 1; end < gram_count && compare_grams(&grams[i], &grams[end]) == 0;)
                end++;
            add_matches(grams + i, end - i, matches + (n - 1) * count);
            counts[different++] = end - i;
        }
        d.distinct[n - 1] = gram_count ? (double)different / (double)gram_count : (double)NAN;
        if (n == 1)
            d.of_words = entropy_estimate(counts, different);
    }
    d.self_bleu = self_bleu(words, count, matches, scratch);
    d.of_texts = entropy_of_texts(texts, count, scratch);
    return d;
}
