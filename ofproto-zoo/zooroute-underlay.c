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
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

/* In linux/in6.h, which does not go together with netinet/in.h. */
#ifndef IPV6_FLOWINFO_SEND
#define IPV6_FLOWINFO_SEND 33
#endif
#ifndef IPV6_AUTOFLOWLABEL
#define IPV6_AUTOFLOWLABEL 70
#endif
#endif

#include "coverage.h"
#include "entropy.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "random.h"
#include "socket-util.h"
#include "unixctl.h"
#include "util.h"
#include "zoo-path-count.h"
#include "zoo-trace.h"
#include "zoo-turns.h"

/* "zooroute/check-underlay", and other_config:diversify.
 *
 * Probes are sent by UDP sockets of the operating system with the tunnel's
 * addresses and ports, so that they take the way that its packets take, and
 * routers' answers come back to these sockets' error queues (IP_RECVERR, see
 * ip(7)).  No privilege is needed for that.
 *
 * All of it runs in the main thread, which sends a few probes at a time and
 * waits for nothing. */

VLOG_DEFINE_THIS_MODULE(zooroute_underlay);

COVERAGE_DEFINE(zooroute_trace_unsent);

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* Traces for operators under way at once. */
#define MAX_TRACES 4

/* Probes are sent, and answers read, this often. */
#define STEP (50 * MSEC)

/* Where no router answers, how long round trips are compared at most. */
#define MAX_COMPARE_TIME (12 * SEC)

/* How long after its last trace a peer's candidates are looked at again, how
 * often a peer is looked for whose are to be, and how long that may take: what
 * has not answered by then is not known. */
#define DIVERSIFY_INTERVAL (600 * SEC)
#define DIVERSIFY_STEP SEC
#define MAX_DIVERSIFY_TIME (40 * SEC)

struct underlay {
    struct ovs_list list_node;      /* In 'underlays'. */
    struct zooroute_key key;
    struct unixctl_conn *conn;      /* To reply to, NULL for diversify. */
    struct ds probes;               /* What probes have shown. */
    struct zoo_path_samples samples;
    unsigned int n_candidates;      /* Of the ports. */
    char *unusable;                 /* What there is to say of candidates that
                                     * no socket could be had for, or NULL. */
    struct zoo_trace trace;
    int fds[ZOO_TRACE_MAX_PORTS];
    long long int next;             /* Step. */
    long long int deadline;         /* It ends then, done or not. */
    long long int compare_until;    /* Round trips. */
};

/* Main thread only. */
static struct ovs_list underlays = OVS_LIST_INITIALIZER(&underlays);
static unsigned int n_checks;       /* Of these, those with 'conn'. */

/* Whose candidates are traced next. */
static struct zoo_turns diversify_turns;
static long long int next_diversify = LLONG_MIN;

/* What probes show, without hops. */

static void
format_probed(const struct zooroute_peer *p,
              const struct zoo_path_samples *samples, struct ds *s)
    OVS_REQUIRES(zooroute_mutex)
{
    const struct zoo_params *params = zooroute_segment_params(p->segment);
    const struct zoo_peer *peer = &p->peer;
    uint32_t groups[ZOO_MAX_CANDIDATES + 1];
    unsigned int n_up = count_1bits(zoo_peer_healthy(peer));
    unsigned int n_lossy = 0;
    uint32_t min = UINT32_MAX, max = 0;

    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_candidate *c = &peer->candidates[i];

        n_lossy += c->lost > 0;
        if (c->rtt_us) {
            min = MIN(min, c->rtt_us);
            max = MAX(max, c->rtt_us);
        }
    }

    if (!peer->answered) {
        ds_put_cstr(s, "unknown: the peer has never answered a probe\n");
    } else if (peer->state == ZOO_PEER_UNSUPPORTED) {
        ds_put_cstr(s, "no: something on the way rewrites the outer source "
                    "port, so it cannot choose a path\n");
    } else if (peer->split || zoo_paths_by_failures(peer, params, groups)) {
        ds_put_format(s, "yes: at the same time some candidates worked and "
                      "others did not (now %u of %u work)\n", n_up,
                      peer->table.n);
    } else if (zoo_paths_by_backends(peer, groups)) {
        ds_put_cstr(s, "yes: some candidates reach other machines than "
                    "others\n");
    } else if (samples && zoo_paths_by_round_trips(samples, groups)) {
        ds_put_cstr(s, "probably: some candidates' round trips are longer "
                    "than others', again and again\n");
    } else if (peer->all_failed) {
        ds_put_cstr(s, "probably not: whenever one candidate failed, all "
                    "did\n");
    } else {
        ds_put_cstr(s, "unknown: no candidate has failed while others "
                    "worked\n");
    }
    ds_put_format(s, "%u of %u candidates work, %u have lost probes",
                  n_up, peer->table.n, n_lossy);
    if (max) {
        ds_put_format(s, ", round trips %"PRIu32" to %"PRIu32" us", min, max);
    }
    ds_put_char(s, '\n');
    zoo_paths_format(peer, params, samples, s);
}

