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

/* The gateway's exact and wildcard tables against a list that is searched from
 * its beginning to its end. */

#include <config.h>
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_swx_pipeline.h>

#include "p4/swx-match.h"
#include "p4/swx-compiled.h"
#include "random.h"
#include "util.h"

#define KEY_SIZE 20
#define DATA_SIZE 6
#define KEY_OFFSET 3
#define MAX_ENTRIES 600

/* What a table should have. */
struct model {
    struct rte_swx_table_entry swx;
    uint8_t key[KEY_SIZE];
    uint8_t mask[KEY_SIZE];
    uint8_t data[DATA_SIZE];
};

static struct model model[MAX_ENTRIES];
static size_t n_model;
static uint8_t mask0[KEY_SIZE]; /* What the table's key has no gaps in. */

static struct rte_swx_table_params params = {
    .key_offset = KEY_OFFSET,
    .key_size = KEY_SIZE,
    .key_mask0 = mask0,
    .action_data_size = DATA_SIZE,
    .n_keys_max = MAX_ENTRIES,
};

/* Bytes of few values, so that keys are often alike. */
static void
random_key(uint8_t key[KEY_SIZE])
{
    memset(key, 0, KEY_SIZE);
    for (int i = 0; i < 3; i++) {
        key[random_range(KEY_SIZE)] = random_range(4) << (2 * random_range(4));
    }
}

static bool
matches(const struct model *m, const uint8_t key[KEY_SIZE])
{
    for (size_t i = 0; i < KEY_SIZE; i++) {
        if ((m->key[i] ^ key[i]) & m->mask[i] & mask0[i]) {
            return false;
        }
    }
    return true;
}

/* Returns the best of the model for 'key'. */
static struct model *
find(const uint8_t key[KEY_SIZE])
{
    struct model *best = NULL;

    for (size_t i = 0; i < n_model; i++) {
        if (matches(&model[i], key)
            && (!best || model[i].swx.key_priority < best->swx.key_priority)) {
            best = &model[i];
        }
    }
    return best;
}

static void
fill(struct model *m)
{
    m->swx.key = m->key;
    m->swx.key_mask = m->mask;
    m->swx.action_data = m->data;
    m->swx.action_id = random_range(100);
    random_bytes(m->data, sizeof m->data);
}

/* Compares a lookup of 'key' with the model. */
static void
check_key(const struct rte_swx_table_ops *ops, void *table,
          const uint8_t key[KEY_SIZE])
{
    const struct model *expected = find(key);
    uint8_t buffer[KEY_OFFSET + KEY_SIZE], *p = buffer;
    uint64_t action = 0;
    uint8_t *data = NULL;
    size_t id;
    int hit;

    memcpy(buffer + KEY_OFFSET, key, KEY_SIZE);
    ck_assert(ops->lkp(table, NULL, &p, &action, &data, &id, &hit));
    ck_assert_int_eq(hit, expected != NULL);
    if (hit) {
        ck_assert_uint_eq(action, expected->swx.action_id);
        ck_assert(!memcmp(data, expected->data, DATA_SIZE));
    }
}

static void
check_table(const struct rte_swx_table_ops *ops, void *table)
{
    uint8_t key[KEY_SIZE];

    for (size_t i = 0; i < n_model; i++) {
        check_key(ops, table, model[i].key);
    }
    for (int i = 0; i < 2000; i++) {
        random_key(key);
        check_key(ops, table, key);
    }
}

/* Entries come, change and go, up to as many as there is room for; now and
 * then the table is made anew from a list. */
