/* The memory of one run: where every activation and gradient of a batch lies. Everything is carved
 * from one allocation by one function, which also measures it. */
#ifndef TRIAD_MODEL_SPACE_H
#define TRIAD_MODEL_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"
#include "model.h"

/* What a layer computed. Shapes as in kernels.h: N rows, C = width, H heads, G = kv_heads, D =
 * head_dim, M = mlp_width. When only scoring, all layers use the same memory. */
struct layer_space {
    float *in;        /* [N][C] residual stream before the layer */
    float *attn_norm; /* [N][C] */
    float *attn_rstd; /* [N] */
    float *q;         /* [N][H][D], rotated */
    float *k;         /* [N][G][D], rotated */
    float *q_in;      /* [N][H][D] before the norm of heads; this and q_rstd, k_in, k_rstd are NULL
                         in families without */
    float *k_in;      /* [N][G][D] */
    float *q_rstd;    /* [N][H] */
    float *k_rstd;    /* [N][G] */
    float *v;         /* [N][G][D] */
    float *mixed;     /* [N][H][D] attention output before its projection */
    float *lse;       /* [N][H] */
    float *attn_add;  /* [N][C] attention's branch before its norm; this and the other branch's are
                         NULL in families without norms of branches */
    float *attn_add_rstd; /* [N] */
    float *middle;        /* [N][C] residual stream after attention */
    float *mlp_norm;      /* [N][C] */
    float *mlp_rstd;      /* [N] */
    float *gate;          /* [N][M] */
    float *up;            /* [N][M] */
    float *act;           /* [N][M] */
    float *mlp_add;       /* [N][C] the MLP's branch before its norm */
    float *mlp_add_rstd;  /* [N] */
    float *out;           /* [N][C] residual stream after the layer: `in` of the next one */
};

/* Gradients while they travel down; used by the backward pass only. */
struct gradient_space {
    float *stream;     /* [N][C] of the residual stream */
    float *norm;       /* [N][C] of a norm's output */
    float *q;          /* [N][H][D] */
    float *k;          /* [N][G][D] */
    float *v;          /* [N][G][D] */
    float *q_in;       /* [N][H][D] of what the norm of heads takes; NULL in families without */
    float *k_in;       /* [N][G][D] */
    float *branch;     /* [N][C] of what the norm of a branch takes; NULL in families without */
    float *mixed;      /* [N][H][D] */
    float *gate;       /* [N][M] */
    float *up;         /* [N][M] */
    float *act;        /* [N][M] */
    float *last_mixed; /* [loss rows][H][D] */
    float *final_in;   /* [loss rows][C] */
    float *final_norm; /* [loss rows of a piece][C] */
};

/* How many rows there is room for. */
struct space_shape {
    int rows;       /* N, whole blocks */
    int loss_rows;  /* whole blocks */
    int piece_rows; /* loss rows whose logits are held at once, whole blocks */
    int sequences;
    int positions; /* longest sequence, in rows */
    bool training;
    bool again; /* layers share their memory but for `in` and `out`, and are computed twice */
};

struct model_space {
    /* the batch, laid out by model_pack() */
    int32_t *ids;       /* [N], -1 in padding rows */
    int32_t *positions; /* [N], 0 in padding rows */
    int *start;         /* [sequences] */
    int *len;           /* [sequences] */
    int32_t *loss_rows; /* [loss rows] which row of the batch; -1 in padding */
    int32_t *targets;   /* [loss rows] the token to predict; -1 in padding */
    /* activations */
    float *rope;       /* [positions][D]: D/2 cosines, then D/2 sines (model_rope.h) */
    float *rope_local; /* the same for windowed layers; NULL in families without windows */
    struct layer_space *layers;
    float *last_in;    /* [loss rows][C] gathered from the last layer's `in` */
    float *last_mixed; /* [loss rows][H][D] and from its `mixed` */
    float *final_in;   /* [loss rows][C] residual stream after the last layer */
    float *final_norm; /* [loss rows][C] */
    float *final_rstd; /* [loss rows] */
    float *logits;     /* [piece rows][V] */
    double *nats;      /* [loss rows] */
    double *lse;       /* [loss rows] */
    bool *hit;         /* [loss rows] */
    void *attention;   /* work space of the attention kernel */
    struct gradient_space gradient;
};

/* Room for batches of this capacity; false when its rows could not be counted in an int. */
bool model_space_shape(const struct model_config *config, enum model_purpose purpose,
                       const struct model_capacity *capacity, struct space_shape *shape_out);
/* Place everything into `base`, aligned to 64 bytes and of the size that this function returns;
 * with `base` NULL only measure (`space_out` may then be NULL). */
size_t model_space_place(const struct model_config *config, const struct space_shape *shape,
                         const struct kernel_ops *ops, void *base, struct model_space *space_out);

#endif
