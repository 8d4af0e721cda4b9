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

#ifndef ZOOROUTE_PRIVATE_H
#define ZOOROUTE_PRIVATE_H 1

/* What the files of the ZooRoute engine share: zooroute.c (configuration and
 * flow translation), zooroute-peers.c (all peers), zooroute-segments.c (their
 * profiles), zooroute-thread.c (the thread and its housekeeping),
 * zooroute-receive.c and zooroute-send.c (probes), zooroute-cpu.c (how busy the
 * processors are), zooroute-learn.c (sessions of a middlebox),
 * zooroute-status.c, zooroute-appctl.c and zooroute-underlay.c (for
 * operators). */

#include "cmap.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "zoo-auth.h"
#include "zoo-budget.h"
#include "zoo-consent.h"
#include "zoo-peer.h"
#include "zoo-peer-learn.h"
#include "zoo-responder.h"
#include "zoo-schedule.h"
#include "zooroute.h"

/* A tunnel port that probes of a peer may go through. */
struct zooroute_port {
    struct zoo_tunnel_port port;
    ovs_be64 tun_id;
};

/* Most of those that are remembered of a peer, which takes 4 kB with all that
 * it has. */
#define ZOOROUTE_MAX_PORTS 2

struct zooroute_peer {
    /* Constant once the peer is in 'zooroute_peers'. */
    struct cmap_node cmap_node;
    struct zooroute_key key;
    uint16_t slot;
    bool learned;

    /* Nothing is to be done for it soon unless its slot is used.  The thread
     * alone uses this, which is not further away than 'slot' because it looks
     * at all peers often. */
    bool asleep;

    /* Constant, too. */
    enum zoo_encap encap;

    /* None of the tunnel ports in 'ports' leads to the peer any more: flow
     * translation is to put another one there. */
    atomic_bool lost_port;

    /* A bit for each port in 'ports', by hash, or all: flow translation adds
     * ports that it finds missing. */
    ATOMIC(uint64_t) known_ports;

    /* It says so in its reports.  Set with 'zooroute_mutex' held. */
    atomic_bool takes_colors;

    /* Guarded by 'zooroute_mutex'. */
    bool retired;                   /* No longer in 'zooroute_peers'. */
    struct zoo_schedule_node schedule_node; /* In 'zooroute_peer_schedule'. */
    struct hmap_node session_node;  /* In 'zooroute_sessions'. */
    struct hmap_node marked_node;   /* In 'zooroute_marked' if it has a
                                     * pkt_mark. */
    struct zoo_tunnel_dst dst;      /* With ports[port_index]. */
    struct zooroute_port ports[ZOOROUTE_MAX_PORTS];
    uint8_t n_ports, port_index;
    uint8_t n_rotations;            /* Since the last report. */
    uint8_t segment;                /* enum zoo_segment. */
    bool gateway_said : 1;          /* By the peer. */
    bool gateway_set : 1;           /* By the configuration, if 'role_set'. */
    bool role_set : 1;
    bool role_by_host : 1;          /* zooroute_set_role() says it. */
    struct zoo_peer peer;
    int send_error;                 /* Of the last round, 0 if sent. */
    unsigned int key_attempts;      /* See zoo_auth_choose(). */
    uint64_t n_rounds, n_reports;   /* Sent, received. */
    long long int last_failover_wall_ms;
};

/* Counters, guarded by 'zooroute_mutex'. */
struct zooroute_stats {
    uint64_t tx_requests, tx_rounds, tx_reports, tx_bytes;
    uint64_t rx_requests, rx_reports;
    uint64_t rx_errors[ZOO_PROBE_N_ERRORS];
    uint64_t unsent_rounds;         /* Because of something local. */
    uint64_t rx_over_rate;          /* Requests beyond rx_rate. */
    uint64_t rx_ctl;                /* Reports that ask to slow down. */
    uint64_t rate_limited;          /* Rounds put off by max_probe_rate. */
    uint64_t no_slot;               /* Peers that got no slot. */
};

