/* Small worlds: a traveller's taste in flights, urns, a deck of cards, the states of the USA. */
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

static int minute_of(const struct flight *f)
{
    return interpolate(f->departure, 5 * 60, 24 * 60);
}

static int dollars_of(const struct flight *f)
{
    return 10 * interpolate(f->price, 5, 150);
}

/* "0905/130/0/340": departure 05:00 to 24:00 on the 24-hour clock, minutes 45 to 960, stops,
 * dollars. Compact, because three flights must fit into 60 tokens. */
static void print_compact(struct strbuf *out, int number, const struct flight *f)
{
    int minute = minute_of(f);
    strbuf_printf(out, "%s%02d%02d/%d/%d/%d", number ? ";" : "", minute / 60, minute % 60,
                  interpolate(f->duration, 45, 960), f->stops, dollars_of(f));
}

/* "1. leaves 9:05 am, takes 2 h 10 min, 0 stops, $340". */
static void print_full(struct strbuf *out, int number, const struct flight *f)
{
    int minute = minute_of(f), duration = interpolate(f->duration, 45, 960);
    int hour = minute / 60 % 12;
    strbuf_printf(out, "%s%d. leaves %d:%02d %s, takes %d h %d min, %d stop%s, $%d",
                  number ? "\n" : "", number + 1, hour ? hour : 12, minute % 60,
                  minute / 60 % 24 < 12 ? "am" : "pm", duration / 60, duration % 60, f->stops,
                  f->stops == 1 ? "" : "s", dollars_of(f));
}

static void generate_flights(struct drawing *d, struct drawn *out,
                             void (*print)(struct strbuf *out, int number, const struct flight *f))
{
    double weights[FEATURES];
    draw_weights(d->dice, weights);
    struct strbuf text = {0};
    for (size_t i = 0; i < d->count; i++) {
        int best = 0;
        double most = 0.0;
        strbuf_clear(&text);
        for (int n = 0; n < FLIGHTS; n++) {
            struct flight f = draw_flight(d->dice);
            double value = utility(&f, weights);
            if (n == 0 || value > most) { /* the first of equals wins */
                best = n;
                most = value;
            }
            print(&text, n, &f);
        }
        d->examples[i].input = arena_strdup(d->arena, strbuf_text(&text));
        d->examples[i].output = answers[best];
    }
    out->mode = d->examples[0].output;
    strbuf_release(&text);
}

void generate_flight(struct drawing *d, struct drawn *out)
{
    generate_flights(d, out, print_full);
}

void generate_flight_compact(struct drawing *d, struct drawn *out)
{
    generate_flights(d, out, print_compact);
}

enum { KINDS_MAX = 5 };

struct urn {
    const char *colours[KINDS_MAX];
    int64_t balls[KINDS_MAX], total;
    size_t kinds;
};

/* Two to five colours of nine; per colour a bound U{1 … 10}, then a count U{1 … bound}. */
static struct urn draw_urn(struct dice *s)
{
    static const char *const colours[] = {"red",    "blue",  "green", "yellow", "purple",
                                          "orange", "brown", "black", "white"};
    uint32_t order[ARRAY_COUNT(colours)];
    struct urn urn = {.kinds = (size_t)dice_between(s, 2, KINDS_MAX)};
    rng_permutation(gsl_rng_state(s->gsl), order, ARRAY_COUNT(colours));
    for (size_t c = 0; c < urn.kinds; c++) {
        urn.colours[c] = colours[order[c]];
        urn.balls[c] = dice_between(s, 1, dice_between(s, 1, 10));
        urn.total += urn.balls[c];
    }
    return urn;
}

/* Draws with replacement. */
static void draw_balls(struct drawing *d, const struct urn *urn)
{
    for (size_t i = 0; i < d->count; i++) {
        int64_t ball = dice_between(d->dice, 0, urn->total - 1);
        size_t c = 0;
        while (ball >= urn->balls[c])
            ball -= urn->balls[c++];
        d->examples[i].output = urn->colours[c];
    }
}

