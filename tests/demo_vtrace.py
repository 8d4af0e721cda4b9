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


"""The main part of ./demo vtrace, after the build: breaks something in a row
of switches and lets VTrace find out what.
"""

import contextlib
import os
import random
import sys
import time

import faults
import measure
import scenarios
import tracing
from netns import FabricError


def parse_args():
    parser = measure.arguments("What VTrace finds out about a fault.")
    parser.add_argument("--scenario", default="random",
                        choices=[*scenarios.SCENARIOS, "random"])
    parser.add_argument("--fault", default="random",
                        choices=[*faults.FAULTS, "random"])
    parser.add_argument("--proto", default="udp", choices=("udp", "tcp"))
    parser.add_argument("--duration", type=int, default=5, metavar="SECONDS")
    args = measure.parse(parser, needs=("ours",))
    if not 2 <= args.duration <= 60:
        parser.error("--duration: %d is out of range 2..60" % args.duration)
    if args.scenario == "random":
        args.scenario = random.choice(list(scenarios.SCENARIOS))
    if args.fault == "random":
        args.fault = random.choice([name for name in faults.FAULTS
                                    if name != "none"])
    return args


class Progress:
    """Lines with the time since the demo began."""

    def __init__(self):
        self.begin = time.monotonic()

    def __call__(self, text):
        print("%5.1f s  %s" % (time.monotonic() - self.begin, text),
              flush=True)


def trace(args, stage, place, say):
    """Returns the Cell, and what vtrace shows of it; writes the page."""
    fault = faults.FAULTS[args.fault]
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(tracing.Vtraced(stage, place))
        say("vtraced listens, all switches send it records")
        client = stack.enter_context(stage.client(args.proto))
        if fault.zooroute:
            zoo = measure.ZooRoute(stage).create()
            zoo.wait_validated(stage.sender, stage.guard)
            say("ZooRoute knows all paths")
        cell = tracing.Cell(daemon, client, fault,
                            faults.expected()[args.fault, args.scenario], say)
        cell.run(max(args.duration, 8) if fault.late else args.duration)
        shown = daemon.vtrace("show", cell.task["id"])
        page = os.path.abspath("vtrace-%s-%s.html"
                               % (args.scenario, args.fault))
        daemon.vtrace("report", cell.task["id"], "-o", page)
        give_to_user(page)
        say("the page about it: " + page)
    return cell, shown


def give_to_user(path):
    """A file that sudo's user asked for is theirs."""
    user = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if all(number.isdigit() for number in user):
        os.chown(path, *map(int, user))


def main():
    sys.stdout.reconfigure(errors="replace")
    args = parse_args()
    place = tracing.programs(args.ours)
    if not place:
        raise FabricError("%s: vtraced is not built there; ./configure says "
                          "what it lacks" % args.ours)
    say = Progress()
    path = " - ".join(("client", *scenarios.SCENARIOS[args.scenario].names,
                       "server"))
    say("starting scenario %s: %s" % (args.scenario, path))
    with scenarios.Stage(args.ours, args.scenario) as stage:
        say("%d switches are up, and %s asks 100 times a second over %s"
            % (len(stage.switches), stage.scenario.client.split("/")[0],
               args.proto.upper()))
        cell, shown = trace(args, stage, place, say)
    print("\n" + shown)
    print("broken was: " + " ".join(cell.fault.__doc__.split()))
    if cell.right():
        print("The verdict is right%s." % (
            ", %.1f s after 'vtrace start'" % cell.seconds
            if cell.verdict()["kind"] in ("drop", "underlay-loss") else ""))
        return
    print("FAIL: the verdict is %s, and should be %s"
          % (cell.given(), cell.expected))
    sys.exit(1)


if __name__ == "__main__":
    measure.run(main)
