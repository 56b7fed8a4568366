/* Synthetic people: judges and name lists over rows of real data, and two populations of annotators
 * that exist nowhere else, so that they can be held out. */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "generator.h"
#include "shuffle.h"
#include "str.h"
#include "table_json.h"

/* ---- Judges of pairs of answers (HelpSteer2's five ratings) ---- */

enum { RATINGS = 5, JUDGE_TEXTS = 3 };

/* Weights of a judge: three qualities that mostly count for an answer, two that may count either
 * way. */
static void draw_judge(struct dice *s, double weights[RATINGS])
{
    for (int r = 0; r < RATINGS; r++)
        weights[r] = r < 3 ? gsl_ran_flat(s->gsl, -0.05, 0.95) : gsl_ran_flat(s->gsl, -0.5, 0.5);
}

static const char *weights_text(struct arena *arena, const double weights[RATINGS])
{
    return arena_printf(arena,
                        "helpfulness %.2f, correctness %.2f, coherence %.2f, complexity %.2f, "
                        "verbosity %.2f",
                        weights[0], weights[1], weights[2], weights[3], weights[4]);
}

static void judge(const struct cell *cells, const double weights[RATINGS], struct arena *arena,
                  struct example *out)
{
    static const char *const names[JUDGE_TEXTS] = {"prompt", "response1", "response2"};
    struct strbuf text = {0};
    double sums[2] = {0.0, 0.0};
    for (int r = 0; r < 2 * RATINGS; r++)
        sums[r / RATINGS] += weights[r % RATINGS] * strtod(cells[JUDGE_TEXTS + r].text, NULL);
    for (int i = 0; i < JUDGE_TEXTS; i++) {
        strbuf_printf(&text, "%s\"%s\": ", i ? ", " : "{", names[i]);
        table_json_put_text(&text, cells[i].text, strlen(cells[i].text));
    }
    strbuf_putc(&text, '}');
    out->input = arena_strdup(arena, strbuf_text(&text));
    out->output = sums[0] > sums[1] ? "1" : "2";
    strbuf_release(&text);
}

void generate_judges(struct drawing *d, struct drawn *out)
{
    double weights[RATINGS];
    struct cell cells[JUDGE_TEXTS + 2 * RATINGS];
    draw_judge(d->dice, weights);
    struct rng stream = rng_child(gsl_rng_state(d->dice->gsl), "pairs", 0);
    struct shuffle order = shuffle_make(stream, d->rows->row_count, d->arena);
    d->count = d->count < d->rows->row_count ? d->count : d->rows->row_count;
    for (size_t i = 0; i < d->count; i++) {
        row_set_fetch(d->rows, shuffle_at(&order, (uint32_t)i), d->arena, cells);
        judge(cells, weights, d->arena, &d->examples[i]);
    }
    out->values[0] = weights_text(d->arena, weights);
}

/* ---- First names, by year and sex ---- */

enum { NAME_COLUMNS = 5 };
enum name_column { NAME_PERIOD, NAME_SEX, NAME_NAME, NAME_COUNT };

/* Names to draw from. */
struct name_list {
    const char **names;
    double *keys; /* smaller is drawn earlier */
    size_t count;
};

/* Add the `top` most frequent names of a group, whose rows are in that order. A name's key is
 * exponential with its weight as rate, so that the order of keys is a weighted draw without
 * replacement (Efraimidis and Spirakis 2006). */
static void add_names(struct drawing *d, const struct row_group *group, size_t top, bool weighted,
                      struct name_list *list)
{
    struct cell cells[NAME_COLUMNS];
    for (uint32_t i = 0; i < group->count && i < top; i++) {
        row_set_fetch(d->rows, group->first + i, d->arena, cells);
        double weight = weighted ? strtod(cells[NAME_COUNT].text, NULL) : 1.0;
        list->names[list->count] = cells[NAME_NAME].text;
        list->keys[list->count++] = gsl_ran_exponential(d->dice->gsl, 1.0) / weight;
    }
}

/* The groups of a period: girls' and boys' names, where there are any. */
static size_t find_period(const struct drawing *d, size_t period, const struct row_group *out[2],
                          const char **name_out)
{
    struct cell cells[NAME_COLUMNS];
    const char *last = "";
    size_t seen = 0;
    out[0] = out[1] = NULL;
    for (size_t g = 0; g < d->rows->group_count; g++) {
        row_set_fetch(d->rows, d->rows->groups[g].first, d->arena, cells);
        seen += strcmp(cells[NAME_PERIOD].text, last) != 0;
        last = cells[NAME_PERIOD].text;
        if (seen == period + 1) {
            out[cells[NAME_SEX].text[0] == 'M'] = &d->rows->groups[g];
            *name_out = last;
        }
    }
    return seen;
}

/* Period i of n with probability proportional to n - i: recent ones more often. */
static size_t draw_period(struct dice *s, size_t count)
{
    int64_t u = dice_between(s, 0, (int64_t)(count * (count + 1) / 2) - 1);
    size_t i = 0;
    while (u >= (int64_t)(count - i))
        u -= (int64_t)(count - i++);
    return i;
}

