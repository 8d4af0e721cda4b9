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
#include "zoo-responder.h"

#include <limits.h>

#include "hash.h"
#include "openvswitch/list.h"
#include "openvswitch/util.h"
#include "util.h"

#define SENDER_TIMEOUT (300 * 1000LL * 1000 * 1000)

/* How far behind the newest round a request may be: as far as reports can
 * tell. */
#define MAX_ROUND_LAG 16

/* For so long after a request has found no room, other requests of its round
 * may come. */
#define ROUND_TIME (1000 * 1000LL * 1000)

/* Former sessions of one sender that cannot come back. */
#define N_DEAD 4

struct sender_port {
    uint16_t sport;             /* 0 if unused. */
    uint16_t history;
    uint32_t last;
    long long int arrival;
};

struct sender {
    struct hmap_node hmap_node;
    struct ovs_list lru_node;   /* In 'lru', most recently heard last. */
    struct ovs_list due_node;   /* In 'complete', 'due' or 'later' if a report
                                 * is owed. */
    struct zoo_sender_key key;
    struct zoo_sender_tunnel tunnel;
    long long int heard;

    uint64_t session;           /* Adopted session. */
    uint64_t challenge;         /* To be repeated by any other session. */
    uint64_t dead[N_DEAD];
    unsigned int next_dead;
    uint32_t partial;           /* Round of which some requests may have come
                                 * unnoticed, 0 if none. */
    uint32_t round;             /* Newest round. */
    unsigned int n_unlisted;    /* Its requests from ports not listed. */
    uint16_t newest_key;
    uint16_t caps;
    struct sender_port ports[ZOO_MAX_CANDIDATES];

    /* The report owed. */
    long long int due;
    uint64_t report_session;    /* 'session', or one to be challenged. */
    uint32_t report_round;
    uint16_t report_flags;
    uint8_t report_ctl;
    unsigned int n_entries;     /* Of the requests. */
    unsigned int n_arrived;     /* Requests that the report answers. */
    unsigned int n_sports;
    uint16_t sports[ZOO_MAX_CANDIDATES];
    uint32_t arrived;           /* Of these, those that requests came from that
                                 * no report has answered. */
};

/* The report owed to somebody of whom nothing else is remembered. */
struct stranger {
    struct zoo_report report;
    long long int due;
};

struct zoo_responder {
    struct hmap senders;
    struct ovs_list lru;

    /* Who is owed a report, each list in order of 'due': for a whole round, for
     * a part of one, and after refusals. */
    struct ovs_list complete, due, later;

    /* A ring, also in that order. */
    struct stranger strangers[ZOO_RESPONDER_MAX_STRANGERS];
    unsigned int first_stranger, n_strangers;
    long long int no_room;      /* When a request was last forgotten. */
};

struct zoo_responder *
zoo_responder_create(void)
{
    struct zoo_responder *r = xmalloc(sizeof *r);

    hmap_init(&r->senders);
    ovs_list_init(&r->lru);
    ovs_list_init(&r->complete);
    ovs_list_init(&r->due);
    ovs_list_init(&r->later);
    r->first_stranger = r->n_strangers = 0;
    r->no_room = LLONG_MIN / 2;
    return r;
}

static void
sender_destroy(struct zoo_responder *r, struct sender *s)
{
    hmap_remove(&r->senders, &s->hmap_node);
    ovs_list_remove(&s->lru_node);
    ovs_list_remove(&s->due_node);
    free(s);
}

void
zoo_responder_destroy(struct zoo_responder *r)
{
    if (r) {
        struct sender *s, *next;

        LIST_FOR_EACH_SAFE (s, next, lru_node, &r->lru) {
            sender_destroy(r, s);
        }
        hmap_destroy(&r->senders);
        free(r);
    }
}

