//! What the hosts of a site say and hear of pauses (IEEE 802.1Q, clause 36). They are behind one
//! switch, which hands on what any of them says, and what the gateway says to those of the priority:
//! the delay of that is not modelled.

use std::collections::VecDeque;

use dataplane::time::{Nanos, Time};
use pipelines::backpressure::Limits;
use pipelines::pfc::{Claims, Mode, Receiver, Sender, SenderSettings};
use pipelines::wire::ethernet::{self, MAC_CONTROL, Mac};
use pipelines::wire::pfc::{DESTINATION, MacControl};

use crate::network::Network;
use crate::pause::Pause;

/// What quanta are counted in on the lab's LANs: bits a second.
pub(crate) const RATE: u64 = 100_000_000_000;
/// Hosts obey whatever they are told, and pause for as long as the scenario says.
const ENDLESS: Limits = Limits { longest: Nanos::MAX, rest: 0 };

/// The port of a site's hosts.
pub(super) struct Station {
    mac: Mac,
    /// What it wants held back, and how it says so.
    claims: Claims,
    sender: Sender,
    receiver: Receiver,
    /// What the scenario wants paused, or lifted, by time from the start of the play.
    wants: VecDeque<(Nanos, u8, bool)>,
    /// When the play started.
    start: Time,
}

impl Station {
    /// That of the hosts of `side`.
    pub(super) fn new(side: usize, mac: Mac, pauses: &[Pause]) -> Self {
        let own = pauses.iter().filter(|pause| pause.side == side);
        let both = own.flat_map(|pause| {
            let Pause { priority, from, span, .. } = *pause;
            [(from, priority, true), (from.saturating_add(span), priority, false)]
        });
        let mut wants: Vec<_> = both.collect();
        wants.sort_unstable();
        let settings =
            SenderSettings { mode: Mode::Pfc, quanta: u16::MAX, rate: RATE, limits: ENDLESS };
        Self {
            mac,
            claims: Claims::default(),
            sender: Sender::new(settings),
            receiver: Receiver::new(RATE, ENDLESS),
            wants: wants.into(),
            start: Time::NEVER,
        }
    }

    pub(super) fn start(&mut self, now: Time) {
        self.start = now;
    }

    /// When it does something of its own accord.
    pub(super) fn due(&self) -> Option<Time> {
        let want = self.wants.front().map(|(at, ..)| self.start.after(*at));
        let due = self.sender.due().min(self.receiver.due()).min(want.unwrap_or(Time::NEVER));
        (due < Time::NEVER).then_some(due)
    }

    /// Takes in a frame; whether it was of pauses.
    pub(super) fn receive(&mut self, now: Time, frame: &[u8]) -> bool {
        let view = ethernet::View::parse(frame).ok();
        let Some(view) = view.filter(|view| view.ethertype() == MAC_CONTROL) else { return false };
        if view.destination() == DESTINATION
            && let Ok(control) = MacControl::parse(view.payload())
        {
            self.receiver.hear(&control, now);
        }
        true
    }

    /// Does what is due at `now`, and says what is to be said.
    pub(super) fn act(&mut self, now: Time, side: usize, network: &mut Network) {
        self.receiver.expire(now);
        let (start, due) = (self.start, now);
        while let Some((_, priority, pause)) =
            self.wants.pop_front_if(|(at, ..)| start.after(*at) <= due)
        {
            match pause {
                true => self.claims.hold(priority),
                false => self.claims.lift(priority),
            }
        }
        if self.claims.priorities() != self.sender.wanted() {
            self.sender.want(self.claims.priorities(), now);
        }
        if let Some(control) = self.sender.poll(now) {
            let mut frame = network.buffer();
            frame.resize(ethernet::MIN_FRAME_LEN, 0);
            let written = control.write_frame(self.mac, &mut frame);
            debug_assert!(written.is_ok(), "there is room");
            network.send_from_host(now, side, frame);
        }
    }

    /// Until when hosts may send nothing of a priority.
    pub(super) fn paused_until(&self, priority: u8) -> Time {
        match self.receiver.paused() >> priority & 1 {
            0 => Time::ZERO,
            _ => self.receiver.due(),
        }
    }
}
