/* Running one job in this process: what every kind gets, and the table of kinds. */
#ifndef TRIAD_EXEC_KINDS_H
#define TRIAD_EXEC_KINDS_H

#include <stdbool.h>

#include "err.h"
#include "exec_protocol.h"
#include "exec_sink.h"
#include "model.h"
#include "spec.h"
#include "tokenizer.h"
#include "train_group.h"

/* The model that the last evaluation left loaded. Zero-initialise. */
struct exec_warm {
    struct digest digest; /* of its tree; none: nothing is loaded */
    struct model *model;
    struct tokenizer *tokenizer;
};

void exec_warm_release(struct exec_warm *warm);

struct exec_context {
    const struct exec_job *job;
    const struct spec *spec;
    struct exec_sink *sink;
    struct exec_warm *warm;
    bool (*should_stop)(void);       /* somebody asked this process to stop */
    const struct train_group *group; /* the ranks that share the job; NULL: this process alone */
};

/* Do the job; `result` is zeroed with outcome ok and empty texts. Texts put into it must be
 * literals or live in `arena`. An error means outcome failed (ERR_LIMIT: memory, ERR_CANCELLED:
 * cancelled) with its text as the reason. */
typedef enum err_code exec_kind_f(struct exec_context *context, struct arena *arena,
                                  struct exec_result *result, struct err *err);

exec_kind_f exec_import, exec_train, exec_evaluate;

/* The function of each kind of job. */
extern exec_kind_f *const exec_kinds[JOB_KIND_COUNT];

/* How did it go on all ranks (train_group_agree())? Without a group: `code`. */
NODISCARD enum err_code exec_agree(const struct exec_context *context, enum err_code code,
                                   struct err *err);

/* The path of a named input or parent, or NULL. */
const char *exec_parent_path(const struct exec_job *job, const char *name);
/* The same, but ERR_INVALID when it is missing. */
NODISCARD enum err_code exec_input_need(const struct exec_job *job, const char *name,
                                        const char **path_out, struct err *err);
NODISCARD enum err_code exec_parent_need(const struct exec_job *job, const char *name,
                                         const char **path_out, struct err *err);

/* "packed/f32/fma/3": backend, precision, core type and NUMERICS_VERSION: what decides bits.
 * Borrowed. */
const char *exec_numeric_class(void);
/* Does this process compute as the spec demands? ERR_INVALID says what is demanded and what is
 * here; with numerics strict also when the start-up probe finds that bits depend on circumstances.
 */
NODISCARD enum err_code exec_numerics_check(const struct spec *spec, struct err *err);

#define EXEC_ARTIFACT_FOLDER "artifact"

#endif
