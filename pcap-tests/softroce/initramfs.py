#!/usr/bin/env python3
"""Assembles the root file system of an emulated host: initramfs.py ROOT GUEST OUTPUT

ROOT is where packages are unpacked, GUEST holds `init` and `agent`. What a program or a module
needs is found and taken along. OUTPUT is an uncompressed cpio archive: the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst."""

import glob
import os
import re
import subprocess
import sys

PROGRAMS = """dash ip rdma ethtool rping ucmatose ib_send_bw ib_write_bw ib_read_bw
ib_atomic_bw""".split()
MODULES = "virtio_pci virtio_net crc32_generic rdma_rxe ib_uverbs rdma_ucm".split()
FOLDERS = """bin dev etc etc/libibverbs.d lib lib/modules lib/x86_64-linux-gnu lib64 proc run sbin
sys tmp usr usr/bin usr/lib usr/lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu/libibverbs
var""".split()
PROGRAM_FOLDERS = "usr/bin bin usr/sbin sbin".split()
LIBRARY_FOLDERS = "lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu lib64 usr/lib64".split()
LIBRARIES = "usr/lib/x86_64-linux-gnu"
PROVIDERS = "usr/lib/x86_64-linux-gnu/libibverbs"
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/nsswitch.conf": "hosts: files\npasswd: files\n",
}
FOLDER, FILE, LINK = 0o040755, 0o100755, 0o120777


class Tree:
    """Files on their way from the unpacked packages into the archive."""

    def __init__(self, root):
        self.root = root
        self.entries = {name: (FOLDER, b"") for name in FOLDERS}
        self.modules = []  # in the order in which they must be loaded

    def place(self, name, folders):
        """Where the packages have the file `name`, its links followed within ROOT."""
        for folder in folders:
            path = os.path.join(self.root, folder, name)
            while os.path.islink(path):
                target = os.readlink(path)
                base = self.root if target.startswith("/") else os.path.dirname(path)
                path = os.path.join(base, target.lstrip("/"))
            if os.path.exists(path):
                return path
        sys.exit(f"initramfs: no package has {name}")

    def file(self, name, path):
        """Takes the file at `path` along as `name`, and the libraries it needs."""
        with open(path, "rb") as file:
            content = file.read()
        self.entries[name] = (FILE, content)
        if content.startswith(b"\x7fELF"):
            for library in needed(path):
                self.library(library)

    def library(self, name):
        folder = "lib64" if name.startswith("ld-linux") else LIBRARIES
        if f"{folder}/{name}" not in self.entries:
            self.file(f"{folder}/{name}", self.place(name, LIBRARY_FOLDERS))

    def module(self, name, files):
        """Takes a kernel module along, those it depends on before it."""
        if name in self.modules:
            return
        if name not in files:
            sys.exit(f"initramfs: the kernel has no module {name}")
        with open(files[name], "rb") as file:
            content = file.read()
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        for other in filter(None, depends[1].decode().split(",") if depends else []):
            self.module(other.replace("-", "_"), files)
        self.modules.append(name)
        self.entries[f"lib/modules/{name}.ko"] = (FILE, content)

    def busybox(self):
        """Its commands, for whatever nothing else does."""
        path = self.place("busybox", PROGRAM_FOLDERS)
        self.file("bin/busybox", path)
        commands = subprocess.run([path, "--list"], capture_output=True, text=True, check=True)
        for command in commands.stdout.split():
            if f"usr/bin/{command}" not in self.entries:
                self.entries.setdefault(f"bin/{command}", (LINK, b"busybox"))


def needed(path):
    """The libraries that an ELF file names."""
    dynamic = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True)
    return re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic.stdout)


def assemble(root, guest):
    tree = Tree(root)
    for program in PROGRAMS:
        tree.file(f"usr/bin/{program}", tree.place(program, PROGRAM_FOLDERS))
    # Opened at run time, so that no file names it: where a thread ends.
    tree.library("libgcc_s.so.1")
    provider = glob.glob(os.path.join(root, PROVIDERS, "librxe-*.so"))[0]
    tree.file(f"{PROVIDERS}/{os.path.basename(provider)}", provider)
    tree.file("etc/libibverbs.d/rxe.driver", os.path.join(root, "etc/libibverbs.d/rxe.driver"))
    # busybox as a shell would prefer its own `ip` to the one in PATH.
    tree.entries["bin/sh"] = (LINK, b"/usr/bin/dash")
    tree.file("sbin/insmod", tree.place("kmod", PROGRAM_FOLDERS))
    tree.busybox()

    files = {}
    for folder, _, names in os.walk(glob.glob(os.path.join(root, "lib/modules/*/kernel"))[0]):
        for name in names:
            if name.endswith(".ko"):
                files[name[:-3].replace("-", "_")] = os.path.join(folder, name)
    for name in MODULES:
        tree.module(name, files)
    tree.entries["lib/modules/order"] = (FILE, "\n".join(tree.modules + [""]).encode())

    tree.file("init", os.path.join(guest, "init"))
    tree.file("usr/bin/agent", os.path.join(guest, "agent"))
    for name, text in TEXTS.items():
        tree.entries[name] = (FILE, text.encode())
    return tree.entries


def archive(entries):
    """A cpio archive in the format "newc"."""
    pieces = []
    ordered = sorted(entries.items()) + [("TRAILER!!!", (0, b""))]
    for number, (name, (mode, content)) in enumerate(ordered, 1):
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        header = "070701" + "".join(f"{field:08x}" for field in fields) + name + "\0"
        for piece in (header.encode(), content):
            pieces.append(piece + b"\0" * (-len(piece) % 4))
    return b"".join(pieces)


def main():
    root, guest, output = sys.argv[1:]
    entries = assemble(root, guest)
    with open(output + ".new", "wb") as file:
        file.write(archive(entries))
    os.rename(output + ".new", output)  # never half an image
    print(f"image: {len(entries)} files, {os.path.getsize(output) >> 20} MiB")


if __name__ == "__main__":
    main()
