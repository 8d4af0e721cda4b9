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
#include "vtrace/node-address.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "packets.h"
#include "util.h"
#include "vtrace/store.h"

static bool
parse_ip(const char *s, struct in6_addr *ip)
{
    ovs_be32 ip4;

    if (ip_parse(s, &ip4)) {
        *ip = in6_addr_mapped_ipv4(ip4);
        return true;
    }
    return ipv6_parse(s, ip);
}

/* Stores the address in 'target', METHOD:IP[:PORT] or METHOD:[IP][:PORT], into
 * '*ip'.  Returns false if there is none. */
static bool
target_ip(const char *target, struct in6_addr *ip)
{
    const char *host = strchr(target, ':');
    char *copy;
    bool ok;

    if (!host) {
        return false;
    }
    host++;
    copy = (*host == '[' ? xmemdup0(host + 1, strcspn(host + 1, "]"))
            : xmemdup0(host, strcspn(host, ":")));
    ok = parse_ip(copy, ip);
    free(copy);
    return ok;
}

size_t
vtrace_nodes_at(const struct vtrace_store_node *nodes, size_t n,
                const char *ip, const struct vtrace_store_node **found)
{
    struct in6_addr wanted, addr;
    size_t n_found = 0;

    *found = NULL;
    if (!parse_ip(ip, &wanted)) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (target_ip(nodes[i].target, &addr)
            && ipv6_addr_equals(&addr, &wanted)) {
            *found = *found ? *found : &nodes[i];
            n_found++;
        }
    }
    return n_found;
}
