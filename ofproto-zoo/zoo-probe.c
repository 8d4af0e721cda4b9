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
#include "zoo-probe.h"

#include <string.h>

#include "byte-order.h"
#include "openvswitch/util.h"
#include "packets.h"
#include "unaligned.h"
#include "util.h"

struct probe_header {
    uint8_t version;
    uint8_t type;
    ovs_be16 length;
    ovs_be16 flags;
    ovs_be16 caps;
    uint8_t ctl;
    uint8_t n_entries;
    ovs_be16 key_id;
    ovs_16aligned_be32 round;
    ovs_32aligned_be64 session;
    ovs_32aligned_be64 challenge;
    ovs_32aligned_be64 tx_time;
    struct eth_addr backend_id;
    ovs_be16 newest_key;
};
BUILD_ASSERT_DECL(sizeof(struct probe_header) == 48);
BUILD_ASSERT_DECL(offsetof(struct probe_header, version) == 0);
BUILD_ASSERT_DECL(offsetof(struct probe_header, type) == 1);
BUILD_ASSERT_DECL(offsetof(struct probe_header, key_id) == 10);
BUILD_ASSERT_DECL(offsetof(struct probe_header, session)
                  == ZOO_PROBE_SESSION_OFS);
BUILD_ASSERT_DECL(offsetof(struct probe_header, backend_id) == 40);

struct probe_entry {
    ovs_be16 sport;
    ovs_be16 history;
    ovs_16aligned_be32 last;
    ovs_16aligned_be32 age_us;
};
BUILD_ASSERT_DECL(sizeof(struct probe_entry) == 12);
BUILD_ASSERT_DECL(sizeof(struct probe_header)
                  + ZOO_MAX_CANDIDATES * sizeof(struct probe_entry)
                  + ZOO_PROBE_HMAC_LEN <= ZOO_PROBE_MAX_LEN);

const char *
zoo_probe_error_to_string(enum zoo_probe_error error)
{
    switch (error) {
    case ZOO_PROBE_OK:
        return "ok";
#define ZOO_PROBE_ERROR(ENUM, NAME, DESCRIPTION) \
    case ZOO_PROBE_##ENUM: return NAME;
    ZOO_PROBE_ERRORS
#undef ZOO_PROBE_ERROR
    case ZOO_PROBE_N_ERRORS:
    default:
        OVS_NOT_REACHED();
    }
}

size_t
zoo_probe_size(unsigned int n)
{
    return (sizeof(struct probe_header) + n * sizeof(struct probe_entry)
            + ZOO_PROBE_HMAC_LEN);
}

size_t
zoo_probe_encode(const struct zoo_probe *probe, uint8_t *buf)
{
    size_t len = zoo_probe_size(probe->n_entries);
    struct probe_header h = {
        .version = ZOO_PROBE_VERSION,
        .type = probe->type,
        .length = htons(len),
        .flags = htons(probe->flags),
        .caps = htons(probe->caps),
        .ctl = probe->ctl,
        .n_entries = probe->n_entries,
        .key_id = htons(probe->key_id),
        .backend_id = probe->backend_id,
        .newest_key = htons(probe->newest_key),
    };

    put_16aligned_be32(&h.round, htonl(probe->round));
    put_32aligned_be64(&h.session, htonll(probe->session));
    put_32aligned_be64(&h.challenge, htonll(probe->challenge));
    put_32aligned_be64(&h.tx_time, htonll(probe->tx_time));
    memcpy(buf, &h, sizeof h);
    buf += sizeof h;

    for (unsigned int i = 0; i < probe->n_entries; i++) {
        const struct zoo_probe_entry *entry = &probe->entries[i];
        struct probe_entry e = {
            .sport = htons(entry->sport),
            .history = htons(entry->history),
        };

        put_16aligned_be32(&e.last, htonl(entry->last));
        put_16aligned_be32(&e.age_us, htonl(entry->age_us));
        memcpy(buf, &e, sizeof e);
        buf += sizeof e;
    }
    memset(buf, 0, ZOO_PROBE_HMAC_LEN);
    return len;
}

enum zoo_probe_error
zoo_probe_decode(const uint8_t *buf, size_t len, struct zoo_probe *probe,
                 size_t *lenp)
{
    struct probe_header h;

    if (len < sizeof h + ZOO_PROBE_HMAC_LEN) {
        return ZOO_PROBE_TRUNCATED;
    }
    memcpy(&h, buf, sizeof h);
    if (h.version != ZOO_PROBE_VERSION) {
        return ZOO_PROBE_BAD_VERSION;
    } else if (h.n_entries > ZOO_MAX_CANDIDATES) {
        return ZOO_PROBE_OVERSIZE;
    } else if (ntohs(h.length) != zoo_probe_size(h.n_entries)) {
        return ZOO_PROBE_MALFORMED;
    } else if (ntohs(h.length) > len) {
        return ZOO_PROBE_TRUNCATED;
    } else if ((h.type != ZOO_PROBE_REQUEST && h.type != ZOO_PROBE_REPORT)
               || !h.n_entries) {
        return ZOO_PROBE_MALFORMED;
    }

    probe->type = h.type;
    probe->flags = ntohs(h.flags);
    probe->caps = ntohs(h.caps);
    probe->ctl = h.ctl;
    probe->key_id = ntohs(h.key_id);
    probe->newest_key = ntohs(h.newest_key);
    probe->round = ntohl(get_16aligned_be32(&h.round));
    probe->session = ntohll(get_32aligned_be64(&h.session));
    probe->challenge = ntohll(get_32aligned_be64(&h.challenge));
    probe->tx_time = ntohll(get_32aligned_be64(&h.tx_time));
    probe->backend_id = h.backend_id;
    probe->n_entries = h.n_entries;
    if (!probe->round || !probe->session) {
        return ZOO_PROBE_MALFORMED;
    }

    buf += sizeof h;
    for (unsigned int i = 0; i < probe->n_entries; i++) {
        struct zoo_probe_entry *entry = &probe->entries[i];
        struct probe_entry e;

        memcpy(&e, buf, sizeof e);
        buf += sizeof e;
        entry->sport = ntohs(e.sport);
        entry->history = ntohs(e.history);
        entry->last = ntohl(get_16aligned_be32(&e.last));
        entry->age_us = ntohl(get_16aligned_be32(&e.age_us));
        if (entry->sport < ZOO_SPORT_MIN) {
            return ZOO_PROBE_MALFORMED;
        }
    }
    *lenp = ntohs(h.length);
    return ZOO_PROBE_OK;
}
