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
#include "unit.h"

#include <stdlib.h>

#include "random.h"

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER
#endif
#elif defined __SANITIZE_THREAD__
#define THREAD_SANITIZER
#endif

#ifdef THREAD_SANITIZER
/* What Open vSwitch's own threads, locks and RCU do without locks, knowingly:
 * flags that only ever become true, where a mutex was locked, the number of
 * the last grace period.  Only a race in these functions themselves is
 * ignored, not one in what they call or what calls them. */
const char *__tsan_default_suppressions(void);

const char *
__tsan_default_suppressions(void)
{
    return ("race_top:forbid_forking\n"
            "race_top:single_threaded\n"
            "race_top:ovs_thread_create\n"
            "race_top:ovsthread_once_start\n"
            "race_top:ovsthread_once_done\n"
            "race_top:ovs_mutex_lock_at\n"
            "race_top:ovs_mutex_trylock_at\n"
            "race_top:ovs_mutex_unlock\n"
            "race_top:ovsrcu_quiesce\n"
            "race_top:ovsrcu_try_quiesce\n");
}
#endif

int
unit_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

TCase *
unit_case(Suite *suite, const char *name, double seconds)
{
    TCase *tc = tcase_create(name);

    tcase_set_timeout(tc, seconds);
    suite_add_tcase(suite, tc);
    return tc;
}

void
unit_seed(uint32_t seed)
{
    /* Not 0, and not much alike for seeds that are. */
    random_set_seed((seed + 1) * 2654435769u);
}

unsigned int
unit_range(unsigned int min, unsigned int max)
{
    return min + random_uint32() % (max - min + 1);
}

bool
unit_chance(double p)
{
    return random_uint32() < p * UINT32_MAX;
}
