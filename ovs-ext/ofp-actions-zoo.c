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

/* OpenFlow wire format and ovs-ofctl syntax of the actions of this project.
 *
 * Not a file to compile by itself: lib/ofp-actions.c includes it, because the
 * raw action enumeration from which the build generates the decoder, and the
 * prototypes that it generates, are private to that file. */

#include "ovs-ext/vtrace-record.h"
#include "ovs-ext/zoo-flow.h"

/* Action structure for ZOOACT_ZOOROUTE.
 *
 * Chooses the outer UDP source port of the tunnel outputs that follow, until
 * the end of the pipeline or the next such action:
 *
 *     mode 1 (on): the one that the path table of the tunnel's peer gives,
 *             whether or not the ZooRoute table's "tunnels" column says so.
 *
 *     mode 2 (off): the one that Open vSwitch itself chooses.
 *
 *     mode 3 (port): 'sport', in ZOO_SPORT_MIN...ZOO_SPORT_MAX.
 *
 * Other modes, a port outside the range, and a nonzero 'sport' with modes 1
 * and 2 are OFPBAC_BAD_ARGUMENT.  'zero' and 'zero2' must be 0. */
struct zoo_action_zooroute {
    ovs_be16 type;              /* OFPAT_VENDOR. */
    ovs_be16 len;               /* 16. */
    ovs_be32 vendor;            /* ZOO_VENDOR_ID. */
    ovs_be16 subtype;           /* ZOOACT_ZOOROUTE. */
    uint8_t mode;               /* One of enum zoo_flow_mode, not 0. */
    uint8_t zero;
    ovs_be16 sport;             /* Outer source port, with mode 3. */
    uint8_t zero2[2];
};
OFP_ASSERT(sizeof(struct zoo_action_zooroute) == 16);

static enum ofperr
decode_ZOOACT_RAW_ZOOROUTE(const struct zoo_action_zooroute *zaz,
                           enum ofp_version ofp_version OVS_UNUSED,
                           struct ofpbuf *out)
{
    if (zaz->zero || !is_all_zeros(zaz->zero2, sizeof zaz->zero2)) {
        return OFPERR_NXBRC_MUST_BE_ZERO;
    }

    uint16_t sport = ntohs(zaz->sport);
    switch (zaz->mode) {
    case ZOO_FLOW_ON:
    case ZOO_FLOW_OFF:
        if (sport) {
            return OFPERR_OFPBAC_BAD_ARGUMENT;
        }
        break;

    case ZOO_FLOW_SPORT:
        if (!zoo_sport_is_valid(sport)) {
            return OFPERR_OFPBAC_BAD_ARGUMENT;
        }
        break;

    default:
        return OFPERR_OFPBAC_BAD_ARGUMENT;
    }

    struct ofpact_zooroute *zr = ofpact_put_ZOOROUTE(out);
    zr->mode = zaz->mode;
    zr->sport = sport;
    return 0;
}

static void
encode_ZOOROUTE(const struct ofpact_zooroute *zr,
                enum ofp_version ofp_version OVS_UNUSED, struct ofpbuf *out)
{
    struct zoo_action_zooroute *zaz = put_ZOOACT_ZOOROUTE(out);

    zaz->mode = zr->mode;
    zaz->sport = htons(zr->sport);
}

static char * OVS_WARN_UNUSED_RESULT
parse_ZOOROUTE(const char *arg, const struct ofpact_parse_params *pp)
{
    enum zoo_flow_mode mode = ZOO_FLOW_ON;
    long long int sport = 0;

    if (!strncmp(arg, "sport=", 6)) {
        if (!str_to_llong(arg + 6, 10, &sport)) {
            return xasprintf("zooroute: sport: \"%s\" is not a number",
                             arg + 6);
        }
        if (!zoo_sport_is_valid(sport)) {
            return xasprintf("zooroute: sport: %lld is out of range %d..%d",
                             sport, ZOO_SPORT_MIN, ZOO_SPORT_MAX);
        }
        mode = ZOO_FLOW_SPORT;
    } else if (!strcmp(arg, "off")) {
        mode = ZOO_FLOW_OFF;
    } else if (*arg) {
        return xasprintf("zooroute: \"%s\" is not \"off\" or \"sport=N\" with "
                         "N in %d..%d", arg, ZOO_SPORT_MIN, ZOO_SPORT_MAX);
    }

    struct ofpact_zooroute *zr = ofpact_put_ZOOROUTE(pp->ofpacts);
    zr->mode = mode;
    zr->sport = sport;
    return NULL;
}

