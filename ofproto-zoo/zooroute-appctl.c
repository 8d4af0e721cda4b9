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
#include <inttypes.h>

#include "flow.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/match.h"
#include "openvswitch/ofp-flow.h"
#include "openvswitch/ofp-match.h"
#include "socket-util.h"
#include "svec.h"
#include "unixctl.h"
#include "util.h"
#include "zoo-mode.h"

#define MSEC (1000 * 1000LL)

/* PEER on the command line is REMOTE, or LOCAL,REMOTE, or
 * LOCAL,REMOTE,DST_PORT, or LOCAL,REMOTE,DST_PORT,mark=PKT_MARK; or what
 * zooroute_format_key() prints, which is always one peer. */
#define PEER_SYNTAX "REMOTE, LOCAL,REMOTE, LOCAL,REMOTE,DST_PORT or " \
    "LOCAL,REMOTE,DST_PORT,mark=PKT_MARK"

/* Peers listed as those that one name may mean. */
#define MAX_CHOICES 8

struct peer_filter {
    bool any;
    bool has_local;
    bool has_mark;
    struct in6_addr local, remote;
    unsigned int dst_port;      /* 0 for any. */
    unsigned int pkt_mark;
};

static bool
parse_address(const char *s, struct in6_addr *address)
{
    ovs_be32 ip;

    if (s && ip_parse(s, &ip)) {
        in6_addr_set_mapped_ipv4(address, ip);
        return true;
    }
    return s && ipv6_parse(s, address);
}

/* Parses "mark=PKT_MARK". */
static bool
parse_mark(const char *s, struct peer_filter *f)
{
    f->has_mark = true;
    return (!strncmp(s, "mark=", 5) && s[5] != '-' && s[5] != '+'
            && str_to_uint(s + 5, 0, &f->pkt_mark));
}

static bool
parse_dst_port(const char *s, struct peer_filter *f)
{
    return (str_to_uint(s, 10, &f->dst_port)
            && f->dst_port && f->dst_port <= UINT16_MAX);
}

/* Parses what zooroute_format_key() prints, in which 'arrow' is "->". */
static bool
parse_printed(char *s, char *arrow, struct peer_filter *f)
{
    char *remote = arrow + 2;
    char *mark = strchr(remote, ',');
    char *port;

    *arrow = '\0';
    if (mark) {
        *mark++ = '\0';
    }
    port = strrchr(remote, ':');
    if (!port) {
        return false;
    }
    *port++ = '\0';
    f->has_local = f->has_mark = true;
    return (parse_address(s, &f->local)
            && parse_address(remote, &f->remote)
            && parse_dst_port(port, f)
            && (!mark || parse_mark(mark, f)));
}

/* Parses the other forms. */
static bool
parse_listed(char *s, struct peer_filter *f)
{
    char *part[5] = { NULL, NULL, NULL, NULL, NULL };
    char *save_ptr = NULL;

    for (int i = 0; i < 5; i++) {
        part[i] = strtok_r(i ? NULL : s, ",", &save_ptr);
    }
    if (!part[1]) {
        return parse_address(part[0], &f->remote);
    }
    f->has_local = true;
    return (parse_address(part[0], &f->local)
            && parse_address(part[1], &f->remote)
            && (!part[2] || parse_dst_port(part[2], f))
            && (!part[3] || parse_mark(part[3], f))
            && !part[4]);
}

/* Parses 's' into '*f'.  Returns NULL or an error that the caller must
 * free. */
static char *
parse_filter(const char *s, struct peer_filter *f)
{
    char *copy = xstrdup(s);
    char *arrow = strstr(copy, "->");
    bool ok;

    memset(f, 0, sizeof *f);
    ok = arrow ? parse_printed(copy, arrow, f) : parse_listed(copy, f);
    free(copy);
    return (ok ? NULL
            : xasprintf("%s: not a peer: give "PEER_SYNTAX" with IP "
                        "addresses, or a peer as \"zooroute/show\" prints "
                        "it", s));
}

static bool
filter_matches(const struct peer_filter *f, const struct zooroute_key *key)
{
    return (f->any
            || (ipv6_addr_equals(&f->remote, &key->remote)
                && (!f->has_local || ipv6_addr_equals(&f->local, &key->local))
                && (!f->dst_port || f->dst_port == ntohs(key->dst_port))
                && (!f->has_mark || f->pkt_mark == key->pkt_mark)));
}

