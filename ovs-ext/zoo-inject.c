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

#include "ovs-ext/zoo-inject.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "netlink.h"
#include "odp-netlink.h"
#include "odp-util.h"
#include "openvswitch/hmap.h"
#include "openvswitch/list.h"
#include "openvswitch/ofpbuf.h"
#include "ovs-ext/zoo-gbp.h"
#include "ovs-ext/zoo-record.h"
#include "ovs-thread.h"
#include "util.h"

/* Consumption. */

struct consumer {
    bool tcp;
    bool (*recirculates)(uint32_t recirc_id);
    bool stopped;               /* By a connection that must not be opened. */
};

/* What a list of datapath actions works on. */
enum phase {
    INNER,                      /* The injected packet. */
    MARKED,                     /* The same behind a header with the mark, the
                                 * underlay's packet. */
    UNMARKED,                   /* The same behind one without. */
    STOPPED,
};

static void consume_list(struct consumer *, const struct nlattr *actions,
                         size_t len, struct ofpbuf *out);

static void
copy(const struct nlattr *a, struct ofpbuf *out)
{
    ofpbuf_put(out, a, NLA_ALIGN(a->nla_len));
}

/* Appends 'a', which has actions in those of its attributes whose types are
 * 'first' and 'second', to 'out'.  Leaves it out if nothing is left in them. */
static void
consume_nested(struct consumer *c, const struct nlattr *a, int first,
               int second, struct ofpbuf *out)
{
    size_t start = nl_msg_start_nested(out, nl_attr_type(a));
    const struct nlattr *b;
    bool empty = true;
    size_t left;

    NL_NESTED_FOR_EACH (b, left, a) {
        size_t nested;

        if (nl_attr_type(b) != first && nl_attr_type(b) != second) {
            copy(b, out);
            continue;
        }
        nested = nl_msg_start_nested(out, nl_attr_type(b));
        consume_list(c, nl_attr_get(b), nl_attr_get_size(b), out);
        empty = empty && out->size == nested + NLA_HDRLEN;
        nl_msg_end_nested(out, nested);
    }
    if (empty) {
        out->size = start;
    } else {
        nl_msg_end_nested(out, start);
    }
}

static void
consume_clone(struct consumer *c, const struct nlattr *a, struct ofpbuf *out)
{
    size_t start = nl_msg_start_nested(out, nl_attr_type(a));

    consume_list(c, nl_attr_get(a), nl_attr_get_size(a), out);
    if (out->size == start + NLA_HDRLEN) {
        out->size = start;
    } else {
        nl_msg_end_nested(out, start);
    }
}

/* Returns true if 'a', a conntrack action that commits, is also to choose
 * addresses. */
static bool
translates(const struct nlattr *a)
{
    const struct nlattr *nat = nl_attr_find_nested(a, OVS_CT_ATTR_NAT);

    return nat && (nl_attr_find_nested(nat, OVS_NAT_ATTR_SRC)
                   || nl_attr_find_nested(nat, OVS_NAT_ATTR_DST));
}

/* Appends the conntrack action 'a' to 'out', and returns true; or returns false
 * if the packet must not have it. */
static bool
consume_ct(struct consumer *c, const struct nlattr *a, struct ofpbuf *out)
{
    const struct nlattr *b;
    size_t start, left;

    if (!c->tcp
        || !(nl_attr_find_nested(a, OVS_CT_ATTR_COMMIT)
             || nl_attr_find_nested(a, OVS_CT_ATTR_FORCE_COMMIT))) {
        copy(a, out);
        return true;
    } else if (translates(a)) {
        c->stopped = true;
        return false;
    }
    start = nl_msg_start_nested(out, OVS_ACTION_ATTR_CT);
    NL_NESTED_FOR_EACH (b, left, a) {
        if (nl_attr_type(b) == OVS_CT_ATTR_ZONE
            || nl_attr_type(b) == OVS_CT_ATTR_NAT) {
            copy(b, out);
        }
    }
    nl_msg_end_nested(out, start);
    return true;
}

/* Appends what 'a' is to be for the injected packet itself to 'out', and
 * returns what the actions behind it work on. */
