//! Every key of a scenario file. The reader accepts these and no others; the example is tested to
//! show each of them.

use config::keys::{Section, optional, required};

/// A capture that the two sites play.
pub(super) const CAPTURE: Section = Section {
    name: "capture",
    many: false,
    keys: &[
        required("input", "\"lan.pcap\"", "the capture, relative to this file"),
        optional("site_a", "[\"10.0.1.0/24\"]", "source addresses at site A"),
    ],
};

/// What RNICs at the two sites carry.
pub(super) const TRAFFIC: Section = Section {
    name: "traffic",
    many: true,
    keys: &[
        required("verb", "\"write\"", "what messages do"),
        optional("qps", "16", "queue pairs"),
        optional("size", "\"1MiB\"", "of a message"),
        optional("messages", "64", "of a queue pair"),
        optional("direction", "\"ab\"", "who asks"),
        optional("timer", "17", "of a requester that hears nothing"),
        optional("retry", "7", "timeouts before a queue pair fails"),
        optional("reads", "16", "READs and atomics outstanding"),
        optional("rnr", "100", "one refusal in so many"),
        optional("recreate", "32", "messages after which a queue pair makes way for another"),
        optional("line", "\"400G\"", "rate of a host's line"),
        optional("dscp", "\"1+2\"", "code points that queue pairs have in turn"),
        optional("port", "49152", "UDP source port of all queue pairs"),
        optional("pmtu", "4096", "largest payload of a packet"),
        optional("window", "\"64MiB\"", "bytes that a site may have under way"),
        optional("name", "\"a\"", "name in reports"),
        optional("priority", "3", "on the LANs, 0 to 7"),
        optional("start", "\"5ms\"", "when it begins"),
        optional("dcqcn", "true", "whether it slows down for marks of congestion"),
        optional("hosts", "1", "hosts that queue pairs are dealt out to, where they ask"),
        optional("targets", "1", "and at the other site"),
        optional(
            "bursts",
            "\"8@5ms\"",
            "messages of a queue pair that come at once, and how often",
        ),
    ],
};

/// A path across the wide area.
pub(super) const PATH: Section = Section {
    name: "path",
    many: true,
    keys: &[
        required("name", "\"p1\"", "name in reports"),
        optional("rate", "\"10G\"", "without it no limit"),
        optional("delay", "\"2.5ms\"", "one way"),
        optional("loss", "1e-3", "probability"),
        optional("burst", "5", "mean length of a burst of losses"),
        optional("reorder", "0.01", "probability"),
        optional("duplicate", "0.01", "probability"),
        optional("corrupt", "1e-4", "probability"),
        optional("bfd", "\"10ms\"", "1ms to 10s, between packets of BFD"),
        optional("srv6", "\"direct\"", "segments between the gateways"),
        optional("srv6_red", "\"direct\"", "likewise, with reduced headers"),
        optional("down", "[\"1s..1.2s\"]", "times in which all is lost"),
    ],
};

/// A gateway that starts anew.
pub(super) const RESTART: Section = Section {
    name: "restart",
    many: true,
    keys: &[
        required("gateway", "\"a\"", "which one"),
        required("at", "\"200ms\"", "counted from the start of the play"),
    ],
};

/// Both gateways.
pub(super) const GATEWAYS: Section = Section {
    name: "gateways",
    many: false,
    keys: &[
        optional("mode", "\"tunnel\"", "how packets are numbered"),
        optional("replay_bytes", "\"64MiB\"", "memory of each replay buffer"),
        optional("hold_bytes", "\"64MiB\"", "memory of each hold buffer"),
        optional("replay_packets", "4096", "packets that each channel remembers"),
        optional("hold_packets", "4096", "packets that each hold buffer may hold"),
        optional("mtu", "9216", "largest outer IP packet"),
        optional("tenants", "[\"acme,vlan=7\"]", "whom packets belong to, as --tenant says it"),
        optional("spread", "0.5", "part of its path from which a queue pair is spread"),
        optional("wan_rate", "\"10G\"", "what WAN ports are sent to at, all together"),
        optional("lan_rate", "\"10G\"", "what LAN ports are sent to at"),
    ],
};

/// How it is run.
pub(super) const RUN: Section = Section {
    name: "run",
    many: false,
    keys: &[
        optional("seed", "1", "decides everything that is left to chance"),
        optional("strangers", "1000000", "packets a second of strangers"),
        optional("pauses", "[\"b,from=10ms,for=50ms\"]", "hosts that take in nothing for a while"),
        optional("changes", "[\"acme@50ms,rate=1G\"]", "tenants that change while it runs"),
        optional("alone", "\"g1\"", "pair of hosts that is run alone as well"),
        optional("compare", "true", "run it without gateways as well"),
        optional("no_gateways", "true", "run it without gateways only"),
    ],
};

/// What has to hold of the report.
pub(super) const EXPECT: Section = Section {
    name: "expect",
    many: true,
    keys: &[
        required("field", "\"endpoints.missing\"", "where the value is in the report"),
        optional("equals", "0", "it has to be this"),
        optional("at_least", "0.9", "it has to be this or more"),
        optional("at_most", "10", "it has to be this or less"),
        optional("within", "[0.9, 1.1]", "it has to be between these, or one of them"),
    ],
};

/// All sections, in the order of the example.
pub(super) const SECTIONS: [Section; 7] = [CAPTURE, TRAFFIC, PATH, RESTART, GATEWAYS, RUN, EXPECT];