extern struct ovs_mutex zooroute_mutex;

/* Lock-free to read. */
extern struct cmap zooroute_peers;
extern struct zoo_consents *zooroute_consents;

/* Guarded by 'zooroute_mutex'. */
extern struct zooroute_config zooroute_config;
extern struct zoo_params zooroute_params;
extern struct zoo_auth *zooroute_auth;
extern struct zooroute_stats zooroute_stats;
extern struct zoo_responder *zooroute_responder;
extern struct zoo_rx_limit *zooroute_rx_limit;
extern struct zoo_clocks *zooroute_clocks;
extern struct zoo_schedule zooroute_peer_schedule;
extern struct zoo_budget_state zooroute_budget;
extern unsigned int zooroute_n_learned; /* Peers that are 'learned'. */
extern struct hmap zooroute_sessions; /* Peers by 'peer.session'. */

/* Stores an unpredictable session for the peer with 'key' into '*session'.
 * Returns false if there is no randomness to be had. */
bool zooroute_new_session(const struct zooroute_key *key, uint64_t *session);

/* 'peer' has changed at 'now': the thread runs it when that is due. */
void zooroute_schedule(struct zooroute_peer *, long long int now)
    OVS_REQUIRES(zooroute_mutex);

/* Has flow translation know whether 'peer' takes colors at 'now', which the
 * change follows within a second. */
void zooroute_update_consent(struct zooroute_peer *, long long int now)
    OVS_REQUIRES(zooroute_mutex);

/* Learns which peers' machines have answered. */
void zooroute_hear_alive(long long int now) OVS_REQUIRES(zooroute_mutex);

/* Returns the bit of 'port' in a peer's 'known_ports'. */
uint64_t zooroute_port_bit(const struct zoo_tunnel_port *port);

/* Probes of 'peer' may be sent through the tunnel port of 'out' from now on,
 * which is the only one if the peer has lost its own. */
void zooroute_add_port(struct zooroute_peer *,
                       const struct zooroute_output *out)
    OVS_REQUIRES(zooroute_mutex);

/* The tunnel port that probes of 'peer' go through does not lead there any
 * more: uses another one. */
void zooroute_lose_port(struct zooroute_peer *) OVS_REQUIRES(zooroute_mutex);

/* Uses the next one of the tunnel ports to 'peer', if there are others. */
void zooroute_rotate_port(struct zooroute_peer *)
    OVS_REQUIRES(zooroute_mutex);

/* Publishes the peer's path table to the datapath if it has changed. */
void zooroute_publish(struct zooroute_peer *) OVS_REQUIRES(zooroute_mutex);

/* Segments. */

/* Sets the segment of a new peer. */
void zooroute_init_segment(struct zooroute_peer *)
    OVS_REQUIRES(zooroute_mutex);

/* Returns a sorted copy, which the caller must free, of 'n' 'roles', NULL if
 * there are none. */
struct zooroute_peer_role *zooroute_copy_roles(
    const struct zooroute_peer_role *roles, size_t n);

/* 'zooroute_params' have changed: has every segment follow. */
void zooroute_update_profiles(void) OVS_REQUIRES(zooroute_mutex);

/* So has 'zooroute_config': has every peer follow, too. */
void zooroute_update_segments(long long int now)
    OVS_REQUIRES(zooroute_mutex);

/* Returns what is configured for 'segment', as 'zooroute_params' is for
 * all. */
const struct zoo_params *zooroute_segment_params(enum zoo_segment);

/* The peer has said in a probe with capabilities 'caps' what it is. */
void zooroute_note_role(struct zooroute_peer *, uint16_t caps,
                        long long int now) OVS_REQUIRES(zooroute_mutex);

/* Returns who says what the peer is: "configuration", "peer" or "default". */
const char *zooroute_role_source(const struct zooroute_peer *);

