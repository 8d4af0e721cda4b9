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
#include "p4/swx-compiled.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_swx_ctl.h>

#include "openvswitch/dynamic-string.h"
#include "sha1.h"
#include "util.h"

struct swx_runner {
    struct rte_swx_pipeline *pipeline;
    const struct swx_compiled *program;
    uint64_t **registers;
    void *states;
};

/* Returns NULL if file 'name' has the SHA-1 'expected'. */
static char *
check_file(const char *name, const char *expected)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    uint8_t digest[SHA1_DIGEST_SIZE];
    char hex[SHA1_HEX_DIGEST_LEN + 1];
    FILE *file = fopen(name, "r");
    char buffer[4096];
    size_t n;

    if (!file) {
        return xasprintf("%s: open failed (%s)", name, ovs_strerror(errno));
    }
    while ((n = fread(buffer, 1, sizeof buffer, file)) > 0) {
        ds_put_buffer(&s, buffer, n);
    }
    fclose(file);
    sha1_bytes(ds_cstr(&s), s.length, digest);
    ds_destroy(&s);
    sha1_to_hex(digest, hex);
    return (strcmp(hex, expected)
            ? xasprintf("%s is not the file that this program was built with "
                        "(SHA-1 %s, not %s)", name, hex, expected)
            : NULL);
}

/* Returns NULL if the numbers that 'program' has for tables and actions are
 * those of 'pipeline', and arguments of actions are in host byte order, as it
 * has them. */
static char *
check_numbers(struct rte_swx_pipeline *pipeline,
              const struct swx_compiled *program)
{
    struct rte_swx_ctl_pipeline_info info;

    if (rte_swx_ctl_pipeline_info_get(pipeline, &info)
        || info.n_tables != program->n_tables
        || info.n_actions != program->n_actions) {
        return xstrdup("DPDK counts other tables or actions");
    }
    for (size_t i = 0; i < program->n_tables; i++) {
        struct rte_swx_ctl_table_info table;

        if (rte_swx_ctl_table_info_get(pipeline, i, &table)
            || strcmp(table.name, program->tables[i])) {
            return xasprintf("DPDK has another number for table %s",
                             program->tables[i]);
        }
    }
    for (size_t i = 0; i < program->n_actions; i++) {
        struct rte_swx_ctl_action_info action;

        if (rte_swx_ctl_action_info_get(pipeline, i, &action)
            || strcmp(action.name, program->actions[i])) {
            return xasprintf("DPDK has another number for action %s",
                             program->actions[i]);
        }
        for (size_t j = 0; j < action.n_args; j++) {
            struct rte_swx_ctl_action_arg_info arg;

            if (rte_swx_ctl_action_arg_info_get(pipeline, i, j, &arg)
                || arg.is_network_byte_order) {
                return xasprintf("DPDK has another byte order for arguments "
                                 "of action %s", program->actions[i]);
            }
        }
    }
    return NULL;
}

struct swx_runner *
swx_runner_create(struct rte_swx_pipeline *pipeline,
                  const struct swx_compiled *program, const char *spec,
                  char **why)
{
    struct swx_runner *runner;
    int numa_node = SOCKET_ID_ANY;
    bool ok;

    *why = check_file(spec, program->sha1);
    if (!*why) {
        *why = check_numbers(pipeline, program);
    }
    if (*why) {
        return NULL;
    }
    rte_swx_ctl_pipeline_numa_node_get(pipeline, &numa_node);
    runner = xzalloc(sizeof *runner);
    runner->pipeline = pipeline;
    runner->program = program;
    runner->registers = xcalloc(program->n_registers,
                                sizeof *runner->registers);
    runner->states = rte_zmalloc_socket("swx_states", program->state_size,
                                        RTE_CACHE_LINE_SIZE, numa_node);
    ok = runner->states != NULL;
    for (size_t i = 0; i < program->n_registers; i++) {
        runner->registers[i] = rte_zmalloc_socket(
            "swx_register", program->registers[i].size * sizeof(uint64_t),
            RTE_CACHE_LINE_SIZE, numa_node);
        ok = ok && runner->registers[i];
    }
    if (!ok) {
        swx_runner_destroy(runner);
        *why = xstrdup("DPDK has too little memory for it");
        return NULL;
    }
    program->init(runner->states);
    return runner;
}

void
swx_runner_destroy(struct swx_runner *runner)
{
    if (runner) {
        for (size_t i = 0; i < runner->program->n_registers; i++) {
            rte_free(runner->registers[i]);
        }
        free(runner->registers);
        rte_free(runner->states);
        free(runner);
    }
}

void
swx_runner_run(struct swx_runner *runner, struct swx_job *jobs, size_t n)
{
    struct rte_swx_table_state *tables;

    ovs_assert(n <= SWX_BURST);
    if (rte_swx_pipeline_table_state_get(runner->pipeline, &tables)) {
        OVS_NOT_REACHED();
    }

    const struct swx_env env = { tables, runner->registers };
    runner->program->run(&env, runner->states, jobs, n);
}

uint64_t *
swx_runner_register(const struct swx_runner *runner, const char *name,
                    uint32_t index)
{
    const struct swx_compiled *program = runner->program;

    for (size_t i = 0; i < program->n_registers; i++) {
        if (!strcmp(program->registers[i].name, name)) {
            return (index < program->registers[i].size
                    ? &runner->registers[i][index] : NULL);
        }
    }
    return NULL;
}
