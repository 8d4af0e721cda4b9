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
#include <limits.h>

#include "coverage.h"
#include "dp-packet.h"
#include "entropy.h"
#include "hash.h"
#include "latch.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/zoo-quarantine.h"
#include "ovs-ext/zoo-vtrace.h"
#include "ovs-rcu.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(zooroute_thread);

COVERAGE_DEFINE(zooroute_round_sent);
COVERAGE_DEFINE(zooroute_report_sent);

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* How often the datapath's marks of use are read: this is how soon probing
 * begins, and how soon a new flow's candidate is probed often. */
#define USE_INTERVAL (100 * MSEC)

/* How long a sender's tunnel port is taken to be the same. */
#define TUNNEL_CHECK_INTERVAL SEC

/* Learned peers that may be evicted per second. */
#define MAX_EVICTIONS 16

/* Reports that answer an urgent round, on different ports. */
#define URGENT_COPIES 3

/* Frames gathered under the mutex and sent without it. */
#define MAX_BATCH 64

/* Probes received at once before reports get their turn.  Peers get theirs
 * only when none is left: it might be the answer that they wait for. */
#define MAX_RX_BATCH 512

struct tx {
    struct zooroute_peer *peer;         /* Of a request, otherwise NULL. */
    struct zoo_sender_key sender;       /* Of a report. */
    struct zoo_tunnel_dst dst;
    ovs_be16 dst_port;
    struct zoo_probe probe;
    uint16_t key_id;
    uint16_t sports[ZOO_MAX_CANDIDATES];
    unsigned int n_sports;
    int error;
    long long int when;
};

static pthread_t thread;
static struct latch exit_latch, wake_latch;
static bool latches_ready;

/* What may be sent now, in billionths of a request or report. */
static struct credit {
    long long int left;
    long long int updated;
} request_credit, report_credit;
static long long int next_use, next_expire;

/* Probes are coming in.  The datapath has noted the times of their arrival, so
 * they are looked for at each tick, until one finds none, without waking up
 * for each of them. */
static bool rx_polling;
static uint32_t report_salt;

/* Stores an unpredictable number into '*challenge'.  Returns false if there is
 * none to be had. */
static bool
random_challenge(uint64_t *challenge)
{
    static uint64_t pool[512];
    static size_t left;

    if (!left) {
        if (get_entropy(pool, sizeof pool)) {
            return false;
        }
        left = ARRAY_SIZE(pool);
    }
    *challenge = pool[--left];
    return true;
}

/* Receiving. */

/* Returns this side's peer whose requests have 'session', or NULL. */
static struct zooroute_peer *
find_by_session(uint64_t session) OVS_REQUIRES(zooroute_mutex)
{
    struct zooroute_peer *peer;

    HMAP_FOR_EACH_WITH_HASH (peer, session_node, hash_uint64(session),
                             &zooroute_sessions) {
        if (peer->peer.session == session) {
            return peer;
        }
    }
    return NULL;
}

/* Has flow translation know what 'peer' last said about colors, in a report or
 * a request. */
static void
learn_capabilities(struct zooroute_peer *peer) OVS_REQUIRES(zooroute_mutex)
{
    bool takes = (peer->peer.peer_caps & ZOO_PROBE_CAP_GBP) != 0;
    bool took;

    atomic_read_relaxed(&peer->takes_colors, &took);
    if (takes != took) {
        atomic_store_relaxed(&peer->takes_colors, takes);
        zoo_quarantine_revalidate();
    }
}

static enum zoo_probe_error
receive_request(const struct zoo_rx *rx, const struct zoo_probe *probe,
                long long int now) OVS_REQUIRES(zooroute_mutex)
{
    struct zoo_sender_key key = {
        .remote = rx->src,
        .local = rx->dst,
        .dst_port = rx->tp_dst,
        .encap = rx->encap,
        .instance = zoo_session_instance(probe->session),
        .backend = probe->backend_id,
    };
    struct zoo_sender_tunnel *tunnel;
    struct zooroute_peer *sent;
    struct zoo_tunnel_port port;
    enum zoo_probe_error error;
    uint64_t challenge;
    bool look_up;

    sent = find_by_session(probe->session);
    if (sent && ipv6_addr_equals(&sent->key.remote, &rx->src)) {
        /* A request of this very switch, sent back to it.  (It might also be
         * one to another tunnel address of its own.) */
        return ZOO_PROBE_UNEXPECTED;
    } else if (!random_challenge(&challenge)) {
        return ZOO_PROBE_NO_TUNNEL;
    }

    /* Nothing is remembered of a sender that no tunnel points to. */
    look_up = !zoo_responder_knows(zooroute_responder, &key, rx->tun_id,
                                   now - TUNNEL_CHECK_INTERVAL);
    if (look_up && !zoo_xlate_find_tunnel(rx, &port)) {
        return ZOO_PROBE_NO_TUNNEL;
    }
    error = zoo_responder_receive(zooroute_responder, &key,
                                  ntohs(rx->tp_src), probe, rx->when, now,
                                  challenge, &tunnel);
    if (look_up && tunnel) {
        tunnel->port = port;
        tunnel->tun_id = rx->tun_id;
        tunnel->checked = now;
    }
    if (!error) {
        struct zooroute_peer *peer = zooroute_find_by_sender(&key);

        zooroute_stats.rx_requests++;
        if (peer) {
            peer->peer.peer_caps = probe->caps;
            learn_capabilities(peer);
            if (zoo_peer_hint(&peer->peer, &zooroute_params, now)) {
                zooroute_schedule(peer, zoo_peer_next(&peer->peer,
                                                      &zooroute_params));
            }
        }
    }
    return error;
}