/* The smallest keys first: how many are wanted, is how many places are put in order. */
static void take_smallest(struct name_list *list, struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t best = i;
        for (size_t j = i + 1; j < list->count; j++)
            best = list->keys[j] < list->keys[best] ? j : best;
        examples[i].output = list->names[best];
        list->names[best] = list->names[i];
        list->keys[best] = list->keys[i];
    }
}

void generate_names(struct drawing *d, struct drawn *out)
{
    static const char *const whose[] = {"girls and boys", "girls", "boys"};
    static const size_t tops[] = {10, 100, 1000, 5000};
    const struct row_group *groups[2], *ignored[2];
    const char *period = "";
    size_t periods = find_period(d, 0, ignored, &period);
    find_period(d, draw_period(d->dice, periods), groups, &period);
    size_t kind = (size_t)dice_between(d->dice, 0, 2);
    size_t top = tops[dice_between(d->dice, 0, 3)];
    bool weighted = dice_between(d->dice, 0, 1) == 1;
    struct name_list list = {arena_array(d->arena, top, sizeof(char *)),
                             arena_array(d->arena, top, sizeof(double)), 0};
    for (size_t sex = 0; sex < 2; sex++) {
        if (groups[sex] && (kind == 0 || kind == sex + 1))
            add_names(d, groups[sex], kind == 0 ? top / 2 : top, weighted, &list);
    }
    d->count = d->count < list.count ? d->count : list.count;
    take_smallest(&list, d->examples, d->count);
    out->values[0] = generator_count_text(d->arena, top);
    out->values[1] = whose[kind];
    out->values[2] = period;
    out->values[3] = weighted ? "as often as they were given" : "each name as likely as another";
}

/* ---- Raters: five stars for a meal, with a taste of their own ---- */

/* A rater has a mean, weights on four features, and noise; stars are the rounded sum, 1 to 5. */
void generate_raters(struct drawing *d, struct drawn *out)
{
    static const char *const dishes[] = {"soup", "curry", "pasta", "salad", "stew", "dumplings"};
    static const char *const heat[] = {"mild", "medium", "hot"};
    double taste[ARRAY_COUNT(dishes)];
    double mean = gsl_ran_flat(d->dice->gsl, 2.0, 4.0),
           noise = gsl_ran_flat(d->dice->gsl, 0.1, 0.6);
    double likes_heat = gsl_ran_gaussian(d->dice->gsl, 0.7);
    double per_minute = -gsl_ran_flat(d->dice->gsl, 0.0, 0.06);
    double per_dollar = -gsl_ran_flat(d->dice->gsl, 0.0, 0.12);
    for (size_t i = 0; i < ARRAY_COUNT(dishes); i++)
        taste[i] = gsl_ran_gaussian(d->dice->gsl, 0.8);
    for (size_t i = 0; i < d->count; i++) {
        size_t dish = (size_t)dice_between(d->dice, 0, (int64_t)ARRAY_COUNT(dishes) - 1);
        int64_t spice = dice_between(d->dice, 0, 2);
        int64_t minutes = 5 * dice_between(d->dice, 1, 9), dollars = dice_between(d->dice, 6, 24);
        double stars = mean + taste[dish] + likes_heat * (double)(spice - 1) +
                       per_minute * (double)(minutes - 25) + per_dollar * (double)(dollars - 15) +
                       gsl_ran_gaussian(d->dice->gsl, noise);
        stars = stars < 1.0 ? 1.0 : stars > 5.0 ? 5.0 : floor(stars + 0.5);
        d->examples[i].input =
            arena_printf(d->arena, "%s, %s, waited %lld min, $%lld", dishes[dish], heat[spice],
                         (long long)minutes, (long long)dollars);
        d->examples[i].output = arena_printf(d->arena, "%.0f", stars);
    }
    out->mode = NULL;
}

/* ---- Annotators with a rule: which things count as members of a kind ---- */

struct thing {
    size_t features[3];
};

/* Each annotator has a rule on one feature, or on two joined by "and" or "or", and errs in one
 * answer of twenty. */
void generate_rules(struct drawing *d, struct drawn *out)
{
    static const char *const words[3][4] = {{"tiny", "small", "large", "huge"},
                                            {"red", "blue", "green", "yellow"},
                                            {"circle", "square", "triangle", "star"}};
    uint32_t order[3];
    unsigned accepted[2];
    rng_permutation(gsl_rng_state(d->dice->gsl), order, 3);
    for (int f = 0; f < 2; f++) /* some of the four values, not none and not all */
        accepted[f] = (unsigned)dice_between(d->dice, 1, 14);
    int64_t join = dice_between(d->dice, 0, 2);
    for (size_t i = 0; i < d->count; i++) {
        struct thing thing;
        for (int f = 0; f < 3; f++)
            thing.features[f] = (size_t)dice_between(d->dice, 0, 3);
        bool first = accepted[0] >> thing.features[order[0]] & 1;
        bool second = accepted[1] >> thing.features[order[1]] & 1;
        bool member = join == 0 ? first : join == 1 ? first && second : first || second;
        bool errs = gsl_rng_uniform(d->dice->gsl) < 0.05;
        d->examples[i].input =
            arena_printf(d->arena, "%s %s %s", words[0][thing.features[0]],
                         words[1][thing.features[1]], words[2][thing.features[2]]);
        d->examples[i].output = member != errs ? "yes" : "no";
    }
    out->mode = NULL;
}
