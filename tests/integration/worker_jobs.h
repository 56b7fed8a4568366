/* Jobs for a real worker, and what its scripted coordinator has seen of them. Weights: stories260K
 * (tests/golden/stories260K). */
#ifndef TRIAD_WORKER_JOBS_H
#define TRIAD_WORKER_JOBS_H

#include "scripted_coordinator.h"

/* How a training goes; `rate` 1e6 makes it diverge. */
struct training {
    int steps, checkpoint_steps;
    const char *rate, *rise_max;
    const char *lora; /* "\"lora\":{…}," or empty */
};

/* The import of stories260K: a tree of the two llama2.c files. */
struct scripted_job *lease_import(struct scripted *s);
struct scripted_job *lease_evaluate(struct scripted *s, struct digest model, uint32_t sequences,
                                    const char *task);
/* A tiny model trained from nothing. */
struct scripted_job *lease_training(struct scripted *s, const struct training *t);
struct scripted_job *lease_pretrain(struct scripted *s, int steps, int checkpoint_steps,
                                    const char *rate);
/* An adapter trained on a model. */
struct scripted_job *lease_adapter(struct scripted *s, struct digest model, int steps,
                                   int checkpoint_steps);

/* ---- conditions ---- */

bool has_session(struct scripted *s);
bool all_ended(struct scripted *s);
bool nothing_held(struct scripted *s);
bool has_metrics(struct scripted *s);
bool has_checkpoint(struct scripted *s);
bool has_started(struct scripted *s);
bool result_is_spooled(struct scripted *s);
bool said_bye(struct scripted *s);
/* A file of an artifact; its name must be one of the tree's. */
const char *file_of(struct scripted *s, const struct digest *artifact, const char *name);
void begin(struct scripted *s, const char *threads);
/* The worker's first child process; 0 when it has none. */
pid_t child_of(pid_t worker);
/* Names in a folder of the worker that begin so. */
size_t count_names(const struct scripted *s, const char *folder, const char *start);
void expect_outcome(const struct scripted_job *job, enum outcome outcome);

#endif
