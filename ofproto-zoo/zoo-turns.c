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
#include "zoo-turns.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

struct zoo_turn {
    struct hmap_node hmap_node; /* In 'members'. */
    long long int due;
    unsigned int look;          /* The last one in which it was offered. */
    uint8_t key[];
};

void
zoo_turns_init(struct zoo_turns *turns, size_t key_len,
               long long int interval)
{
    memset(turns, 0, sizeof *turns);
    hmap_init(&turns->members);
    turns->key_len = key_len;
    turns->interval = interval;
}

void
zoo_turns_clear(struct zoo_turns *turns)
{
    struct zoo_turn *turn;

    HMAP_FOR_EACH_POP (turn, hmap_node, &turns->members) {
        free(turn);
    }
    hmap_shrink(&turns->members);
    turns->next = NULL;
}

void
zoo_turns_begin(struct zoo_turns *turns)
{
    turns->look++;
    turns->next = NULL;
}

void
zoo_turns_offer(struct zoo_turns *turns, const void *key, uint32_t hash,
                bool ready, long long int now)
{
    struct zoo_turn *turn;

    HMAP_FOR_EACH_WITH_HASH (turn, hmap_node, hash, &turns->members) {
        if (!memcmp(turn->key, key, turns->key_len)) {
            break;
        }
    }
    if (!turn) {
        turn = xzalloc(sizeof *turn + turns->key_len);
        memcpy(turn->key, key, turns->key_len);
        turn->due = now;
        hmap_insert(&turns->members, &turn->hmap_node, hash);
    }
    turn->look = turns->look;
    if (ready && turn->due <= now
        && (!turns->next || turn->due < turns->next->due)) {
        turns->next = turn;
    }
}

bool
zoo_turns_take(struct zoo_turns *turns, long long int now, void *key)
{
    struct zoo_turn *turn, *next = turns->next;
    struct zoo_turn *following;

    turns->next = NULL;
    if (next) {
        next->due = now + turns->interval;
        memcpy(key, next->key, turns->key_len);
    }
    HMAP_FOR_EACH_SAFE (turn, following, hmap_node, &turns->members) {
        if (turn->look != turns->look) {
            hmap_remove(&turns->members, &turn->hmap_node);
            free(turn);
        }
    }
    return next != NULL;
}
