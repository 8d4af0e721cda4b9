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

#ifndef GATEWAY_STATE_H
#define GATEWAY_STATE_H 1

/* What zoo-gatewayd knows: its interfaces, neighbors, tunnels.
 *
 * The main thread changes this as the database says, and as neighbors answer;
 * the thread that the pipeline's packets come to and ZooRoute's read it.  All of
 * it is guarded by 'gateway_mutex', which nobody holds for longer than it takes
 * to look something up, or to walk over all tunnels.  It is the innermost lock:
 * nothing of ZooRoute may be called with it. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/hmap.h"
#include "openvswitch/thread.h"
#include "openvswitch/types.h"
#include "ovs-thread.h"
#include "p4/gateway-pipeline.h"
#include "packets.h"

extern struct ovs_mutex gateway_mutex;

/* Interfaces: ports of the pipeline, with addresses. */

/* 'plen' bits of 128 of 'address', which is IPv4-mapped for IPv4. */
struct gateway_prefix {
    struct in6_addr address;
    unsigned int plen;
};

/* Parses "ADDRESS/LENGTH", or an address alone, which gets all bits.  Returns
 * NULL if successful, otherwise what is wrong with 's', which the caller must
 * free. */
char *gateway_prefix_parse(const char *s, struct gateway_prefix *);

/* Parses an address that a port or a VTEP may have.  Returns false if 's' is
 * none. */
bool gateway_address_parse(const char *s, struct in6_addr *);

/* Returns true if 'address' is in 'prefix'. */
bool gateway_prefix_has(const struct gateway_prefix *prefix,
                        const struct in6_addr *address);

static inline bool
gateway_is_ipv4(const struct in6_addr *address)
{
    return IN6_IS_ADDR_V4MAPPED(address);
}

struct gateway_interface {
    struct hmap_node node;      /* In 'gateway_interfaces', by name. */
    char *name, *device;
    unsigned int port;          /* Of the pipeline, 1 and up. */
    unsigned int mtu;           /* As opened. */
    unsigned int mtu_wanted;    /* 0 for the device's own. */
    struct eth_addr mac;
    struct gateway_prefix *addresses;
    size_t n_addresses;
    struct in6_addr next_hops[2]; /* IPv4, IPv6; unspecified for none. */
};

extern struct hmap gateway_interfaces OVS_GUARDED_BY(gateway_mutex);

/* IPv4 and IPv6: where ICMP errors come from, unspecified for none. */
extern struct in6_addr gateway_router_ips[2] OVS_GUARDED_BY(gateway_mutex);

/* The inner address of what the gateway sends, unless configured. */
#define GATEWAY_ROUTER_MAC ETH_ADDR_C(02,5a,4f,4f,00,01)
extern struct eth_addr gateway_router_mac OVS_GUARDED_BY(gateway_mutex);

/* Returns the interface with 'name', NULL if there is none. */
struct gateway_interface *gateway_interface_named(const char *name)
    OVS_REQUIRES(gateway_mutex);

/* Returns the interface on 'port', NULL if there is none. */
struct gateway_interface *gateway_interface_on(unsigned int port)
    OVS_REQUIRES(gateway_mutex);

/* Returns the interface that has 'address', NULL if there is none. */
struct gateway_interface *gateway_interface_with(
    const struct in6_addr *address) OVS_REQUIRES(gateway_mutex);

/* Returns true if 'iface' has 'address'. */
bool gateway_interface_has(const struct gateway_interface *iface,
                           const struct in6_addr *address);

/* Neighbors: next hops, whose Ethernet addresses come from ARP (RFC 826) and
 * neighbor discovery (RFC 4861).  Only those are kept that tunnels need, so
 * that no packet can make room or take it. */

/* Stores the Ethernet address of 'ip' on 'port' into '*mac' and returns true,
 * or returns false and begins to ask for it, from 'local'. */
bool gateway_neighbor_lookup(unsigned int port, const struct in6_addr *ip,
                             const struct in6_addr *local,
                             struct eth_addr *mac)
    OVS_REQUIRES(gateway_mutex);

/* Main thread: gateway_neighbors_sweep() forgets all neighbors that have not
 * been looked up since gateway_neighbors_mark(). */
void gateway_neighbors_mark(void) OVS_REQUIRES(gateway_mutex);
void gateway_neighbors_sweep(void) OVS_REQUIRES(gateway_mutex);

/* Main thread, from its loop: asks those that are due. */
void gateway_neighbors_run(void) OVS_EXCLUDED(gateway_mutex);
void gateway_neighbors_wait(void);

/* Returns a number that changes when the address of a neighbor does, and has
 * the poll loop wake up when it is not 'seq'. */
uint64_t gateway_neighbors_seq(void);
void gateway_neighbors_wait_seq(uint64_t seq);

/* A packet that is not for a tunnel: answers requests for this gateway's own
 * addresses and learns from answers. */
void gateway_neighbors_receive(const struct gateway_punt *)
    OVS_EXCLUDED(gateway_mutex);

/* Appends a line for each neighbor. */
struct ds;
void gateway_neighbors_format(struct ds *) OVS_REQUIRES(gateway_mutex);

