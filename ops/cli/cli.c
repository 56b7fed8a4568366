#include "cli.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "str.h"

#define DURATION_MS_MAX (1000.0 * 366 * 86400e3) /* sums of a few, and of a clock, are numbers */

const char *cli_value(const struct cli *cli, const char *name)
{
    for (int i = cli->set_count - 1; i >= 0; i--)
        if (strcmp(cli->set_options[i]->name, name) == 0)
            return cli->set_values[i];
    for (const struct cli_option *o = cli->verb->options; o && o->name; o++)
        if (strcmp(o->name, name) == 0)
            return o->fallback;
    for (const struct cli_option *o = cli_global_options; o->name; o++)
        if (strcmp(o->name, name) == 0)
            return o->fallback;
    UNREACHABLE("the verb does not declare this option");
}

bool cli_flag(const struct cli *cli, const char *name)
{
    return cli_value(cli, name) != NULL;
}

bool cli_is_given(const struct cli *cli, const char *name)
{
    for (int i = 0; i < cli->set_count; i++)
        if (strcmp(cli->set_options[i]->name, name) == 0)
            return true;
    return false;
}

enum err_code cli_check_needs(const struct cli *cli, const struct cli_need *needs, size_t count,
                              struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (cli_is_given(cli, needs[i].option) && !cli_is_given(cli, needs[i].with))
            return err_set(err, ERR_INVALID, "--%s goes with --%s only", needs[i].option,
                           needs[i].with);
    return ERR_OK;
}

enum err_code cli_integer(const struct cli *cli, const char *name, long long min, long long max,
                          long long *out, struct err *err)
{
    const char *text = cli_value(cli, name);
    long long value = 0;
    if (!text)
        return err_set(err, ERR_INVALID, "--%s is missing: it wants a whole number", name);
    if (!str_to_i64(text, &value))
        return err_set(err, ERR_INVALID, "--%s wants a whole number, not '%s'", name, text);
    if (value < min || value > max)
        return err_set(err, ERR_INVALID, "--%s must be between %lld and %lld, not %lld", name, min,
                       max, value);
    *out = value;
    return ERR_OK;
}

enum err_code cli_real(const struct cli *cli, const char *name, double min, double max, double *out,
                       struct err *err)
{
    const char *text = cli_value(cli, name);
    double value = 0;
    if (!text || !str_to_double(text, &value))
        return err_set(err, ERR_INVALID, "--%s wants a number, not '%s'", name, text ? text : "");
    if (value < min || value > max)
        return err_set(err, ERR_INVALID, "--%s must be between %g and %g, not %s", name, min, max,
                       text);
    *out = value;
    return ERR_OK;
}

enum err_code cli_duration_ms(const struct cli *cli, const char *name, long long *out,
                              struct err *err)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}};
    const char *text = cli_value(cli, name);
    double total_ms = 0;
    const char *at = text ? text : "";
    if (*at == '\0')
        return err_set(err, ERR_INVALID, "--%s wants a duration such as 90s or 1h30m", name);
    while (*at) {
        char *end = NULL;
        double number = strtod(at, &end);
        size_t unit_len = strcspn(end, "0123456789. ");
        size_t u = 0;
        while (u < ARRAY_COUNT(units) &&
               !(strlen(units[u].unit) == unit_len && strncmp(units[u].unit, end, unit_len) == 0))
            u++;
        if (end == at || u == ARRAY_COUNT(units) || !(number >= 0 && number < 1e9))
            return err_set(err, ERR_INVALID,
                           "--%s: '%s' is not a duration; write for example 90s, 5m or 1h30m", name,
                           text);
        total_ms += number * units[u].ms;
        at = end + unit_len + strspn(end + unit_len, " ");
    }
    if (total_ms > DURATION_MS_MAX)
        return err_set(err, ERR_INVALID, "--%s: '%s' is longer than a thousand years", name, text);
    *out = (long long)total_ms;
    return ERR_OK;
}

static enum cli_exit exit_for(enum err_code code)
{
    switch (code) {
    case ERR_OK:
        return EXIT_OK;
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_VERSION:
    case ERR_CORRUPT:
        return EXIT_INPUT;
    case ERR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERR_CONFLICT:
        return EXIT_CONFLICT;
    case ERR_TIMEOUT:
        return EXIT_TIMEOUT;
    case ERR_UNAVAILABLE:
        return EXIT_UNREACHABLE;
    case ERR_DENIED:
        return EXIT_DENIED;
    case ERR_CANCELLED:
        return EXIT_INTERRUPTED;
    case ERR_IO:
        return EXIT_INTERNAL;
    }
    return EXIT_INTERNAL;
}