/* Returns an error, which the caller must free, about 's', which names no
 * peer. */
static char *
no_such_peer(const char *s)
{
    return (zooroute_is_enabled()
            ? xasprintf("%s: no such peer: \"zooroute/show\" lists those with "
                        "tenant traffic", s)
            : xasprintf("%s: no such peer: ZooRoute is off, \"ovs-vsctl create "
                        "ZooRoute\" turns it on", s));
}

/* Returns an error, which the caller must free, about 's', which names all of
 * the peers that match 'f': how to name one of them. */
static char *
several_peers(const char *s, const struct peer_filter *f)
    OVS_REQUIRES(zooroute_mutex)
{
    struct ds error = DS_EMPTY_INITIALIZER;
    struct svec names = SVEC_EMPTY_INITIALIZER;
    struct zooroute_peer *peer;
    bool marks = false;

    CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
        marks |= filter_matches(f, &peer->key) && peer->key.pkt_mark;
    }
    CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
        if (filter_matches(f, &peer->key)) {
            struct ds name = DS_EMPTY_INITIALIZER;

            ipv6_format_mapped(&peer->key.local, &name);
            ds_put_char(&name, ',');
            ipv6_format_mapped(&peer->key.remote, &name);
            ds_put_format(&name, ",%"PRIu16, ntohs(peer->key.dst_port));
            if (marks) {
                ds_put_format(&name, ",mark=%#"PRIx32, peer->key.pkt_mark);
            }
            svec_add_nocopy(&names, ds_steal_cstr(&name));
        }
    }
    svec_sort(&names);
    ds_put_format(&error, "%s: several peers: give", s);
    for (size_t i = 0; i < MIN(names.n, MAX_CHOICES); i++) {
        ds_put_format(&error, "%s%s", i ? " or " : " ", names.names[i]);
    }
    if (names.n > MAX_CHOICES) {
        ds_put_format(&error, " or one of %"PRIuSIZE" more, which "
                      "\"zooroute/show %s\" lists", names.n - MAX_CHOICES, s);
    }
    svec_destroy(&names);
    return ds_steal_cstr(&error);
}

/* Returns the one peer that 's' names.  Otherwise returns NULL and replies to
 * 'conn' with an error. */
static struct zooroute_peer *
find_one_peer(struct unixctl_conn *conn, const char *s)
    OVS_REQUIRES(zooroute_mutex)
{
    struct zooroute_peer *peer, *found = NULL;
    struct peer_filter filter;
    char *error = parse_filter(s, &filter);

    if (!error) {
        CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
            if (filter_matches(&filter, &peer->key)) {
                if (found) {
                    error = several_peers(s, &filter);
                    break;
                }
                found = peer;
            }
        }
        if (!found) {
            error = no_such_peer(s);
        }
    }
    if (error) {
        unixctl_command_reply_error(conn, error);
        free(error);
        return NULL;
    }
    return found;
}

static const char *
candidate_state(const struct zoo_candidate *c)
{
    switch (zoo_health_state(&c->health)) {
    case ZOO_HEALTH_UP: return "up";
    case ZOO_HEALTH_DOWN: return "down";
    case ZOO_HEALTH_UNKNOWN: return "unknown";
    default: OVS_NOT_REACHED();
    }
}

static void
count_buckets(const struct zoo_path_table *table, unsigned int counts[])
{
    memset(counts, 0, ZOO_MAX_CANDIDATES * sizeof *counts);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        counts[table->owner[b]]++;
    }
}

static void
address_to_json(struct json *object, const char *name,
                const struct in6_addr *address)
{
    char s[INET6_ADDRSTRLEN + 8];

    ipv6_string_mapped(s, address);
    json_object_put_string(object, name, s);
}

static struct eth_addr
backend_of(const struct zoo_peer *peer, uint8_t group)
{
    return zoo_peer_group(peer, group)->backend;
}

