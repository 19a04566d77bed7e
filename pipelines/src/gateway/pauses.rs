//! Who is held back, and on whose word: pauses of the LAN's stations, and stops of the peers.
//!
//! ```text
//! RNIC --PFC--> gateway: its priority's tenants wait there --stop--> peer --PFC--> RNICs there
//! ```
//! A station that pauses a priority gets nothing more of the tenants that have it: what comes for
//! them through the tunnel waits in order, as it does for what is missing, within the same bounds.
//! The peers are told to stop those tenants and no others. A gateway that is told so has its own
//! stations pause the tenants' priorities. With queues, both wait there instead, and a queue that
//! passes its threshold speaks: one before the LAN to the peers, one before the WAN to the stations.
//! Nothing waits for what waits for it: what a station
//! takes in does not depend on what it may send.

mod settings;
mod shared;

use dataplane::drops::DropReason;
use dataplane::port::TxQueue;
use dataplane::time::{Nanos, Time};
use dataplane::wheel::TimerId;

use super::control::{self, MESSAGES, Place};
use super::own::send_short;
use super::peer::{Peer, Timer};
use super::team::Member;
use super::waited::reason;
use super::{Common, Gateway, QueueEvent, Settings, Toward};
use crate::backpressure::{self, Change, Stopped, Stopper};
use crate::pfc::{self, Changed, Claims};
use crate::queueing::{CLASSES, Class, Crossing, Refusal};
use crate::tunnel::control::Draft;
use crate::tunnel::stops::{StopHeard, Stops as StopItems, StopsHeard};
use crate::wire::ethernet::{self, MIN_FRAME_LEN};
use crate::wire::pfc::{DESTINATION, MacControl};

pub use settings::{BackpressureSettings, PfcSettings};

/// All classes of a tenant: without queues they are not told apart.
const ALL: u8 = u8::MAX;

/// A LAN port that speaks priority flow control. Of several workers, one speaks.
struct Port {
    sender: pfc::Sender,
    receiver: pfc::Receiver,
    /// What this worker wants the stations to pause.
    claims: Claims,
    /// What the stations pause, as far as this worker has heeded it.
    paused: u8,
}

/// What the LAN's stations pause, and what they are to pause.
pub(super) struct Pauses {
    /// By the port's index; `None` where it is not spoken.
    ports: Box<[Option<Port>]>,
    /// By the tenant's index, then by class.
    priorities: Box<[[u8; CLASSES]]>,
    /// Likewise: no station is paused for them.
    policed: Box<[bool]>,
    /// How many peers have each tenant's classes stopped; with queues only.
    stopped: Box<[[u32; CLASSES]]>,
    timer: TimerId,
    /// The place among several workers.
    member: Option<Member>,
}

/// What a peer has us stop, and we it.
pub(super) struct Stops {
    stopper: Stopper,
    stopped: Stopped,
    /// Counts messages: each goes by another channel.
    turn: usize,
}

/// The pauses of a LAN port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PfcStatus {
    /// What it asked of its stations.
    pub said: pfc::Said,
    /// What its stations asked of it.
    pub heard: pfc::Heard,
    /// The priorities that it holds back now, a bit each.
    pub paused: u8,
}

/// The stops of a tenant, of all peers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StopStatus {
    /// What peers were told.
    pub said: backpressure::Said,
    /// What peers told us.
    pub heard: backpressure::Heard,
    /// A peer has it stopped now.
    pub is_stopped: bool,
}

/// The classes, a bit each, whose priority is one of these.
fn classes_of(priorities: &[u8; CLASSES], paused: u8) -> u8 {
    let bits = (0..).zip(priorities).map(|(class, of)| (paused >> of & 1) << class);
    bits.fold(0, |all, bit| all | bit)
}

