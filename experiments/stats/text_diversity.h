/* How varied free texts are: what the published measures leave open for long outputs. Texts are cut
 * into words at ASCII white space; words are compared byte by byte. */
#ifndef TRIAD_TEXT_DIVERSITY_H
#define TRIAD_TEXT_DIVERSITY_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"

#define TEXT_NGRAM_MAX 4

/* Entropy of the distribution that counts come from, in nats. */
struct entropy {
    double plug_in;      /* of the shares themselves: too low for small samples */
    double miller_madow; /* + (different - 1) / (2 samples) (Miller 1955) */
    double chao_shen;    /* unseen mass estimated by the singletons (Chao and Shen 2003) */
};

struct text_diversity {
    uint64_t texts, words;
    double words_mean;               /* words per text */
    double distinct[TEXT_NGRAM_MAX]; /* different n-grams / n-grams, n = 1 … 4 (Li et al. 2016) */
    /* Mean over the texts of BLEU-4 of each against all others (Zhu et al. 2018): uniform weights,
     * counts clipped, brevity penalty by the nearest length (the shorter of two as near), an
     * n-gram order without any match counted as 0.1 matches (Chen and Cherry 2014, method 1).
     * Low means varied. NaN below two texts. */
    double self_bleu;
    struct entropy of_texts; /* whole texts as symbols */
    struct entropy of_words; /* words as symbols */
};

/* What cannot be said of so few texts is NaN. */
struct text_diversity text_diversity_measure(const char *const *texts, size_t count,
                                             struct arena *scratch);

#endif
