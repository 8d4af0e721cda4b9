/*
 * Copyright (c) 2026 The ovs-zoo authors.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at:
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

#include <config.h>
#include "vtrace/deployer-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "byte-order.h"
#include "hash.h"
#include "openflow/openflow.h"
#include "openvswitch/dynamic-string.h"
#include "flow.h"
#include "openvswitch/hmap.h"
#include "openvswitch/match.h"
#include "openvswitch/ofp-errors.h"
#include "openvswitch/ofp-flow.h"
#include "openvswitch/ofp-msgs.h"
#include "openvswitch/ofp-port.h"
#include "openvswitch/ofp-protocol.h"
#include "openvswitch/ofp-util.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/rconn.h"
#include "openvswitch/shash.h"
#include "openvswitch/vlog.h"
#include "random.h"
#include "timeval.h"
#include "util.h"
#include "vtrace/fault.h"
#include "vtrace/inject.h"

VLOG_DEFINE_THIS_MODULE(vtrace_deployer);

/* A connection without anything to do is closed after this. */
#define IDLE_MS (60 * 1000)

/* Seconds: a silent switch is asked, and if it stays silent reconnected, after
 * that; a switch that is away is tried again at least so often. */
#define PROBE_INTERVAL 5
#define MAX_BACKOFF 2

/* A bridge with more ports than this is not one. */
#define MAX_PORTS 65536

/* Longest port name in OpenFlow. */
#define MAX_PORT_NAME (OFP_MAX_PORT_NAME_LEN - 1)

/* So many replies may wait for a switch that asks for echoes and does not read
 * them. */
#define MAX_ECHOES 64

/* Seconds: a rule that would be gone before is not installed. */
#define MIN_TIMEOUT 1

struct vtrace_deployer *
vtrace_deployer_create(uint64_t cookies, uint64_t mask)
{
    struct vtrace_deployer *d = xmalloc(sizeof *d);

    d->cookies = cookies;
    d->mask = mask;
    hmap_init(&d->ops);
    hmap_init(&d->bridges);
    return d;
}

static void
op_destroy(struct vtrace_deployer *d, struct op *op)
{
    hmap_remove(&d->ops, &op->node);
    vtrace_injector_destroy(op->injector);
    free(op->port);
    free(op->why);
    free(op);
}

static void
bridge_destroy(struct vtrace_deployer *d, struct bridge *b)
{
    hmap_remove(&d->bridges, &b->node);
    rconn_destroy(b->rconn);
    rconn_packet_counter_destroy(b->echoes);
    shash_destroy(&b->ports);
    free(b->remote);
    free(b->name);
    free(b);
}

void
vtrace_deployer_destroy(struct vtrace_deployer *d)
{
    struct bridge *b;
    struct op *op;

    if (!d) {
        return;
    }
    HMAP_FOR_EACH_SAFE (op, node, &d->ops) {
        op_destroy(d, op);
    }
    HMAP_FOR_EACH_SAFE (b, node, &d->bridges) {
        bridge_destroy(d, b);
    }
    hmap_destroy(&d->ops);
    hmap_destroy(&d->bridges);
    free(d);
}

/* One connection leads to each bridge, whatever names are given to it. */
static struct bridge *
get_bridge(struct vtrace_deployer *d, const char *target, const char *name)
{
    char *remote = vtrace_deployer_expand(target, name);
    uint32_t hash = hash_string(remote, 0);
    uint32_t versions = 1u << OFP10_VERSION | 1u << OFP13_VERSION
                        | 1u << OFP14_VERSION | 1u << OFP15_VERSION;
    struct bridge *b;

    HMAP_FOR_EACH_WITH_HASH (b, node, hash, &d->bridges) {
        if (!strcmp(b->remote, remote)) {
            if (!*b->name) {
                free(b->name);
                b->name = xstrdup(name);
            }
            b->last_use = time_msec();
            free(remote);
            return b;
        }
    }
    b = xzalloc(sizeof *b);
    b->remote = remote;
    b->name = xstrdup(name);
    b->echoes = rconn_packet_counter_create();
    b->last_use = time_msec();
    shash_init(&b->ports);
    b->rconn = rconn_create(PROBE_INTERVAL, MAX_BACKOFF, 0,
                            versions);
    rconn_connect(b->rconn, remote, remote);
    hmap_insert(&d->bridges, &b->node, hash);
    return b;
}

