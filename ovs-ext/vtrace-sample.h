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

#ifndef VTRACE_SAMPLE_H
#define VTRACE_SAMPLE_H 1

/* Which packets are sampled
 * =========================
 *
 * Every switch has to sample the same packets (hash-based selection, RFC 5475,
 * section 5.3), and a packet that is not sampled should cost next to nothing.
 * So this is another hash than the digest, over less of the packet, which a
 * few instructions compute where the offsets of the headers are known.
 *
 * What is hashed is, as of the digest, unchanged by NAT, routing and
 * encapsulation.  It is 32 bytes, with zeros for what the packet has not:
 *
 *   TCP    sequence and acknowledgement numbers, flags in two bytes, six
 *          zeros, the network part, eight zeros;
 *   UDP    length, the lower 16 bits of the identification, the first 28 bytes
 *          of the payload;
 *   other  the first 24 bytes of the digest's input behind the network part:
 *          what counts of the transport header, and the payload; the network
 *          part;
 *
 * where the network part is the first 8 bytes of the digest's input: protocol,
 * 0, fragment offset in bytes, identification in 32 bits.  These are big
 * endian, as on the wire, and taken as little endian words w[0] to w[3]:
 *
 *     M(a, b) = the two halves of the product of a and b, XORed
 *     M(M(w[0] ^ k[0], w[1] ^ k[1]) ^ M(w[2] ^ k[2], w[3] ^ k[3]) ^ k[4],
 *       k[5])
 *
 * of which the lower 32 bits are the packet's sample.
 *
 * The words of the key are SipHash-2-4 with 128 bits of output, keyed with the
 * digest's key, of "vtrace sampling 0", "vtrace sampling 1" and "vtrace
 * sampling 2".  Who does not know it cannot tell which packets are sampled.
 * The digest tells nothing of it, so that sampling does not make collisions of
 * digests more likely.
 *
 * Pure and thread-safe. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ovs-ext/vtrace-digest.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vtrace_sample_key {
    uint64_t k[6];
};

/* Derives '*sample' from the key of the digests. */
void vtrace_sample_key_init(struct vtrace_sample_key *sample,
                            const struct vtrace_digest_key *);

/* Stores in '*sample' the bits by which vtrace_is_sampled() decides on the
 * IPv4 or IPv6 packet at 'ip', which must be even, of which 'size' bytes are
 * there; they can be anything.  Returns false if there is no IP header. */
bool vtrace_sample(const struct vtrace_sample_key *, const void *ip,
                   size_t size, uint32_t *sample);

/* A packet is one of the one in 4^'exp' that are sampled if none of these bits
 * of its sample is set; 'exp' is at most VTRACE_EXP_MAX.  What is sampled with
 * an exponent is also sampled with each smaller one. */
static inline uint32_t
vtrace_sample_mask(unsigned int exp)
{
    return (1u << (2 * exp)) - 1;
}

static inline bool
vtrace_is_sampled(uint32_t sample, unsigned int exp)
{
    return !(sample & vtrace_sample_mask(exp));
}

static inline uint64_t
vtrace_get_le64(const uint8_t *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof x);
#ifdef WORDS_BIGENDIAN
    x = __builtin_bswap64(x);
#endif
    return x;
}

static inline uint32_t
vtrace_get_le32(const uint8_t *p)
{
    uint32_t x;

    memcpy(&x, p, sizeof x);
#ifdef WORDS_BIGENDIAN
    x = __builtin_bswap32(x);
#endif
    return x;
}

static inline uint32_t
vtrace_get_le16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

/* M(a, b) above. */
static inline uint64_t
vtrace_multiply_fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 uint128;
    uint128 product = (uint128) a * b;
    uint64_t x = (uint64_t) product ^ (uint64_t) (product >> 64);

    /* Otherwise the compiler mixes these halves with those of other products,
     * needs more registers, and has to save some. */
    __asm__("" : "+r" (x));
    return x;
#else
    uint64_t al = (uint32_t) a, ah = a >> 32;
    uint64_t bl = (uint32_t) b, bh = b >> 32;
    uint64_t low = al * bl;
    uint64_t mid = ah * bl + (low >> 32);
    uint64_t mid2 = al * bh + (uint32_t) mid;

    return ((mid2 << 32 | (uint32_t) low)
            ^ (ah * bh + (mid >> 32) + (mid2 >> 32)));
