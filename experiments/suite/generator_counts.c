/* Draws from one named distribution: the sequence is its samples, the description may state its
 * parameters. Priors: docs/science.md section 5. */
#include <gsl/gsl_math.h>
#include <gsl/gsl_randist.h>
#include <math.h>

#include "check.h"
#include "generator.h"
#include "str.h"

enum { CATEGORIES_MAX = 64 };

/* p ~ U(0, 1). */
void generate_coinflip(struct drawing *d, struct drawn *out)
{
    double p = gsl_rng_uniform(d->dice->gsl);
    for (size_t i = 0; i < d->count; i++)
        d->examples[i].output = gsl_rng_uniform(d->dice->gsl) < p ? "Heads" : "Tails";
    out->values[0] = arena_printf(d->arena, "%.3f", p);
    out->values[1] = arena_printf(d->arena, "%.3f", 1.0 - p);
    out->values[2] = arena_printf(d->arena, "%.1f", 100.0 * p);
    out->values[3] = arena_printf(d->arena, "%.1f", 100.0 * (1.0 - p));
    out->values[4] = p >= 0.5 ? "Heads" : "Tails";
    out->mode = out->values[4];
}

/* K = max(2, GP(12)), bounded; probabilities ~ Dirichlet(1, …, 1). */
static size_t draw_shares(struct drawing *d, double share[CATEGORIES_MAX])
{
    double alpha[CATEGORIES_MAX];
    int64_t drawn = dice_gp(d->dice, 12);
    size_t k = drawn < 2 ? 2 : drawn > CATEGORIES_MAX ? CATEGORIES_MAX : (size_t)drawn;
    for (size_t i = 0; i < k; i++)
        alpha[i] = 1.0;
    gsl_ran_dirichlet(d->dice->gsl, k, alpha, share);
    return k;
}

/* "0: 0.1234, 1: 0.8766". */
static const char *shares_text(struct drawing *d, const double *share, size_t k)
{
    struct strbuf list = {0};
    for (size_t i = 0; i < k; i++)
        strbuf_printf(&list, "%s%zu: %.4f", i ? ", " : "", i, share[i]);
    char *text = arena_strdup(d->arena, strbuf_text(&list));
    strbuf_release(&list);
    return text;
}

void generate_categorical(struct drawing *d, struct drawn *out)
{
    double share[CATEGORIES_MAX];
    size_t k = draw_shares(d, share), mode = 0;
    for (size_t i = 0; i < k; i++)
        mode = share[i] > share[mode] ? i : mode;
    for (size_t i = 0; i < d->count; i++) {
        double u = gsl_rng_uniform(d->dice->gsl);
        size_t pick = 0;
        while (pick + 1 < k && u >= share[pick])
            u -= share[pick++];
        d->examples[i].output = generator_count_text(d->arena, pick);
    }
    out->values[0] = generator_count_text(d->arena, k);
    out->values[1] = generator_count_text(d->arena, k - 1);
    out->values[2] = shares_text(d, share, k);
    out->mode = generator_count_text(d->arena, mode);
}

/* Shares as for categories, N = GP(32) draws each; by a coin per sequence {"0": 3, …} or ["3", …].
 */
void generate_multinomial(struct drawing *d, struct drawn *out)
{
    double share[CATEGORIES_MAX];
    unsigned found[CATEGORIES_MAX];
    size_t k = draw_shares(d, share);
    unsigned draws = (unsigned)dice_gp(d->dice, 32);
    bool mapping = gsl_rng_uniform(d->dice->gsl) < 0.5;
    for (size_t i = 0; i < d->count; i++) {
        struct strbuf text = {0};
        gsl_ran_multinomial(d->dice->gsl, k, draws, share, found);
        for (size_t c = 0; c < k; c++) {
            strbuf_puts(&text, c ? ", " : mapping ? "{" : "[");
            if (mapping)
                strbuf_printf(&text, "\"%zu\": %u", c, found[c]);
            else
                strbuf_printf(&text, "\"%u\"", found[c]);
        }
        strbuf_puts(&text, mapping ? "}" : "]");
        d->examples[i].output = arena_strdup(d->arena, strbuf_text(&text));
        strbuf_release(&text);
    }
    out->values[0] = generator_count_text(d->arena, k);
    out->values[1] = generator_count_text(d->arena, k - 1);
    out->values[2] = generator_count_text(d->arena, draws);
    out->values[3] = shares_text(d, share, k);
}

/* p ~ Beta(1, 1), kept away from 0, where waiting never ends; trials until the first success. */
void generate_geometric(struct drawing *d, struct drawn *out)
{
    double p = gsl_ran_beta(d->dice->gsl, 1.0, 1.0);
    p = p < 1e-9 ? 1e-9 : p;
    for (size_t i = 0; i < d->count; i++)
        d->examples[i].output = generator_count_text(d->arena, gsl_ran_geometric(d->dice->gsl, p));
    out->values[0] = arena_printf(d->arena, "%.6g", p);
    out->values[1] = arena_printf(d->arena, "%.3f", p);
    out->mode = "1";
}

