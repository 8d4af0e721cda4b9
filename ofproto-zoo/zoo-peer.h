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

#ifndef ZOO_PEER_H
#define ZOO_PEER_H 1

/* One peer: when to probe which candidate, and what the answers mean
 * ==================================================================
 *
 * A round is a set of candidates probed at once.  Rounds stay open until a
 * report says of each of their probes that it arrived, or that it did not
 * though its time is over.  No report at all says nothing about a candidate:
 * it may be the report that was lost.  So silence only makes the next round
 * urgent (all candidates, the report on several paths), and counts as failure
 * when it has lasted for long.
 *
 * Probes go out
 *
 *     - every 'probe_interval' on candidates that tenant traffic uses,
 *
 *     - every 'full_interval' on all, half as often while the peer is calm: as
 *       long as all of them answer, after ZOO_PEER_CALM_ROUNDS such rounds in
 *       a row; or every 'probe_interval' for about two seconds after nearly
 *       all have lost probes together,
 *
 *     - at once on all when a probe has failed or a round met silence,
 *
 *     - on all with backoff to one second while no candidate works
 *       (exhausted), on some with backoff to one minute while the peer has
 *       never answered (legacy), and as soon as such a peer asks itself,
 *
 *     - not at all when there is no tenant traffic (idle), or on candidates
 *       that a stateful middlebox knows about from what it receives (see
 *       zoo-peer-learn.h).
 *
 * Peers that begin together, or lose something together, do not go on together:
 * intervals are up to a fifth shorter until the peer's rounds come at times of
 * its own.
 *
 * All intervals are doubled as often as the peer asks for with CTL, or as
 * 'stretch' says, up to four seconds between rounds of a peer that is
 * exhausted, and four minutes where it is legacy or rewrites ports.  That is
 * never a failure of anything: it only takes longer to find one.
 *
 * Pure: times (monotonic, ns) are arguments.  Callers serialize access. */

#include <stdbool.h>
#include <stdint.h>

#include "zoo-health.h"
#include "zoo-path-table.h"
#include "zoo-probe.h"
#include "util.h"

struct ds;
struct zoo_learner;

/* Rounds that may be open at once. */
#define ZOO_PEER_MAX_ROUNDS 16

/* The last round of a session is about this one. */
#define ZOO_PEER_LAST_ROUND (UINT32_MAX - 65536)

/* Most doublings of intervals, be it because of CTL or of cpu_limit. */
#define ZOO_PEER_MAX_DOUBLINGS 4

/* A peer is calm when all candidates have answered so many rounds of all in a
 * row, and none has lost a probe meanwhile. */
#define ZOO_PEER_CALM_ROUNDS 4

/* Most BackendID groups of one peer that are told apart: more than that many
 * candidates cannot lead to. */
#define ZOO_PEER_MAX_GROUPS ZOO_MAX_CANDIDATES

enum zoo_peer_state {
    ZOO_PEER_ACTIVE,            /* Probed; buckets use candidates. */
    ZOO_PEER_IDLE,              /* No tenant traffic, so not probed. */
    ZOO_PEER_LEGACY,            /* Has never answered: upstream's port. */
    ZOO_PEER_EXHAUSTED,         /* No candidate works: upstream's port, but for
                                 * several middleboxes. */
    ZOO_PEER_UNSUPPORTED,       /* Something rewrites outer source ports. */
};

struct zoo_candidate {
    struct zoo_health health;
    long long int validated;    /* When the newest probe known to have arrived
                                 * was sent. */
    uint32_t sent, lost;
    uint32_t rtt_us;            /* Smoothed, 0 if unknown. */
    uint32_t rttvar_us : 24;    /* The same. */
    uint32_t group : 8;         /* See zoo_peer_group(), 0 if unknown. */
};

/* One of several machines with the peer's address, or what there is without a
 * BackendID. */
struct zoo_group {
    struct eth_addr backend;    /* Its BackendID, zero if unused. */
    uint16_t caps;              /* ZOO_PROBE_CAP_*. */
    uint64_t memory;            /* Its last challenge: a new one means that what
                                 * it knew before is lost. */
};