/* Nothing is described: the composition must be inferred. */
void generate_urn(struct drawing *d, struct drawn *out)
{
    struct urn urn = draw_urn(d->dice);
    draw_balls(d, &urn);
    out->mode = NULL;
}

/* The composition is described, so every colour's probability is known. */
void generate_urn_open(struct drawing *d, struct drawn *out)
{
    struct urn urn = draw_urn(d->dice);
    struct strbuf text = {0};
    size_t most = 0;
    out->candidates = arena_array(d->arena, KINDS_MAX, sizeof *out->candidates);
    out->target = arena_array(d->arena, KINDS_MAX, sizeof *out->target);
    out->candidate_count = (uint32_t)urn.kinds;
    for (size_t c = 0; c < urn.kinds; c++) {
        const char *before = c == 0 ? "" : c + 1 < urn.kinds ? ", " : " and ";
        strbuf_printf(&text, "%s%lld %s ball%s", before, (long long)urn.balls[c], urn.colours[c],
                      urn.balls[c] == 1 ? "" : "s");
        out->candidates[c] = urn.colours[c];
        out->target[c] = (double)urn.balls[c] / (double)urn.total;
        most = urn.balls[c] > urn.balls[most] ? c : most;
    }
    draw_balls(d, &urn);
    out->values[0] = arena_strdup(d->arena, strbuf_text(&text));
    out->mode = urn.colours[most];
    strbuf_release(&text);
}

/* The fifty states of the USA, equally likely. */
void generate_states(struct drawing *d, struct drawn *out)
{
    static const char *const states[] = {
        "Alabama",       "Alaska",      "Arizona",        "Arkansas",      "California",
        "Colorado",      "Connecticut", "Delaware",       "Florida",       "Georgia",
        "Hawaii",        "Idaho",       "Illinois",       "Indiana",       "Iowa",
        "Kansas",        "Kentucky",    "Louisiana",      "Maine",         "Maryland",
        "Massachusetts", "Michigan",    "Minnesota",      "Mississippi",   "Missouri",
        "Montana",       "Nebraska",    "Nevada",         "New Hampshire", "New Jersey",
        "New Mexico",    "New York",    "North Carolina", "North Dakota",  "Ohio",
        "Oklahoma",      "Oregon",      "Pennsylvania",   "Rhode Island",  "South Carolina",
        "South Dakota",  "Tennessee",   "Texas",          "Utah",          "Vermont",
        "Virginia",      "Washington",  "West Virginia",  "Wisconsin",     "Wyoming"};
    const size_t count = ARRAY_COUNT(states);
    out->candidates = arena_array(d->arena, count, sizeof *out->candidates);
    out->target = arena_array(d->arena, count, sizeof *out->target);
    out->candidate_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        out->candidates[i] = states[i];
        out->target[i] = 1.0 / (double)count;
    }
    for (size_t i = 0; i < d->count; i++)
        d->examples[i].output = states[dice_between(d->dice, 0, (int64_t)count - 1)];
}

/* A deck of 52, without replacement: rank and suit sign. */
void generate_cards(struct drawing *d, struct drawn *out)
{
    static const char *const ranks[] = {"2", "3",  "4", "5", "6", "7", "8",
                                        "9", "10", "J", "Q", "K", "A"};
    static const char *const suits[] = {"\u2660", "\u2665", "\u2666", "\u2663"};
    uint32_t order[ARRAY_COUNT(ranks) * ARRAY_COUNT(suits)];
    rng_permutation(gsl_rng_state(d->dice->gsl), order, ARRAY_COUNT(order));
    d->count = d->count < ARRAY_COUNT(order) ? d->count : ARRAY_COUNT(order);
    for (size_t i = 0; i < d->count; i++)
        d->examples[i].output = arena_printf(d->arena, "%s%s", ranks[order[i] / ARRAY_COUNT(suits)],
                                             suits[order[i] % ARRAY_COUNT(suits)]);
    out->mode = NULL;
}