static enum phase
consume_action(struct consumer *c, const struct nlattr *a, struct ofpbuf *out)
{
    switch (nl_attr_type(a)) {
    case OVS_ACTION_ATTR_SET:
    case OVS_ACTION_ATTR_SET_MASKED:
    case OVS_ACTION_ATTR_PUSH_VLAN:
    case OVS_ACTION_ATTR_POP_VLAN:
    case OVS_ACTION_ATTR_PUSH_MPLS:
    case OVS_ACTION_ATTR_POP_MPLS:
    case OVS_ACTION_ATTR_ADD_MPLS:
    case OVS_ACTION_ATTR_PUSH_ETH:
    case OVS_ACTION_ATTR_POP_ETH:
    case OVS_ACTION_ATTR_PUSH_NSH:
    case OVS_ACTION_ATTR_POP_NSH:
    case OVS_ACTION_ATTR_CT_CLEAR:
    case OVS_ACTION_ATTR_METER:
    case OVS_ACTION_ATTR_HASH:
    case OVS_ACTION_ATTR_DROP:
        copy(a, out);
        return INNER;

    case OVS_ACTION_ATTR_CT:
        return consume_ct(c, a, out) ? INNER : STOPPED;

    case OVS_ACTION_ATTR_RECIRC:
        if (c->recirculates(nl_attr_get_u32(a))) {
            copy(a, out);
        }
        return INNER;

    case OVS_ACTION_ATTR_USERSPACE:
        if (zoo_record_point(a)) {
            copy(a, out);
        }
        return INNER;

    case OVS_ACTION_ATTR_CLONE:
        consume_clone(c, a, out);
        return INNER;

    case OVS_ACTION_ATTR_SAMPLE:
        consume_nested(c, a, OVS_SAMPLE_ATTR_ACTIONS, OVS_SAMPLE_ATTR_ACTIONS,
                       out);
        return INNER;

    case OVS_ACTION_ATTR_CHECK_PKT_LEN:
        consume_nested(c, a, OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER,
                       OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL, out);
        return INNER;

    case OVS_ACTION_ATTR_TUNNEL_PUSH:
        copy(a, out);
        return zoo_gbp_is_injected(nl_attr_get(a)) ? MARKED : UNMARKED;

    default:
        /* Outputs, samples, and whatever nobody has thought of here. */
        return INNER;
    }
}

static void
consume_list(struct consumer *c, const struct nlattr *actions, size_t len,
             struct ofpbuf *out)
{
    enum phase phase = INNER;
    const struct nlattr *a;
    size_t left, last = 0;

    NL_ATTR_FOR_EACH (a, left, actions, len) {
        switch (phase) {
        case INNER:
            last = out->size;
            phase = consume_action(c, a, out);
            break;

        case MARKED:
            copy(a, out);
            break;

        case UNMARKED:
            if (nl_attr_type(a) == OVS_ACTION_ATTR_USERSPACE
                && zoo_record_point(a)) {
                copy(a, out);
                last = out->size;
            }
            break;

        case STOPPED:
            return;
        }
    }
    if (phase == UNMARKED) {
        /* The header alone is of no use. */
        out->size = MIN(out->size, last);
    }
}

bool
zoo_inject_consume(struct ofpbuf *actions, size_t offset, bool tcp,
                   bool (*recirculates)(uint32_t recirc_id))
{
    struct consumer c = { .tcp = tcp, .recirculates = recirculates };
    size_t len = actions->size - offset;
    struct nlattr *old;

    if (len) {
        old = xmemdup(ofpbuf_at_assert(actions, offset, len), len);
        actions->size = offset;
        consume_list(&c, old, len, actions);
        free(old);
    }
    return c.stopped;
}

/* Ethernet addresses. */

struct port {
    struct hmap_node node;      /* In 'ports', by bridge and port. */
    char bridge[VTRACE_NAME_LEN];
    char port[VTRACE_NAME_LEN];
    struct ovs_list entries;    /* By last use, the latest at the end. */
    size_t n;
};

struct entry {
    struct hmap_node node;      /* In 'entries', by 'key'. */
    struct ovs_list lru_node;   /* In 'lru', by last use. */
    struct ovs_list port_node;  /* In 'port''s 'entries'. */
    struct port *port;
    struct zoo_inject_key key;
    struct zoo_inject_l2 l2;
    bool several;               /* These IP addresses are in several VLANs. */
};

static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;
static struct hmap entries OVS_GUARDED_BY(mutex)
    = HMAP_INITIALIZER(&entries);
static struct hmap ports OVS_GUARDED_BY(mutex) = HMAP_INITIALIZER(&ports);
static struct ovs_list lru OVS_GUARDED_BY(mutex)
    = OVS_LIST_INITIALIZER(&lru);

