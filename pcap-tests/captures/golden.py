#!/usr/bin/env python3
"""Writes the golden figures CAPTURE.json beside each CAPTURE.pcap, from what tshark dissects.

usage: golden.py CAPTURE.pcap...    (needs tshark 4; Ethernet, no VLANs, one path MTU a host pair)

Independent of the product: another dissector, and PSNs followed by a model of a few lines."""

import json
import subprocess
import sys

FIELDS = """frame.len ip.src ip.dst ipv6.src ipv6.dst udp.dstport udp.length infiniband.bth.opcode
infiniband.bth.destqp infiniband.bth.psn infiniband.bth.p_key infiniband.reth.dmalen
infiniband.mad.attributeid infiniband.cm.req.pppmtu""".split()

RC, UC = 0, 1
READ_REQUEST = 0x0C
FULL = {0x00: 12, 0x01: 12, 0x06: 28, 0x07: 12, 0x0D: 16, 0x0E: 12}  # payload = PMTU: header bytes


def dissect(path):
    command = ["tshark", "-r", path, "--disable-protocol", "rpcordma"]
    command += ["-T", "fields", "-E", "occurrence=f"]
    command += [word for field in FIELDS for word in ("-e", field)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [dict(zip(FIELDS, line.split("\t"))) for line in output.splitlines()]


def number(text):
    return int(text or "0", 0)


def role(opcode):
    service, operation = opcode >> 5, opcode & 31
    if service == RC and 0x0D <= operation <= 0x12:
        return "response"
    return "request" if service in (RC, UC) else "unsequenced"


def follow(requests, pmtu):
    """Gaps, missing PSNs and packets behind in a list of (psn, length of READ or None)."""
    gaps = missing = behind = 0
    expected = None
    for psn, read in requests:
        span = max(1, -(-read // pmtu)) if read is not None else 1
        ahead = (psn - (psn if expected is None else expected)) % 2**24
        if 0 < ahead < 2**23:
            gaps, missing = gaps + 1, missing + ahead
        behind += ahead >= 2**23
        end = (psn + span) % 2**24
        if expected is None or (end - expected) % 2**24 < 2**23:
            expected = end
    return {"gaps": gaps, "missing_psns": missing, "behind": behind}


def golden(path):
    packets = dissect(path)
    roce = [p for p in packets if p["udp.dstport"] == "4791"]
    opcodes, messages, pmtu, streams = {}, {}, {}, {}
    for p in roce:
        opcode, length = number(p["infiniband.bth.opcode"]), number(p["frame.len"])
        src, dst = p["ip.src"] or p["ipv6.src"], p["ip.dst"] or p["ipv6.dst"]
        hosts = frozenset((src, dst))
        opcodes[opcode] = opcodes.get(opcode, 0) + 1
        if attribute := p["infiniband.mad.attributeid"]:
            messages[number(attribute)] = messages.get(number(attribute), 0) + 1
        if opcode >> 5 in (RC, UC) and opcode & 31 in FULL:
            pmtu[hosts] = number(p["udp.length"]) - 8 - FULL[opcode & 31] - 4
        elif code := p["infiniband.cm.req.pppmtu"]:
            pmtu.setdefault(hosts, 128 << number(code))
        key = (src, dst, number(p["infiniband.bth.destqp"]), role(opcode))
        read = number(p["infiniband.reth.dmalen"]) if opcode == READ_REQUEST else None
        psn, p_key = number(p["infiniband.bth.psn"]), number(p["infiniband.bth.p_key"])
        streams.setdefault(key, []).append((psn, read, length, p_key))
    rows = []
    for (src, dst, qp, kind), stream in sorted(streams.items()):
        row = {"src": src, "dst": dst, "dest_qp": qp, "role": kind, "packets": len(stream)}
        row |= {"bytes": sum(p[2] for p in stream), "p_key": stream[0][3]}
        row |= {"first_psn": stream[0][0], "last_psn": stream[-1][0]}
        requests = [p[:2] for p in stream] if kind == "request" else []
        rows.append(row | follow(requests, pmtu.get(frozenset((src, dst)), 1024)))
    return {
        "packets": len(packets),
        "rocev2_packets": len(roce),
        "rocev2_bytes": sum(number(p["frame.len"]) for p in roce),
        "opcodes": {f"0x{opcode:02x}": count for opcode, count in sorted(opcodes.items())},
        "connections": {f"0x{kind:04x}": count for kind, count in sorted(messages.items())},
        "streams": rows,
    }


for capture in sys.argv[1:]:
    with open(capture.removesuffix(".pcap") + ".json", "w") as file:
        json.dump(golden(capture), file, indent=1)
        file.write("\n")
