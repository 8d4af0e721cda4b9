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
#include "sim.h"

#include <limits.h>
#include <string.h>

#include "hash.h"
#include "openvswitch/list.h"
#include "packets.h"
#include "random.h"
#include "unit.h"
#include "util.h"

/* As in zooroute-thread.c. */
#define USE_INTERVAL (100 * MSEC)
#define URGENT_COPIES 3

/* What zooroute_report_clock() returns. */
#define CLOCK UINT64_C(0xfedcba9876543210)

const struct zoo_params sim_defaults = {
    .candidates = 32,
    .port_min = 32768,
    .port_max = 60999,
    .probe_interval = 100 * MSEC,
    .full_interval = SEC,
    .fail_threshold = 2,
    .recover_successes = 3,
    .recover_window = 5,
    .hold_down = 10 * SEC,
    .peer_idle = 60 * SEC,
};

struct zoo_sender_key
sim_sender(uint32_t i)
{
    struct zoo_sender_key key;

    memset(&key, 0, sizeof key);
    in6_addr_set_mapped_ipv4(&key.remote, htonl(0x0a000000 + i));
    in6_addr_set_mapped_ipv4(&key.local, htonl(0x0a010001));
    key.dst_port = htons(4789);
    return key;
}

static void
init_peer(struct sim *sim, int i)
{
    struct sim_side *s = &sim->side[i];

    zoo_peer_init(&s->peer, &s->params, &i, sizeof i, 1, random_uint64(),
                  sim->now);
    memcpy(s->owner, s->peer.table.owner, sizeof s->owner);
    memcpy(s->sport, s->peer.table.sport, sizeof s->sport);
    zoo_path_table_ports(&s->peer.table, s->peer.upstream, s->map);
    s->peer.map_changed = false;
}

void
sim_init(struct sim *sim, unsigned int n_paths,
         const struct zoo_params *params)
{
    memset(sim, 0, sizeof *sim);
    sim->now = 1000 * SEC;
    sim->n_paths = n_paths;
    heap_init(&sim->in_flight);
    for (int i = 0; i < 2; i++) {
        struct sim_side *s = &sim->side[i];

        s->params = *params;
        s->active = s->patched = s->can_send = true;
        s->n_instances = 1;
        for (int k = 0; k < SIM_MAX_INSTANCES; k++) {
            s->responder[k] = zoo_responder_create();
        }
        ovs_list_init(&s->inbox);
        s->next_use = sim->now + random_range(USE_INTERVAL);
        for (int b = 0; b < ZOO_N_BUCKETS; b++) {
            s->silent_since[b] = LLONG_MAX;
        }
        init_peer(sim, i);
    }
    sim_set_delay(sim, 250 * 1000, 0);
}

void
sim_destroy(struct sim *sim)
{
    struct sim_packet *p;

    while (!heap_is_empty(&sim->in_flight)) {
        p = CONTAINER_OF(heap_pop(&sim->in_flight), struct sim_packet,
                         heap_node);
        free(p);
    }
    heap_destroy(&sim->in_flight);
    for (int i = 0; i < 2; i++) {
        zoo_peer_uninit(&sim->side[i].peer);
        for (int k = 0; k < SIM_MAX_INSTANCES; k++) {
            zoo_responder_destroy(sim->side[i].responder[k]);
        }
        LIST_FOR_EACH_POP (p, list_node, &sim->side[i].inbox) {
            free(p);
        }
    }
}

/* Tenant traffic. */

static void
update_silence(struct sim *sim, int i)
{
    struct sim_side *s = &sim->side[i];

    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        /* Open vSwitch's own choice is a path like any other. */
        int path = (s->map[b]
                    ? zoo_path_table_find(&s->peer.table, s->map[b])
                    : b) % sim->n_paths;
        bool silent = s->in_use[b] && sim->path[i][path].loss >= 1;

        if (silent && s->silent_since[b] == LLONG_MAX) {
            s->silent_since[b] = sim->now;
        } else if (!silent && s->silent_since[b] != LLONG_MAX) {
            s->longest[b] = MAX(s->longest[b],
                                sim->now - s->silent_since[b]);
            s->silent_since[b] = LLONG_MAX;
        }
    }
}

