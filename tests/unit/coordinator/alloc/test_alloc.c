/* How many allocations are asked for, and how their ends are judged. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define MINUTE 60000

/* A small batch system around the state: remembers what was asked of it. */
struct world {
    struct alloc *alloc;
    struct arena arena;
    struct alloc_actions out;
    struct err err;
    int64_t now_ms;
    uint64_t submitted[64];
    size_t submitted_count;
    size_t cancelled_count;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->alloc = alloc_new("test");
    w->now_ms = 1000000;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    alloc_free(w->alloc);
    arena_release(&w->arena);
    free(w);
    return 0;
}

static enum err_code step(struct world *w, struct alloc_event event)
{
    /* Whatever happens, what is stored reads back as the same. */
    struct strbuf before = {0};
    struct strbuf after = {0};
    struct alloc *copy = NULL;
    event.time_ms = w->now_ms;
    arena_release(&w->arena);
    enum err_code rc = alloc_step(w->alloc, &event, &w->arena, &w->out, &w->err);
    alloc_print(w->alloc, &before);
    assert_int_equal(alloc_parse(strbuf_text(&before), before.len, &copy, &w->err), ERR_OK);
    alloc_print(copy, &after);
    assert_string_equal(strbuf_text(&before), strbuf_text(&after));
    alloc_free(copy);
    strbuf_release(&before);
    strbuf_release(&after);
    for (size_t i = 0; i < w->out.count; i++) {
        if (w->out.items[i].kind == ALLOC_DO_SUBMIT) {
            assert_true(w->out.changed); /* durable before it is submitted */
            w->submitted[w->submitted_count++] = w->out.items[i].number;
        }
        w->cancelled_count += w->out.items[i].kind == ALLOC_DO_CANCEL;
    }
    return rc;
}

static void add_queue(struct world *w, const char *name, uint32_t cores, uint32_t workers,
                      uint32_t backlog)
{
    struct alloc_queue_options options = {.cores = cores,
                                          .time_ms = 60 * MINUTE,
                                          .workers_max = workers,
                                          .backlog = backlog,
                                          .idle_ms = MINUTE,
                                          .data_listen = "0.0.0.0:7304"};
    snprintf(options.name, sizeof options.name, "%s", name);
    assert_int_equal(step(w, (struct alloc_event){.kind = ALLOC_EV_ADD, .options = &options}),
                     ERR_OK);
}

/* A tick with `jobs` runnable jobs of one thread each. */
static void tick(struct world *w, uint64_t jobs, uint64_t idle_threads)
{
    const struct alloc_demand demand = {.threads = 1, .jobs = jobs};
    (void)!step(w, (struct alloc_event){.kind = ALLOC_EV_TICK,
                                        .demand = &demand,
                                        .demand_count = jobs > 0,
                                        .idle_threads = idle_threads});
}

static void accept(struct world *w, uint64_t number)
{
    char id[32];
    snprintf(id, sizeof id, "%d", 500 + (int)number);
    (void)!step(w, (struct alloc_event){.kind = ALLOC_EV_SUBMITTED, .number = number, .text = id});
}

static void accept_all(struct world *w)
{
    for (size_t i = 0; i < w->submitted_count; i++)
        accept(w, w->submitted[i]);
}

/* The batch system lists one allocation, and no other. */
static void list(struct world *w, uint64_t number, const char *batch_state)
{
    char name[96];
    char id[32];
    snprintf(id, sizeof id, "%d", 500 + (int)number);
    alloc_job_name(w->alloc, alloc_queue_at(w->alloc, 0), number, name);
    const struct alloc_listed row = {
        .batch_id = id, .name = name, .state = batch_state, .text = "x"};
    (void)!step(w,
                (struct alloc_event){.kind = ALLOC_EV_LISTED, .listed = &row, .listed_count = 1});
}

static void worker_comes(struct world *w, uint64_t number)
{
    char name[96];
    alloc_job_name(w->alloc, alloc_queue_at(w->alloc, 0), number, name);
    (void)!step(w, (struct alloc_event){.kind = ALLOC_EV_WORKER, .text = name});
}

static const struct alloc_job *job_of(const struct world *w, size_t at)
{
    return &alloc_queue_at(w->alloc, 0)->jobs[at];
}