/* Returns how much of a peer's key its candidates depend on, in bytes. */
static inline size_t
zooroute_peer_key_len(void) OVS_REQUIRES(zooroute_mutex)
{
    return (zooroute_config.shared_candidates ? 0
            : sizeof(struct zooroute_key));
}

/* Has what is sent back to sessions of 'peer' go out from the ports that they
 * come with, if it is learned about.  To be called ten times a second. */
void zooroute_follow_sessions(struct zooroute_peer *)
    OVS_REQUIRES(zooroute_mutex);

/* Has the datapath learn nothing from 'peer' any more. */
void zooroute_stop_learning(struct zooroute_peer *)
    OVS_REQUIRES(zooroute_mutex);

/* Returns what is added to the transmit times of reports: a random number. */
uint64_t zooroute_report_clock(void);

/* 'zooroute_config' or 'zooroute_auth' has changed: has peers be learned
 * about, or not.  The caller calls zooroute_update_profiles(). */
void zooroute_update_learning(void) OVS_REQUIRES(zooroute_mutex);

/* Returns what to say of 'other_config:learn-ports' that has no effect, NULL
 * if there is nothing to say. */
const char *zooroute_learning_warning(void) OVS_REQUIRES(zooroute_mutex);

/* Logs what has happened to the peer since the last call and tells those who
 * watch the status. */
void zooroute_log_events(struct zooroute_peer *, enum zoo_peer_state before)
    OVS_REQUIRES(zooroute_mutex);

/* Returns the hash of 'key' in 'zooroute_peers'. */
uint32_t zooroute_key_hash(const struct zooroute_key *key);

/* Adds the peer of 'out' and returns it, or NULL if there is no room or no
 * slot. */
struct zooroute_peer *zooroute_create(const struct zooroute_output *out)
    OVS_REQUIRES(zooroute_mutex);

/* Takes 'peer' out of 'zooroute_peers'.  Its slot goes on working until no
 * datapath flow carries it any more. */
void zooroute_retire(struct zooroute_peer *) OVS_REQUIRES(zooroute_mutex);

/* The number of learned peers, or how many there may be, has changed. */
void zooroute_update_room(void) OVS_REQUIRES(zooroute_mutex);

/* Returns true if there is room for another learned peer.  Needs no lock. */
bool zooroute_has_room(void);

/* A new peer with hash 'hash' of its key finds no room.  Needs no lock. */
void zooroute_note_refused(uint32_t hash);

/* Returns how many destinations have found no room among learned peers, and
 * stores into '*last' when one did last, as time_msec(), long ago if none has
 * since zooroute_made_room().  Needs no lock. */
uint64_t zooroute_n_refused(long long int *last);
void zooroute_made_room(void);

/* Returns the peer with 'key', NULL if there is none.  RCU-protected. */
struct zooroute_peer *zooroute_find(const struct zooroute_key *key);

/* Returns this side's peer that probes from 'sender' come from, NULL if there
 * is none.  Where several differ in their pkt_mark, it is the one with the mark
 * that the sender uses, as far as that is known, otherwise the one without a
 * mark, otherwise the one that tenants have used last.
 *
 * The mark is this machine's own: what is sent to that peer without it might
 * take another route, or find none. */
struct zooroute_peer *zooroute_find_by_sender(const struct zoo_sender_key *)
    OVS_REQUIRES(zooroute_mutex);

/* Returns true if 'sender', which zooroute_find_by_sender() has found 'peer'
 * for, is that peer indeed, and no other with its address. */
bool zooroute_is_sender(const struct zooroute_peer *peer,
                        const struct zoo_sender_key *sender);

/* Returns all '*n' peers, in no order, as an array that the caller must free.
 * They are valid as long as the caller is not quiescent, but some may retire.
 *
 * Flow translation may wait for 'zooroute_mutex', so whoever looks at all peers
 * should hold it for no more than ZOOROUTE_PEERS_AT_ONCE at a time, and format
 * what they say without it. */
