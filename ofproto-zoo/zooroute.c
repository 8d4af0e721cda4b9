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
#include "zooroute.h"

#include <errno.h>
#include <sys/stat.h>

#include "coverage.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/hmap.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-atomic.h"
#include "ovs-ext/zoo-quarantine.h"
#include "ovs-rcu.h"
#include "random.h"
#include "seq.h"
#include "simap.h"
#include "sset.h"
#include "timeval.h"
#include "util.h"
#include "zoo-mode.h"
#include "zooroute-private.h"

VLOG_DEFINE_THIS_MODULE(zooroute);

COVERAGE_DEFINE(zooroute_view);

struct ovs_mutex zooroute_mutex = OVS_MUTEX_INITIALIZER;
struct cmap zooroute_peers = CMAP_INITIALIZER;
struct zoo_consents *zooroute_consents;
struct zoo_clocks *zooroute_clocks OVS_GUARDED_BY(zooroute_mutex);
struct zooroute_config zooroute_config OVS_GUARDED_BY(zooroute_mutex);
struct zoo_params zooroute_params OVS_GUARDED_BY(zooroute_mutex);
struct zoo_auth *zooroute_auth OVS_GUARDED_BY(zooroute_mutex);
struct zooroute_stats zooroute_stats OVS_GUARDED_BY(zooroute_mutex);
struct zoo_responder *zooroute_responder OVS_GUARDED_BY(zooroute_mutex);
struct zoo_rx_limit *zooroute_rx_limit OVS_GUARDED_BY(zooroute_mutex);
struct zoo_schedule zooroute_peer_schedule OVS_GUARDED_BY(zooroute_mutex);
struct hmap zooroute_sessions OVS_GUARDED_BY(zooroute_mutex)
    = HMAP_INITIALIZER(&zooroute_sessions);

struct zoo_budget_state zooroute_budget OVS_GUARDED_BY(zooroute_mutex);
unsigned int zooroute_n_learned OVS_GUARDED_BY(zooroute_mutex);

/* What flow translation reads without a lock.  NULL while the feature is
 * off. */
struct xlate_view {
    bool tunnels_all;
    struct sset on, off, unsupported; /* Tunnel ports with an override. */
};
static OVSRCU_TYPE(struct xlate_view *) view = OVSRCU_INITIALIZER(NULL);

/* Main thread only: overrides, enum zooroute_iface_mode by interface name. */
static struct simap overrides = SIMAP_INITIALIZER(&overrides);
static struct timespec key_file_mtime;
static long long int next_key_check = LLONG_MIN;

static struct seq *status_seq;

void
zooroute_init(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;

    if (ovsthread_once_start(&once)) {
        status_seq = seq_create();
        ovs_mutex_lock(&zooroute_mutex);
        zoo_schedule_init(&zooroute_peer_schedule);
        zooroute_responder = zoo_responder_create();
        zooroute_rx_limit = zoo_rx_limit_create(random_uint32());
        zooroute_consents = zoo_consents_create();
        zooroute_clocks = zoo_clocks_create();
        zooroute_config = ZOOROUTE_CONFIG_DEFAULT;
        ovs_mutex_unlock(&zooroute_mutex);
        zooroute_appctl_init();
        ovsthread_once_done(&once);
    }
}

uint64_t
zooroute_status_seq(void)
{
    return seq_read(status_seq);
}

void
zooroute_status_wait(uint64_t seq)
{
    seq_wait(status_seq, seq);
}

void
zooroute_status_changed(void)
{
    seq_change(status_seq);
}

/* Configuration. */

static void
view_destroy(struct xlate_view *v)
{
    sset_destroy(&v->on);
    sset_destroy(&v->off);
    sset_destroy(&v->unsupported);
    free(v);
}

/* Publishes what flow translation needs to know.  Takes time in proportion to
 * the number of overrides. */
static void
update_view(bool enabled, bool tunnels_all)
{
    struct xlate_view *old = ovsrcu_get_protected(struct xlate_view *, &view);
    struct xlate_view *new = NULL;

    COVERAGE_INC(zooroute_view);
    if (enabled) {
        struct simap_node *node;

        new = xmalloc(sizeof *new);
        new->tunnels_all = tunnels_all;
        sset_init(&new->on);
        sset_init(&new->off);
        sset_init(&new->unsupported);
        SIMAP_FOR_EACH (node, &overrides) {
            sset_add((node->data == ZOOROUTE_IFACE_ON ? &new->on
                      : node->data == ZOOROUTE_IFACE_OFF ? &new->off
                      : &new->unsupported), node->name);
        }
    }
    ovsrcu_set(&view, new);
    if (old) {
        ovsrcu_postpone(view_destroy, old);
    }
    zoo_quarantine_revalidate();
}

