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

#include "ovs-ext/zoo-gbp.h"

#include "cmap.h"
#include "hash.h"
#include "netdev.h"
#include "odp-netlink.h"
#include "openvswitch/packets.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "packets.h"
#include "unaligned.h"
#include "util.h"

/* A UDP port with tunnels that have the extension. */
struct gbp_port {
    struct cmap_node node;      /* In 'gbp_ports'. */
    ovs_be16 port;
    unsigned int n_tunnels;     /* Guarded by 'gbp_mutex'. */
};

static struct ovs_mutex gbp_mutex = OVS_MUTEX_INITIALIZER;

/* Contains "struct gbp_port"s.  Written with 'gbp_mutex' held. */
static struct cmap gbp_ports = CMAP_INITIALIZER;

static uint32_t
port_hash(ovs_be16 port)
{
    return hash_int((OVS_FORCE uint32_t) port, 0);
}

static struct gbp_port *
find_port(ovs_be16 port)
{
    struct gbp_port *p;

    CMAP_FOR_EACH_WITH_HASH (p, node, port_hash(port), &gbp_ports) {
        if (p->port == port) {
            return p;
        }
    }
    return NULL;
}

static bool
has_gbp(const struct netdev_tunnel_config *cfg)
{
    return cfg && cfg->exts & (1 << OVS_VXLAN_EXT_GBP);
}

ovs_be32
zoo_gbp_build(const struct netdev_tunnel_config *cfg,
              const struct flow_tnl *tnl)
{
    uint32_t policy = 0;

    if (has_gbp(cfg)) {
        policy = ((tnl->gbp_flags << 16 & (ZOO_VXLAN_GBP_DONT_LEARN
                                           | ZOO_VXLAN_GBP_APPLIED))
                  | ntohs(tnl->gbp_id));
    }
    return htonl(VXLAN_FLAGS | policy | (policy ? ZOO_VXLAN_F_GBP : 0));
}

bool
zoo_gbp_pop(const struct vxlanhdr *vxh, struct flow_tnl *tnl)
{
    uint32_t flags = ntohl(get_16aligned_be32(&vxh->vx_flags));

    if ((flags & ~ZOO_VXLAN_GBP_USED_BITS) != VXLAN_FLAGS
        || !find_port(tnl->tp_dst)) {
        return false;
    }
    if (flags & ZOO_VXLAN_F_GBP) {
        tnl->gbp_id = htons(flags & ZOO_VXLAN_GBP_ID);
        tnl->gbp_flags = (flags & (ZOO_VXLAN_GBP_DONT_LEARN
                                   | ZOO_VXLAN_GBP_APPLIED)) >> 16;
    }
    return true;
}

static void
add_tunnel(ovs_be16 port)
{
    struct gbp_port *p = find_port(port);

    if (!p) {
        p = xzalloc(sizeof *p);
        p->port = port;
        cmap_insert(&gbp_ports, &p->node, port_hash(port));
    }
    p->n_tunnels++;
}

static void
remove_tunnel(ovs_be16 port)
{
    struct gbp_port *p = find_port(port);

    if (p && !--p->n_tunnels) {
        cmap_remove(&gbp_ports, &p->node, port_hash(port));
        ovsrcu_postpone(free, p);
    }
}

void
zoo_gbp_configure(const struct netdev_tunnel_config *old,
                  const struct netdev_tunnel_config *new)
{
    ovs_mutex_lock(&gbp_mutex);
    if (has_gbp(new)) {
        add_tunnel(new->dst_port);
    }
    if (has_gbp(old)) {
        remove_tunnel(old->dst_port);
    }
    ovs_mutex_unlock(&gbp_mutex);
}
