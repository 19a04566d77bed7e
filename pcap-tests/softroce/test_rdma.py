#!/usr/bin/env python3
"""Two real RDMA stacks across a lossy wire, with two gateways and without.

Two emulated hosts run the standard tools over three networks in turn: "loss-free" and "bare", which
are a wire without and with impairments, and "gateways", the same impaired wire between two gateways.
A line holds if its tools succeed through the gateways and the stacks' counters of repairs say no
more than on the loss-free wire. Needs root. docs/softroce.md says more."""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import processes
from gateways import Gateways
from hosts import Host
from matrix import MATRIX
from network import SITES, Network, mac, site
from processes import LabError, say
from report import Table, as_json, repairs, row, verdict

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
ADDRESSES = {"a": "10.99.0.1", "b": "10.99.0.2"}
NETWORKS = ("loss-free", "bare", "gateways")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--networks", default=",".join(NETWORKS), help="which, of " + ", ".join(NETWORKS))
    add("--lines", help="which lines, separated by commas; default: " + ", ".join(NAMES))
    add("--delay", default="2ms", help="of the wire, each way, in every network")
    add("--impair", default="loss=0.01", help="more of what `lab --path` takes: loss, burst, reorder, ..")
    add("--seed", type=int, default=1, help="of losses")
    add("--timeout", type=int, default=60, help="seconds for a line; a third of them when bare")
    add("--mtu", type=int, default=4200, help="of the hosts")
    add("--driver", default="af_xdp", choices=("af_xdp", "dpdk"), help="of the gateways' ports")
    add("--xdp-mode", default="auto", choices=("auto", "zero-copy", "native", "generic"))
    add("--numbering", default="tunnel", choices=("tunnel", "transparent"))
    add("--recovery", default="", help="a further key of the gateways' [recovery]")
    add("--repeat", type=int, default=1, help="how often each line runs on each network")
    add("--idle", default="sleep", choices=("poll", "backoff", "sleep"), help="of the gateways")
    add("--json", action="store_true", help="one JSON object a line of the matrix, no table")
    add("--verbose", action="store_true", help="show every command")
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(PROJECT, "target"))
    add("--target", default=target, help="cargo's folder: binaries are there, logs will be")
    return parser.parse_args()


NAMES = [line.name for line in MATRIX]


class Lab:
    """Everything that runs."""

    def __init__(self, options):
        self.options = options
        self.folder = os.path.join(options.target, "softroce")
        release = os.path.join(options.target, "release")
        self.network = Network(HERE, self.folder, f"{release}/examples/wire")
        binary = f"{release}/compute-gateway"
        self.gateways = Gateways(self.network, self.folder, binary, options)
        self.lines = chosen(MATRIX, options.lines, lambda line: line.name)
        self.networks = chosen(NETWORKS, options.networks)
        self.hosts = []

    def up(self):
        start = time.monotonic()
        open(os.path.join(self.folder, "failures.log"), "w").close()
        self.network.up()
        self.network.lay("wire", 0)
        for name in SITES:
            address, ether = ADDRESSES[name], mac(name, "host")
            mtu = self.options.mtu
            self.hosts.append(
                Host(name, address, ether, mtu, site(name), self.folder, self.folder)
            )
        for host in self.hosts:
            host.wait(120)
        self.reach()
        say(f"two hosts are up after {time.monotonic() - start:.0f} s")

    def reach(self):
        """Waits until the hosts reach each other, and know each other's Ethernet addresses. One
        packet may get lost."""
        a, b = self.hosts
        once = f"ping -c 1 -W 1 {b.address}"
        status, output = a.run(f"for i in $(seq 10); do {once} && exit 0; done; exit 1", 60)
        if status:
            raise LabError(f"the hosts do not reach each other: {output[-300:]}")

    def down(self):
        self.gateways.down()
        for host in self.hosts:
            host.process.end()
        self.network.down()

    def run(self, network, each):
        """Runs lines on one network; `each` is told the line, what came of it and of frames. What
        went wrong with the gateways is returned."""
        options = self.options
        path = f"wire,delay={options.delay}"
        if network != "loss-free":
            path += f",{options.impair}"
        self.network.lay(path, options.seed)
        if network == "gateways":
            self.gateways.up()
        self.reach()
        seconds = options.timeout // 3 if network == "bare" else options.timeout
        for line in [line for line in self.lines for _ in range(options.repeat)]:
            before, gateways = self.network.counters(), self.gateways.counters()
            outcome = line.run(*self.hosts, seconds)
            after = self.network.counters()
            self.gateways.check()
            outcome.gateways = moved(gateways, self.gateways.counters())
            if not outcome.succeeded() or sum(repairs(outcome).values()):
                self.keep(network, line, outcome)
            each(line, outcome, {key: after[key] - before[key] for key in after})
        ends = self.gateways.down()
        return [f"gateway {name} ended with {status}" for name, status in ends.items() if status]

    def keep(self, network, line, outcome):
        """Keeps what the tools printed, and what the gateways counted, where the stacks noticed."""
        with open(os.path.join(self.folder, "failures.log"), "a") as log:
            print(f"== {line.name}, {network}: {line.command}", file=log)
            print(f"-- client, status {outcome.status}\n{outcome.output}", file=log)
            print(f"-- server, status {outcome.far_status}\n{outcome.far_output}", file=log)
            for name, counts in outcome.gateways.items():
                print(f"-- gateway {name}: {json.dumps(counts)}", file=log)
            for name, counts in outcome.hosts.items():
                print(f"-- host {name}: {json.dumps(counts)}", file=log)


