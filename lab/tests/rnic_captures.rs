//! Modelled RNICs, asked for what a real stack was asked for when it was captured, say the same.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use dataplane::capture::Reader;
use dataplane::time::Time;
use lab::rnic::{Pmtu, QpNumber, QpSettings, Rnic, RnicSettings, Verb, WorkRequest};
use pipelines::wire::bth::Datagram;
use pipelines::wire::opcode::{Kind, Service};
use pipelines::wire::packet::{Class, Parsed};
use pipelines::wire::udp;

/// What a packet says, apart from addresses and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    opcode: u8,
    psn: u32,
    ack_request: bool,
    /// Class of the syndrome, and MSN.
    aeth: Option<(u8, u32)>,
    payload: usize,
    is_request: bool,
}

/// What a packet of a reliable connection says.
fn said(frame: &[u8]) -> Option<Said> {
    let Class::Roce(ip, udp, _) = Parsed::of(frame, frame.len()).class else { return None };
    let begin = ip.payload_at() + udp::HEADER_LEN;
    let datagram = Datagram::parse(&frame[begin..ip.payload_at() + usize::from(udp.len)]).ok()?;
    let bth = datagram.bth();
    (bth.opcode.service() == Service::ReliableConnected).then(|| Said {
        opcode: bth.opcode.0,
        psn: bth.psn,
        ack_request: bth.ack_request,
        aeth: datagram.aeth().map(|aeth| (aeth.syndrome.0 >> 5, aeth.msn)),
        payload: datagram.payload().len(),
        is_request: bth.opcode.shape().kind == Kind::Request,
    })
}

fn captured(name: &str) -> Vec<Said> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-tests/captures");
    let mut reader = Reader::open(&folder.join(format!("{name}.pcap"))).expect("a capture");
    let mut all = Vec::new();
    while let Some(record) = reader.next().expect("a record") {
        all.extend(said(record.data));
    }
    all
}

/// Two connected RNICs; the first one's requests begin with `psn`.
fn pair(settings: QpSettings, psn: u32) -> ([Rnic; 2], QpNumber) {
    let mut ends = [1, 2].map(|number| {
        Rnic::new(RnicSettings {
            mac: [2, 0, 0, 0, 0, number],
            address: IpAddr::from(Ipv4Addr::new(10, 99, 0, number)),
            peer_mac: [2, 0, 0, 0, 0, 3 - number],
            seed: number.into(),
            time_wait: u64::MAX,
        })
    });
    let qpns = [0, 1].map(|end| ends[end].create_qp_at(settings, psn));
    let remotes = [0, 1].map(|end| ends[end].endpoint(qpns[end]).expect("a queue pair"));
    for end in [0, 1] {
        ends[end].connect(qpns[end], remotes[1 - end]).expect("a connection");
    }
    (ends, qpns[0])
}

/// What the model says to `messages` of these. Everything an end can say arrives before the other
/// says anything: the widest pipe there is.
fn modelled(pmtu: Pmtu, psn: u32, messages: u64, verb: Verb, length: u32) -> Vec<Said> {
    let settings = QpSettings { pmtu, ..QpSettings::default() };
    let (mut ends, qpn) = pair(settings, psn);
    for id in 0..messages {
        assert!(ends[0].post(Time::ZERO, qpn, WorkRequest { verb, length, id }));
    }
    let mut all = Vec::new();
    let (mut frame, mut now) = (Vec::new(), 0);
    while ends[0].outstanding(qpn) > 0 {
        now += 1000;
        for from in [0, 1] {
            while ends[from].transmit(Time(now), &mut frame) {
                all.extend(said(&frame));
                ends[1 - from].receive(Time(now), &frame);
            }
        }
        assert!(now < 1_000_000, "nothing moves");
    }
    all
}

/// Requests, and responses, of the model begin with those of the capture, which may end earlier.
fn assert_same(name: &str, pmtu: Pmtu, verb: Verb, length: u32) -> [Vec<Said>; 2] {
    let real = captured(name);
    assert!(real.len() > 80, "{name} holds {} packets", real.len());
    let packets = if verb.is_atomic() { 1 } else { pmtu.packets(length) };
    let messages = real.len() as u64 / u64::from(packets) + 1;
    let model = modelled(pmtu, real[0].psn, messages, verb, length);
    for requests in [true, false] {
        let of = |all: &[Said]| -> Vec<Said> {
            all.iter().filter(|said| said.is_request == requests).copied().collect()
        };
        let (real, model) = (of(&real), of(&model));
        // A capture of a few packets may have no response in it.
        assert!(!requests || !real.is_empty());
        assert!(model.len() >= real.len(), "{name}: {} and {}", model.len(), real.len());
        for (at, (model, real)) in model.iter().zip(&real).enumerate() {
            assert_eq!(model, real, "{name}, requests: {requests}, number {at}");
        }
    }
    [real, model]
}

/// Requests that were sent before anything was answered.
fn unanswered(all: &[Said]) -> usize {
    all.iter().take_while(|said| said.is_request).count()
}

#[test]
fn send() {
    let [real, model] = assert_same("rc-send", Pmtu::B1024, Verb::Send, 65536);
    // A window was full before the first acknowledgement came.
    assert_eq!((unanswered(&real), unanswered(&model)), (129, 129));
}

#[test]
fn write() {
    assert_same("rc-write-4096", Pmtu::B4096, Verb::Write, 65536);
}

#[test]
fn write_across_the_wrap() {
    assert_same("psnwrap", Pmtu::B1024, Verb::Write, 65536);
}

#[test]
fn read() {
    let [real, model] = assert_same("rc-read", Pmtu::B1024, Verb::Read, 65536);
    assert_eq!((unanswered(&real), unanswered(&model)), (3, 3));
}

#[test]
fn fetch_and_add() {
    assert_same("rc-atomic", Pmtu::B1024, Verb::FetchAdd, 8);
}
