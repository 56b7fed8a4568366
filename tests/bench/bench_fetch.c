/* N workers fetch one checkpoint: through the coordinator, from each other, from a folder that all
 * see. The same real coordinator process, real sockets with CURVE, one process and one cache for
 * each fetcher; every byte is verified against the digest. Prints, for each way, the time until the
 * last one has it, what the coordinator sent, and the processor time that it took of the
 * coordinator, whose loop also hands out jobs.
 *
 * usage: bench_fetch COORDINATOR-PROGRAM [WORKERS (8)] [MIB (500)] */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "blob_cache.h"
#include "blob_client.h"
#include "blob_serve.h"
#include "check.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "net.h"
#include "rng.h"

enum way { WAY_COORDINATOR, WAY_PEERS, WAY_STORE, WAY_COUNT };
static const char *const way_names[] = {"through the coordinator", "from each other",
                                        "a folder in sight (links)"};

/* Shared by the processes of a run. */
struct shared {
    _Atomic int ready, done;
    _Atomic bool go, stop;
    _Atomic uint64_t coordinator_bytes, peer_bytes, shared_bytes;
};

struct fetcher {
    uv_loop_t loop;
    uv_timer_t tick;
    struct shared *shared;
    struct net *net;
    struct blob_client *client;
    struct blob_serve *serve;
    struct digest digest;
    const char *path; /* of the blob in its cache */
    bool is_put, has_begun, is_over;
};

static char folder[64];

static void die(const struct err *err)
{
    fprintf(stderr, "bench_fetch: %s\n", err->text);
    exit(1);
}

static void on_done(void *ctx, enum err_code code, const struct err *err)
{
    struct fetcher *f = ctx;
    if (code != ERR_OK)
        die(err);
    const struct blob_traffic t = blob_client_traffic(f->client);
    f->shared->coordinator_bytes += t.coordinator_bytes;
    f->shared->peer_bytes += t.peer_bytes;
    f->shared->shared_bytes += t.shared_bytes;
    f->is_over = true;
    f->shared->done++;
}

/* Begins when all are ready; goes on serving until all are done. */
static void on_tick(uv_timer_t *timer)
{
    struct fetcher *f = timer->data;
    if (!f->has_begun && (f->is_put || f->shared->go)) {
        f->has_begun = true;
        if (f->is_put)
            blob_client_put_file(f->client, &f->digest, f->path, on_done, f);
        else
            blob_client_get(f->client, &f->digest, on_done, f);
    }
    if (f->is_over && (f->shared->stop || (f->is_put && !f->serve)))
        uv_stop(&f->loop);
}

/* One process: a cache of its own, the coordinator's worker key. */
static void fetch(struct shared *shared, const char *cache, const struct digest *digest,
                  enum way way, bool is_put)
{
    char path[256];
    struct net_access access;
    struct err err;
    struct arena arena = {0};
    struct fetcher f = {.shared = shared,
                        .digest = *digest,
                        .path = blob_cache_path(cache, digest, &arena),
                        .is_put = is_put};
    snprintf(path, sizeof path, "%s/state/worker.access", folder);
    if (net_access_load(path, &access, &err) != ERR_OK)
        die(&err);
    uv_loop_init(&f.loop);
    if (net_new(&f.loop, &f.net, &err) != ERR_OK)
        die(&err);
    const struct blob_serve_options serve = {
        .net = f.net, .loop = &f.loop, .cache = cache, .listen = "127.0.0.1"};
    if (way == WAY_PEERS && blob_serve_new(&serve, &f.serve, &err) != ERR_OK)
        die(&err);
    const struct blob_client_options options = {.net = f.net,
                                                .loop = &f.loop,
                                                .endpoint = access.data_endpoint,
                                                .server = &access.server,
                                                .own = &access.own,
                                                .cache = cache,
                                                .worker = cache,
                                                .serve = f.serve,
                                                .store_folder = way == WAY_STORE ? NULL : "/none"};
    if (blob_client_new(&options, &f.client, &err) != ERR_OK)
        die(&err);
    uv_timer_init(&f.loop, &f.tick);
    f.tick.data = &f;
    uv_timer_start(&f.tick, on_tick, 0, 2);
    shared->ready++;
    uv_run(&f.loop, UV_RUN_DEFAULT);
    _exit(0);
}

static pid_t spawn_fetcher(struct shared *shared, const char *name, const struct digest *digest,
                           enum way way, bool is_put)
{
    char cache[256];
    snprintf(cache, sizeof cache, "%s/%s", folder, name);
    pid_t pid = fork();
    if (pid == 0)
        fetch(shared, cache, digest, way, is_put);
    return pid;
}

