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

#include "ovs-ext/vtrace-ring.h"

#include <time.h>

#include "openvswitch/list.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "timeval.h"
#include "util.h"

/* How the watermark stays true
 * ----------------------------
 *
 * The writer:                        The reader:
 *
 *   W1  busy = round                   R1  now = clock
 *   W2  fence                          R2  fence
 *   W3  t = clock                      R3  b = busy             (acquire)
 *   W4  records with time t            R4  empties the ring up to head
 *   W5  head = ...        (release)                             (acquire)
 *   W6  busy = 0          (release)    R5  round = now
 *
 * If W2 comes before R2, in the one order that both fences have, then R3 finds
 * what W1 wrote, or what came after it.  If it finds that the writer is busy
 * with this, the watermark stays below 'b', which is a time before t.
 * Otherwise W6 has happened (busy is only written with release order, so
 * finding a later value means as much), hence R4 sees the records.  If R2
 * comes before W2, R1 has read the clock before W3 does: t is not below 'now',
 * and the watermark is.
 *
 * 'round' is the time at which the reader began its last round, written by it
 * alone: the watermark gets on even if it always finds some thread busy.  A
 * lost record is counted between W3 and W6, so all of this is true for it as
 * well, and a new ring is in the list before its writer comes to W1.
 *
 * When somebody sets the clock back, the times of records go back and the
 * watermark follows. */

/* What a writer knows of a color. */
struct color_state {
    uint64_t next;              /* Time at which its bucket will be full, if
                                 * nothing is taken until then. */
    ATOMIC(uint64_t) full;      /* struct vtrace_ring_lost. */
    ATOMIC(uint64_t) rate;
};

struct vtrace_ring {
    /* Written by the writer. */
    PADDED_MEMBERS(CACHE_LINE_SIZE,
        ATOMIC(uint64_t) busy;  /* Nonzero between begin and end: a time
                                 * before that of the records. */
        ATOMIC(uint32_t) head;  /* Records written, modulo 2**32. */
        atomic_bool dead;       /* The thread has ended. */
        uint32_t next_head;     /* 'head', once the writer is done. */
        uint32_t last_tail;     /* 'tail' as last seen. */
        uint64_t now;           /* Time of the records. */
    );

    /* Written by the reader. */
    PADDED_MEMBERS(CACHE_LINE_SIZE,
        ATOMIC(uint32_t) tail;  /* Records read. */
        struct ovs_list node;   /* In 'rings'. */
    );

    struct vtrace_ring *next;   /* In 'new_rings'. */
    struct color_state *colors; /* VTRACE_COLOR_MAX + 1 of them. */
    struct vtrace_entry *entries;   /* VTRACE_RING_SIZE of them. */
};

BUILD_ASSERT_DECL(IS_POW2(VTRACE_RING_SIZE));

/* Rings that the reader has not seen yet, a stack onto which writers push. */
static ATOMIC(struct vtrace_ring *) new_rings;

/* Each thread's ring.  The key has it, too, for the thread's end. */
DEFINE_STATIC_PER_THREAD_DATA(struct vtrace_ring *, my_ring, NULL);
static ovsthread_key_t ring_key;

/* Colors of which somebody wanted to write. */
static atomic_bool seen[VTRACE_COLOR_MAX + 1];

static ATOMIC(uint64_t) reader_round;

/* The reader's. */
static struct ovs_list rings = OVS_LIST_INITIALIZER(&rings);
static struct vtrace_ring_lost retired[VTRACE_COLOR_MAX + 1];
static uint64_t last_now;
static uint64_t last_watermark;

