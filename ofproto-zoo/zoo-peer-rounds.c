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

/* Rounds and the reports on them: what probes teach about candidates. */

#include <config.h>
#include "zoo-peer-private.h"

#include <limits.h>
#include <string.h>

#include "util.h"

/* What 'rttvar_us' holds. */
#define MAX_RTTVAR_US ((1 << 24) - 1)

/* Rounds in a row that this program may run late without drawing a
 * conclusion. */
#define MAX_FORGIVEN 2

/* A peer that has been asked for this long without an answer is legacy. */
#define LEGACY_AFTER SEC

/* After the local link was seen to be down, a loss says nothing about a path
 * until something has been answered, for this long at most: the other end of
 * the link may not know yet that it is up again, and neighbors may have to be
 * found. */
#define LINK_UP_TIME (10 * SEC)

/* A peer that has been asked so often, for so long, without an answer may have
 * become another one. */
#define UNANSWERED_ROUNDS 3
#define UNANSWERED_TIME (3 * SEC)

/* It has if its machine answers that long after the peer did. */
#define ALIVE_TIME SEC

/* How often the machine is asked: to know that it answers, and when the peer
 * does not. */
#define ALIVE_INTERVAL (10 * SEC)
#define SILENT_ALIVE_INTERVAL (100 * MSEC)

/* That it is silent means nothing if it has not been asked for so long. */
#define ASKED_TIME (2 * SEC)

/* CTL is followed once per this time, which its effect takes to show. */
#define SLOWER_TIME_MS 500

/* For so many full intervals, and as long as this at least if requests of this
 * side's own were dropped, absence may be no loss: a candidate from which
 * nothing has arrived for longer has failed. */
#define MAX_EXCUSED_ROUNDS 4
#define MIN_UNSEEN_TIME (30 * SEC)

/* Rounds. */

static void
request_urgent(struct zoo_peer *peer, const struct zoo_params *params,
               long long int now)
{
    /* Each round that meets silence doubles the distance to the next.  A round
     * must still be among the open ones when its silence becomes failure. */
    long long int gap = MAX((zoo_peer_timeout(peer, params)
                             << MIN(peer->n_silent, 3)) / 2,
                            zoo_peer_silence_timeout(peer, params)
                            / (ZOO_PEER_MAX_ROUNDS / 2 - 2));

    if (zoo_peer_doublings(peer, params)) {
        gap = MAX(gap, stretched(peer, params, params->probe_interval) / 2);
    }
    peer->next_urgent = MIN(peer->next_urgent,
                            MAX(now, peer->last_urgent + gap));
}

void
zoo_peer_succeeded(struct zoo_peer *peer, const struct zoo_params *params,
                   unsigned int i, long long int now)
{
    struct zoo_health *h = &peer->candidates[i].health;
    bool was_down = h->state == ZOO_HEALTH_DOWN;

    if (zoo_health_success(h, params, now) && was_down) {
        peer->came_up |= bit(i);
    }
}

static void
candidate_arrived(struct zoo_peer *peer, const struct zoo_params *params,
                  struct zoo_open_round *r, unsigned int i, long long int now)
{
    struct zoo_candidate *c = &peer->candidates[i];

    r->open &= ~bit(i);
    c->validated = MAX(c->validated, r->sent);
    zoo_peer_succeeded(peer, params, i, now);
}

static void
candidate_failed(struct zoo_peer *peer, const struct zoo_params *params,
                 struct zoo_open_round *r, unsigned int i, long long int now)
{
    struct zoo_candidate *c = &peer->candidates[i];
    bool was_down = c->health.state == ZOO_HEALTH_DOWN;

    r->open &= ~bit(i);
    if (r->sent - peer->link_down < LINK_UP_TIME) {
        return;
    }
    r->failed |= bit(i);
    c->lost++;
    peer->n_clean = 0;
    if (c->validated > r->sent && params->fail_threshold > 1) {
        /* A later one has arrived, so this failure is not one of several in a
         * row, and the path is good again. */
        c->health.failure_free = now;
        return;
    }
    if (zoo_health_failure(&c->health, params, r->sent, now)) {
        peer->went_down |= bit(i);
        if (!peer->answered) {
            zoo_health_set_collective(&c->health, true);
        }
    }
    if (!was_down && zoo_path_table_owners(&peer->table, NULL) & bit(i)) {
        /* Either a second probe is needed to confirm the loss, or an answer of
         * the others since, to have a place for the buckets. */
        request_urgent(peer, params, now);
    }
}

