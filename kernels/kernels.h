/* The numbers Triad computes: one contract per operation, filled by a naive reference (kernels/ref,
 * also in double) and by fast versions (kernels/packed, kernels/blas).
 *
 * Shapes (kernels/README.md): N packed rows, C channels, O output channels, H heads, G key/value
 * heads, D channels of a head, M channels of the MLP, V vocabulary. Arrays are row-major,
 * contiguous, never alias unless said. "+=" means accumulated, otherwise outputs are overwritten
 * (never read, so they may hold NaN).
 *
 * Packed rows. A batch is N rows, a multiple of KERNEL_ROW_BLOCK; every sequence begins on a block
 * boundary and its last block is filled up with padding rows, whose inputs are zero and whose
 * outputs nobody reads.
 *
 * The bit contract: with the same core type, backend and precision, what a sequence's rows give
 * does not depend on what else is in the batch, where the sequence lies in it, or how many threads
 * work. Sums over rows of several sequences (weight gradients) run in row order, in fixed shards.
 * NaN and infinity propagate, in attention also to earlier positions of the same block; nothing
 * here is an error. */
#ifndef TRIAD_KERNELS_H
#define TRIAD_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows of one product on OpenBLAS, which gives a row other bits when its place in the call changes
 * (measured on its AVX2 kernels for any shape), so every call has exactly this many rows. 64
 * reaches 85-90 % of the rate of large calls (measured, K and O from 128 to 2048) and wastes 32
 * padding rows a sequence on average. Products of our own need no such blocks, but have rows laid
 * out so too. */
#define KERNEL_ROW_BLOCK 64

/* Where sequences lie in a batch. */
struct kernel_batch {
    int sequence_count;
    int rows;         /* N */
    const int *start; /* [sequence_count] first row, a multiple of KERNEL_ROW_BLOCK */
    const int *len;   /* [sequence_count] rows in use, at least 1 */
};

/* Rows that continue one shared text, each in its own way: row n sees shared_len shared positions,
 * then own_len[n] positions of its own continuation, which begin at row own_first[n] of the own
 * keys and values; the last of them is the row itself. own_len 0 marks padding. */
struct kernel_branch {
    int rows; /* N, whole blocks */
    int shared_len;
    const int *own_first; /* [N] */
    const int *own_len;   /* [N] */
};

/* `count` rounded up to whole blocks. */
int kernel_rows_padded(int count);

/* What attention looks like: shape letters as above. */
struct kernel_attention {
    int H, G, D;
    int window;   /* row t sees rows t - window + 1 … t of its sequence; 0: all up to t */
    double scale; /* of the scores, most often 1/sqrt(D) */
};

/* One AdamW step's scalars (Loshchilov and Hutter 2019, algorithm 2; bias corrections 1 - beta^t).
 */
struct kernel_adamw {
    double learning_rate, beta1, beta2, epsilon;
    double weight_decay; /* decoupled: p -= learning_rate * weight_decay * p */
    double correction1, correction2;
};

/* The operations over a real type, as members of a table. Error bounds, relative to the largest
 * magnitude of the output, are those that tests/kernels/kernel_cases.c holds each operation to
 * against the reference in double: 0 for gather, 1e-6 elementwise and for the loss, 5e-6 where rows
 * or channels are summed up, 5e-5 for the gradients of attention. */
