/* Draws from one named distribution: the sequence is its samples, the description may state its
 * parameters. Priors: docs/science.md section 5. */
#include <gsl/gsl_math.h>
#include <gsl/gsl_randist.h>
#include <math.h>

#include "check.h"
#include "generator.h"
#include "str.h"

enum { CATEGORIES_MAX = 64 };

static const char *count_text(struct arena *arena, uint64_t value)
{
    return arena_printf(arena, "%llu", (unsigned long long)value);
}

/* p ~ U(0, 1). */
void generate_coinflip(struct dice *s, struct arena *arena, struct example *examples, size_t count,
                       struct drawn *out)
{
    double p = gsl_rng_uniform(s->gsl);
    for (size_t i = 0; i < count; i++)
        examples[i].output = gsl_rng_uniform(s->gsl) < p ? "Heads" : "Tails";
    out->values[0] = arena_printf(arena, "%.3f", p);
    out->values[1] = arena_printf(arena, "%.3f", 1.0 - p);
    out->values[2] = arena_printf(arena, "%.1f", 100.0 * p);
    out->values[3] = arena_printf(arena, "%.1f", 100.0 * (1.0 - p));
    out->values[4] = p >= 0.5 ? "Heads" : "Tails";
    out->mode = out->values[4];
}

/* K = max(2, GP(12)); probabilities ~ Dirichlet(1, …, 1). */
void generate_categorical(struct dice *s, struct arena *arena, struct example *examples,
                          size_t count, struct drawn *out)
{
    double alpha[CATEGORIES_MAX], share[CATEGORIES_MAX];
    int64_t drawn = dice_gp(s, 12);
    size_t k = drawn < 2 ? 2 : drawn > CATEGORIES_MAX ? CATEGORIES_MAX : (size_t)drawn;
    for (size_t i = 0; i < k; i++)
        alpha[i] = 1.0;
    gsl_ran_dirichlet(s->gsl, k, alpha, share);
    struct strbuf list = {0};
    size_t mode = 0;
    for (size_t i = 0; i < k; i++) {
        strbuf_printf(&list, "%s%zu: %.4f", i ? ", " : "", i, share[i]);
        mode = share[i] > share[mode] ? i : mode;
    }
    for (size_t i = 0; i < count; i++) {
        double u = gsl_rng_uniform(s->gsl);
        size_t pick = 0;
        while (pick + 1 < k && u >= share[pick])
            u -= share[pick++];
        examples[i].output = count_text(arena, pick);
    }
    out->values[0] = count_text(arena, k);
    out->values[1] = count_text(arena, k - 1);
    out->values[2] = arena_strdup(arena, strbuf_text(&list));
    out->mode = count_text(arena, mode);
    strbuf_release(&list);
}

/* p ~ Beta(1, 1), n ~ GP(1024). */
void generate_binomial(struct dice *s, struct arena *arena, struct example *examples, size_t count,
                       struct drawn *out)
{
    double p = gsl_ran_beta(s->gsl, 1.0, 1.0);
    unsigned n = (unsigned)dice_gp(s, 1024);
    for (size_t i = 0; i < count; i++)
        examples[i].output = count_text(arena, gsl_ran_binomial(s->gsl, p, n));
    out->values[0] = count_text(arena, n);
    out->values[1] = arena_printf(arena, "%.6g", p);
    /* floor((n + 1) p), at most n. */
    double mode = floor((n + 1.0) * p);
    out->mode = count_text(arena, mode > n ? n : (uint64_t)mode);
}

/* rate ~ Gamma(shape 0.5, scale 2000). */
void generate_poisson(struct dice *s, struct arena *arena, struct example *examples, size_t count,
                      struct drawn *out)
{
    double rate = gsl_ran_gamma(s->gsl, 0.5, 2000.0);
    for (size_t i = 0; i < count; i++)
        examples[i].output = count_text(arena, gsl_ran_poisson(s->gsl, rate));
    out->values[0] = arena_printf(arena, "%.6g", rate);
    out->mode = count_text(arena, (uint64_t)floor(rate));
}

/* Mean and standard deviation of the protocol's three-way mixture. */
static void draw_normal_parameters(struct dice *s, double *mean, double *sd)
{
    double u = gsl_rng_uniform(s->gsl);
    *mean = gsl_ran_flat(s->gsl, 0.0, 100.0);
    *sd = gsl_ran_flat(s->gsl, 1.0, 5.0);
    if (u >= 0.2 && u < 0.4) {
        *mean *= exp(gsl_ran_gaussian(s->gsl, 4.0));
        *sd *= exp(gsl_ran_gaussian(s->gsl, 3.0));
    } else if (u >= 0.4 && u < 0.6) {
        *mean = gsl_ran_poisson(s->gsl, 10.0);
        if (gsl_rng_uniform(s->gsl) < 0.5)
            *mean = -*mean;
        *sd = gsl_ran_poisson(s->gsl, 20.0);
        if (gsl_rng_uniform(s->gsl) < 0.5 && *sd > 0.0)
            *sd = 1.0 / *sd;
    }
    double scale = exp(gsl_ran_flat(s->gsl, -10.0, 10.0));
    *mean *= scale;
    *sd *= scale;
}

void generate_normal(struct dice *s, struct arena *arena, struct example *examples, size_t count,
                     struct drawn *out)
{
    double mean, sd;
    draw_normal_parameters(s, &mean, &sd);
    int decimals = 1 + (int)gsl_ran_poisson(s->gsl, 3.0);
    for (size_t i = 0; i < count; i++)
        examples[i].output =
            arena_printf(arena, "%.*f", decimals, mean + gsl_ran_gaussian(s->gsl, sd));
    out->values[0] = arena_printf(arena, "%.5g", mean);
    out->values[1] = arena_printf(arena, "%.5g", sd);
    out->values[2] = arena_printf(arena, "%.1e", mean);
    out->values[3] = arena_printf(arena, "%.1e", sd);
    out->values[4] = arena_printf(arena, "%d", decimals);
    out->mode = arena_printf(arena, "%.*f", decimals, mean);
}
