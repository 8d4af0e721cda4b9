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

#include "ovs-ext/zooroute-db-config.h"

#include <inttypes.h>

#include "lib/vswitch-idl.h"
#include "ofproto-zoo/zoo-auth.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovsdb-idl.h"
#include "random.h"
#include "smap.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(zooroute_db_config);

/* The integer columns of ZooRoute that go into struct zooroute_config as they
 * are. */
struct int_column {
    const struct ovsdb_idl_column *column;
    size_t offset;              /* In struct zooroute_config. */
    size_t size;
};

#define INT_COLUMN(COLUMN, MEMBER)                          \
    { &ovsrec_zooroute_col_##COLUMN,                        \
      offsetof(struct zooroute_config, MEMBER),             \
      MEMBER_SIZEOF(struct zooroute_config, MEMBER) }

static const struct int_column int_columns[] = {
    INT_COLUMN(candidates, candidates),
    INT_COLUMN(port_min, port_min),
    INT_COLUMN(port_max, port_max),
    INT_COLUMN(probe_interval, probe_interval_ms),
    INT_COLUMN(full_interval, full_interval_ms),
    INT_COLUMN(max_probe_rate, max_probe_rate),
    INT_COLUMN(rx_rate, rx_rate),
    INT_COLUMN(cpu_limit, cpu_limit),
    INT_COLUMN(fail_threshold, fail_threshold),
    INT_COLUMN(recover_successes, recover_successes),
    INT_COLUMN(recover_window, recover_window),
    INT_COLUMN(hold_down, hold_down_s),
    INT_COLUMN(peer_idle, peer_idle_s),
};

/* The configuration in effect. */
static struct zooroute_config config;

static bool shared_candidates;

/* What is wrong with the configuration in the database, or NULL. */
static char *config_error;

/* The persisted seed, once there is one.  Kept while the feature is off, so
 * that turning it on again does not move flows. */
static uint32_t seed;
static bool have_seed;

static void
set_int(struct zooroute_config *c, const struct int_column *ic, int64_t value)
{
    char *member = (char *) c + ic->offset;

    if (ic->size == sizeof(uint16_t)) {
        *ALIGNED_CAST(uint16_t *, member) = value;
    } else {
        ovs_assert(ic->size == sizeof(unsigned int));
        *ALIGNED_CAST(unsigned int *, member) = value;
    }
}

static int64_t
get_int(const struct zooroute_config *c, const struct int_column *ic)
{
    const char *member = (const char *) c + ic->offset;

    return (ic->size == sizeof(uint16_t)
            ? *ALIGNED_CAST(const uint16_t *, member)
            : *ALIGNED_CAST(const unsigned int *, member));
}

/* Values are in their columns' ranges: the database refuses others, and the IDL
 * ignores them. */
static void
parse_ints(const struct ovsrec_zooroute *row, struct zooroute_config *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(int_columns); i++) {
        const struct int_column *ic = &int_columns[i];
        const struct ovsdb_datum *datum = ovsdb_idl_read(&row->header_,
                                                         ic->column);
        if (datum->n) {
            set_int(c, ic, datum->keys[0].integer);
        }
    }
}

/* If 'row''s other_config has 'key', stores its value in '*value'. */
static char * OVS_WARN_UNUSED_RESULT
parse_other_int(const struct ovsrec_zooroute *row, const char *key,
                long long int min, long long int max, long long int *value)
{
    const char *s = smap_get(&row->other_config, key);
    long long int x;

    if (s) {
        if (!str_to_llong(s, 10, &x) || x < min || x > max) {
            return xasprintf("other_config:%s: \"%s\" is not an integer in "
                             "the range %lld..%lld, set it to one or remove "
                             "it", key, s, min, max);
        }
        *value = x;
    }
    return NULL;
}

/* The same for "true" and "false". */
static char * OVS_WARN_UNUSED_RESULT
parse_other_bool(const struct ovsrec_zooroute *row, const char *key,
                 bool *value)
{
    const char *s = smap_get(&row->other_config, key);

    if (s && strcmp(s, "true") && strcmp(s, "false")) {
        return xasprintf("other_config:%s: \"%s\" is neither true nor false, "
                         "set it to one of them or remove it", key, s);
    }
    if (s) {
        *value = !strcmp(s, "true");
    }
    return NULL;
}

