/* A training step of the 124M-parameter Llama in plain C, in the style of llm.c: loops over arrays,
 * OpenMP, -Ofast and nothing else. A peer for compare_train, not a part of Triad; checked by its
 * loss alone, which is about ln(32,000) on random tokens.
 *
 *     gcc -Ofast -march=native -fopenmp -o plain_train tests/bench/plain_train.c -lm
 *     OMP_NUM_THREADS=2 ./plain_train STEP_TOKENS
 *
 * Prints of the second step "SECONDS CPU_SECONDS", and the loss of the first. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    L = 12,
    C = 768,
    H = 12,
    D = 64,
    M = 2560,
    V = 32000,
    T = 512,
    LAYER = 4 * C * C + 3 * M * C + 2 * C
};

static int N;
static float *w, *g, *m1, *m2; /* embedding, layers, final norm */
static const size_t COUNT = (size_t)V * C + (size_t)L * LAYER + C;

struct layer {
    float *in, *n1, *r1, *q, *k, *v, *att, *mix, *mid, *n2, *r2, *gate, *up, *act, *out;
};

static float *floats(size_t count)
{
    float *x = calloc(count, sizeof *x);
    if (!x)
        exit(1);
    return x;
}

static void matmul(float *out, const float *in, const float *weight, int c, int o)
{
#pragma omp parallel for
    for (int n = 0; n < N; n++)
        for (int j = 0; j < o; j++) {
            float sum = 0;
            for (int i = 0; i < c; i++)
                sum += in[(size_t)n * c + i] * weight[(size_t)j * c + i];
            out[(size_t)n * o + j] = sum;
        }
}

static void matmul_back(float *din, float *dw, const float *dout, const float *in,
                        const float *weight, int c, int o)
{
#pragma omp parallel for
    for (int n = 0; n < N; n++)
        for (int j = 0; j < o; j++) {
            const float d = dout[(size_t)n * o + j];
            for (int i = 0; i < c; i++)
                din[(size_t)n * c + i] += d * weight[(size_t)j * c + i];
        }
#pragma omp parallel for
    for (int j = 0; j < o; j++)
        for (int n = 0; n < N; n++) {
            const float d = dout[(size_t)n * o + j];
            for (int i = 0; i < c; i++)
                dw[(size_t)j * c + i] += d * in[(size_t)n * c + i];
        }
}

static void norm(float *out, float *r, const float *in, const float *weight)
{
    for (int n = 0; n < N; n++) {
        float sum = 0;
        for (int i = 0; i < C; i++)
            sum += in[(size_t)n * C + i] * in[(size_t)n * C + i];
        r[n] = 1 / sqrtf(sum / C + 1e-6f);
        for (int i = 0; i < C; i++)
            out[(size_t)n * C + i] = in[(size_t)n * C + i] * r[n] * weight[i];
    }
}

static void norm_back(float *din, float *dw, const float *dout, const float *in, const float *r,
                      const float *weight)
{
    for (int n = 0; n < N; n++) {
        const float *x = in + (size_t)n * C, *dy = dout + (size_t)n * C;
        float dot = 0;
        for (int i = 0; i < C; i++)
            dot += weight[i] * dy[i] * x[i];
        for (int i = 0; i < C; i++) {
            din[(size_t)n * C + i] +=
                r[n] * weight[i] * dy[i] - x[i] * r[n] * r[n] * r[n] / C * dot;
            dw[i] += dy[i] * x[i] * r[n];
        }
    }
}

static void rope(float *x, float sign)
{
    for (int n = 0; n < N; n++)
        for (int h = 0; h < H; h++)
            for (int d = 0; d < D / 2; d++) {
                const float angle = (float)(n % T) * powf(1e4f, -(float)d / (D / 2));
                float *a = x + (size_t)n * C + h * D + d, p = *a, q = a[D / 2];
                *a = p * cosf(angle) - sign * q * sinf(angle);
                a[D / 2] = q * cosf(angle) + sign * p * sinf(angle);
            }
}

static void attention(const struct layer *a)
{
#pragma omp parallel for
    for (int n = 0; n < N; n++)
        for (int h = 0; h < H; h++) {
            const int t = n % T, first = n - t;
            float *p = a->att + ((size_t)n * H + h) * T, total = 0,
                  *o = a->mix + (size_t)n * C + h * D;
            for (int s = 0; s <= t; s++) {
                float dot = 0;
                for (int d = 0; d < D; d++)
                    dot +=
                        a->q[(size_t)n * C + h * D + d] * a->k[(size_t)(first + s) * C + h * D + d];
                total += p[s] = expf(dot / 8);
            }
            memset(o, 0, D * sizeof *o);
            for (int s = 0; s <= t; s++) {
                p[s] /= total;
                for (int d = 0; d < D; d++)
                    o[d] += p[s] * a->v[(size_t)(first + s) * C + h * D + d];
            }
        }
}

