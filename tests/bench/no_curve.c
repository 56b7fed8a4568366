/* An ablation, not a mode: preloaded into the real programs (ops/bench-dispatch), it lets them talk
 * without encryption, so that its share of a job's cost can be measured. Options of CURVE and ZAP
 * do not reach libzmq, and frames are said to come from the key that TRIAD_BENCH_WORKER_KEY or
 * TRIAD_BENCH_CLIENT_KEY names, after the socket they arrived at. Everything else is as it is.
 *
 * Declared by hand: only proto/net includes zmq.h. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int zmq_setsockopt(void *socket, int option, const void *value, size_t len);
int zmq_msg_recv(void *msg, void *socket, int flags);
const char *zmq_msg_gets(const void *msg, const char *property);

enum {
    CURVE_SERVER = 47,
    CURVE_PUBLICKEY,
    CURVE_SECRETKEY,
    CURVE_SERVERKEY,
    ZAP_DOMAIN = 55,
    ZAP_ENFORCE_DOMAIN = 93
};

/* A worker's frames come to the socket of this domain (net_auth_domain: NET_WORKER alone). */
#define WORKER_DOMAIN "roles-1"

static void *worker_socket;   /* of a coordinator */
static void *received_socket; /* where the latest frame came from: there is one loop */

static void *original(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL)
        abort();
    return function;
}

int zmq_setsockopt(void *socket, int option, const void *value, size_t len)
{
    static int (*real)(void *, int, const void *, size_t);
    if (real == NULL)
        *(void **)&real = original("zmq_setsockopt");
    if (option == ZAP_DOMAIN && len == strlen(WORKER_DOMAIN) &&
        memcmp(value, WORKER_DOMAIN, len) == 0)
        worker_socket = socket;
    if ((option >= CURVE_SERVER && option <= CURVE_SERVERKEY) || option == ZAP_DOMAIN ||
        option == ZAP_ENFORCE_DOMAIN)
        return 0;
    return real(socket, option, value, len);
}

int zmq_msg_recv(void *msg, void *socket, int flags)
{
    static int (*real)(void *, void *, int);
    if (real == NULL)
        *(void **)&real = original("zmq_msg_recv");
    received_socket = socket;
    return real(msg, socket, flags);
}

const char *zmq_msg_gets(const void *msg, const char *property)
{
    static const char *(*real)(const void *, const char *);
    if (real == NULL)
        *(void **)&real = original("zmq_msg_gets");
    if (strcmp(property, "User-Id") != 0)
        return real(msg, property);
    return getenv(received_socket == worker_socket ? "TRIAD_BENCH_WORKER_KEY"
                                                   : "TRIAD_BENCH_CLIENT_KEY");
}