impl Pauses {
    /// `None` where nobody holds anybody back. `timer` is theirs.
    pub(super) fn new(settings: &Settings, timer: TimerId) -> Option<Self> {
        let of = settings.backpressure.as_ref()?;
        let port = |pfc: &Option<PfcSettings>| {
            let PfcSettings { mode, quanta, rate } = (*pfc)?;
            let limits = of.limits.twice();
            let sender = pfc::Sender::new(pfc::SenderSettings { mode, quanta, rate, limits });
            let receiver = pfc::Receiver::new(rate, of.limits);
            Some(Port { sender, receiver, claims: Claims::default(), paused: 0 })
        };
        let ports = of.ports.iter().map(port).collect();
        let stopped = vec![[0; CLASSES]; of.priorities.len()].into();
        let priorities = of.priorities.clone().into();
        let policed = of.policed.clone().into();
        Some(Self { ports, priorities, policed, stopped, timer, member: None })
    }

    fn port(&mut self, port: usize) -> Option<&mut Port> {
        self.ports.get_mut(port)?.as_mut()
    }

    /// Whether the stations of a LAN port have paused a tenant.
    #[inline]
    fn holds_back(&self, port: usize, tenant: u16) -> bool {
        let paused = self.ports.get(port).and_then(Option::as_ref).map_or(0, |port| port.paused);
        paused != 0
            && self.priorities.get(usize::from(tenant)).is_some_and(|of| paused >> of[0] & 1 == 1)
    }

    /// A peer stops classes of a tenant, a bit each, and lets others go on: those that nobody had
    /// stopped, and that nobody else has.
    fn stops(&mut self, tenant: u16, (stop, resume): (u8, u8)) -> (u8, u8) {
        let Some(counts) = self.stopped.get_mut(usize::from(tenant)) else { return (0, 0) };
        let mut turn = (0, 0);
        for (bit, count) in Class::all().map(Class::bit).zip(counts) {
            if stop & bit != 0 {
                *count += 1;
                turn.0 |= if *count == 1 { bit } else { 0 };
            } else if resume & bit != 0 {
                *count = count.saturating_sub(1);
                turn.1 |= if *count == 0 { bit } else { 0 };
            }
        }
        turn
    }

    /// Has the stations of all LAN ports pause classes of a tenant, a bit each, or lets them go on.
    fn hold(&mut self, tenant: u16, classes: u8, pause: bool) {
        if self.polices(tenant) {
            return;
        }
        let Some(priorities) = self.priorities.get(usize::from(tenant)) else { return };
        let concerned = || (0..).zip(priorities).filter(|(class, _)| classes >> class & 1 == 1);
        for (index, port) in self.ports.iter_mut().enumerate() {
            let Some(port) = port else { continue };
            for (_, priority) in concerned() {
                match pause {
                    true => port.claims.hold(*priority),
                    false => port.claims.lift(*priority),
                }
            }
            if let Some(member) = &self.member
                && let Some(board) = member.board(index)
            {
                board.want(member.worker, port.claims.priorities());
            }
        }
    }

    /// Whether what a tenant's queues before the WAN have no room for is dropped rather than its
    /// stations paused.
    fn polices(&self, tenant: u16) -> bool {
        self.policed.get(usize::from(tenant)).copied().unwrap_or(false)
    }

    fn due(&self) -> Time {
        let due = |port: &Port| port.sender.due().min(port.receiver.due());
        self.ports.iter().flatten().map(due).min().unwrap_or(Time::NEVER)
    }
}

impl Stops {
    /// `None` where nobody holds anybody back.
    pub(super) fn new(settings: &Settings) -> Option<Self> {
        let of = settings.backpressure.as_ref()?;
        let names = settings::names(settings);
        let (stopper, stopped) =
            (Stopper::new(&names, of.stops), Stopped::new(&names, of.limits.twice()));
        Some(Self { stopper, stopped, turn: 0 })
    }
}

