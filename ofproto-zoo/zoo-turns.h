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

#ifndef ZOO_TURNS_H
#define ZOO_TURNS_H 1

/* Whose turn it is, of many that something slow is done to, one by one
 * ====================================================================
 *
 * Each is due when it is first seen, and again an interval after its last turn
 * began.  The one that has been due for longest goes first: however many there
 * are, and whoever comes and goes, none waits for more turns than there are
 * others.
 *
 * Pure: times (monotonic, ns) are arguments.  Callers serialize access. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/hmap.h"

struct zoo_turns {
    struct hmap members;        /* By key. */
    size_t key_len;
    long long int interval;
    unsigned int look;          /* Number of this look at all. */
    struct zoo_turn *next;      /* Whose turn it is as far as offered. */
};

/* Initializes 'turns' of members with keys of 'key_len' bytes, each of which
 * has one at most once in 'interval' ns. */
void zoo_turns_init(struct zoo_turns *, size_t key_len,
                    long long int interval);

/* Forgets all members. */
void zoo_turns_clear(struct zoo_turns *);

/* Begins a look at all who might have their turn. */
void zoo_turns_begin(struct zoo_turns *);

/* The one with 'key', whose hash is 'hash', is there at 'now', and may have its
 * turn if 'ready'; otherwise it keeps its place.  To be called between
 * zoo_turns_begin() and zoo_turns_take(). */
void zoo_turns_offer(struct zoo_turns *, const void *key, uint32_t hash,
                     bool ready, long long int now);

/* Ends the look: stores into 'key' whose turn begins at 'now' and returns true,
 * or returns false if it is nobody's.  Forgets those who were not offered. */
bool zoo_turns_take(struct zoo_turns *, long long int now, void *key);

#endif /* zoo-turns.h */