/* What there is to know of a peer with several of them.
 *
 * The underlay may come to send what a candidate carries to another machine,
 * at any time, and to do so with many candidates at once: when one is added or
 * removed.  That is no failure, but sessions are lost unless their buckets go
 * to candidates that lead to the machine that knows them (see
 * zoo-peer-groups.c). */
struct zoo_groups {
    struct zoo_group group[ZOO_PEER_MAX_GROUPS];
    long long int gone_since[ZOO_PEER_MAX_GROUPS + 1]; /* Since when no candidate
                                                        * leads to each group,
                                                        * 0 if one may. */
    bool dealt[ZOO_PEER_MAX_GROUPS + 1]; /* Since no candidate leads to a group,
                                          * its buckets have been dealt over
                                          * the others. */
    uint8_t session[ZOO_N_BUCKETS]; /* Group that knows the sessions in each
                                     * bucket, 0 if unknown or if there are
                                     * none. */
    long long int asked[ZOO_N_BUCKETS]; /* That is learned from what was sent
                                         * since. */
    long long int changed;      /* When the newest probe was sent that has shown
                                 * that a candidate leads to another group than
                                 * before: where the others lead that have not
                                 * been asked since is unknown. */
    uint32_t left;              /* Candidates that sessions left for that
                                 * reason.  The caller clears it. */
};

struct zoo_open_round {
    uint32_t id;                /* 0 if unused. */
    uint32_t open;              /* Candidates of unknown fate. */
    uint32_t failed;            /* Given up, but may still arrive. */
    uint32_t absent;            /* Of these, not arrived as far as known. */
    long long int sent;
    uint32_t excused;           /* Of the absent, those that the peer may have
                                 * dropped unseen. */
    bool answered;              /* By a report on this very round. */
    bool urged;                 /* Its silence has caused an urgent round. */
};

struct zoo_peer {
    struct zoo_path_table table;
    struct zoo_candidate candidates[ZOO_MAX_CANDIDATES];
    struct zoo_group group0;    /* Of those without a BackendID. */
    struct zoo_groups *groups;  /* NULL until there is a BackendID. */
    enum zoo_peer_state state;
    bool upstream;              /* The map is all upstream's. */
    bool answered;              /* Ever. */
    bool map_changed;           /* 'table' or 'upstream'; the caller clears
                                 * it. */

    /* Wire. */
    uint64_t session;           /* Random, of this peer alone. */
    uint64_t challenge;         /* The last one that must be repeated. */
    uint32_t round;             /* Last round. */
    uint16_t peer_key;          /* The peer's newest key. */
    uint16_t peer_caps;         /* ZOO_PROBE_CAP_*: of all groups that
                                 * candidates lead to. */
    uint8_t slowed;             /* Doublings of intervals, because of CTL. */
    bool overdue;               /* No report says what became of a candidate
                                 * that is not down, though others may. */
    bool split;                 /* Candidates have differed: one was down
                                 * while another one worked. */
    bool all_failed;            /* All candidates have been down at once. */
    uint32_t slowed_ms;         /* When that changed, modulo 2**32. */
    long long int last_report;  /* When it came, or a request that is as good
                                 * for 'peer_caps'. */
    uint32_t alive_asked_ms;    /* When the peer's machine was asked last,
                                 * modulo 2**32, 0 if never, */
    uint32_t alive_ms;          /* and when it answered. */
    struct zoo_open_round rounds[ZOO_PEER_MAX_ROUNDS]; /* By ID modulo. */
    bool urgent;                /* The last round is urgent. */
    uint8_t n_clean;            /* Rounds of all since the last loss, up to
                                 * ZOO_PEER_CALM_ROUNDS. */
    uint8_t n_rewritten;        /* Consecutive reports of rewritten ports, up to
                                 * what is believed. */
    uint32_t probed;            /* Candidates of the last round. */