#ifdef __linux__
/* Sockets. */

static int
set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) ? errno : 0;
}

/* Stores into '*ss' address 'ip' and 'port', and returns its length. */
static socklen_t
make_address(const struct in6_addr *ip, uint16_t port, uint32_t label,
             struct sockaddr_storage *ss)
{
    memset(ss, 0, sizeof *ss);
    if (IN6_IS_ADDR_V4MAPPED(ip)) {
        struct sockaddr_in *sin = ALIGNED_CAST(struct sockaddr_in *, ss);

        sin->sin_family = AF_INET;
        sin->sin_addr.s_addr = in6_addr_get_mapped_ipv4(ip);
        sin->sin_port = htons(port);
        return sizeof *sin;
    } else {
        struct sockaddr_in6 *sin6 = ALIGNED_CAST(struct sockaddr_in6 *, ss);

        sin6->sin6_family = AF_INET6;
        sin6->sin6_addr = *ip;
        sin6->sin6_port = htons(port);
        sin6->sin6_flowinfo = htonl(label);
        return sizeof *sin6;
    }
}

/* Has a socket send as the tunnel does: without UDP checksum, which varies
 * with the token, and without a flow label but that given. */
static int
set_options(int fd, bool ipv6, uint32_t mark)
{
    int error;

    if (ipv6) {
        error = set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, true);
        if (!error) {
            error = set_option(fd, IPPROTO_IPV6, IPV6_FLOWINFO_SEND, true);
        }
        if (!error) {
            error = set_option(fd, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, false);
        }
    } else {
        error = set_option(fd, IPPROTO_IP, IP_RECVERR, true);
        if (!error) {
            error = set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER,
                               IP_PMTUDISC_DO);
        }
        if (!error) {
            error = set_option(fd, SOL_SOCKET, SO_NO_CHECK, true);
        }
    }
    if (!error && mark) {
        error = set_option(fd, SOL_SOCKET, SO_MARK, mark);
    }
    return error;
}

/* Stores into '*fdp' a socket that sends from 'port' of 'local'.  Returns 0 or
 * a positive errno value. */
static int
open_socket(const struct zooroute_key *key, uint16_t port, int *fdp)
{
    struct sockaddr_storage ss;
    socklen_t len = make_address(&key->local, port, 0, &ss);
    int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    0);
    int error;

    if (fd < 0) {
        return errno;
    }
    error = set_options(fd, ss.ss_family == AF_INET6, key->pkt_mark);
    if (!error && bind(fd, (struct sockaddr *) &ss, len)) {
        error = errno;
    }
    if (error) {
        close(fd);
        return error;
    }
    *fdp = fd;
    return 0;
}