void
vtrace_deployer_sweep(struct vtrace_deployer *d, const char *target,
                      const char *bridge)
{
    get_bridge(d, target, bridge);
}

static struct op *
find_op(const struct vtrace_deployer *d, uint64_t cookie, unsigned int part)
{
    struct op *op;

    HMAP_FOR_EACH_WITH_HASH (op, node, hash_uint64(cookie), &d->ops) {
        if (op->cookie == cookie && op->part == part) {
            return op;
        }
    }
    return NULL;
}

static struct op *
new_op(struct vtrace_deployer *d, const char *target, const char *bridge,
       uint64_t cookie, unsigned int part, enum vtrace_op_status status)
{
    struct op *op = find_op(d, cookie, part);
    uint64_t packets = op ? op->packets : 0;

    if (op) {
        op_destroy(d, op);
    }
    op = xzalloc(sizeof *op);
    op->cookie = cookie;
    op->part = part;
    op->bridge = get_bridge(d, target, bridge);
    op->status = status;
    op->packets = packets;
    hmap_insert(&d->ops, &op->node, hash_uint64(cookie));
    return op;
}

void
vtrace_deployer_install(struct vtrace_deployer *d, const char *target,
                        const char *bridge, const char *port,
                        const struct vtrace_flow *flow, unsigned int part,
                        long long int latest)
{
    struct op *op = new_op(d, target, bridge, flow->cookie, part,
                           VTRACE_OP_INSTALLING);

    ovs_assert((flow->cookie & d->mask) == d->cookies);
    op->flow = *flow;
    op->port = xstrdup(port);
    op->latest = latest;
    op->bridge->ports_valid = false;
}

void
vtrace_deployer_remove(struct vtrace_deployer *d, const char *target,
                       const char *bridge, uint64_t cookie, unsigned int part)
{
    new_op(d, target, bridge, cookie, part, VTRACE_OP_REMOVING);
}

enum vtrace_op_status
vtrace_deployer_status(const struct vtrace_deployer *d, uint64_t cookie,
                       unsigned int part, const char **why)
{
    struct op *op = find_op(d, cookie, part);

    if (why) {
        *why = NULL;
    }
    if (!op) {
        return VTRACE_OP_NONE;
    }
    if (!rconn_is_connected(op->bridge->rconn)
        && (op->status == VTRACE_OP_INSTALLING
            || op->status == VTRACE_OP_REMOVING)) {
        int error = rconn_get_last_error(op->bridge->rconn);

        /* Tenants read this: where the connection leads to is for "vtrace
         * nodes" and the log. */
        vtrace_deployer_set_why(
            op, xasprintf("bridge %s: no OpenFlow connection: %s",
                          op->bridge->name,
                          error ? ovs_retval_to_string(error) : "no answer"));
    }
    if (why) {
        *why = op->why;
    }
    return op->status;
}

uint64_t
vtrace_deployer_packets(const struct vtrace_deployer *d, uint64_t cookie)
{
    struct op *op = find_op(d, cookie, 0);

    return op ? op->packets : 0;
}

void
vtrace_deployer_inject(struct vtrace_deployer *d, uint64_t cookie,
                       const struct vtrace_inject *inject)
{
    struct op *op = find_op(d, cookie, 0);

    if (op && op->status == VTRACE_OP_INSTALLED && !op->injector) {
        op->injector = vtrace_injector_create(inject, random_uint32());
    }
}

uint64_t
vtrace_deployer_injected(const struct vtrace_deployer *d, uint64_t cookie,
                         const char **why)
{
    struct op *op = find_op(d, cookie, 0);

    *why = NULL;
    return op && op->injector ? vtrace_injector_sent(op->injector, why) : 0;
}

