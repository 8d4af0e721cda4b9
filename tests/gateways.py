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

"""Two regions of network namespaces, each with a host and a P4 gateway.

      t1a                                                            t2a
       |                                                              |
      h1: br-int ==VXLAN== g1 ==================VXLAN================ g2 == h2
       |                   |                                          |     |
       l1 -- a1..a4 ------ m1 ------------ s1..s4 ------------------- m2    l2
                                                                       \\   /
                                                                      b1..b4

Between a host and its gateway, and between the gateways, there are four paths
each, over which l1, m1, m2 and l2 spread packets by their outer addresses and
ports.  s1..s4 are long-haul.  Region 1 has VNI 100, region 2 VNI 200.

A gateway has an ovsdb-server and a zoo-gatewayd of its own, whose port is a
net_af_packet device.
"""

import json
import os
import re

import fabric
import measure
import pipelines
from netns import in_namespace, until

ROUTER_MAC = "02:5a:4f:4f:00:01"
PATHS = range(1, 5)


def parse(parser):
    """Parses the command line of a test that needs gateways, which must have
    been built."""
    args = measure.parse(parser, needs=["ours"])
    args.gatewayd = os.path.join(os.path.dirname(os.path.abspath(args.tools)),
                                 "p4", "zoo-gatewayd")
    args.spec = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                             os.pardir, "p4", "gateway.spec")
    if not os.access(args.gatewayd, os.X_OK):
        measure.skip("%s: no such program; it is built where libdpdk-dev is"
                     % args.gatewayd)
    return args


class Gateway(fabric.Switch):
    """One ovsdb-server of 'tree' and one zoo-gatewayd."""

    DAEMONS = "zoo-gatewayd", "ovsdb-server"

    def __init__(self, tree, program, spec, netns, rundir):
        super().__init__(tree, netns, rundir)
        self.program = program
        self.spec = spec

    def tool(self, name):
        return self.program if name == "zoo-gatewayd" else super().tool(name)

    def start_vswitchd(self):
        self.start_gatewayd()

    def vsctl(self, *args, check=True):
        """Without waiting for ovs-vswitchd, which is not there."""
        return super().vsctl("--no-wait", *args, check=check)

    def start_gatewayd(self):
        self._daemon("zoo-gatewayd", "--spec=" + self.spec)

    def pid(self, name="zoo-gatewayd"):
        return super().pid(name)

    def log(self, name="zoo-gatewayd"):
        return super().log(name)

    def appctl(self, *args, check=True):
        return super().appctl("-t", "zoo-gatewayd", *args, check=check)

    def counts(self):
        """The pipeline's counters by name."""
        return {line.split()[0]: int(line.split()[1])
                for line in self.appctl("gateway/counts").splitlines()}


