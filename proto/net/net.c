/* The bridge between ZeroMQ and libuv, and the life of a net.
 *
 * ZMQ_FD is edge-triggered: it becomes readable when something changed, not while something is
 * there, and any send or receive may swallow the change. So the descriptor only wakes the loop.
 * Before the loop would block (prepare) every socket is asked for ZMQ_EVENTS, and if one has input,
 * an idle handle makes the loop not block; after polling (check) each socket is drained within its
 * budget. No edge can be lost, and no socket can starve the others. */
#include "net.h"

#include <stdlib.h>

#include <zmq.h>

#include "check.h"
#include "net_internal.h"

bool net_source_has_input(const struct net_source *source)
{
    int events = 0;
    size_t size = sizeof events;
    if (source->is_paused)
        return false;
    int rc = zmq_getsockopt(source->zmq, ZMQ_EVENTS, &events, &size);
    return rc == 0 && (events & ZMQ_POLLIN) != 0;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being active is the point */
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)poll; /* the loop is awake: on_check does the work */
    (void)status;
    (void)events;
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct net *net = prepare->data;
    for (const struct net_source *s = net->sources; s; s = s->next) {
        if (net_source_has_input(s)) {
            uv_idle_start(&net->idle, on_idle);
            return;
        }
    }
}

void net_source_take(struct net_source *source, int frames_max, uint64_t turn_ns)
{
    const uint64_t begin_ns = turn_ns > 0 ? uv_hrtime() : 0;
    for (int n = 0; n < frames_max && !source->closing && net_source_has_input(source); n++) {
        source->take(source);
        if (turn_ns > 0 && uv_hrtime() - begin_ns > turn_ns)
            break;
    }
}

static void on_check(uv_check_t *check)
{
    struct net *net = check->data;
    uv_idle_stop(&net->idle);
    /* A callback may close any source, also the next one: it stays linked to its successors and its
     * memory lives until its close callback, which cannot run before this function returns. */
    for (struct net_source *s = net->sources; s; s = s->next)
        net_source_take(s, s->frames_per_turn, s->turn_ns);
}

enum err_code net_source_open(struct net *net, struct net_source *source, struct err *err)
{
    uv_os_sock_t fd;
    size_t size = sizeof fd;
    if (zmq_getsockopt(source->zmq, ZMQ_FD, &fd, &size) != 0)
        return err_set(err, ERR_UNAVAILABLE, "watch a socket: %s", zmq_strerror(zmq_errno()));
    int rc = uv_poll_init(net->loop, &source->poll, fd);
    if (rc != 0)
        return err_set(err, ERR_UNAVAILABLE, "watch a socket: %s", uv_strerror(rc));
    source->poll.data = source;
    source->net = net;
    source->next = net->sources;
    net->sources = source;
    net->open_handles++;
    rc = uv_poll_start(&source->poll, UV_READABLE, on_readable);
    ASSERT(rc == 0);
    return ERR_OK;
}

void net_handle_closed(struct net *net)
{
    net->open_handles--;
    if (!net->closing || net->open_handles > 0)
        return;
    /* Waits for frames on their way out, at most the sockets' LINGER. */
    while (zmq_ctx_term(net->zmq) != 0 && zmq_errno() == EINTR) {
    }
    void (*done)(void *) = net->done;
    void *ctx = net->done_ctx;
    free(net->allowed);
    free(net);
    if (done)
        done(ctx);
}

static void on_source_closed(uv_handle_t *handle)
{
    struct net_source *source = handle->data;
    struct net *net = source->net;
    zmq_close(source->zmq);
    if (source->closed)
        source->closed(source);
    net_handle_closed(net);
}

void net_source_close(struct net_source *source)
{
    ASSERT(!source->closing);
    source->closing = true;
    for (struct net_source **at = &source->net->sources; *at; at = &(*at)->next) {
        if (*at == source) {
            *at = source->next;
            break;
        }
    }
    uv_poll_stop(&source->poll);
    uv_close((uv_handle_t *)&source->poll, on_source_closed);
}

static void on_bridge_closed(uv_handle_t *handle)
{
    net_handle_closed(handle->data);
}

enum err_code net_new(uv_loop_t *loop, struct net **out, struct err *err)
{
    struct net *net = calloc(1, sizeof *net);
    ASSERT(net != NULL);
    net->loop = loop;
    net->zmq = zmq_ctx_new();
    ASSERT(net->zmq != NULL);
    zmq_ctx_set(net->zmq, ZMQ_IO_THREADS, NET_IO_COUNT);
    enum err_code rc = net_auth_open(net, err);
    if (rc != ERR_OK) {
        zmq_ctx_term(net->zmq);
        free(net);
        return rc;
    }
    uv_prepare_init(loop, &net->prepare);
    uv_check_init(loop, &net->check);
    uv_idle_init(loop, &net->idle);
    net->prepare.data = net->check.data = net->idle.data = net;
    net->open_handles += 3;
    uv_prepare_start(&net->prepare, on_prepare);
    uv_check_start(&net->check, on_check);
    *out = net;
    return ERR_OK;
}

void net_free(struct net *net, void (*done)(void *ctx), void *ctx)
{
    ASSERT(!net->closing);
    net->closing = true;
    net->done = done;
    net->done_ctx = ctx;
    while (net->sockets)
        net_socket_free(net->sockets);
    net_source_close(&net->zap);
    uv_close((uv_handle_t *)&net->prepare, on_bridge_closed);
    uv_close((uv_handle_t *)&net->check, on_bridge_closed);
    uv_close((uv_handle_t *)&net->idle, on_bridge_closed);
}

struct net_counts net_counts(const struct net *net)
{
    return net->counts;
}
