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
#include "zoo-rx-limit.h"

#include "hash.h"
#include "packets.h"
#include "util.h"
#include "zoo-path-table.h"
#include "zoo-probe.h"

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* Sources are found by a hash of their addresses, which says in which set they
 * are: so a thousand sources that send at a time nearly never find more than
 * N_WAYS in one. */
#define N_WAYS 4
#define N_SETS (ZOO_RX_LIMIT_N_SOURCES / N_WAYS)

/* How much wider the buckets ahead of authentication are. */
#define WIDER_SOURCE 4
#define WIDER_TOTAL 2

/* Who sends, so that the total can be shared out, is counted for so long. */
#define COUNT_TIME SEC

/* CTL follows what was refused in the last of these. */
#define WINDOW (250 * MSEC)

/* What CTL asks for at once, at most. */
#define MAX_DOUBLINGS 4

/* More is a full bucket at any rate, and does not overflow at the highest. */
#define MAX_ELAPSED (2 * ZOO_MAX_CANDIDATES * SEC)

/* A token bucket, in billionths of a request. */
struct bucket {
    long long int credit;
    long long int updated;
};

struct source {
    struct in6_addr address;
    long long int used;         /* When a request came last. */
    struct bucket taken;        /* By authentic requests. */
    struct bucket admitted;     /* By all. */
    struct bucket share;        /* By authentic requests, taken or refused:
                                 * below 0 while they are more than a fair
                                 * share. */
    uint32_t counted;           /* 'n_counts' when it was counted last, 0 for
                                 * never. */
    long long int window;       /* When the window began. */
    uint32_t n_taken, n_refused; /* In this window. */
    uint8_t doublings;          /* After the last one. */
    long long int unseen;       /* Until then an absence is no loss. */
};

/* Sources whose addresses have the same hash. */
struct source_set {
    struct source ways[N_WAYS];
    unsigned int n;             /* Of these in use, from the first on. */
    long long int unseen;       /* The latest of those replaced. */
};

/* What a counter of requests lost elsewhere says.  Several sources may share
 * one. */
struct lost {
    unsigned int n;
    long long int unseen;       /* As of a source. */
};

struct zoo_rx_limit {
    unsigned int total, per_source;
    unsigned int throttle;
    uint32_t basis;
    struct bucket taken, admitted;
    struct bucket offered;      /* As 'admitted', but also by what is not. */
    long long int count_began;
    uint32_t n_counts;
    unsigned int n_sources;     /* That have sent since 'count_began', */
    unsigned int n_sources_before; /* and in the count before. */
    long long int busy;         /* Until then some may be lost unseen. */
    struct lost lost[ZOO_RX_LIMIT_N_COUNTERS];
    struct source_set sets[N_SETS];
};

struct zoo_rx_limit *
zoo_rx_limit_create(uint32_t basis)
{
    struct zoo_rx_limit *l = xzalloc(sizeof *l);

    l->basis = basis;
    l->total = l->per_source = 1;
    l->n_counts = 1;
    l->count_began = -MAX_ELAPSED;
    /* Buckets are full at first. */
    l->taken.updated = l->admitted.updated = -MAX_ELAPSED;
    l->offered.updated = -MAX_ELAPSED;
    return l;
}

void
zoo_rx_limit_destroy(struct zoo_rx_limit *l)
{
    free(l);
}

void
zoo_rx_limit_configure(struct zoo_rx_limit *l, unsigned int total,
                       unsigned int per_source)
{
    l->total = total;
    l->per_source = MIN(total, per_source);
}

void
zoo_rx_limit_throttle(struct zoo_rx_limit *l, unsigned int n)
{
    l->throttle = n;
}

/* Returns true if 's' is one of those that the fair share is for.  Such a
 * source keeps its place: else it would get full buckets with each new one,
 * and be counted twice. */
static bool
is_counted(const struct zoo_rx_limit *l, const struct source *s)
{
    return s->counted && l->n_counts - s->counted <= 1;
}

