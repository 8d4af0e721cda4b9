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
#include "zooroute-private.h"

#include <errno.h>

#include "coverage.h"
#include "dp-packet.h"
#include "hash.h"
#include "ovs-ext/zoo-quarantine.h"
#include "ovs-ext/zoo-vtrace.h"
#include "util.h"

/* Rounds of requests, and reports. */

COVERAGE_DEFINE(zooroute_round_sent);
COVERAGE_DEFINE(zooroute_report_sent);

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* Reports that answer an urgent round, on different ports. */
#define URGENT_COPIES 3

/* Rounds without an answer after which another tunnel port is tried. */
#define SILENT_ROUNDS 2

/* Peers visited in a row: translation may wait for the mutex. */
#define MAX_VISITS 256

/* What may be sent now, in billionths of a report, and when that was so. */
static long long int report_credit, report_credit_updated;

static uint32_t report_salt;

/* Returns how many reports may be sent per second: one for each request that is
 * processed, at least.  Those who ask take a late report for a loss, so only
 * 'rx_rate' is a means against too many. */
static long long int
report_rate(void) OVS_REQUIRES(zooroute_mutex)
{
    return MAX(zooroute_config.max_probe_rate, zooroute_config.rx_rate);
}

/* A hundredth of a second's worth, as of requests. */
static long long int
max_report_credit(void) OVS_REQUIRES(zooroute_mutex)
{
    return MAX(report_rate() / 100, 2 * ZOO_MAX_CANDIDATES) * SEC;
}

static void
refill_reports(long long int now) OVS_REQUIRES(zooroute_mutex)
{
    long long int elapsed = MAX(0, MIN(now - report_credit_updated, SEC));

    report_credit = MIN(report_credit + elapsed * report_rate(),
                        max_report_credit());
    report_credit_updated = now;
}

bool
zooroute_reports_lack_credit(void)
{
    return report_credit < URGENT_COPIES * SEC;
}

static void
set_sports(struct zooroute_tx *tx)
{
    tx->n_sports = tx->probe.n_entries;
    for (unsigned int i = 0; i < tx->n_sports; i++) {
        tx->sports[i] = tx->probe.entries[i].sport;
    }
}

/* Fills 'tx' with the round of 'peer' on the candidates in 'set'. */
static void
fill_request(struct zooroute_tx *tx, struct zooroute_peer *peer, uint32_t set)
    OVS_REQUIRES(zooroute_mutex)
{
    /* A peer that does not answer, or not any more, may have other keys than
     * it had. */
    bool answers = (peer->peer.answered
                    && peer->peer.state != ZOO_PEER_EXHAUSTED);

    if (peer->peer.n_silent >= SILENT_ROUNDS) {
        zooroute_rotate_port(peer);
    }
    memset(tx, 0, sizeof *tx);
    tx->peer = peer;
    tx->dst = peer->dst;
    tx->dst_port = peer->key.dst_port;
    zoo_peer_request(&peer->peer, set, &tx->probe);
    tx->probe.caps |= zooroute_config.gateway ? ZOO_PROBE_CAP_GATEWAY : 0;
    /* One that learns does not teach: see zoo-peer-learn.h. */
    tx->probe.caps |= zooroute_params.learn ? 0 : ZOO_PROBE_CAP_ECHO;
    tx->key_id = zoo_auth_choose(zooroute_auth,
                                 answers ? peer->peer.peer_key : 0,
                                 answers ? 0 : peer->key_attempts++);
    set_sports(tx);
}

/* Gives 'peer' a new session if it needs one: round numbers must not wrap
 * around, and a responder may have come to refuse the session of a peer that
 * is exhausted. */
static void
renew_session(struct zooroute_peer *peer)
    OVS_REQUIRES(zooroute_mutex)
{
    uint64_t session;

    if (zoo_peer_needs_session(&peer->peer)
        && zooroute_new_session(&peer->key, &session)) {
        hmap_remove(&zooroute_sessions, &peer->session_node);
        zoo_rx_expect_no_more(peer->peer.session);
        zoo_peer_begin_session(&peer->peer, session);
        hmap_insert(&zooroute_sessions, &peer->session_node,
                    hash_uint64(peer->peer.session));
        zoo_rx_expect(peer->peer.session);
    }
}

/* Draws conclusions for the peers whose time has come, and has those wait for
 * their turn that have something to send.  Returns false if there are more. */
