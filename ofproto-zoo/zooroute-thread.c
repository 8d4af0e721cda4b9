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

#include <limits.h>

#include "coverage.h"
#include "latch.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/zoo-quarantine.h"
#include "ovs-rcu.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(zooroute_thread);

COVERAGE_DEFINE(zooroute_slowed_by_cpu);

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* How often the datapath's marks of use are read: this is how soon probing
 * begins, and how soon a new flow's candidate is probed often. */
#define USE_INTERVAL (100 * MSEC)

/* How often peers that are asleep are looked at all the same, in these. */
#define ASLEEP_POLLS 64

/* Learned peers that may be evicted per second, and how long they must have
 * been without traffic. */
#define MAX_EVICTIONS 16
#define UNUSED_TIME (5 * SEC)

/* Frames gathered under the mutex and sent without it. */
#define MAX_BATCH 64

/* Probes received at once before reports get their turn.  Peers get theirs
 * only when none is left: it might be the answer that they wait for. */
#define MAX_RX_BATCH 512

static pthread_t thread;
static struct latch exit_latch, wake_latch;
static bool latches_ready;

static long long int next_use, next_expire, next_budget;

/* Probes are coming in.  The datapath has noted the times of their arrival, so
 * they are looked for at each tick, until so many in a row find none, without
 * waking up for each of them. */
#define RX_POLLS 3
static unsigned int rx_polling; /* How many may still find none. */

/* Processor time of the thread for what is received. */
static uint64_t receiving;

/* Housekeeping. */

/* Peers that something is to be done for with the mutex, which flow
 * translation may wait for.  While it is free, peers come and go: those that
 * come, and those that they push aside in 'zooroute_peers', may be missed
 * until the next time, and those that go are not freed before this thread is
 * quiescent. */
struct batch {
    struct zooroute_peer *peers[ZOOROUTE_PEERS_AT_ONCE];
    size_t n;
    void (*cb)(struct zooroute_peer *, long long int now);
};

static void
batch_run(struct batch *b, long long int now) OVS_EXCLUDED(zooroute_mutex)
{
    if (!b->n) {
        return;
    }
    ovs_mutex_lock(&zooroute_mutex);
    for (size_t i = 0; i < b->n; i++) {
        if (!b->peers[i]->retired) {
            b->cb(b->peers[i], now);
        }
    }
    ovs_mutex_unlock(&zooroute_mutex);
    b->n = 0;
}

static void
batch_add(struct batch *b, struct zooroute_peer *peer, long long int now)
    OVS_EXCLUDED(zooroute_mutex)
{
    b->peers[b->n++] = peer;
    if (b->n == ZOOROUTE_PEERS_AT_ONCE) {
        batch_run(b, now);
    }
}

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
 * among idle ones if 'idle_only'.  Returns false if there is none.
 *
 * One with traffic never goes: it would come back at once, without what was
 * learned about its paths, and in the place of another one. */
static bool
evict_peer(bool idle_only, long long int now) OVS_REQUIRES(zooroute_mutex)
{
    struct zooroute_peer *peer, *oldest = NULL;

    CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
        if (peer->learned && !is_kept(peer)
            && (idle_only ? is_idle(peer, now)
                : now - peer->peer.last_used > UNUSED_TIME)
            && (!oldest || peer->peer.last_used < oldest->peer.last_used)) {
            oldest = peer;
        }
    }
    if (oldest) {
        zooroute_retire(oldest);
    }
    return oldest != NULL;
}

/* Retires 'peer' if it has been idle for so long that it is not worth its
 * memory. */
static void
expire_peer(struct zooroute_peer *peer, long long int now)
    OVS_REQUIRES(zooroute_mutex)
{
    if (peer->peer.state == ZOO_PEER_IDLE
        && now - peer->peer.last_used > 10 * zooroute_params.peer_idle
        && !is_kept(peer)) {
        zooroute_retire(peer);
    }
}

static void
expire_peers(long long int now) OVS_EXCLUDED(zooroute_mutex)
{
    struct batch batch = { .cb = expire_peer };
    struct zooroute_peer *peer;

    CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
        batch_add(&batch, peer, now);
    }
    batch_run(&batch, now);
}

/* Makes room for new peers: idle ones go before it is needed, others without
 * traffic only where a new one has found none. */
static void
make_room(long long int now) OVS_REQUIRES(zooroute_mutex)
{
    unsigned int max = zooroute_config.max_peers;
    long long int last_refused;
    int n_evictions = 0;
    bool wanted;

    wanted = (zooroute_n_refused(&last_refused)
              && (time_msec() - last_refused
                  <= zooroute_params.peer_idle / MSEC + UNUSED_TIME / MSEC));
    while (zooroute_n_learned > max - MAX(max / 10, 1)
           && n_evictions++ < MAX_EVICTIONS
           && evict_peer(!wanted, now)) {
        /* Whoever has none now will tell. */
        zooroute_made_room();
    }
}

