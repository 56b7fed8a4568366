/* A worker computes nothing under a name that is not the computation's own. */
#include "cmocka_all.h"

#include <string.h>

#include "lease_check.h"

static struct msg_lease lease_of(const char *spec)
{
    return (struct msg_lease){
        .lease = {.job = hash_bytes(spec, strlen(spec)), .epoch = 1},
        .spec = {(const uint8_t *)spec, strlen(spec)},
    };
}

static void test_a_spec_must_be_the_one_its_job_is_named_after(void **state)
{
    (void)state;
    struct err err;
    struct msg_lease lease = lease_of("{\"kind\":\"import\"}");
    assert_int_equal(lease_check(&lease, &err), ERR_OK);
    lease.spec = (struct bytes){(const uint8_t *)"{\"kind\":\"Import\"}", 17};
    assert_int_equal(lease_check(&lease, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "it is not that job's"));
    lease.spec = (struct bytes){NULL, 0};
    assert_int_equal(lease_check(&lease, &err), ERR_CORRUPT);
}

static void test_names_that_lead_out_of_the_work_folder_are_refused(void **state)
{
    (void)state;
    struct err err;
    struct msg_lease lease = lease_of("{}");
    struct named_digest named = {"model", {{1}}};
    lease.inputs = lease.parents = &named;
    lease.input_count = lease.parent_count = 1;
    assert_int_equal(lease_check(&lease, &err), ERR_OK);
    named.name = "a/../../../elsewhere";
    assert_int_equal(lease_check(&lease, &err), ERR_INVALID);
    lease.input_count = 0;
    assert_int_equal(lease_check(&lease, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "parent 'a/../../../elsewhere'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_spec_must_be_the_one_its_job_is_named_after),
        cmocka_unit_test(test_names_that_lead_out_of_the_work_folder_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
