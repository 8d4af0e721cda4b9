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
#include "vtrace-rules/task-options.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "packets.h"
#include "util.h"

/* In a request until an option says which. */
#define PROTO_UNKNOWN 255       /* Reserved by IANA. */

static const struct {
    const char *name;
    uint8_t proto;
} protocols[] = {
    { "tcp", IPPROTO_TCP },
    { "udp", IPPROTO_UDP },
    { "sctp", IPPROTO_SCTP },
    { "icmp", IPPROTO_ICMP },
    { "ip", 0 },
};

void
vtrace_task_options_init(struct vtrace_request *request)
{
    memset(request, 0, sizeof *request);
    request->match.proto = PROTO_UNKNOWN;
    request->duration = VTRACE_TASK_DEFAULT_DURATION * 1000;
}

char *
vtrace_task_parse_number(const char *name, const char *s, long long min,
                         long long max, const char *unit, long long *number)
{
    long long int n;

    if (!isdigit((unsigned char) s[0]) || !str_to_llong(s, 10, &n)) {
        return xasprintf("--%s: \"%s\" is not a number, give one in "
                         "%lld..%lld%s", name, s, min, max, unit);
    }
    if (n < min || n > max) {
        return xasprintf("--%s: %lld is out of range %lld..%lld%s",
                         name, n, min, max, unit);
    }
    *number = n;
    return NULL;
}

static bool
is_unspecified(const struct in6_addr *addr)
{
    return (IN6_IS_ADDR_V4MAPPED(addr)
            ? !in6_addr_get_mapped_ipv4(addr)
            : ipv6_addr_equals(addr, &in6addr_any));
}

char *
vtrace_task_parse_address(const char *name, const char *s,
                          struct in6_addr *addr, uint16_t *port)
{
    const char *colon = strchr(s, ':');
    const char *port_s = NULL;
    char *host;

    if (s[0] == '[') {
        const char *end = strchr(s, ']');

        if (!end || (end[1] && end[1] != ':')) {
            return xasprintf("--%s: \"%s\" is not \"[IPv6]:PORT\"", name, s);
        }
        host = xmemdup0(s + 1, end - s - 1);
        port_s = end[1] ? end + 2 : NULL;
    } else if (colon && !strchr(colon + 1, ':')) {
        host = xmemdup0(s, colon - s);
        port_s = colon + 1;
    } else {
        host = xstrdup(s);
    }

    struct in6_addr ip6;
    bool ok = ipv6_parse(host, &ip6);
    if (ok && IN6_IS_ADDR_V4MAPPED(&ip6)) {
        ok = false;             /* It would be taken for IPv4. */
    } else if (!ok && s[0] != '[') {
        ovs_be32 ip;

        ok = ip_parse(host, &ip);
        if (ok) {
            in6_addr_set_mapped_ipv4(&ip6, ip);
        }
    }

    char *error = NULL;
    if (!ok) {
        error = xasprintf("--%s: \"%s\" is not an IP address, give "
                          "\"IP\", \"IPv4:PORT\" or \"[IPv6]:PORT\"",
                          name, host);
    } else if (is_unspecified(&ip6)) {
        error = xasprintf("--%s: %s is not the address of a machine, give "
                          "that of one", name, host);
    }
    free(host);
    if (error) {
        return error;
    }

    *port = 0;
    if (port_s) {
        long long int n;

        error = vtrace_task_parse_number(name, port_s, 1, 65535, " as a port",
                                         &n);
        if (error) {
            return error;
        }
        *port = n;
    }
    *addr = ip6;
    return NULL;
}

/* Copies the 'len' bytes at 's' into 'name', which has room for
 * VTRACE_STORE_MAX_NAME. */
static bool
copy_name(char *name, const char *s, size_t len)
{
    if (!len || len > VTRACE_STORE_MAX_NAME) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isgraph((unsigned char) s[i])) {
            return false;
        }
    }
    memcpy(name, s, len);
    name[len] = '\0';
    return true;
}

char *
vtrace_task_parse_entry(const char *name, const char *s,
                        struct vtrace_entry *entry)
{
    const char *bridge = strchr(s, '/');
    const char *port = bridge ? strchr(bridge + 1, '/') : NULL;

    if (!port
        || !copy_name(entry->node, s, bridge - s)
        || !copy_name(entry->bridge, bridge + 1, port - bridge - 1)
        || !copy_name(entry->port, port + 1, strlen(port + 1))) {
        return xasprintf("--%s: \"%s\" is not NODE/BRIDGE/PORT, with names of "
                         "1..%d printable characters",
                         name, s, VTRACE_STORE_MAX_NAME);
    }
    return NULL;
}

char *
vtrace_task_parse_proto(const char *name, const char *s, uint8_t *proto)
{
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        if (!strcmp(s, protocols[i].name)) {
            *proto = protocols[i].proto;
            return NULL;
        }
    }
    return xasprintf("--%s: \"%s\" is not known, use tcp, udp, sctp, icmp "
                     "or ip", name, s);
}

