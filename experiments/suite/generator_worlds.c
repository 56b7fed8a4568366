/* Held-out synthetic tasks: a person's taste in flights, and an urn seen only through its draws. */
#include <string.h>

#include "check.h"
#include "generator.h"
#include "str.h"

enum { FLIGHTS = 3, FEATURES = 4, STEPS = 100 };

/* One flight: three features as steps 0 … 99 of [0, 1], stops as 0, 1 or 2 halves. */
struct flight {
    int departure, duration, stops, price;
};

static const char *const answers[FLIGHTS] = {"1", "2", "3"};

/* After Qiu et al. 2025 (arXiv 2503.17523, appendix A.1) with the two slips of the published
 * loader corrected: a weight may be +1 (the five values -1, -0.5, 0, 0.5, 1 are equally likely),
 * and the price is 50 + 1450 x dollars rounded to tens, as its stated range of 50 to 1,500 implies.
 */
static void draw_weights(struct dice *s, double weights[FEATURES])
{
    bool all_zero = true;
    while (all_zero) {
        for (int f = 0; f < FEATURES; f++) {
            weights[f] = (double)dice_between(s, -2, 2) / 2.0;
            all_zero = all_zero && weights[f] >= 0.0 && weights[f] <= 0.0;
        }
    }
}

static struct flight draw_flight(struct dice *s)
{
    struct flight f;
    f.departure = (int)dice_between(s, 0, STEPS - 1);
    f.duration = (int)dice_between(s, 0, STEPS - 1);
    f.stops = (int)dice_between(s, 0, 2);
    f.price = (int)dice_between(s, 0, STEPS - 1);
    return f;
}

static double utility(const struct flight *f, const double weights[FEATURES])
{
    const double last = STEPS - 1;
    return weights[0] * f->departure / last + weights[1] * f->duration / last +
           weights[2] * f->stops / 2.0 + weights[3] * f->price / last;
}

/* Whole-number interpolation low … high over the steps, rounded to the nearest. */
static int interpolate(int step, int low, int high)
{
    return low + ((high - low) * step * 2 + (STEPS - 1)) / (2 * (STEPS - 1));
}

/* "0905/130/0/340": departure 05:00 to 24:00 on the 24-hour clock, minutes 45 to 960, stops,
 * dollars. Compact, because three flights must fit into 60 tokens. */
static void print_flight(struct strbuf *out, const struct flight *f)
{
    int minute = interpolate(f->departure, 5 * 60, 24 * 60);
    int dollars = 10 * interpolate(f->price, 5, 150);
    strbuf_printf(out, "%02d%02d/%d/%d/%d", minute / 60, minute % 60,
                  interpolate(f->duration, 45, 960), f->stops, dollars);
}

void generate_flight(struct dice *s, struct arena *arena, struct example *examples, size_t count,
                     struct drawn *out)
{
    double weights[FEATURES];
    draw_weights(s, weights);
    struct strbuf text = {0};
    for (size_t i = 0; i < count; i++) {
        int best = 0;
        double most = 0.0;
        strbuf_clear(&text);
        for (int n = 0; n < FLIGHTS; n++) {
            struct flight f = draw_flight(s);
            double value = utility(&f, weights);
            if (n == 0 || value > most) { /* the first of equals wins */
                best = n;
                most = value;
            }
            strbuf_puts(&text, n ? ";" : "");
            print_flight(&text, &f);
        }
        examples[i].input = arena_strdup(arena, strbuf_text(&text));
        examples[i].output = answers[best];
    }
    out->mode = examples[0].output;
    strbuf_release(&text);
}

/* Two to five colours of nine; per colour a bound U{1 … 10}, then a count U{1 … bound}; the
 * examples are draws with replacement. Nothing is described: the composition must be inferred. */
void generate_urn(struct dice *s, struct arena *arena, struct example *examples, size_t count,
                  struct drawn *out)
{
    static const char *const colours[] = {"red",    "blue",  "green", "yellow", "purple",
                                          "orange", "brown", "black", "white"};
    (void)arena;
    uint32_t order[ARRAY_COUNT(colours)];
    int64_t balls[5], total = 0;
    int64_t kinds = dice_between(s, 2, 5);
    rng_permutation(gsl_rng_state(s->gsl), order, ARRAY_COUNT(colours));
    for (int64_t c = 0; c < kinds; c++) {
        balls[c] = dice_between(s, 1, dice_between(s, 1, 10));
        total += balls[c];
    }
    for (size_t i = 0; i < count; i++) {
        int64_t ball = dice_between(s, 0, total - 1);
        int64_t c = 0;
        while (ball >= balls[c])
            ball -= balls[c++];
        examples[i].output = colours[order[c]];
    }
    out->mode = NULL;
}
