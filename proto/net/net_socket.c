/* ROUTER and DEALER sockets: options, receiving, sending, and what a dealer's monitor tells. */
#include "net_internal.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "bounds.h"
#include "check.h"

/* libzmq hides the name behind its draft switch but honours the option: without it a socket whose
 * ZAP handler is missing accepts every key. */
#define OPTION_ZAP_ENFORCE_DOMAIN 93

/* A tripwire, not flow control: credits keep queues far below it. */
#define QUEUE_FRAMES      256
#define DATA_QUEUE_FRAMES 64
/* CURVE wraps a frame in a command of at most this many more bytes, and MAXMSGSIZE counts them. */
#define CURVE_FRAME_EXTRA_BYTES 64

#define FRAMES_PER_TURN_DEFAULT 256

/* libzmq reconnects after a broken connection, but gives up for good when its handshake is refused
 * or the other side breaks the protocol. Somebody may yet allow the key: we try again. */
#define GIVEN_UP_RETRY_MS 5000

/* What a dealer knows about its connection; each change is told once. */
enum link_state {
    LINK_UNKNOWN,
    LINK_UP,
    LINK_DOWN,        /* was up */
    LINK_UNREACHABLE, /* nobody listens */
    LINK_REFUSED,     /* our key */
    LINK_STRANGE,     /* handshake broken off: not the coordinator we know, or not one at all */
};

struct net_socket {
    struct net *net;
    struct net_socket *next;
    struct net_source source;
    struct net_source monitor; /* dealers only */
    uv_timer_t retry;          /* dealers only */
    int open_handles;
    bool is_router;
    size_t frame_bytes_max;
    net_receive_f *receive;
    void (*status)(void *ctx, int connected, const char *text);
    void *ctx;
    enum link_state link;
    char endpoint[256];
};

/* ---- receiving ---- */

int net_receive_parts(void *zmq, void *parts_out, int parts_max)
{
    zmq_msg_t *parts = parts_out;
    int count = 0;
    bool more = true;
    while (more) {
        zmq_msg_t excess;
        zmq_msg_t *part = count < parts_max ? &parts[count] : &excess;
        zmq_msg_init(part);
        if (zmq_msg_recv(part, zmq, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(part);
            if (zmq_errno() == EINTR)
                continue;
            return count;
        }
        more = zmq_msg_more(part) != 0;
        if (part == &excess)
            zmq_msg_close(part);
        count++;
    }
    return count;
}

/* The ids that libzmq gives: a zero and a number. A peer may ask for another one (ZMQ_ROUTING_ID),
 * which then stays the same over its connections and has whatever length it likes. */
static bool is_own_id(zmq_msg_t *id)
{
    return zmq_msg_size(id) == NET_PEER_BYTES && *(const uint8_t *)zmq_msg_data(id) == 0;
}

static void router_frame(struct net_socket *socket, zmq_msg_t *id, zmq_msg_t *frame)
{
    struct net *net = socket->net;
    struct net_peer peer = {.len = 0};
    const char *key = zmq_msg_gets(frame, "User-Id");
    const struct net_allowed *who = key ? net_auth_find(net, key) : NULL;
    const size_t len = zmq_msg_size(frame);
    if (!who || len > socket->frame_bytes_max || !is_own_id(id)) {
        net->counts.frames_refused++;
        return;
    }
    peer.len = (uint8_t)zmq_msg_size(id);
    memcpy(peer.id, zmq_msg_data(id), peer.len);
    net->counts.frames_received++;
    socket->receive(socket->ctx, &peer, who->role, who->user, zmq_msg_data(frame), len);
}

static void socket_take(struct net_source *source)
{
    struct net_socket *socket = source->owner;
    const int expected = socket->is_router ? 2 : 1; /* a ROUTER puts the connection's id in front */
    zmq_msg_t parts[2];
    int count = net_receive_parts(source->zmq, parts, expected);
    zmq_msg_t *frame = &parts[expected - 1];
    if (count == 0)
        return;
    if (count != expected) {
        socket->net->counts.frames_refused++; /* our frames have one part */
    } else if (socket->is_router) {
        router_frame(socket, &parts[0], frame);
    } else if (zmq_msg_size(frame) > socket->frame_bytes_max) {
        socket->net->counts.frames_refused++;
    } else {
        socket->net->counts.frames_received++;
        socket->receive(socket->ctx, NULL, 0, NULL, zmq_msg_data(frame), zmq_msg_size(frame));
    }
    for (int i = 0; i < count && i < expected; i++)
        zmq_msg_close(&parts[i]);
}

void net_router_take(struct net_socket *socket, int us)
{
    net_source_take(&socket->source, socket->source.frames_per_turn, (uint64_t)us * 1000);
}

static uv_os_sock_t zmq_fd_of(const struct net_source *source)
{
    uv_os_sock_t fd;
    size_t size = sizeof fd;
    int rc = zmq_getsockopt(source->zmq, ZMQ_FD, &fd, &size);
    ASSERT(rc == 0);
    return fd;
}

/* ZMQ_FD tells of changes only, so that the frames that are there are taken before each wait. Who
 * connects meanwhile has his key checked, or his question would wait as long as we do. */
void net_router_take_until(struct net_socket *socket, int fd)
{
    struct net_source *source = &socket->source;
    struct net_source *zap = &socket->net->zap;
    const uv_os_sock_t zap_fd = zmq_fd_of(zap), own_fd = zmq_fd_of(source);
    for (;;) {
        struct pollfd polled[] = {{.fd = fd, .events = POLLIN},
                                  {.fd = zap_fd, .events = POLLIN},
                                  {.fd = own_fd, .events = POLLIN}};
        net_source_take(zap, 1, 0);
        net_source_take(source, 1, 0);
        const bool waits = net_source_has_input(source) || net_source_has_input(zap);
        const bool is_deaf = source->is_paused || source->closing;
        if (poll(polled, is_deaf ? 2 : 3, waits ? 0 : -1) > 0 && polled[0].revents != 0)
            return;
    }
}

void net_socket_pause(struct net_socket *socket, bool is_paused)
{
    socket->source.is_paused = is_paused;
}

/* ---- opening ---- */

struct option {
    int name;
    int value;
    const char *what;
};

static enum err_code set_options(void *zmq, const struct option *options, size_t count,
                                 struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (zmq_setsockopt(zmq, options[i].name, &options[i].value, sizeof options[i].value) != 0)
            return err_set(err, ERR_UNAVAILABLE, "open a socket: set %s: %s", options[i].what,
                           zmq_strerror(zmq_errno()));
    }
    return ERR_OK;
}

