#include "generator.h"

#include <string.h>

#include "check.h"

#define NOTHING                                                                                    \
    {                                                                                              \
        NULL                                                                                       \
    }

static const struct generator table[] = {
    {"coinflip",
     {"heads", "tails", "heads_percent", "tails_percent", "likelier", NULL},
     {"heads", "tails", "heads_percent", "tails_percent", "likelier", NULL},
     generate_coinflip,
     NOTHING,
     NULL},
    {"categorical",
     {"count", "last", "probabilities", NULL},
     {"probabilities", NULL},
     generate_categorical,
     NOTHING,
     NULL},
    {"binomial",
     {"trials", "probability", NULL},
     {"probability", NULL},
     generate_binomial,
     NOTHING,
     NULL},
    {"poisson", {"rate", NULL}, {"rate", NULL}, generate_poisson, NOTHING, NULL},
    {"normal",
     {"mean", "sd", "mean_short", "sd_short", "decimals", NULL},
     {"mean", NULL},
     generate_normal,
     NOTHING,
     NULL},
    {"multinomial",
     {"count", "last", "draws", "probabilities", NULL},
     NOTHING,
     generate_multinomial,
     NOTHING,
     NULL},
    {"geometric",
     {"probability", "probability_short", NULL},
     {"probability", "probability_short", NULL},
     generate_geometric,
     NOTHING,
     NULL},
    {"negative_binomial",
     {"successes", "probability", NULL},
     {"probability", NULL},
     generate_negative_binomial,
     NOTHING,
     NULL},
    {"hypergeometric",
     {"population", "positives", "draws", NULL},
     {"positives", NULL},
     generate_hypergeometric,
     NOTHING,
     NULL},
    {"zipfian", {"exponent", NULL}, {"exponent", NULL}, generate_zipfian, NOTHING, NULL},
    {"cards", NOTHING, NOTHING, generate_cards, NOTHING, NULL},
    {"flight", NOTHING, NOTHING, generate_flight, NOTHING, NULL},
    {"flight_compact", NOTHING, NOTHING, generate_flight_compact, NOTHING, NULL},
    {"urn", NOTHING, NOTHING, generate_urn, NOTHING, NULL},
    {"urn_open", {"balls", NULL}, {"balls", NULL}, generate_urn_open, NOTHING, NULL},
    {"states", NOTHING, NOTHING, generate_states, NOTHING, NULL},
    {"raters", NOTHING, NOTHING, generate_raters, NOTHING, NULL},
    {"rules", NOTHING, NOTHING, generate_rules, NOTHING, NULL},
    {"judges",
     {"weights", NULL},
     NOTHING,
     generate_judges,
     {"prompt", "response1", "response2", "helpfulness1", "correctness1", "coherence1",
      "complexity1", "verbosity1", "helpfulness2", "correctness2", "coherence2", "complexity2",
      "verbosity2", NULL},
     NULL},
    {"names",
     {"top", "whose", "period", "how", NULL},
     NOTHING,
     generate_names,
     {"period", "sex", "name", "count", "cell", NULL},
     "cell"},
};

const struct generator *generator_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

const char **generator_names(struct arena *arena, size_t *count_out)
{
    const char **names = arena_array(arena, ARRAY_COUNT(table), sizeof *names);
    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        names[i] = table[i].name;
    *count_out = ARRAY_COUNT(table);
    return names;
}

const char *generator_count_text(struct arena *arena, uint64_t value)
{
    return arena_printf(arena, "%llu", (unsigned long long)value);
}