/* Has neighbors of 'iface', which has just been opened, learn its addresses. */
void gateway_neighbors_announce(const struct gateway_interface *iface)
    OVS_REQUIRES(gateway_mutex);

/* Tunnels: other VTEPs, which are hosts or gateways. */

struct gateway_tunnel {
    struct hmap_node node;      /* In 'gateway_tunnels', by 'remote'. */
    struct in6_addr remote;
    struct in6_addr wanted_local; /* Unspecified: any of ours. */
    uint32_t id;                /* VTEP and destination of the pipeline. */
    int path_table;             /* ZOO_GATEWAY_PLAIN... */
    bool is_gateway;            /* Otherwise a host. */
    bool says_gateway;          /* As far as ZooRoute has heard. */
    int role;                   /* enum zooroute_role, as configured. */
    bool any_path_table;        /* 'path_table' is what it is best to be. */
    uint32_t probe_vni;         /* Of a route through it, otherwise 0. */
    bool has_route;

    /* How it is reached. */
    char *error;                /* NULL if nothing is wrong. */
    struct in6_addr next_hop;
    struct gateway_vtep vtep;   /* In the pipeline if 'installed'. */
    bool installed;

    /* ZooRoute. */
    uint16_t slot;              /* 0 for none. */
    uint32_t slot_vni;          /* With 'slot': the VNI of probes. */
    struct in6_addr peer_local; /* With 'slot': the peer's local address. */
    long long int last_used;    /* A packet went to it, ms; 0 for never. */
    bool legacy;                /* The VTEP has never answered a probe. */
    bool no_slot;               /* It is in use, but there are too many. */
    bool unseen;                /* In use, but no packet has been seen to
                                 * leave. */
    uint32_t healthy;           /* Candidates whose flows are at home. */
    unsigned int n_candidates;  /* That ZooRoute has, 0 if not known. */
    uint8_t groups[ZOO_GATEWAY_N_CANDIDATES]; /* zooroute_get_groups(). */
    unsigned int n_backends;    /* Different ones, without 0. */
    uint32_t cell;              /* In the path table. */
};

extern struct hmap gateway_tunnels OVS_GUARDED_BY(gateway_mutex);

/* Returns the tunnel to 'remote', NULL if there is none. */
struct gateway_tunnel *gateway_tunnel_find(const struct in6_addr *remote)
    OVS_REQUIRES(gateway_mutex);

/* Returns the tunnel with 'id', NULL if there is none. */
struct gateway_tunnel *gateway_tunnel_with_id(uint32_t id)
    OVS_REQUIRES(gateway_mutex);

/* Returns the path table that is best for a tunnel to a gateway or a host, with
 * several machines at its other end or not.
 *
 * By its index all flows of 8 candidates move when one of these fails, so those
 * of the other 7 that were with another machine change theirs for nothing; by its
 * bitmap only flows of the one that has failed move. */
static inline int
gateway_best_path_table(bool gateway, bool several)
{
    return gateway || several ? ZOO_GATEWAY_BITMAP : ZOO_GATEWAY_INDEX;
}

/* Returns a number that is larger than the ID of any tunnel so far. */
uint32_t gateway_tunnel_max_ids(void) OVS_REQUIRES(gateway_mutex);

/* Returns the candidate that flows through 'tunnel' take by its path table whose
 * own is 'own': that itself without one. */
unsigned int gateway_tunnel_pick(const struct gateway_tunnel *,
                                 unsigned int own)
    OVS_REQUIRES(gateway_mutex);

/* Returns the outer source port of an inner packet with 'hash' (see
 * zoo_gateway_hash()) through 'tunnel', as the pipeline chooses it. */
uint16_t gateway_tunnel_sport(const struct gateway_tunnel *, uint32_t hash)
    OVS_REQUIRES(gateway_mutex);

/* Main thread: adds a tunnel, which must be new, or returns NULL if there are
 * as many as there can be. */
struct gateway_tunnel *gateway_tunnel_add(const struct in6_addr *remote)
    OVS_REQUIRES(gateway_mutex);

/* Main thread: removes 'tunnel'.  Its path table goes with the next
 * gateway_tunnels_run(). */
void gateway_tunnel_remove(struct gateway_tunnel *)
    OVS_REQUIRES(gateway_mutex);

/* Main thread: 'tunnel' has changed, or how it may be reached: finds its
 * interface and its next hop and puts it into the pipeline's tables, for the
 * next gateway_tables_commit().  Returns true if something has changed. */
bool gateway_tunnel_resolve(struct gateway_tunnel *)
    OVS_REQUIRES(gateway_mutex);

/* Main thread: gives each tunnel its path table, as ZooRoute has it, and
 * candidates their ports.  To be called when the configuration has changed, and
 * from the loop.  Returns true if that has changed the pipeline's tables, which
 * are then to be committed. */
bool gateway_tunnels_run(void) OVS_EXCLUDED(gateway_mutex);
void gateway_tunnels_wait(void);

/* Any thread: has gateway_tunnels_run() look at all tunnels again. */
void gateway_tunnels_changed(void);

/* Main thread: begins to follow ZooRoute's path tables. */
void gateway_tunnels_init(void);

#endif /* gateway-state.h */
