/* Who may connect: an allow-list of public keys and the ZAP handler (RFC 27) that consults it.
 *
 * CURVE alone is encryption, not authentication: without a handler libzmq 4.3.4 accepts every key.
 * The handler is a REP socket at inproc://zeromq.zap.01, drained by the same loop as everything
 * else, so there is no thread and no lock. A key is answered 200 with itself as the user id, or 400
 * (300 would leave the peer hanging, libzmq issue 2329). The key is looked up again for every
 * frame, so that a revoked one loses its open connections too. */
#include "net_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "check.h"
#include "log.h"

#define ZAP_ENDPOINT    "inproc://zeromq.zap.01"
#define CURVE_KEY_BYTES 32

/* Frames of a ZAP request for CURVE. */
enum {
    ZAP_VERSION,
    ZAP_REQUEST_ID,
    ZAP_DOMAIN,
    ZAP_ADDRESS,
    ZAP_IDENTITY,
    ZAP_MECHANISM,
    ZAP_KEY,
    ZAP_PARTS
};

static bool part_is(zmq_msg_t *part, const char *text)
{
    size_t len = strlen(text);
    return zmq_msg_size(part) == len && memcmp(zmq_msg_data(part), text, len) == 0;
}

void net_auth_domain(unsigned roles, char out[NET_DOMAIN_BYTES])
{
    snprintf(out, NET_DOMAIN_BYTES, "roles-%u", roles & NET_ROLES_ALL);
}

const struct net_allowed *net_auth_find(const struct net *net, const char *key_z85)
{
    /* A deployment has a handful of keys (one per role, site or person): no index needed. */
    for (size_t i = 0; i < net->allowed_count; i++) {
        if (strcmp(net->allowed[i].key.z85, key_z85) == 0)
            return &net->allowed[i];
    }
    return NULL;
}

enum err_code net_allow(struct net *net, const struct net_public_key *key, enum net_role role,
                        const char *user, struct err *err)
{
    struct net_allowed entry = {*key, role, ""};
    uint8_t raw[CURVE_KEY_BYTES];
    if (strlen(key->z85) != 40 || !zmq_z85_decode(raw, key->z85))
        return err_set(err, ERR_INVALID, "allow key of '%s': it is not 40 Z85 characters", user);
    if (strlen(user) >= sizeof entry.user)
        return err_set(err, ERR_LIMIT, "allow key of '%s': name longer than %zu bytes", user,
                       sizeof entry.user - 1);
    const struct net_allowed *known = net_auth_find(net, key->z85);
    if (known && known->role != role)
        return err_set(err, ERR_CONFLICT, "allow key of '%s': it is listed under another role",
                       user);
    if (known)
        return ERR_OK;
    snprintf(entry.user, sizeof entry.user, "%s", user);
    struct net_allowed *grown =
        realloc(net->allowed, (net->allowed_count + 1) * sizeof *net->allowed);
    ASSERT(grown != NULL);
    net->allowed = grown;
    net->allowed[net->allowed_count++] = entry;
    return ERR_OK;
}

void net_revoke(struct net *net, const struct net_public_key *key)
{
    for (size_t i = 0; i < net->allowed_count; i++) {
        if (strcmp(net->allowed[i].key.z85, key->z85) == 0) {
            net->allowed[i] = net->allowed[--net->allowed_count];
            return;
        }
    }
}

/* May the key of this request use a socket with this domain? Writes it to `key_out` as text. */
static bool is_allowed(const struct net *net, zmq_msg_t parts[ZAP_PARTS], char key_out[41])
{
    if (!part_is(&parts[ZAP_MECHANISM], "CURVE") ||
        zmq_msg_size(&parts[ZAP_KEY]) != CURVE_KEY_BYTES ||
        !zmq_z85_encode(key_out, zmq_msg_data(&parts[ZAP_KEY]), CURVE_KEY_BYTES))
        return false;
    const struct net_allowed *entry = net_auth_find(net, key_out);
    for (unsigned roles = 1; entry && roles <= NET_ROLES_ALL; roles++) {
        char domain[NET_DOMAIN_BYTES];
        net_auth_domain(roles, domain);
        if ((roles & entry->role) != 0 && part_is(&parts[ZAP_DOMAIN], domain))
            return true;
    }
    return false;
}

static void refuse_loudly(struct net *net, zmq_msg_t *address, const char *key)
{
    uint64_t count = ++net->counts.handshakes_refused;
    if ((count & (count - 1)) == 0) /* 1, 2, 4 …: a stranger cannot fill the log */
        log_event(LOG_WARN, "key_refused", "address=%.*s key=%s refused=%" PRIu64,
                  (int)zmq_msg_size(address), (const char *)zmq_msg_data(address), key, count);
}

static void answer(struct net *net, zmq_msg_t parts[ZAP_PARTS])
{
    char key[41] = "";
    const bool allowed = is_allowed(net, parts, key);
    if (!allowed)
        refuse_loudly(net, &parts[ZAP_ADDRESS], key);
    const char *reply[] = {allowed ? "200" : "400", allowed ? "OK" : "key not allowed here",
                           allowed ? key : ""};
    void *zap = net->zap.zmq;
    zmq_send(zap, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(zap, zmq_msg_data(&parts[ZAP_REQUEST_ID]), zmq_msg_size(&parts[ZAP_REQUEST_ID]),
             ZMQ_SNDMORE | ZMQ_DONTWAIT);
    for (size_t i = 0; i < ARRAY_COUNT(reply); i++)
        zmq_send(zap, reply[i], strlen(reply[i]), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(zap, "", 0, ZMQ_DONTWAIT); /* no metadata */
}

static void zap_take(struct net_source *source)
{
    zmq_msg_t parts[ZAP_PARTS];
    int count = net_receive_parts(source->zmq, parts, ZAP_PARTS);
    /* Only libzmq itself talks to this endpoint; another shape would be its bug, and no answer
     * leaves the peer outside. */
    if (count == ZAP_PARTS && part_is(&parts[ZAP_VERSION], "1.0"))
        answer(source->net, parts);
    for (int i = 0; i < count && i < ZAP_PARTS; i++)
        zmq_msg_close(&parts[i]);
}

enum err_code net_auth_open(struct net *net, struct err *err)
{
    enum err_code rc = ERR_OK;
    net->zap.zmq = zmq_socket(net->zmq, ZMQ_REP);
    if (!net->zap.zmq)
        return err_set(err, ERR_UNAVAILABLE, "open the key checker: %s", zmq_strerror(zmq_errno()));
    int linger_ms = 0;
    zmq_setsockopt(net->zap.zmq, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    net->zap.frames_per_turn = 64; /* a storm of handshakes must not starve the connected */
    net->zap.take = zap_take;
    if (zmq_bind(net->zap.zmq, ZAP_ENDPOINT) != 0)
        rc = err_set(err, ERR_UNAVAILABLE, "open the key checker: %s", zmq_strerror(zmq_errno()));
    if (rc == ERR_OK)
        rc = net_source_open(net, &net->zap, err);
    if (rc != ERR_OK)
        zmq_close(net->zap.zmq);
    return rc;
}