static enum err_code set_text(void *zmq, int option, const char *text, const char *what,
                              struct err *err)
{
    if (zmq_setsockopt(zmq, option, text, strlen(text)) != 0)
        return err_set(err, ERR_INVALID, "open a socket: set %s: %s", what,
                       zmq_strerror(zmq_errno()));
    return ERR_OK;
}

/* What every socket needs. */
static enum err_code set_common_options(void *zmq, size_t frame_bytes_max, enum net_io io,
                                        struct err *err)
{
    const struct option options[] = {
        {ZMQ_SNDHWM, QUEUE_FRAMES, "send queue"},
        {ZMQ_RCVHWM, QUEUE_FRAMES, "receive queue"},
        /* Long enough for a last word on a local network, short enough to quit. */
        {ZMQ_LINGER, 1000, "linger"},
        /* Half-open TCP connections are noticed within 15 s. */
        {ZMQ_HEARTBEAT_IVL, 5000, "heartbeat interval"},
        {ZMQ_HEARTBEAT_TIMEOUT, 15000, "heartbeat timeout"},
        {ZMQ_HEARTBEAT_TTL, 15000, "heartbeat time to live"},
        /* Who connects and says nothing does not hold a descriptor for the default 30 s. */
        {ZMQ_HANDSHAKE_IVL, 5000, "handshake timeout"},
    };
    const uint64_t threads = UINT64_C(1) << io;
    const int64_t wire_bytes_max = (int64_t)(frame_bytes_max + CURVE_FRAME_EXTRA_BYTES);
    enum err_code rc = set_options(zmq, options, ARRAY_COUNT(options), err);
    if (rc != ERR_OK)
        return rc;
    if (zmq_setsockopt(zmq, ZMQ_AFFINITY, &threads, sizeof threads) != 0 ||
        zmq_setsockopt(zmq, ZMQ_MAXMSGSIZE, &wire_bytes_max, sizeof wire_bytes_max) != 0)
        return err_set(err, ERR_UNAVAILABLE, "open a socket: %s", zmq_strerror(zmq_errno()));
    return ERR_OK;
}

static struct net_socket *socket_alloc(struct net *net, int type)
{
    struct net_socket *socket = calloc(1, sizeof *socket);
    ASSERT(socket != NULL);
    socket->net = net;
    socket->is_router = type == ZMQ_ROUTER;
    socket->source.zmq = zmq_socket(net->zmq, type);
    socket->source.owner = socket;
    socket->source.take = socket_take;
    return socket;
}

static void socket_handle_closed(struct net_socket *socket)
{
    if (--socket->open_handles == 0)
        free(socket);
}