static uint64_t
wall_ns(void)
{
    struct timespec ts;

    xclock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Writers. */

static void
ring_retire(void *ring_)
{
    struct vtrace_ring *ring = ring_;

    *my_ring_get() = NULL;
    atomic_store_explicit(&ring->dead, true, memory_order_release);
}

void
vtrace_rings_init(void)
{
    static bool done;

    if (!done) {
        done = true;
        ovsthread_key_create(&ring_key, ring_retire);
    }
}

/* The large parts get pages only as they are used. */
static struct vtrace_ring * __attribute__((__noinline__))
ring_create(void)
{
    struct vtrace_ring *ring = xzalloc_cacheline(sizeof *ring);
    struct vtrace_ring *first;

    ring->colors = xcalloc(VTRACE_COLOR_MAX + 1, sizeof *ring->colors);
    ring->entries = xmalloc(VTRACE_RING_SIZE * sizeof *ring->entries);
    atomic_init(&ring->busy, 0);
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->dead, false);

    atomic_read_relaxed(&new_rings, &first);
    do {
        ring->next = first;
    } while (!atomic_compare_exchange_weak_explicit(
                 &new_rings, &first, ring, memory_order_release,
                 memory_order_relaxed));
    ovsthread_setspecific(ring_key, ring);
    *my_ring_get() = ring;
    return ring;
}

