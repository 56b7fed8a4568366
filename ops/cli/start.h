/* Starting the daemons: the same programs, through the one command line. */
#ifndef TRIAD_START_H
#define TRIAD_START_H

#include "cli.h"
#include "local.h"

/* The state folder, made (mode 0700) when it is not there. Absolute path, in the arena. */
NODISCARD enum err_code start_state_dir(struct cli *cli, const char **path_out, struct err *err);

struct start_coordinator {
    const char *state_dir;                             /* absolute */
    const char *keys_dir;                              /* NULL: state_dir/keys */
    const char *listen;                                /* NULL: loopback */
    const char *advertise;                             /* NULL: as bound */
    const char *worker_port, *client_port, *data_port; /* NULL: the kernel picks */
    const char *shared_store;                          /* NULL: blobs lie in the state */
    bool init_keys;                                    /* make keys when there are none */
};
void start_describe_coordinator(struct arena *arena, const struct start_coordinator *options,
                                struct local_child *child);

struct start_worker {
    const char *state_dir; /* absolute */
    const char *access;    /* NULL: state_dir/worker.access */
    const char *dir;       /* NULL: state_dir/workers/NAME */
    const char *name;
    const char *threads, *memory, *idle_end_s; /* NULL: the program's default */
    const char *time_limit_s, *labels;
    const char *data_listen, *advertise, *shared_store;
};
void start_describe_worker(struct arena *arena, const struct start_worker *options,
                           struct local_child *child);

#endif
