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


/* Fuzzes what the ZooRoute thread does with received probes: parser,
 * authentication, responder and peer, with any bytes in any order.
 *
 * The input is a sequence of operations, each of which is a byte that says
 * what to do, one or more arguments, and sometimes the bytes of a probe after
 * their length. */

#include <config.h>

#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "ofproto-zoo/zoo-auth.h"
#include "ofproto-zoo/zoo-peer.h"
#include "ofproto-zoo/zoo-peer-learn.h"
#include "ofproto-zoo/zoo-responder.h"
#include "openvswitch/util.h"
#include "packets.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define MSEC (1000 * 1000LL)

/* What zooroute_report_clock() returns. */
#define CLOCK UINT64_C(0xfedcba9876543210)

/* Operations. */
enum op {
    OP_RECEIVE,                 /* Bytes as they are. */
    OP_RECEIVE_SIGNED,          /* Bytes, signed with our key. */
    OP_RECEIVE_OURS,            /* Bytes of a report, with our session and
                                 * about this round, signed. */
    OP_ECHO,                    /* A right report on our last round, except for
                                 * one byte that is changed. */
    OP_WAIT,                    /* Time passes. */
    OP_USE,                     /* Tenants use some buckets. */
    OP_STEP,                    /* The thread runs once. */
    OP_FORCE,                   /* An operator sets a candidate. */
    OP_FOLLOW,                  /* Packets of sessions have come. */
    N_OPS
};

struct state {
    /* Input. */
    const uint8_t *p, *end;

    long long int now;
    uint64_t random;
    struct zoo_params params;
    struct zoo_auth *auth;
    struct zoo_responder *responder;
    struct zoo_rx_limit *limit;
    struct zoo_peer peer;
    unsigned int n_requests, n_copies;
};

static unsigned int
get_byte(struct state *s)
{
    return s->p < s->end ? *s->p++ : 0;
}

static uint64_t
get_random(struct state *s)
{
    s->random = s->random * UINT64_C(6364136223846793005) + 1;
    return s->random;
}

static void
check_peer(struct state *s)
{
    const struct zoo_peer *peer = &s->peer;
    uint32_t all = UINT32_MAX >> (32 - peer->table.n);
    uint16_t ports[ZOO_N_BUCKETS], sports[8];

    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        ovs_assert(peer->table.owner[b] < peer->table.n);
    }
    zoo_path_table_ports(&peer->table, peer->upstream, ports);
    ovs_assert(!(zoo_peer_healthy(peer) & ~all));
    if (peer->learner) {
        const struct zoo_learner *l = peer->learner;

        ovs_assert(!((l->learned | l->spared | l->own) & ~all));
        for (int b = 0; b < ZOO_N_BUCKETS; b++) {
            ovs_assert(zoo_peer_home(peer, b) < peer->table.n);
        }
    }
    ovs_assert(!(zoo_peer_in_use(peer) & ~all));
    ovs_assert(zoo_peer_timeout(peer, &s->params) <= 1000 * MSEC);
    ovs_assert(zoo_peer_timeout(peer, &s->params) > 0);
    ovs_assert(peer->slowed <= ZOO_PEER_MAX_DOUBLINGS);
    ovs_assert(zoo_peer_state_to_string(peer->state));
    ovs_assert(zoo_peer_report_ports(peer, eth_addr_zero, get_random(s),
                                     sports, 8) >= 1);
}

static enum zoo_probe_error
receive_request(struct state *s, const struct zoo_probe *probe,
                unsigned int from)
{
    struct zoo_sender_tunnel *tunnel;
    struct zoo_sender_key key;
    enum zoo_probe_error error;
    struct zoo_rx_grant grant;
    uint16_t sport = (from & 0x80 ? 60000
                      : probe->entries[from % probe->n_entries].sport);
    bool newest;

    memset(&key, 0, sizeof key);
    in6_addr_set_mapped_ipv4(&key.remote, htonl(from & 3));
    key.instance = zoo_session_instance(probe->session);
    if (!zoo_rx_limit_admit(s->limit, &key.remote, from & 3, from >> 6,
                            s->now)) {
        return ZOO_PROBE_FLOOD;
    }
    grant = zoo_rx_limit_take(s->limit, &key.remote, s->now);
    error = zoo_responder_receive(s->responder, &key, sport, probe, s->now,
                                  s->now, get_random(s), grant, &tunnel,
                                  &newest);
    ovs_assert(!error == (tunnel != NULL));
    ovs_assert(!newest || !error);
    if (newest && s->params.learn) {
        zoo_peer_hear(&s->peer, &s->params, probe, sport, CLOCK, s->now);
    }
    s->n_requests += !error;
    return error;
}