void
vtrace_deployer_forget(struct vtrace_deployer *d, uint64_t cookie,
                       unsigned int part)
{
    struct op *op = find_op(d, cookie, part);

    if (op) {
        op_destroy(d, op);
    }
}

void
vtrace_deployer_retain(struct vtrace_deployer *d,
                       bool (*keep)(uint64_t cookie, const void *aux),
                       const void *aux)
{
    struct op *op;

    HMAP_FOR_EACH_SAFE (op, node, &d->ops) {
        if (!keep(op->cookie, aux)) {
            op_destroy(d, op);
        }
    }
}

/* Sending. */

ovs_be32
vtrace_deployer_send(struct bridge *b, struct ofpbuf *msg)
{
    ovs_be32 xid = ((const struct ofp_header *) msg->data)->xid;

    rconn_send(b->rconn, msg, NULL);
    return xid;
}

ovs_be32
vtrace_deployer_send_barrier(struct bridge *b)
{
    return vtrace_deployer_send(b, ofputil_encode_barrier_request(
                                       rconn_get_version(b->rconn)));
}

/* Deletes the rules with 'cookie' under 'mask', and returns the xid of the
 * barrier behind that. */
static ovs_be32
send_delete(struct bridge *b, uint64_t cookie, uint64_t mask)
{
    struct ofputil_flow_mod fm;

    vtrace_fault("flow-mod:delete");
    vtrace_flow_mod_init_delete(cookie, mask, &fm);
    vtrace_deployer_send(b, ofputil_encode_flow_mod(&fm, b->protocol));
    vtrace_flow_mod_uninit(&fm);
    return vtrace_deployer_send_barrier(b);
}

static void
bridge_connected(struct vtrace_deployer *d, struct bridge *b)
{
    int version = rconn_get_version(b->rconn);
    enum ofputil_protocol want, next;
    struct ofpbuf *msg;
    struct op *op;

    b->protocol = ofputil_protocol_from_ofp_version(version);
    want = version == OFP10_VERSION ? OFPUTIL_P_OF10_NXM_TID : b->protocol;
    while ((msg = ofputil_encode_set_protocol(b->protocol, want, &next))) {
        vtrace_deployer_send(b, msg);
        b->protocol = next;
    }

    b->ports_xid = b->stats_xid = 0;
    b->ports_valid = false;
    b->next_stats = time_msec();
    HMAP_FOR_EACH (op, node, &d->ops) {
        if (op->bridge == b) {
            op->sent = op->asked = op->checked = false;
            op->check_xid = 0;
        }
    }
    b->left_xid = b->sweep_xid = 0;
    vtrace_deployer_ask_left(d, b);
    b->phase = PHASE_SWEEP;
}

static void
send_install(struct bridge *b, struct op *op)
{
    const struct shash_node *port = shash_find(&b->ports, op->port);
    long long int left = (op->latest - time_msec()) / 1000;
    struct ofputil_flow_mod fm;
    struct vtrace_flow flow;
    char *error;

    if (!port) {
        vtrace_deployer_refused(
            op, xasprintf("bridge %s: no port named %s%s", b->name, op->port,
                          strlen(op->port) <= MAX_PORT_NAME ? ""
                          : ": OpenFlow has 15 bytes for a port's name, "
                            "rename the port"));
        return;
    } else if (left < MIN_TIMEOUT) {
        vtrace_deployer_refused(
            op, xasprintf("bridge %s: the task's time was over when the "
                          "switch could take the rule", b->name));
        return;
    }
    op->flow.in_port = u16_to_ofp((uintptr_t) port->data);
    flow = op->flow;
    flow.hard_timeout = MIN(flow.hard_timeout, left);
    if (!op->checked) {
        if (!op->check_xid) {
            vtrace_deployer_ask_check(op, &flow);
        }
        return;
    }
    error = vtrace_flow_mod_init(&flow, &fm);
    if (error) {
        vtrace_deployer_refused(op, error);
        return;
    }
    vtrace_fault("flow-mod:send");
    op->flow_mod_xid = vtrace_deployer_send(
        b, ofputil_encode_flow_mod(&fm, b->protocol));
    vtrace_flow_mod_uninit(&fm);
    op->barrier_xid = vtrace_deployer_send_barrier(b);
    op->sent = true;
}

