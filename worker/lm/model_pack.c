#include "model_pack.h"

#include "check.h"

/* Rows of one sequence from `first` on; returns the row after its last block. */
static int pack_rows(const struct model_sequence *s, int first, struct model_space *space)
{
    const int len = (int)s->count - 1;
    const int end = first + kernel_rows_padded(len);
    for (int i = 0; i < len; i++) {
        space->ids[first + i] = s->ids[i];
        space->positions[first + i] = i;
    }
    for (int row = first + len; row < end; row++) {
        space->ids[row] = -1;
        space->positions[row] = 0;
    }
    return end;
}

/* Its loss rows from `first` on, in the order of the tokens; returns the one after its last block.
 */
static int pack_loss_rows(const struct model_sequence *s, int start, int first,
                          const struct space_shape *shape, struct model_space *space)
{
    int used = first;
    for (size_t i = 1; i < s->count; i++) {
        if (s->losses[i] == 0)
            continue;
        ASSERT(used < shape->loss_rows);
        space->loss_rows[used] = start + (int)i - 1;
        space->targets[used] = s->ids[i];
        used++;
    }
    const int end = first + kernel_rows_padded(used - first);
    ASSERT(end <= shape->loss_rows);
    for (int row = used; row < end; row++) {
        space->loss_rows[row] = -1;
        space->targets[row] = -1;
    }
    return end;
}

struct packed model_pack(const struct model_sequence *sequences, size_t count,
                         const struct space_shape *shape, struct model_space *space)
{
    struct packed packed = {.batch = {.start = space->start, .len = space->len}};
    struct kernel_batch *batch = &packed.batch;
    for (size_t i = 0; i < count; i++) {
        const struct model_sequence *s = &sequences[i];
        ASSERT(s->count > 0 && s->count <= (size_t)shape->positions);
        if (s->count == 1)
            continue;
        ASSERT(batch->sequence_count < shape->sequences);
        ASSERT(batch->rows + kernel_rows_padded((int)s->count - 1) <= shape->rows);
        space->start[batch->sequence_count] = batch->rows;
        space->len[batch->sequence_count] = (int)s->count - 1;
        batch->sequence_count++;
        packed.loss_rows = pack_loss_rows(s, batch->rows, packed.loss_rows, shape, space);
        batch->rows = pack_rows(s, batch->rows, space);
    }
    return packed;
}
