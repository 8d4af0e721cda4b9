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

/* Whose the addresses are at which tunnels end.
 *
 * Domains may use the same addresses, and a node may say what it likes: an
 * address is looked for in the sender's domain first, and there it is the
 * node's that said so first, as long as that node speaks. */

#include <config.h>
#include "vtrace/analyze-private.h"

#include <stdlib.h>

#include "hash.h"
#include "openvswitch/vlog.h"
#include "packets.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(vtrace_endpoint);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 5);

/* Forgets the endpoint that 'node' has not named for the longest time. */
static void
forget_endpoint(struct vtrace_analyzer *az, struct vtrace_exporter *node)
{
    struct endpoint *endpoint
        = CONTAINER_OF(ovs_list_pop_front(&node->endpoints),
                       struct endpoint, list_node);

    hmap_remove(&az->endpoints, &endpoint->node);
    free(endpoint);
    node->n_endpoints--;
}

static bool
is_speaking(const struct vtrace_analyzer *az,
            const struct vtrace_exporter *node)
{
    return (node->connected
            && (az->now < node->heard
                || az->now - node->heard <= az->config.stall_timeout));
}

/* Returns true if 'a' is to be believed rather than 'b', which may be NULL:
 * the first one of those that speak, else the last one. */
static bool
is_better(const struct vtrace_analyzer *az, const struct endpoint *a,
          const struct endpoint *b)
{
    bool a_speaks = is_speaking(az, a->owner);
    bool b_speaks = b && is_speaking(az, b->owner);

    return (!b ? true
            : a_speaks != b_speaks ? a_speaks
            : a_speaks ? a->serial < b->serial : a->serial > b->serial);
}

/* Returns the node of 'domain' that has 'address', or else the only one of
 * another domain.  Returns NULL if there is none, or several. */
struct vtrace_exporter *
vtrace_endpoint_owner(const struct vtrace_analyzer *az,
                      const struct vtrace_domain *domain,
                      const struct in6_addr *address)
{
    const struct endpoint *own = NULL, *other = NULL;
    unsigned int n_speaking = 0, n_others = 0;
    const struct endpoint *e;

    HMAP_FOR_EACH_WITH_HASH (e, node,
                             hash_bytes(address, sizeof *address, 0),
                             &az->endpoints) {
        if (!ipv6_addr_equals(&e->address, address)) {
            continue;
        } else if (e->owner->domain == domain) {
            own = is_better(az, e, own) ? e : own;
        } else {
            other = is_better(az, e, other) ? e : other;
            n_others++;
            n_speaking += is_speaking(az, e->owner);
        }
    }
    return (own ? own->owner
            : n_speaking == 1 || n_others == 1 ? other->owner : NULL);
}

void
vtrace_analyzer_endpoint(struct vtrace_analyzer *az,
                         struct vtrace_exporter *node,
                         const struct vtrace_endpoint *record)
{
    uint32_t hash = hash_bytes(&record->address, sizeof record->address, 0);
    const struct vtrace_exporter *owner;
    struct endpoint *endpoint;

    VTRACE_TAP(az, .type = VTRACE_EVENT_ENDPOINT, .node = node->index,
               .data = record);
    HMAP_FOR_EACH_WITH_HASH (endpoint, node, hash, &az->endpoints) {
        if (endpoint->owner == node
            && ipv6_addr_equals(&endpoint->address, &record->address)) {
            ovs_list_remove(&endpoint->list_node);
            ovs_list_push_back(&node->endpoints, &endpoint->list_node);
            return;
        }
    }

    owner = vtrace_endpoint_owner(az, node->domain, &record->address);
    if (owner && owner->domain == node->domain && is_speaking(az, owner)) {
        char address[INET6_ADDRSTRLEN];

        ipv6_string_mapped(address, &record->address);
        VLOG_WARN_RL(&rl, "node %s says that tunnels to %s end there, as node "
                     "%s does, which is believed until it is silent: check "
                     "the tunnels' local addresses at both", node->name,
                     address, owner->name);
    }
    endpoint = xmalloc(sizeof *endpoint);
    endpoint->address = record->address;
    endpoint->owner = node;
    endpoint->serial = az->n_claims++;
    hmap_insert(&az->endpoints, &endpoint->node, hash);
    ovs_list_push_back(&node->endpoints, &endpoint->list_node);
    if (++node->n_endpoints > MAX_ENDPOINTS) {
        forget_endpoint(az, node);
    }
}

/* Returns the node at the other end of the tunnel to which 'point' sends, or
 * NULL if it never said so. */
struct vtrace_exporter *
vtrace_edge_target(const struct flow_state *flow, const struct point *point)
{
    return (point->edge->to ? point->edge->to
            : vtrace_endpoint_owner(flow->analysis->analyzer,
                                    point->fn->node->domain,
                                    &point->key.tun_dst));
}