static struct json *
candidate_to_json(const struct zoo_peer *peer, unsigned int i, bool in_use,
                  unsigned int n_buckets, long long int now)
{
    const struct zoo_candidate *c = &peer->candidates[i];
    struct json *object = json_object_create();

    json_object_put(object, "sport",
                    json_integer_create(peer->table.sport[i]));
    json_object_put_string(object, "state", candidate_state(c));
    if (c->health.forced) {
        json_object_put(object, "forced", json_boolean_create(true));
    }
    json_object_put(object, "in_use", json_boolean_create(in_use));
    if (zoo_peer_is_learning(peer)) {
        json_object_put(object, "learned",
                        json_boolean_create(peer->learner->learned
                                            & (UINT32_C(1) << i)));
    }
    if (c->group) {
        char *s = xasprintf(ETH_ADDR_FMT,
                            ETH_ADDR_ARGS(backend_of(peer, c->group)));

        json_object_put_string(object, "backend", s);
        free(s);
    } else {
        json_object_put(object, "backend", json_null_create());
    }
    json_object_put(object, "rtt_us",
                    (c->rtt_us ? json_integer_create(c->rtt_us)
                     : json_null_create()));
    json_object_put(object, "failure_free_ms",
                    json_integer_create((now - c->health.failure_free)
                                        / MSEC));
    json_object_put(object, "sent", json_integer_create(c->sent));
    json_object_put(object, "lost", json_integer_create(c->lost));
    json_object_put(object, "buckets", json_integer_create(n_buckets));
    return object;
}

/* Returns for how long a round of 'p' has waited for max_probe_rate at 'now',
 * 0 if none does. */
static long long int
waited(const struct zooroute_peer *p, long long int now)
{
    return (p->schedule_node.waits
            ? MAX(1, now - zoo_peer_next_round(&p->peer)) : 0);
}

/* How often the peer is probed: in words, and how much longer its intervals are
 * than those configured because of either limit. */
static void
mode_to_json(const struct zooroute_peer *p, const struct zoo_params *params,
             long long int now, struct json *object)
{
    struct ds mode = DS_EMPTY_INITIALIZER;

    zoo_mode_format(&p->peer, params, waited(p, now), &mode);
    json_object_put_string(object, "mode", ds_cstr(&mode));
    ds_destroy(&mode);
    json_object_put(object, "slowed_by_peer",
                    json_integer_create(1 << p->peer.slowed));
    json_object_put(object, "slowed_by_cpu",
                    json_integer_create(1 << params->stretch));
}

static struct json *
peer_to_json(const struct zooroute_peer *p, long long int now)
{
    const struct zoo_peer *peer = &p->peer;
    uint32_t in_use = zoo_peer_in_use(peer);
    unsigned int n_buckets[ZOO_MAX_CANDIDATES];
    struct json *candidates = json_array_create_empty();
    struct json *object = json_object_create();

    address_to_json(object, "local", &p->key.local);
    address_to_json(object, "remote", &p->key.remote);
    json_object_put(object, "dst_port",
                    json_integer_create(ntohs(p->key.dst_port)));
    json_object_put(object, "pkt_mark",
                    json_integer_create(p->key.pkt_mark));
    json_object_put_string(object, "state",
                           zoo_peer_state_to_string(peer->state));
    json_object_put(object, "healthy",
                    json_integer_create(count_1bits(zoo_peer_healthy(peer))));
    json_object_put(object, "upstream",
                    json_boolean_create(peer->upstream));
    if (p->send_error) {
        json_object_put_string(object, "send_error",
                               ovs_strerror(p->send_error));
    } else {
        json_object_put(object, "send_error", json_null_create());
    }
    json_object_put(object, "failovers",
                    json_integer_create(peer->failovers));
    json_object_put_string(object, "segment",
                           zoo_segment_to_string(p->segment));
    json_object_put_string(object, "segment_from", zooroute_role_source(p));
    mode_to_json(p, zooroute_segment_params(p->segment), now, object);
    count_buckets(&peer->table, n_buckets);
    for (unsigned int i = 0; i < peer->table.n; i++) {
        json_array_add(candidates,
                       candidate_to_json(peer, i,
                                         in_use & (UINT32_C(1) << i),
                                         n_buckets[i], now));
    }
    json_object_put(object, "candidates", candidates);
    return object;
}

