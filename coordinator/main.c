/* triad-coordinator: decides and remembers. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "file.h"
#include "log.h"
#include "net_keys.h"
#include "server.h"
#include "str.h"

#ifndef TRIAD_VERSION
#define TRIAD_VERSION "0.1.0"
#endif

static const char help[] =
    "usage: triad-coordinator --state DIR [options]\n"
    "\n"
    "The daemon that plans' jobs are submitted to and workers ask for work. All it knows is in "
    "DIR;\n"
    "it may be killed at any moment and started again. It writes DIR/client.access and\n"
    "DIR/worker.access, which tell clients and workers how to reach it.\n"
    "\n"
    "  --state DIR        folder of the state; made if missing\n"
    "  --keys DIR         folder of the keys (default: STATE/keys)\n"
    "  --init-keys        make the keys if there are none\n"
    "  --listen ADDRESS   address to bind (default 127.0.0.1; 0.0.0.0 for all)\n"
    "  --advertise HOST[:PORT]  how others reach this machine: goes into the access files\n"
    "                     (default: the bound address, or this machine's name for 0.0.0.0);\n"
    "                     PORT, PORT + 1, PORT + 2 are forwarded to workers', clients', blobs' "
    "port\n"
    "  --shared-store DIR keep blobs on a file system that workers see, too: they read and write\n"
    "                     them there instead of over the socket. Remembered in the state; the\n"
    "                     database stays in STATE, which must be a local disk\n"
    "  --worker-port N    ports (default 0: the kernel picks)\n"
    "  --client-port N\n"
    "  --data-port N\n"
    "  --heartbeat-ms N   how often workers show that they live (default 2000)\n"
    "  --lease-ms N       how long a silent worker keeps its work (default 30000)\n"
    "  --ready-fd N       write a line there when ready\n"
    "  --log-level LEVEL  error, warn, info or debug (default info)\n"
    "  --help, --version\n";

struct arguments {
    const char *state, *keys;
    bool init_keys;
    int ready_fd;
    struct server_options server;
};

/* 2 for wrong usage, 1 for failure, 0 for success. */
enum { EXIT_USAGE = 2 };

static bool number(const char *name, const char *text, long long max, long long *out)
{
    if (!str_to_i64(text, out) || *out < 0 || *out > max) {
        fprintf(stderr, "triad-coordinator: --%s wants a number from 0 to %lld, not '%s'\n", name,
                max, text);
        return false;
    }
    return true;
}

static bool log_level(const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            log_set_level((enum log_level)i);
            return true;
        }
    }
    fprintf(stderr, "triad-coordinator: --log-level is error, warn, info or debug, not '%s'\n",
            text);
    return false;
}

static const struct option long_options[] = {
    {"state", required_argument, NULL, 's'},       {"keys", required_argument, NULL, 'k'},
    {"init-keys", no_argument, NULL, 'i'},         {"listen", required_argument, NULL, 'l'},
    {"advertise", required_argument, NULL, 'a'},   {"shared-store", required_argument, NULL, 'S'},
    {"worker-port", required_argument, NULL, 'w'}, {"client-port", required_argument, NULL, 'c'},
    {"data-port", required_argument, NULL, 'd'},   {"heartbeat-ms", required_argument, NULL, 'b'},
    {"lease-ms", required_argument, NULL, 'e'},    {"ready-fd", required_argument, NULL, 'r'},
    {"log-level", required_argument, NULL, 'v'},   {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},           {NULL, 0, NULL, 0},
};

static bool take_number(struct arguments *a, int option, const char *name, const char *value)
{
    const bool is_time = option == 'b' || option == 'e';
    long long n = 0;
    if (!number(name, value, is_time ? 3600000 : 65535, &n)) {
        return false;
    }
    switch (option) {
    case 'w':
        a->server.worker_port = (uint16_t)n;
        return true;
    case 'c':
        a->server.client_port = (uint16_t)n;
        return true;
    case 'd':
        a->server.data_port = (uint16_t)n;
        return true;
    case 'b':
        a->server.core.heartbeat_ms = (uint32_t)n;
        return true;
    case 'e':
        a->server.core.lease_ms = (uint32_t)n;
        return true;
    default:
        a->ready_fd = (int)n;
        return true;
    }
}

/* One option; false after an explanation. */
static bool take_option(struct arguments *a, int option, const char *name, const char *value)
{
    switch (option) {
    case 's':
        a->state = value;
        return true;
    case 'k':
        a->keys = value;
        return true;
    case 'i':
        a->init_keys = true;
        return true;
    case 'l':
        a->server.listen = value;
        return true;
    case 'a':
        a->server.advertise = value;
        return true;
    case 'S':
        a->server.shared_store = value;
        return true;
    case 'w':
    case 'c':
    case 'd':
    case 'b':
    case 'e':
    case 'r':
        return take_number(a, option, name, value);
    case 'v':
        return log_level(value);
    default:
        fprintf(stderr, "try 'triad-coordinator --help'\n");
        return false;
    }
}