void
sim_forget_silence(struct sim *sim)
{
    for (int i = 0; i < 2; i++) {
        memset(sim->side[i].longest, 0, sizeof sim->side[i].longest);
        for (int b = 0; b < ZOO_N_BUCKETS; b++) {
            sim->side[i].silent_since[b] = LLONG_MAX;
        }
        update_silence(sim, i);
    }
}

long long int
sim_longest_silence(struct sim *sim, int side)
{
    const struct sim_side *s = &sim->side[side];
    long long int longest = 0;

    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        longest = MAX(longest, s->longest[b]);
        if (s->silent_since[b] != LLONG_MAX) {
            longest = MAX(longest, sim->now - s->silent_since[b]);
        }
    }
    return longest;
}

/* Maps. */

static void
check_move(const struct sim *sim, const struct sim_side *s, unsigned int b,
           unsigned int from, unsigned int to)
{
    const struct zoo_candidate *c = s->peer.candidates;
    const struct zoo_health *loss = &c[from].health;

    if (to == zoo_peer_home(&s->peer, b)) {
        unit_assert(zoo_health_state(&c[to].health) == ZOO_HEALTH_UP,
                    "bucket %u went home to %u, which is down", b, to);
        return;
    }
    if (zoo_health_state(loss) != ZOO_HEALTH_DOWN) {
        unit_assert(sim->now - s->changed[from] < 10 * SEC,
                    "bucket %u moved from %u, which is good", b, from);
        unit_assert(zoo_health_state(&c[to].health) == ZOO_HEALTH_UP
                    && s->last_arrived[to] >= s->changed[from],
                    "bucket %u moved to %u, which is not known to work", b,
                    to);
        return;
    }
    unit_assert(loss->forced || c[to].health.forced
                || s->last_arrived[to] > loss->first_fail,
                "bucket %u moved to %u, which is not known to work: loss "
                "%lld ns after the last arrival", b, to,
                loss->first_fail - s->last_arrived[to]);
    unit_assert(zoo_health_state(&c[to].health) == ZOO_HEALTH_UP,
                "bucket %u moved to %u, which is down", b, to);
}

/* Does what zooroute_publish() and zooroute_log_events() do. */
static void
publish(struct sim *sim, int i)
{
    struct sim_side *s = &sim->side[i];
    struct zoo_peer *peer = &s->peer;
    bool same_ports;

    for (unsigned int c = 0; c < peer->table.n; c++) {
        s->n_down[c] += peer->went_down >> c & 1;
        s->n_up[c] += peer->came_up >> c & 1;
    }
    peer->went_down = peer->came_up = peer->moved_from = peer->returned = 0;
    if (peer->groups) {
        peer->groups->left = 0;
    }

    if (!peer->map_changed) {
        return;
    }
    peer->map_changed = false;
    same_ports = !memcmp(s->sport, peer->table.sport, sizeof s->sport);
    memcpy(s->sport, peer->table.sport, sizeof s->sport);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        if (s->owner[b] != peer->table.owner[b]) {
            if (same_ports) {
                check_move(sim, s, b, s->owner[b],
                           peer->table.owner[b]);
            }
            s->moves[b]++;
        }
    }
    memcpy(s->owner, peer->table.owner, sizeof s->owner);
    zoo_path_table_ports(&peer->table, peer->upstream, s->map);
    s->n_publications++;
    update_silence(sim, i);
}

/* The network. */

static void
put_in_flight(struct sim *sim, struct sim_packet *p)
{
    heap_insert(&sim->in_flight, &p->heap_node, UINT64_MAX - p->arrival);
}

unsigned int
sim_instance(const struct sim *sim, int side, unsigned int candidate)
{
    const struct sim_side *s = &sim->side[!side];

    return (s->routed ? s->route[candidate]
            : (candidate + s->shift) % s->n_instances);
}

static unsigned int
instance_of(const struct sim *sim, const struct sim_packet *p)
{
    return sim_instance(sim, p->from, MAX(p->candidate, 0));
}