static const char *reason(const struct world *w)
{
    return alloc_queue_at(w->alloc, 0)->reason;
}

static void test_never_more_than_needed(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 4, 10, 10);
    tick(w, 0, 0);
    assert_int_equal(w->submitted_count, 0);
    assert_non_null(strstr(reason(w), "no runnable job"));
    tick(w, 9, 0); /* nine jobs fill three allocations of four cores */
    assert_int_equal(w->submitted_count, 3);
    tick(w, 9, 0); /* on their way: nothing more */
    accept_all(w);
    tick(w, 9, 0);
    assert_int_equal(w->submitted_count, 3);
    worker_comes(w, 1); /* its four threads are now idle threads, then busy ones */
    tick(w, 9, 4);
    tick(w, 5, 0);
    assert_int_equal(w->submitted_count, 3);
    tick(w, 9, 0); /* four new jobs */
    assert_int_equal(w->submitted_count, 4);
    tick(w, 9, 1000); /* idle workers serve them all */
    assert_int_equal(w->submitted_count, 4);
}

static void test_limits_hold(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 1, 5, 2);
    tick(w, 1000, 0);
    assert_int_equal(w->submitted_count, 2); /* backlog */
    accept_all(w);
    tick(w, 1000, 0);
    assert_int_equal(w->submitted_count, 2);
    assert_non_null(strstr(reason(w), "pending already"));
    list(w, 1, "RUNNING");
    list(w, 1, "RUNNING"); /* two listings without it: number 2 is gone */
    worker_comes(w, 1);
    tick(w, 1000, 0);
    assert_int_equal(w->submitted_count, 4);
    accept_all(w);
    for (uint64_t n = 3; n < 20; n++) {
        worker_comes(w, n);
        tick(w, 1000, 0);
        accept_all(w);
    }
    size_t open = 0;
    for (size_t i = 0; i < alloc_queue_at(w->alloc, 0)->job_count; i++)
        open += job_of(w, i)->state != ALLOC_ENDED;
    assert_in_range(open, 1, 5);
}

static void test_jobs_that_do_not_fit_ask_for_nothing(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 4, 10, 10);
    const struct alloc_demand demand[] = {{.threads = 8, .jobs = 3},
                                          {.threads = 1, .time_ms = 60 * MINUTE, .jobs = 5}};
    (void)!step(w,
                (struct alloc_event){.kind = ALLOC_EV_TICK, .demand = demand, .demand_count = 2});
    assert_int_equal(w->submitted_count, 0);
    const struct alloc_demand shorter = {.threads = 3, .time_ms = 59 * MINUTE, .jobs = 2};
    (void)!step(w,
                (struct alloc_event){.kind = ALLOC_EV_TICK, .demand = &shorter, .demand_count = 1});
    assert_int_equal(w->submitted_count, 2); /* three threads of four: one job each */
}

/* Jobs of several ranks: one per allocation of a queue that has as many tasks, and in no other. */
static void test_ranks_ask_for_tasks(void **state)
{
    struct world *w = *state;
    const struct alloc_demand demand[] = {{.threads = 2, .ranks = 4, .jobs = 2},
                                          {.threads = 2, .ranks = 8, .jobs = 5}};
    add_queue(w, "plain", 4, 10, 10);
    (void)!step(w,
                (struct alloc_event){.kind = ALLOC_EV_TICK, .demand = demand, .demand_count = 2});
    assert_int_equal(w->submitted_count, 0);
    struct alloc_queue_options options = {.name = "wide",
                                          .cores = 4,
                                          .ranks = 4,
                                          .time_ms = 60 * MINUTE,
                                          .workers_max = 10,
                                          .backlog = 10,
                                          .idle_ms = MINUTE};
    assert_int_equal(step(w, (struct alloc_event){.kind = ALLOC_EV_ADD, .options = &options}),
                     ERR_OK);
    /* Idle threads of others are of no use to them. */
    (void)!step(
        w, (struct alloc_event){
               .kind = ALLOC_EV_TICK, .demand = demand, .demand_count = 2, .idle_threads = 64});
    assert_int_equal(w->submitted_count, 2);
    /* What one process does asks for no such allocation. */
    const struct alloc_demand ordinary = {.threads = 1, .ranks = 1, .jobs = 100};
    assert_int_equal(step(w, (struct alloc_event){.kind = ALLOC_EV_REMOVE, .queue = "plain"}),
                     ERR_OK);
    (void)!step(
        w, (struct alloc_event){.kind = ALLOC_EV_TICK, .demand = &ordinary, .demand_count = 1});
    assert_int_equal(w->submitted_count, 2);
}

