/* The data of one call: see kernel_cases.h. */
#include "kernel_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define GUARD       64
#define GUARD_VALUE 1234567.0f

static size_t extent_count(const struct case_shape *s, enum case_extent extent)
{
    const size_t C = (size_t)s->C, O = (size_t)s->O, H = (size_t)s->H, G = (size_t)s->G;
    switch (extent) {
    case EXTENT_NONE:
        return 0;
    case EXTENT_ONE:
        return 1;
    case EXTENT_C:
        return C;
    case EXTENT_O:
        return O;
    case EXTENT_H:
        return H;
    case EXTENT_HD:
        return H * (size_t)s->D;
    case EXTENT_GD:
        return G * (size_t)s->D;
    case EXTENT_OC:
        return O * C;
    case EXTENT_TC:
        return CASE_POSITIONS * C;
    case EXTENT_TD:
        return CASE_POSITIONS * (size_t)s->D;
    case EXTENT_PGD:
        return CASE_SHARED * G * (size_t)s->D;
    }
    UNREACHABLE("an extent outside its enumeration");
}

static void *zeroed(size_t count, size_t element_bytes)
{
    void *memory = calloc(count + 1, element_bytes);
    ASSERT(memory != NULL);
    return memory;
}

static void place_sequences(struct problem *p, const int *lens, const uint64_t *keys, int count)
{
    ASSERT(count <= CASE_SEQUENCES_MAX);
    for (int b = 0; b < count; b++) {
        p->start[b] = p->N;
        p->len[b] = lens[b];
        p->N += kernel_rows_padded(lens[b]);
    }
    p->batch = (struct kernel_batch){
        .sequence_count = count, .rows = p->N, .start = p->start, .len = p->len};
    p->ids = zeroed((size_t)p->N, sizeof *p->ids);
    p->positions = zeroed((size_t)p->N, sizeof *p->positions);
    p->targets = zeroed((size_t)p->N, sizeof *p->targets);
    p->own_first = zeroed((size_t)p->N, sizeof *p->own_first);
    p->own_len = zeroed((size_t)p->N, sizeof *p->own_len);
    for (int n = 0; n < p->N; n++)
        p->ids[n] = p->targets[n] = -1;
    for (int b = 0; b < count; b++) {
        const struct rng root = rng_new(keys[b], "integers");
        struct rng rng = rng_child(&root, p->kernel_case->name, 0);
        for (int t = 0; t < lens[b]; t++) {
            const int n = p->start[b] + t;
            /* Some rows have no id and no target, some share theirs. */
            p->ids[n] = (int32_t)rng_below(&rng, 21) - 1;
            p->targets[n] = (int32_t)rng_below(&rng, (uint64_t)p->shape.O + 1) - 1;
            p->positions[n] = t % CASE_POSITIONS;
            p->own_first[n] = p->start[b];
            p->own_len[n] = t + 1;
        }
    }
}

static void fill(double *x, size_t count, double spread, struct rng rng)
{
    for (size_t i = 0; i < count; i++) {
        const double value = (spread > 0 || spread < 0 ? spread : 1) * rng_normal(&rng);
        x[i] = (double)(float)(spread < 0 ? fabs(value) : value);
    }
}

/* Random values of array `a`, one stream per sequence for row arrays; padding rows stay zero. */
static void fill_array(struct problem *p, int a, const uint64_t *keys)
{
    const struct case_array *array = &p->kernel_case->arrays[a];
    if (array->role == ROLE_OUT)
        return;
    if (!array->per_row) {
        const struct rng root = rng_new(0, "shared");
        fill(p->d[a], p->count[a], array->spread, rng_child(&root, "array", (uint64_t)a));
        return;
    }
    const size_t width = extent_count(&p->shape, array->extent);
    for (int b = 0; b < p->batch.sequence_count; b++) {
        const struct rng root = rng_new(keys[b], "rows");
        fill(p->d[a] + (size_t)p->start[b] * width, (size_t)p->len[b] * width, array->spread,
             rng_child(&root, "array", (uint64_t)a));
    }
}

