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
    uint64_t rate;              /* The color's token bucket was empty. */
};

/* Writers. */

/* Returns the ring of this thread, ready for vtrace_ring_put(), and stores the
 * time in '*now', in ns since 1970, which records are to have. */
struct vtrace_ring *vtrace_ring_begin(uint64_t *now);

/* Writes '*record', whose time is that of vtrace_ring_begin() and whose color
 * is a color, if 'rate', records per second of the color and thread, allows.
 * Returns false, and counts the record as lost, if it cannot. */
bool vtrace_ring_put(struct vtrace_ring *, const struct vtrace_record *record,
                     unsigned int rate);

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
 * began. */
void vtrace_rings_get_lost(uint16_t color, struct vtrace_ring_lost *lost);

/* Returns the number of rings that were there in the last drain. */
size_t vtrace_rings_count(void);

#endif /* vtrace-ring.h */