impl Common {
    /// Whether packets of a tenant must not go to a LAN port now. With queues they may go there.
    #[inline]
    pub(super) fn holds_back(&self, port: usize, tenant: u16) -> bool {
        match &self.pauses {
            None => false,
            Some(pauses) => !self.waiting.is_on() && pauses.holds_back(port, tenant),
        }
    }

    /// Whether the packet that is next in a lane must not.
    pub(super) fn holds_back_next(&self, peer: &Peer, lane: u16) -> bool {
        let next = peer.order.next_mark(lane);
        next.is_some_and(|tenant| self.holds_back(peer.lan, tenant))
    }

    /// A peer stops, or lets go on, classes of a tenant.
    fn follow(&mut self, change: Change) {
        let Change { tenant, before, after } = change;
        let Some(pauses) = &mut self.pauses else { return };
        if self.waiting.is_on() {
            let turn = pauses.stops(tenant, (after & !before, before & !after));
            self.turn_queues(Toward::Wan, tenant, turn);
        } else {
            pauses.hold(tenant, after & !before, true);
            pauses.hold(tenant, before & !after, false);
        }
    }

    /// Why a packet that a tenant's queue before the WAN does not take is dropped.
    pub(super) fn refusal(&self, tenant: u16, why: Refusal) -> DropReason {
        let policed = self.pauses.as_ref().is_some_and(|pauses| pauses.polices(tenant));
        match why {
            Refusal::Headroom if policed => DropReason::QueuePoliced,
            _ => reason(why),
        }
    }

    /// Keeps the queues of some classes of a tenant from leaving, and lets others leave again.
    fn turn_queues(&mut self, way: Toward, tenant: u16, (pause, resume): (u8, u8)) {
        for class in Class::all() {
            if pause & class.bit() != 0 {
                self.pause_queue(way, tenant, class);
            } else if resume & class.bit() != 0 {
                self.resume_queue(way, tenant, class);
            }
        }
    }

    /// Has the stations told what is wanted of them, and the pauses looked after when they need it.
    fn arm_pauses(&mut self, now: Time) {
        if let Some(pauses) = &mut self.pauses {
            pauses.agree(now);
            let due = pauses.due();
            self.wheel.set(pauses.timer, if due == Time::NEVER { due } else { due.max(now) });
        }
    }
}

impl Gateway {
    /// The pauses of a port; `None` if it speaks no priority flow control, and with all workers but
    /// the one that speaks it.
    #[must_use]
    pub fn pfc_status(&self, port: usize) -> Option<PfcStatus> {
        let pauses = self.common.pauses.as_ref()?;
        if pauses.member.as_ref().is_some_and(|member| !member.speaks()) {
            return None;
        }
        let of = pauses.ports.get(port)?.as_ref()?;
        let (said, heard) = (*of.sender.said(), *of.receiver.heard());
        Some(PfcStatus { said, heard, paused: of.paused })
    }

    /// The stops of a tenant; without tenants told apart, 0 has everything.
    #[must_use]
    pub fn stop_status(&self, tenant: u16) -> StopStatus {
        let mut all = StopStatus::default();
        for Stops { stopper, stopped, .. } in self.peers.iter().filter_map(|p| p.stops.as_deref()) {
            all.said = all.said.and(stopper.said(tenant));
            all.heard = all.heard.and(stopped.heard(tenant));
            all.is_stopped |= stopped.classes(tenant) != 0;
        }
        all
    }

    /// Takes in a frame for the next station from a LAN port; whether it is a pause, and was heeded.
    #[cold]
    pub(super) fn heed_pause(&mut self, port: usize, frame: &[u8], now: Time) -> bool {
        let Some(pauses) = &mut self.common.pauses else { return false };
        let Some(Port { receiver, .. }) = pauses.port(port) else { return false };
        let Ok(view) = ethernet::View::parse(frame) else { return false };
        // Never tagged, never to somebody else (IEEE 802.3, annex 31A).
        if view.destination() != DESTINATION || view.ethertype() != ethernet::MAC_CONTROL {
            return false;
        }
        let Ok(control) = MacControl::parse(view.payload()) else { return false };
        let changed = receiver.hear(&control, now);
        self.lan_changed(port, changed, now);
        self.common.arm_pauses(now);
        true
    }