#define ZOOROUTE_PEERS_AT_ONCE 64
struct zooroute_peer **zooroute_list_peers(size_t *n)
    OVS_EXCLUDED(zooroute_mutex);

/* Tells those who watch the status that something has changed. */
void zooroute_status_changed(void);

/* Returns the processor time of the calling thread, ns. */
uint64_t zooroute_thread_cpu(void);

/* Stores into '*busy' and '*all' how long the processors that the calling
 * thread may run on, without what threads that poll busily have of them, have
 * been busy, and busy or idle, together, ns.  Returns false if that is not
 * known.  One thread at a time may call this. */
bool zooroute_read_cpus(long long int now, uint64_t *busy, uint64_t *all);

/* The thread.  It exists while the feature is on. */
void zooroute_thread_start(void);
void zooroute_thread_stop(void);
void zooroute_thread_wake(void);

/* Probes: the thread alone calls these. */

/* One probe to be sent, from each of some ports. */
struct zooroute_tx {
    struct zooroute_peer *peer;         /* Of a request, otherwise NULL. */
    struct zoo_sender_key sender;       /* Of a report. */
    struct zoo_tunnel_dst dst;
    ovs_be16 dst_port;
    struct zoo_probe probe;
    uint16_t key_id;
    uint16_t sports[ZOO_MAX_CANDIDATES];
    unsigned int n_sports;
    int error;
    long long int when;
};

/* Reads which peers, and which of their buckets, tenants have used since the
 * last call, and does what follows from that.  Takes time in proportion to the
 * number of peers with traffic, and a look at each of the others. */
void zooroute_poll_use(long long int now) OVS_EXCLUDED(zooroute_mutex);

/* Processes up to 'max' probes.  Returns their number. */
unsigned int zooroute_receive(unsigned int max, const struct zoo_auth *)
    OVS_EXCLUDED(zooroute_mutex);

/* Stores up to 'max' reports that are due at 'now' into 'txs' and returns their
 * number. */
unsigned int zooroute_run_reports(struct zooroute_tx *txs, unsigned int max,
                                  long long int now)
    OVS_REQUIRES(zooroute_mutex);

/* Returns true if reports that are due have to wait: see report_rate(). */
bool zooroute_reports_lack_credit(void) OVS_REQUIRES(zooroute_mutex);

/* Runs the peers that are due at 'now'.  Stores up to 'max' rounds into 'txs'
 * and their number into '*n'.  Returns false if there may be more to do at
 * once. */
bool zooroute_run_peers(struct zooroute_tx *txs, unsigned int max,
                        long long int now, unsigned int *n)
    OVS_REQUIRES(zooroute_mutex);

/* Sends 'tx'.  Flow translation may take the mutex. */
void zooroute_transmit(struct zooroute_tx *tx, const struct zoo_auth *,
                       uint16_t newest_key, struct eth_addr backend_id)
    OVS_EXCLUDED(zooroute_mutex);

/* 'tx' was sent, or could not be. */
void zooroute_note_sent(struct zooroute_tx *tx) OVS_REQUIRES(zooroute_mutex);

void zooroute_appctl_init(void);

/* Main thread: what the underlay makes of outer source ports. */

/* Replies to 'conn', at once or when hops have been asked, what is known of the
 * paths to 'peer'. */
struct unixctl_conn;
void zooroute_check_underlay(struct unixctl_conn *conn,
                             struct zooroute_peer *peer)
    OVS_REQUIRES(zooroute_mutex);

/* From zooroute_run() and zooroute_wait(). */
void zooroute_underlay_run(void) OVS_EXCLUDED(zooroute_mutex);
void zooroute_underlay_wait(void) OVS_EXCLUDED(zooroute_mutex);

/* Appends "LOCAL->REMOTE:PORT". */
void zooroute_format_key(const struct zooroute_key *, struct ds *);
char *zooroute_key_to_string(const struct zooroute_key *);

#endif /* zooroute-private.h */
