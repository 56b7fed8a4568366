/* triad: the command line. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "file.h"
#include "log.h"

/* What was printed has to have arrived. A pipe whose reader has seen enough needs no word. */
static bool all_written(void)
{
    struct stat out;
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (fstat(STDOUT_FILENO, &out) != 0 || !S_ISFIFO(out.st_mode))
        fprintf(stderr, "triad: not all output could be written%s%s\n", errno ? ": " : "",
                errno ? strerror(errno) : "");
    return false;
}

int main(int argc, char **argv)
{
    struct cli_said said = {0};
    struct cli cli;
    struct err err;
    file_hold_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* `triad job list | head` ends by write error, not by a signal */
    log_set_program("triad");
    log_set_level(LOG_WARN);
    if (cli_parse(argc, argv, &cli, &err) != ERR_OK) {
        cli_release(&cli);
        return (int)cli_fail_usage(argc, argv, &err);
    }
    enum cli_exit status = EXIT_OK;
    cli.said = &said;
    if (cli.verb && cli_settings(&cli, &err) != ERR_OK)
        status = cli_fail(&cli, &err);
    else if (cli.verb)
        status = cli.verb->run(&cli);
    if (cli.verb)
        cli_end(&cli, status);
    if (!all_written() && status == EXIT_OK)
        status = EXIT_INTERNAL;
    cli_release(&cli);
    return (int)status;
}
