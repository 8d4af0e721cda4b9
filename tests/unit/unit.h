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


#ifndef UNIT_H
#define UNIT_H 1

/* What the unit tests share: how to run a suite, and some randomness.
 *
 * Each test-*.c here is one program with one suite.  Tests of random cases
 * take them from the numbers 0, 1, 2... as seeds and print the seed when they
 * fail, so that a failure can be repeated. */

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* Like ck_assert_msg(), but cheap while COND is true: for inner loops. */
#define unit_assert(COND, FORMAT, ...)                                  \
    do {                                                                \
        if (!(COND)) {                                                  \
            ck_abort_msg("%s: " FORMAT, #COND, ##__VA_ARGS__);          \
        }                                                               \
    } while (0)

/* Runs 'suite', which it frees, and returns the program's exit status. */
int unit_run(Suite *suite);

/* Adds to 'suite' a case 'name' whose tests may take 'seconds' each, many
 * times what they need: sanitizers and valgrind are slow. */
TCase *unit_case(Suite *suite, const char *name, double seconds);

/* Makes random numbers depend on 'seed' alone. */
void unit_seed(uint32_t seed);

/* Returns a random number in 'min'...'max'. */
unsigned int unit_range(unsigned int min, unsigned int max);

/* Returns true with probability 'p'. */
bool unit_chance(double p);

#endif /* unit.h */