static void on_source_closed(struct net_source *source)
{
    socket_handle_closed(source->owner);
}

static enum err_code open_source(struct net_socket *socket, struct net_source *source,
                                 int frames_per_turn, struct err *err)
{
    source->frames_per_turn = frames_per_turn > 0 ? frames_per_turn : FRAMES_PER_TURN_DEFAULT;
    source->closed = on_source_closed;
    enum err_code rc = net_source_open(socket->net, source, err);
    if (rc == ERR_OK)
        socket->open_handles++;
    return rc;
}

static void link_socket(struct net_socket *socket, struct net_socket **out)
{
    socket->next = socket->net->sockets;
    socket->net->sockets = socket;
    *out = socket;
}

/* Frames of a data socket are large: who does not read must not fill memory with them. */
static int send_queue_frames(const struct net_router_options *options)
{
    if (options->queue_frames > 0)
        return options->queue_frames;
    return options->frame_bytes_max > FRAME_BYTES_MAX ? DATA_QUEUE_FRAMES : QUEUE_FRAMES;
}

static enum err_code router_setup(struct net_socket *socket,
                                  const struct net_router_options *options, struct err *err)
{
    void *zmq = socket->source.zmq;
    char domain[NET_DOMAIN_BYTES];
    const struct option flags[] = {
        {ZMQ_ROUTER_MANDATORY, 1, "mandatory routing"}, /* otherwise frames vanish silently */
        {ZMQ_CURVE_SERVER, 1, "encryption"},
        {OPTION_ZAP_ENFORCE_DOMAIN, 1, "key checking"},
        {ZMQ_SNDHWM, send_queue_frames(options), "send queue"},
        {ZMQ_BACKLOG, 256, "backlog"}, /* all workers come back at once after a restart */
    };
    net_auth_domain(options->roles, domain);
    enum err_code rc = set_common_options(zmq, options->frame_bytes_max, options->io, err);
    if (rc == ERR_OK)
        rc = set_options(zmq, flags, ARRAY_COUNT(flags), err);
    if (rc == ERR_OK)
        rc = set_text(zmq, ZMQ_ZAP_DOMAIN, domain, "key domain", err);
    if (rc == ERR_OK)
        rc = set_text(zmq, ZMQ_CURVE_SECRETKEY, options->server->secret_z85, "secret key", err);
    if (rc != ERR_OK)
        return rc;
    if (zmq_bind(zmq, options->endpoint) != 0) {
        const int no = zmq_errno();
        const bool is_elsewhere = no == ENODEV || no == EADDRNOTAVAIL;
        return err_set(err, no == EADDRINUSE ? ERR_CONFLICT : ERR_UNAVAILABLE, "listen at '%s': %s",
                       options->endpoint,
                       is_elsewhere ? "that is no IPv4 address or network interface of this machine"
                                    : zmq_strerror(no));
    }
    size_t size = sizeof socket->endpoint;
    if (zmq_getsockopt(zmq, ZMQ_LAST_ENDPOINT, socket->endpoint, &size) != 0)
        return err_set(err, ERR_UNAVAILABLE, "listen at '%s': %s", options->endpoint,
                       zmq_strerror(zmq_errno()));
    socket->source.turn_ns = (uint64_t)options->turn_us * 1000;
    return open_source(socket, &socket->source, options->frames_per_turn, err);
}

enum err_code net_router_new(struct net *net, const struct net_router_options *options,
                             struct net_socket **out, struct err *err)
{
    ASSERT(options->receive != NULL);
    struct net_socket *socket = socket_alloc(net, ZMQ_ROUTER);
    socket->frame_bytes_max = options->frame_bytes_max;
    socket->receive = options->receive;
    socket->ctx = options->ctx;
    enum err_code rc = socket->source.zmq ? router_setup(socket, options, err)
                                          : err_set(err, ERR_UNAVAILABLE, "open a socket: %s",
                                                    zmq_strerror(zmq_errno()));
    if (rc != ERR_OK) {
        if (socket->source.zmq)
            zmq_close(socket->source.zmq);
        free(socket);
        return rc;
    }
    link_socket(socket, out);
    return ERR_OK;
}

const char *net_endpoint(const struct net_socket *socket)
{
    return socket->endpoint;
}

/* ---- the monitor of a dealer ---- */

static void on_retry(uv_timer_t *timer)
{
    struct net_socket *socket = timer->data;
    zmq_disconnect(socket->source.zmq, socket->endpoint); /* the ended attempt */
    zmq_connect(socket->source.zmq, socket->endpoint);    /* was accepted as an address before */
}