/* Returns a place for a new source in 'set', that of the source which has sent
 * least recently of those that are not counted, NULL if all are. */
static struct source *
find_place(const struct zoo_rx_limit *l, struct source_set *set)
{
    struct source *oldest = NULL;

    if (set->n < N_WAYS) {
        return &set->ways[set->n++];
    }
    for (struct source *s = set->ways; s < &set->ways[N_WAYS]; s++) {
        if (!is_counted(l, s) && (!oldest || s->used < oldest->used)) {
            oldest = s;
        }
    }
    if (oldest) {
        set->unseen = MAX(set->unseen, oldest->unseen);
    }
    return oldest;
}

/* Returns what is known of 'source', of which a request has come at 'now'.
 * One for which there is no place shares another one's. */
static struct source *
find_source(struct zoo_rx_limit *l, const struct in6_addr *source,
            long long int now)
{
    uint32_t hash = hash_bytes(source, sizeof *source, l->basis);
    struct source_set *set = &l->sets[hash % N_SETS];
    struct source *s;

    for (s = set->ways; s < &set->ways[set->n]; s++) {
        if (ipv6_addr_equals(&s->address, source)) {
            s->used = now;
            return s;
        }
    }
    s = find_place(l, set);
    if (!s) {
        return &set->ways[hash / N_SETS % N_WAYS];
    }
    /* Buckets are full at first. */
    *s = (struct source) {
        .address = *source,
        .used = now,
        .taken.updated = now - MAX_ELAPSED,
        .admitted.updated = now - MAX_ELAPSED,
        .share.updated = now - MAX_ELAPSED,
        .unseen = set->unseen,
    };
    return s;
}

/* A second's worth, or two rounds. */
static long long int
bucket_depth(long long int rate)
{
    return MAX(rate, 2 * ZOO_MAX_CANDIDATES) * SEC;
}

static void
bucket_refill_to(struct bucket *b, long long int rate, long long int depth,
                 long long int now)
{
    long long int elapsed = MAX(0, MIN(now - b->updated, MAX_ELAPSED));

    b->credit = MIN(b->credit + elapsed * rate, depth);
    b->updated = now;
}

static void
bucket_refill(struct bucket *b, long long int rate, long long int now)
{
    bucket_refill_to(b, rate, bucket_depth(rate), now);
}

/* Fair shares. */

/* Returns how many authentic requests per second are looked at. */
static long long int
admitted_rate(const struct zoo_rx_limit *l)
{
    return MAX((long long int) l->total * WIDER_TOTAL >> l->throttle, 1);
}

/* Returns what each source would get, per second, if all that send sent more
 * than that. */
static long long int
fair_share(const struct zoo_rx_limit *l)
{
    unsigned int n = MAX(MAX(l->n_sources, l->n_sources_before), 1);

    return MAX(MIN(l->per_source, MIN(l->total, admitted_rate(l)) / n), 1);
}

/* Returns true if 's' does not send more than its fair share.  All who do not
 * together send no more than there is, so others' requests may not take what
 * these need. */
static bool
is_light(const struct zoo_rx_limit *l, struct source *s, long long int now)
{
    bucket_refill(&s->share, fair_share(l), now);
    return s->share.credit >= SEC;
}

/* Notes an authentic request of 's'. */
static void
note_share(struct zoo_rx_limit *l, struct source *s, long long int now)
{
    long long int share, elapsed = now - l->count_began;

    if (elapsed >= COUNT_TIME) {
        l->n_sources_before = elapsed < 2 * COUNT_TIME ? l->n_sources : 0;
        l->n_sources = 0;
        l->n_counts++;
        l->count_began = now;
    }
    if (s->counted != l->n_counts) {
        s->counted = l->n_counts;
        l->n_sources++;
    }
    share = fair_share(l);
    bucket_refill(&s->share, share, now);
    s->share.credit = MAX(s->share.credit - SEC, -bucket_depth(share));
}