/* The float side: NaN where the operation must write, guards around. Starts are not aligned. */
static float *guarded_copy(const double *x, size_t count, bool nan)
{
    float *whole = zeroed(count + 2 * GUARD, sizeof *whole);
    for (size_t i = 0; i < GUARD; i++)
        whole[i] = whole[GUARD + count + i] = GUARD_VALUE;
    for (size_t i = 0; i < count; i++)
        whole[GUARD + i] = nan ? NAN : (float)x[i];
    return whole + GUARD;
}

void problem_make(struct problem *p, const struct kernel_case *kernel_case,
                  const struct case_shape *shape, const int *lens, const uint64_t *keys, int count)
{
    *p = (struct problem){.kernel_case = kernel_case, .shape = *shape};
    place_sequences(p, lens, keys, count);
    for (int a = 0; a < CASE_ARRAYS_MAX; a++) {
        const struct case_array *array = &kernel_case->arrays[a];
        p->count[a] = extent_count(shape, array->extent) * (array->per_row ? (size_t)p->N : 1);
        if (p->count[a] == 0)
            continue;
        p->d[a] = zeroed(p->count[a], sizeof **p->d);
        fill_array(p, a, keys);
    }
    p->work = zeroed(kernel_select()->attention_bytes(p->N + CASE_SHARED, shape->D), 1);
    p->nats = zeroed((size_t)p->N, sizeof *p->nats);
    p->lse = zeroed((size_t)p->N, sizeof *p->lse);
    p->hit = zeroed((size_t)p->N, sizeof *p->hit);
    if (kernel_case->forward) {
        double *out = zeroed(problem_forward_count(p), sizeof *out);
        kernel_case->forward(p, p->d, out);
        free(out);
    }
    for (int a = 0; a < CASE_ARRAYS_MAX; a++)
        if (p->count[a] > 0)
            p->f[a] = guarded_copy(p->d[a], p->count[a], kernel_case->arrays[a].role == ROLE_OUT);
}

void problem_release(struct problem *p)
{
    for (int a = 0; a < CASE_ARRAYS_MAX; a++) {
        free(p->f[a] ? p->f[a] - GUARD : NULL);
        free(p->d[a]);
    }
    void *rest[] = {p->ids,  p->positions, p->targets, p->own_first, p->own_len,
                    p->work, p->nats,      p->lse,     p->hit};
    for (size_t i = 0; i < ARRAY_COUNT(rest); i++)
        free(rest[i]);
}

size_t problem_forward_count(const struct problem *p)
{
    const int upstream = p->kernel_case->upstream;
    return upstream < 0 ? (size_t)p->N : p->count[upstream];
}

static bool same_float(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

bool problem_is_intact(const struct problem *p, char *text, size_t text_size)
{
    for (int a = 0; a < CASE_ARRAYS_MAX; a++) {
        if (p->count[a] == 0)
            continue;
        for (size_t i = 0; i < GUARD; i++) {
            const float before = p->f[a][-1 - (ptrdiff_t)i];
            const float after = p->f[a][p->count[a] + i];
            if (same_float(before, GUARD_VALUE) && same_float(after, GUARD_VALUE))
                continue;
            snprintf(text, text_size, "array %d: written outside, %zu away", a, i + 1);
            return false;
        }
        for (size_t i = 0; i < p->count[a] && p->kernel_case->arrays[a].role == ROLE_IN; i++) {
            if (same_float(p->f[a][i], (float)p->d[a][i]))
                continue;
            snprintf(text, text_size, "array %d: input changed at %zu", a, i);
            return false;
        }
    }
    return true;
}

double problem_error(const struct problem *p, int array)
{
    const bool per_row = p->kernel_case->arrays[array].per_row;
    const size_t width = extent_count(&p->shape, p->kernel_case->arrays[array].extent);
    double largest = 1e-30;
    double worst = 0;
    for (size_t i = 0; i < p->count[array]; i++)
        if (isnan((double)p->f[array][i]))
            return (double)NAN;
    for (int b = 0; b < (per_row ? p->batch.sequence_count : 1); b++) {
        const size_t first = per_row ? (size_t)p->start[b] * width : 0;
        const size_t count = per_row ? (size_t)p->len[b] * width : p->count[array];
        for (size_t i = first; i < first + count; i++) {
            worst = fmax(worst, fabs((double)p->f[array][i] - p->d[array][i]));
            largest = fmax(largest, fabs(p->d[array][i]));
        }
    }
    return worst / largest;
}
