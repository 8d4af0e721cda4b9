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

"""What system tests and benches share: their command line, tenant traffic
over a fabric, ZooRoute's switches, and the printing of results."""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time

import fabric

SKIP = 77
ETH_ALL = 3
ETH_PROBE = 0x88b5
VARIABLES = (("ours", "ZOO_OVS", "patched Open vSwitch build tree"),
             ("stock", "ZOO_STOCK", "unpatched Open vSwitch build tree"),
             ("tools", "ZOO_TOOLS", "where 'make tools' put its programs"))


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(SKIP)


def arguments(description):
    """Returns a parser with the options that every test has.  ./check gives
    their values through the environment."""
    parser = argparse.ArgumentParser(description=description)
    for name, variable, what in VARIABLES:
        parser.add_argument("--" + name, default=os.environ.get(variable),
                            metavar="DIR",
                            help="%s (default: $%s)" % (what, variable))
    return parser


def parse(parser, needs=("ours", "stock")):
    """Parses the command line, and skips the test where it cannot run."""
    args = parser.parse_args()
    fabric.exit_on_signals()
    if os.geteuid():
        skip("needs root, for network namespaces")
    for tool in ("ip", "bridge", "nft", "ethtool", "nsenter"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin"):
            skip("needs the program '%s'" % tool)
    for name, variable, _ in VARIABLES:
        place = getattr(args, name)
        if name in (*needs, "tools"):
            if not place:
                skip("needs --%s or $%s" % (name, variable))
            if not os.path.isdir(place):
                skip("--%s: %s: no such directory" % (name, place))
    args.traffic = os.path.join(args.tools, "traffic")
    if not os.access(args.traffic, os.X_OK):
        skip("%s: no such program; 'make tools' builds it" % args.traffic)
    return args


class Checks:
    """Promises of one program, printed as they are checked."""

    def __init__(self):
        self.count = 0
        self.broken = []

    def check(self, good, promise):
        print("%s: %s" % ("PASS" if good else "FAIL", promise), flush=True)
        self.count += 1
        if not good:
            self.broken.append(promise)
        return good

    def exit(self):
        if self.broken:
            print("%d of %d promises broken, the first: %s"
                  % (len(self.broken), self.count, self.broken[0]))
        sys.exit(1 if self.broken else 0)


def run(main):
    """Runs a test's main function, with one clear line for what went wrong."""
    try:
        main()
    except fabric.FabricError as error:
        print("FAIL: %s" % error)
        sys.exit(1)


class Process:
    """A traffic program at a node of a fabric."""

    def __init__(self, fab, program, node, *args):
        self.process = fab.popen(node, program, *args, text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.first_line = self.process.stdout.readline()
        if not self.first_line:
            raise fabric.FabricError("traffic %s did not start at %s"
                                     % (args[0], node))

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def result(self):
        """Lets the program come to its end; returns what it printed."""
        self.tell("stop")
        out, _ = self.process.communicate(timeout=60)
        if self.process.returncode:
            raise fabric.FabricError("traffic: exit status %d"
                                     % self.process.returncode)
        return json.loads(out)

    def kill(self):
        self.process.kill()
        self.process.communicate()


class Traffic:
    """Echoed flows between tenant a of hypervisors 'source' and 'target', for
    at most 'seconds', as a context manager.  'watch': the outer source ports
    are recorded at the source's leaf."""

    def __init__(self, fab, program, flows=64, rate=50, seconds=60, tcp=False,
                 source=1, target=2, watch=False, size=64, first_port=20000):
        self.fabric = fab
        self.program = program
        self.flows = flows
        self.rate = rate
        self.nodes = "t%da" % source, "t%da" % target, "l%d" % source
        self.processes = []
        self.watch = watch
        self.seconds = seconds
        self.arguments = ["--to", fab.tenant(target), "--flows", flows,
                          "--rate", rate, "--seconds", seconds, "--size", size,
                          "--first-port", first_port,
                          *(["--tcp"] if tcp else [])]

    def _start(self, node, *args):
        process = Process(self.fabric, self.program, node, *args)
        self.processes.append(process)
        return process

    def __enter__(self):
        source, target, leaf = self.nodes
        try:
            self._start(target, "echo", "--seconds", self.seconds + 30)
            if self.watch:
                self.watcher = self._start(leaf, "watch", "--device",
                                           self.fabric.leaf_device(1),
                                           "--seconds", self.seconds + 30)
            self.sender = self._start(source, "send", *self.arguments)
        except BaseException:
            self.__exit__()
            raise
        self.start_ns = int(self.sender.first_line.split()[1])
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()

    def mark(self, name, at_ns=None):
        """Everything after 'at_ns', up to the next mark, counts for it."""
        self.sender.tell("mark %s %d" % (name, at_ns or time.monotonic_ns()))

    def wait_running(self, seconds):
        """Waits until the flows have run for 'seconds'."""
        rest = self.start_ns / 1e9 + seconds - time.monotonic()
        if rest > 0:
            time.sleep(rest)

    def result(self):
        """Ends the flows, returns what the sender (and under "watch" the
        watcher) recorded."""
        result = self.sender.result()
        if self.watch:
            result["watch"] = self.watcher.result()
        return result


def packet_socket(fab, node, device, eth_type=ETH_ALL):
    """Returns a socket for the Ethernet frames of this type at a device."""
    with fabric.in_namespace(fab.ns(node)):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((device, eth_type))
    sock.settimeout(0.5)
    return sock


def at_mark(result, name):
    """Flows' records of the first mark called 'name'."""
    return next(mark for mark in result["marks"] if mark["name"] == name)


def outages(mark, rate):
    """Of each flow that a failure hit: its longest silence less its longest
    gap in the 5 s before, in ms; for ever if it is dead."""
    found = [(float("inf") if flow["dead"]
              else flow["silence_ms"] - flow["before_ms"], flow["lost"])
             for flow in mark["flows"]]
    return [outage for outage, lost in found if lost or outage > 3000 / rate]


def ms(value):
    return "for ever" if value == float("inf") else "%.0f" % value


def dead(mark):
    return sum(flow["dead"] for flow in mark["flows"])


def percentile(values, percent):
    """The smallest value that 'percent' of all do not exceed."""
    values = sorted(values)
    return values[max(0, -(-len(values) * percent // 100) - 1)]


def outer_ports(watched):
    """{inner port: [outer ports in order]} of one direction of a watch."""
    return {flow["port"]: [port for _, port in flow["outer"]]
            for flow in watched}


def table(rows, header):
    """Prints rows of strings under a header, in columns."""
    rows = [header, *rows]
    widths = [max(len(str(row[i])) for row in rows)
              for i in range(len(header))]
    for row in rows:
        print("  ".join(str(cell).rjust(width) if i else
                        str(cell).ljust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))),
              flush=True)


class ZooRoute:
    """The feature on all patched switches of a fabric.  What other programs do
    at the same time must not change intervals, so 'cpu_limit' is off unless
    given."""

    def __init__(self, fab, hypervisors=None, **columns):
        self.fabric = fab
        self.hypervisors = hypervisors or list(fab.switches)
        self.columns = {"cpu_limit": 100, **columns}

    def _settings(self, columns):
        return ["%s=%s" % item for item in columns.items()]

    def create(self):
        for i in self.hypervisors:
            self.fabric.switches[i].vsctl("create", "ZooRoute",
                                          *self._settings(self.columns))
        return self

    def authenticate(self):
        """Gives all of them the same key."""
        for i in self.hypervisors:
            name = os.path.join(self.fabric.switches[i].rundir, "zoo-keys")
            with open(name, "w") as file:
                file.write("1 %s\n" % ("5a" * 32))
            os.chmod(name, 0o600)
            self.set(i, auth_key_file=name)

    def reset(self):
        """Forgets all that the probes found out."""
        for i in self.hypervisors:
            self.fabric.switches[i].vsctl("destroy", "ZooRoute", ".")
        self.create()

    def set(self, i, **columns):
        self.fabric.switches[i].vsctl("set", "ZooRoute", ".",
                                      *self._settings(columns))

    def show(self, i):
        return json.loads(self.fabric.switches[i].appctl("zooroute/show",
                                                         "--json"))

    def peer(self, i, j):
        """What hypervisor i knows of hypervisor j, or None."""
        for peer in self.show(i)["peers"]:
            if peer["remote"] == self.fabric.vtep(j):
                return peer
        return None

    def validated(self, i, j):
        peer = self.peer(i, j)
        return (peer and peer["state"] == "active"
                and all(c["state"] == "up" for c in peer["candidates"]))

    def wait_validated(self, i=1, j=2, seconds=20):
        """Waits until both know that all candidates between them work.  Under
        traffic only: no traffic, no probes."""
        for a, b in ((i, j), (j, i)):
            fabric.until(lambda: self.validated(a, b), seconds,
                         "hypervisor %d to find all candidates to %d up"
                         % (a, b))

    def events(self, i):
        """ZooRoute's lines in the log of hypervisor i's switch."""
        return [line for line in self.fabric.switches[i].log().splitlines()
                if "|zooroute" in line]