static void
run_op(struct bridge *b, struct op *op)
{
    if (op->sent) {
        return;
    }
    if (op->status == VTRACE_OP_REMOVING) {
        op->flow_mod_xid = 0;
        op->barrier_xid = send_delete(b, op->cookie, UINT64_MAX);
        op->sent = true;
    } else if (op->status == VTRACE_OP_INSTALLING) {
        if (b->ports_valid) {
            send_install(b, op);
        } else if (!b->ports_xid) {
            shash_clear(&b->ports);
            b->ports_xid = vtrace_deployer_send(
                b, ofputil_encode_port_desc_stats_request(
                    rconn_get_version(b->rconn), OFPP_ANY));
        }
    }
}

static bool
injects(const struct bridge *b, const struct op *op)
{
    return (b->phase == PHASE_READY && op->injector
            && op->status == VTRACE_OP_INSTALLED);
}

static void
ask_for_stats(struct vtrace_deployer *d, struct bridge *b)
{
    struct ofputil_flow_stats_request request = {
        .cookie = htonll(d->cookies),
        .cookie_mask = htonll(d->mask),
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .table_id = 0,
    };
    bool any = false;
    struct op *op;

    HMAP_FOR_EACH (op, node, &d->ops) {
        if (op->bridge == b) {
            op->asked = op->status == VTRACE_OP_INSTALLED;
            op->seen = false;
            any = any || op->asked;
        }
    }
    b->next_stats = time_msec() + VTRACE_DEPLOYER_POLL_MS;
    if (any) {
        match_init_catchall(&request.match);
        b->stats_xid = vtrace_deployer_send(
            b, ofputil_encode_flow_stats_request(&request, b->protocol));
    }
}

/* Receiving. */

static void
received_ports(struct bridge *b, const struct ofp_header *oh)
{
    struct ofpbuf msg = ofpbuf_const_initializer(oh, ntohs(oh->length));
    struct ofputil_phy_port port;
    int error;

    ofpraw_pull_assert(&msg);
    while (!(error = ofputil_pull_phy_port(oh->version, &msg, &port))
           && shash_count(&b->ports) < MAX_PORTS) {
        shash_replace(&b->ports, port.name,
                      (void *) (uintptr_t) ofp_to_u16(port.port_no));
    }
    if (error && error != EOF) {
        VLOG_WARN("bridge %s: port list: %s", b->name,
                  ofperr_to_string(error));
    }
    if (!ofpmp_more(oh)) {
        b->ports_xid = 0;
        b->ports_valid = true;
    }
}

/* Finds the operation whose rule 'fs' is about. */
static struct op *
find_op_of_stats(const struct vtrace_deployer *d, const struct bridge *b,
                 const struct ofputil_flow_stats *fs)
{
    uint64_t cookie = ntohll(fs->cookie);
    struct op *op;

    HMAP_FOR_EACH_WITH_HASH (op, node, hash_uint64(cookie), &d->ops) {
        if (op->cookie == cookie && op->bridge == b
            && op->status == VTRACE_OP_INSTALLED
            && vtrace_flow_is(&op->flow, &fs->match)) {
            return op;
        }
    }
    return NULL;
}