static pid_t start_coordinator(const char *program)
{
    char state[128], access[160];
    snprintf(state, sizeof state, "%s/state", folder);
    snprintf(access, sizeof access, "%s/worker.access", state);
    pid_t pid = fork();
    if (pid == 0) {
        execl(program, program, "--state", state, "--init-keys", "--log-level", "error",
              (char *)NULL);
        _exit(127);
    }
    while (!file_exists(access))
        usleep(10000);
    return pid;
}

/* User and system time of a process so far. */
static double cpu_s(pid_t pid)
{
    char path[64];
    char *text = NULL;
    size_t len;
    unsigned long user = 0, system = 0;
    struct err err;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (file_read(path, 0, &text, &len, &err) != ERR_OK)
        die(&err);
    if (sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        user = system = 0;
    free(text);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void wait_count(_Atomic int *count, int wanted)
{
    while (*count < wanted)
        usleep(1000);
}

static void run(enum way way, pid_t coordinator, int workers, const struct digest *digest,
                double mib)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(shared != MAP_FAILED);
    pid_t pids[65];
    char name[32];
    /* Who made it holds it; with peers it serves it. */
    pids[0] = spawn_fetcher(shared, "maker", digest, way, true);
    wait_count(&shared->done, 1);
    usleep(300000); /* its announcement has arrived */
    for (int i = 1; i <= workers; i++) {
        snprintf(name, sizeof name, "way%d-%d", way, i);
        pids[i] = spawn_fetcher(shared, name, digest, way, false);
    }
    wait_count(&shared->ready, workers + 1);
    usleep(1500000); /* all are connected */
    const double cpu_before = cpu_s(coordinator);
    const int64_t begin_ms = clock_mono_ms();
    shared->go = true;
    wait_count(&shared->done, workers + 1);
    const double seconds = (double)(clock_mono_ms() - begin_ms) / 1000;
    printf("%-28s %7.2f s  coordinator %8.1f MiB  %6.2f s of processor  workers %8.1f MiB  "
           "folder %8.1f MiB\n",
           way_names[way], seconds, (double)shared->coordinator_bytes / 1048576,
           cpu_s(coordinator) - cpu_before, (double)shared->peer_bytes / 1048576,
           (double)shared->shared_bytes / 1048576);
    fflush(stdout);
    const uint64_t all = shared->coordinator_bytes + shared->peer_bytes + shared->shared_bytes;
    ASSERT((double)all >= mib * 1048576 * workers);
    shared->stop = true;
    for (int i = 0; i <= workers; i++)
        waitpid(pids[i], NULL, 0);
    for (int i = 1; i <= workers; i++) {
        struct err err;
        char path[160];
        snprintf(path, sizeof path, "%s/way%d-%d", folder, way, i);
        if (file_remove_tree(path, &err) != ERR_OK)
            die(&err);
    }
    munmap(shared, sizeof *shared);
}

/* Random bytes in the maker's cache. */
static struct digest make_blob(double mib)
{
    char path[128], cache[128];
    struct err err;
    struct digest digest;
    struct arena arena = {0};
    struct rng rng = rng_new(1, "bench");
    static uint64_t piece[1 << 17];
    snprintf(path, sizeof path, "%s/blob", folder);
    snprintf(cache, sizeof cache, "%s/maker", folder);
    FILE *file = fopen(path, "wbe");
    ASSERT(file != NULL);
    for (int i = 0; i < (int)mib; i++) {
        for (size_t k = 0; k < sizeof piece / sizeof *piece; k++)
            piece[k] = (uint64_t)rng_u32(&rng) << 32 | k;
        fwrite(piece, 1, sizeof piece, file);
    }
    fclose(file);
    if (hash_file(path, &digest, &err) != ERR_OK || file_mkdirs(cache, 0700, &err) != ERR_OK)
        die(&err);
    ASSERT(rename(path, blob_cache_path(cache, &digest, &arena)) == 0);
    arena_release(&arena);
    return digest;
}

int main(int argc, char **argv)
{
    const int workers = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 8;
    const double mib = argc > 3 ? strtod(argv[3], NULL) : 500;
    struct err err;
    if (argc < 2 || workers < 1 || workers > 64 || mib < 2) {
        fprintf(stderr, "usage: bench_fetch COORDINATOR-PROGRAM [WORKERS (8)] [MIB (500)]\n");
        return 2;
    }
    log_set_level(LOG_ERROR);
    snprintf(folder, sizeof folder, "/tmp/triad-bench-fetch-XXXXXX");
    ASSERT(mkdtemp(folder) != NULL);
    const struct digest digest = make_blob(mib);
    pid_t coordinator = start_coordinator(argv[1]);
    printf("%d workers fetch a blob of %.0f MiB\n", workers, mib);
    fflush(stdout);
    for (enum way way = WAY_COORDINATOR; way < WAY_COUNT; way++)
        run(way, coordinator, workers, &digest, mib);
    kill(coordinator, SIGTERM);
    waitpid(coordinator, NULL, 0);
    return file_remove_tree(folder, &err) == ERR_OK ? 0 : 1;
}
