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

#ifndef GATEWAY_PIPELINE_H
#define GATEWAY_PIPELINE_H 1

/* The gateway's data plane as zoo-gatewayd uses it: p4/gateway.spec in DPDK's
 * SWX pipeline, its ports, and the thread that runs it.  All of DPDK is behind
 * this header.
 *
 * One thread forwards ("gateway").  The main thread calls all functions, except
 * those that say otherwise.  Integers are in host byte order unless they have
 * another type. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ofproto-zoo/zoo-gateway-counts.h"
#include "ofproto-zoo/zoo-gateway-limits.h"
#include "openvswitch/types.h"

struct ds;
struct smap;

/* Start and stop. */

/* Starts DPDK with 'eal_args', as its command line has them, and the pipeline
 * of the file 'spec', without ports, with an empty table of everything but
 * what never changes, and the thread that runs it.  Once per process.
 *
 * Returns NULL if successful, otherwise an error message that the caller must
 * free. */
char *gateway_pipeline_start(const char *spec, const char *eal_args);

/* Any thread: returns the name and version of DPDK. */
const char *gateway_pipeline_version(void);

/* Stops the thread, closes all ports.  Does nothing unless
 * gateway_pipeline_start() has been successful. */
void gateway_pipeline_stop(void);

/* With 'polling' the thread never sleeps, which takes a whole processor.
 * Otherwise, as it is at first, it sleeps up to 200 us at a time when nothing
 * has come for a while. */
void gateway_pipeline_set_polling(bool polling);

/* Ports.  Number 0 is the CPU port, others are 1...ZOO_GATEWAY_N_PORTS - 1. */

struct gateway_port_info {
    struct eth_addr mac;
    unsigned int mtu;
    bool link_up;
};

/* Opens the DPDK device 'devargs' (for instance "0000:01:00.0" or
 * "net_af_packet0,iface=eth1") as 'port', which must be unused, with 'mtu'
 * (IP packet; 0 for the device's own).  Packets flow at once.
 *
 * Returns NULL if successful, otherwise an error message that names the device
 * and that the caller must free. */
char *gateway_port_open(unsigned int port, const char *devargs,
                        unsigned int mtu);

/* Closes 'port'.  What is on the way to it is dropped. */
void gateway_port_close(unsigned int port);

/* Any thread: stores what is known of 'port' into '*info'.  Returns false if it
 * is not open. */
bool gateway_port_get_info(unsigned int port, struct gateway_port_info *info);

/* Adds the counters of 'port' to 'statistics', under the names that they have
 * for an Interface (rx_packets, tx_bytes, rx_dropped...). */
void gateway_port_get_statistics(unsigned int port, struct smap *statistics);

/* Tables.  Changes take effect together, and no packet is lost to them, when
 * gateway_tables_commit() is called.  Adding an entry with the key of another
 * replaces it.  Functions return false, after logging why, if the table is
 * full; deleting what is not there does nothing. */

/* The gateway takes tunnel packets to 'address' (IPv4-mapped for IPv4), and
 * inner packets leave with the source address 'mac'. */
bool gateway_address_add(const struct in6_addr *address, struct eth_addr mac);
void gateway_address_delete(const struct in6_addr *address);

/* Where an inner destination is. */
struct gateway_next {
    uint32_t vtep;              /* Key of gateway_vtep_add(). */
    uint32_t vni;               /* To send with: 24 bits. */
    struct eth_addr mac;        /* Inner destination address. */
};

/* 'prefix' of 'vni', the first 'plen' of 128 bits of 'address' (IPv4-mapped for
 * IPv4, so that 96 are added to its length).  Longer prefixes win. */
bool gateway_route_add(uint32_t vni, const struct in6_addr *address,
                       unsigned int plen, const struct gateway_next *next);
void gateway_route_delete(uint32_t vni, const struct in6_addr *address,
                          unsigned int plen);

/* How to reach a VTEP. */
struct gateway_vtep {
    unsigned int port;
    struct eth_addr src_mac, dst_mac;
    struct in6_addr local, remote; /* IPv4-mapped for IPv4, same family. */
    unsigned int mtu;           /* Outer IP packet. */
    int path_table;             /* ZOO_GATEWAY_PLAIN, _BITMAP or _INDEX. */
    uint32_t destination;       /* Its cell there. */
};

