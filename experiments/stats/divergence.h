/* How far a model's distribution over a set of candidates is from a target distribution. */
#ifndef TRIAD_DIVERGENCE_H
#define TRIAD_DIVERGENCE_H

#include <stddef.h>

#define DIVERGENCE_EPSILON 1e-6

/* All in nats. With P the target and Q the model over the candidates, each with `epsilon` added to
 * every entry and scaled to 1 again: */
struct divergence {
    double js;            /* Jensen-Shannon: at most ln 2; not its square root */
    double kl;            /* KL(P || Q) */
    double reverse_kl;    /* KL(Q || P) */
    double cross_entropy; /* H(P, Q) */
    double mode_match;    /* 1 when both have the same first maximum, else 0 */
    double coverage;      /* mass the model gives to the candidates, before any scaling */
};

/* `target` need not sum to 1 but must be finite, not negative and not all 0; `log_p` are the
 * model's ln p of each of the `count` candidates (at least 1; -infinity allowed). When a log_p is
 * NaN, or none is above -infinity, everything but the coverage is NaN. */
struct divergence divergence_measure(const double *target, const double *log_p, size_t count,
                                     double epsilon);

#endif
