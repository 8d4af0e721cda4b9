#
# Copyright (c) 2026 The ovs-zoo authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at:
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Packets, made byte by byte."""

import struct


def mac(s):
    return bytes.fromhex(s.replace(":", ""))


def ip(s):
    return bytes(map(int, s.split(".")))


def checksum(header):
    total = sum(struct.unpack("!%dH" % (len(header) // 2), header))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp_packet(dst_mac, src_mac, src, dst, sport, dport, payload):
    def header(csum):
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0,
                           0x4000, 64, 17, csum, ip(src), ip(dst))

    return (mac(dst_mac) + mac(src_mac) + b"\x08\0"
            + header(checksum(header(0)))
            + struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
            + payload)
