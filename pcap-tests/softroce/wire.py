#!/usr/bin/env python3
"""Opens two interfaces for the wire and becomes it: wire.py NAME NAME PROGRAM ARGUMENT.."""

import os
import socket
import struct
import sys

# What the module socket does not name, from <linux/if_packet.h> and <asm-generic/socket.h>.
ETH_P_ALL = 3
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_IGNORE_OUTGOING = 263, 1, 23
PACKET_MR_PROMISC = 1
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
BUFFER_BYTES = 64 << 20


def interface(name):
    """A packet socket that sees all frames arriving at an interface, and none leaving."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
    everybody = struct.pack("iHH8s", socket.if_nametoindex(name), PACKET_MR_PROMISC, 0, b"")
    sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, everybody)
    sock.bind((name, ETH_P_ALL))
    return sock


def main():
    ends = [interface(name) for name in sys.argv[1:3]]
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
    os.execv(sys.argv[3], sys.argv[3:])


if __name__ == "__main__":
    main()