static char * OVS_WARN_UNUSED_RESULT
parse_other_config(const struct ovsrec_zooroute *row,
                   struct zooroute_config *c)
{
    long long int new_seed = -1;
    long long int probe_vni = c->probe_vni;
    long long int max_peers = c->max_peers;
    long long int rx_rate_per_source = c->rx_rate_per_source;
    long long int prober_cpu_limit = c->prober_cpu_limit;
    bool diversify = c->diversify;
    bool learn_ports = c->learn_ports;
    char *error;

    error = parse_other_int(row, "seed", 0, UINT32_MAX, &new_seed);
    if (!error) {
        error = parse_other_int(row, "probe-vni", 0, (1 << 24) - 1,
                                &probe_vni);
    }
    if (!error) {
        error = parse_other_int(row, "max-peers", 1, ZOO_SLOT_MAX,
                                &max_peers);
    }
    if (!error) {
        error = parse_other_int(row, "rx-rate-per-source", 1, 1000 * 1000,
                                &rx_rate_per_source);
    }
    if (!error) {
        error = parse_other_int(row, "prober-cpu-limit", 1, 100,
                                &prober_cpu_limit);
    }
    if (!error) {
        error = parse_other_bool(row, "diversify", &diversify);
    }
    if (!error) {
        error = parse_other_bool(row, "learn-ports", &learn_ports);
    }
    if (error) {
        return error;
    }

    if (new_seed >= 0) {
        seed = new_seed;
        have_seed = true;
    } else {
        if (!have_seed) {
            seed = random_uint32();
            have_seed = true;
        }

        /* A partial update, since the IDL refuses to write the whole of a
         * column that is also read, and since others may be writing it. */
        char *s = xasprintf("%"PRIu32, seed);
        ovsrec_zooroute_update_other_config_setkey(row, "seed", s);
        free(s);
    }
    c->seed = seed;
    c->probe_vni = probe_vni;
    c->max_peers = max_peers;
    c->rx_rate_per_source = rx_rate_per_source;
    c->prober_cpu_limit = prober_cpu_limit;
    c->diversify = diversify;
    c->learn_ports = learn_ports;
    return NULL;
}

/* Stores what the column "profile" of 'row' says into 'c'. */
static char * OVS_WARN_UNUSED_RESULT
parse_profile(const struct ovsrec_zooroute *row, struct zooroute_config *c)
{
    static const struct {
        const char *name;
        const struct ovsdb_idl_column *column;  /* Has the range. */
        size_t offset;                          /* In struct zoo_profile. */
    } settings[] = {
        { "candidates", &ovsrec_zooroute_col_candidates,
          offsetof(struct zoo_profile, candidates) },
        { "probe_interval", &ovsrec_zooroute_col_probe_interval,
          offsetof(struct zoo_profile, probe_interval_ms) },
        { "full_interval", &ovsrec_zooroute_col_full_interval,
          offsetof(struct zoo_profile, full_interval_ms) },
    };

    for (int i = 0; i < ZOO_N_SEGMENTS; i++) {
        for (size_t j = 0; j < ARRAY_SIZE(settings); j++) {
            const struct ovsdb_base_type *type
                = &settings[j].column->type.key;
            const char *segment = zoo_segment_to_string(i);
            char key[64];

            snprintf(key, sizeof key, "%s.%s", segment, settings[j].name);
            for (size_t k = 0; k < row->n_profile; k++) {
                int64_t value = row->value_profile[k];

                if (strcmp(row->key_profile[k], key)) {
                    continue;
                } else if (value < type->integer.min
                           || value > type->integer.max) {
                    return xasprintf("profile:%s: %"PRId64" is out of range "
                                     "%"PRId64"..%"PRId64", set it to a value "
                                     "in it or remove it", key, value,
                                     type->integer.min, type->integer.max);
                }
                *ALIGNED_CAST(unsigned int *, ((char *) &c->profiles[i]
                                               + settings[j].offset)) = value;
            }
        }
    }
    return NULL;
}

static int
compare_roles(const void *a_, const void *b_)
{
    const struct zooroute_peer_role *a = a_, *b = b_;

    return memcmp(&a->remote, &b->remote, sizeof a->remote);
}