#define KERNEL_OPS(REAL)                                                                           \
    const char *name;                                                                              \
    /* out[n] = table[ids[n]]; a negative id gives a zero row. Exact. */                           \
    void (*gather)(REAL * out, const int32_t *ids, const REAL *table, int N, int C);               \
    /* grad_table[ids[n]] += grad_out[n], n ascending; negative ids are skipped. */                \
    void (*scatter_add)(REAL * grad_table, const int32_t *ids, const REAL *grad_out, int N,        \
                        int C);                                                                    \
    /* RMSNorm (Zhang and Sennrich 2019): rstd[n] = 1/sqrt(mean(in[n]^2) + epsilon),               \
     * out = in * rstd * (base + weight[C]); base is 0, or 1 where weights are stored less one. */ \
    void (*norm_forward)(REAL * out, REAL * rstd, const REAL *in, const REAL *weight, double base, \
                         double epsilon, int N, int C);                                            \
    /* grad_in += , grad_weight[C] += (rows in order). */                                          \
    void (*norm_backward)(REAL * grad_in, REAL * grad_weight, const REAL *grad_out,                \
                          const REAL *in, const REAL *weight, double base, const REAL *rstd,       \
                          int N, int C);                                                           \
    /* Rotary embedding (Su et al. 2021) in the half-split layout of Hugging Face, in place on     \
     * x[N][H][D]: (a, b) = (x[d], x[d + D/2]) -> (a cos - b sin, b cos + a sin). table[t] holds   \
     * D/2 cosines, then D/2 sines of position t; positions[n] = t. */                             \
    void (*rope_forward)(REAL * x, const int32_t *positions, const REAL *table, int N, int H,      \
                         int D);                                                                   \
    /* The transposed rotation, in place on a gradient. */                                         \
    void (*rope_backward)(REAL * x, const int32_t *positions, const REAL *table, int N, int H,     \
                          int D);                                                                  \
    /* Causal attention within each sequence; head h uses key/value head h / (H/G). q, out:        \
     * [N][H][D]; k, v: [N][G][D]; lse[N][H] = log-sum-exp of the scaled scores (for the backward  \
     * pass). work: attention_bytes(). Padding rows of out are unspecified but written. */         \
    void (*attention_forward)(REAL * out, REAL * lse, const REAL *q, const REAL *k, const REAL *v, \
                              const struct kernel_batch *batch,                                    \
                              const struct kernel_attention *shape, void *work);                   \
    /* grad_q, grad_k, grad_v are overwritten (padding rows with zeros). */                        \
    void (*attention_backward)(REAL * grad_q, REAL * grad_k, REAL * grad_v, const REAL *grad_out,  \
                               const REAL *out, const REAL *lse, const REAL *q, const REAL *k,     \
                               const REAL *v, const struct kernel_batch *batch,                    \
                               const struct kernel_attention *shape, void *work);                  \
    /* The same for rows that continue one shared text (kernel_branch above): q, out: [N][H][D];   \
     * keys and values: [..][G][D]. work: attention_bytes(shared_len + longest own_len). Padding   \
     * rows of out are zero. */                                                                    \
    void (*attention_branch)(REAL * out, const REAL *q, const REAL *shared_k,                      \
                             const REAL *shared_v, const REAL *own_k, const REAL *own_v,           \
                             const struct kernel_branch *branch,                                   \
                             const struct kernel_attention *shape, void *work);                    \
    /* Bytes of work space for sequences of at most `len_max` rows, all threads together. */       \
    size_t (*attention_bytes)(int len_max, int D);                                                 \
    /* SwiGLU (Shazeer 2020): out = gate * sigmoid(gate) * up, `count` elements. */                \
    void (*swiglu_forward)(REAL * out, const REAL *gate, const REAL *up, size_t count);            \
    void (*swiglu_backward)(REAL * grad_gate, REAL * grad_up, const REAL *grad_out,                \
                            const REAL *gate, const REAL *up, size_t count);                       \
    /* GEGLU (Shazeer 2020) with the tanh form of GELU (Hendrycks and Gimpel 2016):                \
     * out = gate/2 (1 + tanh(sqrt(2/pi) (gate + 0.044715 gate^3))) * up. */                       \
    void (*geglu_forward)(REAL * out, const REAL *gate, const REAL *up, size_t count);             \
    void (*geglu_backward)(REAL * grad_gate, REAL * grad_up, const REAL *grad_out,                 \
                           const REAL *gate, const REAL *up, size_t count);                        \
    /* out[N][O] = in[N][C] * weight[O][C]^T. 2*N*C*O flops. */                                    \
    void (*matmul_forward)(REAL * out, const REAL *in, const REAL *weight, int N, int C, int O);   \
    /* The same where the weight's values are stored as bf16, `weight` perhaps not aligned to      \
     * them: the bits of matmul_forward() of their values. NULL: a table that needs them as REAL.  \
     */                                                                                            \
    void (*matmul_forward_stored)(REAL * out, const REAL *in, const void *weight, int N, int C,    \
                                  int O);                                                          \
    /* A product may be done in parts, over some rows of the weight at a time, with the same bits: \
     * how many columns of O the part from `first` on may have, about `most` at most. NULL: any    \
     * number; then N, too, need not be whole blocks in matmul_forward, for the same bits. */      \
    int (*matmul_part)(int O, int first, int most);                                                \
    /* grad_in[N][C] = grad_out * weight, or += when `add`. */                                     \
    void (*matmul_backward_input)(REAL * grad_in, const REAL *grad_out, const REAL *weight, int N, \
                                  int C, int O, bool add);                                         \
    /* grad_weight[O][C] += grad_out^T * in, over shards of KERNEL_SHARD_ROWS rows in order. */    \
    void (*matmul_backward_weight)(REAL * grad_weight, const REAL *grad_out, const REAL *in,       \
                                   int N, int C, int O);                                           \
    /* Per row: lse = log-sum-exp of logits[V], nats = lse - logits[target], hit = the target is   \
     * the largest logit (the lowest index wins ties; never where nats is NaN). Rows with a        \
     * negative target give 0, 0, false. Double accumulators. */                                   \
    void (*loss_forward)(double *nats, double *lse, bool *hit, const REAL *logits,                 \
                         const int32_t *targets, int N, int V);                                    \
    /* In place: logits become scale * (softmax - one-hot); rows with a negative target, zero. */  \
    void (*loss_backward)(REAL * logits, const double *lse, const int32_t *targets, double scale,  \
                          int N, int V);                                                           \
    /* out += in. */                                                                               \
    void (*add)(REAL * out, const REAL *in, size_t count);                                         \
    /* x *= factor. */                                                                             \
    void (*scale)(REAL * x, double factor, size_t count);                                          \
    /* Sum of squares in double, in fixed shards. */                                               \
    double (*sum_squares)(const REAL *x, size_t count);                                            \
    /* One AdamW step over `count` parameters with their moments. */                               \
    void (*adamw)(REAL * parameters, REAL * moment1, REAL * moment2, const REAL *gradients,        \
                  const struct kernel_adamw *step, size_t count)

