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

#ifndef VTRACE_RING_H
#define VTRACE_RING_H 1

/* Rings of VTrace records
 * =======================
 *
 * Each thread that takes records has a ring of its own, made when it takes its
 * first one, into which it alone writes.  One reader, the exporter, empties
 * the rings of all threads.  Neither waits for the other: what does not fit is
 * counted as lost, by color.
 *
 * Between vtrace_ring_begin() and vtrace_ring_end() a thread must not become
 * quiescent, block, or begin again. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ovs-ext/vtrace-record.h"

struct vtrace_ring;

/* What a ring holds of a record: the record, or what the reader is to make it
 * of, so that the writer does not have to. */
#define VTRACE_RAW_LEN 432
struct vtrace_entry {
    /* Makes '*record', which is uninitialized, of the entry's 'raw'.  Returns
     * false if there is no record after all.  Called by the reader.  NULL if
     * 'record' is the record. */
    bool (*make)(const void *raw, struct vtrace_record *record);
    union {
        struct vtrace_record record;
        uint64_t raw[VTRACE_RAW_LEN / 8];
    };
};

/* Records that a ring holds.  A power of 2. */
#define VTRACE_RING_SIZE 4096

/* Records that a thread may write at once, when it has written none of their
 * color for a while: those of 1/VTRACE_RING_BURST_FRACTION s at its rate, and
 * at least VTRACE_RING_BURST_MIN. */
#define VTRACE_RING_BURST_FRACTION 20
#define VTRACE_RING_BURST_MIN 64

/* Records that were not written. */
struct vtrace_ring_lost {
    uint64_t full;              /* The ring was full. */
    uint64_t rate;              /* A token bucket was empty. */
};

/* Main thread, before any thread writes.  Can be called again. */
void vtrace_rings_init(void);

/* Writers. */

/* Returns the ring of this thread, ready for vtrace_ring_put(), and stores the
 * time in '*now', in ns since 1970, which records are to have. */
struct vtrace_ring *vtrace_ring_begin(uint64_t *now);

/* Tokens of a color's bucket. */
struct vtrace_rate {
    uint64_t token;             /* ns in which one comes back. */
    uint64_t size;              /* ns in which all of them do. */
};

/* Returns what 'rate', records per second, means for a color's bucket. */
struct vtrace_rate vtrace_rate(unsigned int rate);

/* Returns room for a record of 'color', a color, for the caller to fill, if
 * 'rate', records of the color and thread, allows.  The record's time is to be
 * that of vtrace_ring_begin().  Returns NULL, and counts the record as lost, if
 * there is none. */
struct vtrace_entry *vtrace_ring_reserve(struct vtrace_ring *, uint16_t color,
                                         const struct vtrace_rate *rate);

/* Writes '*record', whose time is that of vtrace_ring_begin() and whose color
 * is a color, as vtrace_ring_reserve() does.  Returns false if it cannot. */
bool vtrace_ring_put(struct vtrace_ring *, const struct vtrace_record *record,
                     const struct vtrace_rate *rate);

/* Counts a record of 'color' as lost for its rate, which the caller limits. */
void vtrace_ring_refuse(struct vtrace_ring *, uint16_t color);

/* Lets the reader have the records. */
void vtrace_ring_end(struct vtrace_ring *);

/* The reader: one thread at a time. */

/* Passes the records that are there to 'cb', in order for each thread, and
 * frees the rings of threads that have ended.  Returns the watermark: all
 * records with a time of at most that have been passed on, or are in what
 * vtrace_rings_get_lost() says. */
typedef void vtrace_ring_func(void *aux, const struct vtrace_record *,
                              size_t n);
uint64_t vtrace_rings_drain(vtrace_ring_func *cb, void *aux);

/* Returns true if somebody has ever wanted to write a record of 'color'. */
bool vtrace_rings_seen(uint16_t color);

/* Stores in '*lost' how many records of 'color' were lost since the process
 * began, by threads that the last drain knew. */
void vtrace_rings_get_lost(uint16_t color, struct vtrace_ring_lost *lost);

/* Returns the number of rings that were there in the last drain. */
size_t vtrace_rings_count(void);

#endif /* vtrace-ring.h */
