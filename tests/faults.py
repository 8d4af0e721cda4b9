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


"""The faults of vtrace/README.md's matrix, on the stages of scenarios.py, and
the verdicts that its table wants for them.
"""

import collections
import os
import re

import scenarios
from netns import FabricError

README = os.path.join(os.path.dirname(os.path.realpath(__file__)), os.pardir,
                      "vtrace", "README.md")
LOSSY = 5                       # Percent.
METER_LOW = 20                  # Packets/s.


class Fault:
    """One that breaks a stage while it is open as a context manager.

    stage: a scenarios.Stage; client: its traffic, which shows where to break
    it."""

    row = None                  # Of the table in vtrace/README.md.
    suffers = True              # Whether the traffic does.
    late = False                # Breaks after the task has begun.
    rule = None                 # (table, cookie) that the verdict must name.
    zooroute = None             # Only with ZooRoute, only without, or both.

    def __init__(self, stage):
        self.stage = stage
        self.guard = stage.switches[stage.guard]

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def begin(self):
        pass

    def end(self):
        """Mends all; must do no harm where nothing is broken."""


class Deny(Fault):
    """a security rule drops the client's packets"""
    row = "a security rule denies"
    rule = 1, scenarios.DENY

    def begin(self):
        self.guard.ofctl(
            "add-flow", "br-int",
            "table=1,priority=200,cookie=%d,ip,in_port=int-mid,nw_dst=%s "
            "actions=drop" % (scenarios.DENY, self.stage.scenario.target))

    def end(self):
        self.guard.ofctl("del-flows", "br-int",
                         "cookie=%d/-1" % scenarios.DENY)


class NoRoute(Fault):
    """a switch loses its route to the other tunnel end"""
    row = "no route to the tunnel's end"

    def begin(self):
        self.stage.ip("h%d" % self.stage.sender, "route del default")

    def end(self):
        i = self.stage.sender
        self.stage.ip("h%d" % i, "route replace default via %s dev br-phy"
                      % self.stage.gateway(i))


class Meter(Fault):
    """the tenant's meter allows less than it sends"""
    row = "a meter"

    def begin(self):
        self.stage.set_meter(METER_LOW)

    def end(self):
        self.stage.set_meter(scenarios.METER_RATE)


class CtInvalid(Fault):
    """the client's packets have wrong checksums, and connection tracking calls
    them invalid"""
    row = "conntrack invalid"
    rule = 1, scenarios.INVALID

    # The kernel leaves checksums to a veth that says it can make them; it
    # cannot, and Open vSwitch sends what it got.
    def begin(self):
        self._offload("on")

    def end(self):
        self._offload("off")

    def _offload(self, state):
        self.stage.run(self.stage.near(), "ethtool", "-K", "eth0", "tx", state)


class SenderMtu(Fault):
    """a switch's underlay device has too short an MTU"""
    row = "MTU of the sender's device"

    # Without the fault the longest tunnel packets just fit.  A gateway receives
    # at this device, too, and must receive everything: a veth takes 4 bytes
    # more, in case that there is a VLAN tag.
    def begin(self):
        self._set(self.stage.link_mtu - 3)

    def end(self):
        self._set(self.stage.link_mtu)

    def _set(self, mtu):
        self.stage.ip("h%d" % self.stage.sender,
                      "link set up0 mtu %d" % mtu)


class UnderlayMtu(Fault):
    """links inside the underlay have too short an MTU"""
    row = "MTU inside the underlay"

    def begin(self):
        self._set(self.stage.link_mtu - 50)

    def end(self):
        self._set(self.stage.link_mtu)

    def _set(self, mtu):
        for k in self.stage.spines:
            self.stage.ip("s%d" % k, "link set l%d mtu %d"
                          % (self.stage.guard, mtu))


class SpineSilent(Fault):
    """a spine takes packets and forwards none"""
    row = "a spine silent"
    zooroute = False
    what = "counter drop"

    # With more than two switches: none between these two.
    def begin(self):
        ends = '{ "l%d", "l%d" }' % (self.stage.sender, self.stage.guard)
        self.stage.run("s%d" % self.stage.busiest_spine(), "nft", "-f", "-",
                       input="""
            table inet zoo { chain forward {
                type filter hook forward priority 0
                iifname %s oifname %s %s
            }
            }""" % (ends, ends, self.what))

    def end(self):
        self.stage.heal(*self.stage.spines)


class Failover(SpineSilent):
    """a spine falls silent, and ZooRoute moves the flows"""
    row = "the same with ZooRoute"
    zooroute = True
    late = True


class SpineLossy(SpineSilent):
    """a spine loses packets at random"""
    row = "a spine lossy at 5 %"
    zooroute = None
    what = "numgen random mod 100 < %d counter drop" % LOSSY


class WrongVni(Fault):
    """a tunnel's far end expects another VNI"""
    row = "wrong VNI on one side"

    def begin(self):
        self._set(4711)

    def end(self):
        self._set(self.stage.vni(self.stage.sender, self.stage.guard))

    def _set(self, vni):
        self.guard.vsctl("set", "Interface", "tun%d" % self.stage.sender,
                         "options:in_key=%d" % vni)


