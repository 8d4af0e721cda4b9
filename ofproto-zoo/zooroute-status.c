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

#include <inttypes.h>

#include "coverage.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/vlog.h"
#include "seq.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(zooroute_status);

COVERAGE_DEFINE(zooroute_failover);

#define MSEC (1000 * 1000LL)

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 60);

/* Appends the ports of the candidates in 'set'. */
static void
format_ports(const struct zoo_path_table *table, uint32_t set, struct ds *s)
{
    const char *separator = "";

    for (unsigned int i = 0; i < table->n; i++) {
        if (set & (UINT32_C(1) << i)) {
            ds_put_format(s, "%s%"PRIu16, separator, table->sport[i]);
            separator = ",";
        }
    }
}

static void
log_candidates(const char *name, const struct zoo_peer *peer, uint32_t set,
               const char *what)
{
    if (set) {
        struct ds s = DS_EMPTY_INITIALIZER;

        format_ports(&peer->table, set, &s);
        VLOG_INFO_RL(&rl, "%s: outer source port %s %s", name, ds_cstr(&s),
                     what);
        ds_destroy(&s);
    }
}

static void
log_state(const char *name, const struct zoo_peer *peer,
          enum zoo_peer_state before)
{
    switch (peer->state) {
    case ZOO_PEER_ACTIVE:
        if (before == ZOO_PEER_EXHAUSTED) {
            VLOG_INFO_RL(&rl, "%s: a candidate works again", name);
        } else if (before == ZOO_PEER_LEGACY) {
            VLOG_INFO_RL(&rl, "%s: answers probes now", name);
        }
        break;
    case ZOO_PEER_LEGACY:
        VLOG_INFO_RL(&rl, "%s: legacy: has never answered a probe, "
                     "so its traffic is sent as without ZooRoute", name);
        break;
    case ZOO_PEER_EXHAUSTED:
        VLOG_WARN_RL(&rl, "%s: exhausted: none of %u outer source ports "
                     "works, so its traffic %s", name, peer->table.n,
                     (peer->upstream ? "is sent as without ZooRoute"
                      : "stays at the middleboxes that know it"));
        break;
    case ZOO_PEER_UNSUPPORTED:
        VLOG_WARN_RL(&rl, "%s: unsupported: something on the way rewrites "
                     "the outer source port", name);
        break;
    case ZOO_PEER_IDLE:
        break;
    default:
        OVS_NOT_REACHED();
    }
}

void
zooroute_log_events(struct zooroute_peer *p, enum zoo_peer_state before)
{
    struct zoo_peer *peer = &p->peer;
    char *name;

    if (peer->state == before && !peer->went_down && !peer->came_up
        && !peer->moved_from && !peer->returned
        && !(peer->groups && peer->groups->left)) {
        return;
    }

    name = zooroute_key_to_string(&p->key);
    log_candidates(name, peer, peer->went_down, "down");
    if (peer->moved_from) {
        p->last_failover_wall_ms = time_wall_msec();
        COVERAGE_INC(zooroute_failover);
        if (peer->last_failover) {
            char *what = xasprintf("moved to working ones %lld ms after the "
                                   "first lost probe", peer->outage / MSEC);
            log_candidates(name, peer, peer->moved_from, what);
            free(what);
        }
    }
    if (peer->state == before || before == ZOO_PEER_EXHAUSTED) {
        log_candidates(name, peer, peer->came_up, "up");
    }
    if (peer->groups) {
        log_candidates(name, peer, peer->groups->left,
                       "leads to another middlebox now, moved to others");
        peer->groups->left = 0;
    }
    log_candidates(name, peer, peer->returned, "has its traffic back");
    if (peer->state != before) {
        log_state(name, peer, before);
    }
    free(name);

    peer->went_down = peer->came_up = peer->moved_from = peer->returned = 0;
    zooroute_status_changed();
}

/* What there is to say of a peer, as numbers. */
struct peer_numbers {
    struct zooroute_key key;
    enum zoo_peer_state state;
    unsigned int candidates, healthy;
    uint64_t failovers, sent, lost, n_rounds, n_reports;
    long long int last_failover_wall_ms, srtt;
    unsigned int slowed;
    enum zoo_segment segment;
    const char *segment_from;
    int send_error;
};

static void
get_peer_numbers(const struct zooroute_peer *p, struct peer_numbers *n)
    OVS_REQUIRES(zooroute_mutex)
{
    const struct zoo_peer *peer = &p->peer;

    *n = (struct peer_numbers) {
        .key = p->key,
        .state = peer->state,
        .candidates = peer->table.n,
        .healthy = count_1bits(zoo_peer_healthy(peer)),
        .failovers = peer->failovers,
        .n_rounds = p->n_rounds,
        .n_reports = p->n_reports,
        .last_failover_wall_ms = p->last_failover_wall_ms,
        .srtt = peer->srtt,
        .slowed = peer->slowed,
        .segment = p->segment,
        .segment_from = zooroute_role_source(p),
        .send_error = p->send_error,
    };
    for (unsigned int i = 0; i < peer->table.n; i++) {
        n->sent += peer->candidates[i].sent;
        n->lost += peer->candidates[i].lost;
    }
}

