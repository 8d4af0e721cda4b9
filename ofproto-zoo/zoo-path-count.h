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
#ifndef ZOO_PATH_COUNT_H
#define ZOO_PATH_COUNT_H 1

/* How many paths candidates take, by what has become of probes alone
 * ==================================================================
 *
 * For underlays whose routers do not say who they are.  Three things tell
 * candidates apart, each by itself, and none says more than that there are *at
 * least* so many paths:
 *
 *     - Failures.  Candidates that failed, while others did not, do not share
 *       the others' path.  Those that failed at the same time may share one,
 *       so they count once.
 *
 *     - BackendIDs: who reaches another machine takes another path.
 *
 *     - Round trips.  Candidates of one round are answered by one report, so
 *       that their round trips differ by the way there alone.  Where these
 *       differences are the same again and again, and larger than they vary,
 *       the paths are different ones.
 *
 * Pure: times (monotonic, ns) are arguments.  Callers serialize access. */

#include <stdbool.h>
#include <stdint.h>

#include "zoo-path-table.h"

struct ds;
struct zoo_params;
struct zoo_peer;

/* Rounds that are compared. */
#define ZOO_PATH_ROUNDS 5

/* Round trips of some rounds.  Zero at first. */
struct zoo_path_samples {
    /* When last looked at: the smoothed one, and the probe answered last. */
    uint32_t rtt_us[ZOO_MAX_CANDIDATES];
    long long int validated[ZOO_MAX_CANDIDATES];

    /* Of the round under way, when part of it has been answered. */
    uint32_t answered;
    int32_t now_us[ZOO_MAX_CANDIDATES];

    int32_t later_us[ZOO_MAX_CANDIDATES][ZOO_PATH_ROUNDS]; /* Than the median
                                                            * of the round. */
    unsigned int n_rounds;
    uint32_t all;               /* Candidates that were in every one. */
};

/* Notes what has been answered since the last call, which should be as long
 * ago as the answers to one round take at most. */
void zoo_path_samples_take(struct zoo_path_samples *, const struct zoo_peer *);

/* Stores into 'groups' the candidates that have shown to take different paths:
 * each member a set that shares none of its paths with another set.  Returns
 * their number, or 0 if there are not at least two.
 *
 * Of those by failures, the first, perhaps empty and then not counted, is of
 * those that have worked all the time since others failed. */
unsigned int zoo_paths_by_failures(const struct zoo_peer *,
                                   const struct zoo_params *,
                                   uint32_t groups[ZOO_MAX_CANDIDATES + 1]);
unsigned int zoo_paths_by_backends(const struct zoo_peer *,
                                   uint32_t groups[ZOO_MAX_CANDIDATES + 1]);
unsigned int zoo_paths_by_round_trips(const struct zoo_path_samples *,
                                      uint32_t groups[ZOO_MAX_CANDIDATES + 1]);

/* Appends to 's' one line: how many paths there are, and how that is known, or
 * why it is not.  'samples' may be NULL. */
void zoo_paths_format(const struct zoo_peer *, const struct zoo_params *,
                      const struct zoo_path_samples *samples, struct ds *s);

#endif /* zoo-path-count.h */
