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


"""The four scenarios of vtrace/README.md as stages: a client, switches in a
row, and what the client talks to.

        vpc       t1a - h1 - h2 - t2a
        internet  t1a - h1 - gw1 - t2a, behind gw1's NAT
        onprem    t1a - h1 - gw1 - t2a, a router
        peering   t1a - h1 - gw1 - gw2 - h2 - t4a

A stage is a fabric (fabric.py): the n-th switch is its hypervisor n, in
network namespace hN.  One switch, the guard, has what most faults break:

        br-tun (tunnel from the client's side) - br-mid - br-int: connection
        tracking, security rules, a meter, then a route to the last port

The others have a br-int with their ports, and every switch has the fabric's
br-phy.
"""

import collections
import concurrent.futures
import os
import socket
import time

import echo
import fabric
from netns import sh

Scenario = collections.namedtuple("Scenario", (
    "names",            # Of the switches in the order of the path.
    "guard",            # Number of the switch that most faults break.
    "client",           # Its address, with prefix length.
    "target",           # What it talks to.
    "device",           # Address of the last device, with prefix length.
    "gateway",          # Of the client's subnet, or None if there is one only.
    "far_gateway",      # Of the last device's.
    "nat",              # The client's address behind the guard, or None.
    "domains"))         # Of the switches.

SCENARIOS = {
    "vpc": Scenario(("h1", "h2"), 2, "192.168.1.2/24", "192.168.1.3",
                    "192.168.1.3/24", None, None, None, ("", "")),
    "internet": Scenario(("h1", "gw1"), 2, "192.168.1.2/24", "203.0.113.10",
                         "203.0.113.10/24", "192.168.1.1", "203.0.113.1",
                         "203.0.113.1", ("", "")),
    "onprem": Scenario(("h1", "gw1"), 2, "192.168.1.2/24", "172.20.0.1",
                       "172.16.0.2/24", "192.168.1.1", "172.16.0.1", None,
                       ("", "")),
    "peering": Scenario(("h1", "gw1", "gw2", "h2"), 3, "192.168.1.2/24",
                        "192.168.2.2", "192.168.2.2/24", "192.168.1.1",
                        "192.168.2.1", None,
                        ("west", "west", "east", "east"))}

GATEWAY_MAC = "0a:00:00:00:fe:01"
TENANT_MTU = 1428               # Just enough for echo.SIZES.
LINK_MTU = TENANT_MTU + 50      # VXLAN over IPv4.
DENY = 0x2a                     # Cookie of the fault's security rule.
INVALID = 0x1f                  # Cookie of the rule for invalid packets.
METER_RATE = 100000             # Packets/s that the tenant pays for.