    /* Round trip of rounds: request to report (RFC 6298). */
    long long int srtt, rttvar; /* 0 if unknown. */
    uint32_t n_silent;          /* Rounds without report since the last. */
    uint32_t n_forgiven;        /* Of these, because this program was late. */
    struct zoo_learner *learner; /* See zoo-peer-learn.h; NULL if neither side
                                  * learns. */

    /* Schedule. */
    long long int next_fast, next_full, next_urgent;
    long long int last_urgent, last_hint;
    long long int used_rotated;
    long long int last_used;
    long long int active_since; /* Since when probed. */
    long long int link_down;    /* When the local link was last seen to be
                                 * down. */
    long long int mass_loss;    /* When nearly all candidates last lost probes
                                 * together. */
    uint32_t forgiven;          /* Candidates that went down because of that,
                                 * for some time. */
    uint32_t session_backoff;   /* 'backoff' when the session began. */
    uint32_t n_unsent;          /* Rounds in a row that could not be sent. */
    uint32_t backoff;           /* Rounds since LEGACY or EXHAUSTED began. */
    long long int restored;     /* When the last exhaustion ended. */
    uint8_t unused[ZOO_N_BUCKETS]; /* Seconds since tenants used each bucket,
                                    * up to UINT8_MAX. */

    /* For the caller, who clears them. */
    uint32_t went_down, came_up; /* Candidates. */
    uint32_t moved_from;        /* Candidates whose buckets moved away. */
    uint32_t returned;          /* Candidates whose buckets went home. */
    uint64_t failovers;         /* Never cleared. */
    long long int last_failover; /* Monotonic ns, 0 if none. */
    long long int outage;       /* From the loss to the last failover, ns. */
};

/* Initializes 'peer' with candidates that depend on 'key' and 'seed' alone.
 * 'session' is a random number. */
void zoo_peer_init(struct zoo_peer *peer, const struct zoo_params *,
                   const void *key, size_t key_len, uint32_t seed,
                   uint64_t session, long long int now);

/* Frees what 'peer' has allocated. */
void zoo_peer_uninit(struct zoo_peer *);

/* Makes 'copy' the same as 'peer', with allocations of its own. */
void zoo_peer_copy(struct zoo_peer *copy, const struct zoo_peer *peer);

/* Returns group 'group' of the peer, which is 0 or some candidate's. */
static inline struct zoo_group *
zoo_peer_group(const struct zoo_peer *peer, unsigned int group)
{
    return (group ? &peer->groups->group[group - 1]
            : &CONST_CAST(struct zoo_peer *, peer)->group0);
}

/* Gives the peer the number of candidates in 'params': ports that it has
 * already keep what is known of them; buckets go home, but not to candidates
 * that are down. */
void zoo_peer_set_candidates(struct zoo_peer *, const struct zoo_params *,
                             const void *key, size_t key_len, uint32_t seed,
                             long long int now);

/* Tenant traffic has used the buckets marked in 'used', or none if it is
 * NULL. */
void zoo_peer_use(struct zoo_peer *, const bool used[ZOO_N_BUCKETS],
                  const struct zoo_params *, long long int now);

/* How much may be sent. */
enum zoo_budget {
    ZOO_BUDGET_NONE,            /* Nothing: only what has come is judged. */
    ZOO_BUDGET_SCARCE,          /* What carries traffic, and losses. */
    ZOO_BUDGET_AMPLE,
};

/* Returns how much later than zoo_peer_next() says the caller may call
 * zoo_peer_run(), so as to run many peers together, ns; twice that for rounds
 * that are not urgent. */
static inline long long int
zoo_peer_tick(const struct zoo_params *params)
{
    return MIN(params->probe_interval / 10, 10 * 1000 * 1000);
}

/* Does what is due at 'now'.  Returns the candidates to probe now, 0 if none:
 * the caller sends them as round 'peer->round' and then calls
 * zoo_peer_sent(). */
uint32_t zoo_peer_run_within(struct zoo_peer *, const struct zoo_params *,
                             enum zoo_budget, long long int now);

/* The same with ZOO_BUDGET_AMPLE. */
uint32_t zoo_peer_run(struct zoo_peer *, const struct zoo_params *,
                      long long int now);

