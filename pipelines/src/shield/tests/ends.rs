//! Which queue pair of the sender's it is: known when it is certain, and not before.

use std::net::IpAddr;

use super::connections::connect;
use super::*;

/// A second pair of queue pairs.
const OTHER_FAR: u32 = 0x33;
const OTHER_NEAR: u32 = 0x12;

fn address(host: u8) -> IpAddr {
    [10, 0, 0, host].into()
}

impl Bed {
    /// Who sends to queue pair `far` of host 2.
    fn sender_qp(&self, far: u32) -> Option<u32> {
        self.shield.sender_qp((address(1), address(2)), 0, far)
    }
}

#[test]
fn an_answer_that_can_be_to_one_stream_only_shows_who_sends_it() {
    let mut bed = Bed::new();
    assert!((100..110).all(|psn| bed.write(psn)));
    assert_eq!(bed.sender_qp(FAR_QP), None, "no answer yet");
    bed.ack(105);
    assert_eq!(bed.sender_qp(FAR_QP), Some(NEAR_QP));
    // Of nobody else: not of another host, the other way, in a VLAN, of another queue pair.
    let asks = |from, to, vlan, qp| bed.shield.sender_qp((address(from), address(to)), vlan, qp);
    assert_eq!(asks(3, 2, 0, FAR_QP), None);
    assert_eq!(asks(2, 1, 0, FAR_QP), None);
    assert_eq!(asks(1, 2, 5, FAR_QP), None);
    assert_eq!(asks(1, 2, 0, NEAR_QP), None);
    let v6: IpAddr = [0; 16].into();
    assert_eq!(bed.shield.sender_qp((address(1), v6), 0, FAR_QP), None);
}

#[test]
fn what_is_ambiguous_is_not_guessed() {
    let mut bed = Bed::new();
    let other = |bed: &mut Bed, psn| bed.passes(WRITE_ONLY, OTHER_FAR, psn, &[0; 32]);
    assert!((100..110).all(|psn| bed.write(psn) && other(&mut bed, psn)));
    bed.ack(105);
    assert_eq!((bed.sender_qp(FAR_QP), bed.sender_qp(OTHER_FAR)), (None, None));
    // The streams part: now one of them only can be meant.
    assert!((110..120).all(|psn| bed.write(psn)));
    bed.ack(115);
    assert_eq!((bed.sender_qp(FAR_QP), bed.sender_qp(OTHER_FAR)), (Some(NEAR_QP), None));
}

#[test]
fn connection_management_shows_it_before_any_data_at_both_sites_until_it_ends() {
    let mut bed = Bed::new();
    connect(&mut bed, 1, NEAR_QP, FAR_QP);
    connect(&mut bed, 2, OTHER_NEAR, OTHER_FAR);
    assert_eq!(bed.sender_qp(FAR_QP), Some(NEAR_QP));
    assert_eq!(bed.sender_qp(OTHER_FAR), Some(OTHER_NEAR));
    // The same queue pair begins another life, and with whom is not known yet.
    connect(&mut bed, 3, OTHER_NEAR, FAR_QP);
    assert_eq!(bed.sender_qp(FAR_QP), Some(OTHER_NEAR));
    assert_eq!(bed.sender_qp(OTHER_FAR), None, "its other end talks to another");
    bed.shield.forget();
    assert_eq!(bed.sender_qp(FAR_QP), None);
}

#[test]
fn it_is_known_of_ipv6_and_in_a_vlan_too() {
    let (near, far): (IpAddr, IpAddr) =
        ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    let key = |ends, qp| Key::between(ends, 7, qp).unwrap();
    let mut shield = Shield::new(64, 1);
    shield.couple((key((near, far), FAR_QP), key((far, near), NEAR_QP)), 1_024, Time(1));
    assert_eq!(shield.sender_qp((near, far), 7, FAR_QP), Some(NEAR_QP));
    assert_eq!(shield.sender_qp((near, far), 0, FAR_QP), None);
    // Keys made of addresses are those of packets.
    let mut frame = vec![0; 14 + 40 + 8 + 12 + 4];
    for (at, address) in [(22, near), (38, far)] {
        let IpAddr::V6(address) = address else { panic!("{address}") };
        frame[at..at + 16].copy_from_slice(&address.octets());
    }
    frame[62 + 7] = FAR_QP as u8;
    let found = Found { vlan: 7, ip_at: 14, ip_version: 6, bth_at: 62 };
    let sight = Sight::of(&frame, &found).expect("a SEND");
    assert_eq!(sight.key(), Key::between((near, far), 7, FAR_QP));
}