/* Returns how long something that has not arrived may have an excuse, ns. */
static long long int
excused_time(const struct zoo_peer *peer, const struct zoo_params *params)
{
    return MAX_EXCUSED_ROUNDS * stretched(peer, params, params->full_interval);
}

/* The peer is not calm any more, if it was: the next round of all comes as
 * soon as it would have come without that. */
static void
end_calm(struct zoo_peer *peer, const struct zoo_params *params,
         long long int now)
{
    peer->n_clean = 0;
    if (peer->state == ZOO_PEER_ACTIVE) {
        peer->next_full = MIN(peer->next_full,
                              now + zoo_peer_full_interval(peer, params));
    }
}

/* The time of candidate 'i' of 'r' is over, and it has not arrived as far as
 * the peer knows. */
static void
absent_for_good(struct zoo_peer *peer, const struct zoo_params *params,
                struct zoo_open_round *r, unsigned int i, long long int now)
{
    if (r->excused & bit(i)) {
        r->open &= ~bit(i);
        end_calm(peer, params, now);
    } else {
        candidate_failed(peer, params, r, i, now);
    }
}

/* Returns true if that no report at all of 'r' has come says nothing, because
 * this side is flooded.  That is no excuse for ever. */
static bool
lost_in_flood(const struct zoo_peer *peer, const struct zoo_params *params,
              const struct zoo_open_round *r, long long int now)
{
    long long int arrived = LLONG_MIN / 2;

    if (!params->flooded || r->answered) {
        return false;
    }
    for (unsigned int i = 0; i < peer->table.n; i++) {
        arrived = MAX(arrived, peer->candidates[i].validated);
    }
    return now - arrived < excused_time(peer, params);
}

/* Returns those of the open candidates of 'r' that are not down: their fate
 * matters. */
static uint32_t
open_and_not_down(const struct zoo_peer *peer, const struct zoo_open_round *r)
{
    uint32_t set = 0;

    FOR_EACH_CANDIDATE (i, r->open) {
        if (peer->candidates[i].health.state != ZOO_HEALTH_DOWN) {
            set |= bit(i);
        }
    }
    return set;
}

/* The time of 'r' is over: fails what is known to be absent, and deals with
 * silence. */
static void
expire_round(struct zoo_peer *peer, const struct zoo_params *params,
             struct zoo_open_round *r, long long int now)
{
    long long int deadline = r->sent + zoo_peer_timeout(peer, params);

    FOR_EACH_CANDIDATE (i, r->open & r->absent) {
        if (now >= r->sent + zoo_peer_candidate_timeout(peer, params, i)) {
            absent_for_good(peer, params, r, i, now);
        }
    }
    if (!(r->open & ~r->absent)) {
        return;
    }

    if (!r->urged) {
        long long int late = (zoo_peer_tick(params)
                              + zoo_peer_timeout(peer, params) / 2);

        r->urged = true;
        if (now - deadline > late && !r->answered
            && peer->n_forgiven < MAX_FORGIVEN) {
            /* It is this program that ran late, which says nothing about the
             * path: ask again. */
            peer->n_forgiven++;
            r->open = 0;
            request_urgent(peer, params, now);
        } else if (!r->answered) {
            peer->n_silent++;
        }
    } else if (now >= r->sent + zoo_peer_silence_timeout(peer, params)) {
        if (lost_in_flood(peer, params, r, now)) {
            r->open = 0;
            end_calm(peer, params, now);
        }
        FOR_EACH_CANDIDATE (i, r->open) {
            candidate_failed(peer, params, r, i, now);
        }
    }
    if (open_and_not_down(peer, r)) {
        peer->overdue = true;
        request_urgent(peer, params, now);
    }
}

