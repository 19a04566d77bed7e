//! What a gateway says of itself to those who look in.

use super::*;

#[test]
fn peers_and_paths_say_what_they_carried() {
    let mut bed = Bed::up(|_| {});
    let mut lost = false;
    let mut once = |_: u64, frame: &[u8]| {
        let lose = !lost && !is_control(frame);
        lost |= lose;
        if lose { vec![] } else { vec![(DELAY, frame.to_vec())] }
    };
    (0..10).for_each(|number| bed.send(0, 1, number, 200));
    bed.run(DELAY / 2, &mut once);
    let mut near = Vec::new();
    bed.sides[0].gateway.peers_status(bed.now, &mut near);
    assert_eq!((near[0].paths[0].sent.packets, near[0].paths[0].unconfirmed), (10, 10));

    bed.run(50 * MILLISECOND, &mut once);
    let mut far = Vec::new();
    bed.sides[0].gateway.peers_status(bed.now, &mut near);
    bed.sides[1].gateway.peers_status(bed.now, &mut far);
    let path = near[0].paths[0];
    assert!(near[0].up && !path.troubled && path.rtt >= 2 * DELAY, "{path:?}");
    assert_eq!((path.sent.packets, path.unconfirmed), (10, 0));
    assert!(path.resent.packets >= 1 && path.sent.bytes > 10 * 200);
    let PeerStatus { received, repaired, missing, held, held_high_water_bytes, .. } = far[0];
    assert_eq!((received.packets, repaired, missing, held), (10, 1, 0, 0));
    assert!(held_high_water_bytes > 0);
}

#[test]
fn a_peer_that_is_not_there_is_said_to_be_down() {
    let mut bed = Bed::new(|_| {});
    bed.run(50 * MILLISECOND, &mut |_, _| vec![]);
    let mut status = Vec::new();
    bed.sides[0].gateway.peers_status(bed.now, &mut status);
    assert_eq!((status.len(), status[0].up, status[0].paths.len()), (1, false, 1));
}
