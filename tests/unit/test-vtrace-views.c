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

/* What tenants get to know of a result, beside what operators do: the switches
 * between which their packets are lost, and neither underlay nor rules. */

#include <config.h>
#include "unit.h"
#include "vtrace-net.h"
#include "vtrace-sim.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "util.h"
#include "vtrace/draw.h"
#include "vtrace/task-json.h"
#include "vtrace/vtrace-json.h"

/* The addresses of the underlay, in simulations. */
#define UNDERLAY "192.0.2."

/* The name of the tunnel ports there. */
#define TUNNEL_PORT "vxlan0"

/* Members that only operators see, beside the verdict's "sport". */
static const char *const secrets[] = {
    "rules", "color", "cookie", "table", "sports", "tun_id", "tun_src",
};

struct views {
    struct json *json[2];       /* The operator's and the tenant's. */
    char *text[2];              /* As JSON, and behind that as it is drawn. */
};

/* Gets what 'vtrace show' has of a task that ended with 'an'. */
static void
views_init(struct views *views, const struct vtrace_analysis *an)
{
    struct vtrace_task task = {
        .id = 1, .state = VTRACE_DONE, .request = { .both = true },
        .n_rules = 1, .result = vtrace_task_result(an, NULL),
    };

    for (int tenant = 0; tenant < 2; tenant++) {
        struct json *json = vtrace_task_to_json(&task, tenant, false, NULL,
                                                NULL);
        struct ds s = DS_EMPTY_INITIALIZER;

        json_to_ds(json, JSSF_SORT, &s);
        vtrace_draw_task(json, &s);
        views->json[tenant] = json;
        views->text[tenant] = ds_steal_cstr(&s);
    }
    free(task.result);
}

static void
views_destroy(struct views *views)
{
    for (int tenant = 0; tenant < 2; tenant++) {
        json_destroy(views->json[tenant]);
        free(views->text[tenant]);
    }
}

static const struct json *
get_member(const struct json *json, const char *name)
{
    const struct json *member = shash_find_data(json_object(json), name);

    ck_assert_msg(member != NULL, "no member \"%s\"", name);
    return member;
}

static const struct json *
get_verdict(const struct views *views, int tenant)
{
    return get_member(views->json[tenant], "verdict");
}

static bool
has_member(const char *text, const char *name)
{
    char *s = xasprintf("\"%s\":", name);
    bool found = strstr(text, s) != NULL;

    free(s);
    return found;
}

static void
check_secrets(const struct views *views)
{
    ck_assert_ptr_null(strstr(views->text[1], UNDERLAY));
    ck_assert_ptr_null(strstr(views->text[1], TUNNEL_PORT));
    for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
        ck_assert_msg(!has_member(views->text[1], secrets[i]),
                      "a tenant sees \"%s\"", secrets[i]);
    }
    ck_assert_int_eq(vtrace_json_integer(get_verdict(views, 1), "sport", -1),
                     -1);
}

/* Checks that tenants see what 'names' names of the verdict, or of each edge,
 * as operators do. */
static void
check_same(const struct json *operator, const struct json *tenant,
           const char *const *names)
{
    for (; *names; names++) {
        ck_assert_msg(json_equal(get_member(operator, *names),
                                 get_member(tenant, *names)),
                      "\"%s\" differs", *names);
    }
}

static void
check_edges(const struct views *views)
{
    static const char *const of_verdict[] = {
        "kind", "direction", "node", "bridge", "reason", "lost", "seen",
        "edge", NULL
    };
    static const char *const of_port[] = { "port", NULL };
    static const char *const of_edge[] = {
        "direction", "from", "to", "sent", "received", "lost", "delay", NULL
    };
    const struct json *operator = get_member(views->json[0], "edges");
    const struct json *tenant = get_member(views->json[1], "edges");

    check_same(get_verdict(views, 0), get_verdict(views, 1), of_verdict);
    if (strcmp(vtrace_json_string(get_verdict(views, 0), "port", ""),
               TUNNEL_PORT)) {
        check_same(get_verdict(views, 0), get_verdict(views, 1), of_port);
    } else {
        ck_assert_str_eq(vtrace_json_string(get_verdict(views, 1), "port",
                                            ""), "tunnel");
    }
    ck_assert_uint_eq(json_array_size(operator), json_array_size(tenant));
    for (size_t i = 0; i < json_array_size(operator); i++) {
        check_same(json_array_at(operator, i), json_array_at(tenant, i),
                   of_edge);
    }
}

