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

#ifndef ZOOROUTE_DB_CONFIG_H
#define ZOOROUTE_DB_CONFIG_H 1

/* ZooRoute's configuration in the database: the row in table ZooRoute.
 *
 * For the main thread of a daemon that has an IDL of the Open_vSwitch
 * database. */

#include <stdbool.h>

struct ds;
struct ovsdb_idl;
struct smap;

/* Tells 'idl' which columns are not needed.  Before 'idl' connects. */
void zooroute_db_config_init(struct ovsdb_idl *idl);

/* Has all peers use the same candidates, for datapaths that have one list of
 * ports.  Ahead of the first configuration. */
void zooroute_db_config_share_candidates(void);

/* Gives the configuration in 'idl' to zooroute_set_config().  If something is
 * wrong with it, logs that and stays with the last good one.  There must be an
 * open transaction on 'idl': a seed that is missing is written. */
void zooroute_db_config_reconfigure(struct ovsdb_idl *idl);

/* Returns true if the configuration in effect has the feature on. */
bool zooroute_db_config_is_enabled(void);

/* Returns what is wrong with the configuration in the database, NULL if
 * nothing is.  Valid until the next reconfiguration. */
const char *zooroute_db_config_error(void);

/* Adds to 'status', under the names of the options, what has no effect or less
 * than its value says. */
void zooroute_db_config_add_warnings(struct smap *status);

/* Appends the configuration in effect, in the terms of the database, a line for
 * each value. */
void zooroute_db_config_format(struct ds *);

#endif /* zooroute-db-config.h */
