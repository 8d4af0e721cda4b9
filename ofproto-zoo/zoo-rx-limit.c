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
#include "util.h"
#include "zoo-path-table.h"
#include "zoo-probe.h"

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* Buckets of sources, by hash.  Two that share one share its tokens. */
#define N_SOURCES 4096

/* How much wider the buckets ahead of authentication are. */
#define WIDER_SOURCE 4
#define WIDER_TOTAL 2

/* CTL follows what was refused in the last of these. */
#define WINDOW (250 * MSEC)

/* What CTL asks for at once, at most. */
#define MAX_DOUBLINGS 4

/* More is a full bucket at any rate, and does not overflow at the highest. */
#define MAX_ELAPSED (2 * ZOO_MAX_CANDIDATES * SEC)

/* A token bucket that holds a second's worth, in billionths of a request. */
struct bucket {
    long long int credit;
    long long int updated;
};

struct source {
    struct bucket taken;        /* By authentic requests. */
    struct bucket admitted;     /* By all. */
    long long int window;       /* When the window began. */
    uint32_t n_taken, n_refused; /* In this window. */
    uint8_t doublings;          /* After the last one. */
    unsigned int n_lost;
    long long int unseen;       /* Until then an absence is no loss. */
};

struct zoo_rx_limit {
    unsigned int total, per_source;
    unsigned int throttle;
    uint32_t basis;
    struct bucket taken, admitted;
    struct bucket offered;      /* As 'admitted', but also by what is not. */
    long long int busy;         /* Until then some may be lost unseen. */
    struct source sources[N_SOURCES];
};

struct zoo_rx_limit *
zoo_rx_limit_create(uint32_t basis)
{
    struct zoo_rx_limit *l = xzalloc(sizeof *l);

    l->basis = basis;
    l->total = l->per_source = 1;
    /* Buckets are full at first. */
    l->taken.updated = l->admitted.updated = -MAX_ELAPSED;
    l->offered.updated = -MAX_ELAPSED;
    for (size_t i = 0; i < N_SOURCES; i++) {
        struct source *s = &l->sources[i];

        s->taken.updated = s->admitted.updated = -MAX_ELAPSED;
    }
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

static struct source *
find_source(struct zoo_rx_limit *l, const struct in6_addr *source)
{
    return &l->sources[hash_bytes(source, sizeof *source, l->basis)
                       % N_SOURCES];
}

/* A second's worth, or two rounds. */
static long long int
bucket_depth(long long int rate)
{
    return MAX(rate, 2 * ZOO_MAX_CANDIDATES) * SEC;
}

static void
bucket_refill(struct bucket *b, long long int rate, long long int now)
{
    long long int elapsed = MAX(0, MIN(now - b->updated, MAX_ELAPSED));

    b->credit = MIN(b->credit + elapsed * rate, bucket_depth(rate));
    b->updated = now;
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
                   unsigned int n_lost, long long int now)
{
    struct source *s = find_source(l, source);
    long long int total = (long long int) l->total * WIDER_TOTAL;
    long long int own = (long long int) l->per_source * WIDER_SOURCE;

    note_offered(l, total, now);
    total = MAX(total >> l->throttle, 1);
    bucket_refill(&l->admitted, total, now);
    bucket_refill(&s->admitted, own, now);
    bucket_refill(&s->taken, l->per_source, now);
    if (s->n_lost != n_lost) {
        s->n_lost = n_lost;
        s->unseen = now + ZOO_RX_UNSEEN_TIME;
    }

    long long int reserve = (s->taken.credit >= SEC ? 0
                             : bucket_depth(total) / 2);
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
    struct source *s = find_source(l, source);
    struct zoo_rx_grant grant;

    bucket_refill(&l->taken, l->total, now);
    bucket_refill(&s->taken, l->per_source, now);
    if (now - s->window >= WINDOW) {
        s->doublings = (now - s->window < 2 * WINDOW
                        ? count_doublings(s->n_taken, s->n_refused) : 0);
        s->n_taken = s->n_refused = 0;
        s->window = now;
    }
    grant.refused = s->taken.credit < SEC || l->taken.credit < SEC;
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
