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

/* What the switch's own count of a task's packets adds to the records: the
 * lack of these means nothing if sampling may have taken none, and that of an
 * answer's neither. */

#include <config.h>
#include "unit.h"
#include "vtrace-net.h"

#include "openvswitch/json.h"
#include "util.h"
#include "vtrace/analyze.h"
#include "vtrace/vtrace-json.h"

/* The count, if it is known, must be that of the records, but for what is
 * missing, and, of sampled packets, for chance. */
START_TEST(test_rule_count)
{
    static const struct {
        uint64_t count, lost;
        int exp;
        const char *expected;
    } cases[] = {
        { 0, 0, 0, "none none" },
        { 1000, 0, 0, "none none" },
        { 1550, 0, 0, "none none" },
        { 1551, 0, 0, "inconclusive contradiction" },
        { 1600, 100, 0, "none none" },
        { 6200, 0, 1, "none none" },
        { 6400, 0, 1, "inconclusive contradiction" },
    };
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    for (int i = 0; i < 1000; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, true);
        net.lost[0] = i == 500 ? cases[_i].lost : net.lost[0];
        vtrace_analysis_set_rule_count(net.an, VTRACE_FORWARD,
                                       cases[_i].count * (i + 1) / 1000,
                                       cases[_i].exp);
    }
    /* Until all is judged it proves nothing. */
    ck_assert_str_eq(net_verdict(net.an, &v), "none none");
    net_finish(&net, 10 * SEC, cases[_i].expected, &v);
}
END_TEST

/* Compares the verdict of 'net', and what it says of sampling, with what is
 * expected, and destroys 'net'. */
static void
check_sampling(struct net *net, const char *expected, const char *direction,
               const char *sampling)
{
    struct json *json = vtrace_analysis_to_json(net->an, true);
    const struct json *verdict = vtrace_json_member(json, "verdict",
                                                    JSON_OBJECT);
    struct vtrace_verdict v;

    ck_assert_str_eq(net_verdict(net->an, &v), expected);
    ck_assert_str_eq(vtrace_json_string(verdict, "direction", ""), direction);
    ck_assert_pstr_eq(vtrace_json_string(verdict, "sampling", NULL), sampling);
    json_destroy(json);
    net_destroy(net);
}

/* No record, although the switch counted packets: if they are alike, sampling
 * took none.  But the switch says how many records it wrote. */
START_TEST(test_unsampled)
{
    static const struct {
        uint64_t count, written, lost;
        int exp;
        const char *expected, *sampling;
    } cases[] = {
        { 0, 0, 0, 2, "no-traffic no-packets", NULL },
        { 5, 0, 0, 2, "inconclusive too-few-packets", "took none of 5 packets "
          "(of such as are alike it takes all or none): --exp 0 takes all" },
        { 6400, 0, 0, 2, "inconclusive too-few-packets", "took none of 6400 "
          "packets (of such as are alike it takes all or none): --exp 0 takes "
          "all" },
        { 6400, 1, 0, 2, "inconclusive contradiction", NULL },
        { 6400, 0, 1, 2, "inconclusive contradiction", NULL },
        { 9, 0, 0, 0, "inconclusive too-few-packets", NULL },
        { 10, 0, 0, 0, "inconclusive contradiction", NULL },
    };
    struct net net;

    net_init(&net);
    vtrace_analysis_set_rule_count(net.an, VTRACE_FORWARD, cases[_i].count,
                                   cases[_i].exp);
    net_tick(&net, 0);
    net.written[0] = cases[_i].written;
    net.lost[0] = cases[_i].lost;
    net_stop(&net, 10 * SEC);
    check_sampling(&net, cases[_i].expected, "forward", cases[_i].sampling);
}
END_TEST

/* Answers that the switch counted, and of which there is no record, are no
 * silent receiver. */
START_TEST(test_unsampled_answers)
{
    static const struct {
        uint64_t count;
        int exp;
        const char *expected, *direction, *sampling;
    } cases[] = {
        { 0, 2, "no-reply silent-receiver", "forward", NULL },
        { 1600, 2, "inconclusive too-few-packets", "reverse", "took none of "
          "1600 packets (of such as are alike it takes all or none): --exp 0 "
          "takes all" },
        { 1, 0, "inconclusive too-few-packets", "reverse", NULL },
        { 100, 0, "inconclusive contradiction", "reverse", NULL },
    };
    struct net net;

    net_init_both_ways(&net);
    vtrace_analysis_start(net.an, VTRACE_REVERSE);
    for (int i = 0; i < 100; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, true);
    }
    vtrace_analysis_set_rule_count(net.an, VTRACE_FORWARD,
                                   100 << (2 * cases[_i].exp), cases[_i].exp);
    vtrace_analysis_set_rule_count(net.an, VTRACE_REVERSE, cases[_i].count,
                                   cases[_i].exp);
    net_stop(&net, SEC);
    check_sampling(&net, cases[_i].expected, cases[_i].direction,
                   cases[_i].sampling);
}
END_TEST

/* What is suggested would help: of packets that are all recorded no other
 * --exp gives more. */
START_TEST(test_suggestions)
{
    static const struct {
        uint64_t count;
        int exp, n, lost;       /* Packets with records, and those of them
                                 * that get lost. */
        bool reverse;           /* The count, and no record, of answers. */
        const char *suggestion;
    } cases[] = {
        { 9, 0, 0, 0, false, "trace for longer, while the flow sends more, or "
          "have more packets made with --inject" },
        { 9, 0, 9, 0, false, "trace for longer, while the flow sends more, or "
          "have more packets made with --inject" },
        { 100, 0, 100, 1, false, "trace for longer, to see whether more "
          "packets get lost" },
        { 9, 0, 100, 0, true, "trace for longer, while more answers come" },
        { 9, 2, 0, 0, false, "trace with --exp 0, and for longer" },
        { 9, 1, 2, 0, false, "trace with --exp 0, and for longer" },
        { 6400, 2, 0, 0, false, "trace with --exp 0" },
        { 6400, 2, 100, 0, true, "trace with --exp 0" },
        { 90, 2, 6, 0, false, "trace with a smaller --exp, or for longer" },
        { 1600, 2, 100, 1, false,
          "trace with a smaller --exp, or for longer" },
    };
    const struct json *verdict;
    struct json *json;
    struct net net;

    net_init_both_ways(&net);
    if (cases[_i].reverse) {
        vtrace_analysis_start(net.an, VTRACE_REVERSE);
    }
    for (int i = 0; i < cases[_i].n; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000,
                   i >= cases[_i].lost);
    }
    vtrace_analysis_set_rule_count(net.an, (cases[_i].reverse ? VTRACE_REVERSE
                                            : VTRACE_FORWARD),
                                   cases[_i].count, cases[_i].exp);
    net_stop(&net, 10 * SEC);
    json = vtrace_analysis_to_json(net.an, true);
    verdict = vtrace_json_member(json, "verdict", JSON_OBJECT);
    ck_assert_str_eq(vtrace_json_string(verdict, "reason", ""),
                     "too-few-packets");
    ck_assert_str_eq(vtrace_json_string(verdict, "suggestion", ""),
                     cases[_i].suggestion);
    json_destroy(json);
    net_destroy(&net);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-counts");
    TCase *tc = unit_case(suite, "counts", 60);

    tcase_add_loop_test(tc, test_rule_count, 0, 7);
    tcase_add_loop_test(tc, test_unsampled, 0, 7);
    tcase_add_loop_test(tc, test_unsampled_answers, 0, 4);
    tcase_add_loop_test(tc, test_suggestions, 0, 10);
    return unit_run(suite);
}
