"""Two gateways, one at each end of the wire: their configurations and their processes."""

import json
import os
import time

from network import SITES, mac, site
from processes import LabError, Process, call

OUTER = {"a": "192.0.2.1", "b": "192.0.2.2"}
KEY = "5f" * 32  # of this lab, which is nobody's secret
HEADERS = 100  # bytes that the tunnel adds, and some
CONFIGURATION = """\
[gateway]
name = "site-{name}"
address = "{address}"

[workers]
cores = [{core}]
idle = "{idle}"
buffer_bytes = {buffer_bytes}

[[port]]
name = "lan0"
role = "lan"
{lan}
mtu = {mtu}

[[port]]
name = "wan0"
role = "wan"
{wan}
mtu = {wan_mtu}

[[peer]]
name = "site-{other}"
address = "{other_address}"
everything = true
numbering = "{numbering}"
key = "{key}"

[[path]]
name = "wire"
peer = "site-{other}"
port = "wan0"
next_hop = "{next_hop}"
capacity = "1Gbps"

[recovery]
replay_bytes = "32MiB"
hold_bytes = "32MiB"
{recovery}

[control]
socket = "gateway-{name}.sock"
"""


# DPDK's memory: none of hugepages, none that outlives the process. That of two gateways fits a small
# machine.
DPDK = """
[dpdk]
eal = ["--no-huge", "-m", "512"]
"""
# An AF_XDP buffer is a page, its header included; net_pcap sends what lies in one buffer, so that a
# frame has to fit one: 128 bytes of DPDK's before it, Ethernet and two VLAN tags.
BUFFER_BYTES = {"af_xdp": lambda mtu: 4032, "dpdk": lambda mtu: 128 + 22 + mtu}


def port(driver, xdp_mode, interface):
    """The keys of a port on an interface."""
    if driver == "af_xdp":
        return f'driver = "af_xdp"\ninterface = "{interface}"\nxdp_mode = "{xdp_mode}"'
    number = ("lan", "wan").index(interface)
    return f'driver = "dpdk"\ndevice = "net_pcap{number},iface={interface},phy_mac=1"'


class Gateways:
    """The two processes; `binary` is the program, `options` the command line's."""

    def __init__(self, network, folder, binary, options):
        self.network, self.folder, self.binary, self.options = network, folder, binary, options
        self.processes = {}

    def configuration(self, name, core):
        """The text of a site's configuration."""
        options = self.options
        other = SITES[1 - SITES.index(name)]
        text = CONFIGURATION.format(
            name=name,
            address=OUTER[name],
            core=core,
            idle=options.idle,
            buffer_bytes=BUFFER_BYTES[options.driver](options.mtu + HEADERS),
            lan=port(options.driver, options.xdp_mode, "lan"),
            wan=port(options.driver, options.xdp_mode, "wan"),
            mtu=options.mtu,
            wan_mtu=options.mtu + HEADERS,
            other=other,
            other_address=OUTER[other],
            numbering=options.numbering,
            key=KEY,
            recovery=options.recovery,
            next_hop=mac(other, "wan"),
        )
        return text + DPDK if options.driver == "dpdk" else text

    def up(self):
        """Starts both in place of the bridges, and waits until they know each other."""
        cores = sorted(os.sched_getaffinity(0))
        for index, name in enumerate(SITES):
            path = os.path.join(self.folder, f"gateway-{name}.toml")
            with open(path, "w") as file:
                file.write(self.configuration(name, cores[index % len(cores)]))
            if os.path.exists(self.window(name)):
                os.unlink(self.window(name))
            self.network.part(name)
            command = [self.binary, "run", "--config", path]
            log = os.path.join(self.folder, f"gateway-{name}.log")
            self.processes[name] = Process(site(name), command, log)
        end = time.monotonic() + 20
        while not all(self.knows_peer(name) for name in SITES):
            self.check()
            if time.monotonic() > end:
                shown = {name: self.show(name) for name in SITES}
                raise LabError(
                    f"the gateways do not find each other: {self.folder}/gateway-*.log; "
                    f"`show` says {shown}"
                )
            time.sleep(0.2)

    def window(self, name):
        """The socket of a site's gateway, as its configuration names it."""
        return os.path.join(self.folder, f"gateway-{name}.sock")

    def show(self, name):
        """What `compute-gateway show --json` says of a site's gateway; nothing yet: None."""
        text = call(f"{self.binary} show --json --socket {self.window(name)}", check=False)
        return json.loads(text) if text else None

    def counters(self):
        """Everything both count, by site: counters, drops by reason, what ports missed, sessions."""
        counted = {}
        for name in self.processes:
            shown = self.show(name)
            if shown is None:
                raise LabError(f"gateway {name} does not answer: {self.folder}/gateway-{name}.log")
            counts = dict(shown["counters"])
            for reason, traffic in shown["drops"].items():
                counts[f"drops.{reason}"] = traffic["packets"]
            for port in shown["ports"]:
                counts[f"{port['name']}.rx_missed"] = port["rx_missed"]
                for key, count in port["detail"].items():
                    counts[f"{port['name']}.{key}"] = count
            counted[name] = counts
        return counted

    def knows_peer(self, name):
        shown = self.show(name)
        return bool(shown) and all(peer["up"] for peer in shown["peers"])

    def check(self):
        for process in self.processes.values():
            process.check()

    def down(self):
        """Ends both; the bridges take their places again. Their exit statuses by site."""
        statuses = {name: process.end(15) for name, process in self.processes.items()}
        self.processes = {}
        for name in statuses:
            self.network.bare(name)
        return statuses
