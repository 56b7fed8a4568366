/* Command-line parsing and everything printed from the verb table: help, completion, man page. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "str.h"

#define TRIAD_VERSION_TEXT "triad 0.1.0"

/* ---- finding a verb ---- */

static bool verb_matches(const struct cli_verb *verb, const char *first, const char *second)
{
    if (verb->noun)
        return strcmp(verb->noun, first) == 0 && second && strcmp(verb->name, second) == 0;
    return strcmp(verb->name, first) == 0;
}

static bool is_noun(const char *word)
{
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        if (v->noun && strcmp(v->noun, word) == 0)
            return true;
    return false;
}

static enum err_code unknown_verb(const char *first, const char *second, struct err *err)
{
    const char *candidates[64];
    size_t count = 0;
    const bool noun = is_noun(first);
    for (const struct cli_verb *v = cli_verbs; v->name && count < ARRAY_COUNT(candidates); v++) {
        if (noun && v->noun && strcmp(v->noun, first) == 0)
            candidates[count++] = v->name;
        else if (!noun)
            candidates[count++] = v->noun ? v->noun : v->name;
    }
    if (noun && !second) {
        struct strbuf list = {0};
        for (size_t i = 0; i < count; i++)
            strbuf_printf(&list, "%s%s", i ? ", " : "", candidates[i]);
        err_set(err, ERR_INVALID, "'triad %s' wants one of: %s", first, strbuf_text(&list));
        strbuf_release(&list);
        return ERR_INVALID;
    }
    const char *word = noun ? second : first;
    const char *near = str_did_you_mean(word, candidates, count);
    if (near)
        return err_set(err, ERR_INVALID, "no command '%s%s%s'; did you mean '%s'?",
                       noun ? first : "", noun ? " " : "", word, near);
    return err_set(err, ERR_INVALID, "no command '%s%s%s'; 'triad help' lists them",
                   noun ? first : "", noun ? " " : "", word);
}

/* ---- help of one line a verb ---- */

static void verb_title(const struct cli_verb *v, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s%s%s", v->noun ? v->noun : "", v->noun ? " " : "", v->name,
             *v->arguments ? " " : "", v->arguments);
}

static void print_verb_line(const struct cli_verb *v)
{
    char title[128];
    verb_title(v, title, sizeof title);
    printf("  %-36s %s\n", title, v->summary);
}

static void help_noun(const char *noun)
{
    printf(
        "usage: triad %s COMMAND [ARGUMENTS] [OPTIONS]      --help after a command tells more\n\n",
        noun);
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        if (v->noun && strcmp(v->noun, noun) == 0)
            print_verb_line(v);
}

/* ---- options ---- */

static const struct cli_option *find_in(const struct cli_option *list, const char *name, size_t len)
{
    for (const struct cli_option *o = list; o && o->name; o++)
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static enum err_code unknown_option(const struct cli_verb *verb, const char *name, struct err *err)
{
    const char *candidates[64];
    size_t count = 0;
    for (const struct cli_option *o = verb->options; o && o->name && count < 40; o++)
        candidates[count++] = o->name;
    for (const struct cli_option *o = cli_global_options; o->name && count < 64; o++)
        candidates[count++] = o->name;
    const char *near = str_did_you_mean(name, candidates, count);
    if (near)
        return err_set(err, ERR_INVALID, "unknown option '--%s'; did you mean '--%s'?", name, near);
    return err_set(err, ERR_INVALID, "unknown option '--%s'; 'triad %s%s%s --help' lists them",
                   name, verb->noun ? verb->noun : "", verb->noun ? " " : "", verb->name);
}

/* Take the option at argv[*index]; advances past its value. */
static enum err_code take_option(struct cli *cli, int argc, char **argv, int *index,
                                 struct err *err)
{
    const char *name = argv[*index] + 2;
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    const struct cli_option *option = find_in(cli->verb->options, name, len);
    if (!option)
        option = find_in(cli_global_options, name, len);
    if (!option)
        return unknown_option(cli->verb, arena_strndup(&cli->arena, name, len), err);
    if (!option->value && value)
        return err_set(err, ERR_INVALID, "option '--%s' takes no value", option->name);
    if (option->value && !value) {
        if (*index + 1 >= argc)
            return err_set(err, ERR_INVALID, "option '--%s' wants a value: --%s %s", option->name,
                           option->name, option->value);
        value = argv[++*index];
    }
    cli->set_options[cli->set_count] = option;
    cli->set_values[cli->set_count] = value ? value : "yes";
    cli->set_count++;
    return ERR_OK;
}

enum err_code cli_settings(struct cli *cli, struct err *err)
{
    static const char *const names[] = {"table", "json", "csv"};
    const char *wanted = cli_value(cli, "output");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(names[i], wanted) == 0) {
            cli->output = (enum cli_output)i;
            cli->quiet = cli_flag(cli, "quiet");
            return ERR_OK;
        }
    return err_set(err, ERR_INVALID, "--output is one of table, json, csv, not '%s'", wanted);
}

