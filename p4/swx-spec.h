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

#ifndef SWX_SPEC_H
#define SWX_SPEC_H 1

/* Loads what p4c-dpdk makes of a P4 program into DPDK's SWX pipeline.
 *
 * DPDK 22.11 turns a .spec file into C, which needs a compiler and a header
 * that no package has, or into nothing.  This calls the public functions that
 * say the same (rte_swx_pipeline.h). */

struct rte_swx_pipeline;

/* Configures 'pipeline', which rte_swx_pipeline_config() has just made, as the
 * file 'name' says: all but its ports and rte_swx_pipeline_build().
 *
 * Returns NULL if successful, otherwise an error message that names the file
 * and the line, which the caller must free; the pipeline is then good for
 * nothing but rte_swx_pipeline_free().
 *
 * The file may have structs, headers, metadata, register arrays, actions,
 * exact and wildcard tables and one apply block; anything else is an error, so
 * nothing is left out silently.  It may have anything in it, but is bounded by
 * what the pipeline itself bounds. */
char *swx_spec_load(struct rte_swx_pipeline *pipeline, const char *name);

#endif /* swx-spec.h */