static bool
visit_peers(long long int now) OVS_REQUIRES(zooroute_mutex)
{
    struct zoo_schedule_node *node;
    int n = 0;

    while ((node = zoo_schedule_visit(&zooroute_peer_schedule, now))) {
        struct zooroute_peer *peer = CONTAINER_OF(node, struct zooroute_peer,
                                                  schedule_node);
        enum zoo_peer_state before = peer->peer.state;

        if (n++ >= MAX_VISITS) {
            return false;
        }
        zoo_peer_run_within(&peer->peer,
                            zooroute_segment_params(peer->segment),
                            ZOO_BUDGET_NONE, now);
        zooroute_publish(peer);
        zooroute_log_events(peer, before);
        zooroute_schedule(peer, now);
    }
    return true;
}

bool
zooroute_run_peers(struct zooroute_tx *txs, unsigned int max,
                   long long int now, unsigned int *np)
{
    struct zoo_schedule *schedule = &zooroute_peer_schedule;
    bool all = visit_peers(now);
    struct zoo_schedule_node *node;
    enum zoo_budget budget;
    unsigned int n = 0;

    zoo_schedule_refill(schedule, zooroute_config.max_probe_rate, now);
    while (n < max && (node = zoo_schedule_take(schedule, &budget))) {
        struct zooroute_peer *peer = CONTAINER_OF(node, struct zooroute_peer,
                                                  schedule_node);
        enum zoo_peer_state before = peer->peer.state;
        const struct zoo_params *params
            = zooroute_segment_params(peer->segment);
        unsigned int n_requests = 0;
        uint32_t set;

        renew_session(peer);
        set = zoo_peer_run_within(&peer->peer, params, budget, now);
        zooroute_publish(peer);
        zooroute_log_events(peer, before);
        if (set) {
            fill_request(&txs[n], peer, set);
            n_requests = txs[n++].n_sports;
        }
        zoo_schedule_sent(schedule, node, params, n_requests, now);
    }
    zooroute_stats.rate_limited = schedule->n_delayed;
    *np = n;
    return all && n < max;
}

/* Chooses the ports that report 'tx' goes out from: those that work on the way
 * back, as far as this side knows from its own peer, if it has one.  Of several
 * middleboxes with one address, the one that asked must get it: where it is not
 * known which ports lead there, copies make that more likely. */
static void
set_report_sports(struct zooroute_tx *tx, const struct zoo_report *report,
                  const struct zooroute_peer *peer)
    OVS_REQUIRES(zooroute_mutex)
{
    bool urgent = report->probe.flags & ZOO_PROBE_F_URGENT;
    struct eth_addr backend = report->key.backend;
    bool astray = (!eth_addr_is_zero(backend)
                   && !(peer && zoo_peer_leads_to(&peer->peer, backend)));
    unsigned int n = (urgent || astray
                      ? MIN(URGENT_COPIES, report->max_copies) : 1);

    if (peer) {
        tx->n_sports = zoo_peer_report_ports(&peer->peer, backend,
                                             report_salt, tx->sports, n);
    } else {
        /* Any ports will do, as long as they differ. */
        const struct zoo_probe *probe = &report->probe;

        for (unsigned int i = 0; i < MIN(n, probe->n_entries); i++) {
            tx->sports[tx->n_sports++]
                = probe->entries[(report_salt + i) % probe->n_entries].sport;
        }
    }
    report_salt += tx->n_sports;
}

/* Has report 'tx' go out from every port that the requests which it answers
 * came from, if that teaches this middlebox about 'peer'.  Returns false if
 * not, or if what may be sent is needed for others. */
static bool
reflect(struct zooroute_tx *tx, const struct zoo_report *report,
        const struct zooroute_peer *peer)
    OVS_REQUIRES(zooroute_mutex)
{
    /* What is sent to another shared address might go astray. */
    if (!zooroute_params.learn || !report->arrived
        || !peer || peer->peer.state == ZOO_PEER_IDLE
        || !zooroute_is_sender(peer, &report->key)
        || !eth_addr_is_zero(report->key.backend)
        || !(report->peer_caps & ZOO_PROBE_CAP_ECHO)
        || (report_credit - count_1bits(report->arrived) * SEC
            < max_report_credit() / 2)) {
        return false;
    }
    tx->probe.flags |= ZOO_PROBE_F_REFLECTED;
    for (unsigned int i = 0; i < report->probe.n_entries; i++) {
        if (report->arrived & (UINT32_C(1) << i)
            && tx->n_sports < report->max_copies) {
            tx->sports[tx->n_sports++] = report->probe.entries[i].sport;
        }
    }
    return true;
}

