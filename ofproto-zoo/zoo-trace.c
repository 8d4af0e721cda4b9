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
#include "zoo-trace.h"

#include <limits.h>
#include <string.h>

#include "byte-order.h"
#include "csum.h"
#include "openvswitch/dynamic-string.h"
#include "packets.h"
#include "unaligned.h"
#include "util.h"

#define SEC (1000 * 1000 * 1000LL)

/* How long an answer may take: routers make them when they have time. */
#define PATIENCE (SEC / 2)

/* How often a hop is asked that has answered something, and one that has not.
 * Until one has, only so many probes go there: most likely, it is the end. */
#define ATTEMPTS 4
#define SILENT_ATTEMPTS 2
#define SILENT_PROBES 4

/* After so many probes no hop is asked again: a long path whose routers all
 * limit their answers would take minutes. */
#define PLENTY(N_SPORTS) (8 * ATTEMPTS * MAX(N_SPORTS, 32))

/* A caller who comes this much later may send all that has been due since. */
#define MAX_LATE (SEC / 20)

/* So many hops in a row without any answer end a trace: most peers discard
 * probes, so that is what follows the last router. */
#define MAX_SILENT_HOPS 2

/* Where one port in so many, or more, takes different paths, all may. */
#define SPRAYED_SHARE 16

/* A probe's number: what differs, which one it is, and its time to live. */
#define NUMBER(FIELD, INDEX, TTL) ((FIELD) << 10 | (INDEX) << 4 | (TTL))
BUILD_ASSERT_DECL(ZOO_TRACE_MAX_PORTS <= 1 << 6);
BUILD_ASSERT_DECL(ZOO_TRACE_VARIANTS <= ZOO_TRACE_MAX_PORTS);
BUILD_ASSERT_DECL(ZOO_TRACE_MAX_HOPS < 1 << 4);

/* The end of a probe. */
struct trailer {
    ovs_be64 token;
    ovs_be16 number;
    uint8_t pad[6];
};
BUILD_ASSERT_DECL(sizeof(struct trailer) == 16);

void
zoo_trace_init(struct zoo_trace *trace, uint64_t token, enum zoo_encap encap,
               bool ipv6, uint32_t vni, const uint16_t sports[],
               unsigned int n, uint16_t dport, bool sports_only,
               long long int now)
{
    ovs_assert(n >= 1 && n <= ZOO_TRACE_MAX_PORTS);
    memset(trace, 0, sizeof *trace);
    trace->token = token;
    trace->encap = encap;
    trace->ipv6 = ipv6;
    trace->vni = vni;
    trace->dport = dport;
    trace->sports_only = sports_only;
    trace->n_sports = n;
    memcpy(trace->sports, sports, n * sizeof *sports);
    trace->ttl = 1;
    trace->when = now;
}

/* Probes. */

/* Returns true if each of the ports is asked for with a probe of 'field'. */
static bool
is_of_ports(enum zoo_trace_field field)
{
    return field == ZOO_TRACE_SPORT || field == ZOO_TRACE_AGAIN;
}

static size_t
put(uint8_t *body, size_t len, const void *data, size_t n)
{
    ovs_assert(len + n <= ZOO_TRACE_MAX_LEN);
    memcpy(body + len, data, n);
    return len + n;
}

/* Puts the tunnel header of a probe that nobody takes. */
static size_t
put_tunnel(const struct zoo_trace *trace, uint8_t *body)
{
    ovs_be32 vni = htonl(trace->vni << 8);

    if (trace->encap == ZOO_ENCAP_VXLAN) {
        ovs_be32 flags = htonl(VXLAN_FLAGS | ZOO_VXLAN_F_PROBE);

        return put(body, put(body, 0, &flags, sizeof flags),
                   &vni, sizeof vni);
    } else {
        /* One word of options, critical (RFC 8926, section 3.4). */
        ovs_be32 first = htonl(1 << 24 | 1 << 22 | ETH_TYPE_TEB);
        struct geneve_opt opt = {
            .opt_class = htons(ZOO_GENEVE_OPT_CLASS),
            .type = ZOO_GENEVE_OPT_TYPE,
        };
        size_t len = put(body, 0, &first, sizeof first);

        len = put(body, len, &vni, sizeof vni);
        return put(body, len, &opt, sizeof opt);
    }
}

