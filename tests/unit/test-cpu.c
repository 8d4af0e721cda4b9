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

/* How busy processors are: those of threads that poll busily do not count.
 *
 * What is asked for is the part of all processor time that counts, which does
 * not depend on who else uses them; the busy part is compared with what the
 * system says of the same processors before and after. */

#include <config.h>
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "ofproto-zoo/zooroute-private.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "util.h"

/* Length of a measurement. */
#define WINDOW (500 * MSEC)

/* What readings may be off by: a few ticks of each processor. */
#define SLACK (60 * MSEC)

/* How long it may take to read all counters, and how often that is tried. */
#define AT_ONCE (5 * MSEC)
#define N_TRIES 1000

/* Those that the test runs on, two at most. */
static cpu_set_t allowed;
static int n_allowed, first, last;

static long long int clock_for_tests;
static atomic_bool stop;

/* How far things have come. */
struct reading {
    long long int when;
    uint64_t busy, all;         /* As the prober has it. */
    uint64_t others_busy;       /* All processors but 'last'. */
    uint64_t all_busy;          /* All of them. */
    uint64_t spun;              /* Processor time of the thread that spins. */
};

static void
setup(void)
{
    cpu_set_t set;

    ck_assert(!sched_getaffinity(0, sizeof set, &set));
    CPU_ZERO(&allowed);
    n_allowed = 0;
    for (int i = 0; i < CPU_SETSIZE && n_allowed < 2; i++) {
        if (CPU_ISSET(i, &set)) {
            CPU_SET(i, &allowed);
            first = n_allowed++ ? first : i;
            last = i;
        }
    }
    ck_assert(!sched_setaffinity(0, sizeof allowed, &allowed));
    /* Later than what has been remembered for 5 s. */
    clock_for_tests += 100 * SEC;
}

static bool
has_two(void)
{
    if (n_allowed < 2) {
        puts("left out: it needs two processors");
    }
    return n_allowed >= 2;
}

/* Adds up what the system says of busy time, in a way of its own. */
static void
read_busy(uint64_t *others, uint64_t *all)
{
    FILE *file = fopen("/proc/stat", "r");
    uint64_t tick = SEC / sysconf(_SC_CLK_TCK);
    char line[256];

    *others = *all = 0;
    while (file && fgets(line, sizeof line, file)) {
        unsigned long t[8];
        int cpu;

        if (sscanf(line, "cpu%d %lu %lu %lu %lu %lu %lu %lu %lu", &cpu, &t[0],
                   &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) == 9
            && CPU_ISSET(cpu, &allowed)) {
            uint64_t busy = (t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) * tick;

            *all += busy;
            *others += cpu != last ? busy : 0;
        }
    }
    if (file) {
        fclose(file);
    }
}

static uint64_t
cpu_time(clockid_t id)
{
    struct timespec ts;

    ck_assert(!clock_gettime(id, &ts));
    return ts.tv_sec * SEC + ts.tv_nsec;
}

/* Other programs may get the processor meanwhile. */
static struct reading
take_reading(const clockid_t *spinner)
{
    struct reading r;
    int i = 0;

    do {
        r.when = cpu_time(CLOCK_MONOTONIC);
        ck_assert(zooroute_read_cpus(clock_for_tests, &r.busy, &r.all));
        read_busy(&r.others_busy, &r.all_busy);
        r.spun = spinner ? cpu_time(*spinner) : 0;
    } while (cpu_time(CLOCK_MONOTONIC) - r.when > AT_ONCE && ++i < N_TRIES);
    return r;
}

/* What has passed between two readings. */
static struct reading
measure(const clockid_t *spinner)
{
    struct reading a = take_reading(spinner), b;

    for (struct timespec ts = { .tv_nsec = WINDOW }; nanosleep(&ts, &ts); ) {
        continue;
    }
    b = take_reading(spinner);
    return (struct reading) {
        .when = b.when - a.when,
        .busy = b.busy - a.busy,
        .all = b.all - a.all,
        .others_busy = b.others_busy - a.others_busy,
        .all_busy = b.all_busy - a.all_busy,
        .spun = b.spun - a.spun,
    };
}

/* What the system counts for a processor and for a thread are counted in
 * different ways, so that a difference may be below 0. */
static void
check_near(const char *what, int64_t value, int64_t expected)
{
    int64_t slack = SLACK * n_allowed;

    ck_assert_msg(value <= expected + slack && value + slack >= expected,
                  "%s: %lld ms, expected %lld ms", what,
                  (long long int) value / MSEC,
                  (long long int) expected / MSEC);
}

/* Threads that spin. */

