/* Plans on their way in: taken whole, and within bounds whatever a client sends. */
#include "cmocka_all.h"

#include <string.h>

#include "codec.h"
#include "limits.h"
#include "staging.h"

static enum err_code add(struct staging *staging, uint64_t peer, const struct msg_submit *part,
                         struct staged_plan **whole_out, struct err *err)
{
    const struct msg m = {.kind = MSG_SUBMIT, .submit = *part};
    struct strbuf frame = {0};
    assert_int_equal(codec_encode(&m, FRAME_BYTES_MAX, &frame, err), ERR_OK);
    enum err_code code =
        staging_add(staging, peer, part, (const uint8_t *)frame.data, frame.len, 0, whole_out, err);
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
    (void)state;
    struct staging staging = {0};
    struct staged_plan *whole = NULL;
    struct err err;
    struct msg_submit first = part_of(0, 2, "{\"a\"");
    first.manifest = (struct bytes){(const uint8_t *)"m", 1};
    struct msg_submit second = part_of(1, 2, ":1}");
    assert_int_equal(add(&staging, 1, &second, &whole, &err), ERR_CONFLICT);
    assert_int_equal(add(&staging, 1, &first, &whole, &err), ERR_OK);
    assert_null(whole);
    assert_int_equal(add(&staging, 1, &second, &whole, &err), ERR_OK);
    assert_non_null(whole);
    assert_string_equal(strbuf_text(&whole->plan_json), "{\"a\":1}");
    assert_int_equal(whole->manifest.len, 1);
    staging_clear(&staging);
}

/* Parts that add nothing to the plan, or a manifest to each, would stay in memory without end. */
static void test_parts_without_substance_are_refused(void **state)
{
    (void)state;
    static uint8_t manifest[MANIFEST_BYTES_MAX];
    struct staging staging = {0};
    struct staged_plan *whole = NULL;
    struct err err;
    struct msg_submit first = part_of(0, 3, "{}");
    struct msg_submit empty = part_of(1, 3, "");
    struct msg_submit heavy = part_of(1, 3, "x");
    heavy.manifest = (struct bytes){manifest, sizeof manifest};
    assert_int_equal(add(&staging, 1, &first, &whole, &err), ERR_OK);
    assert_int_equal(add(&staging, 1, &empty, &whole, &err), ERR_INVALID);
    assert_int_equal(add(&staging, 1, &first, &whole, &err), ERR_OK);
    assert_int_equal(add(&staging, 1, &heavy, &whole, &err), ERR_INVALID);
    assert_int_equal(staging.plans[0].peer, 0); /* nothing of it is kept */
    first.part_count = 1;
    first.plan_json.len = 0;
    assert_int_equal(add(&staging, 1, &first, &whole, &err), ERR_OK); /* an empty plan is one */
    assert_non_null(whole);
    staging_clear(&staging);
}

static void test_all_plans_under_way_share_one_bound(void **state)
{
    (void)state;
    struct staging staging = {.bytes_max = 3 * 1024 * 1024};
    struct staged_plan *whole = NULL;
    struct err err;
    static char slice[200 * 1024];
    memset(slice, 'x', sizeof slice - 1);
    enum err_code code = ERR_OK;
    uint32_t taken = 0;
    for (uint64_t peer = 1; peer <= 2 && code == ERR_OK; peer++) {
        for (uint32_t i = 0; i < 20 && code == ERR_OK; i++, taken++) {
            struct msg_submit part = part_of(i, 100, slice);
            code = add(&staging, peer, &part, &whole, &err);
        }
    }
    assert_int_equal(code, ERR_LIMIT);
    assert_non_null(strstr(err.text, "submissions under way"));
    assert_true(taken > 4 && taken < 20);
    staging_clear(&staging);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_become_a_plan),
        cmocka_unit_test(test_parts_without_substance_are_refused),
        cmocka_unit_test(test_all_plans_under_way_share_one_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