/* r ~ Beta(1, 1), p ~ U(0, 1): failures before the r-th success, r a fraction. */
void generate_negative_binomial(struct drawing *d, struct drawn *out)
{
    double r = gsl_ran_beta(d->dice->gsl, 1.0, 1.0);
    double p = gsl_rng_uniform_pos(d->dice->gsl);
    p = p < 1e-9 ? 1e-9 : p;
    for (size_t i = 0; i < d->count; i++)
        d->examples[i].output =
            generator_count_text(d->arena, gsl_ran_negative_binomial(d->dice->gsl, p, r));
    out->values[0] = arena_printf(d->arena, "%.2f", r);
    out->values[1] = arena_printf(d->arena, "%.2f", p);
    out->mode = "0"; /* r <= 1 */
}

/* N = GP(128), K and n uniform on 1 … N: positives among n drawn without replacement. */
void generate_hypergeometric(struct drawing *d, struct drawn *out)
{
    int64_t population = dice_gp(d->dice, 128);
    int64_t positives = dice_between(d->dice, 1, population);
    int64_t draws = dice_between(d->dice, 1, population);
    for (size_t i = 0; i < d->count; i++)
        d->examples[i].output = generator_count_text(
            d->arena, gsl_ran_hypergeometric(d->dice->gsl, (unsigned)positives,
                                             (unsigned)(population - positives), (unsigned)draws));
    out->values[0] = generator_count_text(d->arena, (uint64_t)population);
    out->values[1] = generator_count_text(d->arena, (uint64_t)positives);
    out->values[2] = generator_count_text(d->arena, (uint64_t)draws);
    /* floor((n + 1)(K + 1) / (N + 2)). */
    out->mode = generator_count_text(d->arena,
                                     (uint64_t)((draws + 1) * (positives + 1) / (population + 2)));
}

/* Zipf by rejection from a Pareto tail (Devroye, Non-Uniform Random Variate Generation, 1986,
 * X.6.1); what does not fit 63 bits is drawn again. */
static uint64_t draw_zipf(struct dice *s, double a)
{
    const double b = pow(2.0, a - 1.0);
    for (;;) {
        double u = gsl_rng_uniform_pos(s->gsl), v = gsl_rng_uniform(s->gsl);
        double x = floor(pow(u, -1.0 / (a - 1.0)));
        if (!(x >= 1.0 && x < 9.2e18))
            continue;
        double t = pow(1.0 + 1.0 / x, a - 1.0);
        if (v * x * (t - 1.0) / (b - 1.0) <= t / b)
            return (uint64_t)x;
    }
}

/* Exponent ~ U(1 + 1e-6, 2.5). */
void generate_zipfian(struct drawing *d, struct drawn *out)
{
    double a = gsl_ran_flat(d->dice->gsl, 1.0 + 1e-6, 2.5);
    for (size_t i = 0; i < d->count; i++)
        d->examples[i].output = generator_count_text(d->arena, draw_zipf(d->dice, a));
    out->values[0] = arena_printf(d->arena, "%.3f", a);
    out->mode = "1";
}

/* p ~ Beta(1, 1), n ~ GP(1024). */
void generate_binomial(struct drawing *d, struct drawn *out)
{
    double p = gsl_ran_beta(d->dice->gsl, 1.0, 1.0);
    unsigned n = (unsigned)dice_gp(d->dice, 1024);
    for (size_t i = 0; i < d->count; i++)
        d->examples[i].output =
            generator_count_text(d->arena, gsl_ran_binomial(d->dice->gsl, p, n));
    out->values[0] = generator_count_text(d->arena, n);
    out->values[1] = arena_printf(d->arena, "%.6g", p);
    /* floor((n + 1) p), at most n. */
    double mode = floor((n + 1.0) * p);
    out->mode = generator_count_text(d->arena, mode > n ? n : (uint64_t)mode);
}

/* rate ~ Gamma(shape 0.5, scale 2000). */
void generate_poisson(struct drawing *d, struct drawn *out)
{
    double rate = gsl_ran_gamma(d->dice->gsl, 0.5, 2000.0);
    for (size_t i = 0; i < d->count; i++)
        d->examples[i].output = generator_count_text(d->arena, gsl_ran_poisson(d->dice->gsl, rate));
    out->values[0] = arena_printf(d->arena, "%.6g", rate);
    out->mode = generator_count_text(d->arena, (uint64_t)floor(rate));
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

void generate_normal(struct drawing *d, struct drawn *out)
{
    double mean, sd;
    draw_normal_parameters(d->dice, &mean, &sd);
    int decimals = 1 + (int)gsl_ran_poisson(d->dice->gsl, 3.0);
    for (size_t i = 0; i < d->count; i++)
        d->examples[i].output =
            arena_printf(d->arena, "%.*f", decimals, mean + gsl_ran_gaussian(d->dice->gsl, sd));
    out->values[0] = arena_printf(d->arena, "%.5g", mean);
    out->values[1] = arena_printf(d->arena, "%.5g", sd);
    out->values[2] = arena_printf(d->arena, "%.1e", mean);
    out->values[3] = arena_printf(d->arena, "%.1e", sd);
    out->values[4] = arena_printf(d->arena, "%d", decimals);
    out->mode = arena_printf(d->arena, "%.*f", decimals, mean);
}
