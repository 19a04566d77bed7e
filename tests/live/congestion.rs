//! Queues that grow: packets that can be told are marked, or their sender is notified at once.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use dataplane::netdev::PacketSocket;
use pipelines::tunnel::ecn;
use pipelines::wire::opcode::Opcode;
use pipelines::wire::packet::Parsed;
use serde_json::Value;

use crate::frames::take;
use crate::gateway::{Gateway, PATIENCE};
use crate::network::{Network, Settings, Side};
use crate::roce::{BTH_AT, TOS_AT, connect, queue_pair, write};

/// A tenant that sends some 900 packets a second, whose queue marks from some four of them on, and
/// all from some fifteen on.
const MARKS: &str = "
        [queues]
        packets = 8192
        pool_bytes = \"16MiB\"

        [[tenant]]
        name = \"acme\"
        ports = [\"lan\"]
        rate = \"8Mbps\"
        burst = \"4KiB\"
        ecn_min = \"4KiB\"
        ecn_max = \"16KiB\"
        ecn_probability = 0.5";
/// The same, whose gateway notifies senders that it knows.
const NOTIFIES: &str = "
        [queues]
        packets = 8192
        pool_bytes = \"16MiB\"

        [[tenant]]
        name = \"acme\"
        ports = [\"lan\"]
        rate = \"8Mbps\"
        burst = \"4KiB\"
        ecn_min = \"4KiB\"
        ecn_max = \"16KiB\"
        ecn_probability = 0.5
        cnp = \"50us\"";
const PACKETS: u32 = 150;
const LENGTH: usize = 1_000;

/// Whether a frame has IPv4.
fn is_ipv4(frame: &[u8]) -> bool {
    frame[12..14] == [0x08, 0x00]
}

fn network(recovery: &'static str) -> Network {
    Network::new(&Settings { addresses: false, recovery, ..Settings::default() })
}

fn sockets(network: &Network) -> [PacketSocket; 2] {
    [Side::A, Side::B].map(|side| network.host(side).packet_socket("eth0"))
}

/// Host A sends a burst of packets with that ECN field, from PSN `first` on; the fields that they
/// arrive with at host B: all of them, in order, and nothing else of them changed.
fn fields([a, b]: &[PacketSocket; 2], first: u32, field: u8) -> Vec<u8> {
    let packet = |psn, field| write(Side::A, queue_pair(Side::B), psn, field, LENGTH);
    let arrived = thread::scope(|scope| {
        let arrived = scope.spawn(|| take(b, is_ipv4, |frames| frames.len() == PACKETS as usize));
        for psn in first..first + PACKETS {
            let mut socket = a;
            socket.write_all(&packet(psn, field)).expect("the host can send");
        }
        arrived.join().expect("it does not panic")
    });
    assert_eq!(arrived.len(), PACKETS as usize, "packets with the field {field}");
    let field = |(frame, psn): (&Vec<u8>, u32)| {
        let field = frame[TOS_AT] & ecn::MASK;
        assert!(*frame == packet(psn, field), "packet {psn} is not what was sent");
        field
    };
    arrived.iter().zip(first..).map(field).collect()
}

/// What a gateway shows of one of the tenant's ways, `to_wan` or `to_lan`.
fn shown(gateway: &Gateway, way: &str, what: &str) -> u64 {
    let shown = gateway.show();
    let acme =
        shown["tenants"].as_array().and_then(|all| all.iter().find(|of| of["name"] == "acme"));
    acme.and_then(|of| of[way][what].as_u64()).unwrap_or_else(|| panic!("{shown:#}"))
}

/// What site A's gateway shows of the tenant's way to the WAN.
fn to_wan(gateway: &Gateway, what: &str) -> u64 {
    shown(gateway, "to_wan", what)
}

/// Marks of site A's gateway and of site B's: that has a queue towards its host, which grows where it
/// gets no processor for a while. As many as were seen, once both say so.
fn marks([a, b]: &[Gateway; 2], seen: u64) -> [u64; 2] {
    let until = Instant::now() + PATIENCE;
    loop {
        let marks = [to_wan(a, "marked"), shown(b, "to_lan", "marked")];
        if marks.iter().sum::<u64>() == seen || Instant::now() > until {
            return marks;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn end(gateways: [Gateway; 2]) {
    for ended in gateways.map(Gateway::terminate) {
        println!("{}", ended.said);
        assert!(ended.status.success(), "{:#}", ended.report);
        assert_eq!(ended.report["counters"]["gave_up"], 0, "{:#}", ended.report);
        let drops = &ended.report["counters"]["drops"];
        let queues: Vec<_> = drops.as_object().into_iter().flatten().collect();
        let of_queues = |(reason, _): &(&String, &Value)| reason.starts_with("queue");
        assert!(!queues.into_iter().any(|drop| of_queues(&drop)), "{drops:#}");
    }
}

#[test]
#[ignore = "needs root: make test-live"]
fn packets_that_can_be_told_are_marked_in_a_queue_that_grows_and_others_never() {
    let network = network(MARKS);
    let gateways = network.start_both();
    let sockets = sockets(&network);
    let marked = |fields: &[u8]| fields.iter().filter(|field| **field == ecn::CE).count();
    let mut all = 0;
    for (turn, field) in [ecn::ECT_0, ecn::ECT_1].into_iter().enumerate() {
        let fields = fields(&sockets, turn as u32 * PACKETS, field);
        println!("of {PACKETS} packets with the field {field}, {} marked", marked(&fields));
        assert!(marked(&fields) > 0, "{fields:?}");
        assert!(fields.iter().all(|seen| [field, ecn::CE].contains(seen)), "{fields:?}");
        // The first ones find no queue.
        assert_eq!(marked(&fields[..3]), 0, "{fields:?}");
        all += marked(&fields);
    }
    let [near, far] = marks(&gateways, all as u64);
    assert_eq!(near + far, all as u64, "{near} and {far}");
    assert!(near > 0);
    for (turn, field) in [ecn::NOT_ECT, ecn::CE].into_iter().enumerate() {
        let fields = fields(&sockets, (2 + turn as u32) * PACKETS, field);
        assert!(fields.iter().all(|seen| *seen == field), "{fields:?}");
    }
    assert_eq!(marks(&gateways, all as u64), [near, far]);
    assert_eq!(to_wan(&gateways[0], "dropped"), 0);
    end(gateways);
}

/// Hosts connect: each datagram arrives before the next is sent.
fn connected(sockets: &[PacketSocket; 2]) {
    for (from, datagram) in connect() {
        let mut socket = &sockets[from as usize];
        socket.write_all(&datagram).expect("the host can send");
        let to = &sockets[from.other() as usize];
        let arrived = take(to, is_ipv4, |frames| frames.len() == 1);
        assert!(arrived == [datagram], "a datagram of connection management does not arrive");
    }
}

#[test]
#[ignore = "needs root: make test-live"]
fn a_sender_that_is_known_by_its_connection_is_notified_and_its_gateway_marks_nothing() {
    let network = network(NOTIFIES);
    let gateways = network.start_both();
    let sockets = sockets(&network);
    connected(&sockets);
    let notices = thread::scope(|scope| {
        // A few of them suffice; whoever is late finds them in the socket's queue.
        let notices = scope.spawn(|| take(&sockets[0], is_ipv4, |frames| !frames.is_empty()));
        let fields = fields(&sockets, 0, ecn::ECT_0);
        let marked = fields.iter().filter(|field| **field == ecn::CE).count() as u64;
        assert!(fields.iter().all(|seen| [ecn::ECT_0, ecn::CE].contains(seen)), "{fields:?}");
        assert_eq!(marks(&gateways, marked), [0, marked], "only where the sender is far");
        notices.join().expect("it does not panic")
    });
    let notice = notices.first().expect("a notification");
    let sample = write(Side::B, queue_pair(Side::A), 0, 0, 4);
    // From host B to host A, as if B's RNIC had sent it.
    assert_eq!(notice[..12], sample[..12]);
    assert_eq!(notice[26..34], sample[26..34]);
    let qp = queue_pair(Side::A).to_be_bytes();
    assert_eq!((notice[BTH_AT], &notice[BTH_AT + 5..BTH_AT + 8]), (Opcode::CNP.0, &qp[1..]));
    // BECN.
    assert_eq!(notice[BTH_AT + 4] & 0xc0, 0x40);
    let parsed = Parsed::of(notice, notice.len());
    assert_eq!(parsed.icrc_is_right([notice.as_slice()]), Some(true));
    let notified = to_wan(&gateways[0], "notified");
    println!("{notified} notifications");
    assert!(notified > 0);
    assert_eq!((to_wan(&gateways[0], "marked"), to_wan(&gateways[0], "dropped")), (0, 0));
    end(gateways);
}