static struct sender *
sender_find(const struct zoo_responder *r, const struct zoo_sender_key *key,
            uint32_t hash)
{
    struct sender *s;

    HMAP_FOR_EACH_WITH_HASH (s, hmap_node, hash, &r->senders) {
        if (!memcmp(&s->key, key, sizeof *key)) {
            return s;
        }
    }
    return NULL;
}

static struct sender *
sender_create(struct zoo_responder *r, const struct zoo_sender_key *key,
              uint32_t hash, const struct zoo_probe *probe, uint8_t ctl,
              long long int now, uint64_t random)
{
    bool unseen = ctl & (ZOO_PROBE_CTL_UNSEEN | ZOO_PROBE_CTL_BUSY);
    struct sender *s;

    if (hmap_count(&r->senders) >= ZOO_RESPONDER_MAX_SENDERS) {
        r->no_room = now;
        sender_destroy(r, CONTAINER_OF(ovs_list_front(&r->lru),
                                       struct sender, lru_node));
    }
    s = xzalloc(sizeof *s);
    s->key = *key;
    s->heard = now;
    s->session = probe->session;
    s->challenge = random;
    s->partial = (unseen || now - r->no_room < ROUND_TIME
                  ? probe->round : 0);
    hmap_insert(&r->senders, &s->hmap_node, hash);
    ovs_list_push_back(&r->lru, &s->lru_node);
    ovs_list_init(&s->due_node);
    return s;
}

static void
adopt_session(struct sender *s, uint64_t session, uint64_t random)
{
    s->dead[s->next_dead++ % N_DEAD] = s->session;
    s->session = session;
    s->challenge = random;
    s->round = 0;
    s->n_unlisted = 0;
    s->partial = 0;
    memset(s->ports, 0, sizeof s->ports);
}

static bool
session_is_dead(const struct sender *s, uint64_t session)
{
    for (int i = 0; i < N_DEAD; i++) {
        if (s->dead[i] == session) {
            return true;
        }
    }
    return false;
}

/* Returns the entry of 'sport', reusing that of the port which has been silent
 * for longest if there is none. */
static struct sender_port *
sender_port(struct sender *s, uint16_t sport)
{
    struct sender_port *oldest = &s->ports[0];

    for (int i = 0; i < ZOO_MAX_CANDIDATES; i++) {
        struct sender_port *p = &s->ports[i];

        if (p->sport == sport) {
            return p;
        } else if (p->arrival < oldest->arrival) {
            oldest = p;
        }
    }
    *oldest = (struct sender_port) { .sport = sport };
    return oldest;
}

/* Returns true if 'sport' is among the entries of 'probe'. */
static bool
lists_port(const struct zoo_probe *probe, uint16_t sport)
{
    for (unsigned int i = 0; i < probe->n_entries; i++) {
        if (probe->entries[i].sport == sport) {
            return true;
        }
    }
    return false;
}

/* Returns what a report asks for that answers requests with 'a' and 'b'. */
static uint8_t
merge_ctl(uint8_t a, uint8_t b)
{
    return (MAX(a & ZOO_PROBE_CTL_DOUBLINGS, b & ZOO_PROBE_CTL_DOUBLINGS)
            | ((a | b) & (ZOO_PROBE_CTL_UNSEEN | ZOO_PROBE_CTL_BUSY)));
}

/* Notes that 'round' arrived on 'p'.  Returns false if it had already. */
static bool
port_arrived(struct sender_port *p, uint32_t round, long long int arrival)
{
    if (!p->last) {
        p->last = round;
    } else if (round > p->last) {
        uint32_t n = round - p->last;

        p->history = n > 16 ? 0 : (p->history << 1 | 1u) << (n - 1);
        p->last = round;
    } else {
        uint32_t age = p->last - round;

        if (!age || age > 16 || p->history & (1u << (age - 1))) {
            return false;
        }
        p->history |= 1u << (age - 1);
        return true;
    }
    p->arrival = arrival;
    return true;
}

/* Notes that a request of the adopted session arrived from 'sport', which is
 * 'listed' in it or not.  Returns false if it may have arrived before. */