void
zoo_peer_expire_rounds(struct zoo_peer *peer, const struct zoo_params *params,
                       long long int now)
{
    long long int timeout = zoo_peer_timeout(peer, params);

    peer->overdue = false;
    FOR_EACH_OPEN_ROUND (r, peer) {
        if (now >= r->sent + timeout) {
            expire_round(peer, params, r, now);
        }
    }
    if (!peer->answered && peer->state == ZOO_PEER_ACTIVE
        && peer->n_silent >= 3 && now - peer->active_since >= LEGACY_AFTER
        && !zoo_peer_healthy(peer)) {
        zoo_peer_set_state(peer, ZOO_PEER_LEGACY);
    }
}

/* Reports. */

static void
sample_rtt(struct zoo_peer *peer, long long int rtt)
{
    if (!peer->srtt) {
        peer->srtt = MAX(rtt, 1);
        peer->rttvar = rtt / 2;
    } else {
        peer->rttvar += (llabs(peer->srtt - rtt) - peer->rttvar) / 4;
        peer->srtt = MAX(peer->srtt + (rtt - peer->srtt) / 8, 1);
    }
}

static void
sample_candidate_rtt(struct zoo_candidate *c, uint32_t us)
{
    if (!c->rtt_us) {
        c->rtt_us = us;
        c->rttvar_us = MIN(us / 2, MAX_RTTVAR_US);
    } else {
        uint32_t error = MAX(c->rtt_us, us) - MIN(c->rtt_us, us);

        c->rttvar_us = MIN((c->rttvar_us * 3ULL + error) / 4, MAX_RTTVAR_US);
        c->rtt_us = MAX(1, (c->rtt_us * 7ULL + us) / 8);
    }
}

/* Returns true if 'e' says that round 'id' arrived. */
static bool
entry_has_round(const struct zoo_probe_entry *e, uint32_t id)
{
    return (e->last == id
            || (e->last > id && e->last - id <= 16
                && e->history & (1u << (e->last - id - 1))));
}

/* Returns true if that 'report' does not know of a probe of 'c' says nothing,
 * because the peer has dropped some unseen.  That is no excuse for ever. */
static bool
may_be_unseen(const struct zoo_peer *peer, const struct zoo_params *params,
              const struct zoo_candidate *c, const struct zoo_probe *report,
              long long int now)
{
    long long int limit = excused_time(peer, params);

    return (report->ctl & ZOO_PROBE_CTL_UNSEEN
            ? now - c->validated < MAX(limit, MIN_UNSEEN_TIME)
            : report->ctl & ZOO_PROBE_CTL_BUSY
            ? now - c->validated < limit : false);
}

/* A candidate that was probed in 'r' leads to another middlebox than before:
 * all are asked where they lead, unless 'r' does that. */
static void
follow_change(struct zoo_peer *peer, const struct zoo_params *params,
              const struct zoo_open_round *r, long long int now)
{
    end_calm(peer, params, now);
    if (r->id != peer->round || peer->probed != all_candidates(peer)) {
        request_urgent(peer, params, now);
    }
}

/* Learns from what 'report' says about candidate 'i'.  'continuous' is false
 * if the responder may have forgotten what arrived earlier. */
static void
learn_entry(struct zoo_peer *peer, const struct zoo_params *params,
            const struct zoo_probe *report, const struct zoo_probe_entry *e,
            unsigned int i, uint8_t group, bool continuous, long long int now)
{
    struct zoo_candidate *c = &peer->candidates[i];
    /* One of several instances behind one address knows only of what reached
     * itself. */
    bool knows = (!(report->flags & ZOO_PROBE_F_CHALLENGE)
                  && (!c->group || c->group == group));
    long long int timeout = zoo_peer_candidate_timeout(peer, params, i);

    FOR_EACH_ROUND (r, peer) {
        if (!((r->open | r->failed) & bit(i)) || r->id > report->round) {
            continue;
        } else if (entry_has_round(e, r->id)) {
            if (r->failed & bit(i)) {
                /* It was only slow. */
                r->failed &= ~bit(i);
                c->lost--;
            }
            if (r->id == e->last) {
                long long int rtt = now - r->sent - e->age_us * 1000LL;

                sample_candidate_rtt(c, MAX(1, MIN(rtt / 1000, INT32_MAX)));
                if (r->sent >= c->validated
                    && zoo_peer_led_to(peer, i, group, r->sent)) {
                    follow_change(peer, params, r, now);
                }
            }
            candidate_arrived(peer, params, r, i, now);
        } else if (!knows || !(r->open & bit(i))) {
            continue;
        } else if (!continuous && r->id != report->round) {
            /* Nobody will ever know. */
            r->open &= ~bit(i);
        } else {
            r->absent |= bit(i);
            if (may_be_unseen(peer, params, c, report, now)) {
                r->excused |= bit(i);
            }
            if (now >= r->sent + timeout) {
                absent_for_good(peer, params, r, i, now);
            }
        }
    }
}