static void
received_stats(struct vtrace_deployer *d, struct bridge *b,
               const struct ofp_header *oh)
{
    struct ofpbuf msg = ofpbuf_const_initializer(oh, ntohs(oh->length));
    struct ofputil_flow_stats fs;
    struct ofpbuf ofpacts;
    struct op *op;
    int error;

    ofpbuf_init(&ofpacts, 0);
    while (!(error = ofputil_decode_flow_stats_reply(&fs, &msg, true,
                                                     &ofpacts))) {
        op = find_op_of_stats(d, b, &fs);
        if (op) {
            op->seen = true;
            op->packets = MAX(op->packets, fs.packet_count);
        }
    }
    ofpbuf_uninit(&ofpacts);
    if (error != EOF) {
        /* Says nothing about what is there. */
        VLOG_WARN("bridge %s: flow statistics: %s", b->name,
                  ofperr_to_string(error));
        b->stats_xid = 0;
        return;
    }
    if (ofpmp_more(oh)) {
        return;
    }
    b->stats_xid = 0;
    HMAP_FOR_EACH (op, node, &d->ops) {
        if (op->bridge == b && op->asked && !op->seen
            && op->status == VTRACE_OP_INSTALLED) {
            op->status = VTRACE_OP_GONE;
            vtrace_deployer_set_why(
                op, xasprintf("bridge %s: the task's rule is gone: somebody "
                              "removed it, or the switch was restarted",
                              b->name));
        }
    }
}

static void
received_error(struct vtrace_deployer *d, struct bridge *b,
               const struct ofp_header *oh)
{
    enum ofperr error = ofperr_decode_msg(oh, NULL);
    struct op *op;

    if (b->stats_xid && oh->xid == b->stats_xid) {
        b->stats_xid = 0;
    }
    if (b->ports_xid && oh->xid == b->ports_xid) {
        b->ports_xid = 0;
        b->ports_valid = true;
    }
    if (b->left_xid && oh->xid == b->left_xid) {
        vtrace_deployer_got_left(d, b, oh);
    }
    HMAP_FOR_EACH (op, node, &d->ops) {
        if (op->bridge == b && op->sent && op->flow_mod_xid == oh->xid
            && op->status == VTRACE_OP_INSTALLING) {
            vtrace_deployer_refused(op, vtrace_deployer_explain(op, error));
            return;
        } else if (op->bridge == b && op->check_xid
                   && op->check_xid == oh->xid) {
            vtrace_deployer_got_check(op, oh);
            return;
        } else if (op->bridge == b && op->injector
                   && vtrace_injector_refused(op->injector, oh->xid, b->name,
                                              error)) {
            return;
        }
    }
    VLOG_WARN("bridge %s: %s", b->name, ofperr_to_string(error));
}

static void
received_barrier(struct vtrace_deployer *d, struct bridge *b,
                 const struct ofp_header *oh)
{
    struct op *op;

    if (b->phase == PHASE_SWEEP && b->sweep_xid
        && oh->xid == b->sweep_xid) {
        b->phase = PHASE_READY;
        return;
    }
    HMAP_FOR_EACH (op, node, &d->ops) {
        if (op->bridge == b && op->sent && op->barrier_xid == oh->xid) {
            if (op->status == VTRACE_OP_INSTALLING) {
                vtrace_fault("flow-mod:barrier");
                op->status = VTRACE_OP_INSTALLED;
                vtrace_deployer_set_why(op, NULL);
            } else if (op->status == VTRACE_OP_REMOVING) {
                op->status = VTRACE_OP_REMOVED;
                vtrace_deployer_set_why(op, NULL);
            }
        }
    }
}

/* A switch may ask faster than it reads. */
static void
received_echo(struct bridge *b, const struct ofp_header *oh)
{
    if (rconn_packet_counter_n_packets(b->echoes) < MAX_ECHOES) {
        rconn_send(b->rconn, ofputil_encode_echo_reply(oh), b->echoes);
    } else {
        static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);

        VLOG_WARN_RL(&rl, "bridge %s: %d echo requests, and the switch reads "
                     "no answer: connecting again", b->name, MAX_ECHOES);
        rconn_reconnect(b->rconn);
    }
}

