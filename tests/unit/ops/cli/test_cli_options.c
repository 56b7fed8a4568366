/* The parser says what is wrong with a command line, and help, completion and man page know every
 * verb. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "cmocka_all.h"
#include "stdout_capture.h"

/* Parse "triad WORDS…"; the words are separated by single blanks. */
static enum err_code parse(const char *words, struct cli *cli, struct err *err)
{
    static char text[512];
    static char *argv[32];
    int argc = 0;
    snprintf(text, sizeof text, "triad %s", words);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    return cli_parse(argc, argv, cli, err);
}

static void assert_error(const char *words, const char *wanted)
{
    struct cli cli;
    struct err err;
    assert_int_equal(parse(words, &cli, &err), ERR_INVALID);
    assert_string_equal(err.text, wanted);
    cli_release(&cli);
}

static void test_errors_say_what_to_do(void **state)
{
    (void)state;
    assert_error("statsu", "no command 'statsu'; did you mean 'status'?");
    assert_error("job lst", "no command 'job lst'; did you mean 'list'?");
    assert_error("job", "'triad job' wants one of: list, show, logs, cancel, retry, "
                        "release, priority, explain");
    assert_error("frobnicate", "no command 'frobnicate'; 'triad help' lists them");
    assert_error("run a.yaml --wokers 2", "unknown option '--wokers'; did you mean '--workers'?");
    assert_error("run a.yaml --zzzzzzz",
                 "unknown option '--zzzzzzz'; 'triad run --help' lists them");
    assert_error("run a.yaml --workers", "option '--workers' wants a value: --workers N");
    assert_error("submit a.yaml --wait=yes", "option '--wait' takes no value");
    assert_error("run", "something is missing; usage: triad run MANIFEST [OPTIONS]");
    assert_error("run a.yaml b.yaml",
                 "'b.yaml' is one word too many; usage: triad run MANIFEST [OPTIONS]");
}

/* A wrong value is another exit code than a wrong word, so it is looked at apart. */
static void test_a_wrong_output_is_a_wrong_value(void **state)
{
    struct cli cli;
    struct err err;
    (void)state;
    assert_int_equal(parse("status --output xml", &cli, &err), ERR_OK);
    assert_int_equal(cli_settings(&cli, &err), ERR_INVALID);
    assert_string_equal(err.text, "--output is one of table, json, csv, not 'xml'");
    cli_release(&cli);
}

static void test_an_option_that_would_be_passed_over_is_refused(void **state)
{
    static const struct cli_need need = {"sequence", "dataset"};
    static const struct {
        const char *words;
        enum err_code code;
    } cases[] = {
        {"tokenize m --sequence 0", ERR_INVALID}, /* also when it is the fallback's value */
        {"tokenize m --sequence 0 --dataset d", ERR_OK},
        {"tokenize m --dataset d", ERR_OK},
        {"tokenize m", ERR_OK}};
    struct cli cli;
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(parse(cases[i].words, &cli, &err), ERR_OK);
        assert_int_equal(cli_check_needs(&cli, &need, 1, &err), cases[i].code);
        cli_release(&cli);
    }
}

static void test_options_are_found_wherever_they_stand(void **state)
{
    struct cli cli;
    struct err err;
    (void)state;
    assert_int_equal(parse("run --workers 3 a.yaml --output=json --quiet", &cli, &err), ERR_OK);
    assert_int_equal(cli_settings(&cli, &err), ERR_OK);
    assert_string_equal(cli_value(&cli, "workers"), "3");
    assert_string_equal(cli_value(&cli, "poll-ms"), "500"); /* the fallback */
    assert_null(cli_value(&cli, "threads"));
    assert_int_equal(cli.output, OUTPUT_JSON);
    assert_true(cli.quiet);
    assert_int_equal(cli.argument_count, 1);
    assert_string_equal(cli.arguments[0], "a.yaml");
    cli_release(&cli);
    assert_int_equal(parse("score -- --text", &cli, &err), ERR_OK);
    assert_string_equal(cli.arguments[0], "--text");
    cli_release(&cli);
    assert_int_equal(parse("run a.yaml --workers 1 --workers 2", &cli, &err), ERR_OK);
    assert_string_equal(cli_value(&cli, "workers"), "2"); /* the last one counts */
    cli_release(&cli);
}

static void test_numbers_have_bounds(void **state)
{
    struct cli cli;
    struct err err;
    long long value = 0;
    double real = 0;
    (void)state;
    assert_int_equal(parse("run a.yaml --workers 2x", &cli, &err), ERR_OK);
    assert_int_equal(cli_integer(&cli, "workers", 1, 8, &value, &err), ERR_INVALID);
    assert_string_equal(err.text, "--workers wants a whole number, not '2x'");
    cli_release(&cli);
    assert_int_equal(parse("run a.yaml --workers 9", &cli, &err), ERR_OK);
    assert_int_equal(cli_integer(&cli, "workers", 1, 8, &value, &err), ERR_INVALID);
    assert_string_equal(err.text, "--workers must be between 1 and 8, not 9");
    cli_release(&cli);
    assert_int_equal(parse("generate F --top-p 1.5", &cli, &err), ERR_OK);
    assert_int_equal(cli_real(&cli, "top-p", 0, 1, &real, &err), ERR_INVALID);
    assert_string_equal(err.text, "--top-p must be between 0 and 1, not 1.5");
    cli_release(&cli);
}