static bool
request_is_new(struct sender *s, const struct zoo_probe *probe,
               uint16_t sport, bool listed, long long int arrival)
{
    if (s->round > MAX_ROUND_LAG && probe->round < s->round - MAX_ROUND_LAG) {
        return false;
    }
    if (listed) {
        if (!port_arrived(sender_port(s, sport), probe->round, arrival)) {
            return false;
        }
    } else if (probe->round < s->round
               || (probe->round == s->round
                   && s->n_unlisted >= probe->n_entries)) {
        return false;
    }

    if (probe->round > s->round) {
        s->round = probe->round;
        s->n_unlisted = 0;
    }
    s->n_unlisted += !listed;
    return true;
}

/* Puts 's' on a list of reports owed, which stay in order because on each the
 * report waits equally long for everybody. */
static void
owe_report(struct zoo_responder *r, struct sender *s, bool refused,
           long long int now)
{
    if (!ovs_list_is_empty(&s->due_node)) {
        if (refused || s->due <= now + ZOO_RESPONDER_HOLD) {
            return;
        }
        ovs_list_remove(&s->due_node);
    }
    s->due = now + (refused ? ZOO_RESPONDER_REFUSED_HOLD
                    : ZOO_RESPONDER_HOLD);
    ovs_list_push_back(refused ? &r->later : &r->due, &s->due_node);
}

/* The report of 's' need not wait any longer. */
static void
pay_report_now(struct zoo_responder *r, struct sender *s, long long int now)
{
    if (s->due <= now) {
        /* To come later than it was due would be to wait again. */
        return;
    }
    s->due = now;
    ovs_list_remove(&s->due_node);
    ovs_list_push_back(&r->complete, &s->due_node);
}

/* Begins or continues the report that answers 'probe'. */
static void
note_request(struct zoo_responder *r, struct sender *s,
             const struct zoo_probe *probe, uint16_t sport, bool listed,
             bool adopted, struct zoo_rx_grant grant, long long int now)
{
    if (s->report_session != probe->session
        || s->report_round != probe->round) {
        s->report_session = probe->session;
        s->report_round = probe->round;
        s->report_flags = adopted ? 0 : ZOO_PROBE_F_CHALLENGE;
        s->report_ctl = 0;
        s->n_entries = probe->n_entries;
        s->n_arrived = 0;
        s->arrived = 0;
        s->n_sports = 0;
        /* A report lists something, though ports are rewritten. */
        if (adopted && (probe->round != s->partial || !listed)) {
            s->n_sports = probe->n_entries;
            for (unsigned int i = 0; i < probe->n_entries; i++) {
                s->sports[i] = probe->entries[i].sport;
            }
        }
    }
    s->report_flags |= probe->flags & ZOO_PROBE_F_URGENT;
    s->report_flags |= listed ? 0 : ZOO_PROBE_F_REWRITTEN;
    s->n_arrived++;

    /* Of a session that is only challenged nothing is remembered but this, and
     * of a round that is known in part only nothing else is to be said. */
    if (s->n_sports < probe->n_entries
        && (!adopted || (listed && probe->round == s->partial))) {
        s->sports[s->n_sports++] = sport;
    }

    /* One bit for one request, however often it lists the port. */
    for (unsigned int i = 0; i < s->n_sports; i++) {
        if (s->sports[i] == sport) {
            s->arrived |= UINT32_C(1) << i;
            break;
        }
    }

    s->report_ctl = merge_ctl(s->report_ctl, grant.ctl);
    owe_report(r, s, grant.refused, now);
    if (!grant.refused && s->n_arrived >= probe->n_entries) {
        pay_report_now(r, s, now);
    }
}

/* Strangers. */

static struct stranger *
stranger_at(struct zoo_responder *r, unsigned int i)
{
    return &r->strangers[(r->first_stranger + i)
                         % ZOO_RESPONDER_MAX_STRANGERS];
}