/* Puts a frame from and to addresses that no tenant has (RFC 2544), which
 * depend on 'variant', as its ports do. */
static size_t
put_frame(uint8_t *body, size_t len, unsigned int variant)
{
    const struct eth_header eth = {
        .eth_dst = ZOO_PROBE_ETH_DST,
        .eth_src = ETH_ADDR_C(02,00,00,00,00,01),
        .eth_type = htons(ETH_TYPE_IP),
    };
    const struct udp_header udp = {
        .udp_src = htons(10000 + 61 * variant),
        .udp_dst = htons(20000 + 257 * variant),
        .udp_len = htons(sizeof udp + sizeof(struct trailer)),
    };
    struct ip_header ip = {
        .ip_ihl_ver = IP_IHL_VER(5, 4),
        .ip_tot_len = htons(sizeof ip + sizeof udp + sizeof(struct trailer)),
        .ip_ttl = 64,
        .ip_proto = IPPROTO_UDP,
    };

    put_16aligned_be32(&ip.ip_src, htonl(0xc6120001 + 3 * variant));
    put_16aligned_be32(&ip.ip_dst, htonl(0xc6130001 + 7 * variant));
    ip.ip_csum = csum(&ip, sizeof ip);
    len = put(body, len, &eth, sizeof eth);
    len = put(body, len, &ip, sizeof ip);
    return put(body, len, &udp, sizeof udp);
}

static void
make_probe(const struct zoo_trace *trace, enum zoo_trace_field field,
           unsigned int index, unsigned int ttl,
           struct zoo_trace_probe *probe)
{
    const struct trailer trailer = {
        .token = htonll(trace->token),
        .number = htons(NUMBER(field, index, ttl)),
    };

    memset(probe, 0, sizeof *probe);
    probe->port = is_of_ports(field) ? index : 0;
    probe->sport = trace->sports[probe->port];
    probe->dport = trace->dport;
    probe->ttl = ttl;
    if (field == ZOO_TRACE_DPORT && index) {
        /* Not that of a service, if there is one, at the peer, whom no probe
         * is to reach anyway. */
        probe->dport = 33434 + 211 * index;
    } else if (field == ZOO_TRACE_LABEL) {
        probe->label = index * 0x1357;
    }
    probe->len = put_tunnel(trace, probe->body);
    probe->len = put_frame(probe->body, probe->len,
                           field == ZOO_TRACE_INNER ? index : 0);
    probe->len = put(probe->body, probe->len, &trailer, sizeof trailer);
}

/* Progress. */

static unsigned int
n_probes(const struct zoo_trace *trace, enum zoo_trace_field field)
{
    return is_of_ports(field) ? trace->n_sports : ZOO_TRACE_VARIANTS;
}

/* Returns how many routers answered at hop 'ttl' to probes that differ in
 * 'field'. */
static unsigned int
n_routers_at(const struct zoo_trace *trace, enum zoo_trace_field field,
             unsigned int ttl)
{
    bool seen[ZOO_TRACE_MAX_ROUTERS + 1] = { false };
    unsigned int n = 0;

    for (unsigned int i = 0; i < n_probes(trace, field); i++) {
        unsigned int router = trace->answers[field][ttl - 1][i];

        if (router && !seen[router]) {
            seen[router] = true;
            n++;
        }
    }
    return n;
}

/* Returns the first hop from 'ttl' on that tells paths of ports apart, or one
 * more than the last hop. */
static unsigned int
next_fork(const struct zoo_trace *trace, unsigned int ttl)
{
    while (ttl <= trace->n_hops
           && n_routers_at(trace, ZOO_TRACE_SPORT, ttl) <= 1) {
        ttl++;
    }
    return ttl;
}