/* Checks that an address which is there in two spellings has one role. */
static char * OVS_WARN_UNUSED_RESULT
check_roles(struct zooroute_config *c)
{
    qsort(c->peer_roles, c->n_peer_roles, sizeof *c->peer_roles,
          compare_roles);
    for (size_t i = 1; i < c->n_peer_roles; i++) {
        const struct zooroute_peer_role *r = &c->peer_roles[i];

        if (r[0].gateway != r[-1].gateway && !compare_roles(&r[0], &r[-1])) {
            struct ds s = DS_EMPTY_INITIALIZER;

            ds_put_cstr(&s, "peer_roles: ");
            ipv6_format_mapped(&r->remote, &s);
            ds_put_cstr(&s, " is there in two spellings, as a host and as a "
                        "gateway, remove one of them");
            return ds_steal_cstr(&s);
        }
    }
    return NULL;
}

/* Stores what 'row' says of who is a gateway into 'c', whose 'peer_roles' the
 * caller must free. */
static char * OVS_WARN_UNUSED_RESULT
parse_roles(const struct ovsrec_zooroute *row, struct zooroute_config *c)
{
    const struct smap_node *node;

    c->gateway = row->role ? !strcmp(row->role, "gateway") : shared_candidates;
    c->peer_roles = xcalloc(smap_count(&row->peer_roles) + 1,
                            sizeof *c->peer_roles);
    SMAP_FOR_EACH (node, &row->peer_roles) {
        struct zooroute_peer_role *r = &c->peer_roles[c->n_peer_roles++];
        ovs_be32 ip;

        if (ip_parse(node->key, &ip)) {
            in6_addr_set_mapped_ipv4(&r->remote, ip);
        } else if (!ipv6_parse(node->key, &r->remote)) {
            return xasprintf("peer_roles:%s: not an IPv4 or IPv6 address, "
                             "correct or remove it", node->key);
        }
        r->gateway = !strcmp(node->value, "gateway");
    }
    return check_roles(c);
}

/* Checks what holds in each segment. */
static char * OVS_WARN_UNUSED_RESULT
check_profiles(const struct zooroute_config *c)
{
    for (int i = 0; i < ZOO_N_SEGMENTS; i++) {
        const struct zoo_profile *p = &c->profiles[i];
        const char *name = zoo_segment_to_string(i);
        unsigned int full = (p->full_interval_ms ? p->full_interval_ms
                             : c->full_interval_ms);
        unsigned int fast = (p->probe_interval_ms ? p->probe_interval_ms
                             : c->probe_interval_ms);
        int n_ports = c->port_max - c->port_min + 1;

        if (full < fast) {
            return xasprintf("profile: %s has full_interval %u below "
                             "probe_interval %u, set profile:%s.full_interval "
                             "or profile:%s.probe_interval", name, full, fast,
                             name, name);
        } else if (n_ports < p->candidates) {
            return xasprintf("profile:%s.candidates: %u do not fit in the %d "
                             "ports from port_min %"PRIu16" to port_max "
                             "%"PRIu16", lower it or widen the range", name,
                             p->candidates, n_ports, c->port_min,
                             c->port_max);
        }
    }
    return NULL;
}

static char * OVS_WARN_UNUSED_RESULT
parse_identity(const struct ovsrec_zooroute *row, struct zooroute_config *c)
{
    if (row->backend_id && *row->backend_id) {
        if (!eth_addr_from_string(row->backend_id, &c->backend_id)
            || eth_addr_is_multicast(c->backend_id)
            || eth_addr_is_zero(c->backend_id)) {
            return xasprintf("backend_id: \"%s\" is not a unicast Ethernet "
                             "address, set it to one or clear it",
                             row->backend_id);
        }
    }

    if (row->auth_key_file && *row->auth_key_file) {
        char *error;

        struct zoo_auth *auth = zoo_auth_load(row->auth_key_file, &error);
        if (!auth) {
            char *s = xasprintf("auth_key_file: %s", error);
            free(error);
            return s;
        }
        zoo_auth_unref(auth);
        c->auth_key_file = row->auth_key_file;
    }
    return NULL;
}

/* Checks values that are good by themselves against each other. */
static char * OVS_WARN_UNUSED_RESULT
check_config(const struct zooroute_config *c)
{
    if (c->port_min > c->port_max) {
        return xasprintf("port_min: %"PRIu16" is above port_max %"PRIu16
                         ", lower it or raise port_max",
                         c->port_min, c->port_max);
    }
    if (c->port_max - c->port_min + 1 < c->candidates) {
        return xasprintf("candidates: %u do not fit in the %d ports from "
                         "port_min %"PRIu16" to port_max %"PRIu16
                         ", lower it or widen the range", c->candidates,
                         c->port_max - c->port_min + 1,
                         c->port_min, c->port_max);
    }
    if (c->recover_successes > c->recover_window) {
        return xasprintf("recover_successes: %u is above recover_window %u"
                         ", lower it or raise recover_window",
                         c->recover_successes, c->recover_window);
    }
    if (c->full_interval_ms < c->probe_interval_ms) {
        return xasprintf("full_interval: %u is below probe_interval %u"
                         ", raise it or lower probe_interval",
                         c->full_interval_ms, c->probe_interval_ms);
    }
    return NULL;
}