static void set_link(struct net_socket *socket, enum link_state link, const char *text)
{
    if (socket->link == link)
        return;
    socket->link = link;
    if (socket->status)
        socket->status(socket->ctx, link == LINK_UP, text);
}

static void monitor_event(struct net_socket *socket, uint16_t event)
{
    char text[400];
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        uv_timer_stop(&socket->retry);
        set_link(socket, LINK_UP, "connected");
        return;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        uv_timer_start(&socket->retry, on_retry, GIVEN_UP_RETRY_MS, 0);
        set_link(socket, LINK_REFUSED, "the coordinator does not know this key");
        return;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_DISCONNECTED:
        uv_timer_start(&socket->retry, on_retry, GIVEN_UP_RETRY_MS, 0);
        if (socket->link == LINK_UP) {
            set_link(socket, LINK_DOWN, "the connection broke");
        } else if (socket->link != LINK_REFUSED) {
            snprintf(text, sizeof text,
                     "what listens at %s broke off the handshake: it is not a coordinator, or not "
                     "the one whose key we were given",
                     socket->endpoint);
            set_link(socket, LINK_STRANGE, text);
        }
        return;
    case ZMQ_EVENT_CLOSED: /* an attempt to connect ended before any handshake */
        snprintf(text, sizeof text, "nobody listens at %s", socket->endpoint);
        set_link(socket, LINK_UNREACHABLE, text);
        return;
    }
}

static void monitor_take(struct net_source *source)
{
    zmq_msg_t parts[2];
    uint16_t event = 0;
    int count = net_receive_parts(source->zmq, parts, 2);
    if (count > 0 && zmq_msg_size(&parts[0]) >= sizeof event)
        memcpy(&event, zmq_msg_data(&parts[0]), sizeof event);
    for (int i = 0; i < count && i < 2; i++)
        zmq_msg_close(&parts[i]);
    monitor_event(source->owner, event);
}

static enum err_code monitor_open(struct net_socket *socket, struct err *err)
{
    const int events = ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    /* A number never used before in this context: a closed monitor keeps its name until ZeroMQ's
     * own thread has taken it down, long after the memory of its socket may have been given out
     * again. */
    char name[64];
    snprintf(name, sizeof name, "inproc://monitor-%" PRIu64, ++socket->net->monitors);
    struct net_source *monitor = &socket->monitor;
    monitor->owner = socket;
    monitor->take = monitor_take;
    monitor->zmq = zmq_socket(socket->net->zmq, ZMQ_PAIR);
    if (!monitor->zmq || zmq_socket_monitor(socket->source.zmq, name, events) != 0 ||
        zmq_connect(monitor->zmq, name) != 0)
        return err_set(err, ERR_UNAVAILABLE, "monitor a socket: %s", zmq_strerror(zmq_errno()));
    return open_source(socket, monitor, 0, err);
}

static enum err_code dealer_setup(struct net_socket *socket,
                                  const struct net_dealer_options *options, struct err *err)
{
    void *zmq = socket->source.zmq;
    const struct option numbers[] = {
        {ZMQ_RECONNECT_IVL, RECONNECT_MS_MIN, "reconnect interval"},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX, "reconnect interval"},
        {ZMQ_IMMEDIATE, 1, "immediate"}, /* nothing waits for a connection that is not there */
    };
    enum err_code rc = set_common_options(zmq, options->frame_bytes_max, options->io, err);
    if (rc == ERR_OK)
        rc = set_options(zmq, numbers, ARRAY_COUNT(numbers), err);
    if (rc == ERR_OK)
        rc = set_text(zmq, ZMQ_CURVE_SERVERKEY, options->server->z85, "server key", err);
    if (rc == ERR_OK)
        rc = set_text(zmq, ZMQ_CURVE_PUBLICKEY, options->own->public_key.z85, "public key", err);
    if (rc == ERR_OK)
        rc = set_text(zmq, ZMQ_CURVE_SECRETKEY, options->own->secret_z85, "secret key", err);
    if (rc != ERR_OK)
        return rc;
    rc = monitor_open(socket, err);
    if (rc == ERR_OK)
        rc = open_source(socket, &socket->source, options->frames_per_turn, err);
    if (rc == ERR_OK && zmq_connect(zmq, options->endpoint) != 0)
        rc = err_set(err, ERR_INVALID, "connect to '%s': %s", options->endpoint,
                     zmq_strerror(zmq_errno()));
    return rc;
}

static void on_retry_closed(uv_handle_t *handle)
{
    struct net_socket *socket = handle->data;
    struct net *net = socket->net;
    socket_handle_closed(socket);
    net_handle_closed(net);
}

