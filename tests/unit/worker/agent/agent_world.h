/* An agent on a virtual clock, for tests that are transcripts: they feed events and compare the
 * actions, one line each. The names are short because every line of a test has one. */
#ifndef TRIAD_AGENT_WORLD_H
#define TRIAD_AGENT_WORLD_H

#include "agent.h"
#include "str.h"

struct world {
    struct agent *agent;
    struct agent_actions actions;
    int64_t now_ms;
    struct strbuf text; /* actions since the last expect() */
    bool beats;         /* show heartbeats and HELLOs too */
    uint64_t beat;      /* number of the latest */
    uint8_t news[256];  /* the jobs that it listed */
    size_t news_count;
};

struct digest digest_of(uint8_t n);
struct lease_key lease_of(uint8_t job, uint32_t epoch);
/* Hand in an event at the present time. */
void step(struct world *w, struct agent_event ev);
/* Let time pass, ticking exactly when the agent asks for it. */
void pass(struct world *w, int64_t ms);
/* The actions since the last expect() are these. */
void expect_at(struct world *w, const char *expected, int line);
#define expect(w, text) expect_at(w, text, __LINE__)
/* The coordinator says … */
void say(struct world *w, struct msg m);
void welcome(struct world *w, uint64_t session);
void pulse(struct world *w, uint64_t session);
void lease_job(struct world *w, uint8_t job, uint32_t epoch, enum job_kind kind, uint32_t threads);
void acknowledge(struct world *w, uint8_t job, enum stream_kind stream, uint32_t next);
void result_acknowledged(struct world *w, uint8_t job);
/* An event of a lease of epoch 1; what follows is short for others of that kind. */
void on(struct world *w, enum agent_event_kind kind, uint8_t job);
void batch(struct world *w, uint8_t job, enum stream_kind stream);
void ended(struct world *w, uint8_t job, enum outcome outcome, const char *reason,
           uint8_t artifact);
void exited(struct world *w, uint32_t child, enum outcome outcome, const char *reason);
/* An agent of `threads` threads with session 1. */
void begin(struct world *w, uint32_t threads);
/* The same, with job 5 in child 1. */
void begin_with_job(struct world *w, uint32_t threads, enum job_kind kind);
void end(struct world *w);

#endif
