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


#ifndef SAMPLE_H
#define SAMPLE_H 1

/* A probe with a different value in every field, as a structure and as it is
 * on the wire.  Another implementation made the bytes. */

#include <stdint.h>

#include "ofproto-zoo/zoo-probe.h"

/* Key file with the key that signs the sample. */
#define SAMPLE_KEY_FILE                                 \
    "# Keys of the sample.\n"                           \
    "4660 000102030405060708090a0b0c0d0e0f\n"           \
    "4661 101112131415161718191a1b1c1d1e1f\n"
#define SAMPLE_KEY_ID 4660

#define SAMPLE_LEN 88

extern const struct zoo_probe sample_probe;
extern const uint8_t sample_bytes[SAMPLE_LEN];

/* Fills 'probe' with random values that are valid, with 'n' entries. */
void sample_random(struct zoo_probe *probe, unsigned int n);

#endif /* sample.h */
