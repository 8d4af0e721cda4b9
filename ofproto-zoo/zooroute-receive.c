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
#include "zooroute-private.h"

#include "coverage.h"
#include "entropy.h"
#include "hash.h"
#include "ovs-ext/zoo-quarantine.h"
#include "util.h"

/* Requests and reports of others. */

COVERAGE_DEFINE(zooroute_rx_refused);
COVERAGE_DEFINE(zooroute_rx_flood);
COVERAGE_DEFINE(zooroute_slowed_by_peer);

#define SEC (1000 * 1000 * 1000LL)

BUILD_ASSERT_DECL(ZOO_RX_N_LOST_COUNTERS <= ZOO_RX_LIMIT_N_COUNTERS);

/* How long a sender's tunnel port is taken to be the same. */
#define TUNNEL_CHECK_INTERVAL SEC

/* Stores an unpredictable number into '*challenge'.  Returns false if there is
 * none to be had. */
static bool
random_challenge(uint64_t *challenge)
{
    static uint64_t pool[512];
    static size_t left;

    if (!left) {
        if (get_entropy(pool, sizeof pool)) {
            return false;
        }
        left = ARRAY_SIZE(pool);
    }
    *challenge = pool[--left];
    return true;
}

/* Returns this side's peer whose requests have 'session', or NULL. */
static struct zooroute_peer *
find_by_session(uint64_t session) OVS_REQUIRES(zooroute_mutex)
{
    struct zooroute_peer *peer;

    HMAP_FOR_EACH_WITH_HASH (peer, session_node, hash_uint64(session),
                             &zooroute_sessions) {
        if (peer->peer.session == session) {
            return peer;
        }
    }
    return NULL;
}

/* The sender with 'key' has said, in a request that is surely new, what it is
 * capable of.  'peer' is this side's own peer there, or NULL: it may say on that
 * occasion that it does not take colors any more, or still does, but not that it
 * does now, which only an answer proves. */
static void
learn_capabilities(const struct zoo_sender_key *key,
                   struct zooroute_peer *peer, uint16_t caps,
                   long long int now) OVS_REQUIRES(zooroute_mutex)
{
    zoo_consents_note(zooroute_consents, key, caps & ZOO_PROBE_CAP_GBP, now);
    if (peer && eth_addr_is_zero(key->backend)) {
        zoo_peer_confirm(&peer->peer, caps, now);
        zooroute_update_consent(peer, now);
    } else if (peer) {
        /* Another machine with this address may be what does not answer. */
        peer->peer.peer_caps &= caps;
        zooroute_update_consent(peer, now);
    }
}

/* 'peer' has sent this request, the newest of its session, to this stateful
 * middlebox, where it has arrived at 'arrival'. */
static void
hear_peer(struct zooroute_peer *peer, const struct zoo_probe *probe,
          uint16_t sport, long long int arrival, long long int now)
    OVS_REQUIRES(zooroute_mutex)
{
    enum zoo_peer_state before = peer->peer.state;

    if (zoo_peer_hear(&peer->peer, zooroute_segment_params(peer->segment),
                      probe, sport, zooroute_report_clock(), arrival)) {
        /* It is there, though there may be no answers of it. */
        zooroute_note_role(peer, probe->caps, now);
        peer->peer.peer_caps = probe->caps;
        peer->peer.last_report = now;
        zooroute_update_consent(peer, now);
    }
    zooroute_publish(peer);
    zooroute_log_events(peer, before);
    zooroute_schedule(peer, now);
}

static enum zoo_probe_error
receive_request(const struct zoo_rx *rx, const struct zoo_probe *probe,
                long long int now) OVS_REQUIRES(zooroute_mutex)
{
    struct zoo_sender_key key = {
        .remote = rx->src,
        .local = rx->dst,
        .dst_port = rx->tp_dst,
        .encap = rx->encap,
        .instance = zoo_session_instance(probe->session),
        .backend = probe->backend_id,
    };
    struct zoo_sender_tunnel *tunnel;
    struct zoo_rx_grant grant;
    struct zooroute_peer *sent;
    struct zoo_tunnel_port port;
    enum zoo_probe_error error;
    uint64_t challenge;
    bool look_up, newest;

    if (!zooroute_config.enabled) {
        return ZOO_PROBE_UNEXPECTED;    /* It has just been turned off. */
    }
    sent = find_by_session(probe->session);
    if (sent && ipv6_addr_equals(&sent->key.remote, &rx->src)) {
        /* A request of this very switch, sent back to it.  (It might also be
         * one to another tunnel address of its own.) */
        return ZOO_PROBE_UNEXPECTED;
    } else if (!random_challenge(&challenge)) {
        return ZOO_PROBE_NO_TUNNEL;
    }

    /* Nothing is remembered of a sender that no tunnel points to. */
    look_up = !zoo_responder_knows(zooroute_responder, &key, rx->tun_id,
                                   now - TUNNEL_CHECK_INTERVAL);
    if (look_up && !zoo_xlate_find_tunnel(rx, &port)) {
        return ZOO_PROBE_NO_TUNNEL;
    }
    grant = zoo_rx_limit_take(zooroute_rx_limit, &rx->src, now);
    if (grant.refused) {
        COVERAGE_INC(zooroute_rx_refused);
        zooroute_stats.rx_over_rate++;
    }
    error = zoo_responder_receive(zooroute_responder, &key,
                                  ntohs(rx->tp_src), probe, rx->when, now,
                                  challenge, grant, &tunnel, &newest);
    if (look_up && tunnel) {
        tunnel->port = port;
        tunnel->tun_id = rx->tun_id;
        tunnel->checked = now;
    }
    if (!error) {
        struct zooroute_peer *peer = zooroute_find_by_sender(&key);

        zooroute_stats.rx_requests++;
        if (newest) {
            learn_capabilities(&key, peer, probe->caps, now);
            zoo_clocks_request(zooroute_clocks, &rx->dst, &rx->src,
                               hash_bytes(&key.backend, sizeof key.backend, 0),
                               rx->when - probe->tx_time, rx->when);
        }
        if (newest && peer && zooroute_params.learn
            && eth_addr_is_zero(key.backend)
            && zooroute_is_sender(peer, &key)) {
            hear_peer(peer, probe, ntohs(rx->tp_src), rx->when, now);
        }
        if (peer
            && zoo_peer_hint(&peer->peer,
                             zooroute_segment_params(peer->segment), now)) {
            zooroute_schedule(peer, now);
        }
    }
    return error;
}

