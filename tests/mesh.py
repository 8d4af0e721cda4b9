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

"""A fabric of two hypervisors that stand for many: each has several VTEP
addresses, and a tunnel of its own joins each address of one with each address
of the other."""

import fabric
import measure
import pipelines
from netns import in_namespace

ECHO_PORT = 7
FIRST_PORT = 20000              # Of the tenant's flows.


class Mesh(fabric.Fabric):
    """addresses: VTEP addresses of each hypervisor, so that it has the square
        of that number of peers.
    addresses_there: those of hypervisor 2, if their number is another one: the
        product of both is the number of peers.
    flows: the tenant's flows to each peer, which have consecutive source
        ports, beginning with FIRST_PORT for the first peer.
    direct: the hypervisors' devices are joined, so that the time they take is
        their own.  (Linux forwards what a process sends at its expense.)
    """

    def __init__(self, tree, addresses, flows, direct=False,
                 addresses_there=None, **kwargs):
        self.addresses = addresses
        self.addresses_there = addresses_there or addresses
        self.flows = flows
        self.direct = direct
        pipelines.PIPELINES["mesh"] = Mesh._pipeline
        if direct:
            kwargs["spines"] = 0
        super().__init__(tree, pipeline="mesh", **kwargs)

    def nodes(self):
        return [node for node in super().nodes()
                if not (self.direct and node[0] in "ls")]

    def _make_underlay(self):
        if self.direct:
            self._veth("h1", "up0", "h2", "up0")
        else:
            super()._make_underlay()

    @property
    def n_peers(self):
        return self.addresses * self.addresses_there

    def vtep(self, i, n=0):
        return "10.0.%d.%d" % (i, 1 + n)

    def tunnel_ends(self, k, i):
        """Addresses (here, there) of tunnel k as hypervisor i sees them."""
        a, b = divmod(k, self.addresses_there)
        ends = self.vtep(1, a), self.vtep(2, b)
        return ends if i == 1 else ends[::-1]

    def peer_of(self, port):
        """Number of the peer and tunnel of the flow with this source port."""
        return (port - FIRST_PORT) // self.flows

    def _pipeline(self, i):
        commands = pipelines._bridge("br-int") + pipelines._tenant_ports(self)
        for k in range(self.n_peers):
            here, there = self.tunnel_ends(k, i)
            commands += pipelines._port(
                "br-int", "tun%d" % k, "type=" + self.tunnel,
                "options:local_ip=" + here, "options:remote_ip=" + there,
                "options:key=%d" % pipelines.VNI)
        # The flow's own port is the source at one end, the target at the
        # other.
        field = "tp_src" if i == 1 else "tp_dst"
        flows = ["priority=1,in_port=va actions=tun0",
                 "priority=0 actions=va"]
        flows += ["priority=10,in_port=va,udp,%s=%d actions=tun%d"
                  % (field, FIRST_PORT + f, self.peer_of(FIRST_PORT + f))
                  for f in range(self.n_peers * self.flows)]
        return commands, {"br-int": flows}

    def _make_vtep(self, i, device):
        # Linux answers for any of its addresses on any device, else.
        with in_namespace(self.ns("h%d" % i)):
            with open("/proc/sys/net/ipv4/conf/all/arp_ignore", "w") as file:
                file.write("1")
        if self.direct:
            self.ip("h%d" % i, "link set %s up" % device)
        else:
            super()._make_vtep(i, device)
        n_addresses = self.addresses if i == 1 else self.addresses_there
        addresses = [self.vtep(i, n) for n in range(n_addresses)]
        plen = 16 if self.direct else 24

        def all_known():
            # Open vSwitch may miss one of several changes at once.
            self.ip("h%d" % i, *("addr replace %s/%d dev %s"
                                 % (address, plen, device)
                                 for address in addresses))
            known = self.switches[i].appctl("tnl/ports/show", "-v")
            return all("dst=%s," % address in known for address in addresses)

        fabric.until(all_known, 20, "hypervisor %d to know its addresses" % i)

    def traffic(self, program, rate, seconds, watch=False):
        """Echoed packets of all flows, as measure.Traffic."""
        return measure.Traffic(self, program, rate=rate, seconds=seconds,
                               flows=self.n_peers * self.flows, watch=watch,
                               first_port=FIRST_PORT)
