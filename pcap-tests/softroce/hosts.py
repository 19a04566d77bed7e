"""Emulated hosts: QEMU with Debian's kernel, whose rdma_rxe is the RDMA stack."""

import base64
import json
import os
import re
import shlex
import socket
import time

from processes import LabError, Process

# virtio-net without checksum and segmentation offloads: frames are whole. Without mergeable
# buffers and event indices as well: with them QEMU 7.2 stops receiving, now and then, after bursts.
OFFLOADS = """csum guest_csum gso guest_tso4 guest_tso6 guest_ecn guest_ufo host_tso4 host_tso6
host_ecn host_ufo mrg_rxbuf event_idx""".split()
LAN_MTU = 9000


class Host:
    """One host. Commands run in it one after the other, over its second serial port."""

    def __init__(self, name, address, mac, mtu, namespace, image, folder):
        self.name, self.address = name, address
        self.console = os.path.join(folder, f"host-{name}.console")
        self.channel = os.path.join(folder, f"host-{name}.socket")
        for stale in (self.console, self.channel):
            if os.path.exists(stale):
                os.unlink(stale)
        self.number, self.received, self.socket = 0, b"", None
        device = f"virtio-net-pci,netdev=lan,mac={mac},romfile=,rx_queue_size=1024"
        device += "".join(f",{offload}=off" for offload in OFFLOADS) + f",host_mtu={LAN_MTU}"
        boot = f"console=ttyS0 quiet panic=-1 mitigations=off audit=0 tsc=reliable host.name={name}"
        boot += f" host.ip={address}/24 host.mtu={mtu}"
        command = ["nice", "-n", "5", "qemu-system-x86_64", "-name", f"rdma-{name}"]
        command += "-machine q35 -accel tcg,tb-size=128 -cpu max -m 512 -smp 1".split()
        command += "-nodefaults -no-user-config -display none -no-reboot".split()
        command += ["-kernel", f"{image}/vmlinux", "-initrd", f"{image}/initramfs.cpio"]
        command += ["-append", boot, "-serial", f"file:{self.console}"]
        command += ["-chardev", f"socket,id=agent,server=on,wait=off,path={self.channel}"]
        command += ["-serial", "chardev:agent", "-device", device]
        command += ["-netdev", "tap,id=lan,ifname=tap0,script=no,downscript=no,vhost=off"]
        self.process = Process(namespace, command, os.path.join(folder, f"host-{name}.log"))

    def wait(self, seconds):
        """Waits until it has booted."""
        end = time.monotonic() + seconds
        while not os.path.exists(self.console) or "init: ready" not in self.says():
            self.process.check()
            if time.monotonic() > end:
                raise LabError(f"host {self.name} has not booted in {seconds} s: {self.console}")
            time.sleep(0.1)
        if "no RDMA device" in self.says():
            raise LabError(f"host {self.name} has no RDMA device: {self.console}")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(self.channel)
        # What is sent before the agent listens is lost. Further answers end with the first command.
        for attempt in range(30):
            self.socket.sendall(b"\n")
            try:
                self.until(rb"@@READY\r?\n", 1)
                break
            except LabError:
                if attempt == 29:
                    raise
        self.run("true")

    def says(self):
        with open(self.console, errors="replace") as console:
            return console.read()

    def until(self, pattern, seconds):
        """What comes in before `pattern`, and its match."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.received)
            if match:
                before, self.received = self.received[: match.start()], self.received[match.end() :]
                return before, match
            self.socket.settimeout(max(end - time.monotonic(), 0.01))
            try:
                piece = self.socket.recv(65536)
            except TimeoutError:
                tail = self.received[-200:].decode(errors="replace")
                raise LabError(f"host {self.name} does not answer: {tail!r}") from None
            if not piece:
                raise LabError(f"host {self.name} is gone: {self.process.log}")
            self.received += piece

    def run(self, command, seconds=60):
        """Runs a shell command, with so many seconds to answer; its status and output."""
        self.number += 1
        encoded = base64.b64encode(command.encode())
        self.socket.sendall(b"%d %s\n" % (self.number, encoded))
        output, end = self.until(rb"@@END %d (\d+)\r?\n" % self.number, seconds)
        text = output.decode(errors="replace").replace("\r\n", "\n")
        return int(end[1]), text.strip()

    def spawn(self, command):
        """Starts a command in the background: see `collect`."""
        quoted = shlex.quote(f"{command}; echo $? >/tmp/status")
        self.run(f"rm -f /tmp/status; sh -c {quoted} >/tmp/output 2>&1 &")

    def collect(self, seconds):
        """Status and output of what was started, waited for so long; no status: it still runs."""
        tenths = int(seconds * 10)
        wait = f"for i in $(seq {tenths}); do [ -s /tmp/status ] && break; sleep 0.1; done; "
        _, status = self.run(wait + "cat /tmp/status 2>/dev/null", seconds + 60)
        _, output = self.run("cat /tmp/output")
        return (int(status) if status else None), output

    def counters(self):
        """The counters of its RDMA device."""
        status, output = self.run("rdma -j statistic show link rxe0/1")
        if status:
            raise LabError(f"host {self.name}: {output}")
        links = json.loads(output)
        return {key: value for key, value in links[0].items() if key not in ("ifname", "port")}
