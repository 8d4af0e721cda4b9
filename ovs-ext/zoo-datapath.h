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

#ifndef ZOO_DATAPATH_H
#define ZOO_DATAPATH_H 1

/* The datapath's side of ZooRoute
 * ===============================
 *
 * Push: a tunnel header that ofproto prebuilds carries in its UDP source port
 * what is to be done with the packet's outer UDP source port:
 *
 *     - 0: Open vSwitch's own choice, which is what an unpatched Open vSwitch
 *       does.
 *
 *     - 1...ZOO_SLOT_MAX: a slot.  The packet's flow hash picks one of
 *       ZOO_N_BUCKETS buckets, and the slot's map has the bucket's port.
 *
 *     - ZOO_SPORT_MIN...65535: this port.
 *
 * So a change of a slot's map redirects all of a peer's traffic without
 * touching a datapath flow.
 *
 * Pop: a well-marked probe (see zoo-probe.h) never becomes a packet of the
 * tunnel: it is copied to one of two bounded queues that one thread reads.
 * Reports have a queue of their own, so that a flood of requests, whoever sends
 * them, does not displace the answers to this switch's own.
 *
 * Thread-safety: the push and pop functions may be called by any thread that
 * is not quiescent (see ovs-rcu.h).  The others say who may call them. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/compiler.h"
#include "openvswitch/geneve.h"
#include "openvswitch/types.h"
#include "ovs-atomic.h"
#include "ovs-ext/zoo-flow.h"
#include "packets.h"

struct dp_packet;
struct ovs_action_push_tnl;
struct vxlanhdr;

#define ZOO_N_BUCKETS 128
#define ZOO_SLOT_MAX (ZOO_SPORT_MIN - 1)

/* VXLAN flag that marks a probe.  It is reserved in RFC 7348, in the group
 * policy and in the generic protocol extension, so that every receiver that
 * does not know it discards the packet. */
#define ZOO_VXLAN_F_PROBE 0x40000000

/* Geneve option that marks a probe: experimental class (RFC 8926, section
 * 4.2), type with the critical bit set, no data. */
#define ZOO_GENEVE_OPT_CLASS 0xff5a
#define ZOO_GENEVE_OPT_TYPE 0x81

/* Inner Ethernet header of a probe.  The address is one that no bridge
 * forwards, the type IEEE's for local experiments. */
#define ZOO_PROBE_ETH_DST \
    ETH_ADDR_C(01,80,c2,00,00,0d)
#define ZOO_PROBE_ETH_TYPE 0x88b5

/* Most bytes of a probe after its inner Ethernet header. */
#define ZOO_PROBE_MAX_LEN 512

/* Push. */

/* Writes the outer UDP source port of 'packet', to which a prebuilt header has
 * just been prepended, into 'udp', the packet's outer UDP header, whose source
 * port is still that of the prebuilt header and not 0.
 *
 * Returns 'udp': so a caller need not keep anything but 'packet' across the
 * call, and what it does for a packet without a choice does not become
 * slower. */
struct udp_header *zoo_push_udp_src(struct dp_packet *packet,
                                    struct udp_header *udp);

/* Returns the port that a prebuilt header with UDP source port 'choice' is
 * known to lead to, 0 if it depends on the packet. */
static inline ovs_be16
zoo_push_known_port(ovs_be16 choice)
{
    return zoo_sport_is_valid(ntohs(choice)) ? choice : 0;
}

/* Sets the UDP source port that 'data', a prebuilt VXLAN or Geneve header,
 * carries.  Returns false, without a change, if it is something else. */
bool zoo_push_set_choice(struct ovs_action_push_tnl *data, uint16_t choice);

/* Returns the UDP source port that 'data', a prebuilt VXLAN or Geneve header,
 * carries, 0 if it is something else. */
uint16_t zoo_push_get_choice(const struct ovs_action_push_tnl *data);

/* Returns the VXLAN header in 'data', a prebuilt header, or NULL if it is
 * something else. */
struct vxlanhdr *zoo_push_vxlan(struct ovs_action_push_tnl *data);

