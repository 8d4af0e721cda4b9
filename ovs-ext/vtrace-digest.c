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
#include "ovs-ext/vtrace-digest.h"

#include <netinet/in.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <string.h>

#include "ovs-ext/vtrace-record.h"
#include "ovs-ext/vtrace-sample.h"
#include "packets.h"
#include "unaligned.h"
#include "util.h"

/* SipHash. */

static inline uint64_t
rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static inline void
sip_rounds(uint64_t v[4], int n)
{
    while (n--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static uint64_t
get_le64(const uint8_t *p, size_t n)
{
    uint64_t x = 0;

    for (size_t i = 0; i < n; i++) {
        x |= (uint64_t) p[i] << (8 * i);
    }
    return x;
}

void
vtrace_siphash128(const struct vtrace_digest_key *key,
                  const void *data, size_t n, uint64_t out[2])
{
    uint64_t v[4] = {
        key->k0 ^ 0x736f6d6570736575ULL,
        key->k1 ^ 0x646f72616e646f6dULL ^ 0xee,
        key->k0 ^ 0x6c7967656e657261ULL,
        key->k1 ^ 0x7465646279746573ULL,
    };
    const uint8_t *p = data;
    size_t left = n;

    for (; left >= 8; p += 8, left -= 8) {
        uint64_t m;

        memcpy(&m, p, sizeof m);
#ifdef WORDS_BIGENDIAN
        m = __builtin_bswap64(m);
#endif

        v[3] ^= m;
        sip_rounds(v, 2);
        v[0] ^= m;
    }

    uint64_t last = get_le64(p, left) | (uint64_t) n << 56;

    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;

    v[2] ^= 0xee;
    sip_rounds(v, 4);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    sip_rounds(v, 4);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

bool
vtrace_digest_key_parse(const char *s, struct vtrace_digest_key *key)
{
    uint8_t bytes[16];

    if (strlen(s) != 2 * sizeof bytes) {
        return false;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        bool ok;

        bytes[i] = hexits_value(s + 2 * i, 2, &ok);
        if (!ok) {
            return false;
        }
    }
    key->k0 = get_le64(bytes, 8);
    key->k1 = get_le64(bytes + 8, 8);
    return true;
}

/* Parsing. */

/* Extension headers that are followed at most. */
#define MAX_EXTENSIONS 8

/* The bytes that are hashed. */
struct input {
    uint8_t data[64];
    size_t n;
};

/* Protocol, offset and identification; of TCP, the longest, 14; payload. */
BUILD_ASSERT_DECL(8 + 14 + VTRACE_DIGEST_PAYLOAD
                  <= MEMBER_SIZEOF(struct input, data));

static void
put(struct input *in, const void *p, size_t n)
{
    memcpy(in->data + in->n, p, n);
    in->n += n;
}

/* What follows the IP header, as far as it is there and belongs to the
 * packet. */
struct transport {
    const uint8_t *data;
    size_t size;                /* Bytes at 'data'. */
    size_t length;              /* Bytes according to the IP header. */
};

static bool
parse_ipv4(struct vtrace_record *r, const uint8_t *p, size_t size,
           struct transport *l4)
{
    const struct ip_header *ip = ALIGNED_CAST(const struct ip_header *, p);

    if (size < IP_HEADER_LEN) {
        return false;
    }

    size_t header_len = IP_IHL(ip->ip_ihl_ver) * 4;
    if (header_len < IP_HEADER_LEN || size < header_len) {
        return false;
    }

    /* A packet that is still to be segmented may have no total length. */
    size_t total = ntohs(ip->ip_tot_len);
    total = total ? MAX(total, header_len) : size;

    uint16_t frag = ntohs(ip->ip_frag_off);
    r->ip_version = 4;
    r->protocol = ip->ip_proto;
    r->ttl = ip->ip_ttl;
    r->ip_id = ntohs(ip->ip_id);
    r->ip_len = total;
    r->frag_offset = (frag & IP_FRAG_OFF_MASK) * 8;
    if (frag & (IP_FRAG_OFF_MASK | IP_MORE_FRAGMENTS)) {
        r->flags |= VTRACE_F_FRAGMENT;
    }
    in6_addr_set_mapped_ipv4(&r->src, get_16aligned_be32(&ip->ip_src));
    in6_addr_set_mapped_ipv4(&r->dst, get_16aligned_be32(&ip->ip_dst));

    l4->data = p + header_len;
    l4->size = MIN(size, total) - header_len;
    l4->length = total - header_len;
    return true;
}

/* Follows the extension headers in '*l4' from 'next' on. */
static void
skip_extensions(struct vtrace_record *r, uint8_t next, struct transport *l4)
{
    for (int i = 0; i < MAX_EXTENSIONS; i++) {
        const uint8_t *p = l4->data;
        size_t len;

        if (next == IPPROTO_FRAGMENT && l4->size >= 8) {
            uint16_t offset = p[2] << 8 | p[3];

            len = 8;
            r->ip_id = ntohl(get_unaligned_be32(
                                 ALIGNED_CAST(const ovs_be32 *, p + 4)));
            r->frag_offset = offset & 0xfff8;
            if (offset & 0xfff9) {
                r->flags |= VTRACE_F_FRAGMENT;
            }
        } else if ((next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING
                    || next == IPPROTO_DSTOPTS) && l4->size >= 8) {
            len = (p[1] + 1) * 8;
            if (len > l4->size) {
                break;
            }
        } else {
            break;
        }
        next = p[0];
        l4->data += len;
        l4->size -= len;
        l4->length -= len;
        if (r->frag_offset) {
            break;
        }
    }
    r->protocol = next;
}

static bool
parse_ipv6(struct vtrace_record *r, const uint8_t *p, size_t size,
           struct transport *l4)
{
    const struct ovs_16aligned_ip6_hdr *ip6
        = ALIGNED_CAST(const struct ovs_16aligned_ip6_hdr *, p);

    if (size < IPV6_HEADER_LEN) {
        return false;
    }

    size_t length = ntohs(ip6->ip6_plen);
    if (!length) {
        length = size - IPV6_HEADER_LEN;
    }
    r->ip_version = 6;
    r->ttl = ip6->ip6_hlim;
    r->ip_len = IPV6_HEADER_LEN + length;
    memcpy(&r->src, &ip6->ip6_src, sizeof r->src);
    memcpy(&r->dst, &ip6->ip6_dst, sizeof r->dst);

    l4->data = p + IPV6_HEADER_LEN;
    l4->size = MIN(size - IPV6_HEADER_LEN, length);
    l4->length = length;
    skip_extensions(r, ip6->ip6_nxt, l4);
    return true;
}

static bool
parse_ip(struct vtrace_record *r, const uint8_t *p, size_t size,
         struct transport *l4)
{
    return (!size ? false
            : p[0] >> 4 == 4 ? parse_ipv4(r, p, size, l4)
            : p[0] >> 4 == 6 ? parse_ipv6(r, p, size, l4)
            : false);
}

/* Adds the timestamp of the TCP options in the 'n' bytes at 'p', 0 if there is
 * none. */
static void
put_tsval(struct input *in, const uint8_t *p, size_t n)
{
    static const uint8_t none[4];

    while (n > 1 && *p != 0) {
        size_t len = *p == 1 ? 1 : p[1];

        if (!len || (len == 1 && *p != 1) || len > n) {
            break;
        }
        if (*p == 8 && len == 10) {
            put(in, p + 2, 4);
            return;
        }
        p += len;
        n -= len;
    }
    put(in, none, sizeof none);
}

static size_t
put_tcp(struct vtrace_record *r, const struct transport *l4, struct input *in)
{
    const struct tcp_header *tcp
        = ALIGNED_CAST(const struct tcp_header *, l4->data);
    size_t header_len = TCP_OFFSET(tcp->tcp_ctl) * 4;

    if (header_len < TCP_HEADER_LEN || header_len > l4->size) {
        header_len = TCP_HEADER_LEN;
    }

    r->src_port = ntohs(tcp->tcp_src);
    r->dst_port = ntohs(tcp->tcp_dst);
    r->tcp_seq = ntohl(get_16aligned_be32(&tcp->tcp_seq));
    r->tcp_flags = TCP_FLAGS(tcp->tcp_ctl);

    put(in, &tcp->tcp_seq, 4);
    put(in, &tcp->tcp_ack, 4);
    in->data[in->n++] = r->tcp_flags >> 8;
    in->data[in->n++] = r->tcp_flags;
    put_tsval(in, l4->data + TCP_HEADER_LEN, header_len - TCP_HEADER_LEN);
    return header_len;
}

static bool
is_icmp_echo(const struct vtrace_record *r)
{
    return (r->protocol == IPPROTO_ICMP
            ? r->src_port == ICMP4_ECHO_REQUEST
              || r->src_port == ICMP4_ECHO_REPLY
            : r->src_port == ICMP6_ECHO_REQUEST
              || r->src_port == ICMP6_ECHO_REPLY);
}

static bool
is_icmp_error(const struct vtrace_record *r)
{
    return (r->protocol == IPPROTO_ICMP
            ? r->src_port == ICMP4_DST_UNREACH
              || r->src_port == 4       /* Source quench. */
              || r->src_port == ICMP4_REDIRECT
              || r->src_port == ICMP4_TIME_EXCEEDED
              || r->src_port == ICMP4_PARAM_PROB
            : r->src_port < 128);
}

/* Adds what no NAT changes of the packet inside an error message, whose
 * addresses, ports and checksums NAT translates. */
static void
put_icmp_error(const uint8_t *p, size_t size, struct input *in)
{
    struct vtrace_record inner;
    struct transport l4;

    memset(&inner, 0, sizeof inner);
    if (!parse_ip(&inner, p, size, &l4)) {
        return;
    }
    in->data[in->n++] = inner.protocol;
    put(in, &(ovs_be32) { htonl(inner.ip_id) }, 4);
    if (inner.frag_offset || l4.size < 8) {
        return;
    }
    if (inner.protocol == IPPROTO_TCP) {
        put(in, l4.data + 4, 4);        /* Sequence number. */
    } else if (inner.protocol == IPPROTO_UDP) {
        put(in, l4.data + 4, 2);        /* Length. */
    } else if (inner.protocol == IPPROTO_ICMP
               || inner.protocol == IPPROTO_ICMPV6) {
        put(in, l4.data, 2);            /* Type and code. */
        put(in, l4.data + 6, 2);        /* Sequence number. */
    }
}

/* Adds the transport header in 'l4'.  Returns its length; all of 'l4' if there
 * is no payload that counts. */
static size_t
put_transport(struct vtrace_record *r, const struct transport *l4,
              struct input *in)
{
    const uint8_t *p = l4->data;

    if (r->frag_offset) {
        r->flags |= VTRACE_F_NO_PORTS;
        return 0;
    }

    if (r->protocol == IPPROTO_TCP && l4->size >= TCP_HEADER_LEN) {
        return put_tcp(r, l4, in);
    } else if (r->protocol == IPPROTO_UDP && l4->size >= UDP_HEADER_LEN) {
        r->src_port = p[0] << 8 | p[1];
        r->dst_port = p[2] << 8 | p[3];
        put(in, p + 4, 2);              /* Length. */
        return UDP_HEADER_LEN;
    } else if (r->protocol == IPPROTO_SCTP && l4->size >= SCTP_HEADER_LEN) {
        r->src_port = p[0] << 8 | p[1];
        r->dst_port = p[2] << 8 | p[3];
        put(in, p + 4, 4);              /* Verification tag. */
        return SCTP_HEADER_LEN;
    } else if ((r->protocol == IPPROTO_ICMP || r->protocol == IPPROTO_ICMPV6)
               && l4->size >= 8) {
        r->src_port = p[0];
        r->dst_port = p[1];
        put(in, p, 2);                  /* Type and code. */
        if (is_icmp_echo(r)) {
            put(in, p + 6, 2);          /* Sequence number. */
        } else {
            put(in, p + 4, 4);
        }
        if (is_icmp_error(r)) {
            put_icmp_error(p + 8, l4->size - 8, in);
            return l4->size;
        }
        return 8;
    }

    r->flags |= VTRACE_F_NO_PORTS;
    if (r->protocol == IPPROTO_ESP && l4->size >= 8) {
        put(in, p, 8);                  /* SPI and sequence number. */
        return 8;
    }
    return 0;
}

/* Bytes of '*in' in front of what is from the transport header. */
#define INPUT_NETWORK 8

/* Stores in '*r' what a record has of the packet at 'ip', and in '*in' what of
 * it is hashed.  Returns false if there is no IP header. */
static bool
parse_packet(const void *ip, size_t size, struct vtrace_record *r,
             struct input *in)
{
    struct transport l4;

    memset(r, 0, sizeof *r);
    if (!parse_ip(r, ip, size, &l4)) {
        return false;
    }

    in->data[0] = r->protocol;
    in->data[1] = 0;
    in->data[2] = r->frag_offset >> 8;
    in->data[3] = r->frag_offset;
    in->n = 4;
    put(in, &(ovs_be32) { htonl(r->ip_id) }, 4);

    size_t header_len = put_transport(r, &l4, in);
    put(in, l4.data + header_len,
        MIN(l4.size - header_len, VTRACE_DIGEST_PAYLOAD));
    r->payload_len = l4.length - MIN(l4.length, header_len);
    return true;
}

/* Sets in '*record' what '*r' and '*in' are, from parse_packet(). */
static void
set_record(struct vtrace_record *record, const struct vtrace_record *r,
           const struct input *in, const struct vtrace_digest_key *key)
{
    uint64_t hash[2];

    vtrace_siphash128(key, in->data, in->n, hash);
    record->digest = hash[0];
    record->src = r->src;
    record->dst = r->dst;
    record->ip_id = r->ip_id;
    record->ip_len = r->ip_len;
    record->payload_len = r->payload_len;
    record->tcp_seq = r->tcp_seq;
    record->flags &= ~(VTRACE_F_FRAGMENT | VTRACE_F_NO_PORTS);
    record->flags |= r->flags;
    record->src_port = r->src_port;
    record->dst_port = r->dst_port;
    record->frag_offset = r->frag_offset;
    record->tcp_flags = r->tcp_flags;
    record->ip_version = r->ip_version;
    record->protocol = r->protocol;
    record->ttl = r->ttl;
}

bool
vtrace_record_set_packet(struct vtrace_record *record, const void *ip,
                         size_t size, const struct vtrace_digest_key *key)
{
    struct vtrace_record r;
    struct input in;

    if (!parse_packet(ip, size, &r, &in)) {
        return false;
    }
    set_record(record, &r, &in, key);
    return true;
}

/* Sampling. */

void
vtrace_sample_key_init(struct vtrace_sample_key *sample,
                       const struct vtrace_digest_key *key)
{
    static const char label[] = "vtrace sampling 0";
    char name[sizeof label];

    memcpy(name, label, sizeof name);
    for (size_t i = 0; i < ARRAY_SIZE(sample->k); i += 2) {
        name[sizeof name - 2] = '0' + i / 2;
        vtrace_siphash128(key, name, sizeof name - 1, &sample->k[i]);
    }
}

static uint32_t
sample_input(const struct vtrace_sample_key *key,
             const struct vtrace_record *r, const struct input *in)
{
    uint8_t bytes[32] = { 0 };
    const uint8_t *transport = in->data + INPUT_NETWORK;
    size_t n = in->n - INPUT_NETWORK;
    bool has_header = !(r->flags & VTRACE_F_NO_PORTS);

    if (has_header && r->protocol == IPPROTO_TCP) {
        memcpy(bytes, transport, 10);
        memcpy(bytes + 16, in->data, INPUT_NETWORK);
    } else if (has_header && r->protocol == IPPROTO_UDP) {
        memcpy(bytes, transport, 2);
        memcpy(bytes + 2, in->data + INPUT_NETWORK - 2, 2);
        memcpy(bytes + 4, transport + 2, MIN(n - 2, sizeof bytes - 4));
    } else {
        memcpy(bytes, transport, MIN(n, 24));
        memcpy(bytes + 24, in->data, INPUT_NETWORK);
    }
    return vtrace_sample_hash(key, vtrace_get_le64(bytes),
                              vtrace_get_le64(bytes + 8),
                              vtrace_get_le64(bytes + 16),
                              vtrace_get_le64(bytes + 24));
}

bool
vtrace_sample(const struct vtrace_sample_key *key, const void *ip,
              size_t size, uint32_t *sample)
{
    struct vtrace_record r;
    struct input in;

    if (!parse_packet(ip, size, &r, &in)) {
        return false;
    }
    *sample = sample_input(key, &r, &in);
    return true;
}

bool
vtrace_record_set_sampled(struct vtrace_record *record, const void *ip,
                          size_t size,
                          const struct vtrace_digest_key *digest_key,
                          const struct vtrace_sample_key *sample_key,
                          unsigned int exp)
{
    struct vtrace_record r;
    struct input in;

    if (!parse_packet(ip, size, &r, &in)
        || (exp && !vtrace_is_sampled(sample_input(sample_key, &r, &in),
                                      exp))) {
        return false;
    }
    set_record(record, &r, &in, digest_key);
    return true;
}
