//! One session (RFC 5880, section 6.8), in asynchronous mode. Both sides are active.

use dataplane::time::{MICROSECOND, Nanos, Time};

use super::packet::{Control, Diagnostic, State};

/// While a session is not up, nothing is sent more often than this, in microseconds
/// (section 6.8.3).
pub const SLOW: u32 = 1_000_000;

/// What the owner of a session wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// Send no more often than this, in microseconds; at least 1.
    pub desired_min_tx: u32,
    /// Be sent no more often than this, in microseconds; at least 1.
    pub required_min_rx: u32,
    /// So many packets of ours may be lost in a row; at least 1.
    pub detect_mult: u8,
}

/// A session went from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
}

/// What the other side last said.
#[derive(Debug, Clone, Copy)]
struct Remote {
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    desired_min_tx: u32,
    required_min_rx: u32,
    detect_mult: u8,
    demand: bool,
}

/// One side of a session. Its owner hands it what is received, asks for what is to be sent, and
/// comes back when [`Session::due`] says.
#[derive(Debug)]
pub struct Session {
    wanted: Intervals,
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    /// The values that are used, microseconds: they follow the wanted ones when section 6.8.3 says.
    tx: u32,
    rx: u32,
    /// A Poll Sequence is under way.
    polling: bool,
    /// The parameters changed while one was: the next one follows it.
    poll_again: bool,
    /// A poll is to be answered.
    answer: bool,
    /// When the last packet came.
    heard: Time,
    /// When the last periodic packet left, and what it said.
    sent: Time,
    said: Option<Control>,
    /// When the next one leaves, and the interval between them before jitter.
    next: Time,
    spacing: Nanos,
    random: u64,
}

impl Session {
    /// A session that begins at `now`, named `discriminator`: not zero, and no other session's.
    /// `seed` makes its jitter.
    #[must_use]
    pub fn new(wanted: Intervals, discriminator: u32, seed: u64, now: Time) -> Self {
        let mut session = Self {
            wanted,
            discriminator,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote {
                discriminator: 0,
                state: State::Down,
                diagnostic: Diagnostic::NONE,
                desired_min_tx: 0,
                required_min_rx: 1,
                detect_mult: 0,
                demand: false,
            },
            tx: wanted.desired_min_tx.max(SLOW),
            rx: wanted.required_min_rx,
            polling: false,
            poll_again: false,
            answer: false,
            heard: Time::ZERO,
            sent: now,
            said: None,
            next: now,
            spacing: 0,
            random: seed,
        };
        session.spacing = session.interval();
        session
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it last left the state up, until it is up again.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// The state that the other side last said.
    #[must_use]
    pub fn remote_state(&self) -> State {
        self.remote.state
    }

    /// The diagnostic that the other side last said.
    #[must_use]
    pub fn remote_diagnostic(&self) -> Diagnostic {
        self.remote.diagnostic
    }

    /// Our name for it.
    #[must_use]
    pub fn discriminator(&self) -> u32 {
        self.discriminator
    }

    /// The interval between packets we send, before jitter (section 6.8.2).
    #[must_use]
    pub fn interval(&self) -> Nanos {
        micros(self.tx.max(self.remote.required_min_rx))
    }

    /// How long nothing may be heard (section 6.8.4); zero before anything was.
    #[must_use]
    pub fn detection_time(&self) -> Nanos {
        let agreed = micros(self.rx.max(self.remote.desired_min_tx));
        u64::from(self.remote.detect_mult) * agreed
    }

    /// Takes in a packet that belongs to the session (section 6.8.6). One that names another
    /// session changes nothing.
    pub fn receive(&mut self, packet: &Control, now: Time) -> Option<Change> {
        if packet.yours != 0 && packet.yours != self.discriminator {
            return None;
        }
        self.remote = Remote {
            discriminator: packet.mine,
            state: packet.state,
            diagnostic: packet.diagnostic,
            desired_min_tx: packet.desired_min_tx,
            required_min_rx: packet.required_min_rx,
            detect_mult: packet.detect_mult,
            demand: packet.demand,
        };
        self.heard = now;
        if self.polling && packet.is_final {
            self.end_poll();
        }
        // A packet that says both asks for nothing (section 6.5).
        self.answer |= packet.poll && !packet.is_final && self.state != State::AdminDown;
        let change = match (self.state, packet.state) {
            (State::AdminDown, _) | (State::Down, State::AdminDown | State::Up) => None,
            (_, State::AdminDown) | (State::Up, State::Down) => {
                self.go(State::Down, Diagnostic::NEIGHBOR)
            }
            (State::Down, State::Down) => self.go(State::Init, self.diagnostic),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.go(State::Up, Diagnostic::NONE)
            }
            (State::Init, State::Down) | (State::Up, State::Init | State::Up) => None,
        };
        self.respace();
        change
    }

