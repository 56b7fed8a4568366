/* What the files of the simulator call of one another; included by sim.h only. */
#ifndef TRIAD_SIM_PARTS_H
#define TRIAD_SIM_PARTS_H

/* ---- sim_time.c ---- */
void sim_schedule(struct sim *s, int64_t delay_ms, struct sim_event event);
/* The earliest event; there must be one. */
struct sim_event sim_take_next(struct sim *s);
/* Uniform on [low, high]. */
int64_t sim_between(struct sim *s, int64_t low, int64_t high);
bool sim_chance(struct sim *s, double probability);
bool sim_weather_is_bad(const struct sim *s);
/* True with this probability, but never once the weather is fine. */
bool sim_mishap(struct sim *s, double probability);
/* Stop the run: something that must hold does not. The first reason is kept. */
void sim_fail(struct sim *s, const char *format, ...) PRINTF(2, 3);

/* ---- sim_trace.c; all of it does nothing unless the run is verbose ---- */
void sim_trace(const struct sim *s, const char *who, const char *format, ...) PRINTF(3, 4);
/* `how`: "", "lost", "doubled", "late by 312 ms" … */
void sim_trace_message(const struct sim *s, const char *from, const char *to, const struct msg *m,
                       const char *how);
void sim_trace_op(const struct sim *s, const struct core_op *op);
void sim_trace_action(const struct sim *s, const char *worker, const struct agent_action *action);

/* ---- sim_plan.c ---- */
void sim_plan_make(struct sim *s);
void sim_plan_free(struct sim *s);
/* Index of a job; -1: nobody planned it. */
int sim_job_find(const struct sim *s, const struct digest *identity);
/* The same for a job that must be there. */
int sim_job_index(const struct sim *s, const struct digest *identity);
const char *sim_parent_name(const struct sim_job *job, int parent);
const char *sim_experiment_name(int experiment);
int sim_experiment_index(const char *name);
/* The tree that a training job has at `step`: its artifact when that is the last. */
struct digest sim_tree_of(const struct sim_job *job, uint64_t step);
uint64_t sim_items_of(const struct sim_job *job);

/* ---- sim_fault.c ---- */
void sim_fault_happens(struct sim *s);

/* ---- sim_person.c ---- */
void sim_person_plan(struct sim *s);
void sim_person_acts(struct sim *s, const struct sim_event *event);

/* ---- sim_net.c ---- */
void sim_net_to_server(struct sim *s, struct sim_worker *w, const struct msg *m);
/* False when nobody has that connection any more. */
bool sim_net_to_worker(struct sim *s, uint64_t peer, const struct msg *m);
void sim_net_frame_free(struct sim_frame *frame);
/* Decode into `arena`; frames are ours, so a failure is a bug and fails the run. */
bool sim_net_decode(struct sim *s, const struct sim_frame *frame, struct arena *arena,
                    struct msg *out);

/* ---- sim_store.c ---- */
void sim_store_apply(struct sim *s, const struct core_output *out);
void sim_store_load(struct sim *s, struct core *core);
bool sim_store_has_tree(const struct sim *s, const struct digest *tree);
void sim_store_add_tree(struct sim *s, const struct digest *tree);
void sim_store_job_row(const struct sim *s, int job, struct arena *arena, struct core_job_row *out);
/* Of the worker with that name. */
int sim_name_index(const struct sim *s, const char *name);
bool sim_row_is_held(const struct sim_row *row);
bool sim_row_failed(const struct sim_row *row); /* final, but not done */

/* ---- sim_beat.c ---- */
/* Before the core hears a heartbeat. */
void sim_beat_arrives(struct sim *s, const struct sim_frame *frame);
/* A worker has taken the step that `event` made it take. */
void sim_beat_check_worker(struct sim *s, struct sim_worker *w, const struct agent_event *event);

/* ---- sim_server.c ---- */
int64_t sim_server_clock_ms(const struct sim *s);
void sim_server_start(struct sim *s);
void sim_server_kill(struct sim *s);
void sim_server_reload(struct sim *s);
void sim_server_stall(struct sim *s, int64_t stall_ms);
void sim_server_receive(struct sim *s, const struct sim_frame *frame);
void sim_server_tick(struct sim *s);
void sim_server_commit(struct sim *s);
/* A step within a turn, which it begins if there is none. */
void sim_server_step(struct sim *s, struct core_event *event);
/* What the store holds of a job once the turn under way is committed. */
const struct core_job_state *sim_server_state(const struct sim *s, int job);
/* Does an experiment that is not paused want it, the turn under way included? (sim_told.c) */
bool sim_is_wanted_now(const struct sim *s, int job);
/* The connection is gone; the worker may hear of it or must find out by silence. */
void sim_server_forget_peer(struct sim *s, struct sim_worker *w);

/* ---- sim_worker.c ---- */
void sim_worker_start(struct sim *s, struct sim_worker *w);
/* kill -9, children included; of the spool only what is durable stays. */
void sim_worker_kill(struct sim *s, struct sim_worker *w);
void sim_worker_wipe(struct sim_worker *w);
void sim_worker_connect(struct sim *s, struct sim_worker *w);
void sim_worker_connect_later(struct sim *s, const struct sim_worker *w, int64_t delay_ms);
/* Before the agent does: what the checks must know of a message. */
void sim_worker_hears(struct sim *s, struct sim_worker *w, const struct msg *m);
void sim_worker_step(struct sim *s, struct sim_worker *w, struct agent_event *event);
void sim_worker_fetched(struct sim *s, struct sim_worker *w, const struct sim_event *event);
void sim_worker_uploaded(struct sim *s, struct sim_worker *w, const struct sim_event *event);
void sim_worker_disk_trouble(struct sim *s, struct sim_worker *w);
bool sim_worker_is_stalled(const struct sim *s, const struct sim_worker *w);
struct sim_spool *sim_spool_find(struct sim_worker *w, const struct lease_key *lease);

/* ---- sim_child.c ---- */
void sim_child_run(struct sim *s, struct sim_worker *w, const struct agent_action *action);
void sim_child_signal(struct sim *s, struct sim_worker *w, uint32_t id, bool hard);
void sim_child_goes_on(struct sim *s, struct sim_worker *w, const struct sim_event *event);
void sim_child_stops(struct sim *s, struct sim_worker *w, const struct sim_event *event);
void sim_child_exits(struct sim *s, struct sim_worker *w, const struct sim_event *event);

/* ---- sim_check.c ---- */
void sim_check_op(struct sim *s, const struct core_op *op);
/* After a commit of `turn`: the store as a whole. */
void sim_check_store(struct sim *s, const struct core_output *turn);
void sim_check_end(struct sim *s);
bool sim_is_quiet(const struct sim *s);

/* ---- sim_told.c ---- */
/* A message leaves: is what it says stored? */
void sim_check_send(struct sim *s, const struct msg *m);
/* The core has taken a step: what it wants stored and said since `first_op` and `first_send`
 * compared with what the event may cause. `m` is NULL when no worker spoke. */
void sim_check_step(struct sim *s, const struct msg *m, const struct sim_frame *frame,
                    const struct core_job_state *before, size_t first_op, size_t first_send);

#endif
