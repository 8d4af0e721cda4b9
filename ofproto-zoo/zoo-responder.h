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

#ifndef ZOO_RESPONDER_H
#define ZOO_RESPONDER_H 1

/* What a VTEP remembers of those who probe it, and what it reports to them
 * ========================================================================
 *
 * A sender is known by its outer addresses, destination port, instance (a VTEP
 * may probe another one once per pkt_mark) and BackendID (several middleboxes
 * may have one address).  For each, the responder
 * keeps the session that it has adopted and, per outer source port, the last
 * rounds that arrived.  It answers a round with one report, on which it waits
 * a moment for the round's stragglers.  A request that is refused, because
 * there are too many, is noted all the same, but its report waits for longer,
 * so that few are sent, and asks for fewer requests.
 *
 * A sender that is not known yet and whose request is refused is a *stranger*:
 * what is known of it is the report that waits, and forgotten when that has
 * been sent.  It says which requests have arrived, asks for fewer, and adopts no
 * session.  So a flood of new sources, forged ones too where nothing is
 * authenticated, displaces nobody and has no more than
 * ZOO_RESPONDER_MAX_STRANGERS answered per ZOO_RESPONDER_REFUSED_HOLD.  What
 * finds no room among these is dropped.
 *
 * No report says of such a request that it has not arrived.  When a stranger
 * becomes known in the middle of a round, what was noted of it goes into the
 * round's report; and where requests may have been dropped before that, this
 * report lists none but those that came, and the next ones tell that earlier
 * rounds are not known.
 *
 * A session is adopted at once for a sender not known yet, otherwise only
 * when the sender repeats the challenge that it got, so that packets of an old
 * session that are sent again cannot displace the current one.
 *
 * Pure: time and randomness are arguments, packets are the caller's business.
 * Memory is bounded by ZOO_RESPONDER_MAX_SENDERS: beyond that, the sender that
 * has been silent for longest is forgotten, which costs it nothing but that
 * it is adopted again.  Callers serialize. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/hmap.h"
#include "ovs-ext/zoo-xlate.h"
#include "zoo-probe.h"
#include "zoo-rx-limit.h"

#define ZOO_RESPONDER_MAX_SENDERS 16384
#define ZOO_RESPONDER_MAX_STRANGERS 64

/* How long a report waits for stragglers of its round, ns. */
#define ZOO_RESPONDER_HOLD (2 * 1000 * 1000LL)

/* The same if the request was refused.  A sender that does not know of that
 * takes it for a long round trip. */
#define ZOO_RESPONDER_REFUSED_HOLD (100 * 1000 * 1000LL)

/* Who probes: how a probe arrived, and so how its report goes back. */
struct zoo_sender_key {
    struct in6_addr remote;     /* Outer source, IPv4-mapped for IPv4. */
    struct in6_addr local;      /* Outer destination. */
    ovs_be16 dst_port;
    uint16_t encap;             /* enum zoo_encap. */
    uint16_t instance;          /* zoo_session_instance(). */
    struct eth_addr backend;    /* BackendID, zero if it has none. */
};
BUILD_ASSERT_DECL(sizeof(struct zoo_sender_key) == 44);

/* Sessions of one sender differ in all but these bits. */
static inline uint16_t
zoo_session_instance(uint64_t session)
{
    return session & UINT16_MAX;
}

/* The caller's, for each sender, zero at first: where to send reports. */
struct zoo_sender_tunnel {
    struct zoo_tunnel_port port;
    ovs_be64 tun_id;
    long long int checked;      /* When it was last looked up, ns. */
};

struct zoo_responder;

struct zoo_responder *zoo_responder_create(void);
void zoo_responder_destroy(struct zoo_responder *);

/* A report that is due. */
struct zoo_report {
    struct zoo_sender_key key;
    struct zoo_sender_tunnel tunnel;
    struct zoo_probe probe;     /* Without tx_time, keys and BackendID. */
    uint16_t peer_newest_key;
    uint16_t peer_caps;         /* ZOO_PROBE_CAP_*, 0 if not known. */
    unsigned int max_copies;    /* Requests that it answers. */
    uint32_t arrived;           /* Entries whose ports these came from. */
};

/* Processes authenticated request 'probe' that came with 'key' and outer
 * source port 'sport' at 'arrival'.  'now' and 'random' are the current time
 * and an unpredictable number, and 'grant' is what zoo_rx_limit_take() has said
 * of it.  '*tunnelp' gets the caller's data of the
 * sender, valid until the next call, or NULL on error.  '*newest' is set to true
 * if the request is of the session that is adopted, and of its newest round, so
 * that it is not an old one that has been sent again, otherwise to false. */
enum zoo_probe_error zoo_responder_receive(
    struct zoo_responder *, const struct zoo_sender_key *key,
    uint16_t sport, const struct zoo_probe *probe,
    long long int arrival, long long int now, uint64_t random,
    struct zoo_rx_grant grant, struct zoo_sender_tunnel **tunnelp,
    bool *newest);

/* Returns true if the sender with 'key' is known, and its tunnel was looked up
 * at 'since' or later and has 'tun_id'. */
bool zoo_responder_knows(const struct zoo_responder *,
                         const struct zoo_sender_key *key,
                         ovs_be64 tun_id, long long int since);

/* Forgets the sender with 'key'. */
void zoo_responder_forget(struct zoo_responder *,
                          const struct zoo_sender_key *key);

/* Stores the next report due at 'now' into '*report' and returns true, or
 * returns false if there is none. */
bool zoo_responder_next_report(struct zoo_responder *, long long int now,
                               struct zoo_report *report);

/* Returns when the next report is due, LLONG_MAX if there is none. */
long long int zoo_responder_next_due(const struct zoo_responder *);

/* Forgets senders that have been silent for five minutes.  Call this about
 * once a second. */
void zoo_responder_expire(struct zoo_responder *, long long int now);

/* Returns the number of senders. */
unsigned int zoo_responder_count(const struct zoo_responder *);

#endif /* zoo-responder.h */