#define KERNEL_SHARD_ROWS 1024

struct kernel_ops {
    KERNEL_OPS(float);
};

/* The reference in double, for finite differences and error bounds. */
struct kernel_ops_f64 {
    KERNEL_OPS(double);
};

extern const struct kernel_ops kernels_ref;
extern const struct kernel_ops_f64 kernels_ref_f64;
extern const struct kernel_ops kernels_blas;   /* products on OpenBLAS */
extern const struct kernel_ops kernels_packed; /* products of our own */
/* The same with the factors of all products rounded to bf16, in attention, too; sums and all else
 * are f32. Errors are those of rounding to 8 bits: bounds in tests/kernels/test_half.c. */
extern const struct kernel_ops kernels_half;
/* The same with matmul_* on oneDNN, after kernel_use() only. */
extern const struct kernel_ops kernels_onednn;

/* ---- choice, threads, and whether the contract holds here ---- */

/* The operations to use: kernel_use()'s, or else the fastest in f32 that this processor runs. Sets
 * OpenBLAS to one thread, once. */
const struct kernel_ops *kernel_select(void);

/* Choose for the whole process, before anything is computed: "packed/f32", "packed/bf16",
 * "blas/f32" or "onednn/bf16". False when there is no such choice here. */
bool kernel_use(const char *name);
/* Why there is none, in one sentence; NULL when there is one. Borrowed. */
const char *kernel_lack(const char *name);

/* Compute with this table (borrowed) in place of kernel_select()'s until it is called with NULL:
 * for measuring. */
void kernel_override(const struct kernel_ops *ops);

/* "packed/f32/fma": backend, precision and what else decides the bits, which is for OpenBLAS its
 * core type ("blas/f32/SkylakeX"), for oneDNN its version and instruction set
 * ("onednn/bf16/2.6.3-avx512_core_amx"). Borrowed. */
const char *kernel_class(void);
/* Build and run-time configuration of OpenBLAS, for provenance. Borrowed. */
const char *kernel_library(void);

/* Rate of size^3 products by OpenBLAS, what benchmarks compare with: the best of `rounds` on
 * kernel_threads() threads of its own, in GFLOP/s, and of as many on one thread by the processor's
 * time, which other work on the machine does not change much. 0 when there is no memory. */
struct kernel_rate {
    double wall, cpu;
};
struct kernel_rate kernel_sgemm_rate(int size, int rounds);

/* Threads of the one pool (at least 1). Not to be changed while an operation runs, nor between
 * attention_bytes() and the operations that use that work space. */
void kernel_threads_set(int threads);
int kernel_threads(void);
/* Bytes that operations keep for themselves beside what they are given, at most; OpenBLAS's own
 * buffers not counted. */
size_t kernel_scratch_bytes(void);

/* Check on this machine that the bit contract's premise holds: a block gives the same bits wherever
 * it lies in memory, on every thread, alone and between others, for each of the products above, and
 * so does a sequence's attention; and that OpenBLAS keeps to one thread. False with one sentence in
 * `text` when it does not. Takes some ten milliseconds. */
bool kernel_probe(char *text, size_t text_size);

#endif
