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

/* A stateful middlebox: what goes between the datapath, which sees its
 * sessions, and the peers that it learns about. */

#include <config.h>
#include "zooroute-private.h"

#include "ovs-ext/zoo-learn.h"
#include "util.h"
#include "zoo-peer-learn.h"

struct zooroute_learner {
    struct zoo_learn *datapath;
    struct zoo_sessions sessions;
};

void
zooroute_follow_sessions(struct zooroute_peer *p)
{
    const struct zoo_path_table *table = &p->peer.table;
    uint16_t kept[ZOO_N_BUCKETS], seen[ZOO_N_BUCKETS];

    if (!p->peer.learning) {
        zooroute_stop_learning(p);
        return;
    } else if (!p->learner) {
        p->learner = xmalloc(sizeof *p->learner);
        p->learner->datapath = zoo_learn_create(&p->key.remote, &p->key.local,
                                                p->key.dst_port);
        zoo_sessions_init(&p->learner->sessions);
    }
    zoo_path_table_ports(table, false, kept);
    zoo_learn_take(p->learner->datapath, kept, seen);
    zoo_peer_follow(&p->peer, &p->learner->sessions, seen);
}

void
zooroute_stop_learning(struct zooroute_peer *p)
{
    if (p->learner) {
        zoo_learn_destroy(p->learner->datapath);
        free(p->learner);
        p->learner = NULL;
    }
}

bool
zooroute_session_decides(const struct zooroute_peer *p, unsigned int b)
{
    return (p->learner
            && zoo_sessions_decide(&p->learner->sessions, &p->peer, b));
}
