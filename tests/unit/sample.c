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
#include "sample.h"

#include <string.h>

#include "ovs-ext/zoo-flow.h"
#include "random.h"
#include "unit.h"

const struct zoo_probe sample_probe = {
    .type = ZOO_PROBE_REPORT,
    .flags = ZOO_PROBE_F_URGENT | ZOO_PROBE_F_REWRITTEN,
    .caps = ZOO_PROBE_CAP_GBP,
    .ctl = 0x7f,
    .key_id = SAMPLE_KEY_ID,
    .newest_key = 4661,
    .round = 0x01020304,
    .session = UINT64_C(0x1112131415161718),
    .challenge = UINT64_C(0x2122232425262728),
    .tx_time = UINT64_C(0x3132333435363738),
    .backend_id = ETH_ADDR_C(02,00,00,00,00,07),
    .n_entries = 2,
    .entries = {
        { .sport = 32768, .history = 0x8001, .last = 0x01020304,
          .age_us = 1000 },
        { .sport = 65535, .history = 0, .last = 0, .age_us = UINT32_MAX },
    },
};

const uint8_t sample_bytes[SAMPLE_LEN] = {
    0x01, 0x02, 0x00, 0x58, 0x00, 0x05, 0x00, 0x01,
    0x7f, 0x02, 0x12, 0x34, 0x01, 0x02, 0x03, 0x04,
    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
    0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,
    0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38,
    0x02, 0x00, 0x00, 0x00, 0x00, 0x07, 0x12, 0x35,
    0x80, 0x00, 0x80, 0x01, 0x01, 0x02, 0x03, 0x04,
    0x00, 0x00, 0x03, 0xe8,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0xff, 0xff,
    0xb0, 0x43, 0x5c, 0x43, 0x12, 0x54, 0x3e, 0x7c,
    0xec, 0xae, 0x5a, 0x8f, 0x51, 0xff, 0x1e, 0x54,
};

void
sample_random(struct zoo_probe *probe, unsigned int n)
{
    memset(probe, 0, sizeof *probe);
    probe->type = unit_chance(.5) ? ZOO_PROBE_REQUEST : ZOO_PROBE_REPORT;
    probe->flags = random_uint16();
    probe->caps = random_uint16();
    probe->ctl = random_uint8();
    probe->key_id = random_uint16();
    probe->newest_key = random_uint16();
    probe->round = random_uint32() | 1;
    probe->session = random_uint64() | 1;
    probe->challenge = random_uint64();
    probe->tx_time = random_uint64();
    random_bytes(&probe->backend_id, sizeof probe->backend_id);
    probe->n_entries = n;
    for (unsigned int i = 0; i < n; i++) {
        probe->entries[i] = (struct zoo_probe_entry) {
            .sport = unit_range(ZOO_SPORT_MIN, ZOO_SPORT_MAX),
            .history = random_uint16(),
            .last = random_uint32(),
            .age_us = random_uint32(),
        };
    }
}