static void
format_peer(const struct zooroute_peer *p, long long int now, struct ds *s)
{
    const struct zoo_params *params = zooroute_segment_params(p->segment);
    const struct zoo_peer *peer = &p->peer;
    uint32_t in_use = zoo_peer_in_use(peer);
    unsigned int n_buckets[ZOO_MAX_CANDIDATES];

    zooroute_format_key(&p->key, s);
    ds_put_format(s, ": %s, %d of %u candidates healthy, %"PRIu64" failovers",
                  zoo_peer_state_to_string(peer->state),
                  count_1bits(zoo_peer_healthy(peer)), peer->table.n,
                  peer->failovers);
    if (peer->upstream) {
        ds_put_cstr(s, ", Open vSwitch chooses the ports");
    }
    if (peer->srtt) {
        ds_put_format(s, ", rtt %lld us, timeout %lld ms",
                      peer->srtt / 1000,
                      zoo_peer_timeout(peer, params) / MSEC);
    }
    ds_put_format(s, ", %s (by %s)", zoo_segment_to_string(p->segment),
                  zooroute_role_source(p));
    ds_put_cstr(s, "; ");
    zoo_mode_format(peer, params, waited(p, now), s);
    if (p->send_error) {
        ds_put_format(s, "\n  probes cannot be sent: %s",
                      ovs_strerror(p->send_error));
    }
    ds_put_cstr(s, "\n  sport  state    in use  buckets  rtt (us)"
                "      sent    lost  failure-free (s)  backend\n");
    count_buckets(&peer->table, n_buckets);
    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_candidate *c = &peer->candidates[i];

        char state[16];

        snprintf(state, sizeof state, "%s%s", candidate_state(c),
                 c->health.forced ? "!" : "");
        ds_put_format(s, "  %5"PRIu16"  %-8s %-6s  %7u  %8"PRIu32
                      "  %8"PRIu32"%8"PRIu32"  %16lld",
                      peer->table.sport[i], state,
                      in_use & (UINT32_C(1) << i) ? "yes" : "no",
                      n_buckets[i], c->rtt_us, c->sent, c->lost,
                      (now - c->health.failure_free) / (1000 * MSEC));
        if (c->group) {
            ds_put_format(s, "  "ETH_ADDR_FMT,
                          ETH_ADDR_ARGS(backend_of(peer, c->group)));
        }
        ds_put_char(s, '\n');
    }
}

static int
compare_peers(const void *a_, const void *b_)
{
    const struct zooroute_peer *const *a = a_;
    const struct zooroute_peer *const *b = b_;

    return memcmp(&(*a)->key, &(*b)->key, sizeof (*a)->key);
}

/* Returns a copy of 'peer' with all that it shows, to be freed with
 * free_copy(). */
static struct zooroute_peer *
copy_peer(const struct zooroute_peer *peer) OVS_REQUIRES(zooroute_mutex)
{
    struct zooroute_peer *copy = xmemdup(peer, sizeof *peer);

    /* Who has a turn as soon as the thread runs does not wait for credit. */
    copy->schedule_node.waits
        &= peer->schedule_node.since != zooroute_peer_schedule.n_dry;
    zoo_peer_copy(&copy->peer, &peer->peer);
    return copy;
}

static void
free_copy(struct zooroute_peer *copy)
{
    zoo_peer_uninit(&copy->peer);
    free(copy);
}

/* Returns copies of the '*n' peers that match 'f', sorted, to be freed one by
 * one and as an array by the caller: formatting takes too long to be done with
 * the mutex, for which packets may wait, and so does copying all at once. */
static struct zooroute_peer **
get_peers(const struct peer_filter *f, size_t *n)
{
    struct zooroute_peer **peers;
    size_t n_all;

    *n = 0;
    peers = zooroute_list_peers(&n_all);
    for (size_t i = 0; i < n_all; ) {
        size_t end = MIN(i + ZOOROUTE_PEERS_AT_ONCE, n_all);

        ovs_mutex_lock(&zooroute_mutex);
        for (; i < end; i++) {
            if (!peers[i]->retired && filter_matches(f, &peers[i]->key)) {
                peers[(*n)++] = copy_peer(peers[i]);
            }
        }
        ovs_mutex_unlock(&zooroute_mutex);
    }
    qsort(peers, *n, sizeof *peers, compare_peers);
    return peers;
}

static char *
show_json(struct zooroute_peer **peers, size_t n, long long int now)
{
    struct json *object = json_object_create();
    struct json *array = json_array_create_empty();

    for (size_t i = 0; i < n; i++) {
        json_array_add(array, peer_to_json(peers[i], now));
    }
    json_object_put(object, "enabled",
                    json_boolean_create(zooroute_is_enabled()));
    json_object_put(object, "peers", array);

    char *s = json_to_string(object, JSSF_SORT);
    json_destroy(object);
    return s;
}