class NoNeighbor(Fault):
    """the next hop of a tunnel does not answer ARP"""
    row = "tunnel neighbor missing"

    def begin(self):
        self.stage.run(self._leaf(), "nft", "-f", "-", input="""
            table arp zoo { chain input {
                type filter hook input priority 0
                arp operation request counter drop
            }
            }""")
        self.stage.switches[self.stage.sender].appctl("tnl/neigh/flush")

    def end(self):
        self.stage.run(self._leaf(), "nft", "-f", "-",
                       input="table arp zoo\ndelete table arp zoo")
        # Open vSwitch asks when it translates, and then drops what it sees
        # of the flow until something else has it translated again.
        self.stage.switches[self.stage.sender].appctl("revalidator/purge")

    def _leaf(self):
        return "l%d" % self.stage.sender


class PortDown(Fault):
    """the last port's link is down"""
    row = "the last port's link down"

    def begin(self):
        self.stage.ip(self.stage.far(), "link set eth0 down")

    def end(self):
        self.stage.dress(self.stage.far())


class NoFlow(Fault):
    """a middle bridge has no flow for the packets"""
    row = "a middle bridge without the flow"

    def begin(self):
        self.guard.ofctl("del-flows", "br-mid", "in_port=mid-tun")

    def end(self):
        self.stage.set_flows(self.stage.guard, "br-mid",
                             self.stage.guard_flows()["br-mid"])


class ReceiverSilent(Fault):
    """the target takes packets and answers none, nor does its TCP repeat what
    it has answered before"""
    row = "the receiver silent"

    def begin(self):
        self.stage.run(self.stage.far(), "nft", "-f", "-", input="""
            table inet zoo { chain input {
                type filter hook input priority 0
                counter drop
            }
            chain output {
                type filter hook output priority 0
                drop
            }
            }""")

    def end(self):
        self.stage.run(self.stage.far(), "nft", "-f", "-",
                       input="table inet zoo\ndelete table inet zoo")


class NoFault(Fault):
    """nothing is broken"""
    row = "none"
    suffers = False


FAULTS = {"deny": Deny, "no-route": NoRoute, "meter": Meter,
          "ct-invalid": CtInvalid, "sender-mtu": SenderMtu,
          "underlay-mtu": UnderlayMtu, "spine-silent": SpineSilent,
          "failover": Failover, "spine-lossy": SpineLossy,
          "wrong-vni": WrongVni, "no-neighbor": NoNeighbor,
          "port-down": PortDown, "no-flow": NoFlow,
          "receiver-silent": ReceiverSilent, "none": NoFault}


def faults(zooroute):
    """Names of the faults that can be tried with or without ZooRoute."""
    return [name for name, fault in FAULTS.items()
            if fault.zooroute in (None, zooroute)]


# What the table wants.

class Expected(collections.namedtuple("Expected", (
        "kind", "node", "bridge", "edge", "reason", "rule"))):
    """A cell of the table; members that it does not name are None.

    rule: (table, cookie) of the rule that decided, if one did."""

    def __str__(self):
        place = self.node and self.node + ("/" + self.bridge if self.bridge
                                           else "")
        return " ".join(filter(None, (
            self.kind, self.edge and "[%s,%s]" % self.edge, place,
            self.reason)))

    def matches(self, verdict):
        """Whether the member "verdict" of "vtrace show --json" is this."""
        if self.kind == "none" and self.reason is None:
            # What does not say "failover" does not mean it.
            if verdict.get("reason") == "failover":
                return False
        return (verdict["kind"] == self.kind
                and (self.node is None or verdict.get("node") == self.node)
                and (self.bridge is None
                     or verdict.get("bridge") == self.bridge)
                and (self.edge is None
                     or tuple(verdict.get("edge") or ()) == self.edge)
                and (self.reason is None
                     or verdict.get("reason") == self.reason)
                and (self.rule is None
                     or (verdict.get("table"),
                         int(verdict.get("cookie", "0"), 16)) == self.rule))


def given(verdict):
    """The member "verdict" of "vtrace show --json" in the table's words."""
    edge = verdict.get("edge")
    place = verdict.get("node") if verdict["kind"] in (
        "drop", "left", "no-reply", "inconclusive") else None
    bridge = verdict.get("bridge") if verdict["kind"] == "drop" else None
    reason = verdict.get("reason")
    said = str(Expected(verdict["kind"], place, bridge,
                        tuple(edge) if edge else None,
                        reason if reason != "none" else None, None))
    if "cookie" in verdict:
        said += ", table %s, cookie %s" % (verdict.get("table"),
                                           verdict["cookie"])
    return said


def _parse(cell):
    found = re.fullmatch(r"([a-z-]+)(?: \[(\w+),(\w+)\]| (\w+\d)(?:/([\w-]+))?"
                         r")?(?: ([a-z-]+))?", cell)
    if not found:
        raise FabricError("%s: cannot read the cell '%s'" % (README, cell))
    kind, a, b, node, bridge, reason = found.groups()
    return Expected(kind, node, bridge, (a, b) if a else None, reason, None)


def expected():
    """{(name of a fault, scenario): Expected} from the table."""
    with open(README) as file:
        text = file.read().split("## The fault matrix")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")]
            for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = rows
    names = {fault.row: name for name, fault in FAULTS.items()}
    cells = {}
    for row, *row_cells in rows:
        if row not in names:
            raise FabricError("%s: no fault of tests/faults.py is '%s'"
                              % (README, row))
        for scenario, cell in zip(header[1:], row_cells):
            cells[names[row], scenario] = _parse(cell)._replace(
                rule=FAULTS[names[row]].rule)
    missing = [name for name in FAULTS
               if any((name, s) not in cells for s in scenarios.SCENARIOS)]
    if missing:
        raise FabricError("%s: has no row of %s"
                          % (README, ", ".join(missing)))
    return cells
