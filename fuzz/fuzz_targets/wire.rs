//! Any bytes as a frame, under every view of the wire's headers.
//!
//! Must hold: no panic, what is found lies within the frame, the one look and the views agree, and
//! an ICRC that is written is right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipelines::wire::bth::{Bth, Datagram};
use pipelines::wire::packet::{Class, Parsed};
use pipelines::wire::{aeth, ethernet, icrc, ipv4, ipv6, pfc, srv6, udp};

fuzz_target!(|frame: &[u8]| {
    let parsed = Parsed::of(frame, frame.len());
    if let Some(ip) = parsed.ip() {
        assert!(ip.payload_at() <= frame.len());
    }
    let datagram = views(frame);
    if let (Class::Roce(ip, udp, roce), Some(datagram)) = (parsed.class, datagram) {
        assert_eq!(roce.bth, datagram.bth());
        assert_eq!(usize::from(roce.payload_len), datagram.payload().len());
        assert_eq!(usize::from(roce.extended_len), datagram.extended().len());
        signed(frame, &parsed, ip.payload_at() + usize::from(udp.len));
    }
});

/// Walks down the frame with the checked views; the RoCEv2 datagram, if there is one.
fn views(frame: &[u8]) -> Option<Datagram<'_>> {
    let ethernet = ethernet::View::parse(frame).ok()?;
    assert_eq!(ethernet.header_len() + ethernet.payload().len(), frame.len());
    assert_eq!(ethernet.tags().len() * ethernet::TAG_LEN + 14, ethernet.header_len());
    let _ = (ethernet.source(), ethernet.destination());
    let payload = match ethernet.ethertype() {
        ethernet::MAC_CONTROL => {
            if let Ok(control) = pfc::MacControl::parse(ethernet.payload()) {
                let mut room = [0; 64];
                assert!(control.write_frame(ethernet.source(), &mut room).is_ok());
            }
            return None;
        }
        ethernet::IPV4 => {
            let ip = ipv4::View::parse(ethernet.payload()).ok()?;
            let _ = (ip.has_right_checksum(), ip.options(), ip.is_later_fragment());
            assert_eq!(ip.header().len() + ip.payload().len(), usize::from(ip.total_len()));
            (ip.protocol() == udp::PROTOCOL && !ip.is_fragment()).then(|| ip.payload())?
        }
        ethernet::IPV6 => {
            let ip = ipv6::View::parse(ethernet.payload()).ok()?;
            let _ = (ip.source(), ip.destination(), ip.flow_label(), ip.traffic_class());
            let extensions: usize = ip.extensions().map(|(_, header)| header.len()).sum();
            assert_eq!(extensions + ipv6::HEADER_LEN, ip.upper().header_len);
            for (_, header) in ip.extensions().filter(|(kind, _)| *kind == ipv6::next::ROUTING) {
                if let Ok(routing) = srv6::View::parse(header) {
                    let _ = (routing.segments_left(), routing.segments(), routing.tlvs());
                }
            }
            let is_udp = ip.upper().protocol == udp::PROTOCOL && !ip.upper().is_fragment;
            is_udp.then(|| ip.payload())?
        }
        _ => return None,
    };
    let udp = udp::View::parse(payload).ok()?;
    assert_eq!(udp.payload().len() + udp::HEADER_LEN, usize::from(udp.len()));
    let datagram = Datagram::parse(udp.payload()).ok()?;
    headers(&datagram, udp.payload());
    Some(datagram)
}

/// What an opcode has headers for is there, and nothing else; the parts make up the whole.
fn headers(datagram: &Datagram<'_>, whole: &[u8]) {
    let extended: usize = datagram.headers().iter().map(|header| header.len()).sum();
    assert_eq!(extended, datagram.extended().len());
    let parts = [Bth::LEN, extended, datagram.payload().len(), datagram.padding().len(), icrc::LEN];
    assert_eq!(parts.iter().sum::<usize>(), whole.len());
    let _ = (datagram.reth(), datagram.atomic(), datagram.original_value(), datagram.deth());
    let _ = (datagram.xrc_srq(), datagram.immediate(), datagram.invalidated_key(), datagram.feth());
    if let Some(aeth) = datagram.aeth() {
        let _ = aeth.syndrome.meaning();
        assert!(aeth::rnr_timer_us(aeth.syndrome.0) >= 10);
        assert_eq!(aeth::Aeth::read(&aeth.to_bytes()), aeth);
    }
    assert!(!datagram.bth().opcode.to_string().is_empty());
    assert!(datagram.bth().to_bytes().is_ok());
}

/// Writes the right ICRC into a copy: it must be right then, and still be after an update.
fn signed(frame: &[u8], parsed: &Parsed, end: usize) {
    let Class::Roce(ip, ..) = parsed.class else { return };
    let mut frame = frame.to_vec();
    let (at, header_len) = (usize::from(ip.at), usize::from(ip.header_len));
    let sign = end - icrc::LEN;
    let right = icrc::compute(header_len, [&frame[at..sign]]).expect("headers are there");
    frame[sign..end].copy_from_slice(&right.to_le_bytes());
    assert_eq!(parsed.icrc_is_right([frame.as_slice()]), Some(true));
    // The source port is covered, and does not change what the packet is.
    let port = ip.payload_at();
    let old = [frame[port], frame[port + 1]];
    let new = [old[1] ^ 0x5a, old[0]];
    let updated = icrc::update(right, &old, &new, sign - port - 2);
    frame[port..port + 2].copy_from_slice(&new);
    frame[sign..end].copy_from_slice(&updated.to_le_bytes());
    assert_eq!(parsed.icrc_is_right([frame.as_slice()]), Some(true));
}