/* Processes an error of 'u', of which a router tells in 'msg'. */
static void
process_error(struct underlay *u, struct msghdr *msg, const uint8_t *quote,
              size_t len)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg;
         cmsg = CMSG_NXTHDR(msg, cmsg)) {
        struct {
            struct sock_extended_err ee;
            struct sockaddr_in6 offender;
        } err;
        struct sockaddr_in sin;
        struct in6_addr router;
        bool unreachable;

        if (!((cmsg->cmsg_level == IPPROTO_IP
               && cmsg->cmsg_type == IP_RECVERR)
              || (cmsg->cmsg_level == IPPROTO_IPV6
                  && cmsg->cmsg_type == IPV6_RECVERR))
            || cmsg->cmsg_len < CMSG_LEN(sizeof err.ee + sizeof sin)) {
            continue;
        }
        memset(&err, 0, sizeof err);
        memcpy(&err, CMSG_DATA(cmsg),
               MIN(sizeof err, cmsg->cmsg_len - CMSG_LEN(0)));
        if (err.ee.ee_origin == SO_EE_ORIGIN_ICMP) {
            memcpy(&sin, &err.offender, sizeof sin);
            in6_addr_set_mapped_ipv4(&router, sin.sin_addr.s_addr);
            unreachable = (err.ee.ee_type == ICMP_DEST_UNREACH
                           && err.ee.ee_code == ICMP_PORT_UNREACH);
            if (!unreachable && err.ee.ee_type != ICMP_TIME_EXCEEDED) {
                continue;
            }
        } else if (err.ee.ee_origin == SO_EE_ORIGIN_ICMP6) {
            router = err.offender.sin6_addr;
            unreachable = (err.ee.ee_type == ICMP6_DST_UNREACH
                           && err.ee.ee_code == ICMP6_DST_UNREACH_NOPORT);
            if (!unreachable && err.ee.ee_type != ICMP6_TIME_EXCEEDED) {
                continue;
            }
        } else {
            continue;
        }
        zoo_trace_answer(&u->trace, &router, unreachable, quote, len);
    }
}

/* Reads what has come to the sockets of 'u'. */
static void
read_answers(struct underlay *u)
{
    /* An error message of a router is not longer than an Ethernet frame. */
    enum { MAX_PER_SOCKET = 64 };
    uint8_t quote[1500];

    for (unsigned int i = 0; i < u->trace.n_sports; i++) {
        for (int k = 0; k < MAX_PER_SOCKET && u->fds[i] >= 0; k++) {
            uint8_t control[512];
            struct iovec iov = { quote, sizeof quote };
            struct msghdr msg = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control,
                .msg_controllen = sizeof control,
            };
            ssize_t n = recvmsg(u->fds[i], &msg, MSG_ERRQUEUE | MSG_DONTWAIT);

            if (n < 0) {
                break;
            }
            process_error(u, &msg, quote, n);
        }
    }
}

static void
send_probe(struct underlay *u, const struct zoo_trace_probe *probe)
{
    int fd = u->fds[probe->port];
    bool ipv6 = u->trace.ipv6;
    struct sockaddr_storage ss;
    socklen_t len = make_address(&u->key.remote, probe->dport, probe->label,
                                 &ss);

    if (fd < 0
        || set_option(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
                      ipv6 ? IPV6_UNICAST_HOPS : IP_TTL, probe->ttl)) {
        return;
    }
    /* The first try may just say what a router has answered before. */
    for (int i = 0; i < 2; i++) {
        if (sendto(fd, probe->body, probe->len, MSG_DONTWAIT,
                   (struct sockaddr *) &ss, len) >= 0) {
            return;
        }
    }
    COVERAGE_INC(zooroute_trace_unsent);
}
#else
static int
open_socket(const struct zooroute_key *key OVS_UNUSED,
            uint16_t port OVS_UNUSED, int *fdp OVS_UNUSED)
{
    return EOPNOTSUPP;
}

static void
read_answers(struct underlay *u OVS_UNUSED)
{
}

static void
send_probe(struct underlay *u OVS_UNUSED,
           const struct zoo_trace_probe *probe OVS_UNUSED)
{
}
#endif

/* Traces. */

static void
underlay_destroy(struct underlay *u)
{
    for (unsigned int i = 0; i < u->trace.n_sports; i++) {
        if (u->fds[i] >= 0) {
            close(u->fds[i]);
        }
    }
    ovs_list_remove(&u->list_node);
    n_checks -= u->conn != NULL;
    ds_destroy(&u->probes);
    free(u->unusable);
    free(u);
}

/* Opens sockets for the 'n' ports 'sports' into 'fds', -1 where none can be
 * had.  Returns 0, or the error of the first one if there is not even one. */
static int
open_sockets(const struct zooroute_key *key, const uint16_t sports[],
             unsigned int n, int fds[])
{
    unsigned int n_fds = 0;
    int first_error = 0;

    for (unsigned int i = 0; i < n; i++) {
        int error = open_socket(key, sports[i], &fds[i]);

        if (error) {
            fds[i] = -1;
            first_error = first_error ? first_error : error;
        } else {
            n_fds++;
        }
    }
    return n_fds ? 0 : first_error;
}