unsigned int
zooroute_run_reports(struct zooroute_tx *txs, unsigned int max, long long int now)
{
    struct zoo_report report;
    unsigned int n = 0;

    refill_reports(now);
    while (n < max && report_credit >= URGENT_COPIES * SEC
           && zoo_responder_next_report(zooroute_responder, now, &report)) {
        struct zooroute_peer *peer = zooroute_find_by_sender(&report.key);
        struct zooroute_tx *tx = &txs[n++];

        memset(tx, 0, sizeof *tx);
        /* The tunnel port's own mark, if it has one, overrides this. */
        tx->dst.pkt_mark = peer ? peer->key.pkt_mark : 0;
        tx->dst.port = report.tunnel.port;
        tx->dst_port = report.key.dst_port;
        tx->dst.local = report.key.local;
        tx->dst.remote = report.key.remote;
        tx->dst.tun_id = report.tunnel.tun_id;
        tx->sender = report.key;
        tx->probe = report.probe;
        tx->probe.caps |= (zooroute_config.gateway ? ZOO_PROBE_CAP_GATEWAY
                           : 0);
        tx->key_id = zoo_auth_choose(zooroute_auth, report.peer_newest_key, 0);
        if (!reflect(tx, &report, peer)) {
            set_report_sports(tx, &report, peer);
        }
        report_credit -= tx->n_sports * SEC;
    }
    return n;
}

void
zooroute_transmit(struct zooroute_tx *tx, const struct zoo_auth *auth,
                  uint16_t newest_key, struct eth_addr backend_id)
{
    const struct zoo_auth_addrs addrs = {
        .src = tx->dst.local,
        .dst = tx->dst.remote,
        .dst_port = tx->dst_port,
    };
    struct eth_header *eth;
    struct dp_packet packet;
    size_t len;
    uint8_t *body;

    dp_packet_init(&packet, ETH_HEADER_LEN + ZOO_PROBE_MAX_LEN
                   + TNL_PUSH_HEADER_SIZE);
    dp_packet_reserve(&packet, TNL_PUSH_HEADER_SIZE);
    eth = dp_packet_put_zeros(&packet, sizeof *eth);
    eth->eth_dst = (struct eth_addr) ZOO_PROBE_ETH_DST;
    eth_addr_random(&eth->eth_src);
    eth->eth_type = htons(ZOO_PROBE_ETH_TYPE);

    tx->when = zoo_now();
    tx->probe.tx_time = (tx->when
                         + (tx->peer ? 0 : zooroute_report_clock()));
    tx->probe.key_id = tx->key_id;
    tx->probe.newest_key = newest_key;
    tx->probe.caps |= (zoo_vtrace_is_enabled()
                       && zoo_xlate_takes_colors(&tx->dst, tx->dst_port)
                       ? ZOO_PROBE_CAP_GBP : 0);
    tx->probe.backend_id = backend_id;
    body = dp_packet_put_uninit(&packet,
                                zoo_probe_size(tx->probe.n_entries));
    len = zoo_probe_encode(&tx->probe, body);
    zoo_auth_sign(auth, tx->key_id, &addrs, body, len);

    tx->error = zoo_xlate_send(&tx->dst, &packet, tx->sports, tx->n_sports);
    dp_packet_uninit(&packet);
}

void
zooroute_note_sent(struct zooroute_tx *tx)
{
    struct zooroute_stats *stats = &zooroute_stats;

    if (!tx->error) {
        stats->tx_bytes += (tx->n_sports
                            * zoo_probe_size(tx->probe.n_entries));
    }
    if (!tx->peer) {
        COVERAGE_INC(zooroute_report_sent);
        stats->tx_reports += tx->error ? 0 : tx->n_sports;
        if (tx->error == ENODEV) {
            zoo_responder_forget(zooroute_responder, &tx->sender);
        }
        return;
    }

    if (tx->error) {
        stats->unsent_rounds++;
    } else {
        COVERAGE_INC(zooroute_round_sent);
        stats->tx_rounds++;
        stats->tx_requests += tx->n_sports;
    }
    if (!tx->peer->retired) {
        if (tx->error == ENODEV) {
            zooroute_lose_port(tx->peer);
        }
        tx->peer->send_error = tx->error;
        tx->peer->n_rounds += !tx->error;
        if (tx->error) {
            zoo_peer_link_down(&tx->peer->peer, tx->when);
        }
        zoo_peer_sent(&tx->peer->peer, !tx->error, tx->when);
        zooroute_schedule(tx->peer, tx->when);
    }
}