static char *
show_text(struct zooroute_peer **peers, size_t n, long long int now)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    if (!zooroute_is_enabled()) {
        ds_put_cstr(&s, "ZooRoute is off: \"ovs-vsctl create ZooRoute\" "
                    "turns it on\n");
    } else if (!n) {
        ds_put_cstr(&s, "no peer: none has had tenant traffic yet\n");
    }
    for (size_t i = 0; i < n; i++) {
        format_peer(peers[i], now, &s);
    }
    return ds_steal_cstr(&s);
}

static void
zooroute_show(struct unixctl_conn *conn, int argc, const char *argv[],
              void *aux OVS_UNUSED)
{
    struct peer_filter filter = { .any = true };
    struct zooroute_peer **peers = NULL;
    const char *name = NULL;
    bool json = false;
    char *error = NULL;
    size_t n = 0;

    for (int i = 1; i < argc && !error; i++) {
        if (!strcmp(argv[i], "--json")) {
            json = true;
        } else if (name) {
            error = xasprintf("%s: a second peer: give one, or none for all",
                              argv[i]);
        } else {
            name = argv[i];
            error = parse_filter(name, &filter);
        }
    }
    if (!error) {
        peers = get_peers(&filter, &n);
        if (name && !n) {
            error = no_such_peer(name);
        }
    }
    if (error) {
        unixctl_command_reply_error(conn, error);
        free(error);
    } else {
        char *reply = (json ? show_json(peers, n, zoo_now())
                       : show_text(peers, n, zoo_now()));

        unixctl_command_reply(conn, reply);
        free(reply);
    }
    for (size_t i = 0; i < n; i++) {
        free_copy(peers[i]);
    }
    free(peers);
}

/* Returns NULL if candidates of 'p' may be set up or down, otherwise an error,
 * which the caller must free.  Such peers are kept while they are without
 * traffic, so others must have room beside them. */
static char *
check_room_for_forced(const struct zooroute_peer *p, const char *name)
    OVS_REQUIRES(zooroute_mutex)
{
    unsigned int max = MAX(zooroute_config.max_peers / 2, 1);
    struct zooroute_peer *peer;
    unsigned int n = 0;

    if (!p->learned || zoo_peer_is_forced(&p->peer)) {
        return NULL;
    }
    CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
        n += peer->learned && zoo_peer_is_forced(&peer->peer);
    }
    return (n < max ? NULL
            : xasprintf("%s: too many peers have candidates set up or down: "
                        "set those of one of the other %u to auto, or raise "
                        "other_config:max-peers of ZooRoute", name, n));
}

static void
zooroute_set_candidate(struct unixctl_conn *conn, int argc OVS_UNUSED,
                       const char *argv[], void *aux OVS_UNUSED)
{
    enum zoo_health_forced forced;
    struct zooroute_peer *p;
    unsigned int sport;
    int i = -1;

    if (!strcmp(argv[3], "up")) {
        forced = ZOO_FORCED_UP;
    } else if (!strcmp(argv[3], "down")) {
        forced = ZOO_FORCED_DOWN;
    } else if (!strcmp(argv[3], "auto")) {
        forced = ZOO_FORCED_NO;
    } else {
        char *error = xasprintf("%s: not a state: give up, down or auto",
                                argv[3]);
        unixctl_command_reply_error(conn, error);
        free(error);
        return;
    }

    ovs_mutex_lock(&zooroute_mutex);
    p = find_one_peer(conn, argv[1]);
    if (p) {
        if (str_to_uint(argv[2], 10, &sport) && sport <= UINT16_MAX) {
            i = zoo_path_table_find(&p->peer.table, sport);
        }
        char *error = (i < 0
                       ? xasprintf("%s: not a candidate of peer %s: "
                                   "\"zooroute/show %s\" lists them",
                                   argv[2], argv[1], argv[1])
                       : forced ? check_room_for_forced(p, argv[1]) : NULL);
        if (!error) {
            enum zoo_peer_state before = p->peer.state;

            zoo_peer_force(&p->peer, zooroute_segment_params(p->segment), i,
                           forced, zoo_now());
            zooroute_publish(p);
            zooroute_log_events(p, before);
            zooroute_schedule(p, zoo_now());
            zooroute_thread_wake();
            unixctl_command_reply(conn, NULL);
        } else {
            unixctl_command_reply_error(conn, error);
            free(error);
        }
    }
    ovs_mutex_unlock(&zooroute_mutex);
}

/* Appends whether candidates 'from' and 'to' reach the same middlebox, if it is
 * one. */
