/* What the coordinator knows of an experiment, as the cells that statistics and exports start from.
 */
#ifndef TRIAD_COLLECT_H
#define TRIAD_COLLECT_H

#include "connection.h"
#include "job_table.h"
#include "records.h"
#include "report.h"
#include "stats.h"
#include "validator.h"

/* What the plan says of a cell besides what statistics need. */
struct cell_plan {
    enum record_kind kind;
    const char **jobs; /* identities, hex: its shares in order */
    size_t job_count;
    bool terminator;                   /* choices: candidates count with what ends them */
    const struct validator *validator; /* samples */
    uint64_t room;                     /* records that its shares hold */
};

struct collected {
    struct arena arena; /* owns everything below */
    const char *experiment;
    struct stat_cell *cells; /* in the manifest's order */
    struct cell_plan *plans; /* of the cells */
    size_t cell_count;
    size_t missing_count; /* cells without records */
    struct stat_rule *rules;
    size_t rule_count;
    const char **notes;
    size_t note_count;
    struct report_fact *facts;
    size_t fact_count;
    struct job_table jobs; /* of the experiment */
};

/* Fetch the plan document, the jobs and the records of the cells whose task matches `task_glob`. A
 * job that is not done gives a missing cell with its reason. ERR_NOT_FOUND when there is no such
 * experiment; ERR_CORRUPT when plan or records cannot be read. Release with collected_release(),
 * also after a failure. */
NODISCARD enum err_code collect_experiment(struct connection *c, const char *experiment,
                                           const char *task_glob, struct collected *out,
                                           struct err *err);
void collected_release(struct collected *c);

#endif
