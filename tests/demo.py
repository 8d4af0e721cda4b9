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

"""The main part of ./demo, after the build."""

import contextlib
import os
import random
import re
import sys
import textwrap
import time

import fabric
import measure
import plot

RATE = 50                       # Packets/s of a flow.
ECHO_PORT = 7
BEFORE = 0.6                    # Seconds shown before the failure, and after.
AFTER = 3.0


def parse_args():
    parser = measure.arguments("What a silent spine does to tenants.")
    parser.add_argument("--hypervisors", type=int, default=2)
    parser.add_argument("--spines", type=int, default=4)
    parser.add_argument("--flows", type=int, default=64)
    parser.add_argument("--probe-interval", type=int)
    parser.add_argument("--svg", default="demo.svg")
    args = measure.parse(parser)
    for name, low, high in (("hypervisors", 2, 8), ("spines", 2, 8),
                            ("flows", args.hypervisors - 1, 1024)):
        if not low <= getattr(args, name) <= high:
            parser.error("--%s: %d is out of range %d..%d"
                         % (name, getattr(args, name), low, high))
    return args


class Run:
    """What one Open vSwitch made of a spine's silence."""

    def __init__(self, args, which):
        self.which = which
        self.name = {"stock": "stock Open vSwitch",
                     "ours": "with ZooRoute"}[which]
        print("\n%s: starting %d hypervisors, %d spines"
              % (self.name, args.hypervisors, args.spines), flush=True)
        with fabric.Fabric(getattr(args, which), args.hypervisors,
                           args.spines) as fab:
            self._run(args, fab)

    def _run(self, args, fab):
        fab.count_tenants(ECHO_PORT)
        zoo = None
        if self.which == "ours":
            columns = ({"probe_interval": args.probe_interval}
                       if args.probe_interval else {})
            zoo = measure.ZooRoute(fab, **columns).create()
        targets = list(fab.hypervisors)[1:]
        with contextlib.ExitStack() as stack:
            traffics = [stack.enter_context(measure.Traffic(
                            fab, args.traffic, flows=share, rate=RATE,
                            target=target, watch=target == 2,
                            first_port=20000 + 1000 * target))
                        for target, share in zip(targets, deal(
                            args.flows, len(targets)))]
            print("  %d flows of %d packets/s run between tenants"
                  % (args.flows, RATE), flush=True)
            self._fail(fab, zoo, traffics)

    def _fail(self, fab, zoo, traffics):
        self.before = self.after = None
        if zoo:
            for target in list(fab.hypervisors)[1:]:
                zoo.wait_validated(1, target)
        traffics[-1].wait_running(5.2 + random.random())
        if zoo:
            self.before = [zoo.show(i) for i in fab.hypervisors]
        spine, load = busiest(fab)
        begin, _ = fab.fail(spine)
        for traffic in traffics:
            traffic.mark("silent", begin)
        print("  spine %d, which carries %.0f %% of the packets, goes silent"
              % (spine, load * 100), flush=True)
        self.silent = spine
        time.sleep(AFTER + 0.5)
        if zoo:
            self.after = [zoo.show(i) for i in fab.hypervisors]
            self.events = {i: zoo.events(i) for i in fab.hypervisors}
        for traffic in traffics:
            traffic.mark("end")
        self.begin = begin
        self.results = [traffic.result() for traffic in traffics]

    def flows(self):
        return [flow for result in self.results
                for flow in measure.at_mark(result, "silent")["flows"]]

    def outages(self):
        return measure.outages({"flows": self.flows()}, RATE)

    def row(self):
        outages = self.outages()
        finite = [o for o in outages if o != float("inf")]
        return [self.name, len(outages), len(finite),
                len(outages) - len(finite),
                sum(flow["lost"] for flow in self.flows()),
                measure.ms(measure.percentile(outages, 50)) if outages else 0,
                measure.ms(max(outages, default=0))]

    def losses(self):
        """Share of packets lost, per bin, aligned to the failure."""
        width = self.results[0]["bins"]["ms"]
        n_before, n_after = (round(seconds * 1000 / width)
                             for seconds in (BEFORE, AFTER))
        sent = [0] * (n_before + n_after)
        lost = list(sent)
        for result in self.results:
            first = (int((self.begin - result["start_ns"]) / 1e6 / width)
                     - n_before)
            for i in range(len(sent)):
                sent[i] += result["bins"]["sent"][first + i]
                lost[i] += result["bins"]["lost"][first + i]
        return [a / b if b else 0 for a, b in zip(lost, sent)], n_before, width