/* Where its workers serve checkpoints stays with the queue; one of an older coordinator says
 * nothing. */
static void test_data_listen(void **state)
{
    struct world *w = *state;
    struct alloc *copy = NULL;
    struct strbuf text = {0};
    struct alloc_queue_options options = {.name = "bad",
                                          .cores = 1,
                                          .time_ms = 60 * MINUTE,
                                          .workers_max = 1,
                                          .backlog = 1,
                                          .data_listen = "node:port"};
    assert_int_equal(step(w, (struct alloc_event){.kind = ALLOC_EV_ADD, .options = &options}),
                     ERR_INVALID);
    assert_non_null(strstr(w->err.text, "--data-listen"));
    add_queue(w, "serving", 1, 1, 1);
    alloc_print(w->alloc, &text);
    assert_int_equal(alloc_parse(strbuf_text(&text), text.len, &copy, &w->err), ERR_OK);
    assert_string_equal(alloc_queue_at(copy, 0)->options.data_listen, "0.0.0.0:7304");
    alloc_free(copy);
    static const char key[] = "\"data_listen\":\"0.0.0.0:7304\",";
    const char *at = strstr(strbuf_text(&text), key);
    assert_non_null(at);
    struct strbuf older = {0};
    strbuf_append(&older, text.data, (size_t)(at - strbuf_text(&text)));
    strbuf_puts(&older, at + strlen(key));
    assert_int_equal(alloc_parse(strbuf_text(&older), older.len, &copy, &w->err), ERR_OK);
    assert_string_equal(alloc_queue_at(copy, 0)->options.data_listen, "");
    alloc_free(copy);
    strbuf_release(&older);
    strbuf_release(&text);
}

static void test_the_next_queue_serves_the_rest(void **state)
{
    struct world *w = *state;
    add_queue(w, "small", 1, 2, 2);
    add_queue(w, "large", 8, 4, 4);
    tick(w, 10, 0);
    assert_int_equal(w->submitted_count, 3); /* two of one core, and one of eight */
    assert_int_equal(alloc_queue_at(w->alloc, 0)->job_count, 2);
    assert_int_equal(alloc_queue_at(w->alloc, 1)->job_count, 1);
}

static void test_surplus_is_cancelled_after_a_while(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 1, 10, 10);
    tick(w, 3, 0);
    accept_all(w);
    tick(w, 0, 0);
    w->now_ms += ALLOC_SURPLUS_MS / 2;
    tick(w, 1, 0);
    assert_int_equal(w->cancelled_count, 0);
    w->now_ms += ALLOC_SURPLUS_MS;
    tick(w, 1, 0);
    assert_int_equal(w->cancelled_count, 2); /* one is still needed */
    assert_false(job_of(w, 0)->cancel_wanted);
    list(w, 3, "CANCELLED");
    assert_int_equal(job_of(w, 2)->end, ALLOC_END_CANCELLED);
    assert_int_equal(alloc_queue_at(w->alloc, 0)->failures, 0);
}

/* One allocation through to a state; how its end is called. */
static enum alloc_end end_after(struct world *w, bool registered, const char *batch_state)
{
    tick(w, 1, 0);
    uint64_t number = w->submitted[w->submitted_count - 1];
    accept(w, number);
    list(w, number, "RUNNING");
    if (registered)
        worker_comes(w, number);
    list(w, number, batch_state);
    const struct alloc_queue *queue = alloc_queue_at(w->alloc, 0);
    assert_int_equal(queue->jobs[queue->job_count - 1].state, ALLOC_ENDED);
    return queue->jobs[queue->job_count - 1].end;
}