static enum err_code check_argument_count(const struct cli *cli, struct err *err)
{
    const struct cli_verb *verb = cli->verb;
    if (cli->argument_count >= verb->arguments_min && cli->argument_count <= verb->arguments_max)
        return ERR_OK;
    char usage[160];
    snprintf(usage, sizeof usage, "usage: triad %s%s%s%s%s%s", verb->noun ? verb->noun : "",
             verb->noun ? " " : "", verb->name, *verb->arguments ? " " : "", verb->arguments,
             verb->options ? " [OPTIONS]" : "");
    if (cli->argument_count > verb->arguments_max)
        return err_set(err, ERR_INVALID, "'%s' is one word too many; %s",
                       cli->arguments[verb->arguments_max], usage);
    return err_set(err, ERR_INVALID, "something is missing; %s", usage);
}

enum err_code cli_parse(int argc, char **argv, struct cli *out, struct err *err)
{
    *out = (struct cli){.program = argv[0]};
    const char *first = argc > 1 ? argv[1] : "help";
    const char *second = argc > 2 ? argv[2] : NULL;
    if (strcmp(first, "--version") == 0) {
        puts(TRIAD_VERSION_TEXT);
        return ERR_OK;
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 ||
        (strcmp(first, "help") == 0 && !second)) {
        cli_help_all();
        return ERR_OK;
    }
    const bool help = strcmp(first, "help") == 0;
    if (help) {
        first = second;
        second = argc > 3 ? argv[3] : NULL;
    }
    for (const struct cli_verb *v = cli_verbs; v->name && !out->verb; v++)
        if (verb_matches(v, first, second))
            out->verb = v;
    if (!out->verb && is_noun(first) &&
        (second ? strcmp(second, "--help") == 0 || strcmp(second, "-h") == 0 : help)) {
        help_noun(first);
        return ERR_OK;
    }
    if (!out->verb)
        return unknown_verb(first, second && second[0] != '-' ? second : NULL, err);
    if (help) {
        cli_help_verb(out->verb);
        out->verb = NULL;
        return ERR_OK;
    }
    out->arguments = arena_array(&out->arena, (size_t)argc, sizeof *out->arguments);
    out->set_options = arena_array(&out->arena, (size_t)argc, sizeof(struct cli_option *));
    out->set_values = arena_array(&out->arena, (size_t)argc, sizeof *out->set_values);
    bool only_arguments = false;
    for (int i = out->verb->noun ? 3 : 2; i < argc; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments &&
                   (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            cli_help_verb(out->verb);
            out->verb = NULL;
            return ERR_OK;
        } else if (!only_arguments && strncmp(argv[i], "--", 2) == 0) {
            enum err_code rc = take_option(out, argc, argv, &i, err);
            if (rc != ERR_OK)
                return rc;
        } else {
            out->arguments[out->argument_count++] = argv[i];
        }
    }
    return check_argument_count(out, err);
}

void cli_release(struct cli *cli)
{
    arena_release(&cli->arena);
}

/* ---- printed from the table ---- */