/* Sends 'probe' once from 'sport'. */
static void
send_probe(struct sim *sim, int from, uint16_t sport, struct zoo_probe *probe)
{
    int c = zoo_path_table_find(&sim->side[from].peer.table, sport);
    const struct sim_path *path = &sim->path[from][MAX(c, 0) % sim->n_paths];
    struct sim_packet *p = xzalloc(sizeof *p);

    probe->tx_time = (sim->now
                      + (probe->type == ZOO_PROBE_REPORT ? CLOCK : 0));
    probe->caps |= sim->side[from].caps;
    p->sent = sim->now;
    p->from = from;
    p->candidate = c;
    p->sport = sim->rewrite ? sim->rewrite(from, sport) : sport;
    p->len = zoo_probe_encode(probe, p->body);
    if (sim->tap) {
        sim->tap(sim, p);
    }
    if (unit_chance(path->loss)
        || sim->side[!from].dead & UINT32_C(1) << instance_of(sim, p)
        || (sim->drop_reports && probe->type == ZOO_PROBE_REPORT)) {
        free(p);
        return;
    }
    p->arrival = sim->now + path->delay;
    if (path->jitter) {
        p->arrival += random_uint64() % path->jitter;
    }
    put_in_flight(sim, p);
}

void
sim_replay(struct sim *sim, const struct sim_packet *original)
{
    struct sim_packet *p = xmemdup(original, sizeof *original);

    p->arrival = sim->now + 1;
    p->candidate = -1;
    put_in_flight(sim, p);
}

/* A side's thread. */

static enum zoo_probe_error
receive_request(struct sim *sim, int i, const struct sim_packet *p,
                const struct zoo_probe *probe)
{
    struct sim_side *s = &sim->side[i];
    struct zoo_sender_tunnel *tunnel;
    struct zoo_sender_key key;
    struct zoo_rx_grant grant = { .refused = false };
    enum zoo_probe_error error;
    bool newest;

    memset(&key, 0, sizeof key);
    in6_addr_set_mapped_ipv4(&key.remote, htonl(p->from + 1));
    in6_addr_set_mapped_ipv4(&key.local, htonl(i + 1));
    if (s->limit) {
        if (!zoo_rx_limit_admit(s->limit, &key.remote, 0, 0, sim->now)) {
            return ZOO_PROBE_FLOOD;
        }
        grant = zoo_rx_limit_take(s->limit, &key.remote, sim->now);
    }
    zoo_peer_hint(&s->peer, &s->params, sim->now);
    error = zoo_responder_receive(s->responder[instance_of(sim, p)], &key,
                                  p->sport, probe, p->arrival, sim->now,
                                  random_uint64(), grant, &tunnel, &newest);
    if (newest && s->params.learn) {
        s->n_heard += zoo_peer_hear(&s->peer, &s->params, probe, p->sport,
                                    CLOCK, p->arrival);
    }
    return error;
}

/* The middlebox on side 'i' sees where the sessions of the other side come
 * from. */
static void
follow(struct sim *sim, int i)
{
    const struct sim_side *other = &sim->side[!i];
    uint16_t seen[ZOO_N_BUCKETS] = { 0 };

    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        int c = zoo_path_table_find(&other->peer.table, other->map[b]);

        if (other->in_use[b] && c >= 0
            && sim->path[!i][c % sim->n_paths].loss < 1) {
            seen[sim_way_back(b)] = other->map[b];
        }
    }
    zoo_peer_follow(&sim->side[i].peer, &sim->side[i].params, seen, sim->now);
}

static void
receive(struct sim *sim, int i, const struct sim_packet *p)
{
    struct sim_side *s = &sim->side[i];
    enum zoo_probe_error error;
    struct zoo_probe probe;
    size_t len;

    if (!s->patched) {
        return;
    }
    error = zoo_probe_decode(p->body, p->len, &probe, &len);
    if (!error) {
        error = (probe.type == ZOO_PROBE_REQUEST
                 ? receive_request(sim, i, p, &probe)
                 : zoo_peer_report(&s->peer, &s->params, &probe, p->sport,
                                   p->arrival));
    }
    s->errors[error]++;
    publish(sim, i);
}

