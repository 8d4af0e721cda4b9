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

#ifndef VTRACE_FAULT_H
#define VTRACE_FAULT_H 1

/* Fault points: places where a test has the program die as kill -9 would have
 * it die, to see that what it left behind can be continued from.
 *
 * The environment variable VTRACE_FAULT, or vtrace_fault_set(), names one
 * point; a number after a ',' is how many times it is passed first.  Without
 * it a fault point is one comparison. */

/* Ends the process at once, without any clean-up, if 'point' is the one that
 * was chosen. */
void vtrace_fault(const char *point);

/* Chooses the fault point 'spec', "POINT[,N]", or none if it is NULL.  'spec'
 * must stay valid. */
void vtrace_fault_set(const char *spec);

#endif /* vtrace/fault.h */
