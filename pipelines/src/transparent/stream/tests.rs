//! One stream, told and given what the network makes of it.

use super::*;
use crate::shield::Key;
use crate::tunnel::streams::Announced;

/// What becomes of an answer without data that comes now; `psn`: what it acknowledges.
fn answer(stream: &mut Stream, psn: u32, takes: Takes) -> Place {
    let name = super::super::table::Name::of(&Key::default(), true, 0);
    let number = Number { name, response: true, psn: Psn::new(psn), takes, pmtu: None };
    stream.arrive(&number, None, false, (Time(1), &Rtt::assumed(1_000)), |_| {})
}

/// The RNIC went back from one number to the other, and has sent one packet since.
fn turn(stream: &mut Stream, from: u32, to: u32) {
    let (front, next) = (Seq(to), Seq(to + 1));
    let turn = (Seq(from), Seq(to));
    let told = Announced {
        front,
        next,
        turn,
        epoch: 1,
        response: true,
        probe: true,
        bare: true,
        ..Announced::default()
    };
    stream.announce(&told, None, Time(1), &Rtt::assumed(1_000));
}

#[test]
fn an_older_announcement_makes_no_acknowledgement_the_refusal_behind_it() {
    let mut stream = Stream::default();
    // Receives lack twice: each refusal has the number of the acknowledgement before it, a lap on.
    assert_eq!(answer(&mut stream, 104, Takes::Nothing), Place::At(Seq(105)));
    turn(&mut stream, 105, LAP + 104);
    assert_eq!(answer(&mut stream, 104, Takes::Refusal), Place::At(Seq(LAP + 105)));
    // What tells of the second overtakes all else, by another path.
    turn(&mut stream, LAP + 111, 2 * LAP + 110);
    turn(&mut stream, 105, LAP + 104);
    assert_eq!(answer(&mut stream, 110, Takes::Nothing), Place::At(Seq(LAP + 111)));
    assert_eq!(answer(&mut stream, 110, Takes::Refusal), Place::At(Seq(2 * LAP + 111)));
}