static void
explain_groups(const struct zoo_peer *peer, unsigned int from,
               unsigned int to, struct ds *s)
{
    uint8_t old = peer->candidates[from].group;
    uint8_t new = peer->candidates[to].group;

    if (old && old == new) {
        ds_put_format(s, "; both reach "ETH_ADDR_FMT,
                      ETH_ADDR_ARGS(backend_of(peer, new)));
    } else if (old && new) {
        ds_put_format(s, "; that reached "ETH_ADDR_FMT", this reaches "
                      ETH_ADDR_FMT, ETH_ADDR_ARGS(backend_of(peer, old)),
                      ETH_ADDR_ARGS(backend_of(peer, new)));
    }
}

/* Appends why bucket 'b' of 'p' uses the port that it does. */
static void
explain_bucket(const struct zooroute_peer *p, unsigned int b, struct ds *s)
    OVS_REQUIRES(zooroute_mutex)
{
    const struct zoo_peer *peer = &p->peer;
    const struct zoo_path_table *table = &peer->table;
    unsigned int owner = table->owner[b];
    unsigned int home = zoo_peer_home(peer, b);

    ds_put_format(s, "bucket %u: ", b);
    if (peer->upstream) {
        ds_put_cstr(s, "outer source port as Open vSwitch chooses it, because "
                    "the peer ");
        zoo_mode_format_upstream(peer, s);
        ds_put_char(s, '\n');
        return;
    }
    ds_put_format(s, "outer source port %"PRIu16", ", table->sport[owner]);
    if (zoo_peer_session_decides(peer, b)) {
        ds_put_cstr(s, "learned: sessions in it come with that port\n");
    } else if (owner == home) {
        ds_put_format(s, "its home, which is %s%s\n",
                      candidate_state(&peer->candidates[home]),
                      (peer->state == ZOO_PEER_EXHAUSTED
                       ? ", as all are: Open vSwitch's own ports might lead to "
                       "another middlebox" : ""));
    } else {
        ds_put_format(s, "moved from its home %"PRIu16", which %s",
                      table->sport[home],
                      zoo_mode_why_away(peer, home, owner));
        explain_groups(peer, home, owner, s);
        ds_put_char(s, '\n');
    }
}

/* zooroute_set_select()'s, or NULL. */
static void (*select_cb)(const struct zooroute_key *, const struct flow *,
                         struct ds *);

void
zooroute_set_select(void (*cb)(const struct zooroute_key *,
                               const struct flow *, struct ds *))
{
    select_cb = cb;
}

static void
zooroute_select(struct unixctl_conn *conn, int argc OVS_UNUSED,
                const char *argv[], void *aux OVS_UNUSED)
{
    struct flow flow;
    char *error;

    error = parse_ofp_exact_flow(&flow, NULL, NULL, argv[2], NULL);
    if (error) {
        char *s = xasprintf("%s: not a flow: %s", argv[2], error);

        unixctl_command_reply_error(conn, s);
        free(s);
        free(error);
        return;
    }

    ovs_mutex_lock(&zooroute_mutex);
    struct zooroute_peer *p = find_one_peer(conn, argv[1]);
    if (p) {
        struct ds s = DS_EMPTY_INITIALIZER;

        if (select_cb) {
            select_cb(&p->key, &flow, &s);
        } else {
            explain_bucket(p, zoo_bucket(flow_hash_5tuple(&flow, 0)),
                           &s);
        }
        unixctl_command_reply(conn, ds_cstr(&s));
        ds_destroy(&s);
    }
    ovs_mutex_unlock(&zooroute_mutex);
}

static void
check_underlay(struct unixctl_conn *conn, int argc OVS_UNUSED,
               const char *argv[], void *aux OVS_UNUSED)
{
    ovs_mutex_lock(&zooroute_mutex);
    struct zooroute_peer *p = find_one_peer(conn, argv[1]);
    if (p) {
        zooroute_check_underlay(conn, p);
    }
    ovs_mutex_unlock(&zooroute_mutex);
}

void
zooroute_appctl_init(void)
{
    unixctl_command_register("zooroute/show", "[--json] [PEER]", 0, 2,
                             zooroute_show, NULL);
    unixctl_command_register("zooroute/set-candidate",
                             "PEER SPORT up|down|auto", 3, 3,
                             zooroute_set_candidate, NULL);
    unixctl_command_register("zooroute/select", "PEER FLOW", 2, 2,
                             zooroute_select, NULL);
    unixctl_command_register("zooroute/check-underlay", "PEER", 1, 1,
                             check_underlay, NULL);
}