    /// Does what is due of pauses: lets go on what was paused for long enough, and says again what
    /// is to be paused.
    pub(super) fn tend_pauses(&mut self, now: Time, queues: &mut [TxQueue]) {
        for index in 0..self.local.len() {
            let Some(pauses) = &mut self.common.pauses else { return };
            let Some(Port { sender, receiver, .. }) = pauses.port(index) else { continue };
            let (changed, frame) = (receiver.expire(now), sender.poll(now));
            self.lan_changed(index, changed, now);
            if let Some(control) = frame {
                self.send_pause(index, &control, queues);
            }
        }
        self.common.arm_pauses(now);
    }

    /// Tells those who feed queues that passed their thresholds: peers, or stations of the LAN.
    pub(super) fn heed_queues(&mut self, now: Time) {
        if self.common.pauses.is_none() {
            return;
        }
        let mut any = false;
        while let Some(QueueEvent { way, tenant, class, crossing }) = self.take_queue_event() {
            any = true;
            let stop = crossing == Crossing::Xoff;
            match way {
                Toward::Lan(port) => self.stop_at_peers(port, (tenant, class.bit()), stop, now),
                Toward::Wan => {
                    let pauses = self.common.pauses.iter_mut();
                    pauses.for_each(|pauses| pauses.hold(tenant, class.bit(), stop));
                }
            }
        }
        if any {
            self.common.arm_pauses(now);
        }
    }

    /// Has all peers that feed a LAN port stop classes of a tenant, or lets them go on.
    fn stop_at_peers(&mut self, port: usize, (tenant, classes): (u16, u8), stop: bool, now: Time) {
        for peer in self.peers.iter_mut().filter(|peer| peer.lan == port) {
            let Some(stops) = &mut peer.stops else { continue };
            match stop {
                true => stops.stopper.stop(tenant, classes, now),
                false => stops.stopper.resume(tenant, classes, now),
            }
            self.common.wheel.set(peer.timer(Timer::Stops), now);
        }
    }

    fn send_pause(&mut self, port: usize, control: &MacControl, queues: &mut [TxQueue]) {
        let mut frame = [0; MIN_FRAME_LEN];
        let Some(source) = self.common.settings.ports.get(port).map(|port| port.mac) else {
            return;
        };
        if control.write_frame(source, &mut frame).is_ok() {
            send_short(&mut self.common, port, &frame, queues);
        }
    }

    /// The stations of a LAN port pause other priorities than before: the peers are told of the
    /// tenants, and what waited goes on.
    fn lan_changed(&mut self, port: usize, changed: Changed, now: Time) {
        let Self { common, peers, .. } = self;
        let Some(pauses) = &mut common.pauses else { return };
        if changed == Changed::default() {
            return;
        }
        pauses.changed(port, changed);
        let pauses = &*pauses;
        if common.waiting.is_on() {
            for (tenant, priorities) in (0..).zip(pauses.priorities.clone()) {
                let turn = (
                    classes_of(&priorities, changed.paused),
                    classes_of(&priorities, changed.resumed),
                );
                common.turn_queues(Toward::Lan(port), tenant, turn);
            }
            return;
        }
        for peer in peers.iter_mut().filter(|peer| peer.lan == port) {
            let Some(stops) = &mut peer.stops else { continue };
            for (tenant, [priority, ..]) in (0..).zip(&pauses.priorities) {
                if changed.paused >> priority & 1 == 1 {
                    stops.stopper.stop(tenant, ALL, now);
                } else if changed.resumed >> priority & 1 == 1 {
                    stops.stopper.resume(tenant, ALL, now);
                }
            }
            common.wheel.set(peer.timer(Timer::Stops), now);
            if changed.resumed != 0 {
                peer.mark_all_ready();
            }
        }
    }
}

