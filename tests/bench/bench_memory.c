/* Peak memory of scoring a checkpoint: what a command takes, or (without one) the scoring of TOKENS
 * random tokens at every position in this process, against the file's size × 1.15 + 512 MiB.
 *
 * usage: bench_memory FOLDER [TOKENS [THREADS]]
 *        bench_memory FOLDER -- COMMAND… */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "checkpoint.h"
#include "clock.h"
#include "kernels.h"
#include "model.h"
#include "rng.h"
#include "score_tokens.h"

#define MIB (1024.0 * 1024.0)

static void must(enum err_code rc, const struct err *err)
{
    if (rc == ERR_OK)
        return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static double file_mib(const char *folder)
{
    struct err err;
    struct checkpoint *checkpoint = NULL;
    must(checkpoint_open(folder, &checkpoint, &err), &err);
    const double bytes = (double)checkpoint_bytes(checkpoint);
    checkpoint_close(checkpoint);
    return bytes / MIB;
}

static void score(const char *folder, size_t tokens, int threads)
{
    struct err err;
    struct model *model = NULL;
    kernel_threads_set(threads);
    const int64_t began = clock_mono_ms();
    must(model_open(folder, &model, &err), &err);
    const int64_t opened = clock_mono_ms();
    int32_t *ids = calloc(tokens, sizeof *ids);
    double *logprob = calloc(tokens, sizeof *logprob);
    ASSERT(ids != NULL && logprob != NULL);
    struct rng rng = rng_new(1, "tokens");
    for (size_t i = 0; i < tokens; i++)
        ids[i] = (int32_t)rng_below(&rng, (uint64_t)model_shape(model)->vocabulary);
    must(score_tokens(model, ids, tokens, logprob, NULL, &err), &err);
    double total = 0;
    for (size_t i = 0; i + 1 < tokens; i++)
        total -= logprob[i];
    printf("opened and looked through in %.2f s; %zu tokens scored in %.2f s on %d threads (%s), "
           "%.4f nats a token\n",
           (double)(opened - began) / 1e3, tokens, (double)(clock_mono_ms() - opened) / 1e3,
           threads, kernel_class(), total / (double)(tokens - 1));
    free(logprob);
    free(ids);
    model_free(model);
}

static void run(char **command)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "the command failed\n");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct rusage usage;
    if (argc < 2) {
        fprintf(stderr, "usage: bench_memory FOLDER [TOKENS [THREADS]] | FOLDER -- COMMAND...\n");
        return 2;
    }
    const double file = file_mib(argv[1]);
    const bool has_command = argc > 3 && strcmp(argv[2], "--") == 0;
    if (has_command)
        run(argv + 3);
    else
        score(argv[1], argc > 2 ? (size_t)atoi(argv[2]) : 1000, argc > 3 ? atoi(argv[3]) : 2);
    getrusage(has_command ? RUSAGE_CHILDREN : RUSAGE_SELF, &usage);
    const double peak = (double)usage.ru_maxrss / 1024, bound = 1.15 * file + 512;
    printf("weights %.0f MiB, peak %.0f MiB; bound 1.15 x weights + 512 = %.0f MiB: %.2f of it\n",
           file, peak, bound, peak / bound);
    return peak > bound;
}