/* Returns true if nothing is to be done for 'peer' soon unless its slot is
 * used: it is idle, and has come to rest since.  What is left may be late: that
 * it does not consent to anything after an hour without a report. */
static bool
may_sleep(const struct zooroute_peer *peer) OVS_REQUIRES(zooroute_mutex)
{
    const struct zoo_peer *p = &peer->peer;

    return (p->state == ZOO_PEER_IDLE && !p->slowed && !p->map_changed
            && !(p->learner && p->learner->datapath));
}

static void
poll_peer(struct zooroute_peer *peer, long long int now)
    OVS_REQUIRES(zooroute_mutex)
{
    const struct zoo_params *params = zooroute_segment_params(peer->segment);
    enum zoo_peer_state before = peer->peer.state;
    bool used[ZOO_N_BUCKETS];
    bool any = zoo_slot_take_used(peer->slot, used);
    bool relaxed = zoo_peer_relax(&peer->peer, params, now);

    zoo_peer_use(&peer->peer, any ? used : NULL, params, now);
    zooroute_update_consent(peer, now);
    zooroute_follow_sessions(peer);
    zooroute_publish(peer);
    zooroute_log_events(peer, before);
    if (peer->peer.state != before || relaxed) {
        zooroute_schedule(peer, now);
    }
    peer->asleep = may_sleep(peer);
}

void
zooroute_poll_use(long long int now)
{
    struct batch batch = { .cb = poll_peer };
    static unsigned int turn;
    struct zooroute_peer *peer;

    turn = (turn + 1) % ASLEEP_POLLS;
    CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
        if (!peer->asleep || zoo_slot_is_used(peer->slot)
            || peer->slot % ASLEEP_POLLS == turn) {
            batch_add(&batch, peer, now);
        }
    }
    batch_run(&batch, now);
}

/* Intervals are doubled 'stretch' times from now on. */
static void
set_stretch(unsigned int stretch, long long int now)
    OVS_REQUIRES(zooroute_mutex)
{
    bool shorter = stretch < zooroute_params.stretch;
    struct zooroute_peer *peer;

    if (stretch == zooroute_params.stretch) {
        return;
    }
    VLOG_INFO("processors %u%% busy, %u%% of one by probing: intervals are "
              "%u times those configured",
              zooroute_budget.cpus.percent, zooroute_budget.probing.percent,
              1u << stretch);
    if (!shorter) {
        COVERAGE_INC(zooroute_slowed_by_cpu);
    }
    zooroute_params.stretch = stretch;
    zooroute_update_profiles();
    if (shorter) {
        CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
            zoo_peer_reconfigured(&peer->peer,
                                  zooroute_segment_params(peer->segment),
                                  now);
            zooroute_schedule(peer, now);
        }
    }
}

/* Does what follows from how busy processors are, as 'reading' says. */
static void
run_budget(const struct zoo_budget_reading *reading)
    OVS_REQUIRES(zooroute_mutex)
{
    const struct zoo_budget_limits limits = {
        .cpus = zooroute_config.cpu_limit,
        .own = zooroute_config.prober_cpu_limit,
    };

    if (zoo_budget_run(&zooroute_budget, &limits, reading)) {
        set_stretch(zoo_budget_stretch(&zooroute_budget), reading->when);
        zoo_rx_limit_throttle(zooroute_rx_limit,
                              zoo_budget_throttle(&zooroute_budget));
    }
}

/* Finds out, when it is time, how busy processors are. */
static void
watch_budget(void) OVS_EXCLUDED(zooroute_mutex)
{
    struct zoo_budget_reading reading = { .when = zoo_now() };

    if (reading.when < next_budget) {
        return;
    }
    next_budget = reading.when + ZOO_BUDGET_PERIOD;
    reading.have_cpus = zooroute_read_cpus(reading.when, &reading.busy,
                                           &reading.all);
    reading.receiving = receiving;
    reading.probing = zooroute_thread_cpu() - receiving;
    ovs_mutex_lock(&zooroute_mutex);
    run_budget(&reading);
    ovs_mutex_unlock(&zooroute_mutex);
}

/* Has peers know whether this switch is flooded. */
static void
watch_flood(long long int now) OVS_REQUIRES(zooroute_mutex)
{
    bool flooded = zoo_rx_limit_is_busy(zooroute_rx_limit, now);

    if (flooded != zooroute_params.flooded) {
        zooroute_params.flooded = flooded;
        zooroute_update_profiles();
    }
}