static unsigned int
count_answers(const struct zoo_trace *trace, enum zoo_trace_field field,
              unsigned int ttl)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < n_probes(trace, field); i++) {
        n += trace->answers[field][ttl - 1][i] != 0;
    }
    return n;
}

/* Goes on with the next field that there is something to ask about. */
static void
next_field(struct zoo_trace *trace)
{
    trace->ttl = 1;
    if (trace->sports_only && trace->field == ZOO_TRACE_SPORT) {
        trace->field = ZOO_TRACE_AGAIN;
        trace->ttl = next_fork(trace, 1);
    } else {
        do {
            trace->field++;
        } while (trace->field == ZOO_TRACE_LABEL && !trace->ipv6);
        if (trace->field == ZOO_TRACE_AGAIN) {
            trace->field = ZOO_TRACE_N_FIELDS;
        }
    }
    if (trace->ttl > trace->n_hops) {
        trace->field = ZOO_TRACE_N_FIELDS;
    }
}

static void
next_hop(struct zoo_trace *trace)
{
    unsigned int last = (trace->field != ZOO_TRACE_SPORT || trace->reached
                         ? trace->n_hops
                         : MIN(trace->n_hops + MAX_SILENT_HOPS,
                               ZOO_TRACE_MAX_HOPS));

    trace->attempt = 0;
    trace->ttl++;
    if (trace->field == ZOO_TRACE_AGAIN) {
        trace->ttl = next_fork(trace, trace->ttl);
    }
    if (trace->ttl > last) {
        next_field(trace);
    }
}

/* All probes of an attempt have been sent, and waited for. */
static void
end_attempt(struct zoo_trace *trace)
{
    unsigned int n = count_answers(trace, trace->field, trace->ttl);

    trace->index = trace->n_asked = 0;
    trace->attempt++;
    if (n == n_probes(trace, trace->field)
        || trace->attempt >= (n ? ATTEMPTS : SILENT_ATTEMPTS)
        || trace->n_sent >= PLENTY(trace->n_sports)) {
        next_hop(trace);
    }
}

/* Returns true if probe 'trace->index' is to be sent in this attempt. */
static bool
is_wanted(const struct zoo_trace *trace)
{
    unsigned int i = trace->index;

    return (!trace->answers[trace->field][trace->ttl - 1][i]
            && (i < SILENT_PROBES
                || count_answers(trace, trace->field, trace->ttl)));
}

/* Returns true if all probes of this attempt have been answered. */
static bool
all_answered(const struct zoo_trace *trace)
{
    for (unsigned int i = 0; i < trace->n_asked; i++) {
        if (!trace->answers[trace->field][trace->ttl - 1][i]) {
            return false;
        }
    }
    return true;
}

bool
zoo_trace_next(struct zoo_trace *trace, long long int now,
               struct zoo_trace_probe *probe)
{
    while (!zoo_trace_is_done(trace)) {
        unsigned int n = n_probes(trace, trace->field);

        if (trace->index > n
            && (now >= trace->when || all_answered(trace))) {
            end_attempt(trace);
            trace->when = MIN(trace->when, now);
            continue;
        } else if (now < trace->when) {
            return false;
        }
        while (trace->index < n && !is_wanted(trace)) {
            trace->index++;
        }
        if (trace->index == n) {
            trace->index++;
            trace->when = now + PATIENCE;
            continue;
        }
        make_probe(trace, trace->field, trace->index++, trace->ttl, probe);
        trace->n_asked = trace->index;
        trace->n_sent++;
        trace->when = MAX(trace->when, now - MAX_LATE) + SEC / ZOO_TRACE_RATE;
        return true;
    }
    return false;
}

long long int
zoo_trace_when(const struct zoo_trace *trace)
{
    return zoo_trace_is_done(trace) ? LLONG_MAX : trace->when;
}

/* Answers. */

/* Returns one more than the index of 'router', or 0 if there is no room. */
static uint8_t
find_router(struct zoo_trace *trace, const struct in6_addr *router)
{
    for (unsigned int i = 0; i < trace->n_routers; i++) {
        if (ipv6_addr_equals(&trace->routers[i], router)) {
            return i + 1;
        }
    }
    if (trace->n_routers >= ZOO_TRACE_MAX_ROUTERS) {
        return 0;
    }
    trace->routers[trace->n_routers++] = *router;
    return trace->n_routers;
}

