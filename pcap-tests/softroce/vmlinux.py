#!/usr/bin/env python3
"""Unpacks the ELF kernel inside a bzImage: vmlinux.py BZIMAGE OUTPUT

The places of the setup and of the payload are in the kernel's Documentation/arch/x86/boot.rst."""

import lzma
import struct
import subprocess
import sys
import zlib

SETUP_SECTORS, PAYLOAD_OFFSET = 0x1F1, 0x248


def unpack(image):
    setup = ((image[SETUP_SECTORS] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    payload = image[setup + offset : setup + offset + length]
    if payload.startswith(b"\xfd7zXZ\0"):
        # Behind the compressed kernel lies its length: not part of it.
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(payload)
    if payload.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(31).decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        return subprocess.run(["zstd", "-dcq"], input=payload, stdout=subprocess.PIPE).stdout
    sys.exit(f"vmlinux: unknown compression {payload[:6]!r}")


def main():
    with open(sys.argv[1], "rb") as image:
        kernel = unpack(image.read())
    if not kernel.startswith(b"\x7fELF"):
        sys.exit("vmlinux: no ELF kernel inside")
    with open(sys.argv[2], "wb") as output:
        output.write(kernel)


if __name__ == "__main__":
    main()