/* Moves those of the '*n' candidates 'sports' for which there is a socket in
 * 'fds' to the front, and sets '*n' to their number.  Returns a line, which the
 * caller must free, about the others, or NULL if there are none. */
static char *
leave_out_unusable(uint16_t sports[], int fds[], unsigned int *n)
{
    struct ds others = DS_EMPTY_INITIALIZER;
    unsigned int n_all = *n;
    char *line;

    *n = 0;
    for (unsigned int i = 0; i < n_all; i++) {
        if (fds[i] >= 0) {
            sports[*n] = sports[i];
            fds[(*n)++] = fds[i];
        } else {
            ds_put_format(&others, " %"PRIu16, sports[i]);
        }
    }
    line = (*n < n_all
            ? xasprintf("%u of %u candidates not traced, since no socket can "
                        "send from them (another program may have the "
                        "port):%s\n", n_all - *n, n_all, ds_cstr(&others))
            : NULL);
    ds_destroy(&others);
    return line;
}

/* Begins to trace the 'n' ports 'ports' of 'peer', the first 'n_candidates'
 * of which are its candidates.  Returns 0 and stores it into '*up', or a
 * positive errno value if not even one socket can be had.
 *
 * Other fields than the port are tried from the first one, so a trace that is
 * about them, too, leaves out those without a socket. */
static int
underlay_create(const struct zooroute_peer *peer, const uint16_t ports[],
                unsigned int n, unsigned int n_candidates, bool sports_only,
                struct underlay **up)
    OVS_REQUIRES(zooroute_mutex)
{
    uint16_t sports[ZOO_TRACE_MAX_PORTS];
    struct underlay *u = xzalloc(sizeof *u);
    uint64_t token;
    int error;

    memcpy(sports, ports, n * sizeof *sports);
    u->key = peer->key;
    error = (get_entropy(&token, sizeof token) ? EIO
             : open_sockets(&u->key, sports, n, u->fds));
    if (error) {
        free(u);
        return error;
    }
    if (!sports_only) {
        u->unusable = leave_out_unusable(sports, u->fds, &n);
    }
    u->n_candidates = n_candidates;
    u->next = zoo_now();
    u->deadline = LLONG_MAX;
    ds_init(&u->probes);
    zoo_trace_init(&u->trace, token, peer->encap,
                   !IN6_IS_ADDR_V4MAPPED(&peer->key.remote),
                   ntohll(peer->dst.tun_id) & 0xffffff, sports, n,
                   ntohs(peer->key.dst_port), sports_only, zoo_now());
    ovs_list_push_back(&underlays, &u->list_node);
    *up = u;
    return 0;
}

/* Command. */

/* Returns true if more rounds are to be waited for, by which paths can be told
 * apart where no router answers. */
static bool
is_comparing(const struct underlay *u, long long int now)
{
    return (u->conn && !u->trace.n_hops
            && u->samples.n_rounds < ZOO_PATH_ROUNDS
            && now < u->compare_until);
}

static void
take_samples(struct underlay *u)
{
    struct zooroute_peer *p;

    ovs_mutex_lock(&zooroute_mutex);
    p = zooroute_find(&u->key);
    /* What is learned of a candidate has no round trip. */
    if (p && p->peer.state == ZOO_PEER_ACTIVE
        && !zoo_peer_is_learning(&p->peer)) {
        zoo_path_samples_take(&u->samples, &p->peer);
    } else {
        u->compare_until = 0;       /* Nothing will come. */
    }
    ovs_mutex_unlock(&zooroute_mutex);
}

static void
reply(struct underlay *u)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    struct zooroute_peer *p;

    ovs_mutex_lock(&zooroute_mutex);
    p = zooroute_find(&u->key);
    if (p) {
        ds_clear(&u->probes);
        format_probed(p, &u->samples, &u->probes);
    }
    ovs_mutex_unlock(&zooroute_mutex);
    if (u->trace.n_hops) {
        zoo_trace_format_verdict(&u->trace, &s);
        zoo_trace_format_paths(&u->trace, &s);
        ds_put_format(&s, "by probes alone: %s", ds_cstr(&u->probes));
    } else {
        ds_put_cstr(&s, ds_cstr(&u->probes));
        zoo_trace_format_verdict(&u->trace, &s);
    }
    if (u->unusable) {
        ds_put_cstr(&s, u->unusable);
    }
    unixctl_command_reply(u->conn, ds_cstr(&s));
    ds_destroy(&s);
}