static void attention_back(const struct layer *a, float *dq, float *dk, float *dv,
                           const float *dmix)
{
#pragma omp parallel for collapse(2)
    for (int b = 0; b < N / T; b++)
        for (int h = 0; h < H; h++)
            for (int t = 0; t < T; t++) {
                const size_t n = (size_t)(b * T + t), at = n * C + (size_t)(h * D);
                const float *p = a->att + (n * H + (size_t)h) * T;
                float dot = 0;
                for (int d = 0; d < D; d++)
                    dot += dmix[at + d] * a->mix[at + d];
                for (int s = 0; s <= t; s++) {
                    const size_t key = (size_t)(b * T + s) * C + (size_t)(h * D);
                    float dp = 0;
                    for (int d = 0; d < D; d++) {
                        dp += dmix[at + d] * a->v[key + d];
                        dv[key + d] += p[s] * dmix[at + d];
                    }
                    const float ds = p[s] * (dp - dot) / 8;
                    for (int d = 0; d < D; d++) {
                        dq[at + d] += ds * a->k[key + d];
                        dk[key + d] += ds * a->q[at + d];
                    }
                }
            }
}

/* One step; returns the mean loss. */
static float step(const int *ids, struct layer *layers, float *logits, float *last, float *last_r,
                  int number)
{
    float *stream = layers[0].in, *final = w + (size_t)V * C + (size_t)L * LAYER,
          *dfinal = g + (final - w);
    double loss = 0;
    memset(g, 0, COUNT * sizeof *g);
    for (int n = 0; n < N; n++)
        memcpy(stream + (size_t)n * C, w + (size_t)ids[n / T * (T + 1) + n % T] * C, C * sizeof *w);
    for (int l = 0; l < L; l++) {
        struct layer *a = &layers[l];
        const float *p = w + (size_t)V * C + (size_t)l * LAYER, *mlp = p + 4 * C * C,
                    *norms = mlp + 3 * M * C;
        a->in = l ? layers[l - 1].out : stream;
        norm(a->n1, a->r1, a->in, norms);
        matmul(a->q, a->n1, p, C, C);
        matmul(a->k, a->n1, p + C * C, C, C);
        matmul(a->v, a->n1, p + 2 * C * C, C, C);
        rope(a->q, 1);
        rope(a->k, 1);
        attention(a);
        matmul(a->mid, a->mix, p + 3 * C * C, C, C);
        for (size_t i = 0; i < (size_t)N * C; i++)
            a->mid[i] += a->in[i];
        norm(a->n2, a->r2, a->mid, norms + C);
        matmul(a->gate, a->n2, mlp, C, M);
        matmul(a->up, a->n2, mlp + M * C, C, M);
        for (size_t i = 0; i < (size_t)N * M; i++)
            a->act[i] = a->gate[i] / (1 + expf(-a->gate[i])) * a->up[i];
        matmul(a->out, a->act, mlp + 2 * M * C, M, C);
        for (size_t i = 0; i < (size_t)N * C; i++)
            a->out[i] += a->mid[i];
    }
    norm(last, last_r, layers[L - 1].out, final);
    matmul(logits, last, w, C, V);
    for (int n = 0; n < N; n++) {
        float *row = logits + (size_t)n * V, total = 0;
        const int target = ids[n / T * (T + 1) + n % T + 1];
        for (int i = 0; i < V; i++)
            total += row[i] = expf(row[i]);
        loss -= log(row[target] / total) / N;
        for (int i = 0; i < V; i++)
            row[i] = (row[i] / total - (i == target)) / N;
    }
    float *dx = floats((size_t)N * C), *dn = floats((size_t)N * C), *dq = floats((size_t)N * C);
    float *dk = floats((size_t)N * C), *dv = floats((size_t)N * C), *dm = floats((size_t)N * C);
    float *da = floats((size_t)N * M), *dg = floats((size_t)N * M), *du = floats((size_t)N * M);
    const size_t narrow = (size_t)N * C * sizeof *dx, wide = (size_t)N * M * sizeof *da;
    matmul_back(dn, g, logits, last, w, C, V);
    norm_back(dx, dfinal, dn, layers[L - 1].out, last_r, final);
    for (int l = L - 1; l >= 0; l--) {
        const struct layer *a = &layers[l];
        float *p = w + (size_t)V * C + (size_t)l * LAYER, *dp = g + (p - w);
        float *mlp = p + 4 * C * C, *norms = mlp + 3 * M * C, *dmlp = dp + 4 * C * C,
              *dnorms = dmlp + 3 * M * C;
        memset(da, 0, wide);
        matmul_back(da, dmlp + 2 * M * C, dx, a->act, mlp + 2 * M * C, M, C);
        for (size_t i = 0; i < (size_t)N * M; i++) {
            const float s = 1 / (1 + expf(-a->gate[i]));
            dg[i] = da[i] * a->up[i] * s * (1 + a->gate[i] * (1 - s));
            du[i] = da[i] * a->gate[i] * s;
        }
        memset(dn, 0, narrow);
        matmul_back(dn, dmlp, dg, a->n2, mlp, C, M);
        matmul_back(dn, dmlp + M * C, du, a->n2, mlp + M * C, C, M);
        norm_back(dx, dnorms + C, dn, a->mid, a->r2, norms + C);
        memset(dm, 0, narrow);
        matmul_back(dm, dp + 3 * C * C, dx, a->mix, p + 3 * C * C, C, C);
        memset(dq, 0, narrow);
        memset(dk, 0, narrow);
        memset(dv, 0, narrow);
        attention_back(a, dq, dk, dv, dm);
        rope(dq, -1);
        rope(dk, -1);
        memset(dn, 0, narrow);
        matmul_back(dn, dp, dq, a->n1, p, C, C);
        matmul_back(dn, dp + C * C, dk, a->n1, p + C * C, C, C);
        matmul_back(dn, dp + 2 * C * C, dv, a->n1, p + 2 * C * C, C, C);
        norm_back(dx, dnorms, dn, a->in, a->r1, norms);
    }
    for (int n = 0; n < N; n++)
        for (int i = 0; i < C; i++)
            g[(size_t)ids[n / T * (T + 1) + n % T] * C + i] += dx[(size_t)n * C + i];
    double squares = 0;
    for (size_t i = 0; i < COUNT; i++)
        squares += (double)g[i] * g[i];
    const float clip = squares > 1 ? (float)(1 / sqrt(squares)) : 1;
    for (size_t i = 0; i < COUNT; i++) {
        const float gradient = g[i] * clip;
        m1[i] = 0.9f * m1[i] + 0.1f * gradient;
        m2[i] = 0.95f * m2[i] + 0.05f * gradient * gradient;
        w[i] -= 3e-4f * m1[i] / (1 - powf(0.9f, (float)number)) /
                (sqrtf(m2[i] / (1 - powf(0.95f, (float)number))) + 1e-8f);
    }
    float *const all[] = {dx, dn, dq, dk, dv, dm, da, dg, du};
    for (int i = 0; i < 9; i++)
        free(all[i]);
    return (float)loss;
}