/* Returns which of the strangers round 'probe->round' of 'key' is, or
 * 'r->n_strangers' if it is none. */
static unsigned int
find_stranger(struct zoo_responder *r, const struct zoo_sender_key *key,
              const struct zoo_probe *probe)
{
    unsigned int i;

    for (i = 0; i < r->n_strangers; i++) {
        const struct zoo_report *report = &stranger_at(r, i)->report;

        if (report->probe.session == probe->session
            && report->probe.round == probe->round
            && !memcmp(&report->key, key, sizeof *key)) {
            break;
        }
    }
    return i;
}

/* Returns the report that round 'probe->round' of 'key' is owed, which is new
 * if there is none yet, or NULL if there is no room. */
static struct zoo_report *
owe_stranger(struct zoo_responder *r, const struct zoo_sender_key *key,
             const struct zoo_probe *probe, long long int now,
             uint64_t random)
{
    unsigned int i = find_stranger(r, key, probe);
    struct zoo_report *report;

    if (i < r->n_strangers) {
        return &stranger_at(r, i)->report;
    } else if (r->n_strangers >= ZOO_RESPONDER_MAX_STRANGERS) {
        r->no_room = now;
        return NULL;
    }

    struct stranger *new = stranger_at(r, r->n_strangers++);

    new->due = now + ZOO_RESPONDER_REFUSED_HOLD;
    report = &new->report;
    memset(report, 0, sizeof *report);
    report->key = *key;
    report->peer_newest_key = probe->newest_key;
    report->probe.type = ZOO_PROBE_REPORT;
    report->probe.round = probe->round;
    report->probe.session = probe->session;
    report->probe.challenge = random;
    return report;
}

/* Processes a refused request of somebody who is not known.
 *
 * The report lists only ports that requests came from, not all of the
 * request's, since others may have come when there was no room. */
static enum zoo_probe_error
receive_stranger(struct zoo_responder *r, const struct zoo_sender_key *key,
                 uint16_t sport, const struct zoo_probe *probe,
                 long long int now, uint64_t random, struct zoo_rx_grant grant,
                 struct zoo_sender_tunnel **tunnelp)
{
    struct zoo_report *report = owe_stranger(r, key, probe, now, random);
    bool listed = lists_port(probe, sport);
    struct zoo_probe *answer;

    if (!report) {
        return ZOO_PROBE_REFUSED;
    }
    answer = &report->probe;
    answer->flags |= ((probe->flags & ZOO_PROBE_F_URGENT)
                      | (listed ? 0 : ZOO_PROBE_F_REWRITTEN));
    answer->ctl = merge_ctl(answer->ctl, grant.ctl);
    if (!lists_port(answer, sport) && answer->n_entries < probe->n_entries) {
        answer->entries[answer->n_entries++]
            = (struct zoo_probe_entry) { .sport = sport,
                                         .last = listed ? probe->round : 0 };
    }
    report->max_copies++;
    *tunnelp = &report->tunnel;
    return ZOO_PROBE_OK;
}

/* Takes the report that is owed to strangers first. */
static void
pay_stranger(struct zoo_responder *r, long long int now,
             struct zoo_report *report)
{
    const struct stranger *s = stranger_at(r, 0);
    long long int age_us = (now - s->due + ZOO_RESPONDER_REFUSED_HOLD) / 1000;

    *report = s->report;
    for (unsigned int i = 0; i < report->probe.n_entries; i++) {
        report->probe.entries[i].age_us = MAX(0, MIN(age_us, UINT32_MAX));
    }
    r->first_stranger = (r->first_stranger + 1) % ZOO_RESPONDER_MAX_STRANGERS;
    r->n_strangers--;
}

/* 's', which is new, has been a stranger in this very round: from now on one
 * report says of all its requests that they have arrived. */