static uint32_t
key_hash(const struct zoo_inject_key *key)
{
    return hash_bytes(key, sizeof *key, 0);
}

static struct entry *
find_entry(const struct zoo_inject_key *key) OVS_REQUIRES(mutex)
{
    struct entry *e;

    HMAP_FOR_EACH_WITH_HASH (e, node, key_hash(key), &entries) {
        if (!memcmp(&e->key, key, sizeof *key)) {
            return e;
        }
    }
    return NULL;
}

static struct port *
get_port(const struct zoo_inject_key *key) OVS_REQUIRES(mutex)
{
    uint32_t hash = hash_bytes(key->bridge, sizeof key->bridge, 0);
    struct port *p;

    hash = hash_bytes(key->port, sizeof key->port, hash);
    HMAP_FOR_EACH_WITH_HASH (p, node, hash, &ports) {
        if (!memcmp(p->bridge, key->bridge, sizeof p->bridge)
            && !memcmp(p->port, key->port, sizeof p->port)) {
            return p;
        }
    }
    p = xmalloc(sizeof *p);
    memcpy(p->bridge, key->bridge, sizeof p->bridge);
    memcpy(p->port, key->port, sizeof p->port);
    ovs_list_init(&p->entries);
    p->n = 0;
    hmap_insert(&ports, &p->node, hash);
    return p;
}

static void
remove_entry(struct entry *e) OVS_REQUIRES(mutex)
{
    struct port *p = e->port;

    hmap_remove(&entries, &e->node);
    ovs_list_remove(&e->lru_node);
    ovs_list_remove(&e->port_node);
    free(e);
    if (!--p->n) {
        hmap_remove(&ports, &p->node);
        free(p);
    }
}

static void
add_entry(const struct zoo_inject_key *key, const struct zoo_inject_l2 *l2)
    OVS_REQUIRES(mutex)
{
    struct entry *e = xmalloc(sizeof *e);
    struct port *p = get_port(key);

    e->key = *key;
    e->l2 = *l2;
    e->several = false;
    e->port = p;
    hmap_insert(&entries, &e->node, key_hash(key));
    ovs_list_push_back(&lru, &e->lru_node);
    ovs_list_push_back(&p->entries, &e->port_node);
    p->n++;

    /* A port with many peers must not displace what others need. */
    if (p->n > ZOO_INJECT_PORT_MAX) {
        remove_entry(CONTAINER_OF(ovs_list_front(&p->entries), struct entry,
                                  port_node));
    } else if (hmap_count(&entries) > ZOO_INJECT_MAX) {
        remove_entry(CONTAINER_OF(ovs_list_front(&lru), struct entry,
                                  lru_node));
    }
}

/* Returns the VLAN in 'tci', -1 if there is no tag. */
static int
vlan_of(ovs_be16 tci)
{
    return tci ? vlan_tci_to_vid(tci) : -1;
}

void
zoo_inject_learn(const struct zoo_inject_key *key,
                 const struct zoo_inject_l2 *l2)
{
    struct entry *e;

    ovs_mutex_lock(&mutex);
    e = find_entry(key);
    if (e) {
        e->several = e->several || vlan_of(e->l2.tci) != vlan_of(l2->tci);
        e->l2 = *l2;
        ovs_list_remove(&e->lru_node);
        ovs_list_push_back(&lru, &e->lru_node);
        ovs_list_remove(&e->port_node);
        ovs_list_push_back(&e->port->entries, &e->port_node);
    } else {
        add_entry(key, l2);
    }
    ovs_mutex_unlock(&mutex);
}

bool
zoo_inject_lookup(const struct zoo_inject_key *key, ovs_be16 tci,
                  struct zoo_inject_l2 *l2)
{
    const struct entry *e;
    bool found;

    ovs_mutex_lock(&mutex);
    e = find_entry(key);
    found = e && (tci ? vlan_of(tci) == vlan_of(e->l2.tci) : !e->several);
    if (found) {
        *l2 = e->l2;
    }
    ovs_mutex_unlock(&mutex);
    return found;
}

void
zoo_inject_flush(void)
{
    struct entry *e;

    ovs_mutex_lock(&mutex);
    LIST_FOR_EACH_SAFE (e, lru_node, &lru) {
        remove_entry(e);
    }
    ovs_mutex_unlock(&mutex);
}