void
zooroute_set_interfaces(const struct simap *modes)
{
    bool enabled, tunnels_all;
    struct simap_node *node;

    if (simap_equal(modes, &overrides)) {
        return;
    }
    simap_clear(&overrides);
    SIMAP_FOR_EACH (node, modes) {
        simap_put(&overrides, node->name, node->data);
    }

    /* They change in this thread only. */
    ovs_mutex_lock(&zooroute_mutex);
    enabled = zooroute_config.enabled;
    tunnels_all = zooroute_config.tunnels_all;
    ovs_mutex_unlock(&zooroute_mutex);
    update_view(enabled, tunnels_all);
}

static void
set_params(const struct zooroute_config *c) OVS_REQUIRES(zooroute_mutex)
{
    const long long int msec = 1000 * 1000;

    zooroute_params = (struct zoo_params) {
        .candidates = c->candidates,
        .port_min = c->port_min,
        .port_max = c->port_max,
        .probe_interval = c->probe_interval_ms * msec,
        .full_interval = c->full_interval_ms * msec,
        .fail_threshold = c->fail_threshold,
        .recover_successes = c->recover_successes,
        .recover_window = c->recover_window,
        .hold_down = c->hold_down_s * 1000 * msec,
        .peer_idle = c->peer_idle_s * 1000 * msec,
        .shared_candidates = c->shared_candidates,
        .stretch = zooroute_params.stretch,
        .flooded = zooroute_params.flooded,
    };
    zooroute_update_learning();
}

/* Returns true if each segment has as many candidates in 'a' as in 'b'. */
static bool
same_profiles(const struct zooroute_config *a, const struct zooroute_config *b)
{
    for (int i = 0; i < ZOO_N_SEGMENTS; i++) {
        if (a->profiles[i].candidates != b->profiles[i].candidates) {
            return false;
        }
    }
    return true;
}

/* Returns true if 'a' and 'b' give a peer the same candidates. */
static bool
same_candidates(const struct zooroute_config *a,
                const struct zooroute_config *b)
{
    return (a->enabled == b->enabled
            && a->candidates == b->candidates
            && same_profiles(a, b)
            && a->port_min == b->port_min
            && a->port_max == b->port_max
            && a->seed == b->seed
            && a->shared_candidates == b->shared_candidates);
}

/* Loads the keys again.  Returns NULL or what is wrong. */
static char *
load_keys(const char *file_name)
{
    struct zoo_auth *auth = NULL;
    struct stat st;
    char *error;

    if (file_name) {
        /* The time is read first: a write in between is noticed later. */
        if (!stat(file_name, &st)) {
            key_file_mtime = st.st_mtim;
        }
        auth = zoo_auth_load(file_name, &error);
        if (!auth) {
            return error;
        }
    }

    ovs_mutex_lock(&zooroute_mutex);
    if (!zoo_auth_equal(auth, zooroute_auth)) {
        VLOG_INFO("authentication of probes %s (newest key ID %"PRIu16")",
                  auth ? "on" : "off", zoo_auth_newest(auth));
    }
    struct zoo_auth *old = zooroute_auth;
    zooroute_auth = auth;
    zooroute_update_learning();
    zooroute_update_profiles();
    ovs_mutex_unlock(&zooroute_mutex);
    zoo_auth_unref(old);
    return NULL;
}