    /// Does what the time says: after the detection time, the other side is gone (section 6.8.4).
    pub fn expire(&mut self, now: Time) -> Option<Change> {
        if now < self.silent_at() {
            return None;
        }
        // Section 6.8.1, bfd.RemoteDiscr.
        self.remote.discriminator = 0;
        let is_there = matches!(self.state, State::Init | State::Up);
        let change = if is_there { self.go(State::Down, Diagnostic::EXPIRED) } else { None };
        self.respace();
        change
    }

    /// The next packet that is to leave at `now`: call it until there is none.
    pub fn transmit(&mut self, now: Time) -> Option<Control> {
        if std::mem::take(&mut self.answer) {
            return Some(Control { is_final: true, ..self.packet() });
        }
        let packet = self.packet();
        // Section 6.8.7: a packet that says something new does not wait.
        let is_news = self.said.is_some_and(|said| said != packet);
        if !self.is_periodic() || (now < self.next && !is_news) {
            return None;
        }
        (self.said, self.sent) = (Some(packet), now);
        self.next = now.after(self.jittered());
        Some(Control { poll: self.polling, ..packet })
    }

    /// When there is something to do without a packet received.
    #[must_use]
    pub fn due(&self) -> Time {
        if self.answer {
            return Time::ZERO;
        }
        let next = if self.is_periodic() { self.next } else { Time::NEVER };
        next.min(self.silent_at())
    }

    /// Takes it down, on purpose, or lets it begin again (section 6.8.16).
    pub fn administer(&mut self, down: bool) -> Option<Change> {
        match (down, self.state) {
            (true, State::AdminDown) => None,
            (true, _) => self.go(State::AdminDown, Diagnostic::ADMINISTRATIVE),
            (false, State::AdminDown) => self.go(State::Down, Diagnostic::NONE),
            (false, _) => None,
        }
    }

    /// Wants other intervals from now on (section 6.8.3).
    pub fn retune(&mut self, wanted: Intervals) {
        let before = (self.desired(), self.wanted.required_min_rx);
        self.wanted = wanted;
        self.changed(before);
        self.respace();
    }

    /// bfd.DesiredMinTxInterval.
    fn desired(&self) -> u32 {
        match self.state {
            State::Up => self.wanted.desired_min_tx,
            _ => self.wanted.desired_min_tx.max(SLOW),
        }
    }

    fn go(&mut self, to: State, diagnostic: Diagnostic) -> Option<Change> {
        let before = (self.desired(), self.wanted.required_min_rx);
        let from = std::mem::replace(&mut self.state, to);
        self.diagnostic = diagnostic;
        self.changed(before);
        Some(Change { from, to })
    }

    /// The parameters were `before`: what takes effect now, and whether the other side has to agree
    /// first (section 6.8.3).
    fn changed(&mut self, before: (u32, u32)) {
        let (desired, required) = (self.desired(), self.wanted.required_min_rx);
        if before == (desired, required) {
            return;
        }
        self.poll_again = self.polling;
        self.polling = true;
        let up = self.state == State::Up;
        if !up || desired < self.tx {
            self.tx = desired;
        }
        if !up || required > self.rx {
            self.rx = required;
        }
    }

    /// The other side answered our poll.
    fn end_poll(&mut self) {
        // It may have answered what we said before the last change.
        self.polling = std::mem::take(&mut self.poll_again);
        if !self.polling {
            (self.tx, self.rx) = (self.desired(), self.wanted.required_min_rx);
        }
    }

    /// Whether packets are sent of our own accord (section 6.8.7).
    fn is_periodic(&self) -> bool {
        let demand =
            self.remote.demand && (self.state, self.remote.state) == (State::Up, State::Up);
        self.remote.required_min_rx != 0 && (!demand || self.polling)
    }

    /// When the other side has been silent for too long.
    fn silent_at(&self) -> Time {
        match self.remote.discriminator {
            0 => Time::NEVER,
            _ => self.heard.after(self.detection_time()),
        }
    }

    /// What a periodic packet says, but for its poll bit.
    fn packet(&self) -> Control {
        Control {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: false,
            is_final: false,
            independent: false,
            demand: false,
            detect_mult: self.wanted.detect_mult,
            mine: self.discriminator,
            yours: self.remote.discriminator,
            desired_min_tx: self.desired(),
            required_min_rx: self.wanted.required_min_rx,
            required_min_echo: 0,
        }
    }

    /// Follows the interval at once when it became shorter (section 6.8.3).
    fn respace(&mut self) {
        let before = self.spacing;
        self.spacing = self.interval();
        let is_news = self.said.is_some_and(|said| said != self.packet());
        if is_news {
            self.next = self.sent;
        } else if self.spacing < before {
            self.next = self.next.min(self.sent.after(self.jittered()));
        }
    }

    /// The interval less up to a quarter; with a multiplier of 1, less at least a tenth
    /// (section 6.8.7).
    fn jittered(&mut self) -> Nanos {
        let (least, span) = if self.wanted.detect_mult == 1 { (100, 150) } else { (0, 250) };
        let less = least + self.draw() % (span + 1);
        self.spacing - self.spacing * less / 1_000
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

fn micros(micros: u32) -> Nanos {
    u64::from(micros) * MICROSECOND
}
