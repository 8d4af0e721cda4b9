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

#include "ovs-ext/vtrace-ovsdb.h"

#include <net/if.h>

#include "lib/vswitch-idl.h"
#include "netdev.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/vtrace-exporter.h"
#include "ovs-router.h"
#include "packets.h"
#include "smap.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(vtrace_ovsdb);

/* How often it is looked whether the addresses of tunnels have changed, which
 * nobody tells. */
#define ENDPOINTS_INTERVAL_MS 5000

/* A key of other_config of Open_vSwitch. */
struct setting {
    const char *key;
    char *seen;                 /* What was last found there, or NULL. */
};

static struct setting collector_setting = { "vtrace-collector", NULL };
static struct setting key_setting = { "vtrace-digest-key", NULL };
static struct setting rate_setting = { "vtrace-rate", NULL };

/* The configuration in effect. */
static char *collector;         /* NULL if there is none. */
static struct zoo_record_config config = {
    .key = VTRACE_DIGEST_KEY_INIT,
    .rate = ZOO_RECORD_RATE_DEFAULT,
};

static long long int next_endpoints = LLONG_MIN;

/* Looks for 's' in 'cfg'.  Returns true, and stores its value, NULL if there
 * is none, in '*value', if it is not what it was. */
static bool
setting_changed(struct setting *s, const struct ovsrec_open_vswitch *cfg,
                const char **value)
{
    *value = smap_get(&cfg->other_config, s->key);
    if (nullable_string_is_equal(*value, s->seen)) {
        return false;
    }
    free(s->seen);
    s->seen = nullable_xstrdup(*value);
    return true;
}

static void
read_collector(const struct ovsrec_open_vswitch *cfg)
{
    const char *value;

    if (!setting_changed(&collector_setting, cfg, &value)) {
        return;
    }

    char *error = value ? vtrace_exporter_check(value) : NULL;
    if (error) {
        VLOG_ERR("other_config:%s: %s (%s%s)", collector_setting.key, error,
                 collector ? "records still go to " : "no records are taken",
                 collector ? collector : "");
        free(error);
    } else {
        free(collector);
        collector = nullable_xstrdup(value);
    }
}

static void
read_key(const struct ovsrec_open_vswitch *cfg)
{
    static const struct vtrace_digest_key none = VTRACE_DIGEST_KEY_INIT;
    const char *value;

    if (!setting_changed(&key_setting, cfg, &value)) {
        return;
    }
    if (!value) {
        config.key = none;
    } else if (!vtrace_digest_key_parse(value, &config.key)) {
        /* Not the value, which may be the better part of the secret. */
        VLOG_ERR("other_config:%s: the value is not 32 hexadecimal digits, "
                 "set it to those that all switches of the domain have, or "
                 "remove it from all of them", key_setting.key);
    }
}

static void
read_rate(const struct ovsrec_open_vswitch *cfg)
{
    const char *value;
    unsigned int rate;

    if (!setting_changed(&rate_setting, cfg, &value)) {
        return;
    }
    if (!value) {
        config.rate = ZOO_RECORD_RATE_DEFAULT;
    } else if (str_to_uint(value, 10, &rate) && rate
               && rate <= ZOO_RECORD_RATE_MAX) {
        config.rate = rate;
    } else {
        VLOG_ERR("other_config:%s: \"%s\" is not an integer in the range "
                 "1..%d, set it to one or remove it", rate_setting.key, value,
                 ZOO_RECORD_RATE_MAX);
    }
}

void
vtrace_ovsdb_reconfigure(const struct ovsrec_open_vswitch *cfg)
{
    read_collector(cfg);
    read_key(cfg);
    read_rate(cfg);
    vtrace_exporter_configure(collector, &config);
    next_endpoints = LLONG_MIN;
}

/* Endpoints. */

struct endpoints {
    struct in6_addr addresses[VTRACE_EXPORTER_MAX_ENDPOINTS];
    size_t n;
};

static void
add_endpoint(struct endpoints *e, const struct in6_addr *address)
{
    if (!ipv6_addr_is_set(address)
        || ipv6_addr_equals(address, &in6addr_loopback)
        || in6_is_lla(CONST_CAST(struct in6_addr *, address))) {
        return;
    }
    for (size_t i = 0; i < e->n; i++) {
        if (ipv6_addr_equals(&e->addresses[i], address)) {
            return;
        }
    }
    if (e->n < ARRAY_SIZE(e->addresses)) {
        e->addresses[e->n++] = *address;
    }
}

static bool
parse_ip(const char *s, struct in6_addr *address)
{
    ovs_be32 ip;

    if (s && ip_parse(s, &ip)) {
        in6_addr_set_mapped_ipv4(address, ip);
        return true;
    }
    return s && ipv6_parse(s, address);
}

/* Adds the addresses of the bridges' own ports, at any of which a tunnel ends
 * whose local address nothing tells. */
static void
add_bridges(struct endpoints *e, const struct ovsrec_open_vswitch *cfg)
{
    for (size_t i = 0; i < cfg->n_bridges; i++) {
        struct in6_addr *addresses, *masks;
        int n;

        if (!netdev_get_addrs(cfg->bridges[i]->name, &addresses, &masks, &n)) {
            for (int j = 0; j < n; j++) {
                add_endpoint(e, &addresses[j]);
            }
            free(addresses);
            free(masks);
        }
    }
}

/* Adds the local address of the tunnel port 'iface': that which is configured,
 * or that which the route to its remote address gives.  Returns false if
 * nothing tells. */
static bool
add_tunnel(struct endpoints *e, const struct ovsrec_interface *iface)
{
    const char *local = smap_get(&iface->options, "local_ip");
    const char *remote = smap_get(&iface->options, "remote_ip");
    struct in6_addr address, source, gateway;
    char device[IFNAMSIZ];

    if (parse_ip(local, &address)) {
        add_endpoint(e, &address);
        return true;
    }
    if (parse_ip(remote, &address)
        && ovs_router_lookup(0, &address, device, &source, &gateway)) {
        add_endpoint(e, &source);
        return true;
    }
    return false;
}

static void
update_endpoints(const struct ovsrec_open_vswitch *cfg)
{
    struct endpoints e = { .n = 0 };
    bool any_address = false;

    for (size_t i = 0; i < cfg->n_bridges; i++) {
        const struct ovsrec_bridge *br = cfg->bridges[i];

        for (size_t j = 0; j < br->n_ports; j++) {
            const struct ovsrec_port *port = br->ports[j];

            for (size_t k = 0; k < port->n_interfaces; k++) {
                const struct ovsrec_interface *iface = port->interfaces[k];

                if (smap_get(&iface->options, "remote_ip")
                    && !add_tunnel(&e, iface)) {
                    any_address = true;
                }
            }
        }
    }
    if (any_address) {
        add_bridges(&e, cfg);
    }
    vtrace_exporter_set_endpoints(e.addresses, e.n);
}

void
vtrace_ovsdb_run(struct ovsdb_idl *idl)
{
    const struct ovsrec_open_vswitch *cfg = ovsrec_open_vswitch_first(idl);

    if (cfg && vtrace_exporter_is_configured()
        && time_msec() >= next_endpoints) {
        next_endpoints = time_msec() + ENDPOINTS_INTERVAL_MS;
        update_endpoints(cfg);
    }
    vtrace_exporter_run();
}

void
vtrace_ovsdb_wait(void)
{
    if (vtrace_exporter_is_configured()) {
        poll_timer_wait_until(next_endpoints);
    }
    vtrace_exporter_wait();
}

void
vtrace_ovsdb_exit(void)
{
    vtrace_exporter_exit();
}