/* 'id' is less than ZOO_GATEWAY_N_VTEPS. */
bool gateway_vtep_add(uint32_t id, const struct gateway_vtep *vtep);
void gateway_vtep_delete(uint32_t id);

/* Returns NULL if successful, otherwise an error message that the caller must
 * free. */
char *gateway_tables_commit(void);

/* Appends a line for each table: entries, room, the memory that it takes in the
 * pipeline. */
void gateway_tables_format(struct ds *);

/* Path tables. */

/* Sets the outer source ports that candidates stand for, the same for all
 * destinations. */
void gateway_set_candidate_ports(
    const uint16_t ports[ZOO_GATEWAY_N_CANDIDATES]);

/* One change of a cell. */
struct gateway_update {
    int path_table;             /* ZOO_GATEWAY_BITMAP or _INDEX. */
    uint32_t destination;
    uint32_t value;
};

/* Any thread: queues a change of a cell, which a negotiation packet brings
 * there.  Later changes of a cell replace those that wait.  What is not
 * acknowledged within some milliseconds is sent again, so that the cell will
 * have 'value'. */
void gateway_path_update(const struct gateway_update *update);

/* Any thread: returns the cell as it is in the pipeline. */
uint32_t gateway_path_read(int path_table, uint32_t destination);

/* Any thread: returns true if a packet has gone to 'destination' since the last
 * call. */
bool gateway_path_take_used(uint32_t destination);

/* Any thread: a packet that the pipeline has left to others has gone to
 * 'destination'. */
void gateway_path_mark_used(uint32_t destination);

/* Main thread: begins a period in which is noted by which candidates tenants'
 * packets leave; gateway_use_get() tells of the one that has ended. */
void gateway_use_turn(void);

/* Main thread: returns the candidates, by the ports that gateway_set_candidate_
 * ports() has given them, that packets to 'remote' have left by in that period;
 * and perhaps others. */
uint32_t gateway_use_get(const struct in6_addr *remote);

/* Negotiation, in numbers since the start. */
struct gateway_update_stats {
    uint64_t updates;           /* Written, as acknowledged. */
    uint64_t packets;           /* Negotiation packets sent, without... */
    uint64_t retransmissions;
    uint64_t pending;           /* Updates that wait now. */
};
void gateway_path_get_stats(struct gateway_update_stats *);

/* The CPU port. */

/* A packet that the pipeline gave to the CPU port: an Ethernet frame. */
struct gateway_punt {
    unsigned int port;          /* Where it came from. */
    unsigned int reason;        /* ZOO_GATEWAY_COUNTS. */
    uint32_t vni;               /* That it came with, whatever it has now. */
    long long int when;         /* Monotonic time of arrival, ns. */
    size_t len;
    uint8_t *data;              /* May be changed, gone after the callback. */
};

/* Calls 'cb' in the thread "gateway-punt", one packet at a time, for packets
 * with 'reason', one of those between ZOO_GATEWAY_FIRST_PUNT and
 * ZOO_GATEWAY_FIRST_DROP other than ACKNOWLEDGED.  Before
 * gateway_pipeline_start().  Packets without a callback are freed. */
void gateway_punt_register(unsigned int reason,
                           void (*cb)(const struct gateway_punt *));

/* Any thread: returns how many packets the CPU port has lost because callbacks
 * did not keep up. */
uint64_t gateway_punt_get_dropped(void);

/* Any thread: sends the Ethernet frame 'data', which is copied, out of 'port'.
 * Returns false if the queue is full or the port is not open. */
bool gateway_send(unsigned int port, const void *data, size_t len);

/* The same for what others can cause: returns false also if the queue is half
 * full, so that there is room for probes. */
bool gateway_reply(unsigned int port, const void *data, size_t len);

/* Counters. */

/* Stores the pipeline's counts into 'counts', by number (see
 * zoo-gateway-counts.h).  Any thread. */
void gateway_get_counts(uint64_t counts[ZOO_GATEWAY_N_COUNTS]);

#endif /* gateway-pipeline.h */