/* Every fault. */
START_TEST(test_faults)
{
    struct sim_options o = {
        .scenario = _i / SIM_N_FAULTS, .fault = _i % SIM_N_FAULTS,
        .both = true, .flows = true, .n_packets = 300,
    };
    struct vtrace_analysis *an;
    struct vtrace_analyzer *az;
    struct views views;

    unit_seed(_i);
    az = sim_run(&o, &an);
    views_init(&views, an);
    check_secrets(&views);
    check_edges(&views);
    views_destroy(&views);
    vtrace_analyzer_destroy(az);
}
END_TEST

/* What is left of a task that a crash of vtraced has interrupted: a loss is one
 * still, and no other verdict is left. */
START_TEST(test_interrupted)
{
    struct sim_options o = {
        .scenario = SIM_VPC, .fault = _i, .both = true, .flows = true,
        .n_packets = 300,
    };
    struct vtrace_analysis *an;
    struct vtrace_analyzer *az = sim_run(&o, &an);
    char *saved = vtrace_task_result(an, NULL);
    struct vtrace_task task = {
        .id = 1, .state = VTRACE_FAILED, .request = { .both = true },
        .n_rules = 1, .running = 1000, .ends = 11000, .ended = 20000,
        .reason = CONST_CAST(char *, "vtraced ended"),
        .result = vtrace_task_interrupted(saved, 3500, "not yet"),
    };

    struct vtrace_task whole = task;

    whole.result = saved;
    ck_assert_ptr_nonnull(task.result);
    for (int i = 0; i < 4; i++) {
        bool tenant = i & 1, brief = i & 2;
        struct json *before = vtrace_task_to_json(&whole, tenant, brief,
                                                  NULL, NULL);
        struct json *after = vtrace_task_to_json(&task, tenant, brief, NULL,
                                                 NULL);
        const struct json *verdict = get_member(after, "verdict");
        const char *kind = vtrace_json_string(verdict, "kind", "");
        const char *was = vtrace_json_string(get_member(before, "verdict"),
                                             "kind", "");
        const char *so_far = vtrace_json_string(verdict, "so_far", NULL);
        struct ds s = DS_EMPTY_INITIALIZER;

        vtrace_draw_task(after, &s);
        ck_assert_ptr_nonnull(strstr(ds_cstr(&s), "; as of 2.5 s after"));
        ck_assert_ptr_nonnull(strstr(ds_cstr(&s), "failed: vtraced ended"));
        ck_assert_int_eq(vtrace_json_integer(verdict, "as_of_ms", 0), 3500);
        ck_assert_str_eq(vtrace_json_string(after, "reverse", ""), "not yet");
        if (!strcmp(was, "drop") || !strcmp(was, "underlay-loss")) {
            ck_assert_str_eq(kind, was);
            ck_assert_ptr_null(so_far);
            ck_assert(json_equal(get_member(verdict, "reason"),
                                 get_member(get_member(before, "verdict"),
                                            "reason")));
        } else {
            ck_assert_str_eq(kind, "inconclusive");
            ck_assert_str_eq(so_far, was);
            ck_assert_str_eq(vtrace_json_string(verdict, "reason", ""),
                             "interrupted");
        }
        ck_assert(json_equal(get_member(verdict, "lost"),
                             get_member(get_member(before, "verdict"),
                                        "lost")));
        if (!brief) {
            ck_assert(json_equal(get_member(after, "hops"),
                                 get_member(before, "hops")));
            ck_assert(json_equal(get_member(after, "edges"),
                                 get_member(before, "edges")));
        }
        ds_destroy(&s);
        json_destroy(before);
        json_destroy(after);
    }
    free(task.result);
    free(saved);
    vtrace_analyzer_destroy(az);
}
END_TEST

