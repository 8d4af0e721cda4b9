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


"""Two regions, a P4 gateway each, and what a long-haul path between them costs
when it goes silent and then loses most packets for a while: with ZooRoute off,
then on.
"""

import os
import sys
import time

import demo
import gateways
import measure
import plot

RATE = 50                       # Packets/s of a flow.
BEFORE = 1.0                    # Seconds shown before the failure.
SILENT = 3.0                    # Seconds; then the path loses packets
LOSSY = 12.0                    # for so long,
LOSS = 78                       # percent of them.
AFTER = 2.0
BIN_MS = 250                    # Of the plot.


def parse_args():
    parser = measure.arguments(__doc__.split(":")[0])
    parser.add_argument("--flows", type=int, default=64)
    parser.add_argument("--svg", default="demo-gateway.svg")
    args = gateways.parse(parser)
    if not 1 <= args.flows <= 1024:
        parser.error("--flows: %d is out of range 1..1024" % args.flows)
    return args


class Run:
    """What tenants lost, with ZooRoute or without."""

    def __init__(self, fab, args, name):
        self.name = name
        print("\n%s:\n  %d flows of %d packets/s run between the regions"
              % (name, args.flows, RATE), flush=True)
        with measure.Traffic(fab, args.traffic, flows=args.flows, rate=RATE,
                             seconds=60) as traffic:
            traffic.wait_running(5.5)
            self._fail(fab, traffic)

    def _fail(self, fab, traffic):
        path, _ = demo.busiest(fab)
        counts = fab.gateways[1].counts()
        self.begin, _ = fab.fail(path)
        traffic.mark("failing", self.begin)
        print("  long-haul path %d of 4 goes silent" % path, flush=True)
        time.sleep(SILENT)
        fab.lose(path, LOSS)
        fab.forward(path)
        print("  and loses %d %% for %d s" % (LOSS, LOSSY), flush=True)
        time.sleep(LOSSY)
        fab.heal(path)
        print("  and works again", flush=True)
        time.sleep(AFTER + 0.5)
        traffic.mark("end")
        self.moved = (fab.gateways[1].counts()["bitmap_moved"]
                      - counts["bitmap_moved"])
        self.result = traffic.result()

    def row(self):
        mark = measure.at_mark(self.result, "failing")
        outages = measure.outages(mark, RATE)
        lost = sum(flow["lost"] for flow in mark["flows"])
        return [self.name, len(outages), lost,
                measure.ms(measure.percentile(outages, 50)) if outages else 0,
                measure.ms(max(outages, default=0)), self.moved]

    def losses(self):
        """Share of packets lost, per bin, aligned to the failure."""
        bins = self.result["bins"]
        n = BIN_MS // bins["ms"]
        first = round((self.begin - self.result["start_ns"]) / 1e6
                      / bins["ms"] - BEFORE * 1000 / bins["ms"])
        shares = []
        for i in range(round((BEFORE + SILENT + LOSSY + AFTER) * 1000
                             / BIN_MS)):
            at = slice(first + i * n, first + (i + 1) * n)
            sent = sum(bins["sent"][at])
            shares.append(sum(bins["lost"][at]) / sent if sent else 0)
        return shares


def say_gateway(fab):
    print("\nWhat the gateway of region 1 knows "
          "(ovs-appctl -t zoo-gatewayd gateway/show)")
    for line in fab.gateways[1].appctl("gateway/show").splitlines():
        print("  " + line)


def main():
    sys.stdout.reconfigure(errors="replace")
    args = parse_args()
    print("Starting two regions, a gateway each, four long-haul paths between "
          "them", flush=True)
    runs = []
    with gateways.Regions(args.ours, args.gatewayd, args.spec) as fab:
        fab.count_tenants(7)
        runs.append(Run(fab, args, "ZooRoute off"))
        fab.start_zooroute()
        runs.append(Run(fab, args, "ZooRoute on"))
        print("\nOne of four long-haul paths silent for %d s, then losing %d "
              "%% for %d s; outages in ms" % (SILENT, LOSS, LOSSY))
        measure.table([run.row() for run in runs],
                      ["", "flows hit", "packets lost", "median outage",
                       "longest", "packets moved by bitmap"])
        series = [(run.name, run.losses()) for run in runs]
        mark = round(BEFORE * 1000 / BIN_MS)
        print("\nPackets lost, of those sent in each %d ms\n" % BIN_MS)
        print(plot.terminal(series, mark, BIN_MS, label_ms=2000))
        with open(args.svg, "w") as file:
            file.write(plot.svg(
                series, mark, BIN_MS, "Tenants' packets lost while one of four "
                "long-haul paths fails", "the path went silent",
                label_ms=2000))
        print("\nThe same as a picture: " + os.path.abspath(args.svg))
        say_gateway(fab)


if __name__ == "__main__":
    measure.run(main)