START_TEST(exact_table)
{
    const struct rte_swx_table_ops *ops = &swx_exact_ops;
    struct rte_swx_table_entry_list list;
    size_t n_full = 0;
    void *table;

    unit_seed(_i);
    memset(mask0, 0xff, sizeof mask0);
    if (_i % 2) {
        mask0[KEY_SIZE / 2] = 0;
    }
    n_model = 0;
    TAILQ_INIT(&list);
    table = ops->create(&params, &list, NULL, 0);
    ck_assert(table != NULL);
    for (int i = 0; i < 20000; i++) {
        /* First they become more, then fewer. */
        bool more = random_range(10000) > i % 10000;
        struct model new = { .swx = { .key_priority = 0 } };
        struct model *old;

        random_key(new.key);
        memset(new.mask, 0xff, sizeof new.mask);
        old = more ? find(new.key)
              : n_model ? &model[random_range(n_model)] : NULL;
        if (!more && old) {
            ck_assert(!ops->del(table, &old->swx));
            *old = model[--n_model];
            fill(old);
            old->swx.action_id = model[n_model].swx.action_id;
            memcpy(old->data, model[n_model].data, DATA_SIZE);
        } else if (more && !old && n_model >= MAX_ENTRIES) {
            fill(&new);
            ck_assert(ops->add(table, &new.swx));
            n_full++;
        } else if (more) {
            if (!old) {
                old = &model[n_model++];
                *old = new;
            }
            fill(old);
            ck_assert(!ops->add(table, &old->swx));
        }
        if (i % 2000 == 0) {
            check_table(ops, table);
        }
    }
    ck_assert_uint_gt(n_full, 0);
    TAILQ_INIT(&list);
    for (size_t i = 0; i < n_model; i++) {
        TAILQ_INSERT_TAIL(&list, &model[i].swx, node);
    }
    ops->free(table);
    table = ops->create(&params, &list, NULL, 0);
    ck_assert(table != NULL);
    check_table(ops, table);
    ops->free(table);
}
END_TEST

/* Tables of up to 600 entries: of few masks, of many, of prefixes. */
START_TEST(wildcard_table)
{
    const struct rte_swx_table_ops *ops = &swx_wildcard_ops;
    struct rte_swx_table_entry_list list;
    size_t n, n_masks;
    uint8_t masks[8][KEY_SIZE];
    void *table;

    unit_seed(_i);
    memset(mask0, 0xff, sizeof mask0);
    mask0[KEY_SIZE / 2] = _i % 2 ? 0 : 0xff;
    n = _i ? random_range(MAX_ENTRIES) : 0;
    n_masks = random_range(2) ? 8 : 0;
    for (size_t i = 0; i < 8; i++) {
        memset(masks[i], 0, sizeof masks[i]);
        memset(masks[i], 0xff, random_range(KEY_SIZE));
        masks[i][random_range(KEY_SIZE)] = random_uint32();
    }
    TAILQ_INIT(&list);
    for (n_model = 0; n_model < n; n_model++) {
        struct model *m = &model[n_model];

        random_key(m->key);
        if (n_masks) {
            memcpy(m->mask, masks[random_range(n_masks)], KEY_SIZE);
        } else {
            random_bytes(m->mask, sizeof m->mask);
        }
        fill(m);
        /* No two have the same, so that one of them is right. */
        m->swx.key_priority = (n_model * 617) % 1009;
        TAILQ_INSERT_TAIL(&list, &m->swx, node);
    }
    table = ops->create(&params, &list, NULL, 0);
    ck_assert(table != NULL);
    check_table(ops, table);
    ops->free(table);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("gateway-match");
    TCase *tc = unit_case(s, "tables", 120);
    char *argv[] = {
        "test", "--no-huge", "--no-pci", "-m", "64", "--no-telemetry",
        "--no-shconf", "--log-level=error", NULL,
    };

    /* DPDK does not survive a fork. */
    setenv("CK_FORK", "no", true);
    if (rte_eal_init(ARRAY_SIZE(argv) - 1, argv) < 0) {
        ovs_fatal(0, "DPDK does not start");
    }
    tcase_add_loop_test(tc, exact_table, 0, 6);
    tcase_add_loop_test(tc, wildcard_table, 0, 60);
    return unit_run(s);
}