/* Notes whether the peer sees other outer source ports than were sent. */
static void
learn_rewriting(struct zoo_peer *peer, const struct zoo_probe *report)
{
    bool arrived = false;

    for (unsigned int k = 0; k < report->n_entries; k++) {
        arrived |= report->entries[k].last == report->round;
    }
    if (!(report->flags & ZOO_PROBE_F_REWRITTEN) || arrived) {
        peer->n_rewritten = 0;
        if (peer->state == ZOO_PEER_UNSUPPORTED) {
            zoo_peer_set_state(peer, ZOO_PEER_ACTIVE);
            peer->next_full = 0;
        }
    } else if (peer->n_rewritten >= REWRITTEN_REPORTS
               || ++peer->n_rewritten == REWRITTEN_REPORTS) {
        zoo_peer_set_state(peer, ZOO_PEER_UNSUPPORTED);
    }
}

/* Notes what the members of 'group' are capable of: the peer is of what all of
 * its groups are that candidates lead to, as any of them may get a packet. */
static void
learn_caps(struct zoo_peer *peer, struct zoo_group *group, uint16_t caps)
{
    group->caps = caps;
    peer->peer_caps = caps;
    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_group *g
            = zoo_peer_group(peer, peer->candidates[i].group);

        if (g->memory) {
            peer->peer_caps &= g->caps;
        }
    }
}

/* Returns the time 'when', for a member that is 0 if there is none. */
static uint32_t
to_ms(long long int when)
{
    return MAX(1, (uint32_t) (when / MSEC));
}

/* Returns how long after 'a' 'b' is, which may be before it by some days, ns. */
static long long int
since_ms(uint32_t a, uint32_t b)
{
    return (int32_t) (b - a) * MSEC;
}

/* Returns how long it is at 'now' since the peer's machine was asked, ns. */
static long long int
since_asked(const struct zoo_peer *peer, long long int now)
{
    return (peer->alive_asked_ms
            ? (uint32_t) (to_ms(now) - peer->alive_asked_ms) * MSEC
            : LLONG_MAX);
}

bool
zoo_peer_consents(struct zoo_peer *peer, uint16_t cap, long long int now)
{
    long long int answered = MAX(MAX(peer->last_report, peer->active_since),
                                 peer->link_down);
    bool silent = (peer->state != ZOO_PEER_IDLE
                   && peer->n_silent >= UNANSWERED_ROUNDS);
    long long int alive = since_ms(to_ms(answered), peer->alive_ms);
    bool known;

    if (-alive >= ZOO_PEER_CONSENT_TIME) {
        peer->alive_ms = 0;
    }
    known = peer->alive_ms && since_asked(peer, now) < ASKED_TIME;

    if ((silent && known && alive > ALIVE_TIME)
        || (silent && !known && now - answered > UNANSWERED_TIME)
        || now - peer->last_report > ZOO_PEER_CONSENT_TIME) {
        peer->peer_caps = 0;
    }
    return (peer->peer_caps & cap) == cap;
}

void
zoo_peer_confirm(struct zoo_peer *peer, uint16_t caps, long long int now)
{
    peer->peer_caps &= caps;
    peer->last_report = now;
}

bool
zoo_peer_asks_alive(const struct zoo_peer *peer, uint16_t cap,
                    long long int now)
{
    long long int interval = peer->n_silent ? SILENT_ALIVE_INTERVAL
                                            : ALIVE_INTERVAL;

    return ((peer->peer_caps & cap) == cap && peer->state != ZOO_PEER_IDLE
            && since_asked(peer, now) >= interval);
}

