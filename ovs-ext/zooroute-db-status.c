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

#include "ovs-ext/zooroute-db-status.h"

#include <inttypes.h>
#include <limits.h>

#include "lib/vswitch-idl.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/shash.h"
#include "ovs-ext/zooroute-db-config.h"
#include "ovsdb-idl.h"
#include "smap.h"
#include "timeval.h"
#include "util.h"

/* Status is written at most this often, and for at most one in so many parts
 * of the time, however many peers there are.  A peer's row that appears or goes
 * away makes ovs-vswitchd look at all of its configuration again, which is not
 * cheap on a large system. */
#define STATUS_MIN_INTERVAL_MS 100
#define STATUS_MAX_SHARE 20
#define STATUS_RETRY_INTERVAL_MS 1000
#define ROWS_MIN_INTERVAL_MS 1000

/* What ZooRoute_Peer's "daemon" says in our rows. */
static const char *daemon_name;

/* Progress of writing status. */
static struct ovsdb_idl_txn *status_txn;
static bool status_dirty = true;  /* Must be written. */
static uint64_t status_seq;       /* zooroute_status_seq() last written. */
static long long int next_status = LLONG_MIN;
static long long int next_rows = LLONG_MIN;
static long long int next_stats = LLONG_MIN;
static bool rows_pending;         /* Rows to insert or delete at 'next_rows'. */

/* An smap of integers as a column of type map from string to integer. */
struct int_map {
    const char **keys;
    int64_t *values;
    size_t n;
};

static void
int_map_init(struct int_map *map, const struct smap *smap)
{
    const struct smap_node *node;

    map->keys = xmalloc(smap_count(smap) * sizeof *map->keys);
    map->values = xmalloc(smap_count(smap) * sizeof *map->values);
    map->n = 0;
    SMAP_FOR_EACH (node, smap) {
        long long int value;

        ovs_assert(str_to_llong(node->value, 10, &value));
        map->keys[map->n] = node->key;
        map->values[map->n++] = value;
    }
}

static void
int_map_destroy(struct int_map *map)
{
    free(map->keys);
    free(map->values);
}

static void
write_peer_statistics(const struct ovsrec_zooroute_peer *row,
                      const struct zooroute_peer_status *peer)
{
    struct int_map statistics;

    int_map_init(&statistics, &peer->statistics);
    ovsrec_zooroute_peer_set_statistics(row, statistics.keys,
                                        statistics.values, statistics.n);
    int_map_destroy(&statistics);
}

/* Returns true if 'row' says something else of 'peer', apart from counters. */
static bool
peer_differs(const struct ovsrec_zooroute_peer *row,
             const struct zooroute_peer_status *peer)
{
    return (strcmp(row->state, peer->state)
            || row->candidates != peer->candidates
            || row->healthy != peer->healthy
            || row->failovers != peer->failovers
            || !smap_equal(&row->status, &peer->status));
}

static void
write_peer(const struct ovsrec_zooroute_peer *row,
           const struct zooroute_peer_status *peer)
{
    int64_t last_failover = peer->last_failover_wall_ms;

    ovsrec_zooroute_peer_set_state(row, peer->state);
    ovsrec_zooroute_peer_set_candidates(row, peer->candidates);
    ovsrec_zooroute_peer_set_healthy(row, peer->healthy);
    ovsrec_zooroute_peer_set_failovers(row, peer->failovers);
    ovsrec_zooroute_peer_set_last_failover(row, &last_failover,
                                           last_failover != 0);
    ovsrec_zooroute_peer_set_status(row, &peer->status);
    write_peer_statistics(row, peer);
}

static void
insert_peer(struct ovsdb_idl_txn *txn,
            const struct zooroute_peer_status *peer)
{
    const struct ovsrec_zooroute_peer *row = ovsrec_zooroute_peer_insert(txn);

    ovsrec_zooroute_peer_set_daemon(row, daemon_name);
    ovsrec_zooroute_peer_set_local_ip(row, peer->local_ip);
    ovsrec_zooroute_peer_set_remote_ip(row, peer->remote_ip);
    ovsrec_zooroute_peer_set_dst_port(row, peer->dst_port);
    write_peer(row, peer);
}

static char *
peer_key(const char *local_ip, const char *remote_ip, int64_t dst_port)
{
    return xasprintf("%s %s %"PRId64, local_ip, remote_ip, dst_port);
}

/* Makes our rows of ZooRoute_Peer those of the 'n' 'peers'.  Rows are inserted
 * and deleted only if 'may_change_rows', and of peers that are as they were,
 * counters are written only if 'counters'.  Returns true if there should be
 * others but were not. */
