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

#ifndef ZOOROUTE_DB_STATUS_H
#define ZOOROUTE_DB_STATUS_H 1

/* ZooRoute's status in the database: "status" and "statistics" of the row in
 * table ZooRoute, and this daemon's rows of table ZooRoute_Peer.
 *
 * For the main thread of a daemon that has an IDL of the Open_vSwitch
 * database. */

struct ovsdb_idl;

/* Tells 'idl' which columns are only written here.  Before 'idl' connects.
 * 'daemon' names this daemon in its rows and must stay valid. */
void zooroute_db_status_init(struct ovsdb_idl *idl, const char *daemon);

/* Has everything written again, although no peer has changed. */
void zooroute_db_status_changed(void);

/* Writes what is new, in transactions of its own.  There must be no open
 * transaction on 'idl', and 'idl' must have its lock. */
void zooroute_db_status_run(struct ovsdb_idl *idl);
void zooroute_db_status_wait(void);

#endif /* zooroute-db-status.h */
