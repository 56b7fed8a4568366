/* A core with the smallest possible driver around it: remembers rows, knows sessions, steps with
 * messages that tests fill in. Job i is called i: identity, label and order follow from it. */
#ifndef TRIAD_CORE_WORLD_H
#define TRIAD_CORE_WORLD_H

#include "core.h"

#define WORLD_JOBS_MAX 32
#define WORLD_CLASS    "blas/f32/Haswell/1"

struct core_world {
    struct core *core;
    struct arena arena; /* of the latest step */
    struct core_output out;
    int64_t now_ms;
    uint64_t beat; /* number of the latest heartbeat, for tests that count */
    struct core_job_row rows[WORLD_JOBS_MAX]; /* by order - 1, as the ops left them */
    size_t row_count;
};

struct core_world *core_world_new(void);
void core_world_free(struct core_world *w);
/* A test of cmocka with a world of its own. */
int core_world_set_up(void **state);
int core_world_tear_down(void **state);
#define CORE_TEST(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, core_world_set_up, core_world_tear_down)

struct digest core_world_job(uint64_t number);
struct lease_key core_world_key(uint64_t job, uint32_t epoch);

/* Step with an event whose times are filled in. */
void core_world_step(struct core_world *w, struct core_event event);
/* Let time pass. */
void core_world_pass(struct core_world *w, int64_t ms);
/* Hand in a message of a worker's connection. */
void core_world_say(struct core_world *w, uint64_t peer, const struct msg *m);
/* The same with what the driver found in it. */
void core_world_say_with(struct core_world *w, uint64_t peer, struct core_message message);

/* A job to submit; number from 1. */
struct submit_job core_world_plan(uint64_t number);
void core_world_submit(struct core_world *w, const char *experiment, const struct submit_job *jobs,
                       size_t count);
void core_world_submit_job(struct core_world *w, const char *experiment, struct submit_job job);
/* The job as planned, for experiment "e". */
void core_world_submit_one(struct core_world *w, uint64_t number);
/* What people ask for: CORE_PAUSE and the like. */
void core_world_act(struct core_world *w, enum core_event_kind kind, const char *experiment,
                    const struct digest *jobs, size_t count, int32_t priority);
/* HELLO with nothing held, of a worker of WORLD_CLASS. */
struct msg core_world_hello_msg(const char *name, const char *host, uint32_t threads);
/* Say it; the session. */
uint64_t core_world_hello_as(struct core_world *w, uint64_t peer, const struct msg *hello);
/* Both at once, on a host of that name. */
uint64_t core_world_hello(struct core_world *w, const char *name, uint64_t peer, uint32_t threads,
                          const char *numeric_class);
/* HELLO of worker "a" (two threads, WORLD_CLASS) as a process that this names, with what it holds.
 */
struct msg core_world_hello_again(const char *instance, struct held_lease *held, size_t count);
/* RESULT ok of an evaluation without records. */
struct msg core_world_ok(uint64_t session, uint64_t job, uint32_t epoch);
struct msg core_world_bad(uint64_t session, uint64_t job, uint32_t epoch, enum outcome outcome,
                          const char *reason);
/* A beat that lists all that is held. */
struct msg core_world_beat(uint64_t session, struct held_lease *held, size_t count);

/* The nth message of a kind that the latest step sent, or NULL. */
const struct msg *core_world_sent(const struct core_world *w, enum msg_kind kind, size_t nth);
size_t core_world_sent_count(const struct core_world *w, enum msg_kind kind);
/* State of a job as its row says. */
enum job_state core_world_state(const struct core_world *w, uint64_t number);
const struct core_job_state *core_world_row(const struct core_world *w, uint64_t number);
/* The word for why it waits. */
const char *core_world_reason(const struct core_world *w, uint64_t number);

#endif
