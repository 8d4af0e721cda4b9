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

#ifndef TEST_GATEWAY_PIPELINE_H
#define TEST_GATEWAY_PIPELINE_H 1

/* The gateway's real pipeline, p4/gateway.spec in DPDK's SWX, in a process:
 * packets in, packets and counters out, without any port of the machine. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway-packets.h"
#include "openvswitch/compiler.h"

#define GW_MAX_FRAMES 256       /* In the pipeline. */

/* Starts DPDK and loads the pipeline from file 'spec' with 'n_ports' ports, a
 * power of two.  Stops the program if it cannot. */
void gw_init(const char *spec, unsigned int n_ports, bool compiled);

/* Adds an entry, in the syntax of rte_swx_ctl_pipeline_table_entry_read(), to
 * 'table'; and makes the entries added so far effective. */
void gw_add(const char *table, const char *format, ...)
    OVS_PRINTF_FORMAT(2, 3);
void gw_commit(void);

/* Registers; counters are registers too. */
uint64_t gw_read(const char *array, uint32_t index);
void gw_write(const char *array, uint32_t index, uint64_t value);

/* Runs the 'n' frames, at most GW_MAX_FRAMES, through the pipeline: each is
 * replaced by what became of it.  Each must become one frame or be dropped. */
void gw_run(struct gw_frame *frames, size_t n);

#endif /* gateway-pipeline.h */