static bool
write_peers(struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn,
            const struct zooroute_peer_status *peers, size_t n,
            bool may_change_rows, bool counters)
{
    const struct ovsrec_zooroute_peer *row, *next;
    struct shash without_row = SHASH_INITIALIZER(&without_row);
    bool pending = false;

    /* Peers that differ only in their pkt_mark have equal keys. */
    for (size_t i = 0; i < n; i++) {
        shash_add_nocopy(&without_row,
                         peer_key(peers[i].local_ip, peers[i].remote_ip,
                                  peers[i].dst_port), &peers[i]);
    }

    OVSREC_ZOOROUTE_PEER_FOR_EACH_SAFE (row, next, idl) {
        if (strcmp(row->daemon, daemon_name)) {
            continue;
        }

        char *key = peer_key(row->local_ip, row->remote_ip, row->dst_port);
        const struct zooroute_peer_status *peer
            = shash_find_and_delete(&without_row, key);
        free(key);

        if (peer) {
            if (counters || peer_differs(row, peer)) {
                write_peer(row, peer);
            }
        } else if (may_change_rows) {
            ovsrec_zooroute_peer_delete(row);
        } else {
            pending = true;
        }
    }

    struct shash_node *node;
    SHASH_FOR_EACH (node, &without_row) {
        if (may_change_rows) {
            insert_peer(txn, node->data);
        } else {
            pending = true;
        }
    }
    shash_destroy(&without_row);
    return pending;
}

/* Writes our rows, with all counters if 'counters'. */
static void
write_status(struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn, bool counters)
{
    const struct ovsrec_zooroute *row = ovsrec_zooroute_first(idl);
    struct smap status = SMAP_INITIALIZER(&status);
    struct smap statistics = SMAP_INITIALIZER(&statistics);
    struct zooroute_peer_status *peers;
    long long int now = time_msec();
    size_t n;

    zooroute_get_status(&peers, &n, &status, &statistics);

    if (row) {
        struct int_map int_statistics;

        if (zooroute_db_config_error()) {
            smap_replace(&status, "error", zooroute_db_config_error());
        }
        zooroute_db_config_add_warnings(&status);
        ovsrec_zooroute_set_status(row, &status);

        int_map_init(&int_statistics, &statistics);
        ovsrec_zooroute_set_statistics(row, int_statistics.keys,
                                       int_statistics.values,
                                       int_statistics.n);
        int_map_destroy(&int_statistics);
    }

    bool may_change_rows = now >= next_rows;
    rows_pending = write_peers(idl, txn, peers, n, may_change_rows, counters);
    if (may_change_rows) {
        next_rows = now + ROWS_MIN_INTERVAL_MS;
    }

    zooroute_free_status(peers, n);
    smap_destroy(&status);
    smap_destroy(&statistics);
}

static int
stats_interval(const struct ovsdb_idl *idl)
{
    const struct ovsrec_open_vswitch *cfg = ovsrec_open_vswitch_first(idl);

    return MAX(cfg ? smap_get_int(&cfg->other_config, "stats-update-interval",
                                  5000) : 5000, 5000);
}

/* Returns when status has to be written next, if nothing changes until then,
 * LLONG_MAX for never. */
static long long int
status_due(void)
{
    long long int due = LLONG_MAX;

    if (status_dirty || zooroute_status_seq() != status_seq) {
        return next_status;
    }
    if (rows_pending) {
        due = MAX(next_rows, next_status);
    }
    if (zooroute_db_config_is_enabled()) {
        due = MIN(due, MAX(next_stats, next_status));
    }
    return due;
}

void
zooroute_db_status_init(struct ovsdb_idl *idl, const char *daemon)
{
    ovsdb_idl_omit_alert(idl, &ovsrec_zooroute_col_status);
    ovsdb_idl_omit_alert(idl, &ovsrec_zooroute_col_statistics);
    for (size_t i = 0; i < OVSREC_ZOOROUTE_PEER_N_COLUMNS; i++) {
        ovsdb_idl_omit_alert(idl, &ovsrec_zooroute_peer_columns[i]);
    }
    daemon_name = daemon;
}

void
zooroute_db_status_changed(void)
{
    status_dirty = true;
}

void
zooroute_db_status_run(struct ovsdb_idl *idl)
{
    long long int now = time_msec();

    if (!status_txn && now >= status_due()) {
        bool counters = status_dirty || now >= next_stats;

        status_dirty = false;
        status_seq = zooroute_status_seq();
        if (counters) {
            next_stats = now + stats_interval(idl);
        }

        status_txn = ovsdb_idl_txn_create(idl);
        write_status(idl, status_txn, counters);
        next_status = LLONG_MAX;        /* See below. */
    }

    if (status_txn) {
        enum ovsdb_idl_txn_status status = ovsdb_idl_txn_commit(status_txn);

        if (next_status == LLONG_MAX) {
            long long int took = time_msec() - now;

            next_status = now + MAX(STATUS_MIN_INTERVAL_MS,
                                    took * STATUS_MAX_SHARE);
        }
        if (status != TXN_INCOMPLETE) {
            ovsdb_idl_txn_destroy(status_txn);
            status_txn = NULL;
            if (status != TXN_SUCCESS && status != TXN_UNCHANGED) {
                status_dirty = true;
                next_status = MAX(next_status,
                                  now + STATUS_RETRY_INTERVAL_MS);
            }
        }
    }
}

void
zooroute_db_status_wait(void)
{
    if (status_txn) {
        ovsdb_idl_txn_wait(status_txn);
        return;
    }

    /* A change that may not be written yet must not wake up again and again
     * until it may. */
    if (zooroute_status_seq() == status_seq) {
        zooroute_status_wait(status_seq);
    }

    long long int due = status_due();
    if (due != LLONG_MAX) {
        poll_timer_wait_until(due);
    }
}
