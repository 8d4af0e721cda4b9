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

#ifndef GATEWAY_DATABASE_H
#define GATEWAY_DATABASE_H 1

/* The gateway's configuration in the Open_vSwitch database: tables ZooGateway,
 * ZooGateway_Port, ZooGateway_Tunnel and ZooGateway_Route.
 *
 * For the main thread. */

struct ovsdb_idl;

/* Tells 'idl', which monitors nothing by default, what the gateway needs.
 * Before 'idl' connects. */
void gateway_database_init(struct ovsdb_idl *idl);

/* Takes over the configuration in 'idl', once the pipeline runs.  What is wrong
 * with a row is written to the row and to the log, the others stay in
 * effect. */
void gateway_database_reconfigure(struct ovsdb_idl *idl);

/* Has changes of the pipeline's tables take effect.  What is wrong goes into the
 * status, and gateway_database_run() tries again. */
void gateway_database_commit(void);

/* From the loop, also without a database: reacts to what neighbors say,
 * and to what has failed. */
void gateway_database_run(void);
void gateway_database_wait(void);

/* Closes all ports. */
void gateway_database_exit(void);

#endif /* gateway-database.h */
