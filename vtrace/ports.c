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
#include "vtrace/ports.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/list.h"
#include "openvswitch/vlog.h"
#include "ovsdb-idl.h"
#include "smap.h"
#include "util.h"
#include "vswitch-idl.h"
#include "vtrace/store.h"

VLOG_DEFINE_THIS_MODULE(vtrace_ports);

/* A database that says nothing for so long is asked, and if it stays silent
 * taken for gone, in ms. */
#define PROBE_MS 5000

struct database {
    struct ovs_list node;       /* In struct vtrace_ports's 'databases'. */
    char *name;                 /* Of the node. */
    char *target;
    struct ovsdb_idl *idl;
    bool wanted;
    bool current;               /* The contents are those of the server. */
    unsigned int seqno;         /* Of the contents while they were not. */
};

struct vtrace_ports {
    struct vtrace_store *store;
    struct ovs_list databases;
};

struct vtrace_ports *
vtrace_ports_create(struct vtrace_store *store)
{
    struct vtrace_ports *ports = xmalloc(sizeof *ports);

    ports->store = store;
    ovs_list_init(&ports->databases);
    vtrace_ports_refresh(ports);
    return ports;
}

static void
database_destroy(struct database *db)
{
    ovs_list_remove(&db->node);
    ovsdb_idl_destroy(db->idl);
    free(db->name);
    free(db->target);
    free(db);
}

void
vtrace_ports_destroy(struct vtrace_ports *ports)
{
    struct database *db;

    if (ports) {
        LIST_FOR_EACH_SAFE (db, node, &ports->databases) {
            database_destroy(db);
        }
        free(ports);
    }
}

static struct database *
find_database(const struct vtrace_ports *ports, const char *name)
{
    struct database *db;

    LIST_FOR_EACH (db, node, &ports->databases) {
        if (!strcmp(db->name, name)) {
            return db;
        }
    }
    return NULL;
}

static void
add_database(struct vtrace_ports *ports, const char *name, const char *target)
{
    struct database *db = xzalloc(sizeof *db);

    db->name = xstrdup(name);
    db->target = xstrdup(target);
    db->wanted = true;
    db->idl = ovsdb_idl_create_unconnected(&ovsrec_idl_class, false);
    ovsdb_idl_add_table(db->idl, &ovsrec_table_interface);
    ovsdb_idl_add_column(db->idl, &ovsrec_interface_col_name);
    ovsdb_idl_add_column(db->idl, &ovsrec_interface_col_external_ids);
    /* Any server of a cluster has the ids. */
    ovsdb_idl_set_leader_only(db->idl, false);
    ovsdb_idl_set_remote(db->idl, target, true);
    ovsdb_idl_set_probe_interval(db->idl, PROBE_MS);
    db->seqno = ovsdb_idl_get_seqno(db->idl);
    ovs_list_push_back(&ports->databases, &db->node);
}

void
vtrace_ports_refresh(struct vtrace_ports *ports)
{
    struct vtrace_store_node *nodes;
    struct database *db;
    char *error;
    size_t n;

    error = vtrace_store_nodes(ports->store, NULL, &nodes, &n);
    if (error) {
        VLOG_ERR("%s", error);
        free(error);
        return;
    }
    LIST_FOR_EACH (db, node, &ports->databases) {
        db->wanted = false;
    }
    for (size_t i = 0; i < n; i++) {
        db = find_database(ports, nodes[i].name);
        if (db && !strcmp(db->target, nodes[i].database)) {
            db->wanted = true;
        }
    }
    LIST_FOR_EACH_SAFE (db, node, &ports->databases) {
        if (!db->wanted) {
            database_destroy(db);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (*nodes[i].database && !find_database(ports, nodes[i].name)) {
            add_database(ports, nodes[i].name, nodes[i].database);
        }
    }
    vtrace_store_nodes_destroy(nodes, n);
}

void
vtrace_ports_run(struct vtrace_ports *ports)
{
    struct database *db;

    LIST_FOR_EACH (db, node, &ports->databases) {
        ovsdb_idl_run(db->idl);
        if (!ovsdb_idl_is_connected(db->idl)) {
            db->current = false;
            db->seqno = ovsdb_idl_get_seqno(db->idl);
        } else if (ovsdb_idl_get_seqno(db->idl) != db->seqno) {
            db->current = true;
        }
    }
}

void
vtrace_ports_wait(struct vtrace_ports *ports)
{
    struct database *db;

    LIST_FOR_EACH (db, node, &ports->databases) {
        ovsdb_idl_wait(db->idl);
    }
}

static bool
has_ids(const struct ovsrec_interface *iface, const struct smap *ids)
{
    struct smap_node *node;

    SMAP_FOR_EACH (node, ids) {
        const char *value = smap_get(&iface->external_ids, node->key);

        if (!value || strcmp(value, node->value)) {
            return false;
        }
    }
    return true;
}

char *
vtrace_ports_have_ids(const struct vtrace_ports *ports,
                      const struct vtrace_entry *entry,
                      const struct smap *ids, bool *has)
{
    const struct database *db = find_database(ports, entry->node);
    const struct ovsrec_interface *iface;

    *has = false;
    if (!db) {
        return NULL;
    } else if (!db->current) {
        return xasprintf("%s/%s/%s: the database of node %s, which says whose "
                         "ports are, does not answer: try again later",
                         entry->node, entry->bridge, entry->port,
                         entry->node);
    }
    OVSREC_INTERFACE_FOR_EACH (iface, db->idl) {
        if (!strcmp(iface->name, entry->port)) {
            *has = has_ids(iface, ids);
            break;
        }
    }
    return NULL;
}