static void
introduce_stranger(struct zoo_responder *r, struct sender *s,
                   const struct zoo_probe *probe, long long int now)
{
    unsigned int i = find_stranger(r, &s->key, probe);
    const struct zoo_report *report;
    struct zoo_rx_grant grant;
    long long int arrival;

    if (i >= r->n_strangers) {
        return;
    }
    report = &stranger_at(r, i)->report;
    arrival = stranger_at(r, i)->due - ZOO_RESPONDER_REFUSED_HOLD;
    grant = (struct zoo_rx_grant) { true, report->probe.ctl };
    s->tunnel = report->tunnel;
    for (unsigned int k = 0; k < report->probe.n_entries; k++) {
        uint16_t sport = report->probe.entries[k].sport;
        bool listed = lists_port(probe, sport);

        if (request_is_new(s, probe, sport, listed, arrival)) {
            note_request(r, s, probe, sport, listed, true, grant, now);
        }
    }
    for (r->n_strangers--; i < r->n_strangers; i++) {
        *stranger_at(r, i) = *stranger_at(r, i + 1);
    }
}

enum zoo_probe_error
zoo_responder_receive(struct zoo_responder *r,
                      const struct zoo_sender_key *key,
                      uint16_t sport, const struct zoo_probe *probe,
                      long long int arrival, long long int now,
                      uint64_t random, struct zoo_rx_grant grant,
                      struct zoo_sender_tunnel **tunnelp, bool *newest)
{
    uint32_t hash = hash_bytes(key, sizeof *key, 0);
    struct sender *s = sender_find(r, key, hash);
    bool listed = lists_port(probe, sport);
    bool adopted;

    *tunnelp = NULL;
    *newest = false;
    if (!s && grant.refused) {
        return receive_stranger(r, key, sport, probe, now, random, grant,
                                tunnelp);
    } else if (!s) {
        s = sender_create(r, key, hash, probe, grant.ctl, now, random);
        introduce_stranger(r, s, probe, now);
    } else if (s->session != probe->session) {
        if (session_is_dead(s, probe->session)) {
            return ZOO_PROBE_STALE_SESSION;
        } else if (probe->challenge == s->challenge) {
            adopt_session(s, probe->session, random);
        }
    }

    adopted = s->session == probe->session;
    if (!adopted && s->report_session == s->session
        && !ovs_list_is_empty(&s->due_node)) {
        /* An unproven session must not displace the current one's report. */
        return ZOO_PROBE_STALE_SESSION;
    }
    if (adopted) {
        if (s->report_session == probe->session
            && s->report_round == probe->round
            && s->n_entries != probe->n_entries) {
            /* Requests of one round are identical.  A shorter one must not get
             * a longer one's report. */
            return ZOO_PROBE_MALFORMED;
        }
        if (!request_is_new(s, probe, sport, listed, arrival)) {
            return ZOO_PROBE_REPLAYED;
        }
        s->newest_key = probe->newest_key;
        s->caps = probe->caps;
        s->heard = now;
        ovs_list_remove(&s->lru_node);
        ovs_list_push_back(&r->lru, &s->lru_node);
    }

    /* A straggler of an older round is in the newest round's report. */
    if (!adopted || probe->round == s->round) {
        note_request(r, s, probe, sport, listed, adopted, grant, now);
    }
    *newest = adopted && probe->round == s->round;
    *tunnelp = &s->tunnel;
    return ZOO_PROBE_OK;
}

bool
zoo_responder_knows(const struct zoo_responder *r,
                    const struct zoo_sender_key *key, ovs_be64 tun_id,
                    long long int since)
{
    const struct sender *s = sender_find(r, key,
                                         hash_bytes(key, sizeof *key, 0));

    return s && s->tunnel.tun_id == tun_id && s->tunnel.checked >= since;
}

void
zoo_responder_forget(struct zoo_responder *r, const struct zoo_sender_key *key)
{
    struct sender *s = sender_find(r, key, hash_bytes(key, sizeof *key, 0));

    if (s) {
        sender_destroy(r, s);
    }
}

