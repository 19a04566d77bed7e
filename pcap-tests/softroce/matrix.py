"""The lines of the matrix: what runs in both hosts, and what tells whether it went well."""

import re
import time

PORT = 18515  # of perftest's own connection, over which both ends tell each other their numbers
# Until something listens: perftest on TCP, the others by RDMA-CM.
TCP_LISTENS = f"grep -qi ':{PORT:04x} 0*:0000 0a' /proc/net/tcp /proc/net/tcp6"
CM_LISTENS = "rdma resource show cm_id | grep -q LISTEN"
# QPs wait 2^18 x 4.096 us, about a second, before they repeat: emulated hosts are slow, and a
# shorter time makes them repeat what was not lost.
TIMER = "-u 18"
# Every request is signalled: with more of them unsignalled and several QPs, perftest 4.5 at times
# stops in the middle, everything acknowledged.
PERFTEST = f"-d rxe0 -i 1 -F -Q 1 {TIMER}"
IPV6, IPV4 = 0, 1  # places in the RDMA device's table of addresses: the link-local one, and ours


class Line:
    """One line. `command` is the client's and the server's; `server` and `client` are what each
    has besides, with the server's address as {server} and the client's own as {client}. Where it
    is not `reliable`, the service repeats nothing: bare, a single loss spoils it."""

    def __init__(self, name, command, server="", client="{server}", **more):
        self.name, self.command, self.server, self.client = name, command, server, client
        self.listens = more.get("listens", TCP_LISTENS)
        self.reliable = more.get("reliable", True)
        self.stumbles = more.get("stumbles")

    def run(self, a, b, seconds):
        """Runs it, host A the client, for so many seconds at most; see `Outcome`."""
        addresses = {"server": b.address, "client": a.address}
        server = f"{self.command} {self.server.format(**addresses)}"
        client = f"timeout {seconds} {self.command} {self.client.format(**addresses)}"
        kill_leftovers((a, b), self.command.split()[0])
        before = [host.counters() for host in (a, b)]
        b.spawn(server)
        wait = f"for i in $(seq 100); do {self.listens} && exit 0; sleep 0.1; done; exit 1"
        status, _ = b.run(wait, 60)
        start = time.monotonic()
        if status == 0:
            status, output = a.run(client, seconds + 60)
        else:
            status, output = None, "nothing listens"
        took = time.monotonic() - start
        stumbled = bool(status and self.stumbles and re.fullmatch(self.stumbles, output))
        far_status, far_output = b.collect(5 if status == 0 or stumbled else 0)
        kill_leftovers((a, b), self.command.split()[0])
        after = [host.counters() for host in (a, b)]
        moved = [{key: late[key] - early[key] for key in late} for early, late in zip(before, after)]
        return Outcome(status, far_status, took, output, far_output, moved, stumbled)


def kill_leftovers(hosts, program):
    for host in hosts:
        host.run(f"for p in $(pidof {program}); do kill -9 $p; done; true")


class Outcome:
    """What came of a line: exit statuses (None: still ran, or never began), seconds, outputs, and
    how far the counters of both hosts' RDMA devices moved."""

    def __init__(self, status, far_status, seconds, output, far_output, moved, stumbled):
        self.status, self.far_status, self.seconds = status, far_status, seconds
        self.stumbled = stumbled  # the client, on its way out, all its work being done
        self.output, self.far_output = output, far_output
        self.counters = {key: moved[0][key] + moved[1][key] for key in moved[0]}
        self.hosts = dict(zip("ab", moved))
        self.gateways = {}  # what they counted meanwhile, by site

    def succeeded(self):
        return (self.status == 0 or self.stumbled) and self.far_status == 0

    def speed(self):
        """Means of perftest: MB/s (2^20 bytes) and messages a second; None: it printed none."""
        for line in self.output.splitlines():
            found = re.match(r"\s*\d+\s+\d+\s+[\d.]+\s+([\d.]+)\s+([\d.]+)\s*$", line)
            if found:
                return float(found[1]), round(float(found[2]) * 1e6)
        return None


def perftest(name, tool, *more, gid=IPV4, reliable=True):
    return Line(name, " ".join((tool, PERFTEST, f"-x {gid}", *more)), reliable=reliable)


# rping closes its channel of events while its other thread still reads from it: now and then that
# thread sees it and ends the program with status 255, everything verified and disconnected.
RPING_STUMBLES = r"client DISCONNECT EVENT\.\.\.\s+rdma_get_cm_event: Bad file descriptor"
BIG = "-s 65536 -n 100 -t 8"  # 6.5 MB, half a megabyte at a time
MATRIX = [
    perftest("send", "ib_send_bw", BIG, "-m 1024 -r 128"),
    perftest("write", "ib_write_bw", BIG, "-m 1024"),
    perftest("read", "ib_read_bw", BIG, "-m 1024"),
    perftest("atomic", "ib_atomic_bw", "-n 1000 -t 8"),
    perftest("send UC", "ib_send_bw", BIG, "-m 1024 -r 128 -c UC", reliable=False),
    perftest("send UD", "ib_send_bw", "-s 1024 -n 1000 -t 8 -r 1024 -c UD", reliable=False),
    # A host that serves four QPs takes so long for one that its timer has to be longer still.
    perftest("write 4 QPs", "ib_write_bw", "-s 65536 -n 25 -t 2 -q 4 -m 1024 -u 20"),
    perftest("send PMTU 4096", "ib_send_bw", BIG, "-m 4096 -r 128"),
    perftest("write PMTU 4096", "ib_write_bw", BIG, "-m 4096"),
    perftest("read PMTU 4096", "ib_read_bw", BIG, "-m 4096"),
    perftest("write IPv6", "ib_write_bw", BIG, "-m 1024", gid=IPV6),
    # Only the client counts: it ends the connection, so that neither end is surprised by that. It is
    # over before the timer that RDMA-CM gives its QPs runs out: 2^19 x 4.096 us after the first
    # request, and rdma_rxe then repeats what is under way, lost or not (docs/softroce.md).
    Line(
        "rping",
        "rping -S 16384 -V",
        server="-s -a {server}",
        client="-c -C 10 -a {server} -I {client}",
        listens=CM_LISTENS,
        stumbles=RPING_STUMBLES,
    ),
    Line(
        "ucmatose",
        "ucmatose -C 50 -S 1024",
        server="-b {server}",
        client="-s {server} -b {client}",
        listens=CM_LISTENS,
    ),
]