/* What cannot have been saved. */
START_TEST(test_interrupted_damaged)
{
    static const char *const damaged[] = {
        "", "{", "[]", "{}\n{}", "{\"operator\":{},\"tenant\":{}}",
        "{\"operator\":{\"verdict\":{}},\"tenant\":{\"verdict\":[]}}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
        ck_assert_ptr_null(vtrace_task_interrupted(damaged[i], 1, NULL));
    }
}
END_TEST

/* Returns the end of the edge in the verdict in 'views', as 'tenant' or not
 * sees it. */
static const char *
edge_end(const struct views *views, int tenant)
{
    const struct json *edge = get_member(get_verdict(views, tenant), "edge");

    ck_assert_int_eq(edge->type, JSON_ARRAY);
    ck_assert_str_eq(json_string(json_array_at(edge, 0)), "h1");
    return json_string(json_array_at(edge, 1));
}

/* The edge of a loss, and that operators see what tenants do not. */
START_TEST(test_edge)
{
    static const char *const seen[] = {
        "rules", "color", "cookie", "sports", "tun_id", "tun_src"
    };
    struct sim_options o = {
        .scenario = SIM_VPC, .fault = SIM_SPINE_SILENT, .n_packets = 300,
    };
    struct vtrace_analysis *an;
    struct vtrace_analyzer *az = sim_run(&o, &an);
    struct views views;

    views_init(&views, an);
    ck_assert_str_eq(edge_end(&views, 0), "h2");
    ck_assert_str_eq(edge_end(&views, 1), "h2");
    ck_assert_int_gt(vtrace_json_integer(get_verdict(&views, 0), "sport", -1),
                     0);
    ck_assert_ptr_nonnull(strstr(views.text[1],
                                 "underlay-silent) between h1 and h2"));
    ck_assert_ptr_nonnull(strstr(views.text[1], "to h2: 300 sent, 300 lost"));
    ck_assert_ptr_nonnull(strstr(views.text[0], "h1/br-int/" TUNNEL_PORT));
    ck_assert_ptr_nonnull(strstr(views.text[1], "h1/br-int/tunnel"));
    for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
        ck_assert_msg(has_member(views.text[0], seen[i]),
                      "an operator does not see \"%s\"", seen[i]);
    }
    check_secrets(&views);
    views_destroy(&views);
    vtrace_analyzer_destroy(az);
}
END_TEST

/* The end of an edge that is no switch's is an address of the underlay. */
START_TEST(test_unknown_end)
{
    struct views views;
    struct net net;

    net_init(&net);
    net.templates[1].tun_dst = net.templates[1].tun_src;
    net.templates[1].tun_dst.s6_addr[15] = 99;
    for (int i = 0; i < 100; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, false);
    }
    net_stop(&net, SEC);
    views_init(&views, net.an);
    ck_assert_str_eq(edge_end(&views, 0), UNDERLAY "99");
    ck_assert_str_eq(edge_end(&views, 1), "unknown");
    ck_assert_ptr_nonnull(strstr(views.text[1], "between h1 and unknown"));
    check_secrets(&views);
    views_destroy(&views);
    net_destroy(&net);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-views");
    TCase *tc = unit_case(suite, "views", 60);

    tcase_add_loop_test(tc, test_faults, 0, SIM_N_SCENARIOS * SIM_N_FAULTS);
    tcase_add_loop_test(tc, test_interrupted, 0, SIM_N_FAULTS);
    tcase_add_test(tc, test_interrupted_damaged);
    tcase_add_test(tc, test_edge);
    tcase_add_test(tc, test_unknown_end);
    return unit_run(suite);
}
