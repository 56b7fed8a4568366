/* triad-worker: offers this machine's cores to a coordinator. `triad-worker exec` is the child
 * process in which each attempt runs; the worker starts it by itself. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "clock.h"
#include "exec_kinds.h"
#include "exec_main.h"
#include "file.h"
#include "labels.h"
#include "log.h"
#include "process_info.h"
#include "rank_launch.h"
#include "rank_mpi.h"
#include "str.h"
#include "worker_driver.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

#define GIB ((uint64_t)1 << 30)

static const char usage[] =
    "usage: triad-worker --access FILE --dir DIR [options]\n"
    "\n"
    "Offers this machine's cores to a coordinator and runs the jobs it gives.\n"
    "\n"
    "  --access FILE     where the coordinator is, and our key (made by 'triad keys init')\n"
    "  --dir DIR         this worker's own folder: what is not delivered yet, and a cache.\n"
    "                    One process at a time; keep it over restarts\n"
    "  --threads N       cores to use at once (default: all)\n"
    "  --memory SIZE     memory to offer, as 6GiB or 800MiB (default: 3/4 of the machine's)\n"
    "  --name NAME       name to show (default: the host's name and the folder's)\n"
    "  --cache SIZE      keep at most so much in the cache (default: 20GiB)\n"
    "  --spool SIZE      hold at most so much undelivered (default: 1GiB); children wait then\n"
    "  --grace SECONDS   after SIGTERM: time for a checkpoint and its delivery (default: 60)\n"
    "  --drain-when-idle SECONDS   leave after having had no job for so long\n"
    "  --time-limit SECONDS   how long this process may live (its Slurm allocation, say): jobs "
    "that\n"
    "                    would take longer go elsewhere, and it stops with checkpoints GRACE\n"
    "                    before the end. Default: what SLURM_JOB_END_TIME leaves, else no limit\n"
    "  --data-listen HOST[:PORT]   let other workers of the coordinator read checkpoints from our\n"
    "                    cache there, so that not all of them load the coordinator. Default: this\n"
    "                    worker only dials out\n"
    "  --advertise HOST[:PORT]   how others reach that (default: as bound, or this machine's "
    "name)\n"
    "  --shared-store DIR   where this machine sees the coordinator's folder of blobs, when that "
    "is\n"
    "                    under another path than there\n"
    "  --label WORDS     what jobs may ask for, such as 'big,site=north'; may be repeated\n"
    "  --log-level L     error, warn, info (default) or debug\n"
    "  --help, --version\n"
    "\n"
    "SIGTERM or SIGINT: stop with a checkpoint, give the jobs back, leave; a second one stops at\n"
    "once. Nothing that was finished is lost either way: it is delivered after the next start.\n"
    "Exit status: 0 left in order, 1 failed or refused by the coordinator, 2 wrong usage.\n";

struct settings {
    const char *access_path, *folder, *name, *data_listen, *advertise, *shared_store;
    char default_name[NAME_BYTES_MAX], host[NAME_BYTES_MAX], program[4096];
    long long threads, idle_end_s, grace_s, time_limit_s;
    struct strbuf labels;
    uint64_t memory_bytes, cache_bytes, spool_bytes;
};

/* "6GiB", "800MiB", "512KiB" or plain bytes. */
static bool size_parse(const char *text, uint64_t *out)
{
    static const struct {
        const char *suffix;
        int shift;
    } units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"", 0}};
    char number[32];
    size_t len = strlen(text);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t suffix_len = strlen(units[i].suffix);
        double value;
        if (len <= suffix_len || len - suffix_len >= sizeof number ||
            strcmp(text + len - suffix_len, units[i].suffix) != 0)
            continue;
        memcpy(number, text, len - suffix_len);
        number[len - suffix_len] = '\0';
        if (!str_to_double(number, &value))
            return false;
        value *= (double)((uint64_t)1 << units[i].shift);
        if (!(value >= 1 && value <= 1e18)) /* an exbibyte; more would not fit the number */
            return false;
        *out = (uint64_t)value;
        return true;
    }
    return false;
}

static bool count_parse(const char *text, long long min, long long max, long long *out)
{
    long long value;
    if (!str_to_i64(text, &value) || value < min || value > max)
        return false;
    *out = value;
    return true;
}

static bool level_parse(const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            log_set_level((enum log_level)i);
            return true;
        }
    }
    return false;
}

enum option_id {
    OPT_ACCESS = 'a',
    OPT_DIR = 'd',
    OPT_THREADS = 't',
    OPT_MEMORY = 'm',
    OPT_NAME = 'n',
    OPT_CACHE = 'c',
    OPT_SPOOL = 's',
    OPT_GRACE = 'g',
    OPT_IDLE = 'i',
    OPT_TIME = 'e',
    OPT_LABEL = 'b',
    OPT_DATA = 'p',
    OPT_ADVERTISE = 'A',
    OPT_STORE = 'S',
    OPT_LOG = 'l',
    OPT_HELP = 'h',
    OPT_VERSION = 'v',
};

