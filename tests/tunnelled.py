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

"""A switch under callgrind (dummy.py) whose tenants' packets go into tunnels
and come out of them, for benches that count what a packet costs."""

import struct

from netns import until
from packets import udp_packet

LOCAL_IP = "10.1.0.1"
LOCAL_MAC = "aa:55:aa:55:00:01"
TUNNELS = {"vxlan": ("10.1.0.2", 4789), "geneve": ("10.1.0.3", 6081)}
REMOTE_MAC = "aa:55:aa:55:00:02"
VNI = 100
BATCH = 100                     # What the queue of a dummy device holds.

# From input to the recording of what is to be sent, and the sending.
TOGGLES = ["dp_netdev_input", "dp_netdev_pmd_flush_output_packets*"]


def tenant_packet(tunnel, inside, payload=bytes(64), sport=20000):
    """A tenant's packet into a tunnel, or out of it."""
    macs = ("0a:00:00:00:00:01", "0a:00:00:00:00:02")
    macs = macs[::-1] if inside else macs
    return udp_packet(*macs, "192.168.0.1", "192.168.0.2",
                      sport + len(tunnel), 7, payload)


def encapsulated(tunnel, policy=0, payload=bytes(64), sport=20000):
    """A packet of 'tunnel' with a tenant's packet.  'policy': the group policy
    ID of VXLAN, 0 for none."""
    remote, port = TUNNELS[tunnel]
    if tunnel == "vxlan":
        header = struct.pack("!BxHI", 0x88 if policy else 0x08, policy,
                             VNI << 8)
    else:
        header = struct.pack("!HHI", 0, 0x6558, VNI << 8)
    return udp_packet(LOCAL_MAC, REMOTE_MAC, remote, LOCAL_IP, 40000, port,
                      header + tenant_packet(tunnel, True, payload, sport))


def configure(switch):
    commands = ["add-br", "br-phy", "--", "set", "bridge", "br-phy",
                "datapath_type=dummy", 'other-config:hwaddr="%s"' % LOCAL_MAC,
                "--", "add-port", "br-phy", "p0", "--", "set", "interface",
                "p0", "type=dummy",
                "--", "add-br", "br-int", "--", "set", "bridge", "br-int",
                "datapath_type=dummy"]
    for tunnel, (remote, _) in TUNNELS.items():
        commands += ["--", "add-port", "br-int", tunnel, "--", "set",
                     "interface", tunnel, "type=" + tunnel,
                     "options:remote_ip=" + remote, "options:key=%d" % VNI]
        # A tenant's device for each.
        commands += ["--", "add-port", "br-int", "t-" + tunnel, "--", "set",
                     "interface", "t-" + tunnel, "type=dummy"]
    switch.vsctl(*commands)
    for bridge, flows in (
            ("br-phy", ["in_port=p0 actions=LOCAL",
                        "in_port=LOCAL actions=p0"]),
            ("br-int", [flow for tunnel in TUNNELS for flow in (
                "in_port=t-%s actions=%s" % (tunnel, tunnel),
                "in_port=%s actions=t-%s" % (tunnel, tunnel))])):
        switch.ofctl("del-flows", bridge)
        for flow in flows:
            switch.ofctl("add-flow", bridge, flow)
    switch.appctl("netdev-dummy/ip4addr", "br-phy", LOCAL_IP + "/24")
    switch.appctl("ovs/route/add", LOCAL_IP + "/24", "br-phy")
    for remote, _ in TUNNELS.values():
        switch.appctl("tnl/neigh/set", "br-phy", remote, REMOTE_MAC)


def sent_packets(switch, bridge, device):
    text = switch.ofctl("dump-ports", bridge, device)
    return int(text.split("tx pkts=")[1].split(",")[0])


def send(switch, source, sink, packets, n):
    """Lets device 'source' receive n packets, 'packets' in turn; returns once
    device 'sink' has sent that many."""
    before = sent_packets(switch, *sink)
    for done in range(0, n, BATCH):
        count = min(BATCH, n - done)
        switch.appctl("netdev-dummy/receive", source,
                      *(packets[i % len(packets)].hex()
                        for i in range(done, done + count)))
        until(lambda: (sent_packets(switch, *sink) - before
                       == done + count), 60,
              "%d packets from %s to %s" % (done + count, source, sink[1]))


def paths():
    """(name, device that receives, (bridge, device) that sends, [packet])"""
    for tunnel in TUNNELS:
        yield (tunnel + " push", "t-" + tunnel, ("br-phy", "p0"),
               [tenant_packet(tunnel, False)])
    for tunnel in TUNNELS:
        yield (tunnel + " pop", "p0", ("br-int", "t-" + tunnel),
               [encapsulated(tunnel)])