void
zooroute_check_underlay(struct unixctl_conn *conn, struct zooroute_peer *peer)
{
    struct underlay *u;
    int error;

    if (n_checks >= MAX_TRACES) {
        char *s = xasprintf("%d underlays are being checked: wait for one of "
                            "them to be done", MAX_TRACES);

        unixctl_command_reply_error(conn, s);
        free(s);
        return;
    }
    error = underlay_create(peer, peer->peer.table.sport, peer->peer.table.n,
                            peer->peer.table.n, false, &u);
    if (error) {
        struct ds s = DS_EMPTY_INITIALIZER;

        format_probed(peer, NULL, &s);
        ds_put_cstr(&s, "hops: not asked, since no socket can send from ");
        ipv6_format_mapped(&peer->key.local, &s);
        ds_put_format(&s, ": %s\n", ovs_strerror(error));
        unixctl_command_reply(conn, ds_cstr(&s));
        ds_destroy(&s);
        return;
    }
    u->conn = conn;
    u->compare_until = zoo_now() + MAX_COMPARE_TIME;
    n_checks++;
    /* In case that the peer is gone at the end. */
    format_probed(peer, NULL, &u->probes);
}

/* Diversify. */

/* Returns true if peers' candidates are to be exchanged. */
static bool
may_diversify(void) OVS_REQUIRES(zooroute_mutex)
{
    return (zooroute_config.enabled && zooroute_config.diversify
            && !zooroute_config.shared_candidates);
}

/* Exchanges candidates of the peer of 'u' as its trace suggests. */
static void
diversify(struct underlay *u)
{
    struct zoo_trace_exchange exchanges[ZOO_MAX_CANDIDATES];
    unsigned int n = 0;

    ovs_mutex_lock(&zooroute_mutex);
    struct zooroute_peer *p = zooroute_find(&u->key);
    if (p && may_diversify()
        && p->peer.table.n == u->n_candidates
        && !memcmp(p->peer.table.sport, u->trace.sports,
                   u->n_candidates * sizeof *u->trace.sports)) {
        n = zoo_trace_diversify(&u->trace, u->n_candidates,
                                zoo_peer_exchangeable(&p->peer), exchanges);
        unsigned int n_wanted = n;

        n = 0;
        for (unsigned int i = 0; i < n_wanted; i++) {
            n += zoo_peer_exchange(&p->peer, exchanges[i].candidate,
                                   u->trace.sports[exchanges[i].port],
                                   zoo_now());
        }
        zooroute_publish(p);
        zooroute_schedule(p, zoo_now());
    }
    ovs_mutex_unlock(&zooroute_mutex);
    if (n) {
        char *name = zooroute_key_to_string(&u->key);

        VLOG_INFO("%s: %u candidates that shared their paths with many others "
                  "exchanged", name, n);
        free(name);
        zooroute_thread_wake();
    }
}

/* Stores into 'sports' the candidates of 'peer', and then other ports. */
static void
draw_ports(const struct zooroute_peer *peer,
           uint16_t sports[ZOO_TRACE_MAX_PORTS])
    OVS_REQUIRES(zooroute_mutex)
{
    const struct zoo_path_table *table = &peer->peer.table;
    unsigned int range = (zooroute_params.port_max - zooroute_params.port_min
                          + 1);
    unsigned int n = table->n;

    memcpy(sports, table->sport, n * sizeof *sports);
    while (n < ZOO_TRACE_MAX_PORTS) {
        uint16_t port = zooroute_params.port_min + random_range(range);
        bool new = true;

        for (unsigned int i = 0; i < n; i++) {
            new = new && sports[i] != port;
        }
        if (new) {
            sports[n++] = port;
        }
    }
}

BUILD_ASSERT_DECL(ZOOROUTE_DIVERSIFY_PORTS >= 2 * ZOO_TRACE_MAX_PORTS);

