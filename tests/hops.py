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

"""What zooroute/check-underlay says, and fabrics whose routers answer it."""

import re

from netns import in_namespace


class Answer:
    """What zooroute/check-underlay says at hypervisor 1."""

    def __init__(self, fab):
        self.text = fab.switches[1].run(
            "ovs-appctl", "zooroute/check-underlay", fab.vtep(2), timeout=60)
        self.verdict = self.text.splitlines()[0]
        found = re.search(r"^hashed: (.*); not hashed: (.*)$", self.text, re.M)
        self.hashed, self.not_hashed = found.groups() if found else ("", "")
        self.paths = {int(n): ports.split() for n, ports in
                      re.findall(r"^path \d+: (\d+) candidates.*:((?: \d+)+)$",
                                 self.text, re.M)}
        self.shares = sorted((int(n) for n in re.findall(
            r"^path \d+: (\d+) candidates", self.text, re.M)), reverse=True)


def set_net(fab, node, key, value):
    with in_namespace(fab.ns(node)):
        with open("/proc/sys/net/" + key, "w") as file:
            file.write(str(value))


def be_routers(fab):
    """Leaves and spines answer as routers do: as often as they are asked, and
    from the address at which the probe came."""
    for node in fab.nodes():
        if node[0] in fab.ROUTERS:
            set_net(fab, node, "ipv4/icmp_ratelimit", 0)
            set_net(fab, node, "ipv6/icmp/ratelimit", 0)
            set_net(fab, node, "ipv4/icmp_errors_use_inbound_ifaddr", 1)


def expect(checks, what, fab, verdict, hashed=None, not_hashed=None):
    answer = Answer(fab)
    good = (re.match(verdict, answer.verdict) and hashed in (None,
                                                             answer.hashed)
            and not_hashed in (None, answer.not_hashed))
    checks.check(good, "%s: %s; %s; not %s" % (
        what, answer.verdict, answer.hashed, answer.not_hashed))
    if not good:
        print(answer.text)
    return answer