static void
run_reports(struct sim *sim, int i)
{
    struct sim_side *s = &sim->side[i];

    for (unsigned int k = 0; k < s->n_instances; k++) {
        struct zoo_report report;

        while (zoo_responder_next_report(s->responder[k], sim->now,
                                         &report)) {
            bool urgent = report.probe.flags & ZOO_PROBE_F_URGENT;
            unsigned int n = urgent ? MIN(URGENT_COPIES,
                                          report.max_copies) : 1;
            uint16_t sports[ZOO_MAX_CANDIDATES];

            if (s->params.learn && s->peer.state != ZOO_PEER_IDLE
                && report.peer_caps & ZOO_PROBE_CAP_ECHO) {
                report.probe.flags |= ZOO_PROBE_F_REFLECTED;
                n = 0;
                for (unsigned int j = 0; j < report.probe.n_entries; j++) {
                    if (report.arrived & (UINT32_C(1) << j)) {
                        sports[n++] = report.probe.entries[j].sport;
                    }
                }
            } else {
                n = zoo_peer_report_ports(&s->peer, eth_addr_zero,
                                          s->report_salt, sports, n);
            }
            s->report_salt += n;
            if (s->n_instances > 1) {
                report.probe.backend_id
                    = (struct eth_addr) ETH_ADDR_C(02,00,00,00,00,01);
                report.probe.backend_id.ea[5] += s->first_backend + k;
            }
            for (unsigned int j = 0; s->can_send && j < n; j++) {
                s->n_reports++;
                send_probe(sim, i, sports[j], &report.probe);
            }
        }
    }
}

static void
run_peer(struct sim *sim, int i)
{
    struct sim_side *s = &sim->side[i];
    struct zoo_probe probe;
    uint32_t set;

    if (zoo_peer_needs_session(&s->peer)) {
        zoo_peer_begin_session(&s->peer, random_uint64());
    }
    set = zoo_peer_run(&s->peer, &s->params, sim->now);
    publish(sim, i);
    if (!set) {
        return;
    }
    zoo_peer_request(&s->peer, set, &probe);
    probe.caps |= s->params.learn ? 0 : ZOO_PROBE_CAP_ECHO;
    if (sim->now / (100 * MSEC) != s->burst_slot) {
        s->burst_slot = sim->now / (100 * MSEC);
        s->burst = 0;
    }
    unit_assert(++s->burst <= 40, "a storm of rounds");
    if (s->can_send) {
        s->n_rounds++;
        for (unsigned int k = 0; k < probe.n_entries; k++) {
            s->n_requests++;
            send_probe(sim, i, probe.entries[k].sport, &probe);
        }
    }
    if (!s->can_send && s->link_down) {
        zoo_peer_link_down(&s->peer, sim->now);
    }
    zoo_peer_sent(&s->peer, s->can_send, sim->now);
}

static void
run_side(struct sim *sim, int i)
{
    struct sim_side *s = &sim->side[i];
    struct sim_packet *p;

    LIST_FOR_EACH_POP (p, list_node, &s->inbox) {
        receive(sim, i, p);
        free(p);
    }
    if (sim->now >= s->next_use) {
        s->next_use = sim->now + USE_INTERVAL;
        if (s->active) {
            bool any = memchr(s->in_use, true, sizeof s->in_use);

            zoo_peer_relax(&s->peer, &s->params, sim->now);
            zoo_peer_use(&s->peer, any ? s->in_use : NULL, &s->params,
                         sim->now);
            if (s->params.learn) {
                follow(sim, i);
            }
            publish(sim, i);
        }
        for (unsigned int k = 0; k < s->n_instances; k++) {
            zoo_responder_expire(s->responder[k], sim->now);
        }
    }
    run_reports(sim, i);
    run_peer(sim, i);
}

/* Returns when the thread of side 'i' runs next, in whole ms as poll_block()
 * wakes up. */