static double seconds(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    N = atoi(argv[1]) / T * T;
    w = floats(COUNT), g = floats(COUNT), m1 = floats(COUNT), m2 = floats(COUNT);
    for (size_t i = 0; i < COUNT; i++)
        w[i] = 0.02f * (float)((rand() % 2001 - 1000) / 577.0);
    for (int l = 0; l <= L; l++) {
        float *norms = w + (size_t)V * C + (size_t)l * LAYER + (l < L ? 4 * C * C + 3 * M * C : 0);
        for (int i = 0; i < (l < L ? 2 * C : C); i++)
            norms[i] = 1;
    }
    struct layer layers[L];
    for (int l = 0; l < L; l++) {
        float **narrow[] = {&layers[l].in,  &layers[l].n1, &layers[l].q,
                            &layers[l].k,   &layers[l].v,  &layers[l].mix,
                            &layers[l].mid, &layers[l].n2, &layers[l].out};
        float **wide[] = {&layers[l].gate, &layers[l].up, &layers[l].act};
        for (int i = 0; i < 9; i++)
            *narrow[i] = i || !l ? floats((size_t)N * C) : NULL;
        for (int i = 0; i < 3; i++)
            *wide[i] = floats((size_t)N * M);
        layers[l].r1 = floats((size_t)N), layers[l].r2 = floats((size_t)N);
        layers[l].att = floats((size_t)N * H * T);
    }
    float *logits = floats((size_t)N * V), *last = floats((size_t)N * C),
          *last_r = floats((size_t)N);
    float first_loss = 0;
    int *ids = malloc((size_t)(N / T * (T + 1)) * sizeof *ids);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N / T * (T + 1); i++)
            ids[i] = rand() % V;
        const double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        const float loss = step(ids, layers, logits, last, last_r, round + 1);
        if (round > 0)
            printf("%.4f %.4f %.4f\n", seconds(CLOCK_MONOTONIC) - wall,
                   seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, (double)first_loss);
        else
            first_loss = loss;
    }
    return 0;
}
