#include "generator.h"

#include <string.h>

#include "check.h"

static const struct generator table[] = {
    {"coinflip",
     {"heads", "tails", "heads_percent", "tails_percent", "likelier", NULL},
     {"heads", "tails", "heads_percent", "tails_percent", "likelier", NULL},
     generate_coinflip},
    {"categorical",
     {"count", "last", "probabilities", NULL},
     {"probabilities", NULL},
     generate_categorical},
    {"binomial", {"trials", "probability", NULL}, {"probability", NULL}, generate_binomial},
    {"poisson", {"rate", NULL}, {"rate", NULL}, generate_poisson},
    {"normal",
     {"mean", "sd", "mean_short", "sd_short", "decimals", NULL},
     {"mean", NULL},
     generate_normal},
    {"flight", {NULL}, {NULL}, generate_flight},
    {"urn", {NULL}, {NULL}, generate_urn},
};

const struct generator *generator_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

const char *const *generator_names(void)
{
    static const char *const names[] = {"coinflip", "categorical", "binomial", "poisson",
                                        "normal",   "flight",      "urn",      NULL};
    _Static_assert(ARRAY_COUNT(names) == ARRAY_COUNT(table) + 1, "one name per row");
    return names;
}