static void test_ordinary_ends_never_stop_a_queue(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 1, 10, 10);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(end_after(w, true, "PREEMPTED"), ALLOC_END_PREEMPTED);
        assert_int_equal(end_after(w, false, "PREEMPTED"), ALLOC_END_PREEMPTED);
        assert_int_equal(end_after(w, true, "TIMEOUT"), ALLOC_END_WALLTIME);
        assert_int_equal(end_after(w, false, "NODE_FAIL"), ALLOC_END_NODE_FAIL);
        assert_int_equal(end_after(w, true, "COMPLETED"), ALLOC_END_DONE);
        assert_int_equal(end_after(w, true, "FAILED"), ALLOC_END_FAILED);
        assert_int_equal(end_after(w, false, "CANCELLED"), ALLOC_END_CANCELLED_OUTSIDE);
    }
    assert_false(alloc_queue_at(w->alloc, 0)->paused);
}

static void test_workers_that_never_come_stop_it(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 1, 10, 10);
    assert_int_equal(end_after(w, false, "COMPLETED"), ALLOC_END_NEVER_REGISTERED);
    assert_int_equal(end_after(w, false, "FAILED"), ALLOC_END_NEVER_REGISTERED);
    assert_int_equal(end_after(w, true, "COMPLETED"), ALLOC_END_DONE); /* one came: from anew */
    for (int i = 0; i < ALLOC_FAILURES; i++)
        assert_int_equal(end_after(w, false, "FAILED"), ALLOC_END_NEVER_REGISTERED);
    assert_true(alloc_queue_at(w->alloc, 0)->paused);
    assert_non_null(strstr(reason(w), "triad alloc resume q"));
    size_t before = w->submitted_count;
    tick(w, 5, 0);
    assert_int_equal(w->submitted_count, before);
    assert_int_equal(step(w, (struct alloc_event){.kind = ALLOC_EV_RESUME, .queue = "q"}), ERR_OK);
    tick(w, 5, 0);
    assert_int_equal(w->submitted_count, before + 5);
}

static void test_a_silent_allocation_is_given_up(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 1, 10, 10);
    tick(w, 1, 0);
    accept_all(w);
    list(w, 1, "RUNNING");
    w->now_ms += ALLOC_REGISTER_MS;
    tick(w, 0, 0);
    assert_int_equal(w->cancelled_count, 1);
    assert_int_equal(job_of(w, 0)->end, ALLOC_END_NEVER_REGISTERED);
}

/* Where scancel did not work the nodes would be held until the time limit, by nobody's order. */
static void test_a_silent_allocation_is_cancelled_until_it_is_gone(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 1, 10, 10);
    tick(w, 1, 0);
    accept_all(w);
    list(w, 1, "RUNNING");
    w->now_ms += ALLOC_REGISTER_MS;
    tick(w, 0, 0);
    (void)!step(w, (struct alloc_event){.kind = ALLOC_EV_LIST_FAILED, .text = "busy"});
    for (size_t cancelled = 1; cancelled < 4; cancelled++) {
        assert_int_equal(w->cancelled_count, cancelled);
        w->now_ms += ALLOC_LIST_MS;
        tick(w, 0, 0);
        assert_int_equal(w->out.count, 1);
        assert_int_equal(w->out.items[0].kind, ALLOC_DO_LIST);
        list(w, 1, "RUNNING");
    }
    list(w, 1, "CANCELLED");
    assert_int_equal(w->cancelled_count, 4);
    assert_int_equal(job_of(w, 0)->end, ALLOC_END_NEVER_REGISTERED);
    w->now_ms += ALLOC_LIST_MS;
    tick(w, 0, 0);
    assert_int_equal(w->out.count, 0); /* nothing more is asked about it */
}