struct spinner {
    const char *name;
    bool pinned;                /* On 'last'. */
    bool registered;
    clockid_t clock;
    uint64_t spun;              /* In all. */
    pthread_barrier_t started;
};

static void *
spin(void *s_)
{
    struct spinner *s = s_;
    bool stopped;

    if (s->pinned) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(last, &set);
        pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    }
    if (s->name) {
        pthread_setname_np(pthread_self(), s->name);
    }
    if (s->registered) {
        zooroute_set_polling(true);
    }
    pthread_getcpuclockid(pthread_self(), &s->clock);
    pthread_barrier_wait(&s->started);
    do {
        atomic_read_relaxed(&stop, &stopped);
    } while (!stopped);
    s->spun = zooroute_thread_cpu();
    if (s->registered) {
        zooroute_set_polling(false);
    }
    return NULL;
}

static struct reading
measure_beside(struct spinner *s)
{
    struct reading r;
    pthread_t thread;

    atomic_store_relaxed(&stop, false);
    pthread_barrier_init(&s->started, NULL, 2);
    ck_assert(!pthread_create(&thread, NULL, spin, s));
    pthread_barrier_wait(&s->started);
    r = measure(&s->clock);
    atomic_store_relaxed(&stop, true);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&s->started);
    return r;
}

/* Without such threads all processors count, and those that spin for another
 * reason are busy. */
START_TEST(all_processors)
{
    struct spinner s = { .name = "spinner" };
    struct reading r = measure(NULL);

    check_near("all", r.all, r.when * n_allowed);
    check_near("busy", r.busy, r.all_busy);

    clock_for_tests += 100 * SEC;
    r = measure_beside(&s);
    check_near("all", r.all, r.when * n_allowed);
    check_near("busy", r.busy, r.all_busy);
}
END_TEST

/* The processor that a PMD thread has for itself is left out. */
START_TEST(pmd)
{
    char name[16];
    struct spinner s = { .name = name, .pinned = true };

    if (has_two()) {
        snprintf(name, sizeof name, "pmd-c%02d/id:7", last);
        struct reading r = measure_beside(&s);

        check_near("all", r.all, r.when * (n_allowed - 1));
        check_near("busy", r.busy, r.others_busy);

        /* It counts again when the thread has gone. */
        clock_for_tests += 100 * SEC;
        r = measure(NULL);
        check_near("all", r.all, r.when * n_allowed);
    }
}
END_TEST

/* A busy-polling thread without a processor of its own, as zoo-gatewayd has:
 * what it takes is left out, wherever it runs. */
START_TEST(polling)
{
    struct spinner s = { .name = "gateway5", .registered = true };
    struct reading r = measure_beside(&s);

    ck_assert_uint_ge(r.spun, WINDOW / 10);
    check_near("all", r.all, r.when * n_allowed - r.spun);
    check_near("busy", r.busy, r.all_busy - r.spun);
}
END_TEST

static void
take_processor_time(void)
{
    uint64_t start = zooroute_thread_cpu();

    while (zooroute_thread_cpu() - start < WINDOW) {
        continue;
    }
}

/* That it begins or ends to poll leaves no gap between readings, neither in
 * what it took before nor after. */
START_TEST(begins_and_ends)
{
    struct spinner s = { .name = "gateway5", .registered = true };
    struct reading a, b;

    a = take_reading(NULL);
    measure_beside(&s);
    take_processor_time();
    zooroute_set_polling(true);
    b = take_reading(NULL);
    check_near("all", b.all - a.all,
               (b.when - a.when) * n_allowed - s.spun);
    zooroute_set_polling(false);
    take_processor_time();
    a = take_reading(NULL);
    check_near("all", a.all - b.all, (a.when - b.when) * n_allowed);
    check_near("busy", a.busy - b.busy, a.all_busy - b.all_busy);
}
END_TEST

/* What it takes of processors that the prober may not run on is none of it. */
START_TEST(polling_elsewhere)
{
    struct spinner s = { .registered = true, .pinned = true };
    cpu_set_t set;

    if (has_two()) {
        CPU_ZERO(&set);
        CPU_SET(first, &set);
        ck_assert(!sched_setaffinity(0, sizeof set, &set));
        struct reading r = measure_beside(&s);

        check_near("all", r.all, r.when);
        ck_assert(!sched_setaffinity(0, sizeof allowed, &allowed));
    }
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("cpu");
    TCase *tc = unit_case(s, "processors", 60);

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, all_processors);
    tcase_add_test(tc, pmd);
    tcase_add_test(tc, polling);
    tcase_add_test(tc, begins_and_ends);
    tcase_add_test(tc, polling_elsewhere);
    return unit_run(s);
}