class Stage(fabric.Fabric):
    """A scenario on switches of the build tree 'tree', with an echo server at
    its end."""

    # The longest packets just fit, as in many a network.
    link_mtu = LINK_MTU

    family = socket.AF_INET     # Of the server, see echo.py.

    def __init__(self, tree, scenario, spines=2, prefix=None,
                 underlay="ipv4", tunnel="vxlan"):
        self.name = scenario
        self.scenario = SCENARIOS[scenario]
        super().__init__(tree, hypervisors=len(self.scenario.names),
                         spines=spines, prefix=prefix, underlay=underlay,
                         tunnel=tunnel)
        self.last = len(self.scenario.names)
        self.guard = self.scenario.guard
        # Sends over the edge of the underlay that faults break.
        self.sender = self.guard - 1
        self.server = None

    def switch(self, name):
        """The switch that VTrace knows as 'name'."""
        return self.switches[self.scenario.names.index(name) + 1]

    def near(self):
        return "t1a"

    def far(self):
        return "t%da" % self.last

    def vni(self, i, j):
        """Each pair of neighbors has its own."""
        return 100 * min(i, j)

    def last_port(self):
        """The last switch's port towards the target."""
        return "ext" if self.external() else "va"

    def external(self):
        return self.name in ("internet", "onprem")

    def tunnel_bridge(self, i, j):
        """The bridge of switch i with the tunnel to its neighbor j."""
        return "br-tun" if i == self.guard > j else "br-int"

    def borders(self):
        """(node, bridge, port, domain) for each port that leads to another
        domain."""
        s = self.scenario
        for i, j in ((i, j) for i in self.switches for j in (i - 1, i + 1)
                     if j in self.switches):
            if s.domains[i - 1] != s.domains[j - 1]:
                yield (s.names[i - 1], self.tunnel_bridge(i, j), "tun%d" % j,
                       s.domains[j - 1])

    # Life.

    def nodes(self):
        return (["%s%d" % (kind, i) for i in self.hypervisors for kind in "hl"]
                + [self.near(), self.far()] + ["s%d" % k for k in self.spines])

    def up(self):
        self._start_janitor()
        os.mkdir(self.rundir, 0o700)
        self._make_namespaces()
        self._make_underlay()
        self._make_ends()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(self._make_switch, self.hypervisors))
        self.open_failures()
        self.server = echo.Server(self.ns(self.far()), self.family)
        self.server.__enter__()
        with self.client("udp") as client:
            echo.wait_well([client])

    def down(self):
        if self.server:
            self.server.__exit__()
            self.server = None
        super().down()

    def client(self, proto):
        """A client of the server at the stage's end, see echo.py."""
        return echo.client(self.ns(self.near()), self.scenario.target, proto)

    # Construction.

    def _make_ends(self):
        for node, i, port in ((self.near(), 1, "va"),
                              (self.far(), self.last, self.last_port())):
            self._veth(node, "eth0", "h%d" % i, port, mtu=TENANT_MTU,
                       mac=self.tenant_mac(i, 0))
            self.dress(node)
            # As Linux sent them up to 6.1 from sockets that are not
            # connected: nothing tells them from each other.
            self._nft(node, """
                table ip alike { chain out {
                    type filter hook postrouting priority 0
                    ip protocol udp ip id set 0
                }
                }""")

    def dress(self, node):
        """Gives the client or the last device addresses and routes.  Neighbors
        are permanent: nobody here speaks ARP."""
        s = self.scenario
        near = node == self.near()
        gateway = s.gateway if near else s.far_gateway
        self._address(node, "eth0", s.client if near else s.device)
        if self.name == "onprem" and not near:
            self._address(node, "lo", s.target + "/32")
        peer = gateway or (s.target if near else s.client.split("/")[0])
        mac = (GATEWAY_MAC if gateway
               else self.tenant_mac(self.last if near else 1, 0))
        self.ip(node, "neigh replace %s lladdr %s dev eth0 nud permanent"
                % (peer, mac))
        if gateway:
            self.ip(node, "route replace default via %s dev eth0%s"
                    % (gateway, "" if near else " src " + s.target))

    def _make_switch(self, i):
        switch = self.switches[i]
        switch.start()
        commands = []
        for bridge in self.bridges(i):
            commands += ["--", "--may-exist", "add-br", bridge,
                         "--", "set", "Bridge", bridge,
                         "datapath_type=netdev"]
            if bridge != "br-phy":
                commands += ["fail_mode=secure"]
        commands += ["--", "add-port", "br-phy", "up0"]
        for bridge, port, *settings in self._ports(i):
            commands += ["--", "add-port", bridge, port]
            if settings:
                commands += ["--", "set", "Interface", port, *settings]
        switch.vsctl(*commands[1:])
        self._make_vtep(i, "br-phy")
        if i == self.guard:
            self.set_meter(METER_RATE, "add-meter")
        self._add_flows(i)

    def bridges(self, i):
        return (["br-phy", "br-tun", "br-mid", "br-int"] if i == self.guard
                else ["br-phy", "br-int"])

    def _ports(self, i):
        if i == self.guard:
            for a, b, ends in (("br-tun", "br-mid", ("tun-mid", "mid-tun")),
                               ("br-mid", "br-int", ("mid-int", "int-mid"))):
                for bridge, port, peer in ((a, *ends), (b, *reversed(ends))):
                    yield (bridge, port, "type=patch",
                           "options:peer=" + peer)
        for j in (i - 1, i + 1):
            if 1 <= j <= self.last:
                yield (self.tunnel_bridge(i, j), "tun%d" % j, "type=" + self.tunnel,
                       "options:remote_ip=" + self.vtep(j),
                       "options:in_key=%d" % self.vni(i, j),
                       "options:out_key=%d" % self.vni(i, j),
                       "other_config:vtrace=true")
        if i == 1:
            yield "br-int", "va"
        if i == self.last:
            yield ("br-int", self.last_port(), "other_config:vtrace-port="
                   + ("external" if self.external() else "access"))

    def set_meter(self, rate, command="mod-meter"):
        self.switches[self.guard].ofctl(
            "-OOpenFlow13", command, "br-int",
            "meter=1 pktps band=type=drop rate=%d" % rate)

    # Flows.

    def _add_flows(self, i):
        for bridge, flows in self._flows(i).items():
            self.set_flows(i, bridge, flows)

    def set_flows(self, i, bridge, flows):
        switch = self.switches[i]
        sh(switch.tool("ovs-ofctl"), "-OOpenFlow13", "--bundle",
           "replace-flows", bridge, "-", env=switch.env,
           input="\n".join(flows) + "\n")

    def _route(self, mac):
        return "mod_dl_src:%s,mod_dl_dst:%s,dec_ttl," % (GATEWAY_MAC, mac)

    def _to_far(self):
        """What a switch does with a packet that goes on to the far end."""
        if self.scenario.far_gateway:
            return self._route(self.tenant_mac(self.last, 0))
        return ""

    def _to_near(self):
        if self.scenario.gateway:
            return self._route(self.tenant_mac(1, 0))
        return ""

    def _flows(self, i):
        if i == self.guard:
            return self.guard_flows()
        if i in (1, self.last):
            return {"br-int": self._edge_flows(i)}
        return {"br-int": [
            "priority=10,ip,in_port=tun%d actions=%soutput:tun%d"
            % (i - 1, self._to_far(), i + 1),
            "priority=10,ip,in_port=tun%d actions=%soutput:tun%d"
            % (i + 1, self._to_near(), i - 1)]}

    def _edge_flows(self, i):
        tunnel = "tun%d" % (2 if i == 1 else i - 1)
        mac = self.tenant_mac(i, 0)
        return ["table=0,priority=10,in_port=va,dl_src=%s actions=resubmit(,1)"
                % mac,
                "table=0,priority=10,in_port=%s actions=resubmit(,1)" % tunnel,
                "table=1,priority=10,dl_dst=%s actions=output:va" % mac,
                "table=1,priority=5,in_port=va actions=output:" + tunnel]

    def guard_flows(self):
        i = self.guard
        nat = self.scenario.nat
        out = "tun%d" % (i + 1) if i < self.last else self.last_port()
        track = "ct(zone=1%s,table=1)" % (",nat" if nat else "")
        commit = "ct(commit,zone=1%s,table=2)" % (
            ",nat(src=%s)" % nat if nat else "")
        return {
            "br-tun": self._patch_flows("tun%d" % (i - 1), "tun-mid"),
            "br-mid": self._patch_flows("mid-tun", "mid-int"),
            "br-int": [
                "table=0,priority=10,ip,in_port=int-mid actions=" + track,
                "table=0,priority=10,ip,in_port=%s actions=%s" % (out, track),
                "table=1,priority=100,cookie=%d,ip,ct_state=+trk+inv "
                "actions=drop" % INVALID,
                "table=1,priority=90,ip,in_port=int-mid,ct_state=+trk+est "
                "actions=resubmit(,2)",
                "table=1,priority=90,ip,in_port=%s,ct_state=+trk+est "
                "actions=resubmit(,3)" % out,
                "table=1,priority=80,ip,in_port=int-mid,ct_state=+trk+new "
                "actions=" + commit,
                "table=1,priority=1,ip actions=drop",
                "table=2,priority=10,ip actions=meter:1,resubmit(,4)",
                "table=3,priority=10,ip actions=%soutput:int-mid"
                % self._to_near(),
                "table=4,priority=10,ip actions=%soutput:%s"
                % (self._to_far(), out)]}

    @staticmethod
    def _patch_flows(a, b):
        return ["priority=10,in_port=%s actions=output:%s" % pair
                for pair in ((a, b), (b, a))]

    # Use.

    def forget_connections(self):
        """Ends the server's connections and empties the guard's table of
        them."""
        self.server.forget()
        self.switches[self.guard].appctl("dpctl/flush-conntrack")

    def sent_over(self, k):
        """Bytes that spine k sent towards the guard so far."""
        line = self.run("s%d" % k, "cat", "/proc/net/dev").split(
            "l%d:" % self.guard)[1]
        return int(line.split()[8])

    def busiest_spine(self):
        """The spine with most of the tenant's traffic from the sender to the
        guard: of ZooRoute's probes there are more, but these are short."""
        before = {k: self.sent_over(k) for k in self.spines}
        time.sleep(0.3)
        return max(self.spines, key=lambda k: self.sent_over(k) - before[k])
