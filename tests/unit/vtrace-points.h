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

#ifndef VTRACE_POINTS_H
#define VTRACE_POINTS_H 1

/* For tests that let packets pass points that take records. */

#include <stdbool.h>
#include <stdint.h>

/* Has all records taken that points decide to take, or none. */
void points_configure(bool on);

/* Takes the records that are in the rings and returns their number. */
uint64_t points_drain(void);

#endif /* vtrace-points.h */