/* Appends an option of class ZOO_GENEVE_OPT_CLASS, 'type' (whose highest bit
 * makes it critical) and 'body' zero bytes, a multiple of 4, to 'data', a
 * prebuilt Geneve header, and returns it.  Returns NULL, with '*data'
 * unchanged, if that is something else or has no room. */
struct geneve_opt *zoo_push_add_option(struct ovs_action_push_tnl *data,
                                       uint8_t type, size_t body);

/* Copies the last option of 'data', if that is a prebuilt Geneve header and the
 * option is one that zoo_push_add_option() appended with 'type' and 'size'
 * bytes in all, to 'opt'.  Returns false if it is something else. */
bool zoo_push_last_option(struct ovs_action_push_tnl *data, uint8_t type,
                          struct geneve_opt *opt, size_t size);

/* Marks 'data', a prebuilt VXLAN or Geneve header, so that the receiver takes
 * the packet for a probe.  Returns false if it cannot be marked. */
bool zoo_push_set_probe(struct ovs_action_push_tnl *data);

/* Slots.  One thread at a time may call these functions. */

/* Returns a slot that nobody uses, with a map of nothing but Open vSwitch's
 * own choice, or 0 if there is none.  'salt' goes into the hash that a bond
 * under the tunnel sees: it must be zoo_push_salt() of the remote address. */
uint16_t zoo_slot_alloc(uint32_t salt);

/* Publishes 'ports' (host byte order, 0 for Open vSwitch's own choice) as the
 * map of 'slot'.  The next packet of every thread uses it. */
void zoo_slot_publish(uint16_t slot, const uint16_t ports[ZOO_N_BUCKETS]);

/* Frees 'slot'.  No datapath flow may carry it any more, and a grace period
 * must have passed since the last one did (see ovs-rcu.h). */
void zoo_slot_free(uint16_t slot);

/* Returns the number of slots allocated. */
unsigned int zoo_slot_count(void);

/* Stores into 'used' which buckets of 'slot' packets have used since the
 * previous call, and returns true; or returns false, which costs no more than
 * to look, if there was none.  Safe beside the datapath threads. */
bool zoo_slot_take_used(uint16_t slot, bool used[ZOO_N_BUCKETS]);

/* Returns true if zoo_slot_take_used() would return true.  Any thread that is
 * not quiescent. */
bool zoo_slot_is_used(uint16_t slot);

/* Stores the map of 'slot' into 'ports', all 0 if it is free.  Any thread that
 * is not quiescent. */
void zoo_slot_read(uint16_t slot, uint16_t ports[ZOO_N_BUCKETS]);

/* Makes zoo_slot_take_used() report the buckets of 'slot' that are marked in
 * 'used'.  For datapaths that do not use zoo_push_udp_src().  Any thread that is
 * not quiescent. */
void zoo_slot_mark_used(uint16_t slot, const bool used[ZOO_N_BUCKETS]);

/* Has 'cb' called after each zoo_slot_publish(), by the thread that calls
 * that.  Once, before anything is published. */
void zoo_slot_observe(void (*cb)(uint16_t slot));

/* Returns the part of the hash below the tunnel that depends on the remote
 * address, IPv4-mapped for IPv4. */
uint32_t zoo_push_salt(const struct in6_addr *remote);

/* Returns the bucket of a packet with flow hash 'hash'. */
static inline unsigned int
zoo_bucket(uint32_t hash)
{
    return hash % ZOO_N_BUCKETS;
}

/* Pop. */

enum zoo_encap {
    ZOO_ENCAP_VXLAN,
    ZOO_ENCAP_GENEVE,
};

#define ZOO_RX_N_LOST_COUNTERS 1024