void cli_help_all(void)
{
    puts("triad: compare pretrained, instruction-tuned and spectrum-tuned language models\n"
         "\n"
         "usage: triad COMMAND [ARGUMENTS] [OPTIONS]      triad COMMAND --help tells more\n");
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        print_verb_line(v);
    puts("\noptions of every command");
    for (const struct cli_option *o = cli_global_options; o->name; o++) {
        char title[64];
        snprintf(title, sizeof title, "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        printf("  %-36s %s\n", title, o->help);
    }
    puts("\nexit codes\n"
         "  0 done   1 internal error   2 unknown command or option   3 a value or input is wrong\n"
         "  4 not found   5 no coordinator answers   6 ended with jobs that did not succeed\n"
         "  7 timeout   8 key refused   9 conflict   130 interrupted\n"
         "\n"
         "start here: triad run experiments/manifests/quickstart.yaml");
}

void cli_help_verb(const struct cli_verb *verb)
{
    char title[128];
    verb_title(verb, title, sizeof title);
    printf("usage: triad %s%s\n\n%s\n", title, verb->options ? " [OPTIONS]" : "", verb->summary);
    if (*verb->details)
        printf("\n%s\n", verb->details);
    for (int global = 0; global < 2; global++) {
        const struct cli_option *list = global ? cli_global_options : verb->options;
        if (!list || !list->name)
            continue;
        puts(global ? "\noptions of every command" : "\noptions");
        for (const struct cli_option *o = list; o->name; o++) {
            snprintf(title, sizeof title, "--%s%s%s", o->name, o->value ? " " : "",
                     o->value ? o->value : "");
            printf("  %-24s %s", title, o->help);
            if (o->fallback && *o->fallback)
                printf(" (default %s)", o->fallback);
            putchar('\n');
        }
    }
}

int cli_print_completion(const char *shell)
{
    if (strcmp(shell, "bash") != 0)
        return -1;
    puts("# bash completion for triad; made by 'triad completion bash'\n"
         "_triad() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} key=\"${COMP_WORDS[1]}\" words=\"\"\n"
         "    if [ \"$COMP_CWORD\" = 1 ]; then words=\"help\"");
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        if (v == cli_verbs || !v->noun || !v[-1].noun || strcmp(v->noun, v[-1].noun) != 0)
            printf("        words+=\" %s\"\n", v->noun ? v->noun : v->name);
    puts("    else\n        case \"$key ${COMP_WORDS[2]}\" in");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        if (v->noun)
            printf("        \"%s %s\"*) words=\"", v->noun, v->name);
        else
            printf("        \"%s \"*) words=\"", v->name);
        for (const struct cli_option *o = v->options; o && o->name; o++)
            printf("--%s ", o->name);
        for (const struct cli_option *o = cli_global_options; o->name; o++)
            printf("--%s ", o->name);
        puts("\" ;;");
    }
    puts("        esac\n"
         "        if [ \"$COMP_CWORD\" = 2 ]; then case \"$key\" in");
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        if (v->noun)
            printf("        %s) words+=\" %s\" ;;&\n", v->noun, v->name);
    puts("        *) ;; esac; fi\n"
         "    fi\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\"\n"
         "        case \"$cur\" in -*) ;; *) compgen -f -- \"$cur\" ;; esac)\n"
         "}\n"
         "complete -o filenames -F _triad triad");
    return 0;
}

void cli_print_man(void)
{
    puts(".TH TRIAD 1\n.SH NAME\ntriad \\- compare pretrained, instruction-tuned and "
         "spectrum-tuned language models\n.SH SYNOPSIS\n.B triad\nCOMMAND [ARGUMENTS] [OPTIONS]\n"
         ".SH COMMANDS");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        char title[128];
        verb_title(v, title, sizeof title);
        printf(".TP\n.B %s\n%s\n", title, v->summary);
        if (*v->details)
            printf(".br\n%s\n", v->details);
        for (const struct cli_option *o = v->options; o && o->name; o++)
            printf(".RS\n.TP\n.B \\-\\-%s %s\n%s\n.RE\n", o->name, o->value ? o->value : "",
                   o->help);
    }
    puts(".SH OPTIONS OF EVERY COMMAND");
    for (const struct cli_option *o = cli_global_options; o->name; o++)
        printf(".TP\n.B \\-\\-%s %s\n%s\n", o->name, o->value ? o->value : "", o->help);
}