static void test_refused_submissions_back_off(void **state)
{
    struct world *w = *state;
    static const int minutes[] = {0, 1, 15, 30, 60, 60};
    add_queue(w, "q", 1, 1, 1);
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        tick(w, 1, 0);
        assert_int_equal(w->submitted_count, i + 1);
        (void)!step(w, (struct alloc_event){.kind = ALLOC_EV_SUBMIT_FAILED,
                                            .number = w->submitted[i],
                                            .text = "invalid partition"});
        if (minutes[i] > 0) {
            w->now_ms += minutes[i] * MINUTE - 1;
            tick(w, 1, 0);
            assert_int_equal(w->submitted_count, i + 1);
            assert_non_null(strstr(reason(w), "invalid partition"));
            w->now_ms += 1;
        }
    }
    while (!alloc_queue_at(w->alloc, 0)->paused) {
        assert_true(w->submitted_count < ALLOC_SUBMIT_ERRORS);
        w->now_ms += 60 * MINUTE;
        tick(w, 1, 0);
        (void)!step(w, (struct alloc_event){.kind = ALLOC_EV_SUBMIT_FAILED,
                                            .number = w->submitted[w->submitted_count - 1],
                                            .text = "invalid partition"});
    }
    assert_int_equal(w->submitted_count, ALLOC_SUBMIT_ERRORS);
}

/* A queue whose submissions are refused leaves its work to the next one while it waits. */
static void test_the_next_queue_serves_who_must_wait(void **state)
{
    struct world *w = *state;
    add_queue(w, "refused", 4, 8, 8);
    add_queue(w, "good", 4, 8, 8);
    for (int round = 0; round < 2; round++) { /* the first refusal is tried again at once */
        w->submitted_count = 0;
        tick(w, 4, 0);
        assert_int_equal(w->submitted_count, 1);
        (void)!step(w, (struct alloc_event){.kind = ALLOC_EV_SUBMIT_FAILED,
                                            .number = w->submitted[0],
                                            .text = "invalid account"});
        assert_int_equal(alloc_queue_at(w->alloc, 1)->job_count, 0);
    }
    w->submitted_count = 0;
    tick(w, 4, 0);
    assert_int_equal(w->submitted_count, 1);
    assert_int_equal(alloc_queue_at(w->alloc, 1)->job_count, 1);
    assert_non_null(strstr(alloc_queue_at(w->alloc, 0)->reason, "invalid account"));
}

/* Killed between sbatch and its answer: the next listing has it, by name; or it never was. */
static void test_a_lost_answer_is_found_again(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 1, 10, 10);
    tick(w, 2, 0);
    assert_int_equal(job_of(w, 0)->state, ALLOC_SUBMITTING);
    list(w, 1, "PENDING");
    assert_int_equal(job_of(w, 0)->state, ALLOC_PENDING);
    assert_string_equal(job_of(w, 0)->batch_id, "501");
    assert_int_equal(job_of(w, 1)->state, ALLOC_SUBMITTING);
    list(w, 1, "PENDING");
    assert_int_equal(job_of(w, 1)->end, ALLOC_END_SUBMIT_ERROR);
}

static bool asks_for_a_listing(struct world *w)
{
    tick(w, 1, 0);
    bool found = false;
    for (size_t i = 0; i < w->out.count; i++) {
        found |= w->out.items[i].kind == ALLOC_DO_LIST;
    }
    return found;
}

/* One squeue at a time, however long it takes: those asked for meanwhile would wait in a row. */
static void test_a_listing_is_awaited_before_the_next(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 1, 1, 1);
    tick(w, 1, 0);
    accept_all(w);
    w->now_ms += ALLOC_LIST_MS;
    (void)asks_for_a_listing(w);
    list(w, 1, "PENDING");
    for (int round = 0; round < 3; round++) {
        w->now_ms += ALLOC_LIST_MS;
        assert_true(asks_for_a_listing(w));
        for (int i = 0; i < 6; i++) {
            w->now_ms += ALLOC_LIST_MS;
            assert_false(asks_for_a_listing(w));
        }
        if (round == 0) {
            list(w, 1, "PENDING");
        } else if (round == 1) {
            (void)!step(w, (struct alloc_event){.kind = ALLOC_EV_LIST_FAILED, .text = "busy"});
        }
    }
    w->now_ms += 20 * ALLOC_LIST_MS; /* its answer got lost */
    assert_true(asks_for_a_listing(w));
}

/* sbatch was killed after its minute, or lost its answer: nothing more is asked for until a listing
 * has told whether it was taken. */
