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

"""What the bridges of a fabric's hypervisors do with packets.

Each function takes the fabric and the hypervisor's number, and returns the
ovs-vsctl commands that make the bridges and their ports, and the flows of each
bridge that needs others than the default one.
"""

VNI = 100


def _bridge(name):
    return ["--", "add-br", name, "--", "set", "bridge", name,
            "datapath_type=netdev"]


def _port(bridge, name, *settings):
    return ["--", "add-port", bridge, name,
            *(["--", "set", "interface", name, *settings] if settings else [])]


def _tenant_ports(fabric, bridge="br-int"):
    return [arg for t in fabric.tenants for arg in _port(bridge, "v" + t)]


def _tunnels(fabric, i, bridge="br-int"):
    """One port per other hypervisor.  In NORMAL, what came from one does not
    go into another."""
    commands = []
    for j in fabric.hypervisors:
        if j != i:
            commands += _port(bridge, "tun%d" % j, "type=" + fabric.tunnel,
                              "options:remote_ip=" + fabric.vtep(j),
                              "options:key=%d" % VNI,
                              *(["options:exts=gbp"] if fabric.gbp else []))
            commands += ["--", "set", "port", "tun%d" % j, "protected=true"]
    return commands


def _tunnel_names(fabric, i):
    return ["tun%d" % j for j in fabric.hypervisors if j != i]


def _normal(fabric, i):
    return (_bridge("br-int") + _tenant_ports(fabric) + _tunnels(fabric, i),
            {})


def _bpdu(fabric, i):
    """NORMAL that forwards even the reserved multicast addresses."""
    commands, flows = _normal(fabric, i)
    return (commands + ["--", "set", "bridge", "br-int",
                        "other_config:forward-bpdu=true"], flows)


def _plain(fabric, i):
    """Outputs to ports, no learning: whatever the tunnel brings goes to every
    tenant."""
    tunnels = _tunnel_names(fabric, i)
    tenants = ["v" + t for t in fabric.tenants]
    return (_bridge("br-int") + _tenant_ports(fabric) + _tunnels(fabric, i),
            {"br-int":
             ["in_port=%s actions=%s" % (tunnel, ",".join(
                 "output:" + tenant for tenant in tenants))
              for tunnel in tunnels]
             + ["in_port=%s actions=%s" % (tenant, ",".join(
                 "output:" + port for port in tunnels + tenants))
                for tenant in tenants]})


def _learn(fabric, i):
    """As Neutron's br-tun: a tunnel bridge that learns with the learn action,
    joined to a NORMAL br-int, where tenants have VLAN 1, by patch ports."""
    tunnels = _tunnel_names(fabric, i)
    flood = ",".join("output:" + tunnel for tunnel in tunnels)
    learn = ("learn(table=20,hard_timeout=300,priority=1,"
             "NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
             "load:0->NXM_OF_VLAN_TCI[],"
             "load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[])")
    commands = _bridge("br-int") + _bridge("br-tun") + _tenant_ports(fabric)
    for t in fabric.tenants:
        commands += ["--", "set", "port", "v" + t, "tag=1"]
    commands += _port("br-int", "patch-tun", "type=patch",
                      "options:peer=patch-int")
    commands += _port("br-tun", "patch-int", "type=patch",
                      "options:peer=patch-tun")
    return commands + _tunnels(fabric, i, "br-tun"), {"br-tun": [
        "table=0,priority=1,in_port=patch-int actions=resubmit(,2)",
        *("table=0,priority=1,in_port=%s actions=resubmit(,4)" % tunnel
          for tunnel in tunnels),
        "table=0,priority=0 actions=drop",
        "table=2,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00 "
        "actions=resubmit(,20)",
        "table=2,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 "
        "actions=resubmit(,22)",
        "table=4,priority=1,tun_id=%d actions=mod_vlan_vid:1,resubmit(,10)"
        % VNI,
        "table=4,priority=0 actions=drop",
        "table=10 actions=%s,output:patch-int" % learn,
        "table=20,priority=0 actions=resubmit(,22)",
        "table=22,priority=1,dl_vlan=1 actions=strip_vlan,set_tunnel:%d,%s"
        % (VNI, flood),
        "table=22,priority=0 actions=drop"]}


def _flow(fabric, i, local=False):
    """One tunnel port whose remote address and key come from the flows."""
    def field(what):
        return "tun_ipv6_" + what if fabric.ipv6 else "tun_" + what

    def to(j):
        source = ("set_field:%s->%s," % (fabric.vtep(i), field("src"))
                  if local else "")
        return ("%sset_field:%s->%s,set_field:%d->tun_id,output:tun"
                % (source, fabric.vtep(j), field("dst"), VNI))

    options = ["options:remote_ip=flow", "options:key=flow"]
    if local:
        options.append("options:local_ip=flow")
    everyone = ",".join("output:v" + t for t in fabric.tenants)
    flows = ["priority=10,dl_dst=%s actions=output:v%s"
             % (fabric.tenant_mac(i, n), t)
             for n, t in enumerate(fabric.tenants)]
    flows += ["priority=10,dl_dst=%s actions=%s"
              % (fabric.tenant_mac(j, n), to(j))
              for j in fabric.hypervisors if j != i
              for n in range(len(fabric.tenants))]
    flows += ["priority=5,in_port=tun,tun_id=%d actions=%s" % (VNI, everyone),
              "priority=4,in_port=tun actions=drop",
              "priority=1 actions=%s,%s" % (everyone, ",".join(
                  to(j) for j in fabric.hypervisors if j != i))]
    return (_bridge("br-int") + _tenant_ports(fabric)
            + _port("br-int", "tun", "type=" + fabric.tunnel, *options),
            {"br-int": flows})


def _flow_local(fabric, i):
    """As "flow", with the local address from the flows, too."""
    return _flow(fabric, i, local=True)


PIPELINES = {"normal": _normal, "bpdu": _bpdu, "plain": _plain,
             "learn": _learn, "flow": _flow, "flow-local": _flow_local}
