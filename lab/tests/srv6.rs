//! Paths over SRv6, with nodes on the way, alone and beside others.

use std::net::Ipv6Addr;
use std::path::Path;

use dataplane::capture::Reader;
use lab::{PathScenario, Report, Scenario};
use pipelines::wire::ipv6;

const TRAFFIC: &str = "verb=mix,qps=4,size=16KiB,messages=12";
/// Two nodes between the gateways.
const BY: &str = "2001:db8:c::1+2001:db8:c::2";

fn scenario(paths: &[String]) -> Scenario {
    let paths = paths.iter().map(|path| path.parse::<PathScenario>().expect("a path"));
    Scenario::traffic(TRAFFIC.parse().expect("traffic"), paths.collect(), 7)
}

/// Everything arrived once, intact and in order, after losses and repairs.
fn assert_whole(report: &Report) {
    let ends = &report.endpoints;
    let messages = ends.messages.expect("messages");
    assert_eq!(messages.messages_completed, messages.messages_posted);
    assert_eq!([ends.missing, ends.altered, ends.duplicates, ends.out_of_sequence], [0; 4]);
    assert_eq!(messages.qp_errors, 0);
    let gateways = report.gateways.as_ref().expect("gateways");
    assert!(gateways.a.repaired + gateways.b.repaired > 0);
    for gateway in [&gateways.a, &gateways.b] {
        assert_eq!((gateway.gave_up, gateway.unprotected, gateway.buffers_leaked), (0, 0, 0));
        for reason in ["wan_srv6", "wan_segments_left", "wan_ce"] {
            assert_eq!(gateway.drops.get(reason), None, "{reason}");
        }
    }
}

/// The destination of an outer header, its next header, and Segments Left and the number of segments of
/// a routing header behind it.
type Outer = (Ipv6Addr, u8, Option<(u8, usize)>);

/// The outer IPv6 headers of a capture: destination, next header, segments left and listed.
fn headers(file: &Path) -> Vec<Outer> {
    let mut reader = Reader::open(file).expect("a capture");
    let mut found = Vec::new();
    while let Some(record) = reader.next().expect("a record") {
        if record.data.get(12..14) != Some(&[0x86, 0xdd]) {
            continue;
        }
        let ip = ipv6::View::parse(&record.data[14..]).expect("an IPv6 packet");
        let srh = ip.segment_routing().map(|srh| (srh.segments_left(), srh.segments().len()));
        found.push(((*ip.destination()).into(), ip.next_header(), srh));
    }
    found
}

#[test]
fn messages_cross_whichever_way_their_paths_are_encapsulated() {
    for srv6 in ["srv6=direct", "srv6_red=direct", "srv6_red=2001:db8:c::1"] {
        let lossy = "rate=10G,delay=500us,loss=0.02";
        let report = lab::run(&scenario(&[format!("p1,{lossy},{srv6}")])).expect("a report");
        assert_whole(&report);
    }
    let mixed = [
        format!("p1,rate=5G,delay=500us,loss=0.02,srv6={BY}"),
        "p2,rate=5G,delay=700us,loss=0.02".into(),
    ];
    let report = lab::run(&scenario(&mixed)).expect("a report");
    assert_whole(&report);
    assert!(report.wan.paths.iter().all(|path| path.sent_packets > 50));
}

#[test]
fn captures_show_the_segments_before_and_behind_their_nodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let sids = [1, 0].map(|side| Ipv6Addr::new(0x2001, 0xdb8, 0xb - side, 0, 0, 0, 0, 0xd46));
    for (key, listed) in [("srv6", 3), ("srv6_red", 2)] {
        let path = format!("p1,rate=10G,delay=500us,loss=0.01,{key}={BY}");
        let out = folder.path().join(key);
        let scenario = Scenario { out: Some(out.clone()), ..scenario(&[path]) };
        assert_whole(&lab::run(&scenario).expect("a report"));
        let nodes = [1, 2].map(|last| Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, last));
        for (side, name) in ["wan-a.pcap", "wan-b.pcap"].iter().enumerate() {
            let headers = headers(&out.join(name));
            assert!(headers.len() > 100);
            // What this side sends goes to the node that is nearest to it, what it gets to its SID.
            let sent = (nodes[side], 43, Some((2, listed)));
            let got = (sids[side], 43, Some((0, listed)));
            assert!(headers.iter().all(|header| *header == sent || *header == got));
            assert!(headers.contains(&sent) && headers.contains(&got));
        }
    }
}