/* Notes that a request has come, of whomever, whatever becomes of it, where
 * 'rate' is what is looked at. */
static void
note_offered(struct zoo_rx_limit *l, long long int rate, long long int now)
{
    bucket_refill(&l->offered, rate, now);
    /* Lower layers do not hold what comes in a second. */
    l->offered.credit = MIN(l->offered.credit,
                            MAX(bucket_depth(rate) / 10,
                                2 * ZOO_MAX_CANDIDATES * SEC));
    if (l->offered.credit >= SEC) {
        l->offered.credit -= SEC;
    } else {
        l->busy = now + ZOO_RX_UNSEEN_TIME;
    }
}

bool
zoo_rx_limit_admit(struct zoo_rx_limit *l, const struct in6_addr *source,
                   unsigned int counter, unsigned int n_lost,
                   long long int now)
{
    struct lost *lost = &l->lost[counter % ZOO_RX_LIMIT_N_COUNTERS];
    struct source *s = find_source(l, source, now);
    long long int total = (long long int) l->total * WIDER_TOTAL;
    long long int own = (long long int) l->per_source * WIDER_SOURCE;

    note_offered(l, total, now);
    total = admitted_rate(l);
    bucket_refill(&l->admitted, total, now);
    bucket_refill(&s->admitted, own, now);
    if (lost->n != n_lost) {
        lost->n = n_lost;
        lost->unseen = now + ZOO_RX_UNSEEN_TIME;
    }
    s->unseen = MAX(s->unseen, lost->unseen);

    long long int reserve = is_light(l, s, now) ? 0 : bucket_depth(total) / 2;
    if (s->admitted.credit < SEC || l->admitted.credit < reserve + SEC) {
        s->unseen = now + ZOO_RX_UNSEEN_TIME;
        return false;
    }
    s->admitted.credit -= SEC;
    l->admitted.credit -= SEC;
    return true;
}

/* Returns how often the intervals of a source must be doubled that has sent
 * 'n_taken' and 'n_refused' requests more than that. */
static uint8_t
count_doublings(uint32_t n_taken, uint32_t n_refused)
{
    unsigned int n = 0;

    if (n_refused) {
        uint64_t all = (uint64_t) n_taken + n_refused;

        for (n = 1; n < MAX_DOUBLINGS && all >> n > n_taken; n++) {
            continue;
        }
    }
    return n;
}

struct zoo_rx_grant
zoo_rx_limit_take(struct zoo_rx_limit *l, const struct in6_addr *source,
                  long long int now)
{
    struct source *s = find_source(l, source, now);
    long long int depth = bucket_depth(l->total);
    struct zoo_rx_grant grant;
    long long int reserve;

    /* Two seconds' worth, of which one is reserved. */
    bucket_refill_to(&l->taken, l->total, 2 * depth, now);
    reserve = is_light(l, s, now) ? 0 : depth;
    note_share(l, s, now);
    bucket_refill(&s->taken, l->per_source, now);
    if (now - s->window >= WINDOW) {
        s->doublings = (now - s->window < 2 * WINDOW
                        ? count_doublings(s->n_taken, s->n_refused) : 0);
        s->n_taken = s->n_refused = 0;
        s->window = now;
    }
    grant.refused = (s->taken.credit < SEC
                     || l->taken.credit < reserve + SEC);
    if (grant.refused) {
        s->n_refused++;
    } else {
        s->taken.credit -= SEC;
        l->taken.credit -= SEC;
        s->n_taken++;
    }
    grant.ctl = (MAX(s->doublings, grant.refused)
                 | (zoo_rx_limit_is_busy(l, now) ? ZOO_PROBE_CTL_BUSY : 0)
                 | (now < s->unseen ? ZOO_PROBE_CTL_UNSEEN : 0));
    return grant;
}

bool
zoo_rx_limit_is_busy(const struct zoo_rx_limit *l, long long int now)
{
    return now < l->busy;
}