static long long int
next_wake(const struct sim *sim, int i)
{
    const struct sim_side *s = &sim->side[i];
    long long int next = MIN(s->next_use, zoo_peer_next(&s->peer,
                                                        &s->params));

    for (unsigned int k = 0; k < s->n_instances; k++) {
        next = MIN(next, zoo_responder_next_due(s->responder[k]));
    }
    if (!ovs_list_is_empty(&s->inbox)) {
        next = sim->now;
    } else {
        next = DIV_ROUND_UP(next, MSEC) * MSEC;
    }
    return MAX(MAX(next, sim->now), s->stalled_until);
}

static void
deliver(struct sim *sim, struct sim_packet *p)
{
    struct sim_side *from = &sim->side[p->from];
    struct zoo_probe probe;
    size_t len;

    if (p->candidate >= 0
        && !zoo_probe_decode(p->body, p->len, &probe, &len)
        && (probe.type == ZOO_PROBE_REQUEST
            || probe.flags & ZOO_PROBE_F_REFLECTED)) {
        if (p->sent >= from->last_arrived[p->candidate]) {
            unsigned int instance = instance_of(sim, p);

            from->last_arrived[p->candidate] = p->sent;
            if (from->leads_to[p->candidate] != instance) {
                from->leads_to[p->candidate] = instance;
                from->changed[p->candidate] = p->sent;
            }
        }
    }
    ovs_list_push_back(&sim->side[!p->from].inbox, &p->list_node);
}

void
sim_run(struct sim *sim, long long int duration)
{
    long long int end = sim->now + duration;
    long long int last = sim->now;
    unsigned int n = 0;

    for (;;) {
        long long int wake[2] = { next_wake(sim, 0), next_wake(sim, 1) };
        long long int next = MIN(wake[0], wake[1]);
        struct sim_packet *p = NULL;

        if (!heap_is_empty(&sim->in_flight)) {
            p = CONTAINER_OF(heap_max(&sim->in_flight), struct sim_packet,
                             heap_node);
            if (p->arrival <= next) {
                next = p->arrival;
            } else {
                p = NULL;
            }
        }
        if (next >= end) {
            sim->now = end;
            return;
        }
        sim->now = MAX(sim->now, next);
        n = sim->now == last ? n + 1 : 0;
        last = sim->now;
        unit_assert(n < 3000, "something always wants to run at once");
        if (p) {
            heap_remove(&sim->in_flight, &p->heap_node);
            deliver(sim, p);
        } else {
            run_side(sim, wake[0] <= wake[1] ? 0 : 1);
        }
    }
}

long long int
sim_run_until(struct sim *sim, bool (*condition)(struct sim *),
              long long int limit)
{
    long long int begin = sim->now;

    while (sim->now - begin <= limit) {
        if (condition(sim)) {
            return sim->now - begin;
        }
        sim_run(sim, MSEC);
    }
    return LLONG_MAX;
}

/* What tests do to it. */

void
sim_use(struct sim *sim, int side, unsigned int n)
{
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        sim->side[side].in_use[b] = b < n;
    }
    update_silence(sim, side);
}

void
sim_start(struct sim *sim, uint32_t seed, unsigned int n_used)
{
    unit_seed(seed);
    sim_init(sim, 4, &sim_defaults);
    sim_use(sim, 0, n_used);
    sim_use(sim, 1, n_used);
    sim_run(sim, 3 * SEC);
}

void
sim_set_loss(struct sim *sim, int from, int path, double loss)
{
    for (unsigned int k = 0; k < sim->n_paths; k++) {
        if (path == SIM_ALL_PATHS || path == k) {
            sim->path[from][k].loss = loss;
        }
    }
    update_silence(sim, from);
}

void
sim_set_loss_both(struct sim *sim, int path, double loss)
{
    sim_set_loss(sim, 0, path, loss);
    sim_set_loss(sim, 1, path, loss);
}

void
sim_set_delay(struct sim *sim, long long int delay, long long int jitter)
{
    for (int from = 0; from < 2; from++) {
        for (unsigned int k = 0; k < sim->n_paths; k++) {
            sim->path[from][k].delay = delay;
            sim->path[from][k].jitter = jitter;
        }
    }
}