static void test_an_unsure_submission_is_looked_for(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 1, 10, 10);
    tick(w, 2, 0);
    assert_int_equal(w->submitted_count, 2);
    for (size_t i = 0; i < 2; i++) {
        (void)!step(w, (struct alloc_event){.kind = ALLOC_EV_SUBMIT_UNSURE,
                                            .number = w->submitted[i],
                                            .text = "'sbatch' did not end within 60 s"});
    }
    assert_non_null(strstr(reason(w), "did not end within 60 s"));
    tick(w, 2, 0);
    assert_int_equal(w->submitted_count, 2);
    list(w, 1, "PENDING"); /* the first is there, the other is not, and not a listing later */
    list(w, 1, "PENDING");
    assert_int_equal(job_of(w, 0)->state, ALLOC_PENDING);
    assert_string_equal(job_of(w, 0)->batch_id, "501");
    assert_int_equal(job_of(w, 1)->end, ALLOC_END_SUBMIT_ERROR);
    tick(w, 2, 0);
    assert_int_equal(w->submitted_count, 3); /* now it is asked for again */
}

static void test_removal_cancels(void **state)
{
    struct world *w = *state;
    add_queue(w, "q", 1, 10, 10);
    tick(w, 2, 0);
    accept_all(w);
    assert_int_equal(step(w, (struct alloc_event){.kind = ALLOC_EV_REMOVE, .queue = "p"}),
                     ERR_NOT_FOUND);
    assert_int_equal(step(w, (struct alloc_event){.kind = ALLOC_EV_REMOVE, .queue = "q"}), ERR_OK);
    assert_int_equal(w->cancelled_count, 2);
    assert_int_equal(alloc_queue_count(w->alloc), 0);
}

/* sbatch may take its time: an allocation whose queue is gone by then would run, counted by nobody.
 */
static void test_a_late_answer_is_cancelled(void **state)
{
    struct world *w = *state;
    add_queue(w, "removed", 4, 8, 2);
    tick(w, 8, 0);
    assert_int_equal(w->submitted_count, 2);
    assert_int_equal(step(w, (struct alloc_event){.kind = ALLOC_EV_REMOVE, .queue = "removed"}),
                     ERR_OK);
    accept(w, w->submitted[0]);
    assert_int_equal(w->out.count, 1);
    assert_int_equal(w->out.items[0].kind, ALLOC_DO_CANCEL);
    assert_string_equal(w->out.items[0].text, "501");
}

static void test_bad_queues_are_refused(void **state)
{
    struct world *w = *state;
    struct alloc_queue_options o = {
        .name = "q", .cores = 1, .time_ms = 60 * MINUTE, .workers_max = 1, .backlog = 1};
    struct alloc_queue_options bad = o;
    const struct alloc_event event = {.kind = ALLOC_EV_ADD, .options = &bad};
    bad.name[0] = '/';
    assert_int_equal(step(w, event), ERR_INVALID);
    bad = o;
    bad.cores = 0;
    assert_int_equal(step(w, event), ERR_INVALID);
    bad = o;
    bad.time_ms = MINUTE;
    assert_int_equal(step(w, event), ERR_INVALID);
    bad = o;
    bad.backlog = 2;
    assert_int_equal(step(w, event), ERR_INVALID);
    bad = o;
    assert_int_equal(step(w, event), ERR_OK);
    assert_int_equal(step(w, event), ERR_CONFLICT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_never_more_than_needed),
        TEST(test_limits_hold),
        TEST(test_jobs_that_do_not_fit_ask_for_nothing),
        TEST(test_ranks_ask_for_tasks),
        TEST(test_the_next_queue_serves_the_rest),
        TEST(test_data_listen),
        TEST(test_surplus_is_cancelled_after_a_while),
        TEST(test_ordinary_ends_never_stop_a_queue),
        TEST(test_workers_that_never_come_stop_it),
        TEST(test_a_silent_allocation_is_given_up),
        TEST(test_a_silent_allocation_is_cancelled_until_it_is_gone),
        TEST(test_refused_submissions_back_off),
        TEST(test_the_next_queue_serves_who_must_wait),
        TEST(test_a_lost_answer_is_found_again),
        TEST(test_a_listing_is_awaited_before_the_next),
        TEST(test_an_unsure_submission_is_looked_for),
        TEST(test_removal_cancels),
        TEST(test_a_late_answer_is_cancelled),
        TEST(test_bad_queues_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
