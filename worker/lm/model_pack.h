/* From sequences to the rows of a batch (kernels.h): every sequence begins on a block boundary, and
 * so do its loss rows in the gathered list. */
#ifndef TRIAD_MODEL_PACK_H
#define TRIAD_MODEL_PACK_H

#include "model_space.h"

struct packed {
    struct kernel_batch batch; /* its arrays belong to the space */
    int loss_rows;             /* gathered, padding included */
};

/* Lay `sequences` out in the arrays of `space`, which must have room. The last token of a sequence
 * is only predicted, so it takes no row; sequences of one token are left out. */
struct packed model_pack(const struct model_sequence *sequences, size_t count,
                         const struct space_shape *shape, struct model_space *space);

#endif