bool
zoo_trace_answer(struct zoo_trace *trace, const struct in6_addr *router,
                 bool unreachable, const uint8_t *quote, size_t len)
{
    struct zoo_trace_probe probe;
    unsigned int number, field, index, ttl;
    struct trailer trailer;

    /* All probes are of one length. */
    make_probe(trace, ZOO_TRACE_SPORT, 0, 1, &probe);
    if (len < probe.len) {
        return false;
    }
    memcpy(&trailer, quote + probe.len - sizeof trailer, sizeof trailer);
    number = ntohs(trailer.number);
    field = number >> 10;
    index = number >> 4 & (ZOO_TRACE_MAX_PORTS - 1);
    ttl = number & 0xf;
    if (trailer.token != htonll(trace->token)
        || field >= ZOO_TRACE_N_FIELDS || index >= n_probes(trace, field)
        || !ttl || ttl > ZOO_TRACE_MAX_HOPS) {
        return false;
    }
    make_probe(trace, field, index, ttl, &probe);
    if (memcmp(quote, probe.body, probe.len)
        || trace->answers[field][ttl - 1][index]) {
        return false;
    }

    trace->n_answers++;
    if (unreachable) {
        trace->reached = true;
        return true;
    }
    trace->answers[field][ttl - 1][index] = find_router(trace, router);
    if (field == ZOO_TRACE_SPORT) {
        trace->n_hops = MAX(trace->n_hops, ttl);
    }
    return true;
}

/* What that means. */

unsigned int
zoo_trace_spread(const struct zoo_trace *trace, enum zoo_trace_field field)
{
    unsigned int n = 0;

    for (unsigned int ttl = 1; ttl <= trace->n_hops; ttl++) {
        n = MAX(n, n_routers_at(trace, field, ttl));
    }
    return n;
}

/* Returns true if ports 'i' and 'j' have the same path as far as hops tell
 * paths apart at all. */
static bool
same_path(const struct zoo_trace *trace, unsigned int i, unsigned int j)
{
    for (unsigned int ttl = 1; ttl <= trace->n_hops; ttl++) {
        const uint8_t *a = trace->answers[ZOO_TRACE_SPORT][ttl - 1];

        if (a[i] != a[j] && n_routers_at(trace, ZOO_TRACE_SPORT, ttl) > 1) {
            return false;
        }
    }
    return true;
}

/* Returns true if all hops that tell paths apart have answered port 'i', the
 * same ones each time if it was traced twice. */
static bool
is_complete(const struct zoo_trace *trace, unsigned int i)
{
    for (unsigned int ttl = next_fork(trace, 1); ttl <= trace->n_hops;
         ttl = next_fork(trace, ttl + 1)) {
        uint8_t router = trace->answers[ZOO_TRACE_SPORT][ttl - 1][i];

        if (!router
            || (trace->sports_only
                && router != trace->answers[ZOO_TRACE_AGAIN][ttl - 1][i])) {
            return false;
        }
    }
    return true;
}

/* Returns true if so many ports that were traced twice have reached different
 * hops that the underlay seems to deal out packets: then those that reached the
 * same ones did so by chance. */
static bool
is_sprayed(const struct zoo_trace *trace)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < trace->n_sports; i++) {
        for (unsigned int ttl = 1; ttl <= trace->n_hops; ttl++) {
            uint8_t a = trace->answers[ZOO_TRACE_SPORT][ttl - 1][i];
            uint8_t b = trace->answers[ZOO_TRACE_AGAIN][ttl - 1][i];

            if (a && b && a != b) {
                n++;
                break;
            }
        }
    }
    return n && n >= trace->n_sports / SPRAYED_SHARE;
}