/* The round that zoo_peer_run() asked for was sent at 'now', or could not be
 * sent: that is not a failure of its candidates. */
void zoo_peer_sent(struct zoo_peer *, bool ok, long long int now);

/* The link below the tunnel is down, or there is no next hop, as trying to send
 * has shown: rounds under way, which may have been sent when it was already, say nothing about any
 * path, whether they are answered or not.  To be called ahead of
 * zoo_peer_sent(). */
void zoo_peer_link_down(struct zoo_peer *, long long int now);

/* Rounds under way say nothing about any path. */
void zoo_peer_forget_rounds(struct zoo_peer *);

/* Returns true if the peer needs a new session: because the numbers of rounds,
 * which only ever grow within one, come to their end, or because nothing has
 * answered for long, which might be due to a responder that takes the session
 * for an old one. */
bool zoo_peer_needs_session(const struct zoo_peer *);

/* Begins a session.  'session' is a random number. */
void zoo_peer_begin_session(struct zoo_peer *, uint64_t session);

/* Processes an authenticated report that arrived from outer source port
 * 'sport' at 'now'.  Returns ZOO_PROBE_OK or the reason why it is not for this
 * peer. */
enum zoo_probe_error zoo_peer_report(struct zoo_peer *,
                                     const struct zoo_params *,
                                     const struct zoo_probe *, uint16_t sport,
                                     long long int now);

/* Returns the shortest round trip that 'report', which zoo_peer_report() has
 * taken at 'now', tells of, without the time that the peer spent, ns.  Returns 0
 * if it tells of none, or if several machines may be meant. */
long long int zoo_peer_round_trip(const struct zoo_peer *,
                                  const struct zoo_probe *report,
                                  long long int now);

/* A request has come from the peer: there is a path from it, so it is worth
 * while to ask at once whether there is one to it, unless it has been asked for
 * that reason lately: within half the time between rounds that it has backed
 * off to.  Returns true if that makes zoo_peer_next() earlier. */
bool zoo_peer_hint(struct zoo_peer *, const struct zoo_params *,
                   long long int now);

/* Returns how many times the intervals of the peer are doubled now. */
static inline unsigned int
zoo_peer_doublings(const struct zoo_peer *peer,
                   const struct zoo_params *params)
{
    return MIN(MAX(peer->slowed, params->stretch), ZOO_PEER_MAX_DOUBLINGS);
}

/* Returns true if all candidates have answered for so long that those that are
 * not in use are probed half as often.  Unless all are to be probed alike. */
static inline bool
zoo_peer_is_calm(const struct zoo_peer *peer, const struct zoo_params *params)
{
    return (peer->n_clean >= ZOO_PEER_CALM_ROUNDS
            && params->full_interval > params->probe_interval);
}

/* Has the peer come back to its normal intervals, one doubling at a time, if
 * CTL has not been heard for a while.  Returns true if something has changed,
 * so that zoo_peer_next() may be earlier. */
bool zoo_peer_relax(struct zoo_peer *, const struct zoo_params *,
                    long long int now);

/* The intervals in 'params' may be shorter than they were. */
void zoo_peer_reconfigured(struct zoo_peer *, const struct zoo_params *params,
                           long long int now);

/* Returns when zoo_peer_run() must be called again, LLONG_MAX if only use
 * makes that necessary. */
long long int zoo_peer_next(const struct zoo_peer *,
                            const struct zoo_params *);

/* The parts of that: when there is something to send, if all may be sent, and
 * when the time of a round is over. */
long long int zoo_peer_next_round(const struct zoo_peer *);
long long int zoo_peer_next_verdict(const struct zoo_peer *,
                                    const struct zoo_params *);

/* Returns true if a round that is due at 'now' is to confirm a loss. */
bool zoo_peer_is_urgent(const struct zoo_peer *, long long int now);

/* Makes candidate 'i' up, down, or what probes say. */
void zoo_peer_force(struct zoo_peer *, const struct zoo_params *,
                    unsigned int i, enum zoo_health_forced,
                    long long int now);

