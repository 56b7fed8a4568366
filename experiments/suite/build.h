/* Dataset files out of instances: rendering, order, and the digest that pairs formats. */
#ifndef TRIAD_BUILD_H
#define TRIAD_BUILD_H

#include "dataset.h"
#include "format.h"
#include "hash.h"

/* Digest of the examples themselves (their first `example_count`), equal whatever they are rendered
 * in: over one line of canonical JSON per instance, {"description", "examples", "id"}. */
struct digest build_pairing(const struct instance *instances, uint32_t count,
                            uint32_t example_count);

/* What a dataset turned out to be. */
struct build_counts {
    uint64_t sequences;
    uint64_t items; /* (sequence, example) pairs with a loss */
};

/* Append the dataset that evaluates the first `example_count` examples of every instance: of those
 * without a description from the second on. Every format gives the same items. */
void build_evaluation(const struct format_options *options, const char *name,
                      const struct instance *instances, uint32_t count, uint32_t example_count,
                      struct strbuf *out, struct build_counts *counts_out);

#endif
