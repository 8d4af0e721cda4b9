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

/* Fuzz target: everything that a probe from the network reaches.
 *
 * The input is a sequence of packets, each a byte that says how it arrives, a
 * byte that says how much time passes, a byte of length and so many bytes.
 * Its length is bounded by that byte, so a short mutation stays short. */

#include <config.h>

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ofproto-zoo/zoo-auth.h"
#include "ofproto-zoo/zoo-peer.h"
#include "ofproto-zoo/zoo-probe.h"
#include "ofproto-zoo/zoo-responder.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MSEC (1000 * 1000LL)

/* How a packet arrives. */
#define ARRIVE_MANGLED 0x01     /* As it is, not with a good HMAC. */
#define ARRIVE_ODD_PORT 0x02    /* From a port that is nobody's. */
#define ARRIVE_SESSION 0x04     /* With the peer's session. */
#define ARRIVE_RUN 0x08         /* After the peer has had its turn. */

static const struct zoo_params params = {
    .candidates = 32,
    .port_min = 32768,
    .port_max = 60999,
    .probe_interval = 100 * MSEC,
    .full_interval = 1000 * MSEC,
    .fail_threshold = 2,
    .recover_successes = 3,
    .recover_window = 5,
    .hold_down = 10000 * MSEC,
    .peer_idle = 60000 * MSEC,
};

static void
check_peer(const struct zoo_peer *peer)
{
    for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
        ovs_assert(peer->table.owner[b] < peer->table.n);
    }
}

static void
run_peer(struct zoo_peer *peer, long long int now)
{
    bool used[ZOO_N_BUCKETS] = { true };
    uint32_t set;

    zoo_peer_use(peer, used, &params, now);
    if (zoo_peer_needs_session(peer)) {
        zoo_peer_begin_session(peer, now);
    }
    set = zoo_peer_run(peer, &params, now);
    if (set) {
        struct zoo_probe request;

        zoo_peer_request(peer, set, &request);
        ovs_assert(request.n_entries && request.n_entries <= peer->table.n);
        zoo_peer_sent(peer, true, now);
    }
    check_peer(peer);
}

/* Sends all reports that are due.  None may be longer than the 'n_entries' of
 * a request that it answers, nor may there be more than requests. */
static void
run_responder(struct zoo_responder *r, long long int now, uint64_t *n_requests)
{
    struct zoo_report report;

    while (zoo_responder_next_report(r, now, &report)) {
        uint8_t buf[ZOO_PROBE_MAX_LEN];

        ovs_assert(report.probe.n_entries <= ZOO_MAX_CANDIDATES);
        ovs_assert(report.max_copies && report.max_copies <= *n_requests);
        *n_requests -= report.max_copies;
        ovs_assert(zoo_probe_encode(&report.probe, buf) <= sizeof buf);
    }
}

static void
receive(struct zoo_peer *peer, struct zoo_responder *r,
        const struct zoo_auth *auth, uint8_t how, uint8_t *buf, size_t len,
        long long int now, uint64_t *n_requests)
{
    struct zoo_sender_tunnel *tunnel;
    struct zoo_sender_key key;
    struct zoo_probe probe;
    uint16_t sport;
    size_t n;

    if (zoo_probe_decode(buf, len, &probe, &n)) {
        return;
    }
    ovs_assert(n <= len && probe.n_entries <= ZOO_MAX_CANDIDATES);
    if (!(how & ARRIVE_MANGLED)) {
        zoo_auth_sign(auth, probe.key_id, NULL, buf, n);
    }
    if (zoo_auth_verify(auth, probe.key_id, NULL, buf, n)) {
        return;
    }

    if (probe.type == ZOO_PROBE_REPORT) {
        if (how & ARRIVE_SESSION) {
            probe.session = peer->session;
        }
        zoo_peer_report(peer, &params, &probe, now);
        check_peer(peer);
        return;
    }
    memset(&key, 0, sizeof key);
    key.instance = zoo_session_instance(probe.session);
    sport = (how & ARRIVE_ODD_PORT ? how << 8
             : probe.entries[how >> 4 & (probe.n_entries - 1)].sport);
    *n_requests += !zoo_responder_receive(r, &key, sport, &probe, now, now,
                                          now, &tunnel);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct zoo_auth *auth;
    struct zoo_responder *r = zoo_responder_create();
    long long int now = 1000 * MSEC;
    uint64_t n_requests = 0;
    struct zoo_peer peer;
    char *error;

    if (!auth) {
        auth = zoo_auth_parse("1 000102030405060708090a0b0c0d0e0f\n", "keys",
                              &error);
    }
    zoo_peer_init(&peer, &params, "peer", 4, 1, 42, now);

    while (size > 3) {
        uint8_t buf[ZOO_PROBE_MAX_LEN];
        uint8_t how = data[0];
        size_t len = MIN(data[2] * 2, size - 3);

        now += data[1] * MSEC;
        memcpy(buf, data + 3, len);
        data += 3 + len;
        size -= 3 + len;
        if (how & ARRIVE_RUN) {
            run_peer(&peer, now);
        }
        receive(&peer, r, auth, how, buf, len, now, &n_requests);
        run_responder(r, now, &n_requests);
    }
    zoo_responder_expire(r, now);
    zoo_responder_destroy(r);
    return 0;
}