/* Returns true if an operator has set a candidate up or down. */
bool zoo_peer_is_forced(const struct zoo_peer *);

/* Returns the candidates that may be exchanged for other ports: those that
 * work, that no tenant traffic has used lately, and that no operator has set.
 * None while one has not been tried yet, or where they lead to several
 * middleboxes. */
uint32_t zoo_peer_exchangeable(const struct zoo_peer *);

/* Makes 'sport' candidate 'i' in the place of the port that it was.  Its
 * buckets, which are not in use, go to candidates that work, and home when the
 * new one has worked for the hold-down time.  Returns false, and changes
 * nothing, if no other candidate works that could take them. */
bool zoo_peer_exchange(struct zoo_peer *, unsigned int i, uint16_t sport,
                       long long int now);

/* Fills the request for round 'peer->round' on candidates 'set', all but
 * transmit time and keys. */
void zoo_peer_request(const struct zoo_peer *, uint32_t set,
                      struct zoo_probe *);

/* Returns the candidates that tenant traffic has used lately. */
uint32_t zoo_peer_in_use(const struct zoo_peer *);

/* Returns the candidates that are up. */
uint32_t zoo_peer_healthy(const struct zoo_peer *);

/* Returns how long the answer to a round may take, ns. */
long long int zoo_peer_timeout(const struct zoo_peer *,
                               const struct zoo_params *);

/* Returns the candidates that lead to the middlebox with BackendID 'backend',
 * as far as reports have told. */
uint32_t zoo_peer_leads_to(const struct zoo_peer *, struct eth_addr backend);

/* Stores up to 'n' ports into 'sports' to send a report from, for the
 * middlebox with BackendID 'backend' (zero if it has none): ports of candidates
 * that lead there and work, otherwise of any that lead there, otherwise of any
 * that work, otherwise any, rotated by 'salt'.  Returns how many. */
unsigned int zoo_peer_report_ports(const struct zoo_peer *,
                                   struct eth_addr backend, uint32_t salt,
                                   uint16_t sports[], unsigned int n);

/* Consent: whether the peer may be taken to have a capability, ZOO_PROBE_CAP_*,
 * that it has said to have in its reports.
 *
 * One that does not answer any more may have been restarted without it, or the
 * underlay swallows everything.  A switch that does not know ZooRoute says
 * nothing, but its machine answers to what is no probe (see zoo-alive.h).  So
 * the machine is asked, too: every now and then while the peer answers probes,
 * to know that it answers; and often when it does not.
 *
 *     - If the machine answers for a second while the peer does not, the peer
 *       is another one.
 *
 *     - If neither does, though the machine did before, nothing arrives: the
 *       peer is taken to be what it was.
 *
 *     - If the machine never answers, or cannot be asked, it cannot be told,
 *       and the peer must consent again after three seconds.
 *
 * The peer's own requests, which are known to be new and say what it is capable
 * of, are as good as reports for this. */

/* How long a peer that is not asked, or from which nothing comes, is taken to be
 * what it was, ns.  So long it is known, too, that its machine answers. */
#define ZOO_PEER_CONSENT_TIME (3600 * 1000LL * 1000 * 1000)

/* Returns true if the peer consents to 'cap' at 'now'. */
bool zoo_peer_consents(struct zoo_peer *, uint16_t cap, long long int now);

/* A new request of the peer has said, at 'now', that it has 'caps': it may have
 * lost some, or still have what its reports have said. */
void zoo_peer_confirm(struct zoo_peer *, uint16_t caps, long long int now);

/* Returns true if the peer's machine is to be asked now, because of 'cap': the
 * caller does, and says that it did, and when it answers. */
bool zoo_peer_asks_alive(const struct zoo_peer *, uint16_t cap,
                         long long int now);
void zoo_peer_alive_asked(struct zoo_peer *, long long int now);
void zoo_peer_alive(struct zoo_peer *, long long int now);

const char *zoo_peer_state_to_string(enum zoo_peer_state);

#endif /* zoo-peer.h */