static void
fill_entry(const struct sender *s, uint16_t sport, bool adopted,
           long long int now, struct zoo_probe_entry *entry)
{
    *entry = (struct zoo_probe_entry) { .sport = sport };
    if (!adopted) {
        entry->last = s->report_round;
        return;
    }
    for (int i = 0; i < ZOO_MAX_CANDIDATES; i++) {
        const struct sender_port *p = &s->ports[i];

        if (p->sport == sport) {
            long long int age_us = (now - p->arrival) / 1000;

            entry->last = p->last;
            entry->history = p->history;
            entry->age_us = MAX(0, MIN(age_us, UINT32_MAX));
            return;
        }
    }
}

/* Returns what sets the challenge in the report owed to 's' apart from those in
 * others, 0 for nothing.  A sender takes another challenge than before as a sign
 * that what arrived earlier may have been forgotten, and so draws no conclusion
 * from what a report does not say of earlier rounds. */
static uint32_t
knowledge(const struct sender *s)
{
    return (s->partial && s->report_round >= s->partial
            && s->report_round - s->partial <= MAX_ROUND_LAG
            ? s->report_round : 0);
}

/* Returns who is owed the report that is due first, or NULL. */
static struct sender *
first_due(const struct zoo_responder *r)
{
    struct sender *first = NULL;
    const struct ovs_list *lists[] = { &r->complete, &r->due, &r->later };

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        if (!ovs_list_is_empty(lists[i])) {
            struct sender *s = CONTAINER_OF(ovs_list_front(lists[i]),
                                            struct sender, due_node);

            first = first && first->due <= s->due ? first : s;
        }
    }
    return first;
}

bool
zoo_responder_next_report(struct zoo_responder *r, long long int now,
                          struct zoo_report *report)
{
    struct sender *s = first_due(r);
    bool adopted;

    if (r->n_strangers && stranger_at(r, 0)->due <= now
        && (!s || stranger_at(r, 0)->due <= s->due)) {
        pay_stranger(r, now, report);
        return true;
    } else if (!s || s->due > now) {
        return false;
    }
    ovs_list_remove(&s->due_node);
    ovs_list_init(&s->due_node);

    adopted = s->report_session == s->session;
    memset(report, 0, sizeof *report);
    report->key = s->key;
    report->tunnel = s->tunnel;
    report->max_copies = s->n_arrived;
    report->peer_newest_key = s->newest_key;
    report->peer_caps = adopted ? s->caps : 0;
    report->arrived = s->arrived;
    report->probe.type = ZOO_PROBE_REPORT;
    report->probe.flags = s->report_flags;
    report->probe.ctl = s->report_ctl;
    report->probe.round = s->report_round;
    report->probe.session = s->report_session;
    report->probe.challenge = (adopted ? s->challenge ^ knowledge(s)
                               : s->challenge);
    report->probe.n_entries = s->n_sports;
    for (unsigned int i = 0; i < s->n_sports; i++) {
        fill_entry(s, s->sports[i], adopted, now, &report->probe.entries[i]);
    }
    s->n_arrived = 0;
    s->arrived = 0;
    if (!adopted) {
        s->n_sports = 0;
    }
    return true;
}

long long int
zoo_responder_next_due(const struct zoo_responder *r)
{
    const struct sender *s = first_due(r);
    long long int due = s ? s->due : LLONG_MAX;

    return (r->n_strangers
            ? MIN(due, r->strangers[r->first_stranger].due) : due);
}

void
zoo_responder_expire(struct zoo_responder *r, long long int now)
{
    struct sender *s, *next;

    LIST_FOR_EACH_SAFE (s, next, lru_node, &r->lru) {
        if (s->heard + SENDER_TIMEOUT > now) {
            break;
        }
        sender_destroy(r, s);
    }
}

unsigned int
zoo_responder_count(const struct zoo_responder *r)
{
    return hmap_count(&r->senders);
}
