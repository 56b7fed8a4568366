/* What the tests of the store share: a store with the core that it serves, and random histories of
 * plans, workers and people, turn by turn. */
#ifndef TRIAD_STORE_PLAY_H
#define TRIAD_STORE_PLAY_H

#include "rng.h"
#include "store.h"

#define JOBS    12
#define WORKERS 3

struct fixture {
    char dir[64];
    struct store *store;
    struct core *core;
    struct arena arena;
    struct core_output out;
    int64_t now_ms;
    uint32_t boot;
};

/* A worker as a history plays it: what it was leased last. */
struct actor {
    uint64_t session;
    struct lease_key leases[8];
    uint32_t next[8];
    size_t count;
};

/* cmocka's set-up and tear-down: a store in a folder of its own. */
int set_up(void **state);
int tear_down(void **state);
void open_store(struct fixture *f);
void close_store(struct fixture *f);

/* On its database, beside the store. */
void run_sql(struct fixture *f, const char *sql);

struct digest job_of(uint64_t number);
/* Jobs 0, 4, 8 … train, those between evaluate what the last of them trained. */
void make_plan(struct submit_job *jobs, struct named_digest *parents, size_t count);

/* One turn: step, apply, commit. */
enum err_code step(struct fixture *f, struct core_event event, struct err *err);
enum err_code try_submit(struct fixture *f, const char *experiment, const struct submit_job *jobs,
                         size_t count, struct err *err);
void submit(struct fixture *f, const char *experiment, const struct submit_job *jobs, size_t count,
            struct err *err, enum err_code expected);

struct msg hello_of(uint64_t worker, uint64_t instance);
/* Something that a worker says or a person does. */
enum err_code try_random_turn(struct fixture *f, struct rng *rng, struct actor *actors,
                              struct err *err);
void random_turn(struct fixture *f, struct rng *rng, struct actor *actors);
/* What the turn told the workers. */
void hear(struct fixture *f, struct actor *actors);

void assert_counts_are_right(struct fixture *f);
void assert_rebuilt_equals_live(struct fixture *f);

#endif