/* Lines for people on stderr. Names of files, jobs and workers stand in them, which may be any
 * bytes: they steer no terminal. */
static void say(const char *text)
{
    struct strbuf clean = {0};
    for (const char *line = text;;) {
        const size_t len = strcspn(line, "\n");
        strbuf_append_clean(&clean, line, len);
        strbuf_putc(&clean, '\n');
        if (line[len] == '\0')
            break;
        line += len + 1;
    }
    fputs(strbuf_text(&clean), stderr);
    strbuf_release(&clean);
}

static void print_document(json_t *root)
{
    json_dumpf(root, stdout, JSON_INDENT(2));
    json_decref(root);
    putchar('\n');
}

enum cli_exit cli_fail(const struct cli *cli, const struct err *err)
{
    struct strbuf text = {0};
    strbuf_printf(&text, "triad: %s", err->text);
    say(strbuf_text(&text));
    strbuf_clear(&text);
    strbuf_append_clean(&text, err->text, strlen(err->text));
    if (cli->output == OUTPUT_JSON) {
        json_t *root = json_pack("{s:s, s:{s:s, s:s}}", "schema", "triad.error/1", "error", "code",
                                 err_code_name(err->code), "text", strbuf_text(&text));
        ASSERT(root != NULL);
        print_document(root);
        if (cli->said)
            cli->said->has_document = true;
    }
    strbuf_release(&text);
    return exit_for(err->code);
}

enum cli_exit cli_fail_usage(int argc, char **argv, const struct err *err)
{
    struct cli cli = {.output = OUTPUT_TABLE};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--output=json") == 0 ||
            (strcmp(argv[i], "--output") == 0 && i + 1 < argc && strcmp(argv[i + 1], "json") == 0))
            cli.output = OUTPUT_JSON;
    (void)cli_fail(&cli, err);
    return EXIT_USAGE;
}

static void keep_note(struct cli_said *said, const char *text)
{
    struct strbuf clean = {0};
    if (!said->notes)
        said->notes = json_array();
    strbuf_append_clean(&clean, text, strlen(text));
    json_array_append_new(said->notes, json_string(strbuf_text(&clean)));
    strbuf_release(&clean);
}

void cli_note(const struct cli *cli, const char *format, ...)
{
    const bool is_kept = cli->said && cli->output == OUTPUT_JSON;
    if (cli->quiet && !is_kept)
        return;
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) >= 0 && !cli->quiet)
        say(text);
    va_end(args);
    if (text && is_kept)
        keep_note(cli->said, text);
    free(text);
}

void cli_end(struct cli *cli, enum cli_exit status)
{
    struct cli_said *said = cli->said;
    if (cli_verb_has_only_notes(cli->verb) && cli->output == OUTPUT_JSON && !said->has_document) {
        char command[64];
        snprintf(command, sizeof command, "%s%s%s", cli->verb->noun ? cli->verb->noun : "",
                 cli->verb->noun ? " " : "", cli->verb->name);
        json_t *root = json_pack("{s:s, s:s, s:i, s:O?}", "schema", "triad.notes/1", "command",
                                 command, "exit", (int)status, "notes", said->notes);
        ASSERT(root != NULL);
        if (!said->notes)
            json_object_set_new(root, "notes", json_array());
        print_document(root);
    }
    json_decref(said->notes);
    said->notes = NULL;
}

static unsigned masked(unsigned mode)
{
    const mode_t mask = umask(0); /* the only way to ask; nothing is made in between */
    (void)umask(mask);
    return mode & ~(unsigned)mask;
}

unsigned cli_file_mode(void)
{
    return masked(0666);
}

unsigned cli_folder_mode(void)
{
    return masked(0777);
}

const char *cli_state_dir(const struct cli *cli)
{
    const char *given = cli_value(cli, "state");
    if (!given)
        given = getenv("TRIAD_STATE");
    return given && *given ? given : ".triad";
}

const char *cli_data_dir(struct cli *cli)
{
    const char *given = cli_value(cli, "data");
    if (!given)
        given = getenv("TRIAD_DATA");
    if (given && *given)
        return given;
    const char *shared = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (shared && *shared)
        return arena_printf(&cli->arena, "%s/triad/data", shared);
    return arena_printf(&cli->arena, "%s/.local/share/triad/data", home && *home ? home : "");
}

const char *cli_access_path(struct cli *cli)
{
    const char *given = cli_value(cli, "access");
    if (!given)
        given = getenv("TRIAD_ACCESS");
    if (given && *given)
        return given;
    return arena_printf(&cli->arena, "%s/client.access", cli_state_dir(cli));
}
