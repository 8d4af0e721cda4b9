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

#ifndef ZOOROUTE_H
#define ZOOROUTE_H 1

/* ZooRoute: all peers, the thread that probes them, and configuration
 * ===================================================================
 *
 * A peer comes into being when flow translation outputs to it for the first
 * time (zooroute_choose()).  A thread of its own probes peers, answers probes
 * and publishes path tables to the datapath.
 *
 * The main thread configures and reads status.  What threads may call is said
 * at each function. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/types.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovs-ext/zoo-xlate.h"
#include "packets.h"
#include "smap.h"
#include "util.h"
#include "zoo-clock.h"
#include "zoo-segment.h"

struct ds;
struct flow;
struct simap;

/* Configuration: the row in table ZooRoute, as documented there. */

/* What an endpoint is, whatever it says itself. */
struct zooroute_peer_role {
    struct in6_addr remote;         /* IPv4-mapped for IPv4. */
    bool gateway;                   /* Otherwise a host. */
};

struct zooroute_config {
    bool enabled;
    bool gateway;                   /* What this endpoint is. */
    struct zoo_profile profiles[ZOO_N_SEGMENTS];
    struct zooroute_peer_role *peer_roles;
    size_t n_peer_roles;
    unsigned int candidates;
    uint16_t port_min, port_max;
    unsigned int probe_interval_ms;
    unsigned int full_interval_ms;
    unsigned int max_probe_rate;    /* Requests per second. */
    unsigned int rx_rate;           /* Requests per second, of all sources. */
    unsigned int rx_rate_per_source; /* The same of one, 0 for a tenth. */
    unsigned int cpu_limit;         /* Percent of the processors. */
    unsigned int prober_cpu_limit;  /* Percent of one processor. */
    unsigned int fail_threshold;
    unsigned int recover_successes;
    unsigned int recover_window;
    unsigned int hold_down_s;
    unsigned int peer_idle_s;
    struct eth_addr backend_id;     /* Zero for none. */
    bool learn_ports;               /* As a stateful middlebox does. */
    char *auth_key_file;            /* NULL for none. */
    bool tunnels_all;               /* Otherwise only what is marked. */
    uint32_t seed;                  /* Of the candidates' ports. */
    int64_t probe_vni;              /* For key=flow; -1: as tenants use. */
    unsigned int max_peers;         /* Learned ones, as with remote_ip=flow. */
    bool shared_candidates;         /* The same ports for all peers. */
    bool diversify;                 /* Exchange candidates that share paths. */
};

#define ZOOROUTE_CONFIG_DEFAULT                 \
    ((struct zooroute_config) {                 \
        .candidates = 32,                       \
        .port_min = 32768,                      \
        .port_max = 60999,                      \
        .probe_interval_ms = 100,               \
        .full_interval_ms = 1000,               \
        .max_probe_rate = 20000,                \
        .rx_rate = 50000,                       \
        .cpu_limit = 80,                        \
        .prober_cpu_limit = 50,                 \
        .fail_threshold = 2,                    \
        .recover_successes = 3,                 \
        .recover_window = 5,                    \
        .hold_down_s = 10,                      \
        .peer_idle_s = 60,                      \
        .tunnels_all = true,                    \
        .probe_vni = -1,                        \
        .max_peers = 4096,                      \
    })

/* 'diversify' has no effect where 'port_max' is not so far above 'port_min'. */
#define ZOOROUTE_DIVERSIFY_PORTS 128

/* Returns how many requests per second one source may send. */
static inline unsigned int
zooroute_rx_rate_per_source(const struct zooroute_config *config)
{
    return (config->rx_rate_per_source ? config->rx_rate_per_source
            : MAX(config->rx_rate / 10, 1));
}

/* Main thread: registers the appctl commands.  Call once. */
void zooroute_init(void);

/* Main thread: uses a copy of 'config', which must be valid, from now on.  A
 * change of what candidates depend on gives every peer new ones, without
 * losing a packet.  If the key file cannot be loaded, keeps the keys that it
 * had, and returns a message that the caller must free; otherwise NULL. */
char *zooroute_set_config(const struct zooroute_config *config);

enum zooroute_iface_mode {
    ZOOROUTE_IFACE_ON = 1,
    ZOOROUTE_IFACE_OFF,
    ZOOROUTE_IFACE_UNSUPPORTED,     /* Off also for the action "zooroute". */
};

/* Main thread: overrides 'tunnels_all' for those tunnel ports whose names are
 * in 'modes', with their enum zooroute_iface_mode, and for no others. */
void zooroute_set_interfaces(const struct simap *modes);

/* Main thread: stops the thread for good.  The path tables stay. */
void zooroute_exit(void);

/* Main thread, from its loop: finishes what had to wait for the datapath and
 * reloads the key file when it has changed. */
void zooroute_run(void);
void zooroute_wait(void);

/* Flow translation, any thread. */

