/* A training mix: which sources, in which shares. One YAML file each in mixes/; the name of the
 * file is the name of the mix. */
#ifndef TRIAD_MIX_H
#define TRIAD_MIX_H

#include "fields.h"
#include "layout.h"
#include "suite.h"

enum mix_purpose {
    MIX_PRETRAIN, /* plain text */
    MIX_INSTRUCT, /* one chat turn each */
};

/* Text out of files of an installed package. */
struct mix_corpus {
    const char *name;   /* a manifest's `corpora` can say where its files are instead */
    const char *source; /* id, as of a task */
    int reader;         /* only WordNet so far */
    struct field_texts files;
    const char *package; /* what to install when they are missing */
};

struct mix_part {
    const struct yaml_node *node;
    double share; /* of the mix's tokens; all shares add up to 1 */
    const char *licence;
    struct field_texts tasks; /* training tasks, in turn; or count 0 and then: */
    struct mix_corpus corpus;
    struct field_texts layouts; /* pretrain: names of layouts, drawn uniformly */
    double keep_description;
    int64_t examples;       /* mean length instead of the task's; 0: as the task says */
    int64_t document_bytes; /* corpora: entries are joined to about this length */
};

struct mix {
    struct yaml_doc doc;
    const char *name;
    int purpose; /* enum mix_purpose */
    int64_t seed;
    const char *notes;
    struct mix_part *parts;
    size_t part_count;
};

/* Parse a mix file. Whether its tasks exist is checked against the suite when it is opened. */
NODISCARD enum err_code mix_parse(const char *bytes, size_t len, const char *path, struct mix *out,
                                  struct err *err);
/* Read `root`/mixes/NAME.yaml. */
NODISCARD enum err_code mix_load(const struct reader *reader, const char *root, const char *name,
                                 struct mix *out, struct err *err);
void mix_release(struct mix *mix);

#endif