char *
zooroute_set_config(const struct zooroute_config *config)
{
    char *error = load_keys(config->enabled ? config->auth_key_file : NULL);
    struct zooroute_config old;

    ovs_mutex_lock(&zooroute_mutex);
    old = zooroute_config;
    zooroute_config = *config;
    zooroute_config.auth_key_file = nullable_xstrdup(config->auth_key_file);
    zooroute_config.peer_roles
        = zooroute_copy_roles(config->peer_roles, config->n_peer_roles);
    set_params(config);
    if (zooroute_learning_warning()) {
        VLOG_WARN("%s", zooroute_learning_warning());
    }
    zooroute_update_room();
    zoo_rx_limit_configure(zooroute_rx_limit, config->rx_rate,
                           zooroute_rx_rate_per_source(config));
    zoo_schedule_refill(&zooroute_peer_schedule, config->max_probe_rate,
                        zoo_now());
    if (!same_candidates(&old, config)) {
        struct zooroute_peer *peer;

        CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
            zooroute_retire(peer);
        }
    }
    if (!config->enabled) {
        /* Nobody would hear of it if it ended. */
        zoo_consents_expire(zooroute_consents, LLONG_MAX);
    }
    if (!same_candidates(&old, config)
        || old.tunnels_all != config->tunnels_all) {
        update_view(config->enabled, config->tunnels_all);
    }
    zooroute_update_segments(zoo_now());
    struct zooroute_peer *p;
    CMAP_FOR_EACH (p, cmap_node, &zooroute_peers) {
        zoo_peer_reconfigured(&p->peer, zooroute_segment_params(p->segment),
                              zoo_now());
        zooroute_schedule(p, zoo_now());
        if (old.probe_vni != config->probe_vni) {
            atomic_store_relaxed(&p->lost_port, true);
        }
    }
    ovs_mutex_unlock(&zooroute_mutex);
    if (old.probe_vni != config->probe_vni) {
        zoo_quarantine_revalidate();
    }
    free(old.auth_key_file);
    free(old.peer_roles);

    if (old.enabled != config->enabled) {
        VLOG_INFO("ZooRoute %s", config->enabled ? "on" : "off");
        if (config->enabled) {
            zooroute_thread_start();
        } else {
            zooroute_thread_stop();
        }
        zoo_pop_enable(config->enabled);
    }
    zooroute_thread_wake();
    return error;
}

unsigned int
zooroute_get_shared_candidates(uint16_t sports[32])
{
    struct zoo_path_table table;
    unsigned int n = 0;
    bool shared;

    ovs_mutex_lock(&zooroute_mutex);
    BUILD_ASSERT(ZOO_MAX_CANDIDATES == 32);
    shared = zooroute_config.enabled && zooroute_config.shared_candidates;
    if (shared) {
        /* Segments with fewer have the first ones. */
        for (int i = 0; i < ZOO_N_SEGMENTS; i++) {
            n = MAX(n, zooroute_segment_params(i)->candidates);
        }
        zoo_path_table_init(&table, n,
                            zooroute_params.port_min,
                            zooroute_params.port_max,
                            &table, 0, zooroute_config.seed);
        memcpy(sports, table.sport, table.n * sizeof *sports);
    }
    ovs_mutex_unlock(&zooroute_mutex);
    return shared ? table.n : 0;
}

static void
reload_changed_keys(void)
{
    char *file_name;
    struct stat st;

    if (time_msec() < next_key_check) {
        return;
    }
    next_key_check = time_msec() + 1000;

    ovs_mutex_lock(&zooroute_mutex);
    file_name = (zooroute_config.enabled
                 ? nullable_xstrdup(zooroute_config.auth_key_file) : NULL);
    ovs_mutex_unlock(&zooroute_mutex);
    if (file_name && !stat(file_name, &st)
        && (st.st_mtim.tv_sec != key_file_mtime.tv_sec
            || st.st_mtim.tv_nsec != key_file_mtime.tv_nsec)) {
        char *error = load_keys(file_name);

        if (error) {
            VLOG_ERR("auth_key_file: %s; keeping the former keys", error);
            free(error);
        }
    }
    free(file_name);
}

void
zooroute_exit(void)
{
    bool enabled;

    ovs_mutex_lock(&zooroute_mutex);
    enabled = zooroute_config.enabled;
    ovs_mutex_unlock(&zooroute_mutex);
    if (enabled) {
        zooroute_thread_stop();
    }
}

void
zooroute_run(void)
{
    reload_changed_keys();
    zooroute_underlay_run();
    zoo_quarantine_run();
}

void
zooroute_wait(void)
{
    if (zooroute_is_enabled()) {
        poll_timer_wait_until(next_key_check);
    }
    zooroute_underlay_wait();
    zoo_quarantine_wait();
}

/* Flow translation. */

bool
zooroute_is_enabled(void)
{
    return ovsrcu_get(struct xlate_view *, &view) != NULL;
}

static bool
output_is_wanted(const struct zooroute_output *out)
{
    const struct xlate_view *v = ovsrcu_get(struct xlate_view *, &view);

    return (v
            && !sset_contains(&v->unsupported, out->iface)
            && (out->mode == ZOO_FLOW_ON
                || (v->tunnels_all
                    ? !sset_contains(&v->off, out->iface)
                    : sset_contains(&v->on, out->iface))));
}