/* Close what of a dealer is open; the last close callback frees it. */
static void dealer_close(struct net_socket *socket)
{
    struct net_source *sources[] = {&socket->source, &socket->monitor};
    if (socket->monitor.net)
        zmq_socket_monitor(socket->source.zmq, NULL, 0);
    for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
        if (sources[i]->net)
            net_source_close(sources[i]);
        else if (sources[i]->zmq)
            zmq_close(sources[i]->zmq);
    }
    uv_close((uv_handle_t *)&socket->retry, on_retry_closed);
}

enum err_code net_dealer_new(struct net *net, const struct net_dealer_options *options,
                             struct net_socket **out, struct err *err)
{
    ASSERT(options->receive != NULL);
    struct net_socket *socket = socket_alloc(net, ZMQ_DEALER);
    socket->frame_bytes_max = options->frame_bytes_max;
    socket->receive = options->receive;
    socket->status = options->status;
    socket->ctx = options->ctx;
    snprintf(socket->endpoint, sizeof socket->endpoint, "%s", options->endpoint);
    uv_timer_init(net->loop, &socket->retry);
    socket->retry.data = socket;
    socket->open_handles++;
    net->open_handles++;
    enum err_code rc = socket->source.zmq ? dealer_setup(socket, options, err)
                                          : err_set(err, ERR_UNAVAILABLE, "open a socket: %s",
                                                    zmq_strerror(zmq_errno()));
    if (rc != ERR_OK) {
        dealer_close(socket);
        return rc;
    }
    link_socket(socket, out);
    return ERR_OK;
}

bool net_dealer_is_refused(const struct net_socket *socket)
{
    return socket->link == LINK_REFUSED;
}

/* ---- sending and closing ---- */

static enum err_code send_failed(struct err *err)
{
    if (zmq_errno() == EHOSTUNREACH)
        return err_set(err, ERR_NOT_FOUND, "send: the connection is gone");
    if (zmq_errno() == EAGAIN)
        return err_set(err, ERR_LIMIT, "send: the peer's queue of %d frames is full", QUEUE_FRAMES);
    return err_set(err, ERR_UNAVAILABLE, "send: %s", zmq_strerror(zmq_errno()));
}

static enum err_code check_frame(const struct net_socket *socket, size_t len, struct err *err)
{
    if (len <= socket->frame_bytes_max)
        return ERR_OK;
    return err_set(err, ERR_LIMIT, "send: frame of %zu bytes, more than %zu", len,
                   socket->frame_bytes_max);
}

/* zmq_send that tries again after looking at the socket's mailbox: libzmq looks there only every
 * few million cycles, so a fresh connection or freed queue could be missed. */
static int send_part(void *zmq, const void *bytes, size_t len, int flags)
{
    int rc = zmq_send(zmq, bytes, len, flags | ZMQ_DONTWAIT);
    if (rc >= 0 || (zmq_errno() != EAGAIN && zmq_errno() != EINTR))
        return rc;
    int events = 0;
    size_t size = sizeof events;
    zmq_getsockopt(zmq, ZMQ_EVENTS, &events, &size);
    return zmq_send(zmq, bytes, len, flags | ZMQ_DONTWAIT);
}

enum err_code net_router_send(struct net_socket *socket, const struct net_peer *peer,
                              const void *bytes, size_t len, struct err *err)
{
    ASSERT(socket->is_router);
    void *zmq = socket->source.zmq;
    enum err_code rc = check_frame(socket, len, err);
    if (rc != ERR_OK)
        return rc;
    if (send_part(zmq, peer->id, peer->len, ZMQ_SNDMORE) < 0 || send_part(zmq, bytes, len, 0) < 0)
        return send_failed(err);
    return ERR_OK;
}

enum err_code net_dealer_send(struct net_socket *socket, const void *bytes, size_t len,
                              struct err *err)
{
    ASSERT(!socket->is_router);
    enum err_code rc = check_frame(socket, len, err);
    if (rc != ERR_OK)
        return rc;
    /* libzmq takes frames for a little while after a connection ended, and loses them. */
    if (socket->link != LINK_UP)
        return err_set(err, ERR_NOT_FOUND, "send: not connected to %s", socket->endpoint);
    if (send_part(socket->source.zmq, bytes, len, 0) < 0)
        return send_failed(err);
    return ERR_OK;
}

void net_socket_free(struct net_socket *socket)
{
    for (struct net_socket **at = &socket->net->sockets; *at; at = &(*at)->next) {
        if (*at == socket) {
            *at = socket->next;
            break;
        }
    }
    if (socket->is_router)
        net_source_close(&socket->source);
    else
        dealer_close(socket);
}