static enum zoo_probe_error
receive_report(const struct zoo_rx *rx, const struct zoo_probe *probe)
    OVS_REQUIRES(zooroute_mutex)
{
    struct zooroute_peer *peer = find_by_session(probe->session);
    enum zoo_probe_error error;

    if (!peer || !ipv6_addr_equals(&peer->key.remote, &rx->src)) {
        return ZOO_PROBE_UNEXPECTED;
    }

    enum zoo_peer_state before = peer->peer.state;
    error = zoo_peer_report(&peer->peer, &zooroute_params, probe, rx->when);
    if (!error) {
        peer->n_reports++;
        zooroute_stats.rx_reports++;
        learn_capabilities(peer);
        zooroute_publish(peer);
        zooroute_log_events(peer, before);
        zooroute_schedule(peer, zoo_peer_next(&peer->peer, &zooroute_params));
    }
    return error;
}

/* Decodes and verifies 'rx' into '*probe', which takes most of the time that a
 * probe takes, without the mutex. */
static enum zoo_probe_error
decode(const struct zoo_rx *rx, const struct zoo_auth *auth,
       struct zoo_probe *probe)
{
    const struct zoo_auth_addrs addrs = {
        .src = rx->src,
        .dst = rx->dst,
        .dst_port = rx->tp_dst,
    };
    enum zoo_probe_error error;
    size_t len;

    error = zoo_probe_decode(rx->body, rx->len, probe, &len);
    return (error ? error
            : zoo_auth_verify(auth, probe->key_id, &addrs, rx->body, len));
}

/* Processes up to 'max' probes.  Returns their number. */
static unsigned int
receive(unsigned int max, const struct zoo_auth *auth)
{
    enum zoo_probe_error error;
    struct zoo_probe probe;
    struct zoo_rx rx;
    unsigned int n;

    for (n = 0; n < max && zoo_rx_recv(&rx); n++) {
        error = decode(&rx, auth, &probe);
        ovs_mutex_lock(&zooroute_mutex);
        if (!error) {
            error = (probe.type == ZOO_PROBE_REQUEST
                     ? receive_request(&rx, &probe, zoo_now())
                     : receive_report(&rx, &probe));
        }
        if (error) {
            zooroute_stats.rx_errors[error]++;
        }
        ovs_mutex_unlock(&zooroute_mutex);
    }
    return n;
}

/* Sending. */

/* A hundredth of a second's worth, or two full rounds.  So the full rounds of
 * many peers do not come all at once, which is more than the queue of a
 * receiver's socket holds. */
static long long int
max_credit(void) OVS_REQUIRES(zooroute_mutex)
{
    return MAX(zooroute_config.max_probe_rate / 100,
               2 * ZOO_MAX_CANDIDATES) * SEC;
}

static void
refill(struct credit *credit, long long int now) OVS_REQUIRES(zooroute_mutex)
{
    long long int rate = zooroute_config.max_probe_rate;
    long long int elapsed = MIN(now - credit->updated, SEC);

    credit->left = MIN(credit->left + elapsed * rate, max_credit());
    credit->updated = now;
}

static void
set_sports(struct tx *tx)
{
    tx->n_sports = tx->probe.n_entries;
    for (unsigned int i = 0; i < tx->n_sports; i++) {
        tx->sports[i] = tx->probe.entries[i].sport;
    }
}

/* Returns which rounds may be sent.  Candidates that carry traffic, and
 * losses, go before the survey of all others. */