/* Returns NULL and fills in '*c', whose strings then belong to 'row', or
 * returns what is wrong with 'row', which the caller must free. */
static char * OVS_WARN_UNUSED_RESULT
parse_config(const struct ovsrec_zooroute *row, struct zooroute_config *c)
{
    char *error;

    *c = ZOOROUTE_CONFIG_DEFAULT;
    c->enabled = true;
    c->shared_candidates = shared_candidates;
    c->tunnels_all = !row->tunnels || !strcmp(row->tunnels, "all");

    parse_ints(row, c);
    error = check_config(c);
    if (!error) {
        error = parse_profile(row, c);
    }
    if (!error) {
        error = check_profiles(c);
    }
    if (!error) {
        error = parse_roles(row, c);
    }
    if (!error) {
        error = parse_other_config(row, c);
    }
    if (!error) {
        error = parse_identity(row, c);
    }
    return error;
}

/* Returns what to say of 'other_config:rx-rate-per-source' in 'c', which the
 * caller must free, or NULL. */
static char *
rx_rate_warning(const struct zooroute_config *c)
{
    return (c->rx_rate_per_source <= c->rx_rate ? NULL
            : xasprintf("other_config:rx-rate-per-source: %u is above rx_rate "
                        "%u, which is what one source gets at most, lower it "
                        "or raise rx_rate", c->rx_rate_per_source,
                        c->rx_rate));
}

/* The same of 'other_config:diversify'. */
static char *
diversify_warning(const struct zooroute_config *c)
{
    if (!c->diversify) {
        return NULL;
    } else if (c->shared_candidates) {
        return xstrdup("other_config:diversify: \"true\" has no effect where "
                       "all peers share their candidates, remove it");
    } else if (c->port_max - c->port_min < ZOOROUTE_DIVERSIFY_PORTS) {
        return xasprintf("other_config:diversify: \"true\" has no effect with "
                         "so few ports as from port_min %"PRIu16" to port_max "
                         "%"PRIu16", widen the range beyond %d or remove it",
                         c->port_min, c->port_max, ZOOROUTE_DIVERSIFY_PORTS);
    }
    return NULL;
}

static const struct {
    const char *name;
    char *(*get)(const struct zooroute_config *);
} warnings[] = {
    { "rx-rate-per-source", rx_rate_warning },
    { "diversify", diversify_warning },
};

/* Logs what is to be said of 'new' that was not of 'old'. */
static void
log_warnings(const struct zooroute_config *old,
             const struct zooroute_config *new)
{
    for (size_t i = 0; new->enabled && i < ARRAY_SIZE(warnings); i++) {
        char *before = old->enabled ? warnings[i].get(old) : NULL;
        char *now = warnings[i].get(new);

        if (now && !nullable_string_is_equal(before, now)) {
            VLOG_WARN("zooroute: %s", now);
        }
        free(before);
        free(now);
    }
}

void
zooroute_db_config_add_warnings(struct smap *status)
{
    for (size_t i = 0; config.enabled && i < ARRAY_SIZE(warnings); i++) {
        char *warning = warnings[i].get(&config);

        if (warning) {
            smap_add_nocopy(status, xstrdup(warnings[i].name), warning);
        }
    }
}

/* Takes over 'new', including a copy of its strings.  Returns NULL or what is
 * wrong with it after all. */
static char * OVS_WARN_UNUSED_RESULT
apply_config(const struct zooroute_config *new)
{
    char *auth_key_file = nullable_xstrdup(new->auth_key_file);

    struct zooroute_peer_role *roles
        = (new->n_peer_roles
           ? xmemdup(new->peer_roles,
                     new->n_peer_roles * sizeof *new->peer_roles) : NULL);

    log_warnings(&config, new);
    free(config.auth_key_file);
    free(config.peer_roles);
    config = *new;
    config.auth_key_file = auth_key_file;
    config.peer_roles = roles;

    char *error = zooroute_set_config(&config);
    if (error) {
        char *s = xasprintf("auth_key_file: %s", error);
        free(error);
        error = s;
    }
    return error;
}

