#include "train_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels.h"

enum { LEVELS_MAX = 10, PIECE_FLOATS = 256 * 1024 };

_Static_assert(RANKS_MAX == 1 << LEVELS_MAX, "a level doubles");

struct range {
    size_t first, end;
};

static size_t piece_of(struct range r, size_t done)
{
    const size_t left = r.end - r.first > done ? r.end - r.first - done : 0;
    return left < PIECE_FLOATS ? left : PIECE_FLOATS;
}

/* Send `give` of the block and receive `keep` of it, into place or, with `piece`, added to what is
 * there, piece by piece. */
static enum err_code swap(const struct train_group *g, uint32_t peer, float *block,
                          struct range give, struct range keep, float *piece, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t done = 0; !code && (piece_of(give, done) > 0 || piece_of(keep, done) > 0);
         done += PIECE_FLOATS) {
        const size_t out = piece_of(give, done), in = piece_of(keep, done);
        float *to = piece ? piece : block + keep.first + done;
        code = g->link.exchange(g->link.ctx, peer, block + give.first + done, out * sizeof *block,
                                to, in * sizeof *block, err);
        if (!code && piece && in > 0)
            kernel_select()->add(block + keep.first + done, piece, in);
    }
    return code;
}

static enum err_code sum_nats(const struct train_group *g, double *nats, struct err *err)
{
    enum err_code code = ERR_OK;
    for (uint32_t d = 1; d < g->count && !code; d *= 2) {
        double theirs = 0;
        code = g->link.exchange(g->link.ctx, g->rank ^ d, nats, sizeof *nats, &theirs,
                                sizeof theirs, err);
        *nats = g->rank & d ? theirs + *nats : *nats + theirs;
    }
    return code;
}

/* Recursive halving, then doubling (Rabenseifner 2004; Thakur, Rabenseifner and Gropp 2005, section
 * 4.4): with d = 1, 2, 4 … each pair of ranks adds its sums over 2d ranks, each of the two half of
 * what it still has; so every element is summed in the binary tree over the ranks. */
enum err_code train_group_sum(const struct train_group *g, float *block, size_t count, double *nats,
                              struct err *err)
{
    struct range mine[LEVELS_MAX + 1] = {{0, count}};
    float *piece = malloc(PIECE_FLOATS * sizeof *piece);
    if (!piece)
        return err_set(err, ERR_LIMIT, "train: no memory to exchange gradients");
    enum err_code code = sum_nats(g, nats, err);
    int level = 0;
    for (uint32_t d = 1; d < g->count && !code; d *= 2, level++) {
        const struct range r = mine[level];
        const size_t middle = r.first + (r.end - r.first) / 2;
        const struct range halves[2] = {{r.first, middle}, {middle, r.end}};
        const bool upper = (g->rank & d) != 0;
        mine[level + 1] = halves[upper];
        code = swap(g, g->rank ^ d, block, halves[!upper], halves[upper], piece, err);
    }
    for (uint32_t d = g->count / 2; d > 0 && !code; d /= 2, level--) {
        const struct range own = mine[level], both = mine[level - 1];
        const struct range other =
            g->rank & d ? (struct range){both.first, own.first} : (struct range){own.end, both.end};
        code = swap(g, g->rank ^ d, block, own, other, NULL, err);
    }
    free(piece);
    return code;
}

enum err_code train_group_share(const struct train_group *g, void *bytes, size_t len,
                                struct err *err)
{
    const size_t most = PIECE_FLOATS * sizeof(float);
    enum err_code code = ERR_OK;
    for (uint32_t d = 1; d < g->count; d *= 2) {
        const bool gives = g->rank < d && g->rank + d < g->count;
        const bool takes = g->rank >= d && g->rank < 2 * d;
        const uint32_t peer = gives ? g->rank + d : g->rank - d;
        for (size_t at = 0; (gives || takes) && at < len && !code; at += most) {
            const size_t part = len - at < most ? len - at : most;
            char *here = (char *)bytes + at;
            code = g->link.exchange(g->link.ctx, peer, here, gives ? part : 0, here,
                                    takes ? part : 0, err);
        }
    }
    return code;
}

/* One rank's answer. */
struct answer {
    int32_t code, os_errno;
    uint32_t rank;
    char text[sizeof((struct err *)0)->text];
};

static bool comes_first(const struct answer *a, const struct answer *b)
{
    return a->code != ERR_OK && (b->code == ERR_OK || a->rank < b->rank);
}

enum err_code train_group_agree(const struct train_group *g, enum err_code code, struct err *err)
{
    struct answer worst = {.code = (int32_t)code, .rank = g->rank};
    if (code && err) {
        worst.os_errno = err->os_errno;
        memcpy(worst.text, err->text, sizeof worst.text);
    }
    for (uint32_t d = 1; d < g->count; d *= 2) {
        struct answer theirs = {0};
        const enum err_code rc = g->link.exchange(g->link.ctx, g->rank ^ d, &worst, sizeof worst,
                                                  &theirs, sizeof theirs, err);
        if (rc)
            return rc;
        if (comes_first(&theirs, &worst))
            worst = theirs;
    }
    if (worst.code == ERR_OK)
        return ERR_OK;
    worst.text[sizeof worst.text - 1] = '\0';
    err_set(err, (enum err_code)worst.code, "rank %u: %s", worst.rank, worst.text);
    if (err)
        err->os_errno = worst.os_errno;
    return (enum err_code)worst.code;
}