static void
format_ZOOROUTE(const struct ofpact_zooroute *zr,
                const struct ofpact_format_params *fp)
{
    switch ((enum zoo_flow_mode) zr->mode) {
    case ZOO_FLOW_SPORT:
        ds_put_format(fp->s, "%szooroute(%s%ssport=%s%"PRIu16"%s)%s",
                      colors.paren, colors.end, colors.param, colors.end,
                      zr->sport, colors.paren, colors.end);
        break;

    case ZOO_FLOW_OFF:
        ds_put_format(fp->s, "%szooroute(%soff%s)%s",
                      colors.paren, colors.end, colors.paren, colors.end);
        break;

    case ZOO_FLOW_ON:
    case ZOO_FLOW_DEFAULT:
        ds_put_format(fp->s, "%szooroute%s", colors.value, colors.end);
        break;
    }
}

static enum ofperr
check_ZOOROUTE(const struct ofpact_zooroute *a OVS_UNUSED,
               const struct ofpact_check_params *cp OVS_UNUSED)
{
    return 0;
}

/* Action structure for ZOOACT_VTRACE.
 *
 * Gives the packet a color, which makes every switch that it passes leave
 * records of it, and goes on in table 0 as if the packet had just come in:
 * unlike a resubmit, a table miss there is handled as the first lookup's.
 *
 * 'color' is the task's, VTRACE_COLOR_MIN...VTRACE_COLOR_MAX; one packet in
 * 4**exp is recorded, 'exp' in 0...VTRACE_EXP_MAX.  Others are
 * OFPBAC_BAD_ARGUMENT, as are other flags.  'zero' must be 0.
 *
 * The color is the group policy ID of the packet (tun_gbp_id).  The flow must
 * match tun_gbp_id=0, which keeps the lookup in table 0 from finding it again,
 * and policies of others from being overwritten; other flows, and buckets of
 * groups, are OFPBAC_MATCH_INCONSISTENT.  It must be in table 0, so that
 * nothing is done to the packet twice: OFPBAC_UNSUPPORTED_ORDER.
 *
 * The other flows that may have it match tun_gbp_flags=2 (ZOO_GBP_F_ARRIVING)
 * and bit 15 of tun_gbp_id: a color that comes out of a tunnel and matches
 * becomes 'color' before anything else is done.  There a 'color' and 'exp' of
 * 0 take the color away.
 *
 * With ZOO_VTRACE_F_INJECT the packet was made for the task: no machine, no
 * other network, no controller and no collector ever gets it, it is consumed
 * where it would go there.  If its Ethernet addresses are zero, it gets those
 * (and the VLAN tag) with which the switch last saw a packet of these IP
 * addresses come in by this port.  Such an action is for packet-outs; in a flow
 * it would swallow a tenant's packets, and is OFPBAC_BAD_ARGUMENT. */
#define ZOO_VTRACE_F_INJECT 0x01
struct zoo_action_vtrace {
    ovs_be16 type;              /* OFPAT_VENDOR. */
    ovs_be16 len;               /* 16. */
    ovs_be32 vendor;            /* ZOO_VENDOR_ID. */
    ovs_be16 subtype;           /* ZOOACT_VTRACE. */
    ovs_be16 color;
    uint8_t exp;
    uint8_t flags;              /* ZOO_VTRACE_F_*. */
    uint8_t zero[2];
};
OFP_ASSERT(sizeof(struct zoo_action_vtrace) == 16);

static enum ofperr
decode_ZOOACT_RAW_VTRACE(const struct zoo_action_vtrace *zav,
                         enum ofp_version ofp_version OVS_UNUSED,
                         struct ofpbuf *out)
{
    uint16_t color = ntohs(zav->color);

    if (!is_all_zeros(zav->zero, sizeof zav->zero)) {
        return OFPERR_NXBRC_MUST_BE_ZERO;
    }
    if (color > VTRACE_COLOR_MAX || zav->exp > VTRACE_EXP_MAX
        || zav->flags & ~ZOO_VTRACE_F_INJECT
        || (!color && (zav->exp || zav->flags))) {
        return OFPERR_OFPBAC_BAD_ARGUMENT;
    }

