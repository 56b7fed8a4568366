/* The command line's frame: one table of verbs drives dispatch, option parsing, help, completion
 * and man pages; results go to stdout as a table, JSON or CSV made from the same rows; messages and
 * progress go to stderr. */
#ifndef TRIAD_CLI_H
#define TRIAD_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "err.h"

/* Exit codes, documented in `triad help` and the README. */
enum cli_exit {
    EXIT_OK = 0,
    EXIT_INTERNAL = 1, /* our fault, or the operating system's */
    EXIT_USAGE = 2,    /* unknown command or option, or a wrong number of arguments (cli_parse) */
    EXIT_INPUT = 3,    /* a value, manifest, task, checkpoint or other input is wrong */
    EXIT_NOT_FOUND = 4,
    EXIT_UNREACHABLE = 5, /* no coordinator answers */
    EXIT_UNFINISHED = 6,  /* the experiment ended with jobs that did not succeed */
    EXIT_TIMEOUT = 7,
    EXIT_DENIED = 8,   /* key or permission refused */
    EXIT_CONFLICT = 9, /* refused: locked, or contradicts what is there */
    EXIT_INTERRUPTED = 130,
};

enum cli_output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_CSV };

/* One option of a verb or of all verbs. */
struct cli_option {
    const char *name;     /* without the dashes; NULL ends a list */
    const char *value;    /* what to call its value in help; NULL: a flag */
    const char *fallback; /* value when absent; NULL: none */
    const char *help;
};

struct cli;

struct cli_verb {
    const char *noun;      /* "job" in `triad job list`; NULL for a plain verb */
    const char *name;      /* "list" */
    const char *arguments; /* "MANIFEST"; "" for none */
    int arguments_min, arguments_max;
    const char *summary;              /* one line */
    const char *details;              /* further paragraphs for `--help`; may be "" */
    const struct cli_option *options; /* ended by a NULL name; may be NULL */
    enum cli_exit (*run)(struct cli *cli);
};

/* What a command has said so far, kept for cli_end(). */
struct cli_said {
    bool has_document;    /* cli_fail() printed one */
    struct json_t *notes; /* texts */
};

struct cli {
    struct arena arena; /* lives as long as the command */
    const struct cli_verb *verb;
    const char **arguments; /* positional, argument_count of them */
    int argument_count;
    enum cli_output output;
    bool quiet;
    const char *program;   /* argv[0], to find the sibling programs */
    struct cli_said *said; /* NULL: not kept */

    const struct cli_option **set_options; /* parsed options and their values, in pairs by index */
    const char **set_values;
    int set_count;
};

/* The table of verbs (verbs.c), ended by a NULL name, and the options every verb takes. */
extern const struct cli_verb cli_verbs[];
extern const struct cli_option cli_global_options[];
/* Does the verb print no table, so that its notes are all that it has to say? (verbs.c) */
bool cli_verb_has_only_notes(const struct cli_verb *verb);

/* Value of an option: as given, else its fallback, else NULL. Asserts that the verb declares it. */
const char *cli_value(const struct cli *cli, const char *name);
/* Was the option given? A fallback does not count. */
bool cli_is_given(const struct cli *cli, const char *name);
bool cli_flag(const struct cli *cli, const char *name);
/* Whole-number value within [min, max]; ERR_INVALID names the option. */
NODISCARD enum err_code cli_integer(const struct cli *cli, const char *name, long long min,
                                    long long max, long long *out, struct err *err);
/* A number within [min, max]. */
NODISCARD enum err_code cli_real(const struct cli *cli, const char *name, double min, double max,
                                 double *out, struct err *err);
/* A duration such as 90s, 5m, 1h30m or 250ms, in milliseconds. */
NODISCARD enum err_code cli_duration_ms(const struct cli *cli, const char *name, long long *out,
                                        struct err *err);

/* An option that only means something beside another. */
struct cli_need {
    const char *option, *with;
};
/* ERR_INVALID names the first that was given without the other: it would be passed over. */
NODISCARD enum err_code cli_check_needs(const struct cli *cli, const struct cli_need *needs,
                                        size_t count, struct err *err);

/* Parse argv against the verb table. On ERR_INVALID the text says what to do. `out->verb` is NULL
 * when only help or the version was asked for, which is then already printed. */
NODISCARD enum err_code cli_parse(int argc, char **argv, struct cli *out, struct err *err);
/* What the options of every verb say, into `cli`. */
NODISCARD enum err_code cli_settings(struct cli *cli, struct err *err);
void cli_release(struct cli *cli);

void cli_help_all(void);                         /* the overview, on stdout */
void cli_help_verb(const struct cli_verb *verb); /* one verb, on stdout */
int cli_print_completion(const char *shell);     /* bash completion from the table; 0 or -1 */
void cli_print_man(void);                        /* man page (roff) from the table, on stdout */

/* Say what went wrong: one line on stderr; with --output json also {"error": …} on stdout. Returns
 * the exit code for the error's code. */
enum cli_exit cli_fail(const struct cli *cli, const struct err *err);
/* A line for people on stderr, unless --quiet. */
void cli_note(const struct cli *cli, const char *format, ...) PRINTF(2, 3);
/* After the verb: with --output json, one that has only notes gives them as its document, unless
 * cli_fail() has given one. */
void cli_end(struct cli *cli, enum cli_exit status);
/* cli_fail() for a command line that could not be parsed. */
enum cli_exit cli_fail_usage(int argc, char **argv, const struct err *err);

/* The mode of a file, or of a folder, that is made for a person: as their umask has it. */
unsigned cli_file_mode(void);
unsigned cli_folder_mode(void);

/* The state folder: --state, else $TRIAD_STATE, else ".triad". */
const char *cli_state_dir(const struct cli *cli);
/* The folder of data that does not come with Triad, a folder per source in it: --data, else
 * $TRIAD_DATA, else triad/data below $XDG_DATA_HOME or ~/.local/share. */
const char *cli_data_dir(struct cli *cli);
/* The access file of clients: --access, else $TRIAD_ACCESS, else STATE/client.access. */
const char *cli_access_path(struct cli *cli);

#endif
