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

#ifndef ZOOROUTE_OVSDB_H
#define ZOOROUTE_OVSDB_H 1

/* ZooRoute's configuration from, and its status to, the Open_vSwitch database.
 *
 * vswitchd/bridge.c calls these functions, in the main thread only, with the
 * IDL that it uses itself. */

struct ofproto;
struct ovsdb_idl;
struct ovsrec_interface;
struct ovsrec_open_vswitch;
struct smap;

/* Tells 'idl' which columns are only written here.  Before 'idl' connects. */
void zooroute_ovsdb_init(struct ovsdb_idl *idl);

/* Takes over the configuration in 'idl'.  An error in it is logged and written
 * to the ZooRoute row's status, and the last good configuration stays.  There
 * must be an open transaction on 'idl'. */
void zooroute_ovsdb_reconfigure(struct ovsdb_idl *idl,
                                const struct ovsrec_open_vswitch *cfg);

/* Writes status and statistics, if there is news, in transactions of its own.
 * There must be no open transaction on 'idl', and 'idl' must have its lock. */
void zooroute_ovsdb_run(struct ovsdb_idl *idl);
void zooroute_ovsdb_wait(struct ovsdb_idl *idl);

/* Stops what runs beside the main thread, before the process exits. */
void zooroute_ovsdb_exit(void);

/* If the feature is on and 'iface', on the bridge of 'ofproto', is a tunnel
 * that it is for but cannot be used on, adds a key to 'status' that says so. */
void zooroute_ovsdb_iface_status(const struct ovsrec_interface *iface,
                                 const struct ofproto *ofproto,
                                 struct smap *status);

#endif /* zooroute-ovsdb.h */