    struct ofpact_vtrace *vt = ofpact_put_VTRACE(out);
    vt->color = color;
    vt->exp = zav->exp;
    vt->inject = (zav->flags & ZOO_VTRACE_F_INJECT) != 0;
    return 0;
}

static void
encode_VTRACE(const struct ofpact_vtrace *vt,
              enum ofp_version ofp_version OVS_UNUSED, struct ofpbuf *out)
{
    struct zoo_action_vtrace *zav = put_ZOOACT_VTRACE(out);

    zav->color = htons(vt->color);
    zav->exp = vt->exp;
    zav->flags = vt->inject ? ZOO_VTRACE_F_INJECT : 0;
}

static char * OVS_WARN_UNUSED_RESULT
parse_VTRACE(char *arg, const struct ofpact_parse_params *pp)
{
    long long int color = -1, exp = 0;
    bool inject = false;
    char *key, *value;

    if (!strcmp(arg, "off")) {
        ofpact_put_VTRACE(pp->ofpacts);
        return NULL;
    }
    while (ofputil_parse_key_value(&arg, &key, &value)) {
        bool is_color = !strcmp(key, "color");
        long long int min = is_color ? VTRACE_COLOR_MIN : 0;
        long long int max = is_color ? VTRACE_COLOR_MAX : VTRACE_EXP_MAX;
        long long int n;

        if (!strcmp(key, "inject") && !*value) {
            inject = true;
            continue;
        }
        if (!is_color && strcmp(key, "exp")) {
            return xasprintf("vtrace: \"%s\" is not \"color\", \"exp\" or "
                             "\"inject\"", key);
        }
        if (!str_to_llong(value, 10, &n)) {
            return xasprintf("vtrace: %s: \"%s\" is not a number", key,
                             value);
        }
        if (n < min || n > max) {
            return xasprintf("vtrace: %s: %lld is out of range %lld..%lld",
                             key, n, min, max);
        }
        *(is_color ? &color : &exp) = n;
    }
    if (color < 0) {
        return xasprintf("vtrace: color=N is missing, with N in %d..%d",
                         VTRACE_COLOR_MIN, VTRACE_COLOR_MAX);
    }

    struct ofpact_vtrace *vt = ofpact_put_VTRACE(pp->ofpacts);
    vt->color = color;
    vt->exp = exp;
    vt->inject = inject;
    return NULL;
}

static void
format_VTRACE(const struct ofpact_vtrace *vt,
              const struct ofpact_format_params *fp)
{
    if (!vt->color) {
        ds_put_format(fp->s, "%svtrace(%soff%s)%s",
                      colors.paren, colors.end, colors.paren, colors.end);
        return;
    }
    ds_put_format(fp->s, "%svtrace(%s%scolor=%s%"PRIu16",%sexp=%s%"PRIu8
                  "",
                  colors.paren, colors.end, colors.param, colors.end,
                  vt->color, colors.param, colors.end, vt->exp);
    if (vt->inject) {
        ds_put_format(fp->s, ",%sinject%s", colors.value, colors.end);
    }
    ds_put_format(fp->s, "%s)%s", colors.paren, colors.end);
}

/* Returns true if a flow with 'match' says what becomes of a color that comes
 * out of a tunnel. */
static bool
vtrace_match_is_arrival(const struct match *match)
{
    const struct flow_tnl *tnl = &match->flow.tunnel;

    /* Bits that are not matched are 0. */
    return (tnl->gbp_flags & ZOO_GBP_F_ARRIVING
            && tnl->gbp_id & htons(ZOO_COLOR_TRACED));
}

static enum ofperr
check_VTRACE(const struct ofpact_vtrace *a,
             const struct ofpact_check_params *cp)
{
    bool uncolored = (cp->match->wc.masks.tunnel.gbp_id == OVS_BE16_MAX
                      && !cp->match->flow.tunnel.gbp_id);

    if (a->inject) {
        /* Of all that is checked only a packet-out's flow, made from a packet,
         * has this field: no OpenFlow match can. */
        return (cp->match->wc.masks.recirc_id ? 0
                : OFPERR_OFPBAC_BAD_ARGUMENT);
    }
    if (!(a->color && uncolored) && !vtrace_match_is_arrival(cp->match)) {
        return OFPERR_OFPBAC_MATCH_INCONSISTENT;
    }
    if (cp->table_id != 0 && cp->table_id != OFPTT_ALL) {
        return OFPERR_OFPBAC_UNSUPPORTED_ORDER;
    }
    return 0;
}