/* What identifies a peer. */
struct zooroute_key {
    struct in6_addr local, remote;  /* IPv4-mapped for IPv4. */
    ovs_be16 dst_port;              /* Outer destination port. */
    uint16_t pad;                   /* Zero. */
    uint32_t pkt_mark;
};
BUILD_ASSERT_DECL(sizeof(struct zooroute_key) == 40);

/* One tunnel output. */
struct zooroute_output {
    struct zooroute_key key;
    struct zoo_tunnel_port port;
    ovs_be64 tun_id;
    enum zoo_encap encap;
    enum zoo_flow_mode mode;
    const char *iface;              /* Tunnel port's name. */
    bool key_flow;                  /* key=flow. */
    bool learned;                   /* Packets can make it any peer, as with
                                     * remote_ip=flow. */
    bool dry_run;                   /* A trace: create nothing. */

    uint16_t choice;                /* Result: for the prebuilt header. */
};

/* Returns false if no peer can have a path table now. */
bool zooroute_is_enabled(void);

/* Sets 'out->choice' to the slot of the peer that 'out' goes to, or to 0 for
 * Open vSwitch's own choice. */
void zooroute_choose(struct zooroute_output *out);

/* Main thread: has "zooroute/select" append by 'cb' which outer source port a
 * packet with 'flow' takes to the peer with 'key', and why, for datapaths that do
 * not use zoo_push_udp_src().  'cb' may call nothing of ZooRoute. */
void zooroute_set_select(void (*cb)(const struct zooroute_key *key,
                                    const struct flow *flow, struct ds *));

/* Main thread: forgets the peer with 'key', if there is one, at once.  For
 * hosts that know that no tunnel leads there any more; others' peers go when
 * they have been idle for long. */
void zooroute_forget(const struct zooroute_key *key);

/* Any thread: returns true if there is a peer with 'key' that has been probed
 * and has never answered. */
bool zooroute_is_legacy(const struct zooroute_key *key);

/* Any thread: stores for each candidate of the peer with 'key' the number of the
 * machine that it leads to, as BackendIDs in reports have told, 0 if that is not
 * known, into 'groups', and returns how many candidates there are; 0 if there is
 * no such peer. */
unsigned int zooroute_get_groups(const struct zooroute_key *key,
                                 uint8_t groups[32]);

/* Any thread, but one at a time: says whether the calling thread takes all the
 * processor time that it gets, be there anything to do or not, from now on.
 * That is no load then, as 'cpu_limit' has it, and nothing that others could
 * have.  The datapath's threads that have processors for themselves are
 * known. */
void zooroute_set_polling(bool polls);

enum zooroute_role {
    ZOOROUTE_ROLE_AS_SAID,          /* By the configuration, or itself. */
    ZOOROUTE_HOST,
    ZOOROUTE_GATEWAY,
};

/* Main thread: says what the peer with 'key', if there is one, is from now on.
 * For hosts that know by themselves.  Returns true if it is a gateway, as far
 * as that is known. */
bool zooroute_set_role(const struct zooroute_key *key, enum zooroute_role);

/* Returns true if the switch at the other end says in its reports that it
 * accepts the colors of VTrace.  That is remembered while it is not asked, but
 * not if it has been asked for some seconds and has not answered. */
bool zooroute_takes_colors(const struct zooroute_key *key);

/* Returns true if the switch at the other end may send colors: zooroute_takes_
 * colors() is true, or it has said in its own probes that it takes them. */
bool zooroute_sends_colors(const struct zooroute_key *key);

/* Returns what probes tell of the clock of the switch at 'remote', which sends
 * to 'local', and has them tell it from now on for ZOO_CLOCK_IDLE.  At once
 * that is nothing yet. */
struct zoo_clock zooroute_get_clock(const struct in6_addr *local,
                                    const struct in6_addr *remote);

/* Appends to 's' what becomes of a packet with flow hash 'hash' that is output
 * as 'out'. */
void zooroute_format_output(const struct zooroute_output *out, uint32_t hash,
                            struct ds *s);

/* Main thread: stores the ports of the candidates, up to 32, into 'sports' and
 * returns their number, if the configuration has 'shared_candidates', otherwise returns 0. */
unsigned int zooroute_get_shared_candidates(uint16_t sports[32]);

/* Status, main thread. */

struct zooroute_peer_status {
    char *local_ip, *remote_ip;
    uint16_t dst_port;
    const char *state;
    unsigned int candidates, healthy;
    uint64_t failovers;
    long long int last_failover_wall_ms; /* Since the epoch, 0 for never. */
    struct smap status, statistics;
};

/* Returns a number that changes whenever a peer comes, goes, changes its state
 * or moves buckets. */
uint64_t zooroute_status_seq(void);

/* Registers with the poll loop to wake up when that number is not 'seq'. */
void zooroute_status_wait(uint64_t seq);

/* Stores an array of '*n' peers into '*peers', in no order, and adds to
 * 'status' and 'statistics' what is not about one peer. */
void zooroute_get_status(struct zooroute_peer_status **peers, size_t *n,
                         struct smap *status, struct smap *statistics);
void zooroute_free_status(struct zooroute_peer_status *peers, size_t n);

#endif /* zooroute.h */