/* Receives the 'len' bytes at 'buf' as the thread does. */
static void
receive(struct state *s, const uint8_t *buf, size_t len, unsigned int from)
{
    /* Where it ends a sanitizer notices what reads on. */
    uint8_t *copy = xmalloc(len + !len);
    struct zoo_probe probe;
    enum zoo_probe_error error;
    size_t probe_len;

    memcpy(copy, buf, len);
    error = zoo_probe_decode(copy, len, &probe, &probe_len);
    if (!error) {
        ovs_assert(probe_len <= len);
        error = zoo_auth_verify(s->auth, probe.key_id, NULL, copy, probe_len);
    }
    if (!error) {
        error = (probe.type == ZOO_PROBE_REQUEST
                 ? receive_request(s, &probe, from)
                 : zoo_peer_report(&s->peer, &s->params, &probe,
                                   probe.entries[from % probe.n_entries].sport,
                                   s->now));
    }
    ovs_assert(*zoo_probe_error_to_string(error));
    free(copy);
}

/* Encodes 'probe', signs and receives it, with byte 'ofs' changed by 'xor'
 * before that. */
static void
receive_probe(struct state *s, struct zoo_probe *probe, unsigned int ofs,
              unsigned int xor, unsigned int from)
{
    uint8_t buf[ZOO_PROBE_MAX_LEN];
    size_t len;

    probe->key_id = zoo_auth_choose(s->auth, 0, 0);
    len = zoo_probe_encode(probe, buf);
    buf[ofs % len] ^= xor;
    zoo_auth_sign(s->auth, probe->key_id, NULL, buf, len);
    receive(s, buf, len, from);
}

static size_t
get_bytes(struct state *s, const uint8_t **bytes)
{
    size_t len = get_byte(s) * 2;

    len = MIN(len, s->end - s->p);
    *bytes = s->p;
    s->p += len;
    return len;
}

static void
receive_bytes(struct state *s, enum op op)
{
    unsigned int from = get_byte(s);
    const uint8_t *bytes;
    size_t len = get_bytes(s, &bytes);
    struct zoo_probe probe;
    size_t probe_len;

    if (op == OP_RECEIVE || zoo_probe_decode(bytes, len, &probe, &probe_len)) {
        receive(s, bytes, len, from);
        return;
    }
    if (op == OP_RECEIVE_OURS) {
        probe.type = ZOO_PROBE_REPORT;
        probe.session = s->peer.session;
        probe.round = s->peer.round - (probe.round & 31);
        for (unsigned int i = 0; i < probe.n_entries; i++) {
            struct zoo_probe_entry *e = &probe.entries[i];

            e->sport = s->peer.table.sport[e->sport % s->peer.table.n];
            e->last = s->peer.round - (e->last & 31);
        }
        if (!probe.round) {
            probe.round = 1;
        }
    }
    if (op == OP_RECEIVE_SIGNED && probe.type == ZOO_PROBE_REQUEST) {
        /* Some of our reports have come. */
        for (unsigned int i = 0; i < probe.n_entries; i++) {
            struct zoo_probe_entry *e = &probe.entries[i];

            zoo_probe_set_echo(e, (s->now + CLOCK
                                   - (e->last & 1023) * 10 * MSEC));
        }
    }
    receive_probe(s, &probe, 0, 0, from);
}

static void
echo(struct state *s)
{
    unsigned int ofs = get_byte(s), xor = get_byte(s);
    struct zoo_probe probe;

    if (!s->peer.round || !s->peer.probed) {
        return;
    }
    zoo_peer_request(&s->peer, s->peer.probed, &probe);
    probe.type = ZOO_PROBE_REPORT;
    probe.flags = 0;
    for (unsigned int i = 0; i < probe.n_entries; i++) {
        probe.entries[i].last = probe.round;
        probe.entries[i].history = UINT16_MAX;
    }
    receive_probe(s, &probe, ofs * 2, xor, 0);
}

