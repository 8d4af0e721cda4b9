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
#include "ovs-ext/zoo-quarantine.h"

#include "guarded-list.h"
#include "ofproto/ofproto-dpif.h"
#include "ofproto/ofproto-dpif-upcall.h"
#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/shash.h"
#include "ovs-atomic.h"
#include "ovs-rcu.h"
#include "seq.h"
#include "util.h"

/* Ends of dumps of a datapath's flows after which every flow has certainly
 * been visited by a dump that began later than the first step: one dump may be
 * under way, one may have begun before revalidation was asked for. */
#define N_DUMPS 3

struct item {
    struct ovs_list node;
    void (*release)(void *);
    void *aux;
};

/* Items go through quarantine in batches, one at a time. */
enum stage {
    STAGE_EMPTY,
    STAGE_GRACE,                /* Step 1. */
    STAGE_DUMPS,                /* Step 2. */
};

/* Not in the batch yet. */
static struct guarded_list incoming = GUARDED_OVS_LIST_INITIALIZER(&incoming);

/* Main thread only. */
static struct ovs_list batch = OVS_LIST_INITIALIZER(&batch);
static enum stage stage = STAGE_EMPTY;
static struct shash dumps = SHASH_INITIALIZER(&dumps); /* struct dump *. */

static atomic_bool grace_over;
static atomic_bool revalidate;

/* Progress of one datapath. */
struct dump {
    uint64_t seq;
    int n;
};

static struct seq *
wakeup_seq(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;
    static struct seq *seq;

    if (ovsthread_once_start(&once)) {
        seq = seq_create();
        ovsthread_once_done(&once);
    }
    return seq;
}

void
zoo_quarantine_add(void (*release)(void *), void *aux)
{
    struct item *item = xmalloc(sizeof *item);

    item->release = release;
    item->aux = aux;
    guarded_list_push_back(&incoming, &item->node, SIZE_MAX);
    seq_change(wakeup_seq());
}

void
zoo_quarantine_revalidate(void)
{
    atomic_store_relaxed(&revalidate, true);
    seq_change(wakeup_seq());
}

static void
revalidate_all(void)
{
    struct shash_node *node;

    SHASH_FOR_EACH (node, &all_dpif_backers) {
        struct dpif_backer *backer = node->data;

        udpif_revalidate(backer->udpif);
    }
}

static void
end_grace(atomic_bool *over)
{
    atomic_store_relaxed(over, true);
    seq_change(wakeup_seq());
}

static void
begin_dumps(void)
{
    struct shash_node *node;

    revalidate_all();
    SHASH_FOR_EACH (node, &all_dpif_backers) {
        struct dpif_backer *backer = node->data;
        struct dump *dump = xzalloc(sizeof *dump);

        dump->seq = seq_read(udpif_dump_seq(backer->udpif));
        shash_add(&dumps, node->name, dump);
    }
}

/* Returns true if every datapath has been dumped often enough. */
static bool
dumps_are_over(void)
{
    struct shash_node *node;

    SHASH_FOR_EACH_SAFE (node, &dumps) {
        struct dpif_backer *backer = shash_find_data(&all_dpif_backers,
                                                     node->name);
        struct dump *dump = node->data;

        if (backer) {
            uint64_t seq = seq_read(udpif_dump_seq(backer->udpif));

            if (seq != dump->seq) {
                dump->seq = seq;
                dump->n++;
            }
        }
        if (!backer || dump->n >= N_DUMPS) {
            shash_delete(&dumps, node);
            free(dump);
        }
    }
    return shash_is_empty(&dumps);
}

static void
release_item(struct item *item)
{
    item->release(item->aux);
    free(item);
}

static void
release_batch(void)
{
    struct item *item;

    LIST_FOR_EACH_POP (item, node, &batch) {
        ovsrcu_postpone(release_item, item);
    }
}

void
zoo_quarantine_run(void)
{
    bool flag;

    atomic_read_relaxed(&revalidate, &flag);
    if (flag) {
        atomic_store_relaxed(&revalidate, false);
        revalidate_all();
    }

    switch (stage) {
    case STAGE_EMPTY:
        if (guarded_list_is_empty(&incoming)) {
            break;
        }
        guarded_list_pop_all(&incoming, &batch);
        atomic_store_relaxed(&grace_over, false);
        ovsrcu_postpone(end_grace, &grace_over);
        stage = STAGE_GRACE;
        break;

    case STAGE_GRACE:
        atomic_read_relaxed(&grace_over, &flag);
        if (!flag) {
            break;
        }
        begin_dumps();
        stage = STAGE_DUMPS;
        break;

    case STAGE_DUMPS:
        if (dumps_are_over()) {
            release_batch();
            stage = STAGE_EMPTY;
            poll_immediate_wake();
        }
        break;

    default:
        OVS_NOT_REACHED();
    }
}

void
zoo_quarantine_wait(void)
{
    struct shash_node *node;
    uint64_t seq = seq_read(wakeup_seq());
    bool flag, over;

    atomic_read_relaxed(&revalidate, &flag);
    atomic_read_relaxed(&grace_over, &over);
    if (flag || (stage == STAGE_GRACE && over)
        || (stage == STAGE_EMPTY && !guarded_list_is_empty(&incoming))) {
        poll_immediate_wake();
    }
    seq_wait(wakeup_seq(), seq);
    SHASH_FOR_EACH (node, &dumps) {
        struct dpif_backer *backer = shash_find_data(&all_dpif_backers,
                                                     node->name);
        struct dump *dump = node->data;

        if (!backer) {
            poll_immediate_wake();
        } else {
            seq_wait(udpif_dump_seq(backer->udpif), dump->seq);
        }
    }
}