void
zooroute_choose(struct zooroute_output *out)
{
    struct zooroute_peer *peer;
    bool lost_port = false, new_port = false;

    if (!output_is_wanted(out)) {
        return;
    }
    peer = zooroute_find(&out->key);
    if (peer) {
        uint64_t known_ports;

        atomic_read_relaxed(&peer->lost_port, &lost_port);
        atomic_read_relaxed(&peer->known_ports, &known_ports);
        new_port = !(known_ports & zooroute_port_bit(&out->port));
    }
    if (!peer && out->learned && !out->dry_run && !zooroute_has_room()) {
        zooroute_note_refused(zooroute_key_hash(&out->key));
        return;
    }
    if ((!peer || lost_port || new_port) && !out->dry_run) {
        ovs_mutex_lock(&zooroute_mutex);
        peer = zooroute_find(&out->key);
        if (peer) {
            zooroute_add_port(peer, out);
        } else if (zooroute_config.enabled) {
            peer = zooroute_create(out);
        }
        ovs_mutex_unlock(&zooroute_mutex);
    }
    out->choice = peer ? peer->slot : 0;
}

void
zooroute_forget(const struct zooroute_key *key)
{
    struct zooroute_peer *peer;

    ovs_mutex_lock(&zooroute_mutex);
    peer = zooroute_find(key);
    if (peer) {
        zooroute_retire(peer);
    }
    ovs_mutex_unlock(&zooroute_mutex);
}

bool
zooroute_is_legacy(const struct zooroute_key *key)
{
    const struct zooroute_peer *peer;
    bool legacy;

    ovs_mutex_lock(&zooroute_mutex);
    peer = zooroute_find(key);
    legacy = peer && !peer->peer.answered && peer->peer.upstream;
    ovs_mutex_unlock(&zooroute_mutex);
    return legacy;
}

unsigned int
zooroute_get_groups(const struct zooroute_key *key, uint8_t groups[32])
{
    const struct zooroute_peer *peer;
    unsigned int n = 0;

    BUILD_ASSERT(ZOO_MAX_CANDIDATES == 32);
    ovs_mutex_lock(&zooroute_mutex);
    peer = zooroute_find(key);
    if (peer) {
        n = peer->peer.table.n;
        for (unsigned int i = 0; i < n; i++) {
            groups[i] = peer->peer.candidates[i].group;
        }
    }
    ovs_mutex_unlock(&zooroute_mutex);
    return n;
}

bool
zooroute_takes_colors(const struct zooroute_key *key)
{
    const struct zooroute_peer *peer = zooroute_find(key);
    bool takes = false;

    if (peer) {
        atomic_read_relaxed(&peer->takes_colors, &takes);
    }
    return takes;
}

bool
zooroute_sends_colors(const struct zooroute_key *key)
{
    return (zooroute_takes_colors(key)
            || zoo_consents_has(zooroute_consents, &key->local, &key->remote,
                                key->dst_port));
}

struct zoo_clock
zooroute_get_clock(const struct in6_addr *local, const struct in6_addr *remote)
{
    long long int now = zoo_now();
    struct zoo_clock clock;

    ovs_mutex_lock(&zooroute_mutex);
    zoo_clocks_want(zooroute_clocks, local, remote, now);
    clock = zoo_clocks_get(zooroute_clocks, local, remote, now);
    ovs_mutex_unlock(&zooroute_mutex);
    return clock;
}

void
zooroute_format_output(const struct zooroute_output *out, uint32_t hash,
                       struct ds *s)
{
    if (out->mode == ZOO_FLOW_SPORT) {
        ds_put_format(s, "zooroute: outer source port %"PRIu16" by action",
                      out->choice);
        return;
    }

    ds_put_cstr(s, "zooroute: peer ");
    zooroute_format_key(&out->key, s);
    ovs_mutex_lock(&zooroute_mutex);
    struct zooroute_peer *peer = out->choice ? zooroute_find(&out->key) : NULL;
    if (!peer) {
        ds_put_cstr(s, " has no path table, "
                    "Open vSwitch chooses the outer source port");
    } else if (peer->peer.upstream) {
        ds_put_char(s, ' ');
        zoo_mode_format_upstream(&peer->peer, s);
        ds_put_cstr(s, ", Open vSwitch chooses the outer source port");
    } else {
        const struct zoo_path_table *table = &peer->peer.table;
        unsigned int b = zoo_bucket(hash);
        unsigned int home = zoo_peer_home(&peer->peer, b);

        ds_put_format(s, ", bucket %u, outer source port %"PRIu16, b,
                      table->sport[table->owner[b]]);
        if (zoo_peer_session_decides(&peer->peer, b)) {
            ds_put_cstr(s, " (which its sessions come with)");
        } else if (table->owner[b] != home) {
            ds_put_format(s, " (home is %"PRIu16")", table->sport[home]);
        }
    }
    ovs_mutex_unlock(&zooroute_mutex);
}
