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

#ifndef VTRACE_EXPORTER_H
#define VTRACE_EXPORTER_H 1

/* Sends VTrace's records to a collector
 * =====================================
 *
 * While a collector is configured, a thread empties the rings of vtrace-ring.h
 * and sends what was in them as IPFIX (RFC 7011) over a stream, with a
 * watermark for each color in use every VTRACE_EXPORTER_WATERMARK_MS.  A
 * session is a connection: its counts begin at 0, and nothing is kept for the
 * next one.
 *
 * What the collector does never delays the datapath.  If it is not there, or
 * does not read, records are discarded and counted; one that does not read for
 * VTRACE_EXPORTER_STALL_MS, or says anything, is disconnected.
 *
 * All functions are for the main thread, which also opens the connection:
 * TLS has state that belongs to it. */

#include <stdbool.h>
#include <stddef.h>
#include <netinet/in.h>

#include "compiler.h"
#include "ovs-ext/zoo-record.h"

struct json;

#define VTRACE_EXPORTER_WATERMARK_MS 200
#define VTRACE_EXPORTER_STALL_MS 10000

/* Bytes that wait for the collector at most. */
#define VTRACE_EXPORTER_QUEUE (1024 * 1024)

/* A color is in use until no record of it has come for so long. */
#define VTRACE_EXPORTER_COLOR_IDLE_MS 60000

/* Addresses that are told to the collector at most. */
#define VTRACE_EXPORTER_MAX_ENDPOINTS 256

/* Returns NULL if 'collector' can be one: tcp:IP:PORT, ssl:IP:PORT or
 * unix:PATH.  Otherwise returns what is wrong with it, for the caller to
 * free. */
char *vtrace_exporter_check(const char *collector) OVS_WARN_UNUSED_RESULT;

/* Sets where records go, and how they are taken.  With NULL for a 'collector'
 * none are taken. */
void vtrace_exporter_configure(const char *collector,
                               const struct zoo_record_config *);

/* Returns true if there is a collector. */
bool vtrace_exporter_is_configured(void);

/* Sets the local addresses of tunnels. */
void vtrace_exporter_set_endpoints(const struct in6_addr *, size_t n);

/* Returns what "ovs-appctl vtrace/exporter --json" shows, a new object that
 * the caller must destroy. */
struct json *vtrace_exporter_to_json(void);

void vtrace_exporter_run(void);
void vtrace_exporter_wait(void);
void vtrace_exporter_exit(void);

#endif /* vtrace-exporter.h */