def moved(before, after):
    """How far counters moved that did, by site."""
    return {
        name: {
            key: count - before[name].get(key, 0)
            for key, count in counts.items()
            if count != before[name].get(key, 0)
        }
        for name, counts in after.items()
    }


def chosen(everything, names, name_of=str):
    """Those that are named, in their own order; without names all."""
    if names is None:
        return list(everything)
    wanted = {name.strip() for name in names.split(",")}
    unknown = wanted - set(map(name_of, everything))
    if unknown:
        raise LabError(f"there is no {', '.join(sorted(unknown))}")
    return [one for one in everything if name_of(one) in wanted]


def main():
    options = arguments()
    processes.VERBOSE = options.verbose
    if os.geteuid() != 0:
        sys.exit("test-rdma: makes network namespaces and interfaces: run it as root")
    folder = os.path.join(options.target, "softroce")
    os.makedirs(folder, exist_ok=True)
    lock = open(os.path.join(folder, "lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("test-rdma: is running already")
    # As Ctrl-C does: everything is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        lab = Lab(options)
        image = subprocess.run([f"{HERE}/image.sh", folder], stdout=sys.stderr)
        if image.returncode:
            raise LabError("there is no image for the hosts to boot")
        try:
            lab.up()
            return judge(lab, options)
        finally:
            lab.down()
    except LabError as error:
        say(error)
        return 2
    except KeyboardInterrupt:
        return 130


def judge(lab, options):
    """Runs everything and prints it; the exit status."""
    table = None if options.json else Table(NAMES, lab.networks)
    clean, faults, moved = {}, [], 0

    for network in lab.networks:

        def each(line, outcome, wire, network=network):
            nonlocal moved
            holds = ""
            if network == "loss-free":
                clean[line.name] = outcome
                holds = "" if outcome.succeeded() else "no baseline"
            elif network == "bare":
                moved += sum(repairs(outcome).values())
            elif line.name in clean:
                holds = verdict(outcome, clean[line.name]) or "yes"
            if wire["missed"] or wire["refused"]:
                holds += f" (the wire missed {wire['missed']}, {wire['refused']} were refused)"
            if holds not in ("", "yes"):
                faults.append(f"{line.name}, {network}: {holds}")
            if table:
                table.print(row(line, network, outcome, wire, holds))
            else:
                print(json.dumps(as_json(line, network, outcome, wire, holds)), flush=True)

        faults += lab.run(network, each)
    if "bare" in lab.networks and moved == 0:
        faults.append("bare: no counter moved, so that nothing is shown")
    for fault in faults:
        say("does not hold:", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
