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
#include "vtrace/fault.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool loaded;
static const char *chosen;      /* Name of the point, up to a ','. */
static size_t chosen_len;
static unsigned long int to_pass;

void
vtrace_fault_set(const char *spec)
{
    loaded = true;
    chosen = spec && *spec ? spec : NULL;
    chosen_len = chosen ? strcspn(chosen, ",") : 0;
    to_pass = chosen && chosen[chosen_len]
              ? strtoul(chosen + chosen_len + 1, NULL, 10)
              : 0;
}

void
vtrace_fault(const char *point)
{
    if (!loaded) {
        vtrace_fault_set(getenv("VTRACE_FAULT"));
    }
    if (!chosen || strlen(point) != chosen_len
        || memcmp(point, chosen, chosen_len)) {
        return;
    }
    if (to_pass) {
        to_pass--;
        return;
    }
    raise(SIGKILL);
    _exit(137);
}