void
zoo_peer_alive_asked(struct zoo_peer *peer, long long int now)
{
    peer->alive_asked_ms = to_ms(now);
}

void
zoo_peer_alive(struct zoo_peer *peer, long long int now)
{
    peer->alive_ms = to_ms(now);
}

/* Follows what 'report' asks for. */
static void
learn_ctl(struct zoo_peer *peer, const struct zoo_probe *report,
          long long int now)
{
    unsigned int n = report->ctl & ZOO_PROBE_CTL_DOUBLINGS;
    uint32_t now_ms = now / MSEC;

    if (n && (!peer->slowed || now_ms - peer->slowed_ms >= SLOWER_TIME_MS)) {
        peer->slowed = MIN(peer->slowed + n, ZOO_PEER_MAX_DOUBLINGS);
        peer->slowed_ms = now_ms;
    }
}

enum zoo_probe_error
zoo_peer_report(struct zoo_peer *peer, const struct zoo_params *params,
                const struct zoo_probe *report, uint16_t sport,
                long long int now)
{
    struct zoo_open_round *r
        = &peer->rounds[report->round % ZOO_PEER_MAX_ROUNDS];
    bool first = r->id == report->round && !r->answered;
    struct zoo_group *group;
    bool continuous;
    uint8_t g;

    if (report->session != peer->session || report->round > peer->round
        || peer->state == ZOO_PEER_IDLE) {
        return ZOO_PROBE_UNEXPECTED;
    }
    if (peer->round - report->round >= ZOO_PEER_MAX_ROUNDS) {
        return ZOO_PROBE_REPLAYED;
    }
    for (unsigned int k = 0; k < report->n_entries; k++) {
        if (report->entries[k].last > peer->round) {
            return ZOO_PROBE_UNEXPECTED;
        }
    }

    if (report->flags & ZOO_PROBE_F_REFLECTED
        && zoo_peer_take_echo(peer, report, sport)) {
        return ZOO_PROBE_OK;
    }

    peer->answered = true;
    peer->n_silent = peer->n_forgiven = 0;
    peer->last_report = now;
    if (report->round == peer->round) {
        peer->peer_key = report->newest_key;
    }
    if (first) {
        r->answered = true;
        if (r->sent - peer->link_down < LINK_UP_TIME) {
            FOR_EACH_ROUND (older, peer) {
                if (older->id < r->id) {
                    older->open = 0;
                }
            }
            peer->link_down = LLONG_MIN / 2;
        }
        learn_ctl(peer, report, now);
        if (!(report->ctl & ZOO_PROBE_CTL_DOUBLINGS)) {
            sample_rtt(peer, now - r->sent);
        }
        learn_rewriting(peer, report);
    }
    if (report->flags & ZOO_PROBE_F_CHALLENGE) {
        peer->challenge = report->challenge;
        request_urgent(peer, params, now);
    }

    g = zoo_peer_backend_group(peer, report->backend_id);
    group = zoo_peer_group(peer, g);
    continuous = report->challenge == group->memory;
    group->memory = report->challenge;
    if (report->round == peer->round) {
        learn_caps(peer, group, report->caps);
    }
    for (unsigned int k = 0; k < report->n_entries; k++) {
        const struct zoo_probe_entry *e = &report->entries[k];
        int i = zoo_path_table_find(&peer->table, e->sport);

        if (i >= 0) {
            learn_entry(peer, params, report, e, i, g, continuous, now);
        }
    }
    zoo_peer_settle(peer, params, now);
    return ZOO_PROBE_OK;
}

long long int
zoo_peer_round_trip(const struct zoo_peer *peer,
                    const struct zoo_probe *report, long long int now)
{
    const struct zoo_open_round *r
        = &peer->rounds[report->round % ZOO_PEER_MAX_ROUNDS];
    long long int shortest = LLONG_MAX;

    if (r->id != report->round || peer->groups) {
        return 0;
    }
    for (unsigned int k = 0; k < report->n_entries; k++) {
        const struct zoo_probe_entry *e = &report->entries[k];

        if (e->last == r->id) {
            shortest = MIN(shortest, now - r->sent - e->age_us * 1000LL);
        }
    }
    return shortest == LLONG_MAX ? 0 : MAX(shortest, 0);
}