class Regions(fabric.Fabric):
    """See the module's description.  'gatewayd' and 'spec' are files."""

    ROUTERS = "lsabm"

    def __init__(self, tree, gatewayd, spec, tenants=1, **kwargs):
        pipelines.PIPELINES["region"] = Regions._pipeline
        super().__init__(tree, hypervisors=2, spines=len(PATHS),
                         tenants=tenants, pipeline="region", **kwargs)
        self.gateways = {
            i: Gateway(tree, gatewayd, spec, self.ns("g%d" % i),
                       os.path.join(self.rundir, "g%d" % i))
            for i in self.hypervisors}

    # Names and addresses.

    def nodes(self):
        return (super().nodes()
                + ["%s%d" % (kind, i) for i in self.hypervisors
                   for kind in "gm"]
                + ["%s%d" % (self.local(i), j) for i in self.hypervisors
                   for j in PATHS])

    @staticmethod
    def local(i):
        """First letter of the local paths of region i."""
        return " ab"[i]

    @staticmethod
    def vni(i):
        return 100 * i

    def gateway_vtep(self, i):
        return "fd00:0:1%d::1" % i if self.ipv6 else "10.0.1%d.1" % i

    def gateway_router(self, i):
        return "fd00:0:1%d::fe" % i if self.ipv6 else "10.0.1%d.254" % i

    def gateway_prefix(self, i):
        return "fd00:0:1%d::/64" % i if self.ipv6 else "10.0.1%d.0/24" % i

    def local_link(self, i, j, side, end):
        """Address of the link of local path j of region i, 'side' 1 to the
        host's leaf, 2 to the gateway's; end 1 is the path's."""
        if self.ipv6:
            return "fd00:2:%d%d:%d::%d" % (i, j, side, end)
        return "10.%d.%d.%d" % (20 * i + j, side, end)

    def tenant(self, i, tenant="a", ipv6=False):
        n = self.tenants.index(tenant) + 1
        return "fd99:%d::%d" % (i, n) if ipv6 else "172.16.%d.%d" % (i, n)

    def tenant_prefix(self, i, ipv6=False):
        return "fd99:%d::/64" % i if ipv6 else "172.16.%d.0/24" % i

    # Construction.

    def _make_underlay(self):
        for i in self.hypervisors:
            leaf, exit_ = "l%d" % i, "m%d" % i
            self._veth("h%d" % i, "up0", leaf, "dn0")
            self._address(leaf, "dn0", self.plen(self.gateway(i)))
            self._veth("g%d" % i, "up0", exit_, "dn0")
            self._address(exit_, "dn0", self.plen(self.gateway_router(i)))
            for j in PATHS:
                path = "%s%d" % (self.local(i), j)
                for side, node in ((1, leaf), (2, exit_)):
                    self._veth(node, path, path, node)
                    self._address(node, path,
                                  self.plen(self.local_link(i, j, side, 2)))
                    self._address(path, node,
                                  self.plen(self.local_link(i, j, side, 1)))
                self.ip(path,
                        "route add %s via %s" % (
                            self.prefix_of(i), self.local_link(i, j, 1, 2)),
                        "route add %s via %s" % (
                            self.gateway_prefix(i),
                            self.local_link(i, j, 2, 2)))
            for k in self.spines:
                self._veth(exit_, "s%d" % k, "s%d" % k, exit_)
                self._address(exit_, "s%d" % k, self.plen(self.link(i, k, 2)))
                self._address("s%d" % k, exit_, self.plen(self.link(i, k, 1)))
                self.ip("s%d" % k, "route add %s via %s" % (
                    self.gateway_prefix(i), self.link(i, k, 2)))
        for i in self.hypervisors:
            self._multipath("l%d" % i, self.gateway_prefix(i),
                            [self.local_link(i, j, 1, 1) for j in PATHS])
            self._multipath("m%d" % i, self.prefix_of(i),
                            [self.local_link(i, j, 2, 1) for j in PATHS])
            self._multipath("m%d" % i, self.gateway_prefix(3 - i),
                            [self.link(i, k, 1) for k in self.spines])

    def _multipath(self, node, prefix, next_hops):
        self.ip(node, "route add %s %s" % (prefix, " ".join(
            "nexthop via %s" % hop for hop in next_hops)))

    def _make_tenants(self):
        for i in self.hypervisors:
            for n, t in enumerate(self.tenants):
                node = "t%d%s" % (i, t)
                self._veth(node, "eth0", "h%d" % i, "v" + t, mtu=1500,
                           mac=self.tenant_mac(i, n))
                self._address(node, "eth0", self.tenant(i, t) + "/24")
                self._address(node, "eth0", self.tenant(i, t, True) + "/64")
                for router in ("172.16.%d.254" % i, "fd99:%d::fe" % i):
                    self.ip(node,
                            "neigh add %s lladdr %s dev eth0"
                            % (router, ROUTER_MAC),
                            "route add default via %s" % router)

    def _pipeline(self, i):
        """What hosts do: everything but a machine of its own goes to the
        gateway."""
        commands = (pipelines._bridge("br-int")
                    + pipelines._tenant_ports(self)
                    + pipelines._port(
                        "br-int", "tun", "type=vxlan",
                        "options:remote_ip=" + self.gateway_vtep(i),
                        "options:local_ip=" + self.vtep(i),
                        "options:key=flow"))
        flows = ["priority=0 actions=drop"]
        for n, t in enumerate(self.tenants):
            flows += ["in_port=v%s,dl_dst=%s actions=set_field:%d->tun_id,"
                      "output:tun" % (t, ROUTER_MAC, self.vni(i)),
                      "in_port=tun,tun_id=%d,dl_dst=%s actions=output:v%s"
                      % (self.vni(i), self.tenant_mac(i, n), t)]
        return commands, {"br-int": flows}

    def _make_switch(self, i):
        self._make_gateway(i)
        super()._make_switch(i)

    def _make_gateway(self, i):
        gateway = self.gateways[i]
        with in_namespace(self.ns("g%d" % i)):
            with open("/proc/sys/net/ipv6/conf/all/disable_ipv6",
                      "w") as file:
                file.write("1")
        gateway.start()
        gateway.vsctl(
            "create", "ZooGateway",
            'router_ips="172.16.%d.254","fd99:%d::fe"' % (i, i),
            "--", "create", "ZooGateway_Port", "name=up0",
            'device="net_af_packet0,iface=up0"', "mtu=1600",
            'addresses="%s"' % self.plen(self.gateway_vtep(i)),
            'next_hops="%s"' % self.gateway_router(i),
            *self._tunnels(i), *self._routes(i))

    def _tunnels(self, i):
        return ["--", "create", "ZooGateway_Tunnel",
                'remote_ip="%s"' % self.vtep(i),
                "--", "create", "ZooGateway_Tunnel",
                'remote_ip="%s"' % self.gateway_vtep(3 - i),
                "peer_type=gateway"]

    def _routes(self, i):
        commands = []
        for ipv6 in (False, True):
            for n, t in enumerate(self.tenants):
                commands += ["--", "create", "ZooGateway_Route",
                             "vni=%d" % self.vni(i),
                             'ip_prefix="%s"' % self.tenant(i, t, ipv6),
                             'remote_ip="%s"' % self.vtep(i),
                             'mac="%s"' % self.tenant_mac(i, n)]
            commands += ["--", "create", "ZooGateway_Route",
                         "vni=%d" % self.vni(i),
                         'ip_prefix="%s"' % self.tenant_prefix(3 - i, ipv6),
                         'remote_ip="%s"' % self.gateway_vtep(3 - i),
                         "remote_vni=%d" % self.vni(3 - i)]
        return commands

    def down(self):
        try:
            for gateway in self.gateways.values():
                gateway.stop()
        finally:
            super().down()

    # ZooRoute.

    def start_zooroute(self, **columns):
        """Turns it on at hosts and gateways, and waits until all know all of
        their paths."""
        for switch in (*self.switches.values(), *self.gateways.values()):
            self.turn_on(switch, **columns)
        self.wait_validated()

    def turn_on(self, switch, **columns):
        switch.vsctl("create", "ZooRoute", *(
            "%s=%s" % item for item in {"cpu_limit": 100, **columns}.items()))

    def pass_through(self):
        """One packet through each tunnel, whether it arrives or not."""
        self.run("t1a", "ping", "-c", "1", "-W", "0.2", self.tenant(2),
                 check=False)

    def peers(self, i):
        """What gateway i knows of its peers, by their addresses."""
        shown = json.loads(self.gateways[i].appctl("zooroute/show", "--json"))
        return {peer["remote"]: peer for peer in shown["peers"]}

    def healthy(self, i, address):
        """How many candidates of gateway i to 'address' work."""
        peer = self.peers(i).get(address)
        return peer["healthy"] if peer else 0

    def wait_validated(self, seconds=30):
        def validated():
            self.pass_through()         # What has no packets is not probed.
            return all(self.healthy(i, address) == 32
                       for i in self.hypervisors
                       for address in (self.vtep(i),
                                       self.gateway_vtep(3 - i)))

        until(validated, seconds, "the gateways to find all paths up")

    def wait_home(self, seconds=40):
        """Waits until all flows have their own candidates."""
        def at_home(gateway):
            cells = re.findall(r"^tunnel .* = (0x[0-9a-f]+)",
                               gateway.appctl("gateway/show"), re.M)
            return cells and set(cells) <= {"0xffffffff", "0x00000"}

        until(lambda: all(map(at_home, self.gateways.values())), seconds,
              "flows to go home")

    # Failures of local paths; long-haul ones are spines.

    def fail_local(self, i, j, on=True):
        """Local path j of region i becomes silent, or is healed."""
        with in_namespace(self.ns("%s%d" % (self.local(i), j))):
            for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                with open("/proc/sys/net/" + key, "w") as file:
                    file.write("0" if on else "1")