static const struct option options[] = {
    {"access", required_argument, NULL, OPT_ACCESS},
    {"dir", required_argument, NULL, OPT_DIR},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"name", required_argument, NULL, OPT_NAME},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"spool", required_argument, NULL, OPT_SPOOL},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"drain-when-idle", required_argument, NULL, OPT_IDLE},
    {"time-limit", required_argument, NULL, OPT_TIME},
    {"label", required_argument, NULL, OPT_LABEL},
    {"data-listen", required_argument, NULL, OPT_DATA},
    {"advertise", required_argument, NULL, OPT_ADVERTISE},
    {"shared-store", required_argument, NULL, OPT_STORE},
    {"log-level", required_argument, NULL, OPT_LOG},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

/* Take one option; false when its value is wrong. */
static bool option_take(struct settings *s, int id, const char *value)
{
    switch (id) {
    case OPT_ACCESS:
        s->access_path = value;
        return true;
    case OPT_DIR:
        s->folder = value;
        return true;
    case OPT_THREADS:
        return count_parse(value, 1, 4096, &s->threads);
    case OPT_MEMORY:
        return size_parse(value, &s->memory_bytes);
    case OPT_NAME:
        s->name = value;
        return strlen(value) < NAME_BYTES_MAX && file_name_is_safe(value);
    case OPT_CACHE:
        return size_parse(value, &s->cache_bytes);
    case OPT_SPOOL:
        return size_parse(value, &s->spool_bytes);
    case OPT_GRACE:
        return count_parse(value, 1, 86400, &s->grace_s);
    case OPT_IDLE:
        return count_parse(value, 1, 10000000, &s->idle_end_s);
    case OPT_TIME:
        return count_parse(value, 1, 1000000000, &s->time_limit_s);
    case OPT_LABEL:
        strbuf_printf(&s->labels, " %s", value);
        return true;
    case OPT_DATA:
        s->data_listen = value;
        return true;
    case OPT_ADVERTISE:
        s->advertise = value;
        return true;
    case OPT_STORE:
        s->shared_store = value;
        return true;
    case OPT_LOG:
        return level_parse(value);
    default:
        return false;
    }
}

/* Exit status, or -1 to go on. */
static int settings_parse(struct settings *s, int argc, char **argv)
{
    int id, index = 0;
    while ((id = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (id == OPT_HELP) {
            fputs(usage, stdout);
            return 0;
        }
        if (id == OPT_VERSION) {
            printf("triad-worker %s, numerics %s\n", TRIAD_VERSION, exec_numeric_class());
            return 0;
        }
        if (id == '?')
            return EXIT_USAGE; /* getopt has said what */
        if (!option_take(s, id, optarg)) {
            fprintf(stderr,
                    "triad-worker: --%s: '%s' is not a possible value ('--help' says what is)\n",
                    options[index].name, optarg);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "triad-worker: what is '%s'? (see --help)\n", argv[optind]);
        return EXIT_USAGE;
    }
    if (!s->access_path || !s->folder) {
        fprintf(stderr, "triad-worker: --access and --dir are needed (see --help)\n");
        return EXIT_USAGE;
    }
    return -1;
}

/* What identifies the machine to the coordinator: workers with the same host share its cores. The
 * running kernel's id is the same in all containers of a machine and differs between machines, even
 * where these are copies of one image. */
static void host_find(char out[NAME_BYTES_MAX])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    out[0] = '\0';
    if (file) {
        if (fgets(out, NAME_BYTES_MAX, file))
            out[strcspn(out, "\n")] = '\0';
        fclose(file);
    }
    if (!out[0] && gethostname(out, NAME_BYTES_MAX - 1) != 0)
        snprintf(out, NAME_BYTES_MAX, "localhost");
    out[NAME_BYTES_MAX - 1] = '\0';
}

static void name_default(const char *folder, char out[NAME_BYTES_MAX])
{
    char host[128] = "worker";
    if (gethostname(host, sizeof host - 1) != 0)
        snprintf(host, sizeof host, "worker");
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/')
        len--;
    size_t begin = len;
    while (begin > 0 && folder[begin - 1] != '/')
        begin--;
    snprintf(out, NAME_BYTES_MAX, "%s-%.*s", host, (int)(len - begin < 100 ? len - begin : 100),
             folder + begin);
}

/* What is left of a Slurm allocation, unless the command line says otherwise; 0: no limit. */
static long long time_limit_s(const struct settings *s)
{
    const char *end = getenv("SLURM_JOB_END_TIME");
    long long end_s;
    if (s->time_limit_s || !end || !str_to_i64(end, &end_s))
        return s->time_limit_s;
    const long long left_s = end_s - clock_time_ms() / 1000;
    return left_s > 1 ? left_s : 1;
}