static enum zoo_budget
get_budget(void) OVS_REQUIRES(zooroute_mutex)
{
    return (request_credit.left < ZOO_MAX_CANDIDATES * SEC ? ZOO_BUDGET_NONE
            : request_credit.left < max_credit() / 2 ? ZOO_BUDGET_SCARCE
            : ZOO_BUDGET_AMPLE);
}

/* Fills 'tx' with the round of 'peer' on the candidates in 'set'. */
static void
fill_request(struct tx *tx, struct zooroute_peer *peer, uint32_t set)
    OVS_REQUIRES(zooroute_mutex)
{
    /* A peer that does not answer, or not any more, may have other keys than
     * it had. */
    bool answers = (peer->peer.answered
                    && peer->peer.state != ZOO_PEER_EXHAUSTED);

    memset(tx, 0, sizeof *tx);
    tx->peer = peer;
    tx->dst = peer->dst;
    tx->dst_port = peer->key.dst_port;
    zoo_peer_request(&peer->peer, set, &tx->probe);
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

/* Runs the peers that are due.  Stores up to 'max' rounds into 'txs' and
 * returns their number. */
static unsigned int
run_peers(struct tx *txs, unsigned int max, long long int now)
    OVS_REQUIRES(zooroute_mutex)
{
    unsigned int n = 0;

    refill(&request_credit, now);
    while (n < max && !heap_is_empty(&zooroute_heap)) {
        struct heap_node *node = heap_max(&zooroute_heap);
        struct zooroute_peer *peer = CONTAINER_OF(node, struct zooroute_peer,
                                                  heap_node);
        enum zoo_peer_state before = peer->peer.state;
        enum zoo_budget budget = get_budget();
        uint32_t set;

        if (node->priority < UINT64_MAX - now) {
            break;
        }
        renew_session(peer);
        set = zoo_peer_run_within(&peer->peer, &zooroute_params, budget, now);
        zooroute_publish(peer);
        zooroute_log_events(peer, before);
        if (set) {
            fill_request(&txs[n], peer, set);
            request_credit.left -= txs[n].n_sports * SEC;
            n++;
        }
        zooroute_stats.rate_limited += budget == ZOO_BUDGET_NONE;
        /* At least a moment later: what it sends is not sent yet. */
        zooroute_schedule(peer, MAX(now + MSEC,
                                    zoo_peer_next(&peer->peer,
                                                  &zooroute_params)));
    }
    return n;
}

/* Chooses the ports that report 'tx' goes out from: those that work on the way
 * back, as far as this side knows from its own peer, if it has one.  Of several
 * middleboxes with one address, the one that asked must get it: where it is not
 * known which ports lead there, copies make that more likely. */
static void
set_report_sports(struct tx *tx, const struct zoo_report *report,
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

static unsigned int
run_reports(struct tx *txs, unsigned int max, long long int now)
    OVS_REQUIRES(zooroute_mutex)
{
    struct zoo_report report;
    unsigned int n = 0;

    refill(&report_credit, now);
    while (n < max && report_credit.left >= URGENT_COPIES * SEC
           && zoo_responder_next_report(zooroute_responder, now, &report)) {
        struct zooroute_peer *peer = zooroute_find_by_sender(&report.key);
        struct tx *tx = &txs[n++];

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
        tx->key_id = zoo_auth_choose(zooroute_auth, report.peer_newest_key, 0);
        set_report_sports(tx, &report, peer);
        report_credit.left -= tx->n_sports * SEC;
    }
    return n;
}

/* Sends 'tx'.  The mutex must not be held: flow translation may take it. */
static void
transmit(struct tx *tx, const struct zoo_auth *auth, uint16_t newest_key,
         struct eth_addr backend_id)
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
    tx->probe.tx_time = tx->when;
    tx->probe.key_id = tx->key_id;
    tx->probe.newest_key = newest_key;
    tx->probe.caps = zoo_vtrace_is_enabled() ? ZOO_PROBE_CAP_GBP : 0;
    tx->probe.backend_id = backend_id;
    body = dp_packet_put_uninit(&packet,
                                zoo_probe_size(tx->probe.n_entries));
    len = zoo_probe_encode(&tx->probe, body);
    zoo_auth_sign(auth, tx->key_id, &addrs, body, len);

    tx->error = zoo_xlate_send(&tx->dst, &packet, tx->sports, tx->n_sports);
    dp_packet_uninit(&packet);
}

static void
note_sent(struct tx *tx) OVS_REQUIRES(zooroute_mutex)
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
        if (tx->error == ENODEV && tx->peer->send_error != ENODEV) {
            /* The tunnel port is gone.  If there is another one to this peer,
             * translation of its flows will tell. */
            atomic_store_relaxed(&tx->peer->lost_port, true);
            zoo_quarantine_revalidate();
        }
        tx->peer->send_error = tx->error;
        tx->peer->n_rounds += !tx->error;
        if (tx->error) {
            zoo_peer_link_down(&tx->peer->peer, tx->when);
        }
        zoo_peer_sent(&tx->peer->peer, !tx->error, tx->when);
        zooroute_schedule(tx->peer, zoo_peer_next(&tx->peer->peer,
                                                  &zooroute_params));
    }
}