static enum zoo_probe_error
receive_report(const struct zoo_rx *rx, const struct zoo_probe *probe)
    OVS_REQUIRES(zooroute_mutex)
{
    struct zooroute_peer *peer = find_by_session(probe->session);
    enum zoo_probe_error error;

    if (!peer || !ipv6_addr_equals(&peer->key.remote, &rx->src)) {
        return ZOO_PROBE_UNEXPECTED;
    }

    enum zoo_peer_state before = peer->peer.state;
    uint8_t slowed = peer->peer.slowed;
    error = zoo_peer_report(&peer->peer,
                            zooroute_segment_params(peer->segment), probe,
                            ntohs(rx->tp_src), rx->when);
    if (!error) {
        if (probe->ctl & ZOO_PROBE_CTL_DOUBLINGS) {
            zooroute_stats.rx_ctl++;
        }
        if (peer->peer.slowed > slowed) {
            COVERAGE_INC(zooroute_slowed_by_peer);
        }
        peer->n_reports++;
        zooroute_stats.rx_reports++;
        zoo_clocks_report(zooroute_clocks, &rx->dst, &rx->src,
                          zoo_peer_round_trip(&peer->peer, probe, rx->when),
                          rx->when);
        peer->n_rotations = 0;
        zooroute_update_consent(peer, rx->when);
        if (probe->round == peer->peer.round) {
            /* What all machines with its address say. */
            zooroute_note_role(peer, peer->peer.peer_caps, zoo_now());
        }
        zooroute_publish(peer);
        zooroute_log_events(peer, before);
        zooroute_schedule(peer, zoo_now());
    }
    return error;
}

/* Returns true if 'rx' is worth the time that it takes to authenticate it. */
static bool
admit(const struct zoo_rx *rx) OVS_EXCLUDED(zooroute_mutex)
{
    bool ok;

    if (zoo_probe_peek_report(rx->body, rx->len)) {
        return true;            /* Of a session that is known here. */
    }
    ovs_mutex_lock(&zooroute_mutex);
    ok = zoo_rx_limit_admit(zooroute_rx_limit, &rx->src,
                            rx->lost_counter, rx->n_lost, zoo_now());
    ovs_mutex_unlock(&zooroute_mutex);
    if (!ok) {
        COVERAGE_INC(zooroute_rx_flood);
    }
    return ok;
}

/* Decodes and verifies 'rx' into '*probe', which takes most of the time that a
 * probe takes, without the mutex. */
static enum zoo_probe_error
decode(const struct zoo_rx *rx, const struct zoo_auth *auth,
       struct zoo_probe *probe)
{
    const struct zoo_auth_addrs addrs = {
        .src = rx->src,
        .dst = rx->dst,
        .dst_port = rx->tp_dst,
    };
    enum zoo_probe_error error;
    size_t len;

    error = zoo_probe_decode(rx->body, rx->len, probe, &len);
    return (error ? error
            : zoo_auth_verify(auth, probe->key_id, &addrs, rx->body, len));
}

/* Processes up to 'max' probes.  Returns their number. */
unsigned int
zooroute_receive(unsigned int max, const struct zoo_auth *auth)
{
    enum zoo_probe_error error;
    struct zoo_probe probe;
    struct zoo_rx rx;
    unsigned int n;

    for (n = 0; n < max && zoo_rx_recv(&rx); n++) {
        error = admit(&rx) ? decode(&rx, auth, &probe) : ZOO_PROBE_FLOOD;
        ovs_mutex_lock(&zooroute_mutex);
        if (!error) {
            error = (probe.type == ZOO_PROBE_REQUEST
                     ? receive_request(&rx, &probe, zoo_now())
                     : receive_report(&rx, &probe));
        }
        if (error) {
            zooroute_stats.rx_errors[error]++;
        }
        ovs_mutex_unlock(&zooroute_mutex);
    }
    return n;
}

