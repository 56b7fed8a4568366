/* Plans on their way in: taken whole, and within bounds whatever a client sends. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "codec.h"
#include "file.h"
#include "staging.h"

static int set_up(void **state)
{
    static char dir[64];
    struct staging *staging = calloc(1, sizeof *staging);
    assert_non_null(staging);
    snprintf(dir, sizeof dir, "/tmp/triad-test-staging-XXXXXX");
    assert_non_null(mkdtemp(dir));
    staging_open(staging, dir);
    *state = staging;
    return 0;
}

static int tear_down(void **state)
{
    struct staging *staging = *state;
    struct err err;
    assert_int_equal(file_remove_tree(staging->folder, &err), ERR_OK);
    staging_close(staging);
    free(staging);
    return 0;
}

static bool file_is_there(const struct staging *staging, uint64_t number)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%llu", staging->folder, (unsigned long long)number);
    return access(path, F_OK) == 0;
}

/* *plan_out: NULL after a failure. */
static enum err_code add(struct staging *staging, uint64_t peer, const struct msg_submit *part,
                         struct staged_plan **plan_out, struct err *err)
{
    const struct msg m = {.kind = MSG_SUBMIT, .submit = *part};
    struct strbuf frame = {0};
    *plan_out = NULL;
    assert_int_equal(codec_encode(&m, FRAME_BYTES_MAX, &frame, err), ERR_OK);
    enum err_code code =
        staging_add(staging, peer, part, (const uint8_t *)frame.data, frame.len, 0, plan_out, err);
    strbuf_release(&frame);
    return code;
}

static struct msg_submit part_of(uint32_t index, uint32_t count, const char *plan)
{
    return (struct msg_submit){.experiment = "e",
                               .part_index = index,
                               .part_count = count,
                               .plan_json = {(const uint8_t *)plan, strlen(plan)}};
}

static void test_parts_become_a_plan(void **state)
{
    struct staging *staging = *state;
    struct staged_plan *plan = NULL;
    struct arena arena = {0};
    struct msg read;
    struct err err;
    struct msg_submit first = part_of(0, 2, "{\"a\"");
    first.manifest = (struct bytes){(const uint8_t *)"m", 1};
    struct msg_submit second = part_of(1, 2, ":1}");
    assert_int_equal(add(staging, 1, &second, &plan, &err), ERR_CONFLICT);
    assert_int_equal(add(staging, 1, &first, &plan, &err), ERR_OK);
    assert_int_equal(plan->state, STAGED_ARRIVING);
    assert_int_equal(add(staging, 1, &second, &plan, &err), ERR_OK);
    assert_int_equal(plan->state, STAGED_WHOLE);
    assert_int_equal(add(staging, 1, &second, &plan, &err), ERR_OK); /* repeated */
    assert_string_equal(strbuf_text(&plan->plan_json), "{\"a\":1}");
    assert_int_equal(plan->manifest.len, 1);
    assert_int_equal(staging_read(plan, &arena, &read, &err), ERR_OK);
    assert_int_equal(read.submit.part_index, 0);
    assert_int_equal(staging_read(plan, &arena, &read, &err), ERR_OK);
    assert_int_equal(read.submit.part_index, 1);
    assert_int_equal(staging_read(plan, &arena, &read, &err), ERR_CORRUPT); /* no more */
    arena_release(&arena);
}

/* Parts that add nothing to the plan, or a manifest to each, would be kept without end. */
static void test_parts_without_substance_are_refused(void **state)
{
    static uint8_t manifest[MANIFEST_BYTES_MAX];
    struct staging *staging = *state;
    struct staged_plan *plan = NULL;
    struct err err;
    struct msg_submit first = part_of(0, 3, "{}");
    struct msg_submit empty = part_of(1, 3, "");
    struct msg_submit heavy = part_of(1, 3, "x");
    heavy.manifest = (struct bytes){manifest, sizeof manifest};
    assert_int_equal(add(staging, 1, &first, &plan, &err), ERR_OK);
    assert_int_equal(add(staging, 1, &empty, &plan, &err), ERR_INVALID);
    assert_int_equal(add(staging, 1, &first, &plan, &err), ERR_OK);
    assert_true(file_is_there(staging, plan->number));
    assert_int_equal(add(staging, 1, &heavy, &plan, &err), ERR_INVALID);
    assert_null(staging_find(staging, 1)); /* nothing of it is kept */
    assert_false(file_is_there(staging, 1));
    assert_false(file_is_there(staging, 2));
}