/* Housekeeping. */

/* Returns true if 'peer' must be kept, however long it is without traffic,
 * because it would forget what an operator has set.  Where its tunnel port is
 * gone there is nothing to keep it for. */
static bool
is_kept(const struct zooroute_peer *peer) OVS_REQUIRES(zooroute_mutex)
{
    bool lost_port;

    atomic_read_relaxed(&CONST_CAST(struct zooroute_peer *, peer)->lost_port,
                        &lost_port);
    return !lost_port && zoo_peer_is_forced(&peer->peer);
}

/* Returns true if 'peer' has fallen asleep.  A new one is in the same state
 * until its first packet, which is still to come where room had to be made. */
static bool
is_idle(const struct zooroute_peer *peer, long long int now)
    OVS_REQUIRES(zooroute_mutex)
{
    return (peer->peer.state == ZOO_PEER_IDLE
            && now - peer->peer.last_used > zooroute_params.peer_idle);
}

/* Retires the learned peer that has been without traffic for longest, only
 * among idle ones if 'idle_only'.  Returns false if there is none. */
static bool
evict_peer(bool idle_only, long long int now) OVS_REQUIRES(zooroute_mutex)
{
    struct zooroute_peer *peer, *oldest = NULL;

    CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
        if (peer->learned && !is_kept(peer)
            && (!idle_only || is_idle(peer, now))
            && (!oldest || peer->peer.last_used < oldest->peer.last_used)) {
            oldest = peer;
        }
    }
    if (oldest) {
        zooroute_retire(oldest);
    }
    return oldest != NULL;
}

/* Retires peers that have been idle for so long that they are not worth their
 * memory, and makes room for new ones: idle ones go before it is needed, others
 * only where a new one has found none. */
static void
expire_peers(long long int now) OVS_REQUIRES(zooroute_mutex)
{
    unsigned int max = zooroute_config.max_peers;
    long long int idle = 10 * zooroute_params.peer_idle;
    static uint64_t last_too_many;
    struct zooroute_peer *peer;
    int n_evictions = 0;

    CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
        if (peer->peer.state == ZOO_PEER_IDLE
            && now - peer->peer.last_used > idle
            && !is_kept(peer)) {
            zooroute_retire(peer);
        }
    }
    while (zooroute_n_learned > max - MAX(max / 10, 1)
           && n_evictions++ < MAX_EVICTIONS
           && evict_peer(zooroute_stats.too_many_peers == last_too_many,
                         now)) {
        continue;
    }
    last_too_many = zooroute_stats.too_many_peers;
}

static void
poll_use(long long int now) OVS_REQUIRES(zooroute_mutex)
{
    struct zooroute_peer *peer;

    CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
        enum zoo_peer_state before = peer->peer.state;
        bool used[ZOO_N_BUCKETS];
        bool any = zoo_slot_take_used(peer->slot, used);

        zoo_peer_use(&peer->peer, any ? used : NULL, &zooroute_params, now);
        zooroute_publish(peer);
        zooroute_log_events(peer, before);
        if (peer->peer.state != before) {
            zooroute_schedule(peer, zoo_peer_next(&peer->peer,
                                                  &zooroute_params));
        }
    }
}

static void
housekeep(long long int now) OVS_REQUIRES(zooroute_mutex)
{
    if (now >= next_use) {
        next_use = now + USE_INTERVAL;
        poll_use(now);
    }
    if (now >= next_expire) {
        next_expire = now + SEC;
        zoo_responder_expire(zooroute_responder, now);
        expire_peers(now);
    }
}

/* Returns the time between two ticks.  What is due within one is done together
 * at its end: to wake up, and to wake up the receiver, takes longer than all
 * that there is to do for one peer. */
static long long int
get_tick(void) OVS_REQUIRES(zooroute_mutex)
{
    return MAX(zoo_peer_tick(&zooroute_params) / MSEC, 1) * MSEC;
}