/* Keeps what is wrong with the configuration, NULL if nothing is, and logs it
 * once.  Takes ownership of 'error'. */
static void
set_error(char *error)
{
    if (!nullable_string_is_equal(error, config_error)) {
        if (error) {
            VLOG_ERR("zooroute: %s", error);
        } else if (config.enabled) {
            VLOG_INFO("zooroute: configuration is good again");
        }
    }
    free(config_error);
    config_error = error;
}

void
zooroute_db_config_init(struct ovsdb_idl *idl)
{
    ovsdb_idl_omit(idl, &ovsrec_zooroute_col_external_ids);
    config = ZOOROUTE_CONFIG_DEFAULT;
}

void
zooroute_db_config_share_candidates(void)
{
    shared_candidates = true;
}

void
zooroute_db_config_reconfigure(struct ovsdb_idl *idl)
{
    const struct ovsrec_zooroute *row = ovsrec_zooroute_first(idl);
    struct zooroute_config new = ZOOROUTE_CONFIG_DEFAULT;
    char *error = NULL;

    if (row) {
        error = parse_config(row, &new);
    }
    if (!error) {
        error = apply_config(&new);
    }
    free(new.peer_roles);
    set_error(error);
}

bool
zooroute_db_config_is_enabled(void)
{
    return config.enabled;
}

const char *
zooroute_db_config_error(void)
{
    return config_error;
}

/* Appends what differs between segments. */
static void
format_profiles(struct ds *s)
{
    for (int i = 0; i < ZOO_N_SEGMENTS; i++) {
        const struct zoo_profile *p = &config.profiles[i];
        const char *name = zoo_segment_to_string(i);

        if (p->candidates) {
            ds_put_format(s, "profile:%s.candidates: %u\n", name,
                          p->candidates);
        }
        if (p->probe_interval_ms) {
            ds_put_format(s, "profile:%s.probe_interval: %u\n", name,
                          p->probe_interval_ms);
        }
        if (p->full_interval_ms) {
            ds_put_format(s, "profile:%s.full_interval: %u\n", name,
                          p->full_interval_ms);
        }
    }
    for (size_t i = 0; i < config.n_peer_roles; i++) {
        ds_put_cstr(s, "peer_roles:");
        ipv6_format_mapped(&config.peer_roles[i].remote, s);
        ds_put_format(s, ": %s\n",
                      config.peer_roles[i].gateway ? "gateway" : "host");
    }
}

void
zooroute_db_config_format(struct ds *s)
{
    ds_put_format(s, "enabled: %s\n", config.enabled ? "true" : "false");
    for (size_t i = 0; i < ARRAY_SIZE(int_columns); i++) {
        ds_put_format(s, "%s: %"PRId64"\n", int_columns[i].column->name,
                      get_int(&config, &int_columns[i]));
    }
    ds_put_cstr(s, "backend_id: ");
    if (!eth_addr_is_zero(config.backend_id)) {
        ds_put_format(s, ETH_ADDR_FMT, ETH_ADDR_ARGS(config.backend_id));
    }
    ds_put_format(s, "\nauth_key_file: %s\n",
                  config.auth_key_file ? config.auth_key_file : "");
    ds_put_format(s, "role: %s\n", config.gateway ? "gateway" : "host");
    format_profiles(s);
    ds_put_format(s, "tunnels: %s\n", config.tunnels_all ? "all" : "marked");
    ds_put_format(s, "max-peers: %u\n", config.max_peers);
    ds_put_format(s, "rx-rate-per-source: %u\n",
                  zooroute_rx_rate_per_source(&config));
    ds_put_format(s, "prober-cpu-limit: %u\n", config.prober_cpu_limit);
    ds_put_format(s, "diversify: %s\n", config.diversify ? "true" : "false");
    ds_put_format(s, "learn-ports: %s\n",
                  config.learn_ports ? "true" : "false");
    if (config.probe_vni >= 0) {
        ds_put_format(s, "probe-vni: %"PRId64"\n", config.probe_vni);
    }
    if (config.enabled) {
        ds_put_format(s, "seed: %"PRIu32"\n", config.seed);
    }
    for (size_t i = 0; config.enabled && i < ARRAY_SIZE(warnings); i++) {
        char *warning = warnings[i].get(&config);

        if (warning) {
            ds_put_format(s, "warning: %s\n", warning);
        }
        free(warning);
    }
}
