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

#include "ovs-ext/zoo-vtrace.h"

#include "ovs-ext/zoo-gbp.h"
#include "ovs-ext/zoo-quarantine.h"
#include "ovs-rcu.h"
#include "sset.h"
#include "util.h"

struct vtrace_config {
    bool enabled;
    struct sset consenting;     /* Names of tunnel ports. */
};

/* NULL while VTrace was never configured other than off and without ports.
 * Set by the main thread. */
static OVSRCU_TYPE(struct vtrace_config *) current;

static void
config_destroy(struct vtrace_config *config)
{
    sset_destroy(&config->consenting);
    free(config);
}

void
zoo_vtrace_configure(bool enabled, const struct sset *consenting)
{
    struct vtrace_config *old = ovsrcu_get_protected(struct vtrace_config *,
                                                     &current);
    struct vtrace_config *new;

    if (old
        ? enabled == old->enabled && sset_equals(consenting, &old->consenting)
        : !enabled && sset_is_empty(consenting)) {
        return;
    }

    new = xmalloc(sizeof *new);
    new->enabled = enabled;
    sset_clone(&new->consenting, consenting);
    ovsrcu_set(&current, new);
    if (old) {
        ovsrcu_postpone(config_destroy, old);
    }
    if (enabled) {
        zoo_gbp_accept_colors();
    }
    zoo_quarantine_revalidate();
}

bool
zoo_vtrace_is_enabled(void)
{
    const struct vtrace_config *config = ovsrcu_get(struct vtrace_config *,
                                                    &current);

    return config && config->enabled;
}

bool
zoo_vtrace_consents(const char *name)
{
    const struct vtrace_config *config = ovsrcu_get(struct vtrace_config *,
                                                    &current);

    return config && sset_contains(&config->consenting, name);
}