/* Returns the first tick that is not before 'due'. */
static long long int
tick_after(long long int due) OVS_REQUIRES(zooroute_mutex)
{
    long long int tick = get_tick();

    return due < LLONG_MAX - tick ? DIV_ROUND_UP(due, tick) * tick : due;
}

/* Returns when peers are run next. */
static long long int
next_peer_run(void) OVS_REQUIRES(zooroute_mutex)
{
    return (heap_is_empty(&zooroute_heap) ? LLONG_MAX
            : tick_after(UINT64_MAX - heap_max(&zooroute_heap)->priority));
}

/* Returns when reports are sent next. */
static long long int
next_report(void) OVS_REQUIRES(zooroute_mutex)
{
    return tick_after(zoo_responder_next_due(zooroute_responder));
}

/* Returns true if there may be more to do at once.  'txs' has room for
 * MAX_BATCH reports and as many rounds. */
static bool
thread_run(struct tx *txs)
{
    unsigned int n, n_reports, n_rx;

    ovs_mutex_lock(&zooroute_mutex);
    struct zoo_auth *auth = zoo_auth_ref(zooroute_auth);
    ovs_mutex_unlock(&zooroute_mutex);

    n_rx = receive(MAX_RX_BATCH, auth);
    rx_polling = n_rx > 0;

    ovs_mutex_lock(&zooroute_mutex);
    housekeep(zoo_now());
    n = n_reports = (zoo_now() >= next_report()
                     ? run_reports(txs, MAX_BATCH, zoo_now()) : 0);
    /* Peers wait for what has come in to be read, but not for ever: somebody
     * might send more and more. */
    long long int wait = n_rx < MAX_RX_BATCH ? 0 : get_tick();
    if (zoo_now() - wait >= next_peer_run()) {
        n += run_peers(&txs[n], MAX_BATCH, zoo_now());
    }
    struct eth_addr backend_id = zooroute_config.backend_id;
    uint16_t newest_key = zoo_auth_newest(auth);
    ovs_mutex_unlock(&zooroute_mutex);

    for (unsigned int i = 0; i < n; i++) {
        transmit(&txs[i], auth, newest_key, backend_id);
    }
    zoo_auth_unref(auth);
    if (n) {
        ovs_mutex_lock(&zooroute_mutex);
        for (unsigned int i = 0; i < n; i++) {
            note_sent(&txs[i]);
        }
        ovs_mutex_unlock(&zooroute_mutex);
    }
    return (n_rx == MAX_RX_BATCH || n_reports == MAX_BATCH
            || n - n_reports == MAX_BATCH);
}

static void
thread_wait(void)
{
    long long int next = MIN(next_use, next_expire);
    long long int due;

    ovs_mutex_lock(&zooroute_mutex);
    due = next_report();
    if (report_credit.left < URGENT_COPIES * SEC) {
        /* Reports that are overdue wait for credit. */
        due = MAX(due, zoo_now() + MSEC);
    }
    next = MIN(next, MIN(due, next_peer_run()));
    if (rx_polling) {
        next = MIN(next, tick_after(zoo_now() + 1));
    }
    ovs_mutex_unlock(&zooroute_mutex);
    poll_timer_wait_until((next + MSEC - 1) / MSEC);
    if (!rx_polling) {
        zoo_rx_wait();
    }
}

static void *
thread_main(void *aux OVS_UNUSED)
{
    struct tx *txs = xmalloc(2 * MAX_BATCH * sizeof *txs);

    while (!latch_is_set(&exit_latch)) {
        latch_poll(&wake_latch);
        if (thread_run(txs)) {
            poll_immediate_wake();
        }
        thread_wait();
        latch_wait(&exit_latch);
        latch_wait(&wake_latch);
        poll_block();
    }
    free(txs);
    return NULL;
}

void
zooroute_thread_start(void)
{
    if (!latches_ready) {
        latch_init(&exit_latch);
        latch_init(&wake_latch);
        latches_ready = true;
    }
    request_credit.updated = report_credit.updated = zoo_now();
    next_use = next_expire = zoo_now();
    /* What came before the feature was last turned off. */
    while (zoo_rx_recv(&(struct zoo_rx) { .len = 0 })) {
        continue;
    }
    thread = ovs_thread_create("zooroute", thread_main, NULL);
}

void
zooroute_thread_stop(void)
{
    /* The thread may wait for a grace period, which must not wait for us. */
    ovsrcu_quiesce_start();
    latch_set(&exit_latch);
    xpthread_join(thread, NULL);
    latch_poll(&exit_latch);
    ovsrcu_quiesce_end();
}

void
zooroute_thread_wake(void)
{
    if (latches_ready) {
        latch_set(&wake_latch);
    }
}