void
sim_stall(struct sim *sim, int side, long long int duration)
{
    sim->side[side].stalled_until = sim->now + duration;
}

void
sim_restart_peer(struct sim *sim, int side)
{
    zoo_peer_uninit(&sim->side[side].peer);
    init_peer(sim, side);
    update_silence(sim, side);
}

void
sim_restart_responder(struct sim *sim, int side)
{
    struct sim_side *s = &sim->side[side];

    for (unsigned int k = 0; k < s->n_instances; k++) {
        zoo_responder_destroy(s->responder[k]);
        s->responder[k] = zoo_responder_create();
    }
}

void
sim_route(struct sim *sim, int side, unsigned int instances, uint32_t seed)
{
    struct sim_side *s = &sim->side[side];
    unsigned int n = count_1bits(instances);

    s->routed = true;
    for (uint32_t i = 0; i < ZOO_MAX_CANDIDATES; i++) {
        unsigned int k = ((uint64_t) hash_int(i, seed) * n) >> 32;
        unsigned int rest = instances;

        while (k--) {
            rest &= rest - 1;
        }
        s->route[i] = raw_ctz(rest);
    }
}

void
sim_force(struct sim *sim, int side, unsigned int candidate,
          enum zoo_health_forced forced)
{
    struct sim_side *s = &sim->side[side];

    zoo_peer_force(&s->peer, &s->params, candidate, forced, sim->now);
    publish(sim, side);
}

/* What tests ask it. */

unsigned int
sim_lost(const struct sim *sim, int side)
{
    const struct zoo_peer *peer = &sim->side[side].peer;
    unsigned int n = 0;

    for (unsigned int c = 0; c < peer->table.n; c++) {
        n += peer->candidates[c].lost;
    }
    return n;
}

unsigned int
sim_down(const struct sim *sim, int side)
{
    unsigned int n = 0;

    for (int c = 0; c < ZOO_MAX_CANDIDATES; c++) {
        n += sim->side[side].n_down[c];
    }
    return n;
}

void
sim_check_all_good(const struct sim *sim, int side, uint32_t seed)
{
    const struct sim_side *s = &sim->side[side];
    unsigned int n_up = sim_count(sim, side, SIM_ALL_PATHS, ZOO_HEALTH_UP);

    unit_assert(s->peer.state == ZOO_PEER_ACTIVE && !s->peer.upstream,
                "seed %u: side %d is %s", seed, side,
                zoo_peer_state_to_string(s->peer.state));
    unit_assert(n_up == s->peer.table.n, "seed %u: side %d: %u are up", seed,
                side, n_up);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        unit_assert(s->owner[b] == b % s->peer.table.n
                    && s->map[b] == s->peer.table.sport[s->owner[b]],
                    "seed %u: side %d: bucket %u is with %u", seed, side, b,
                    s->owner[b]);
    }
}

void
sim_check_undisturbed(const struct sim *sim, int side, uint32_t seed)
{
    sim_check_all_good(sim, side, seed);
    unit_assert(!sim_down(sim, side) && !sim_moves(sim, side, NULL),
                "seed %u: side %d: %u down, %u moves", seed, side,
                sim_down(sim, side), sim_moves(sim, side, NULL));
}

unsigned int
sim_count(const struct sim *sim, int side, int path,
          enum zoo_health_state state)
{
    const struct zoo_peer *peer = &sim->side[side].peer;
    unsigned int n = 0;

    for (unsigned int c = 0; c < peer->table.n; c++) {
        n += ((path == SIM_ALL_PATHS || c % sim->n_paths == path)
              && zoo_health_state(&peer->candidates[c].health) == state);
    }
    return n;
}

unsigned int
sim_moves(const struct sim *sim, int side, unsigned int *max)
{
    unsigned int sum = 0, most = 0;

    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        sum += sim->side[side].moves[b];
        most = MAX(most, sim->side[side].moves[b]);
    }
    if (max) {
        *max = most;
    }
    return sum;
}
