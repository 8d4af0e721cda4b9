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

#ifndef GATEWAY_STATUS_H
#define GATEWAY_STATUS_H 1

/* The gateway's status in the Open_vSwitch database: what is wrong with rows of
 * its tables, and statistics.
 *
 * For the main thread. */

struct ovsdb_idl;
struct uuid;

/* Tells 'idl', which monitors the gateway's tables, which columns are only
 * written here.  Before 'idl' connects. */
void gateway_status_init(struct ovsdb_idl *idl);

/* What is wrong with the configuration.  The errors, of which these take
 * ownership, stay until gateway_status_clear_errors() is called; of several for
 * one thing the last counts.  'row' is a tunnel's or a route's; what is wrong
 * with a tunnel that there is is in gateway-state.h. */
void gateway_status_clear_errors(void);
void gateway_status_error(char *error);
void gateway_status_port_error(const char *name, char *error);
void gateway_status_row_error(const struct uuid *row, char *error);

/* What is wrong with the pipeline's tables, until the next call, NULL if nothing
 * is.  Takes ownership. */
void gateway_status_commit_error(char *error);

/* Has everything written soon. */
void gateway_status_changed(void);

/* Writes status and statistics, in transactions of its own.  There must be no
 * open transaction on 'idl', and 'idl' must have its lock.  'error' is why the
 * gateway does not run, NULL if it does. */
void gateway_status_run(struct ovsdb_idl *idl, const char *error);
void gateway_status_wait(void);

#endif /* gateway-status.h */