static void
housekeep(long long int now) OVS_EXCLUDED(zooroute_mutex)
{
    bool use = now >= next_use;
    bool expire = now >= next_expire;

    ovs_mutex_lock(&zooroute_mutex);
    watch_flood(now);
    if (use) {
        next_use = now + USE_INTERVAL;
        zooroute_hear_alive(now);
    }
    ovs_mutex_unlock(&zooroute_mutex);

    if (use) {
        zooroute_poll_use(now);
    }
    if (expire) {
        next_expire = now + SEC;
        expire_peers(now);
    }

    ovs_mutex_lock(&zooroute_mutex);
    if (use && zoo_consents_take_change(zooroute_consents, now)) {
        zoo_quarantine_revalidate();
    }
    if (expire) {
        zoo_responder_expire(zooroute_responder, now);
        zoo_consents_expire(zooroute_consents, now);
        make_room(now);
    }
    ovs_mutex_unlock(&zooroute_mutex);
}

/* Returns the time between two ticks.  What is due within one is done together
 * at its end: to wake up, and to wake up the receiver, takes longer than all
 * that there is to do for one peer. */
static long long int
get_tick(void) OVS_REQUIRES(zooroute_mutex)
{
    long long int tick = LLONG_MAX;

    for (int i = 0; i < ZOO_N_SEGMENTS; i++) {
        tick = MIN(tick, zoo_peer_tick(zooroute_segment_params(i)));
    }
    return MAX(tick / MSEC, 1) * MSEC;
}

/* Returns when peers are run next. */
static long long int
next_peer_run(void) OVS_REQUIRES(zooroute_mutex)
{
    return zoo_schedule_next(&zooroute_peer_schedule, get_tick());
}

/* Returns when reports are sent next. */
static long long int
next_report(void) OVS_REQUIRES(zooroute_mutex)
{
    return zoo_schedule_tick(zoo_responder_next_due(zooroute_responder),
                             get_tick());
}

/* Returns true if there may be more to do at once.  'txs' has room for
 * MAX_BATCH reports and as many rounds. */
static bool
thread_run(struct zooroute_tx *txs)
{
    unsigned int n, n_reports, n_rx, n_rounds = 0;
    bool all = true;

    ovs_mutex_lock(&zooroute_mutex);
    struct zoo_auth *auth = zoo_auth_ref(zooroute_auth);
    ovs_mutex_unlock(&zooroute_mutex);

    watch_budget();
    uint64_t start = zooroute_thread_cpu();
    n_rx = zooroute_receive(MAX_RX_BATCH, auth);
    receiving += zooroute_thread_cpu() - start;
    rx_polling = n_rx ? RX_POLLS : rx_polling ? rx_polling - 1 : 0;

    housekeep(zoo_now());
    ovs_mutex_lock(&zooroute_mutex);
    n = n_reports = (zoo_now() >= next_report()
                     ? zooroute_run_reports(txs, MAX_BATCH, zoo_now()) : 0);
    /* Peers wait for what has come in to be read, but not for ever: somebody
     * might send more and more. */
    long long int wait = n_rx < MAX_RX_BATCH ? 0 : get_tick();
    if (zoo_now() - wait >= next_peer_run()) {
        all = zooroute_run_peers(&txs[n], MAX_BATCH, zoo_now(), &n_rounds);
        n += n_rounds;
    }
    struct eth_addr backend_id = zooroute_config.backend_id;
    uint16_t newest_key = zoo_auth_newest(auth);
    ovs_mutex_unlock(&zooroute_mutex);

    for (unsigned int i = 0; i < n; i++) {
        zooroute_transmit(&txs[i], auth, newest_key, backend_id);
    }
    zoo_auth_unref(auth);
    if (n) {
        ovs_mutex_lock(&zooroute_mutex);
        for (unsigned int i = 0; i < n; i++) {
            zooroute_note_sent(&txs[i]);
        }
        ovs_mutex_unlock(&zooroute_mutex);
    }
    return n_rx == MAX_RX_BATCH || n_reports == MAX_BATCH || !all;
}

static void
thread_wait(void)
{
    long long int next = MIN(MIN(next_use, next_expire), next_budget);
    long long int due;

    ovs_mutex_lock(&zooroute_mutex);
    due = next_report();
    if (zooroute_reports_lack_credit()) {
        /* Reports that are overdue wait for credit. */
        due = MAX(due, zoo_now() + MSEC);
    }
    next = MIN(next, MIN(due, next_peer_run()));
    if (rx_polling) {
        next = MIN(next, zoo_schedule_tick(zoo_now() + 1, get_tick()));
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
    struct zooroute_tx *txs = xmalloc(2 * MAX_BATCH * sizeof *txs);

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
    next_use = next_expire = next_budget = zoo_now();
    receiving = 0;
    ovs_mutex_lock(&zooroute_mutex);
    zoo_budget_init(&zooroute_budget);
    zooroute_params.stretch = 0;
    zooroute_update_profiles();
    zoo_rx_limit_throttle(zooroute_rx_limit, 0);
    ovs_mutex_unlock(&zooroute_mutex);
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
