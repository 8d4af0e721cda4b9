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

#include "entropy.h"
#include "ovs-ext/zoo-learn.h"
#include "random.h"
#include "util.h"

uint64_t
zooroute_report_clock(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;
    static uint64_t clock;

    if (ovsthread_once_start(&once)) {
        if (get_entropy(&clock, sizeof clock)) {
            clock = random_uint64();
        }
        ovsthread_once_done(&once);
    }
    return clock;
}

void
zooroute_update_learning(void)
{
    /* Candidates that all peers share cannot be those of each. */
    zooroute_params.learn = (zooroute_config.learn_ports && zooroute_auth
                             && !zooroute_config.shared_candidates);
}

const char *
zooroute_learning_warning(void)
{
    if (!zooroute_config.learn_ports || zooroute_params.learn) {
        return NULL;
    }
    return (zooroute_auth
            ? "other_config:learn-ports: \"true\" has no effect where all "
              "peers share their candidates, remove it"
            : "other_config:learn-ports: \"true\" has no effect without "
              "authentication: set auth_key_file to a file with the same keys "
              "as the peers have, or remove it");
}

void
zooroute_follow_sessions(struct zooroute_peer *p)
{
    uint16_t kept[ZOO_N_BUCKETS], seen[ZOO_N_BUCKETS];
    struct zoo_learner *l = p->peer.learner;

    if (!zoo_peer_is_learning(&p->peer)) {
        zooroute_stop_learning(p);
        return;
    } else if (!l->datapath) {
        l->datapath = zoo_learn_create(&p->key.remote, &p->key.local,
                                       p->key.dst_port);
    }
    zoo_peer_session_ports(&p->peer, kept);
    zoo_learn_take(l->datapath, kept, seen);
    zoo_peer_follow(&p->peer, zooroute_segment_params(p->segment), seen,
                    zoo_now());
}

void
zooroute_stop_learning(struct zooroute_peer *p)
{
    struct zoo_learner *l = p->peer.learner;

    if (l) {
        zoo_learn_destroy(l->datapath);
        l->datapath = NULL;
    }
}