static void test_all_plans_under_way_share_one_bound(void **state)
{
    struct staging *staging = *state;
    struct staged_plan *plan = NULL;
    struct err err;
    static char slice[200 * 1024];
    memset(slice, 'x', sizeof slice - 1);
    staging->bytes_max = 3 * 1024 * 1024;
    enum err_code code = ERR_OK;
    uint32_t taken = 0;
    for (uint64_t peer = 1; peer <= 2 && code == ERR_OK; peer++) {
        for (uint32_t i = 0; i < 20 && code == ERR_OK; i++, taken++) {
            struct msg_submit part = part_of(i, 100, slice);
            code = add(staging, peer, &part, &plan, &err);
        }
    }
    assert_int_equal(code, ERR_LIMIT);
    assert_non_null(strstr(err.text, "submissions under way"));
    assert_true(taken > 4 && taken < 20);
}

/* A plan that is being taken is nobody's to push out; one that still arrives is. */
static void test_a_plan_being_taken_keeps_its_place(void **state)
{
    struct staging *staging = *state;
    struct staged_plan *plan = NULL;
    struct err err;
    struct msg_submit first = part_of(0, 2, "{"), second = part_of(1, 2, "}");
    for (uint64_t peer = 1; peer <= STAGING_PLANS_MAX; peer++) {
        assert_int_equal(add(staging, peer, &first, &plan, &err), ERR_OK);
        assert_int_equal(add(staging, peer, &second, &plan, &err), ERR_OK);
        plan->state = STAGED_DURABLE;
    }
    assert_int_equal(staging_next(staging)->number, 1);
    assert_int_equal(add(staging, 9, &first, &plan, &err), ERR_CONFLICT);
    /* Its submitter begins again: the former one goes on by itself. */
    staging_find(staging, 2)->state = STAGED_ENDED;
    assert_int_equal(add(staging, 1, &first, &plan, &err), ERR_OK);
    assert_int_equal(staging_next(staging)->peer, STAGING_NOBODY);
    assert_null(staging_find(staging, 2)); /* had ended: made room */
}

static void test_a_plan_is_found_again_after_a_restart(void **state)
{
    struct staging *staging = *state;
    struct staged_plan *plan = NULL;
    struct arena arena = {0};
    struct msg read;
    struct err err;
    char folder[64];
    struct msg_submit parts[3] = {part_of(0, 3, "a"), part_of(1, 3, "b"), part_of(2, 3, "c")};
    for (uint64_t peer = 1; peer <= 2; peer++) {
        for (int i = 0; i < 3; i++) {
            assert_int_equal(add(staging, peer, &parts[i], &plan, &err), ERR_OK);
        }
    }
    snprintf(folder, sizeof folder, "%s", staging->folder);
    staging_close(staging);
    staging_open(staging, folder);
    assert_int_equal(staging_adopt(staging, 2, 1, &err), ERR_OK);
    staging_clean(staging);
    assert_false(file_is_there(staging, 1)); /* nothing of it had been taken */
    plan = staging_next(staging);
    assert_non_null(plan);
    assert_string_equal(plan->experiment, "e");
    assert_int_equal(plan->part_count, 3);
    assert_int_equal(staging_read(plan, &arena, &read, &err), ERR_OK);
    assert_int_equal(read.submit.part_index, 1);
    arena_release(&arena);
    /* The next plan gets another name. */
    assert_int_equal(add(staging, 1, &parts[0], &plan, &err), ERR_OK);
    assert_int_equal(plan->number, 3);
    staging_drop(staging, staging_next(staging));
    assert_false(file_is_there(staging, 2));
    assert_int_equal(staging_adopt(staging, 2, 1, &err), ERR_IO);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_parts_become_a_plan),
        TEST(test_parts_without_substance_are_refused),
        TEST(test_all_plans_under_way_share_one_bound),
        TEST(test_a_plan_being_taken_keeps_its_place),
        TEST(test_a_plan_is_found_again_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