static void
received_flows(struct vtrace_deployer *d, struct bridge *b,
               const struct ofp_header *oh)
{
    struct op *op;

    if (b->stats_xid && oh->xid == b->stats_xid) {
        received_stats(d, b, oh);
    } else if (b->left_xid && oh->xid == b->left_xid) {
        vtrace_deployer_got_left(d, b, oh);
    } else {
        HMAP_FOR_EACH (op, node, &d->ops) {
            if (op->bridge == b && op->check_xid
                && op->check_xid == oh->xid) {
                vtrace_deployer_got_check(op, oh);
                break;
            }
        }
    }
}

static void
received(struct vtrace_deployer *d, struct bridge *b,
         const struct ofp_header *oh)
{
    enum ofptype type;
    enum ofperr error = ofptype_decode(&type, oh);

    if (error) {
        VLOG_WARN("bridge %s: %s", b->name, ofperr_to_string(error));
        return;
    }
    if (type == OFPTYPE_ECHO_REQUEST) {
        received_echo(b, oh);
    } else if (type == OFPTYPE_BARRIER_REPLY) {
        received_barrier(d, b, oh);
    } else if (type == OFPTYPE_ERROR) {
        received_error(d, b, oh);
    } else if (type == OFPTYPE_PORT_DESC_STATS_REPLY) {
        if (b->ports_xid && oh->xid == b->ports_xid) {
            received_ports(b, oh);
        }
    } else if (type == OFPTYPE_FLOW_STATS_REPLY) {
        received_flows(d, b, oh);
    }
}

static void
bridge_run(struct vtrace_deployer *d, struct bridge *b)
{
    bool busy = false;
    struct op *op;

    rconn_run(b->rconn);
    if (!rconn_is_connected(b->rconn)) {
        b->phase = PHASE_CONNECT;
    } else if (b->phase == PHASE_CONNECT
               || b->seqno != rconn_get_connection_seqno(b->rconn)) {
        b->seqno = rconn_get_connection_seqno(b->rconn);
        bridge_connected(d, b);
    }
    for (int i = 0; i < 50; i++) {
        struct ofpbuf *msg = rconn_recv(b->rconn);

        if (!msg) {
            break;
        }
        received(d, b, msg->data);
        ofpbuf_delete(msg);
    }
    HMAP_FOR_EACH (op, node, &d->ops) {
        if (op->bridge == b) {
            busy = true;
            if (b->phase == PHASE_READY) {
                run_op(b, op);
            }
            if (injects(b, op)) {
                vtrace_injector_run(op->injector, b->rconn, op->flow.in_port,
                                    b->protocol);
            }
        }
    }
    if (b->phase == PHASE_READY && !b->stats_xid
        && time_msec() >= b->next_stats) {
        ask_for_stats(d, b);
    }
    if (busy) {
        b->last_use = time_msec();
    } else if (time_msec() - b->last_use > IDLE_MS) {
        /* If it was never reached it is swept when it is needed again. */
        bridge_destroy(d, b);
    }
}

void
vtrace_deployer_run(struct vtrace_deployer *d)
{
    struct bridge *b;

    HMAP_FOR_EACH_SAFE (b, node, &d->bridges) {
        bridge_run(d, b);
    }
}

void
vtrace_deployer_wait(struct vtrace_deployer *d)
{
    struct bridge *b;
    struct op *op;

    HMAP_FOR_EACH (b, node, &d->bridges) {
        rconn_run_wait(b->rconn);
        rconn_recv_wait(b->rconn);
        if (b->phase == PHASE_READY && !b->stats_xid) {
            poll_timer_wait_until(b->next_stats);
        }
    }
    HMAP_FOR_EACH (op, node, &d->ops) {
        if (op->bridge->phase == PHASE_READY && !op->sent
            && (op->status == VTRACE_OP_REMOVING
                || (op->status == VTRACE_OP_INSTALLING
                    && !op->bridge->ports_xid && !op->check_xid))) {
            poll_immediate_wake();
        } else if (injects(op->bridge, op)) {
            vtrace_injector_wait(op->injector);
        }
    }
}
