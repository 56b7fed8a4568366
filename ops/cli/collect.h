/* What the coordinator knows of an experiment, as the cells that statistics and exports start from.
 */
#ifndef TRIAD_COLLECT_H
#define TRIAD_COLLECT_H

#include "connection.h"
#include "job_table.h"
#include "report.h"
#include "stats.h"

struct collected {
    struct arena arena; /* owns everything below */
    const char *experiment;
    struct stat_cell *cells; /* in the manifest's order */
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
