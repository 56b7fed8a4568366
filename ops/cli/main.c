/* triad: the command line. */
#include <signal.h>
#include <stdio.h>

#include "cli.h"
#include "log.h"

int main(int argc, char **argv)
{
    struct cli cli;
    struct err err;
    signal(SIGPIPE, SIG_IGN); /* `triad job list | head` ends by write error, not by a signal */
    log_set_program("triad");
    log_set_level(LOG_WARN);
    if (cli_parse(argc, argv, &cli, &err) != ERR_OK) {
        fprintf(stderr, "triad: %s\n", err.text);
        cli_release(&cli);
        return EXIT_USAGE;
    }
    enum cli_exit status = EXIT_OK;
    if (cli.verb && cli_settings(&cli, &err) != ERR_OK)
        status = cli_fail(&cli, &err);
    else if (cli.verb)
        status = cli.verb->run(&cli);
    if (fflush(stdout) != 0 && status == EXIT_OK)
        status = EXIT_INTERNAL;
    cli_release(&cli);
    return (int)status;
}
