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

#ifndef GATEWAY_COUNTS_H
#define GATEWAY_COUNTS_H 1

/* ofproto-zoo/zoo-gateway-counts.h for C. */

#include "ofproto-zoo/zoo-gateway-counts.h"

enum gateway_count {
#define ZOO_GATEWAY_COUNT(NUMBER, ENUM, NAME, DESCRIPTION) \
    GATEWAY_COUNT_##ENUM = NUMBER,
    ZOO_GATEWAY_COUNTS
#undef ZOO_GATEWAY_COUNT
};

struct gateway_count_info {
    const char *name;           /* NULL for numbers without a meaning. */
    const char *description;
};

/* By number. */
extern const struct gateway_count_info
    gateway_count_info[ZOO_GATEWAY_N_COUNTS];

#endif /* gateway-counts.h */