unsigned int
zoo_trace_paths(const struct zoo_trace *trace,
                int paths[ZOO_TRACE_MAX_PORTS])
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < trace->n_sports; i++) {
        paths[i] = -1;
        if (!trace->n_hops || !is_complete(trace, i)) {
            continue;
        }
        for (unsigned int j = 0; j < i && paths[i] < 0; j++) {
            if (paths[j] >= 0 && same_path(trace, i, j)) {
                paths[i] = paths[j];
            }
        }
        if (paths[i] < 0) {
            paths[i] = n++;
        }
    }
    return n;
}

/* Exchange. */

/* Returns the member of 'movable' on the path with most candidates, or -1. */
static int
most_shared(unsigned int n_candidates, uint32_t movable, const int paths[],
            const unsigned int n_on[])
{
    int best = -1;

    for (unsigned int i = 0; i < n_candidates; i++) {
        if (movable & (UINT32_C(1) << i) && paths[i] >= 0
            && (best < 0 || n_on[paths[i]] > n_on[paths[best]])) {
            best = i;
        }
    }
    return best;
}

/* Returns the port not in 'taken' on the path with fewest candidates, or -1.
 */
static int
least_shared(const struct zoo_trace *trace, unsigned int n_candidates,
             uint64_t taken, const int paths[], const unsigned int n_on[])
{
    int best = -1;

    for (unsigned int i = n_candidates; i < trace->n_sports; i++) {
        if (!(taken & (UINT64_C(1) << i)) && paths[i] >= 0
            && (best < 0 || n_on[paths[i]] < n_on[paths[best]])) {
            best = i;
        }
    }
    return best;
}

unsigned int
zoo_trace_diversify(const struct zoo_trace *trace, unsigned int n_candidates,
                    uint32_t movable, struct zoo_trace_exchange exchanges[])
{
    unsigned int n_on[ZOO_TRACE_MAX_PORTS] = { 0 };
    int paths[ZOO_TRACE_MAX_PORTS];
    unsigned int n = 0;
    uint64_t taken = 0;

    if (zoo_trace_paths(trace, paths) < 2
        || is_sprayed(trace)) {
        return 0;
    }
    for (unsigned int i = 0; i < n_candidates; i++) {
        if (paths[i] >= 0) {
            n_on[paths[i]]++;
        }
    }
    while (n < n_candidates) {
        int from = most_shared(n_candidates, movable, paths, n_on);
        int to = least_shared(trace, n_candidates, taken, paths, n_on);

        if (from < 0 || to < 0
            || n_on[paths[from]] < n_on[paths[to]] + 2) {
            break;
        }
        exchanges[n++] = (struct zoo_trace_exchange) { from, to };
        n_on[paths[from]]--;
        n_on[paths[to]]++;
        movable &= ~(UINT32_C(1) << from);
        taken |= UINT64_C(1) << to;
    }
    return n;
}

/* For operators. */

static const char *
field_name(enum zoo_trace_field field)
{
    switch (field) {
    case ZOO_TRACE_SPORT: return "outer source port";
    case ZOO_TRACE_NOTHING: return "nothing";
    case ZOO_TRACE_DPORT: return "outer destination port";
    case ZOO_TRACE_LABEL: return "flow label";
    case ZOO_TRACE_INNER: return "inner headers";
    case ZOO_TRACE_AGAIN:
    case ZOO_TRACE_N_FIELDS:
    default: OVS_NOT_REACHED();
    }
}

/* Appends the fields that are hashed if 'hashed', otherwise those that are
 * not.  Returns their number. */
static unsigned int
format_fields(const struct zoo_trace *trace, bool hashed, struct ds *s)
{
    unsigned int n = 0;

    for (enum zoo_trace_field f = 0; f < ZOO_TRACE_AGAIN; f++) {
        unsigned int spread = zoo_trace_spread(trace, f);

        if (f != ZOO_TRACE_NOTHING && spread && (spread > 1) == hashed) {
            ds_put_format(s, "%s%s", n++ ? ", " : "", field_name(f));
        }
    }
    return n;
}

/* Appends how many paths the ports take.  Those whose path is not known do not
 * count as paths of their own, but routers at one hop are of different paths,
 * whichever ports they have answered. */