static void assert_duration(const char *text, long long wanted_ms)
{
    struct cli cli;
    struct err err;
    char words[128];
    long long ms = -1;
    snprintf(words, sizeof words, "watch --timeout %s", text);
    assert_int_equal(parse(words, &cli, &err), ERR_OK);
    const enum err_code rc = cli_duration_ms(&cli, "timeout", &ms, &err);
    if (wanted_ms < 0) {
        assert_int_equal(rc, ERR_INVALID);
        assert_non_null(strstr(err.text, text[0] == '9' && text[1] == '9'
                                             ? "longer than a thousand years"
                                             : "90s, 5m or 1h30m"));
    } else {
        assert_int_equal(rc, ERR_OK);
        assert_int_equal(ms, wanted_ms);
    }
    cli_release(&cli);
}

static void test_durations(void **state)
{
    (void)state;
    assert_duration("250ms", 250);
    assert_duration("90s", 90000);
    assert_duration("1.5m", 90000);
    assert_duration("1h30m", 5400000);
    assert_duration("2d", 172800000);
    assert_duration("0s", 0);
    assert_duration("999999999d", -1);
    assert_duration("9999999d9999999d9999999d9999999d9999999d9999999d9999999d9999999d", -1);
    assert_duration("90", -1);
    assert_duration("s", -1);
    assert_duration("5x", -1);
    assert_duration("-5s", -1);
    assert_duration("nan", -1);
}

/* A text that names every verb, each as "noun name". */
static void assert_names_all(const char *text)
{
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        char title[64];
        snprintf(title, sizeof title, "%s%s%s", v->noun ? v->noun : "", v->noun ? " " : "",
                 v->name);
        if (!strstr(text, title))
            fail_msg("'%s' is missing", title);
    }
}

static void test_help_and_man_know_every_verb(void **state)
{
    struct stdout_capture capture;
    (void)state;
    stdout_capture_begin(&capture);
    cli_help_all();
    char *text = stdout_capture_end(&capture);
    assert_names_all(text);
    free(text);
    stdout_capture_begin(&capture);
    cli_print_man();
    text = stdout_capture_end(&capture);
    assert_names_all(text);
    free(text);
}

/* "triad help model" and "triad model --help" list what there is; "triad model" alone is an error.
 */
static void test_help_of_a_noun(void **state)
{
    static const char *const words[] = {"help model", "model --help", "model -h"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stdout_capture capture;
        struct cli cli;
        struct err err;
        stdout_capture_begin(&capture);
        const enum err_code rc = parse(words[i], &cli, &err);
        char *text = stdout_capture_end(&capture);
        assert_int_equal(rc, ERR_OK);
        assert_null(cli.verb);
        for (const struct cli_verb *v = cli_verbs; v->name; v++)
            if (v->noun && strcmp(v->noun, "model") == 0 && !strstr(text, v->summary))
                fail_msg("'model %s' is missing", v->name);
        assert_null(strstr(text, "job list"));
        free(text);
    }
}

static void test_help_of_a_verb_lists_its_options(void **state)
{
    struct stdout_capture capture;
    (void)state;
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        stdout_capture_begin(&capture);
        cli_help_verb(v);
        char *text = stdout_capture_end(&capture);
        assert_non_null(strstr(text, v->summary));
        assert_null(strstr(text, "(default )"));
        for (const struct cli_option *o = v->options; o && o->name; o++) {
            char title[64];
            snprintf(title, sizeof title, "--%s", o->name);
            if (!strstr(text, title) || !strstr(text, o->help))
                fail_msg("help of '%s' does not explain %s", v->name, title);
        }
        free(text);
    }
}

/* bash -n parses the script; an unknown shell is refused. */
static void test_completion_is_valid_bash(void **state)
{
    struct stdout_capture capture;
    (void)state;
    assert_int_equal(cli_print_completion("fish"), -1);
    stdout_capture_begin(&capture);
    assert_int_equal(cli_print_completion("bash"), 0);
    char *text = stdout_capture_end(&capture);
    FILE *bash = popen("bash -n", "w");
    assert_non_null(bash);
    fputs(text, bash);
    assert_int_equal(pclose(bash), 0);
    /* and it completes: the words offered after "triad jo" */
    bash = popen("cat >/tmp/triad-completion.$PPID; bash -c '. /tmp/triad-completion.'$PPID'; "
                 "COMP_WORDS=(triad job li); COMP_CWORD=2; _triad; "
                 "[ \"${COMPREPLY[0]}\" = list ]'; s=$?; rm /tmp/triad-completion.$PPID; exit $s",
                 "w");
    assert_non_null(bash);
    fputs(text, bash);
    assert_int_equal(pclose(bash), 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_say_what_to_do),
        cmocka_unit_test(test_a_wrong_output_is_a_wrong_value),
        cmocka_unit_test(test_an_option_that_would_be_passed_over_is_refused),
        cmocka_unit_test(test_options_are_found_wherever_they_stand),
        cmocka_unit_test(test_numbers_have_bounds),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_help_and_man_know_every_verb),
        cmocka_unit_test(test_help_of_a_noun),
        cmocka_unit_test(test_help_of_a_verb_lists_its_options),
        cmocka_unit_test(test_completion_is_valid_bash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