static void
run_peer(struct state *s)
{
    uint32_t set;

    if (zoo_peer_needs_session(&s->peer)) {
        zoo_peer_begin_session(&s->peer, get_random(s));
    }
    set = zoo_peer_run(&s->peer, &s->params, s->now);
    if (set) {
        struct zoo_probe probe;

        zoo_peer_request(&s->peer, set, &probe);
        ovs_assert(probe.round && probe.session && probe.n_entries);
        zoo_peer_sent(&s->peer, get_random(s) % 8 != 0, s->now);

        /* Sometimes it goes to our own responder. */
        if (get_random(s) % 2) {
            receive_probe(s, &probe, 0, 0, get_random(s) & 0x7f);
        }
    }
}

static void
step(struct state *s)
{
    struct zoo_report report;
    int n = 0;

    while (zoo_responder_next_report(s->responder, s->now, &report)) {
        ovs_assert(report.probe.n_entries >= 1
                   && report.probe.n_entries <= ZOO_MAX_CANDIDATES);
        s->n_copies += report.max_copies;
        ovs_assert(s->n_copies <= s->n_requests);

        /* What it reports to one who does not ask. */
        receive_probe(s, &report.probe, 0, 0, 0);
    }
    ovs_assert(zoo_responder_next_due(s->responder) > s->now);
    zoo_responder_expire(s->responder, s->now);

    /* It may want to run again at once, but not for ever. */
    do {
        run_peer(s);
        ovs_assert(++n < 20);
    } while (zoo_peer_next(&s->peer, &s->params) <= s->now);
}

static void
use(struct state *s)
{
    unsigned int n = get_byte(s);
    bool used[ZOO_N_BUCKETS];

    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        used[b] = b < n;
    }
    zoo_peer_use(&s->peer, used, &s->params, s->now);
}

static void
follow(struct state *s)
{
    unsigned int n = get_byte(s), salt = get_byte(s);
    uint16_t seen[ZOO_N_BUCKETS] = { 0 };

    for (unsigned int b = 0; b < MIN(n, ZOO_N_BUCKETS); b++) {
        seen[b] = (b % 7 ? s->peer.table.sport[(b + salt) % s->peer.table.n]
                   : b * salt);
    }
    zoo_peer_follow(&s->peer, &s->params, seen, s->now);
}

static void
run_op(struct state *s)
{
    enum op op = get_byte(s) % N_OPS;
    unsigned int arg;

    switch (op) {
    case OP_RECEIVE:
    case OP_RECEIVE_SIGNED:
    case OP_RECEIVE_OURS:
        receive_bytes(s, op);
        break;
    case OP_ECHO:
        echo(s);
        break;
    case OP_WAIT:
        arg = get_byte(s);
        s->now += (arg < 128 ? arg * MSEC : (arg - 127) * 100 * MSEC);
        break;
    case OP_USE:
        use(s);
        break;
    case OP_STEP:
        step(s);
        break;
    case OP_FORCE:
        arg = get_byte(s);
        zoo_peer_force(&s->peer, &s->params, arg / 4 % s->peer.table.n,
                       arg % 3, s->now);
        break;
    case OP_FOLLOW:
        follow(s);
        break;
    case N_OPS:
    default:
        OVS_NOT_REACHED();
    }
    check_peer(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state s;
    char *error;
    unsigned int options;

    memset(&s, 0, sizeof s);
    s.p = data;
    s.end = data + size;
    s.now = 1000 * 1000 * MSEC;
    s.random = 1;
    options = get_byte(&s);
    s.params = (struct zoo_params) {
        .candidates = options & 1 ? 32 : 2,
        .port_min = 32768,
        .port_max = 60999,
        .probe_interval = (options & 2 ? 100 : 10) * MSEC,
        .full_interval = 1000 * MSEC,
        .fail_threshold = options & 4 ? 2 : 1,
        .recover_successes = 3,
        .recover_window = 5,
        .hold_down = options & 8 ? 10 * 1000 * MSEC : 0,
        .peer_idle = 60 * 1000 * MSEC,
        .stretch = options >> 5 & 3,
        .learn = options >> 7,
    };
    if (options & 16) {
        s.auth = zoo_auth_parse("1 000102030405060708090a0b0c0d0e0f", "keys",
                                &error);
    }
    s.responder = zoo_responder_create();
    s.limit = zoo_rx_limit_create(s.random);
    zoo_rx_limit_configure(s.limit, 100 << (s.random & 15), 64);
    zoo_peer_init(&s.peer, &s.params, "peer", 4, 1, get_random(&s), s.now);
    while (s.p < s.end) {
        run_op(&s);
    }
    zoo_peer_uninit(&s.peer);
    zoo_responder_destroy(s.responder);
    zoo_rx_limit_destroy(s.limit);
    zoo_auth_unref(s.auth);
    return 0;
}