/* -1 to go on, else the exit status. */
static int parse(int argc, char **argv, struct arguments *a)
{
    int option;
    int index = 0;
    while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (option == 'V') {
            printf("triad-coordinator %s\n", TRIAD_VERSION);
            return 0;
        }
        if (!take_option(a, option, long_options[index].name, optarg)) {
            return EXIT_USAGE;
        }
    }
    if (optind < argc || a->state == NULL) {
        fprintf(stderr, "triad-coordinator: %s\ntry 'triad-coordinator --help'\n",
                a->state == NULL ? "--state DIR is needed" : "it takes options only");
        return EXIT_USAGE;
    }
    return -1;
}

/* The folder of the keys; they are made when there are none and that was asked for. */
static enum err_code find_keys(struct arguments *a, struct err *err)
{
    static char path[4096];
    struct net_server_keys keys;
    snprintf(path, sizeof path, "%s/keys", a->state);
    const char *dir = a->keys != NULL ? a->keys : path;
    a->server.keys_dir = dir;
    enum err_code code = net_server_keys_load(dir, &keys, err);
    explicit_bzero(&keys, sizeof keys);
    if (code != ERR_NOT_FOUND) {
        return code;
    }
    if (!a->init_keys) {
        return err_set(err, ERR_NOT_FOUND,
                       "there are no keys in '%s': make them with 'triad keys init'", dir);
    }
    code = file_mkdirs(dir, 0700, err);
    return code != ERR_OK ? code : net_server_keys_init(dir, err);
}

static void on_signal(uv_signal_t *handle, int number_of)
{
    log_event(LOG_INFO, "stop", "signal=%d", number_of);
    server_stop(handle->data);
}

static void watch_signal(uv_loop_t *loop, uv_signal_t *handle, int which, struct server *server)
{
    uv_signal_init(loop, handle);
    handle->data = server;
    uv_signal_start(handle, on_signal, which);
    uv_unref((uv_handle_t *)handle); /* does not keep the loop alive */
}

static enum err_code write_pid(const char *state, struct err *err)
{
    char path[4096];
    char text[32];
    snprintf(path, sizeof path, "%s/coordinator.pid", state);
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    return file_write_atomic(path, text, (size_t)len, 0600, err);
}

static enum err_code tell_ready(const struct arguments *a, struct err *err)
{
    enum err_code code = write_pid(a->state, err);
    if (code != ERR_OK || a->ready_fd < 0) {
        return code;
    }
    if (write(a->ready_fd, "ready\n", 6) != 6) {
        return err_set(err, ERR_IO, "write to the ready file descriptor %d", a->ready_fd);
    }
    close(a->ready_fd);
    return ERR_OK;
}

/* A worker costs two descriptors, and the usual soft limit of 1,024 is far below WORKERS_MAX. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* then as many as there may be */
    }
}

static enum err_code run(struct arguments *a, struct err *err)
{
    struct server *server = NULL;
    uv_signal_t signals[2];
    uv_loop_t loop;
    enum err_code code = file_mkdirs(a->state, 0700, err);
    code = code != ERR_OK ? code : find_keys(a, err);
    if (code != ERR_OK) {
        return code;
    }
    a->server.state_dir = a->state;
    int status = uv_loop_init(&loop);
    if (status != 0) {
        return err_os(err, -status, "start the loop");
    }
    code = server_new(&loop, &a->server, &server, err);
    if (code != ERR_OK) {
        uv_loop_close(&loop);
        return code;
    }
    watch_signal(&loop, &signals[0], SIGTERM, server);
    watch_signal(&loop, &signals[1], SIGINT, server);
    code = tell_ready(a, err);
    if (code != ERR_OK) {
        server_stop(server);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&signals[0], NULL);
    uv_close((uv_handle_t *)&signals[1], NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    struct err later;
    enum err_code ended = server_free(server, &later);
    uv_loop_close(&loop);
    if (code == ERR_OK && ended != ERR_OK) {
        *err = later;
        code = ended;
    }
    return code;
}

int main(int argc, char **argv)
{
    struct arguments a = {.ready_fd = -1,
                          .server = {.listen = "127.0.0.1", .version = TRIAD_VERSION}};
    struct err err;
    file_hold_standard_streams();
    log_set_program("coordinator");
    int status = parse(argc, argv, &a);
    if (status >= 0) {
        return status;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of the write, like a full disk */
    raise_descriptor_limit();
    if (run(&a, &err) != ERR_OK) {
        log_event(LOG_ERROR, "failed", "error='%s'", err.text);
        return 1;
    }
    return 0;
}
