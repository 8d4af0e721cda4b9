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

"""What tshark, which knows nothing of this project, makes of packets and of
IPFIX messages."""

import shutil
import struct
import subprocess

import measure
from netns import FabricError
from packets import udp_packet

IPFIX_PORT = 4739

# What a record says of the packet: fields of IPv4, of IPv6.
IP = {"src": ("ip.src", "ipv6.src"), "dst": ("ip.dst", "ipv6.dst"),
      "ttl": ("ip.ttl", "ipv6.hlim"), "ip_len": ("ip.len", "ipv6.plen"),
      "protocol": ("ip.proto", "ipv6.nxt"),
      "ip_id": ("ip.id", "ipv6.fraghdr.ident"),
      "frag_offset": ("ip.frag_offset", "ipv6.fraghdr.offset")}
FIELDS = sorted({field for pair in IP.values() for field in pair} | {
    "frame.time_epoch", "vlan.id", "ip.flags.mf", "ipv6.fraghdr.more",
    "ipv6.fraghdr.nxt", "udp.srcport", "udp.dstport", "udp.length",
    "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.flags", "tcp.len",
    "icmp.type", "icmp.code", "icmpv6.type", "icmpv6.code", "data.len",
    "vxlan.vni", "vxlan.gbp", "frame.protocols"})
OPTIONS = ("ip.defragment:FALSE", "ipv6.defragment:FALSE",
           "tcp.relative_sequence_numbers:FALSE")

# Members of a record that are elements of IANA's, by tshark's names.
ELEMENTS = {"src": "cflow.srcaddrv6", "dst": "cflow.dstaddrv6",
            "digest": "cflow.digest_hash_value",
            "tun_id": "cflow.layer2_segment_id",
            "ip_id": "cflow.frag_ident", "tcp_seq": "cflow.tcp_seq_num",
            "src_port": "cflow.srcport", "dst_port": "cflow.dstport",
            "tcp_flags": "cflow.tcpflags", "vlan": "cflow.dot1q_vlan_id",
            "ip_version": "cflow.ip_version", "protocol": "cflow.protocol",
            "ttl": "cflow.ip_ttl", "port": "cflow.if_name",
            # Only the upper two bits of it.
         "forwarding_status": "cflow.forwarding_status"}


def need():
    if not shutil.which("tshark"):
        measure.skip("needs the program 'tshark'")


def number(text):
    return int(text, 0) if text else 0


def rows(pcap, fields, *options):
    """For each packet {field: [what it is, outermost first]}."""
    argv = ["tshark", "-n", "-r", pcap, "-T", "fields", "-E", "separator=/t",
            "-E", "occurrence=a", "-E", "aggregator=;"]
    for field in fields:
        argv += ["-e", field]
    done = subprocess.run(argv + list(options), text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise FabricError("tshark: exit status %d: %s"
                          % (done.returncode, done.stderr.strip()))
    return [dict(zip(fields, (text.split(";") if text else []
                              for text in line.split("\t"))))
            for line in done.stdout.splitlines()]


def frames(pcap):
    """The bytes of the packets."""
    with open(pcap, "rb") as file:
        data = file.read()[24:]
    found = []
    while data:
        size, = struct.unpack_from("=I", data, 8)
        found.append(data[16:16 + size])
        data = data[16 + size:]
    return found


def expected(row):
    """The members of a record that a packet decides, from a row of FIELDS: of
    the inner packet if there is a tunnel."""
    protocols = row["frame.protocols"][0].split(":")
    family = [word for word in protocols if word in ("ip", "ipv6")]
    outer = len(family) > 1

    def last(field):
        return row[field][-1] if row[field] else ""

    v6 = family[-1] == "ipv6"
    r = {name: number(last(pair[v6])) if name not in ("src", "dst")
         else last(pair[v6]) for name, pair in IP.items()}
    r["ip_version"] = 6 if v6 else 4
    r["frag_offset"] *= 8
    if v6:
        r["ip_len"] += 40
        if "ipv6.fraghdr" in protocols:
            r["protocol"] = number(last("ipv6.fraghdr.nxt"))
    more = last("ipv6.fraghdr.more" if v6 else "ip.flags.mf")
    r["fragment"] = bool(r["frag_offset"] or more in ("1", "True"))
    r["vlan"] = number(last("vlan.id"))
    r["src_port"] = r["dst_port"] = r["tcp_seq"] = r["tcp_flags"] = 0
    if not r["frag_offset"]:
        set_transport(r, last)
    if outer:
        r["tun_src"], r["tun_dst"] = row["ip.src"][0], row["ip.dst"][0]
        r["tun_id"] = number(row["vxlan.vni"][0])
        r["tun_sport"] = number(row["udp.srcport"][0])
    return r


def set_transport(r, last):
    if r["protocol"] == 6:
        r["src_port"] = number(last("tcp.srcport"))
        r["dst_port"] = number(last("tcp.dstport"))
        r["tcp_seq"] = number(last("tcp.seq_raw"))
        r["tcp_flags"] = number(last("tcp.flags"))
        r["payload_len"] = number(last("tcp.len"))
    elif r["protocol"] == 17:
        r["src_port"] = number(last("udp.srcport"))
        r["dst_port"] = number(last("udp.dstport"))
        if not r["fragment"]:
            r["payload_len"] = number(last("udp.length")) - 8
    else:
        kind = "icmp" if r["protocol"] == 1 else "icmpv6"
        r["src_port"] = number(last(kind + ".type"))
        r["dst_port"] = number(last(kind + ".code"))
        r["payload_len"] = number(last("data.len"))


def packets(pcap):
    """(what tshark says that a record has to say, time, bytes) of each."""
    options = [word for option in OPTIONS for word in ("-o", option)]
    return [(expected(row), float(row["frame.time_epoch"][0]), frame)
            for row, frame in zip(rows(pcap, FIELDS, *options),
                                  frames(pcap))]


def ipfix(messages, pcap):
    """What tshark makes of IPFIX messages: for each record of a packet the
    members in ELEMENTS.  Writes them into 'pcap', each as a datagram."""
    with open(pcap, "wb") as file:
        file.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for message in messages:
            frame = udp_packet("02:00:00:00:00:01", "02:00:00:00:00:02",
                               "127.0.0.1", "127.0.0.1", IPFIX_PORT,
                               IPFIX_PORT, message)
            file.write(struct.pack("=IIII", 0, 0, len(frame), len(frame))
                       + frame)
    found = []
    for row in rows(pcap, list(ELEMENTS.values()),
                    "-d", "udp.port==%d,cflow" % IPFIX_PORT):
        counts = {len(values) for values in row.values()}
        if len(counts) != 1:
            raise FabricError("tshark finds different numbers of elements in "
                              "an IPFIX message: %s" % row)
        found += [dict(zip(ELEMENTS, values))
                  for values in zip(*(row[ELEMENTS[name]]
                                      for name in ELEMENTS))]
    return found