/// Does what is due of a peer's stops.
pub(super) fn tend_stops(common: &mut Common, peer: &mut Peer, now: Time, queues: &mut [TxQueue]) {
    let Some(stops) = &mut peer.stops else { return };
    stops.stopped.expire(now, |change| common.follow(change));
    common.arm_pauses(now);
    let repeat = repeat(peer.session.rtt.smoothed());
    for _ in 0..MESSAGES {
        let Some(stops) = peer.stops.as_mut().filter(|_| peer.session.is_up(now)) else { break };
        let Some(draft) = stops.stopper.poll(now, repeat) else { break };
        let turn = stops.turn.wrapping_add(1);
        stops.turn = turn;
        let channel = peer.in_service(turn % peer.senders.len().max(1));
        common.counters.stop_messages_sent += 1;
        control::send(common, peer, channel, draft, Place::First, queues);
    }
    arm_stops(common, peer, now);
}

/// Has a peer's stops looked after when they need it. While it is not there nothing is said: a new
/// session begins with what is to be said then.
fn arm_stops(common: &mut Common, peer: &Peer, now: Time) {
    let Some(stops) = &peer.stops else { return };
    let said = if peer.session.is_up(now) { stops.stopper.due() } else { Time::NEVER };
    let due = said.min(stops.stopped.due());
    common.wheel.set(peer.timer(Timer::Stops), if due == Time::NEVER { due } else { due.max(now) });
}

/// A peer, by its channel `by`, says whom to stop.
pub(super) fn on_stops(
    common: &mut Common,
    peer: &mut Peer,
    by: usize,
    (lifetime, items): (Nanos, StopItems<'_>),
    now: Time,
    queues: &mut [TxQueue],
) {
    common.counters.stop_messages_received += 1;
    let mut answer = Draft::stops_heard();
    for stop in items {
        let heard = match &mut peer.stops {
            Some(stops) => stops.stopped.hear(&stop, lifetime, now, |change| common.follow(change)),
            // Nobody is held back here, and the peer is to know.
            None => StopHeard { tenant: stop.tenant, sequence: stop.sequence, unknown: true },
        };
        common.counters.stops_unknown += u64::from(heard.unknown);
        // As long as a message of stops is, this one may be.
        answer.stop_heard(&heard);
    }
    common.arm_pauses(now);
    arm_stops(common, peer, now);
    let by = peer.in_service(by);
    control::send(common, peer, by, answer, Place::First, queues);
}

/// A peer heard whom to stop.
pub(super) fn on_heard(common: &mut Common, peer: &mut Peer, items: StopsHeard<'_>, now: Time) {
    let Some(stops) = &mut peer.stops else { return };
    for heard in items {
        common.counters.stops_unknown += u64::from(heard.unknown);
        stops.stopper.confirm(&heard);
    }
    arm_stops(common, peer, now);
}

/// A session began: whom the peer stopped goes on, and it is told again whom to stop.
pub(super) fn session_began(common: &mut Common, peer: &mut Peer, now: Time) {
    let Some(stops) = &mut peer.stops else { return };
    stops.stopped.forget(|change| common.follow(change));
    stops.stopper.restart(now);
    common.arm_pauses(now);
    arm_stops(common, peer, now);
}

/// After how long a message is said again: a round trip, and what that may vary by.
fn repeat(round_trip: Nanos) -> Nanos {
    round_trip + round_trip / 4
}

impl Peer {
    /// Has all lanes looked after that can be released: those that did not wait for room are not
    /// listed.
    fn mark_all_ready(&mut self) {
        for lane in (0..self.is_ready.len()).map(|lane| lane as u16) {
            if self.order.is_ready(lane) {
                self.mark_ready(lane);
            }
        }
    }
}