/* A probe as received. */
struct zoo_rx {
    enum zoo_encap encap;
    struct in6_addr src, dst;       /* Outer addresses. */
    struct eth_addr eth_dst;        /* Outer Ethernet destination. */
    ovs_be16 tp_src, tp_dst;        /* Outer UDP ports. */
    ovs_be64 tun_id;
    long long int when;             /* Monotonic time of arrival, ns. */
    unsigned int n_lost;            /* Requests of its source, and perhaps of
                                     * some others, that found no room. */
    unsigned int lost_counter;      /* Which counter that is, less than
                                     * ZOO_RX_N_LOST_COUNTERS. */
    size_t len;
    uint8_t body[ZOO_PROBE_MAX_LEN];
};

/* Return true if a packet with these VXLAN flags, or this Geneve header with
 * 'opts_len' bytes of options, must be given to the functions below. */
static inline bool zoo_pop_takes_vxlan(ovs_be32 flags);
static inline bool zoo_pop_takes_geneve(const struct genevehdr *,
                                        unsigned int opts_len);

/* Take 'packet' out of its tunnel.  It is queued if it is a well-marked probe,
 * otherwise dropped with a warning.  Outer addresses and UDP ports must be in
 * its metadata already.  Return NULL, as functions that pop a header do for a
 * packet that they have deleted. */
struct dp_packet *zoo_pop_vxlan(struct dp_packet *packet);
struct dp_packet *zoo_pop_geneve(struct dp_packet *packet);

/* Returns how many packets this thread's pops have queued since it was last
 * asked: they are not drops. */
unsigned int zoo_pop_taken(void);

/* Turns the interception of probes on or off.  While it is off, no packet is
 * taken. */
void zoo_pop_enable(bool);

/* What waits in a queue of its own. */
enum zoo_rx_queue {
    ZOO_RX_REQUESTS,            /* And whatever else is no report. */
    ZOO_RX_REPORTS,
    ZOO_RX_N_QUEUES
};

/* Probes that may wait in each.  Requests are one per candidate of a round,
 * and a round of a hundred peers fits; reports are one to three per round.
 *
 * The requests of one source take no more room than they leave, so that others
 * find some, whoever sends too many. */
#define ZOO_RX_MAX_REQUESTS 6144
#define ZOO_RX_MAX_REPORTS 2048

/* Has reports with 'session', which is not 0, received, or no longer.  All
 * others are dropped ahead of the queue, so that one who does not know a
 * session, 64 random bits, cannot take the room of genuine reports.  One
 * thread at a time may call these functions, beside the datapath's. */
void zoo_rx_expect(uint64_t session);
void zoo_rx_expect_no_more(uint64_t session);

/* Returns how many reports were dropped because of that.  Any thread. */
unsigned int zoo_rx_unexpected(void);

/* Receives the next probe into '*rx', from the queues by turns while there is
 * something in both.  Returns false if there is none.  Only one thread may call
 * this and the next function. */
bool zoo_rx_recv(struct zoo_rx *rx);

/* Wakes up poll_block() when a probe can be received. */
void zoo_rx_wait(void);

/* Returns how many probes were dropped because the queue was full.  Any
 * thread. */
unsigned int zoo_rx_dropped(enum zoo_rx_queue);

/* Returns the monotonic clock, ns.  Follows time/stop and time/warp. */
long long int zoo_now(void);

/* Inline functions of the packet path. */

extern atomic_bool zoo_pop_enabled;

static inline bool
zoo_pop_is_enabled(void)
{
    bool enabled;

    atomic_read_relaxed(&zoo_pop_enabled, &enabled);
    return enabled;
}

static inline bool
zoo_pop_takes_vxlan(ovs_be32 flags)
{
    return (flags == htonl(VXLAN_FLAGS | ZOO_VXLAN_F_PROBE)
            && zoo_pop_is_enabled());
}

static inline bool
zoo_pop_takes_geneve(const struct genevehdr *gnh, unsigned int opts_len)
{
    const struct geneve_opt *opt = gnh->options;

    return (opts_len == sizeof *opt
            && gnh->critical
            && opt->opt_class == htons(ZOO_GENEVE_OPT_CLASS)
            && opt->type == ZOO_GENEVE_OPT_TYPE
            && !opt->length
            && zoo_pop_is_enabled());
}

#endif /* zoo-datapath.h */