static void
get_peer_status(const struct peer_numbers *p, struct zooroute_peer_status *s)
{
    s->local_ip = xzalloc(INET6_ADDRSTRLEN);
    s->remote_ip = xzalloc(INET6_ADDRSTRLEN);
    ipv6_string_mapped(s->local_ip, &p->key.local);
    ipv6_string_mapped(s->remote_ip, &p->key.remote);
    s->dst_port = ntohs(p->key.dst_port);
    s->state = zoo_peer_state_to_string(p->state);
    s->candidates = p->candidates;
    s->healthy = p->healthy;
    s->failovers = p->failovers;
    s->last_failover_wall_ms = p->last_failover_wall_ms;

    smap_init(&s->status);
    if (p->send_error) {
        smap_add_format(&s->status, "error", "probes cannot be sent: %s",
                        ovs_strerror(p->send_error));
    }
    if (p->slowed) {
        smap_add_format(&s->status, "slowed_by_peer", "%u", 1u << p->slowed);
    }
    smap_add(&s->status, "segment", zoo_segment_to_string(p->segment));
    smap_add(&s->status, "segment_from", p->segment_from);
    if (p->key.pkt_mark) {
        smap_add_format(&s->status, "pkt_mark", "%#"PRIx32, p->key.pkt_mark);
    }

    smap_init(&s->statistics);
    smap_add_format(&s->statistics, "probes_sent", "%"PRIu64, p->sent);
    smap_add_format(&s->statistics, "probes_lost", "%"PRIu64, p->lost);
    smap_add_format(&s->statistics, "rounds_sent", "%"PRIu64, p->n_rounds);
    smap_add_format(&s->statistics, "reports_received", "%"PRIu64,
                    p->n_reports);
    if (p->srtt) {
        smap_add_format(&s->statistics, "rtt_us", "%lld", p->srtt / 1000);
    }
}

static void
get_statistics(struct smap *statistics) OVS_REQUIRES(zooroute_mutex)
{
    const struct zooroute_stats *stats = &zooroute_stats;
    long long int last_refused;

#define ADD(NAME, VALUE) \
    smap_add_format(statistics, NAME, "%"PRIu64, (uint64_t) (VALUE))
    ADD("peers", cmap_count(&zooroute_peers));
    ADD("slots", zoo_slot_count());
    ADD("senders", zoo_responder_count(zooroute_responder));
    ADD("tx_rounds", stats->tx_rounds);
    ADD("tx_requests", stats->tx_requests);
    ADD("tx_reports", stats->tx_reports);
    ADD("tx_bytes", stats->tx_bytes);
    ADD("rx_requests", stats->rx_requests);
    ADD("rx_reports", stats->rx_reports);
    ADD("unsent_rounds", stats->unsent_rounds);
    ADD("rate_limited", stats->rate_limited);
    ADD("rx_over_rate", stats->rx_over_rate);
    ADD("rx_ctl", stats->rx_ctl);
    ADD("cpu_slowdowns", zooroute_budget.n_raised);
    ADD("cpus_percent", zooroute_budget.cpus.percent);
    ADD("probing_cpu_percent", zooroute_budget.probing.percent);
    ADD("receiving_cpu_percent", zooroute_budget.receiving.percent);
    ADD("no_slot", stats->no_slot);
    ADD("too_many_peers", zooroute_n_refused(&last_refused));
    if (zoo_rx_dropped(ZOO_RX_REQUESTS)) {
        ADD("rx_request_queue_full", zoo_rx_dropped(ZOO_RX_REQUESTS));
    }
    if (zoo_rx_dropped(ZOO_RX_REPORTS)) {
        ADD("rx_report_queue_full", zoo_rx_dropped(ZOO_RX_REPORTS));
    }
#undef ADD
    for (int i = ZOO_PROBE_OK + 1; i < ZOO_PROBE_N_ERRORS; i++) {
        uint64_t n = (stats->rx_errors[i]
                      + (i == ZOO_PROBE_UNEXPECTED ? zoo_rx_unexpected() : 0));

        if (n) {
            char *name = xasprintf("rx_%s", zoo_probe_error_to_string(i));

            smap_add_format(statistics, name, "%"PRIu64, n);
            free(name);
        }
    }
}

void
zooroute_get_status(struct zooroute_peer_status **peersp, size_t *np,
                    struct smap *status, struct smap *statistics)
{
    struct zooroute_peer_status *peers;
    struct zooroute_peer **all;
    size_t n_all, n = 0;

    all = zooroute_list_peers(&n_all);
    peers = xcalloc(n_all + 1, sizeof *peers);
    for (size_t i = 0; i < n_all; ) {
        struct peer_numbers numbers[ZOOROUTE_PEERS_AT_ONCE];
        size_t k = 0;

        ovs_mutex_lock(&zooroute_mutex);
        for (; i < n_all && k < ZOOROUTE_PEERS_AT_ONCE; i++) {
            if (!all[i]->retired) {
                get_peer_numbers(all[i], &numbers[k++]);
            }
        }
        ovs_mutex_unlock(&zooroute_mutex);
        for (size_t j = 0; j < k; j++) {
            get_peer_status(&numbers[j], &peers[n++]);
        }
    }
    free(all);
    ovs_mutex_lock(&zooroute_mutex);
    get_statistics(statistics);
    if (zooroute_params.stretch) {
        smap_add_format(status, "slowed_by_cpu", "%u",
                        1u << zooroute_params.stretch);
    }
    if (zooroute_learning_warning()) {
        smap_add(status, "learn-ports", zooroute_learning_warning());
    }
    ovs_mutex_unlock(&zooroute_mutex);
    *peersp = peers;
    *np = n;
}

void
zooroute_free_status(struct zooroute_peer_status *peers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(peers[i].local_ip);
        free(peers[i].remote_ip);
        smap_destroy(&peers[i].status);
        smap_destroy(&peers[i].statistics);
    }
    free(peers);
}