struct vtrace_ring *
vtrace_ring_begin(uint64_t *now)
{
    struct vtrace_ring *ring = *my_ring_get();
    uint64_t round;

    if (OVS_UNLIKELY(!ring)) {
        ring = ring_create();
    }

    atomic_read_relaxed(&reader_round, &round);
    atomic_store_explicit(&ring->busy, MAX(round, 1), memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    ring->now = *now = wall_ns();
    return ring;
}

/* Counts one more.  Only this thread writes '*n'. */
static void
count(ATOMIC(uint64_t) *n)
{
    uint64_t value;

    atomic_read_relaxed(n, &value);
    atomic_store_relaxed(n, value + 1);
}

struct vtrace_rate
vtrace_rate(unsigned int rate)
{
    uint64_t token = 1000000000ULL / rate;

    return (struct vtrace_rate) {
        .token = token,
        .size = token * MAX(rate / VTRACE_RING_BURST_FRACTION,
                            VTRACE_RING_BURST_MIN),
    };
}

/* Takes a token from the bucket of 'c', which fills at 'rate'.  The bucket is
 * a time, that at which it will be full: each token taken adds the time it
 * takes to come back. */
static inline bool
take_token(struct color_state *c, uint64_t now, const struct vtrace_rate *rate)
{
    /* Further away only after the clock was set back, or 'rate' changed. */
    if (c->next < now || c->next > now + rate->size) {
        c->next = now;
    }
    if (c->next + rate->token > now + rate->size) {
        return false;
    }
    c->next += rate->token;
    return true;
}

static inline void
set_seen(uint16_t color)
{
    bool is_seen;

    atomic_read_relaxed(&seen[color], &is_seen);
    if (OVS_UNLIKELY(!is_seen)) {
        atomic_store_relaxed(&seen[color], true);
    }
}

struct vtrace_entry *
vtrace_ring_reserve(struct vtrace_ring *ring, uint16_t color,
                    const struct vtrace_rate *rate)
{
    struct color_state *c = &ring->colors[color];

    set_seen(color);
    if (OVS_UNLIKELY(!take_token(c, ring->now, rate))) {
        count(&c->rate);
        return NULL;
    }
    if (OVS_UNLIKELY(ring->next_head - ring->last_tail >= VTRACE_RING_SIZE)) {
        atomic_read_explicit(&ring->tail, &ring->last_tail,
                             memory_order_acquire);
        if (ring->next_head - ring->last_tail >= VTRACE_RING_SIZE) {
            count(&c->full);
            return NULL;
        }
    }
    return &ring->entries[ring->next_head++ % VTRACE_RING_SIZE];
}

void
vtrace_ring_refuse(struct vtrace_ring *ring, uint16_t color)
{
    set_seen(color);
    count(&ring->colors[color].rate);
}

bool
vtrace_ring_put(struct vtrace_ring *ring, const struct vtrace_record *record,
                const struct vtrace_rate *rate)
{
    struct vtrace_entry *entry = vtrace_ring_reserve(ring, record->color,
                                                     rate);

    if (!entry) {
        return false;
    }
    entry->make = NULL;
    entry->record = *record;
    return true;
}

void
vtrace_ring_end(struct vtrace_ring *ring)
{
    atomic_store_explicit(&ring->head, ring->next_head, memory_order_release);
    atomic_store_explicit(&ring->busy, 0, memory_order_release);
}

/* The reader. */

static void
read_lost(struct color_state *c, struct vtrace_ring_lost *lost)
{
    uint64_t full, rate;

    atomic_read_relaxed(&c->full, &full);
    atomic_read_relaxed(&c->rate, &rate);
    lost->full += full;
    lost->rate += rate;
}

static void
ring_destroy(struct vtrace_ring *ring)
{
    for (size_t i = 0; i <= VTRACE_COLOR_MAX; i++) {
        if (vtrace_rings_seen(i)) {
            read_lost(&ring->colors[i], &retired[i]);
        }
    }
    ovs_list_remove(&ring->node);
    free(ring->colors);
    free(ring->entries);
    free_cacheline(ring);
}

static void
take_new_rings(void)
{
    struct vtrace_ring *ring, *next;

    atomic_read_relaxed(&new_rings, &ring);
    if (!ring) {
        return;
    }
    while (!atomic_compare_exchange_weak_explicit(
               &new_rings, &ring, NULL, memory_order_acquire,
               memory_order_relaxed)) {
        continue;
    }
    for (; ring; ring = next) {
        next = ring->next;
        ovs_list_push_back(&rings, &ring->node);
    }
}

/* Records that the reader makes before it passes them on. */
#define MAX_MADE 32

/* Makes records of the 'n' entries from 'i' on.  Returns how many. */
static size_t
make_records(const struct vtrace_ring *ring, uint32_t i, size_t n,
             struct vtrace_record records[])
{
    size_t n_made = 0;

    while (n--) {
        const struct vtrace_entry *entry
            = &ring->entries[i++ % VTRACE_RING_SIZE];

        if (!entry->make) {
            records[n_made++] = entry->record;
        } else if (entry->make(entry->raw, &records[n_made])) {
            n_made++;
        }
    }
    return n_made;
}

static void
drain(struct vtrace_ring *ring, vtrace_ring_func *cb, void *aux)
{
    struct vtrace_record records[MAX_MADE];
    uint32_t head, tail;

    atomic_read_relaxed(&ring->tail, &tail);
    atomic_read_explicit(&ring->head, &head, memory_order_acquire);
    while (tail != head) {
        uint32_t n = MIN(head - tail, MAX_MADE);
        size_t n_made = make_records(ring, tail, n, records);

        if (n_made) {
            cb(aux, records, n_made);
        }
        tail += n;
        atomic_store_explicit(&ring->tail, tail, memory_order_release);
    }
}

uint64_t
vtrace_rings_drain(vtrace_ring_func *cb, void *aux)
{
    uint64_t now = wall_ns();
    uint64_t watermark = now - 1;
    struct vtrace_ring *ring, *next;

    atomic_thread_fence(memory_order_seq_cst);
    take_new_rings();
    LIST_FOR_EACH_SAFE (ring, next, node, &rings) {
        uint64_t busy;
        bool dead;

        atomic_read_explicit(&ring->dead, &dead, memory_order_acquire);
        atomic_read_explicit(&ring->busy, &busy, memory_order_acquire);
        if (busy) {
            watermark = MIN(watermark, busy - 1);
        }
        drain(ring, cb, aux);
        if (dead) {
            ring_destroy(ring);
        }
    }
    atomic_store_relaxed(&reader_round, now);

    /* A thread that stays busy for long is below what was true already. */
    if (now >= last_now) {
        watermark = MAX(watermark, last_watermark);
    }
    last_now = now;
    last_watermark = watermark;
    return watermark;
}

bool
vtrace_rings_seen(uint16_t color)
{
    bool is_seen;

    atomic_read_relaxed(&seen[color], &is_seen);
    return is_seen;
}

void
vtrace_rings_get_lost(uint16_t color, struct vtrace_ring_lost *lost)
{
    struct vtrace_ring *ring;

    *lost = retired[color];
    LIST_FOR_EACH (ring, node, &rings) {
        read_lost(&ring->colors[color], lost);
    }
}

size_t
vtrace_rings_count(void)
{
    return ovs_list_size(&rings);
}
