//! A scenario as the flags say it.

use std::path::PathBuf;

use config::prefix::Prefix;
use config::units::{Bytes, Rate};
use lab::rnic::Pmtu;
use lab::{
    Bounds, Change, Experiment, PathScenario, Pause, Restart, Scenario, Seeds, Source, Spread,
    TenantScenario, Traffic,
};
use pipelines::gateway::{self, Numbering};

/// What a scenario file says as well: beside one, none of these is taken.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Capture that the two sites play (classic pcap or pcapng).
    #[arg(long, value_name = "FILE", required_unless_present_any = ["traffic", "scenario", "scenario_help"], conflicts_with = "scenario")]
    input: Option<PathBuf>,
    /// What RNICs at the two sites carry; may be repeated, for several groups of hosts. KEYs: verb (write, send, read, atomic, mix: required),
    /// qps, size (of a message), messages (of a queue pair), direction (ab, ba, both: who asks),
    /// timer (0 to 31, or adaptive), retry (0 to 7), reads (outstanding, 255 at most), rnr (one refusal in so
    /// many), dscp (code points, as 1+2, that queue pairs have in turn), port (UDP source port of all
    /// queue pairs, which are one 5-tuple then), recreate (messages after which a queue pair is destroyed and another one, connected on
    /// the wire, goes on; a failed one too), line (rate of a host's line; without it sixteen times
    /// that of all paths), pmtu and window (as the flags of these names, which are for all), name (in
    /// reports), priority (0 to 7: what a pause of the LAN stops; without it 3), start (when it
    /// begins), dcqcn (true: it slows down for marks of congestion), hosts (that queue pairs are dealt
    /// out to, where they ask; without it 1) and targets (likewise at the other site; without it as many), bursts
    /// (8@5ms: messages of each queue pair that come at once, and the time to the next ones).
    #[arg(long, value_name = "KEY=VALUE[,KEY=VALUE]..", conflicts_with_all = ["input", "scenario"])]
    traffic: Vec<Traffic>,
    /// Largest payload of the RNICs' packets: 256, 512, 1024, 2048 or 4096 (the default).
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["input", "scenario"])]
    pmtu: Option<Pmtu>,
    /// Bytes that the RNIC of a site may have under way, over all its queue pairs. Without it, four
    /// times what the paths carry in a round trip.
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["input", "scenario"])]
    window: Option<Bytes>,
    /// Source addresses at site A, as 10.0.1.0/24; may be repeated. Without it, the source of the
    /// capture's first IP packet is at site A, and all others at B.
    #[arg(long, value_name = "CIDR", conflicts_with_all = ["traffic", "scenario"])]
    site_a: Vec<Prefix>,
    /// A path across the wide area; may be repeated. KEYs: rate, delay (one way), loss, burst (mean
    /// length of a loss burst), reorder, duplicate, corrupt (probabilities), srv6 or srv6_red
    /// (segments with + between them, or direct), down (START..END).
    #[arg(long = "path", value_name = "NAME[,KEY=VALUE]..",
        required_unless_present_any = ["scenario", "scenario_help"], conflicts_with = "scenario")]
    paths: Vec<PathScenario>,
    /// A tenant of both gateways; may be repeated, the first that matches has a packet. KEYs: vlan,
    /// prefix (of its hosts at either site), p_key, dscp (each may be repeated; one of each kind has
    /// to match), replay_bytes, hold_bytes; weight, rate (the most it may send), reserved (bytes of
    /// its own in queues), xoff (where those say stop), ecn_min and
    /// ecn_max (where some packets are marked, and where all), priority (on the LANs). What is nobody's is the tenant default's.
    #[arg(long = "tenant", value_name = "NAME[,KEY=VALUE]..",
        conflicts_with_all = ["no_gateways", "scenario"])]
    tenants: Vec<TenantScenario>,
    /// How fast the gateways send to their WAN ports, all together: what is more waits in queues, a
    /// tenant's each.
    #[arg(long, value_name = "RATE", conflicts_with_all = ["no_gateways", "scenario"])]
    wan_rate: Option<Rate>,
    /// How fast the gateways send to their LAN ports, each, likewise.
    #[arg(long, value_name = "RATE", conflicts_with_all = ["no_gateways", "scenario"])]
    lan_rate: Option<Rate>,
    /// A tenant has another rate or weight so long after the start of the play, at both gateways; may be
    /// repeated. KEYs: rate, weight.
    #[arg(long = "change", value_name = "NAME@TIME,KEY=VALUE..", conflicts_with_all = ["no_gateways", "scenario"])]
    changes: Vec<Change>,
    /// A gateway starts anew, having forgotten everything, so long after the start of the play; may
    /// be repeated.
    #[arg(long = "restart", value_name = "a|b@TIME", conflicts_with_all = ["no_gateways", "scenario"])]
    restarts: Vec<Restart>,
    /// The host of a site takes in nothing for a while, and says so by priority flow control, which
    /// gateways and hosts then speak; may be repeated. KEYs: priority (0 to 7; what hosts send has
    /// 3, which is the default), from (the start of the play), for.
    #[arg(long = "pause", value_name = "a|b,KEY=VALUE..", conflicts_with_all = ["no_gateways", "scenario"])]
    pauses: Vec<Pause>,
    /// Strangers at site A send so many packets a second, each from another address to another queue
    /// pair: a flood of new flows.
    #[arg(long, value_name = "PACKETS", conflicts_with = "scenario",
        value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    strangers: Option<u64>,
    /// A queue pair that has more than this part of its path (0.001 to 1; without it 0.5) is sent by
    /// all paths, in groups of packets; off: none is.
    #[arg(long, value_name = "PART|off", conflicts_with_all = ["no_gateways", "scenario"])]
    spread: Option<Spread>,
    /// How packets are numbered between the gateways: tunnel (they are encapsulated), or transparent
    /// (they go as they are, and their PSNs are the numbers).
    #[arg(long, value_name = "MODE", default_value = "tunnel", value_parser = mode, conflicts_with = "scenario")]
    mode: Numbering,
    /// Run without gateways: a hash of its 5-tuple gives each packet one of the paths.
    #[arg(long, conflicts_with = "scenario")]
    no_gateways: bool,
    /// Run with gateways and without, and show both side by side.
    #[arg(long, conflicts_with_all = ["no_gateways", "scenario"])]
    compare: bool,
    /// Run with the messages of one pair of hosts only and without pauses as well, and show what it did together with
    /// the others in per cent of that: the NAME of its --traffic; g1 is the first that has none.
    #[arg(long, value_name = "NAME", requires = "traffic", conflicts_with = "scenario")]
    alone: Option<String>,
    /// Memory of each gateway's replay buffer.
    #[arg(long, value_name = "BYTES", conflicts_with = "scenario")]
    replay_bytes: Option<Bytes>,
    /// Memory of each gateway's hold buffer.
    #[arg(long, value_name = "BYTES", conflicts_with = "scenario")]
    hold_bytes: Option<Bytes>,
    /// Packets that each channel remembers for replay, a power of two; without it as many as there
    /// is memory for.
    #[arg(long, value_name = "N", conflicts_with = "scenario")]
    replay_packets: Option<u32>,
    /// Packets that each gateway's hold buffer may hold, likewise.
    #[arg(long, value_name = "N", conflicts_with = "scenario")]
    hold_packets: Option<u32>,
    /// Largest outer IP packet of the paths, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(mtu()), conflicts_with = "scenario")]
    mtu: Option<u32>,
}