/* What this worker offers to trainings of several ranks: nothing without MPI. */
static struct rank_launch ranks_offered(uint32_t threads, struct err *err)
{
    struct rank_launch found = rank_launch_find(threads);
    enum err_code code = ERR_OK;
    if (found.obstacle)
        code = err_set(err, ERR_UNAVAILABLE, "%s", found.obstacle);
    if (!code)
        code = rank_mpi_probe(err);
    if (code)
        found = (struct rank_launch){.ranks = 1, .obstacle = "MPI cannot be used"};
    return found;
}

/* `triad-worker ranks`: what a worker started here with all cores would offer, for people. */
static int ranks_show(void)
{
    struct err err;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const struct rank_launch found = ranks_offered((uint32_t)(cores > 0 ? cores : 1), &err);
    if (found.launcher == RANK_LAUNCH_NONE) {
        printf("no ranks: %s\n", err.text);
        return EXIT_FAILED;
    }
    struct rank_mpi mpi;
    if (rank_mpi_load(&mpi, &err)) {
        printf("no ranks: %s\n", err.text);
        return EXIT_FAILED;
    }
    char name[RANK_MPI_NAME_SIZE];
    printf("%u ranks by %s, %s\n", found.ranks,
           found.launcher == RANK_LAUNCH_SRUN ? "srun" : "mpiexec", rank_mpi_name(&mpi, name));
    return 0;
}

static enum err_code check(struct settings *s, struct net_access *access, struct strbuf *labels,
                           struct err *err)
{
    enum err_code code = net_access_load(s->access_path, access, err);
    if (code)
        return code;
    if (strcmp(access->role, "worker") != 0)
        return err_set(err, ERR_INVALID, "'%s' is for a %s, not for a worker", s->access_path,
                       access->role);
    if (readlink("/proc/self/exe", s->program, sizeof s->program - 1) <= 0)
        return err_set(err, ERR_IO, "cannot find out which program this is from /proc/self/exe");
    code = labels_parse(strbuf_text(&s->labels), labels, err);
    if (!code && s->advertise && !s->data_listen)
        code = err_set(err, ERR_INVALID, "--advertise is for --data-listen");
    return code;
}

/* The settings, with what the machine says where they say nothing. Borrows them. */
static struct worker_options options_of(struct settings *s)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const uint32_t host_cores = (uint32_t)(cores > 0 ? cores : 1);
    const uint32_t threads = s->threads ? (uint32_t)s->threads : host_cores;
    struct err why_none;
    const struct rank_launch ranks = ranks_offered(threads, &why_none);
    if (ranks.launcher == RANK_LAUNCH_NONE)
        log_event(LOG_DEBUG, "no_ranks", "text=\"%s\"", why_none.text);
    host_find(s->host);
    name_default(s->folder, s->default_name);
    return (struct worker_options){
        .folder = s->folder,
        .name = s->name ? s->name : s->default_name,
        .host = s->host,
        .numeric_class = exec_numeric_class(),
        .version = TRIAD_VERSION,
        .host_cores = host_cores,
        .threads = threads,
        .ranks = ranks.ranks,
        .rank_threads = ranks.threads,
        .memory_bytes = s->memory_bytes ? s->memory_bytes : process_info_memory_total() / 4 * 3,
        .spool_bytes_max = s->spool_bytes,
        .cache_bytes_max = s->cache_bytes,
        .program = s->program,
        .grace_ms = s->grace_s * 1000,
        .idle_end_ms = s->idle_end_s * 1000,
        .time_limit_ms = time_limit_s(s) * 1000,
        .data_listen = s->data_listen,
        .data_advertise = s->advertise,
    };
}

static int run(struct settings *s)
{
    struct net_access access;
    struct err err;
    struct strbuf labels = {0};
    char node[128] = "", store_folder[4096];
    enum err_code code = check(s, &access, &labels, &err);
    if (!code) {
        struct worker_options worker = options_of(s);
        (void)gethostname(node, sizeof node - 1);
        snprintf(store_folder, sizeof store_folder, "%s/blobs",
                 s->shared_store ? s->shared_store : "");
        worker.access = &access;
        worker.node = node;
        worker.labels = strbuf_text(&labels);
        worker.store_folder = s->shared_store ? store_folder : NULL;
        code = worker_run(&worker, &err);
    }
    if (code)
        fprintf(stderr, "triad-worker: %s\n", err.text);
    strbuf_release(&labels);
    strbuf_release(&s->labels);
    return code ? EXIT_FAILED : 0;
}

int main(int argc, char **argv)
{
    file_hold_standard_streams();
    if (argc > 1 && strcmp(argv[1], "exec") == 0)
        return exec_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "rank") == 0)
        return exec_rank_main(argc - 1, argv + 1);
    if (argc == 2 && strcmp(argv[1], "ranks") == 0)
        return ranks_show();
    struct settings settings = {.grace_s = 60, .cache_bytes = 20 * GIB, .spool_bytes = GIB};
    log_set_program("worker");
    int status = settings_parse(&settings, argc, argv);
    return status >= 0 ? status : run(&settings);
}