static char *
parse_tenant(const char *s, char *tenant)
{
    if (!copy_name(tenant, s, strlen(s))) {
        return xasprintf("--tenant: \"%s\" is not a name of 1..%d printable "
                         "characters", s, VTRACE_STORE_MAX_NAME);
    }
    return NULL;
}

static char *
parse_mac(const char *name, const char *s, struct eth_addr *mac)
{
    if (!eth_addr_from_string(s, mac) || eth_addr_is_zero(*mac)) {
        return xasprintf("--%s: \"%s\" is not the Ethernet address of a "
                         "machine, such as 52:54:00:12:34:56", name, s);
    }
    return NULL;
}

char *
vtrace_task_option(struct vtrace_request *request, int option, const char *arg)
{
    struct vtrace_match *match = &request->match;
    long long int n = 0;
    char *error = NULL;

    switch (option) {
    case OPT_VTRACE_TENANT:
        return parse_tenant(arg, request->tenant);

    case OPT_VTRACE_PROTO:
        return vtrace_task_parse_proto("proto", arg, &match->proto);

    case OPT_VTRACE_SRC:
        return vtrace_task_parse_address("src", arg, &match->src,
                                         &match->sport);

    case OPT_VTRACE_DST:
        return vtrace_task_parse_address("dst", arg, &match->dst,
                                         &match->dport);

    case OPT_VTRACE_AT:
        return vtrace_task_parse_entry("at", arg, &request->entry);

    case OPT_VTRACE_VLAN:
        error = vtrace_task_parse_number("vlan", arg, 1, 4094, "", &n);
        match->vlan = n;
        break;

    case OPT_VTRACE_DURATION:
        error = vtrace_task_parse_number("duration", arg, 1,
                                         VTRACE_TASK_MAX_DURATION, " seconds",
                                         &n);
        request->duration = n * 1000;
        break;

    case OPT_VTRACE_EXP:
        error = vtrace_task_parse_number("exp", arg, 0, VTRACE_STORE_MAX_EXP,
                                         "", &n);
        request->exp = n;
        break;

    case OPT_VTRACE_BOTH:
        request->both = true;
        break;

    case OPT_VTRACE_INJECT:
        error = vtrace_task_parse_number("inject", arg, 1,
                                         VTRACE_TASK_MAX_INJECT,
                                         " packets per second", &n);
        request->inject = n;
        break;

    case OPT_VTRACE_SRC_MAC:
        return parse_mac("src-mac", arg, &request->src_mac);

    case OPT_VTRACE_DST_MAC:
        return parse_mac("dst-mac", arg, &request->dst_mac);

    default:
        OVS_NOT_REACHED();
    }
    return error;
}

char *
vtrace_task_options_check(struct vtrace_request *request)
{
    struct vtrace_match *m = &request->match;

    if (m->proto == PROTO_UNKNOWN) {
        return xstrdup("--proto is missing, use tcp, udp, sctp, icmp or ip");
    }
    if (ipv6_addr_equals(&m->src, &in6addr_any)) {
        return xstrdup("--src is missing, give the sender's IP[:PORT]");
    }
    if (ipv6_addr_equals(&m->dst, &in6addr_any)) {
        return xstrdup("--dst is missing, give the receiver's IP[:PORT]");
    }
    if (!request->entry.node[0]) {
        return xstrdup("--at is missing, give the NODE/BRIDGE/PORT where the "
                       "packets enter");
    }

    bool v4 = IN6_IS_ADDR_V4MAPPED(&m->src);
    if (v4 != IN6_IS_ADDR_V4MAPPED(&m->dst)) {
        return xstrdup("--src and --dst are of different IP versions, give "
                       "both of one");
    }
    if ((m->sport || m->dport) && m->proto != IPPROTO_TCP
        && m->proto != IPPROTO_UDP && m->proto != IPPROTO_SCTP) {
        return xasprintf("--%s: port %"PRIu16": packets of this protocol have "
                         "no ports, leave it away or use --proto tcp, udp or "
                         "sctp", m->sport ? "src" : "dst",
                         m->sport ? m->sport : m->dport);
    }
    if (!request->inject && (!eth_addr_is_zero(request->src_mac)
                             || !eth_addr_is_zero(request->dst_mac))) {
        return xstrdup("--src-mac and --dst-mac are of injected packets, "
                       "leave them away or give --inject, too");
    }
    if (m->proto == IPPROTO_ICMP && !v4) {
        m->proto = IPPROTO_ICMPV6;
    }
    return NULL;
}

void
vtrace_match_replies(const struct vtrace_match *asked,
                     const struct vtrace_match *seen,
                     struct vtrace_match *replies)
{
    *replies = (struct vtrace_match) {
        .proto = seen->proto,
        .src = seen->dst,
        .dst = seen->src,
        .sport = seen->dport,
        .dport = seen->sport,
        .vlan = seen->vlan,
    };
    if (!asked->dport) {
        replies->sport = 0;
    }
    if (ipv6_addr_equals(&asked->src, &seen->src)) {
        /* A port that is another one may be yet another one for the flow's
         * next connection. */
        if (asked->sport != seen->sport) {
            replies->dport = 0;
        }
        if (!asked->proto) {
            replies->proto = replies->sport = replies->dport = 0;
        }
    }
}