/// What packets of the wide area may have, as the parser of the flag wants it.
fn mtu() -> std::ops::RangeInclusive<i64> {
    i64::from(*lab::MTU.start())..=i64::from(*lab::MTU.end())
}

fn mode(text: &str) -> Result<Numbering, String> {
    let known = lab::MODES.into_iter().find(|(name, _)| *name == text);
    let names = || lab::MODES.map(|(name, _)| name).join(" or ");
    known.map(|(_, mode)| mode).ok_or_else(|| format!("has to be {}", names()))
}

impl Flags {
    /// What is to be run with these seeds. Flags expect nothing.
    pub(super) fn experiment(&self, seeds: Seeds) -> Experiment {
        let scenario = self.scenario(seeds.first());
        let (compare, alone) = (self.compare, self.alone.clone());
        Experiment { scenario, seeds, compare, alone, expectations: Vec::new() }
    }

    /// Traffic, changed as the flags say that are for all.
    fn with_flags(&self, traffic: &Traffic) -> Traffic {
        let pmtu = self.pmtu.unwrap_or(traffic.pmtu);
        let window = self.window.map(|Bytes(bytes)| bytes).or(traffic.window);
        Traffic { pmtu, window, ..traffic.clone() }
    }

    fn scenario(&self, seed: u64) -> Scenario {
        let paths = self.paths.clone();
        let mut scenario = match !self.traffic.is_empty() {
            true => {
                let groups = self.traffic.iter().map(|traffic| self.with_flags(traffic));
                Scenario::groups(groups.collect(), paths, seed)
            }
            false => Scenario::new(self.input.clone().unwrap_or_default(), paths, seed),
        };
        if let Source::Capture(capture) = &mut scenario.source {
            let site_a = self.site_a.iter().map(|prefix| gateway::Prefix {
                address: prefix.address(),
                length: prefix.length(),
            });
            capture.site_a = site_a.collect();
        }
        let defaults = scenario.bounds;
        scenario.bounds = Bounds {
            replay_bytes: self.replay_bytes.map_or(defaults.replay_bytes, |Bytes(bytes)| bytes),
            hold_bytes: self.hold_bytes.map_or(defaults.hold_bytes, |Bytes(bytes)| bytes),
            replay_packets: self.replay_packets,
            hold_packets: self.hold_packets,
            mtu: self.mtu.unwrap_or(defaults.mtu),
        };
        let (gateways, numbering) = (!self.no_gateways, self.mode);
        let (restarts, tenants) = (self.restarts.clone(), self.tenants.clone());
        let changes = self.changes.clone();
        let (strangers, pauses) = (self.strangers, self.pauses.clone());
        if let Some(Spread(spread)) = self.spread {
            scenario.sharing.spread = spread;
        }
        let (wan_rate, lan_rate) = (self.wan_rate, self.lan_rate);
        let scenario = Scenario { wan_rate, lan_rate, changes, ..scenario };
        Scenario { gateways, numbering, restarts, tenants, strangers, pauses, ..scenario }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;
    use crate::lab::Args;

    /// What a command line asks for.
    fn asked(line: &str) -> Scenario {
        let arguments = line.strip_prefix("compute-gateway ").unwrap().split_whitespace();
        let args = Args::augment_args(clap::Command::new("lab"));
        let matches = args.try_get_matches_from(arguments).unwrap();
        let args = Args::from_arg_matches(&matches).unwrap();
        args.flags.experiment(args.seeds()).scenario
    }

    #[test]
    fn commands_that_are_printed_ask_for_the_same() {
        for seed in 0..500 {
            let drawn = lab::draw::scenario(seed);
            assert_eq!(asked(&drawn.command_line()), drawn, "{}", drawn.command_line());
        }
        let mut played = Scenario::new("a.pcap".into(), vec!["p,delay=1ms".parse().unwrap()], 9);
        played.gateways = false;
        played.bounds = Bounds { mtu: 1_500, hold_bytes: 200_000, ..played.bounds };
        if let Source::Capture(capture) = &mut played.source {
            let address = std::net::IpAddr::from([10, 0, 0, 0]);
            capture.site_a = vec![gateway::Prefix { address, length: 8 }];
        }
        assert_eq!(asked(&played.command_line()), played);
        played.gateways = true;
        played.tenants = vec!["acme,vlan=7,replay_bytes=1MiB".parse().unwrap()];
        assert_eq!(asked(&played.command_line()), played);
    }

    #[test]
    fn a_file_that_says_the_same_asks_for_the_same() {
        let line = "compute-gateway lab --traffic verb=mix,qps=3,size=65536,messages=9,timer=14,\
                    retry=3,direction=both,reads=32,rnr=10,recreate=4,line=25Gbps,port=49152 --pmtu 1024 \
                    --window 1MiB --path p1,rate=1G,delay=2.5ms,loss=1e-3,burst=5,down=1s..1.2s \
                    --path p2,reorder=0.01,duplicate=0.02,corrupt=0.03 --restart b@5ms \
                    --pause b,from=10ms,for=50ms \
                    --mode transparent --replay-bytes 1MiB --hold-bytes 2MiB --replay-packets 64 \
                    --hold-packets 128 --spread 0.25 --mtu 1500 --tenant acme,vlan=7,hold_bytes=1MiB \
                    --seed 3..9 --compare";
        let file = r#"
            [[traffic]]
            verb = "mix"
            qps = 3
            size = 65536
            messages = 9
            timer = 14
            retry = 3
            direction = "both"
            reads = 32
            rnr = 10
            recreate = 4
            line = "25Gbps"
            port = 49152
            pmtu = 1024
            window = "1MiB"
            [[path]]
            name = "p1"
            rate = "1G"
            delay = "2.5ms"
            loss = 1e-3
            burst = 5
            down = ["1s..1.2s"]
            [[path]]
            name = "p2"
            reorder = 0.01
            duplicate = 0.02
            corrupt = 0.03
            [[restart]]
            gateway = "b"
            at = "5ms"
            [gateways]
            mode = "transparent"
            replay_bytes = "1MiB"
            hold_bytes = "2MiB"
            replay_packets = 64
            hold_packets = 128
            spread = 0.25
            mtu = 1500
            tenants = ["acme,vlan=7,hold_bytes=1MiB"]
            [run]
            seed = "3..9"
            pauses = ["b,priority=3,from=10ms,for=50ms"]
            compare = true
        "#;
        let arguments = line.strip_prefix("compute-gateway ").unwrap().split_whitespace();
        let args = Args::augment_args(clap::Command::new("lab"));
        let args = Args::from_arg_matches(&args.get_matches_from(arguments)).unwrap();
        let read = lab::file::parse(file, "same.toml", std::path::Path::new("")).unwrap();
        assert_eq!(args.flags.experiment(args.seeds()), read);
    }

    #[test]
    fn a_mode_that_is_not_there_is_refused() {
        assert_eq!(mode("tunnel"), Ok(Numbering::Tunnel));
        assert_eq!(mode("transparent"), Ok(Numbering::Transparent { check_icrc: true }));
        assert!(mode("bare").is_err_and(|error| error.contains("tunnel or transparent")));
    }
}
