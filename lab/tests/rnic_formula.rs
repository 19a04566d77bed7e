//! Two modelled RNICs across a lossy line, no gateway between them: goodput is that of go-back-N.
//!
//! A line carries one packet a slot, `m` of them in a round trip; each is lost with probability
//! 1 - s. Every loss among the packets that count costs a round trip, so that s / (s + m (1 - s))
//! of the slots do some good.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use dataplane::time::{Nanos, Time};
use lab::random::Random;
use lab::rnic::{Pmtu, QpNumber, QpSettings, Rnic, RnicSettings, Timer, Verb, WorkRequest};

const PMTU: Pmtu = Pmtu::B256;
const MESSAGE_PACKETS: u32 = 16;
/// Losses that a run should see, for its goodput to be within a few percent of the mean.
const LOSSES: f64 = 500.0;

/// One way of the line: what is on it, and when it arrives.
#[derive(Default)]
struct Way {
    flying: VecDeque<(Time, Vec<u8>)>,
    /// Frames to use again.
    spare: Vec<Vec<u8>>,
}

impl Way {
    fn frame(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    fn deliver(&mut self, now: Time, to: &mut Rnic) {
        while self.flying.front().is_some_and(|(arrival, _)| *arrival <= now) {
            let Some((_, frame)) = self.flying.pop_front() else { return };
            to.receive(now, &frame);
            self.spare.push(frame);
        }
    }
}

/// A line with a sender and a receiver.
struct Line {
    ends: [Rnic; 2],
    qpn: QpNumber,
    /// Slots in a round trip.
    round_trip: u64,
    slot: Nanos,
}

impl Line {
    fn new(round_trip: u64) -> Self {
        let power = 10;
        // A little shorter than the requester's patience, so that a packet lost again, of which
        // there is no word, costs hardly more than one that is lost for the first time.
        let timeout: Nanos = 4_096 << power;
        let slot = timeout * 4 / 5 / round_trip;
        let settings = QpSettings {
            pmtu: PMTU,
            timer: Timer::Fixed(power),
            window: 2 * round_trip as u32 + 100,
            ..QpSettings::default()
        };
        let mut ends = [1, 2].map(|number| {
            Rnic::new(RnicSettings {
                mac: [2, 0, 0, 0, 0, number],
                address: IpAddr::from(Ipv4Addr::new(10, 0, 0, number)),
                peer_mac: [2, 0, 0, 0, 0, 3 - number],
                seed: number.into(),
                time_wait: u64::MAX,
            })
        });
        let qpns = [0, 1].map(|end| ends[end].create_qp(settings));
        let remotes = [0, 1].map(|end| ends[end].endpoint(qpns[end]).expect("a queue pair"));
        for end in [0, 1] {
            ends[end].connect(qpns[end], remotes[1 - end]).expect("a connection");
        }
        Self { ends, qpn: qpns[0], round_trip, slot }
    }

    /// The share of `slots` that bring the receiver something new.
    fn goodput(mut self, loss: f64, slots: u64, seed: u64) -> f64 {
        let mut random = Random::derive(seed, &[self.round_trip]);
        let [mut there, mut back] = [Way::default(), Way::default()];
        let delay = self.slot * (self.round_trip - 1) / 2;
        for slot in 0..slots {
            let now = Time(slot * self.slot);
            self.keep_busy(now);
            let [sender, receiver] = &mut self.ends;
            there.deliver(now, receiver);
            let mut answer = back.frame();
            while receiver.transmit(now, &mut answer) {
                back.flying.push_back((now.after(delay), answer));
                answer = back.frame();
            }
            back.spare.push(answer);
            back.deliver(now, sender);
            let mut request = there.frame();
            if sender.transmit(now, &mut request) && !random.happens(loss) {
                there.flying.push_back((now.after(delay), request));
            } else {
                there.spare.push(request);
            }
        }
        let [sender, receiver] = self.ends.map(|end| end.counters());
        assert_eq!(sender.wrong_data() + receiver.wrong_data() + sender.qp_errors, 0);
        let packets = receiver.delivered_bytes / u64::from(PMTU.bytes());
        // The first took half a round trip to arrive.
        packets as f64 / (slots - self.round_trip / 2) as f64
    }

    /// Has the sender always something to send.
    fn keep_busy(&mut self, now: Time) {
        let [sender, _] = &mut self.ends;
        let enough = (2 * self.round_trip as usize + 200) / MESSAGE_PACKETS as usize;
        let length = MESSAGE_PACKETS * PMTU.bytes();
        while sender.outstanding(self.qpn) < enough {
            sender.post(now, self.qpn, WorkRequest { verb: Verb::Write, length, id: 0 });
        }
        while sender.poll().is_some() {}
    }
}

fn assert_follows_the_formula(round_trip: u64) {
    let m = round_trip as f64;
    for loss in [0.0, 1e-5, 1e-4, 1e-3, 1e-2] {
        let s = 1.0 - loss;
        let expected = s / (s + m * loss);
        // The less losses weigh, the fewer have to be seen.
        let weight = m * loss / (1.0 + m * loss);
        let enough = (LOSSES * weight * weight / (loss * expected).max(1e-9)) as u64;
        let slots = enough.max(100 * round_trip).max(200_000);
        let goodput = Line::new(round_trip).goodput(loss, slots, 1);
        println!("m {m:5} loss {loss:7.0e}: {goodput:.4}, formula {expected:.4}, {slots} slots");
        assert!((goodput / expected - 1.0).abs() < 0.1, "{goodput} instead of {expected}");
    }
}

#[test]
fn goodput_of_a_short_line() {
    assert_follows_the_formula(100);
}

#[test]
fn goodput_of_a_line() {
    assert_follows_the_formula(600);
}

#[test]
fn goodput_of_a_long_line() {
    assert_follows_the_formula(3000);
}
