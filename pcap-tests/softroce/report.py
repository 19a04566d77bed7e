"""What is printed of a run, and whether it holds."""

# Counters of rdma_rxe that move when packets are lost, overtaken or late, by their short names in
# the table. They count what a stack had to repair or repeat, at either host.
REPAIRS = {
    "duplicate_request": "dup",
    "out_of_seq_request": "gap",
    "rcvd_seq_err": "nak",
    "completer_retry_err": "retry",
    "retry_exceeded_err": "gave-up",
}
# Those of a receiver that was not ready, which is no fault of a network's: shown, not judged.
READINESS = {"rcvd_rnr_err": "rnr"}


def repairs(outcome):
    return {short: outcome.counters.get(key, 0) for key, short in REPAIRS.items()}


def verdict(outcome, clean):
    """What does not hold of a line through the gateways, beside the loss-free run; empty: it
    holds."""
    faults = []
    if not outcome.succeeded():
        faults.append(status(outcome))
    before = repairs(clean)
    for name, count in repairs(outcome).items():
        if count > before[name]:
            faults.append(f"{name} {count} instead of {before[name]}")
    return ", ".join(faults)


def status(outcome):
    if outcome.succeeded():
        return f"ok ({outcome.status})" if outcome.stumbled else "ok"
    if outcome.status is None:
        return "not begun"
    if outcome.status in (124, 143):
        return "timeout"
    if outcome.status:
        return f"failed {outcome.status}"
    return "server hangs" if outcome.far_status is None else f"server failed {outcome.far_status}"


HEADER = ("line", "network", "result", "MB/s", "msg/s", "s", "sent", *REPAIRS.values(), "rnr", "lost", "holds")


def row(line, network, outcome, wire, holds):
    """A row of the table; `wire` is what the wire did to frames meanwhile."""
    speed = outcome.speed()
    return (
        line.name,
        network,
        status(outcome),
        *((f"{speed[0]:.2f}", speed[1]) if speed else "--"),
        f"{outcome.seconds:.1f}",
        outcome.counters.get("sent_pkts", 0),
        *repairs(outcome).values(),
        *(outcome.counters.get(key, 0) for key in READINESS),
        wire["lost"],
        holds,
    )


class Table:
    """Prints rows as they come; the first column is as wide as the longest name."""

    def __init__(self, names, networks):
        first = [max(map(len, [HEADER[0], *names])), max(map(len, [HEADER[1], *networks])), 12]
        self.widths = first + [max(7, len(name) + 1) for name in HEADER[3:]]
        self.print(HEADER)

    def print(self, cells):
        pieces = []
        for place, (cell, width) in enumerate(zip(cells, self.widths)):
            text = str(cell)
            left = place < 3 or place == len(cells) - 1
            pieces.append(text.ljust(width) if left else text.rjust(width))
        print("  ".join(pieces).rstrip(), flush=True)


def as_json(line, network, outcome, wire, holds):
    """The same with everything there is."""
    return {
        "line": line.name,
        "network": network,
        "command": line.command,
        "result": status(outcome),
        "speed": dict(zip(("megabytes_per_second", "messages_per_second"), outcome.speed() or ())),
        "seconds": round(outcome.seconds, 3),
        "hosts": outcome.hosts,
        "gateways": outcome.gateways,
        "wire": wire,
        "holds": holds,
    }