#endif
}

static inline uint32_t
vtrace_sample_hash(const struct vtrace_sample_key *key, uint64_t w0,
                   uint64_t w1, uint64_t w2, uint64_t w3)
{
    const uint64_t *k = key->k;
    uint64_t x = vtrace_multiply_fold(w0 ^ k[0], w1 ^ k[1]);
    uint64_t y = vtrace_multiply_fold(w2 ^ k[2], w3 ^ k[3]);

    return vtrace_multiply_fold(x ^ y ^ k[4], k[5]);
}

/* Return the samples of a TCP segment with 20 bytes at 'l4', and of a UDP
 * datagram with 36, whose identification is in the lower half of 'id', in the
 * order of the wire. */
static inline uint32_t
vtrace_sample_tcp(const struct vtrace_sample_key *key, const uint8_t *l4,
                  uint32_t id)
{
    return vtrace_sample_hash(key, vtrace_get_le64(l4 + 4),
                              vtrace_get_le32(l4 + 12) & 0xff0f,
                              (uint64_t) id << 48 | IPPROTO_TCP, 0);
}

static inline uint32_t
vtrace_sample_udp(const struct vtrace_sample_key *key, const uint8_t *l4,
                  uint32_t id)
{
    return vtrace_sample_hash(key,
                              ((vtrace_get_le64(l4 + 4)
                                & UINT64_C(0xffffffff0000ffff))
                               | (uint32_t) (id << 16)),
                              vtrace_get_le64(l4 + 12),
                              vtrace_get_le64(l4 + 20),
                              vtrace_get_le64(l4 + 28));
}

/* Does as vtrace_sample_fast(), for an IPv4 header without options at 'ip', of
 * which the caller knows that it is there.  At the transport header begin
 * 'size' - 'l4_ofs' bytes, or none if that is negative. */
static inline bool
vtrace_sample_plain(const struct vtrace_sample_key *key, const uint8_t *ip,
                    uint32_t size, uint32_t l4_ofs, uint32_t *sample)
{
    /* Fragment offset, without flags, and protocol. */
    const uint32_t mask = 0xff00ff1f;
    uint32_t kind = vtrace_get_le32(ip + 6) & mask;

    if (kind == (uint32_t) IPPROTO_UDP << 24 && size >= l4_ofs + 36) {
        *sample = vtrace_sample_udp(key, ip + 20, vtrace_get_le16(ip + 4));
        return true;
    } else if (kind == (uint32_t) IPPROTO_TCP << 24 && size >= l4_ofs + 20) {
        *sample = vtrace_sample_tcp(key, ip + 20, vtrace_get_le16(ip + 4));
        return true;
    }
    return false;
}

/* Does as vtrace_sample(), for most TCP and UDP packets, where it is known
 * that the header at 'ip' and the extension headers of IPv6 take 'header_len'
 * bytes, behind which are 'l4_size' bytes that belong to the IP packet.
 * Returns false if vtrace_sample() has to see the packet. */
static inline bool
vtrace_sample_fast(const struct vtrace_sample_key *key, const uint8_t *ip,
                   size_t header_len, size_t l4_size, uint32_t *sample)
{
    const uint8_t *l4 = ip + header_len;
    uint8_t protocol;

    if (header_len == 20 && ip[0] == 0x45) {
        return vtrace_sample_plain(key, ip, l4_size < 36 ? l4_size : 36, 0,
                                   sample);
    } else if (header_len == 40 && ip[0] >> 4 == 6 && ip[0] != 0x6a) {
        /* 0x6a could be IPv4 for those who ignore the version. */
        protocol = ip[6];
        if (protocol == IPPROTO_TCP && l4_size >= 20) {
            *sample = vtrace_sample_tcp(key, l4, 0);
            return true;
        } else if (protocol == IPPROTO_UDP && l4_size >= 36) {
            *sample = vtrace_sample_udp(key, l4, 0);
            return true;
        }
    }
    return false;
}

#ifdef __cplusplus
}
#endif

#endif /* vtrace-sample.h */
