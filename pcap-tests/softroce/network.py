"""The network between the two hosts: three namespaces, and the wire in the middle.

    namespace rdma-a                              rdma-wire           rdma-b
    host A -- tap0 = br0 = v0 -- lan [middle] wan -- a [wire] b -- wan [middle] lan -- .. host B

In the middle of a site is a bridge (`bare`) or a gateway. No interface has an address."""

import json
import os
import socket
import time

from hosts import LAN_MTU
from processes import LabError, Process, call

SITES = ("a", "b")
WIRE = "rdma-wire"
QUEUE = 10_000


def site(name):
    """The namespace of a site."""
    return f"rdma-{name}"


def mac(name, port):
    """The Ethernet address of a site's host, or of its gateway's port."""
    return f"02:00:00:00:{0x0A + SITES.index(name):02x}:{('host', 'lan', 'wan').index(port):02x}"


class Network:
    """The interfaces and the wire. `here` is the folder of these scripts, `folder` that of what
    they write, `program` the wire's."""

    def __init__(self, here, folder, program):
        self.here, self.folder, self.program = here, folder, program
        self.socket = os.path.join(folder, "wire.socket")
        self.wire, self.path = None, None

    def up(self):
        self.down()  # what a run that was killed has left
        for namespace in (WIRE, *map(site, SITES)):
            call(f"ip netns add {namespace}")
            quiet = "net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"
            call(f"ip netns exec {namespace} sysctl -qw {quiet}")
        for name in SITES:
            here = f"ip -n {site(name)} link"
            call(f"ip -n {site(name)} tuntap add tap0 mode tap")
            call(f"{here} add v0 type veth peer name lan address {mac(name, 'lan')}")
            wan = f"add wan address {mac(name, 'wan')} type veth peer name {name} netns {WIRE}"
            call(f"{here} {wan}")
            self.bridge(name, "br0", "tap0", "v0")
            for port in ("tap0", "v0", "lan", "wan"):
                self.raise_(site(name), port)
            self.raise_(WIRE, name)
            self.bare(name)

    def raise_(self, namespace, interface):
        """Brings an interface up; frames stay as they are on a cable: whole, none merged."""
        whole = "rx off tx off gro off gso off tso off"
        call(f"ip netns exec {namespace} ethtool -K {interface} {whole}", check=False)
        up = f"mtu {LAN_MTU} txqueuelen {QUEUE} up"
        call(f"ip -n {namespace} link set dev {interface} {up}")

    def bridge(self, name, bridge, *ports):
        here = f"ip -n {site(name)} link"
        quiet = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        call(f"{here} add {bridge} mtu {LAN_MTU} {quiet}")
        for port in ports:
            call(f"{here} set dev {port} master {bridge}")
        call(f"{here} set {bridge} mtu {LAN_MTU} up")

    def bare(self, name):
        """Puts a bridge where the gateway of a site would be."""
        if not call(f"ip -n {site(name)} link show dev br1", check=False):
            self.bridge(name, "br1", "lan", "wan")

    def part(self, name):
        """Leaves `lan` and `wan` of a site to its gateway."""
        call(f"ip -n {site(name)} link del br1", check=False)

    def lay(self, path, seed):
        """Lays a wire that does to frames what `path` says."""
        self.cut()
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        launcher = ["python3", os.path.join(self.here, "wire.py"), *SITES]
        command = launcher + [self.program, path, str(seed), self.socket]
        # It is what everything waits for.
        self.wire = Process(WIRE, ["nice", "-n", "-5"] + command, f"{self.folder}/wire.log")
        self.before = self.arrived()
        end = time.monotonic() + 10
        while not os.path.exists(self.socket):
            self.wire.check()
            if time.monotonic() > end:
                raise LabError(f"the wire does not start: {self.wire.log}")
            time.sleep(0.02)

    def arrived(self):
        """Frames that the kernel has received for the wire, by interface."""
        counts = []
        for name in SITES:
            link = json.loads(call(f"ip -j -s -n {WIRE} link show dev {name}"))[0]
            counts.append(link["stats64"]["rx"]["packets"])
        return counts

    def counters(self):
        """What the wire did in both directions together; `missed` are frames it did not see."""
        for _ in range(10):
            total = self.glance()
            if total["missed"] == 0:
                break
            time.sleep(0.05)  # some may just be waiting for it
        return total

    def glance(self):
        self.wire.check()
        arrived = sum(self.arrived()) - sum(self.before)
        with socket.socket(socket.AF_UNIX) as window:
            window.connect(self.socket)
            with window.makefile() as text:
                directions = json.load(text)
        total = {key: sum(way[key] for way in directions) for key in directions[0]}
        return {**total, "missed": max(arrived - total["frames"], 0)}

    def cut(self):
        if self.wire:
            self.wire.end()
            self.wire = None

    def down(self):
        """Ends the wire and removes the namespaces, with all that is in them."""
        self.cut()
        for namespace in (WIRE, *map(site, SITES)):
            call(f"ip netns del {namespace}", check=False)