static void
format_n_paths(const struct zoo_trace *trace, struct ds *s)
{
    int paths[ZOO_TRACE_MAX_PORTS];
    unsigned int n_paths = zoo_trace_paths(trace, paths);
    unsigned int n_known = 0;

    for (unsigned int i = 0; i < trace->n_sports; i++) {
        n_known += paths[i] >= 0;
    }
    if (n_known == trace->n_sports) {
        ds_put_format(s, "yes: %u candidates reach %u distinct paths",
                      n_known, n_paths);
    } else {
        ds_put_format(s, "yes: %u candidates, of which the paths of %u are "
                      "known, reach at least %u distinct paths",
                      trace->n_sports, n_known,
                      MAX(n_paths, zoo_trace_spread(trace, ZOO_TRACE_SPORT)));
    }
}

void
zoo_trace_format_verdict(const struct zoo_trace *trace, struct ds *s)
{
    struct ds hashed = DS_EMPTY_INITIALIZER, not = DS_EMPTY_INITIALIZER;
    unsigned int n_hashed = format_fields(trace, true, &hashed);

    format_fields(trace, false, &not);
    if (!trace->n_hops) {
        ds_put_cstr(s, "hops: none has answered, so what the underlay hashes "
                    "cannot be told from them\n");
    } else if (zoo_trace_spread(trace, ZOO_TRACE_NOTHING) > 1) {
        ds_put_cstr(s, "no: packets of one and the same flow take different "
                    "paths, whatever they hold\n");
    } else {
        if (zoo_trace_spread(trace, ZOO_TRACE_SPORT) > 1) {
            format_n_paths(trace, s);
        } else if (n_hashed) {
            ds_put_cstr(s, "no: the underlay does not hash the outer source "
                        "port");
        } else {
            ds_put_cstr(s, "no: there is but one path, or the underlay hashes "
                        "addresses only");
        }
        if (!trace->reached) {
            ds_put_format(s, "; routers beyond hop %u, if any, were not seen",
                          trace->n_hops);
        }
        ds_put_char(s, '\n');
    }
    if (trace->n_hops && zoo_trace_spread(trace, ZOO_TRACE_NOTHING) <= 1) {
        ds_put_format(s, "hashed: %s; not hashed: %s\n",
                      n_hashed ? ds_cstr(&hashed) : "addresses at most",
                      not.length ? ds_cstr(&not) : "none of the rest");
    }
    ds_destroy(&hashed);
    ds_destroy(&not);
}

static void
format_path(const struct zoo_trace *trace, unsigned int i, struct ds *s)
{
    for (unsigned int ttl = 1; ttl <= trace->n_hops; ttl++) {
        unsigned int router = trace->answers[ZOO_TRACE_SPORT][ttl - 1][i];

        ds_put_char(s, ' ');
        if (router) {
            ipv6_format_mapped(&trace->routers[router - 1], s);
        } else {
            ds_put_char(s, '*');
        }
    }
}

void
zoo_trace_format_paths(const struct zoo_trace *trace, struct ds *s)
{
    int paths[ZOO_TRACE_MAX_PORTS];
    int n = zoo_trace_paths(trace, paths);

    for (int p = -1; p < n; p++) {
        struct ds ports = DS_EMPTY_INITIALIZER;
        unsigned int n_ports = 0, first = 0;

        for (unsigned int i = 0; i < trace->n_sports; i++) {
            if (paths[i] == p) {
                first = n_ports++ ? first : i;
                ds_put_format(&ports, " %"PRIu16, trace->sports[i]);
            }
        }
        if (n_ports && p < 0) {
            ds_put_format(s, "path not known: %u candidates:%s\n", n_ports,
                          ds_cstr(&ports));
        } else if (n_ports) {
            ds_put_format(s, "path %d: %u candidates, via", p + 1, n_ports);
            format_path(trace, first, s);
            ds_put_format(s, ":%s\n", ds_cstr(&ports));
        }
        ds_destroy(&ports);
    }
    ds_put_format(s, "%u probes sent hop by hop, %u answered\n", trace->n_sent,
                  trace->n_answers);
}