/* Returns true if some ports are left to exchange candidates for. */
static bool
can_diversify(void) OVS_EXCLUDED(zooroute_mutex)
{
    bool can;

    ovs_mutex_lock(&zooroute_mutex);
    can = (may_diversify()
           && (zooroute_params.port_max - zooroute_params.port_min
               >= ZOOROUTE_DIVERSIFY_PORTS));
    ovs_mutex_unlock(&zooroute_mutex);
    return can;
}

/* Returns true if a peer is traced, but for an operator. */
static bool
is_diversifying(void)
{
    struct underlay *u;

    LIST_FOR_EACH (u, list_node, &underlays) {
        if (!u->conn) {
            return true;
        }
    }
    return false;
}

/* Stores into '*key' the peer whose turn it is to be traced.  Returns false if
 * it is nobody's. */
static bool
choose_peer(long long int now, struct zooroute_key *key)
    OVS_EXCLUDED(zooroute_mutex)
{
    size_t n;
    struct zooroute_peer **peers = zooroute_list_peers(&n);

    zoo_turns_begin(&diversify_turns);
    for (size_t i = 0; i < n; ) {
        size_t end = MIN(n, i + ZOOROUTE_PEERS_AT_ONCE);

        ovs_mutex_lock(&zooroute_mutex);
        for (; i < end; i++) {
            const struct zooroute_peer *peer = peers[i];

            if (!peer->retired) {
                zoo_turns_offer(&diversify_turns, &peer->key,
                                zooroute_key_hash(&peer->key),
                                zoo_peer_exchangeable(&peer->peer), now);
            }
        }
        ovs_mutex_unlock(&zooroute_mutex);
    }
    free(peers);
    return zoo_turns_take(&diversify_turns, now, key);
}

static void
start_diversify(long long int now)
{
    uint16_t sports[ZOO_TRACE_MAX_PORTS];
    struct zooroute_peer *peer;
    struct zooroute_key key;
    struct underlay *u;

    if (!can_diversify()) {
        zoo_turns_clear(&diversify_turns);
        return;
    } else if (is_diversifying() || !choose_peer(now, &key)) {
        return;
    }
    ovs_mutex_lock(&zooroute_mutex);
    peer = zooroute_find(&key);
    if (peer) {
        draw_ports(peer, sports);
        if (!underlay_create(peer, sports, ZOO_TRACE_MAX_PORTS,
                             peer->peer.table.n, true, &u)) {
            u->deadline = now + MAX_DIVERSIFY_TIME;
        }
    }
    ovs_mutex_unlock(&zooroute_mutex);
}

/* From the main loop. */

static void
underlay_step(struct underlay *u, long long int now)
{
    struct zoo_trace_probe probe;

    u->next = now + STEP;
    if (u->conn) {
        take_samples(u);
    }
    read_answers(u);
    while (zoo_trace_next(&u->trace, now, &probe)) {
        send_probe(u, &probe);
    }
}

void
zooroute_underlay_run(void)
{
    struct underlay *u, *next;
    long long int now = zoo_now();

    LIST_FOR_EACH_SAFE (u, next, list_node, &underlays) {
        if (now < u->next) {
            continue;
        }
        underlay_step(u, now);
        if ((zoo_trace_is_done(&u->trace) && !is_comparing(u, now))
            || now >= u->deadline) {
            if (u->conn) {
                reply(u);
            } else {
                diversify(u);
            }
            underlay_destroy(u);
        }
    }
    if (!diversify_turns.key_len) {
        zoo_turns_init(&diversify_turns, sizeof(struct zooroute_key),
                       DIVERSIFY_INTERVAL);
    }
    if (now >= next_diversify) {
        next_diversify = now + DIVERSIFY_STEP;
        start_diversify(now);
    }
}

void
zooroute_underlay_wait(void)
{
    struct underlay *u;
    bool may;

    LIST_FOR_EACH (u, list_node, &underlays) {
        poll_timer_wait_until((u->next + MSEC - 1) / MSEC);
    }
    ovs_mutex_lock(&zooroute_mutex);
    may = may_diversify();
    ovs_mutex_unlock(&zooroute_mutex);
    if (may) {
        poll_timer_wait_until((next_diversify + MSEC - 1) / MSEC);
    }
}