def deal(n, hands):
    return [n // hands + (i < n % hands) for i in range(hands)]


def busiest(fab):
    """The spine with most tenants' packets, and its share of them."""
    before = {k: sum(fab.tenant_packets(k)) for k in fab.spines}
    time.sleep(0.2)
    load = {k: sum(fab.tenant_packets(k)) - before[k] for k in fab.spines}
    spine = max(load, key=load.get)
    return spine, load[spine] / max(1, sum(load.values()))


def say_moves(run):
    """Says which ports moved, from the path tables before and after."""
    print("\nWhich ports moved (ovs-appctl zooroute/show --json)")
    for i, (before, after) in enumerate(zip(run.before, run.after), 1):
        after = {(p["local"], p["remote"]): p for p in after["peers"]}
        for old in before["peers"]:
            new = after.get((old["local"], old["remote"]))
            if new:
                say_peer_moves(i, old, new)
    watch = run.results[0]["watch"]
    moved = {port: outer for port, outer
             in measure.outer_ports(watch["to"]).items() if len(outer) > 1}
    print("  on the wire from h1, %d of %d flows changed their outer "
          "source port%s" % (len(moved), len(watch["to"]),
                             ", for instance" if moved else ""))
    for port, outer in list(moved.items())[:4]:
        print("    tenant's port %d: %s" % (port, " to ".join(map(str,
                                                                  outer))))


def say_peer_moves(i, old, new):
    was = {c["sport"]: c for c in old["candidates"]}
    down = [c for c in new["candidates"] if c["state"] == "down"]
    gained = [c for c in new["candidates"]
              if c["buckets"] > was[c["sport"]]["buckets"]]
    print("  h%d to %s: %d of %d candidates down, %d buckets moved to %d "
          "others" % (i, new["remote"], len(down), len(new["candidates"]),
                      sum(was[c["sport"]]["buckets"] - c["buckets"]
                          for c in down), len(gained)))
    for what, candidates in (("from", down), ("to", gained)):
        if candidates:
            print("    %-5s%s" % (what, ", ".join(
                str(c["sport"]) for c in candidates[:10])
                + (", ..." if len(candidates) > 10 else "")))


def say_why(run):
    print("\nAnd why (ovs-vswitchd.log)")
    for i, lines in run.events.items():
        for line in lines[-6:]:
            at, _, _, _, message = line.split("|", 4)
            message = re.sub(r"(\d),(?=\d)", r"\1, ", message)
            print(textwrap.fill("h%d %s %s" % (i, at[11:23], message), 79,
                                initial_indent="  ",
                                subsequent_indent=" " * 18))


def main():
    # A terminal that has no block characters still gets the rest.
    sys.stdout.reconfigure(errors="replace")
    args = parse_args()
    runs = [Run(args, which) for which in ("stock", "ours")]

    print("\nOne of %d spines silent, %d flows; outages in ms"
          % (args.spines, args.flows))
    measure.table([run.row() for run in runs],
                  ["", "flows hit", "came back", "dead", "packets lost",
                   "median outage", "longest"])
    series = [(run.name, run.losses()[0]) for run in runs]
    _, mark, width = runs[0].losses()
    print("\nPackets lost, of those sent in each %d ms\n" % width)
    print(plot.terminal(series, mark, width))
    with open(args.svg, "w") as file:
        file.write(plot.svg(series, mark, width, "Tenants' packets lost while "
                            "one of %d spines is silent" % args.spines))
    print("\nThe same as a picture: " + os.path.abspath(args.svg))
    say_moves(runs[1])
    say_why(runs[1])


if __name__ == "__main__":
    measure.run(main)
