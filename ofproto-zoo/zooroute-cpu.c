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
#include "zooroute-private.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bitmap.h"
#include "openvswitch/thread.h"
#include "util.h"

/* What the system says of its processors (see proc(5)).  Where it says nothing,
 * there is no limit but the prober's own. */

#define SEC (1000 * 1000 * 1000LL)

/* How long the processors that busy-polling threads have stay the same. */
#define POLLED_INTERVAL (5 * SEC)

/* Processors with greater numbers are not looked at. */
#define MAX_CPUS 4096

static uint64_t
read_clock(clockid_t id)
{
    struct timespec ts;

    return clock_gettime(id, &ts) ? 0 : ts.tv_sec * SEC + ts.tv_nsec;
}

uint64_t
zooroute_thread_cpu(void)
{
#ifdef CLOCK_THREAD_CPUTIME_ID
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
#else
    return 0;
#endif
}

#ifdef __linux__
/* A thread that polls busily without having processors for itself. */
static struct ovs_mutex poller_mutex = OVS_MUTEX_INITIALIZER;
static struct {
    bool polls;
    pid_t tid;
    clockid_t clock;            /* Its processor time, */
    uint64_t since;             /* up to which 'total' is, */
    uint64_t total;             /* and that while it polled, ns. */
} poller OVS_GUARDED_BY(poller_mutex);

/* Adds to 'total' what the thread has taken since, if it 'counts'. */
static void
update_poller(bool counts) OVS_REQUIRES(poller_mutex)
{
    uint64_t now = read_clock(poller.clock);

    if (now > poller.since) {
        poller.total += counts ? now - poller.since : 0;
        poller.since = now;
    }
}

void
zooroute_set_polling(bool polls)
{
    ovs_mutex_lock(&poller_mutex);
    if (polls && !pthread_getcpuclockid(pthread_self(), &poller.clock)) {
        poller.tid = syscall(SYS_gettid);
        poller.since = zooroute_thread_cpu();
        poller.polls = true;
    } else if (poller.polls) {
        update_poller(true);
        poller.polls = false;
    }
    ovs_mutex_unlock(&poller_mutex);
}

/* Takes away from 'cpus' those that the datapath's busy-polling threads of this
 * program have for themselves. */
static void
leave_out_polled(unsigned long *cpus)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char name[32], file_name[64];
        unsigned int cpu;
        FILE *file;

        if (!isdigit((unsigned char) entry->d_name[0])) {
            continue;
        }
        snprintf(file_name, sizeof file_name, "/proc/self/task/%.16s/comm",
                 entry->d_name);
        file = fopen(file_name, "r");
        if (file) {
            if (fgets(name, sizeof name, file)
                && ovs_scan(name, "pmd-c%u", &cpu) && cpu < MAX_CPUS) {
                bitmap_set0(cpus, cpu);
            }
            fclose(file);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

/* Stores the processors that thread 'tid', 0 for the calling one, may run on
 * into 'cpus'. */
static bool
get_allowed(pid_t tid, unsigned long *cpus)
{
    size_t size = CPU_ALLOC_SIZE(MAX_CPUS);
    cpu_set_t *set = CPU_ALLOC(MAX_CPUS);
    bool ok = set && !sched_getaffinity(tid, size, set);

    bitmap_set_multiple(cpus, 0, MAX_CPUS, false);
    for (int i = 0; ok && i < MAX_CPUS; i++) {
        if (CPU_ISSET_S(i, size, set)) {
            bitmap_set1(cpus, i);
        }
    }
    CPU_FREE(set);
    return ok;
}

/* Returns the processors whose load counts, NULL if nobody knows. */
static const unsigned long *
get_cpus(long long int now)
{
    static unsigned long cpus[BITMAP_N_LONGS(MAX_CPUS)];
    static long long int next;
    static bool known;

    if (now >= next) {
        next = now + POLLED_INTERVAL;
        known = get_allowed(0, cpus);
        if (known) {
            leave_out_polled(cpus);
        }
    }
    return known ? cpus : NULL;
}

static bool
read_stat(const unsigned long *cpus, uint64_t *busy, uint64_t *all)
{
    long long int tick = SEC / MAX(sysconf(_SC_CLK_TCK), 1);
    FILE *file = fopen("/proc/stat", "r");
    bool any = false;
    char line[256];

    *busy = *all = 0;
    while (file && fgets(line, sizeof line, file)) {
        /* user nice system idle iowait irq softirq steal */
        unsigned long long int t[8] = { 0 };
        unsigned int cpu;

        if (ovs_scan(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu",
                     &cpu, &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6],
                     &t[7])
            && cpu < MAX_CPUS && bitmap_is_set(cpus, cpu)) {
            uint64_t b = t[0] + t[1] + t[2] + t[5] + t[6] + t[7];

            *busy += b * tick;
            *all += (b + t[3] + t[4]) * tick;
            any = true;
        }
    }
    if (file) {
        fclose(file);
    }
    return any;
}

/* Returns the processor time that the thread that polls has taken of 'cpus'
 * while it polled. */
static uint64_t
read_poller(const unsigned long *cpus)
{
    unsigned long theirs[BITMAP_N_LONGS(MAX_CPUS)];
    uint64_t total;

    ovs_mutex_lock(&poller_mutex);
    if (poller.polls) {
        bool shares = false;

        if (get_allowed(poller.tid, theirs)) {
            bitmap_and(theirs, cpus, MAX_CPUS);
            shares = !bitmap_is_all_zeros(theirs, MAX_CPUS);
        }
        update_poller(shares);
    }
    total = poller.total;
    ovs_mutex_unlock(&poller_mutex);
    return total;
}

bool
zooroute_read_cpus(long long int now, uint64_t *busy, uint64_t *all)
{
    const unsigned long *cpus = get_cpus(now);

    if (!cpus || !read_stat(cpus, busy, all)) {
        return false;
    }

    uint64_t polled = read_poller(cpus);

    *busy -= MIN(*busy, polled);
    /* Who polls on the only processor leaves nothing to compare with. */
    if (bitmap_count1(cpus, MAX_CPUS) > 1) {
        *all -= MIN(*all, polled);
    }
    return true;
}
#else
void
zooroute_set_polling(bool polls OVS_UNUSED)
{
}

bool
zooroute_read_cpus(long long int now OVS_UNUSED, uint64_t *busy OVS_UNUSED,
                   uint64_t *all OVS_UNUSED)
{
    return false;
}
#endif
