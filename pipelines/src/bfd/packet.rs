//! The control packet (RFC 5880, section 4.1): a checked view, and a builder.

use crate::wire::BuildError;

/// Bytes of a packet without authentication section, which is all that is sent.
pub const PACKET_LEN: usize = 24;
/// Bytes of the shortest packet with authentication section.
const AUTHENTICATED_LEN: usize = 26;
/// The version of the protocol.
const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// How a session stands (section 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum State {
    /// It is held down by its owner.
    AdminDown,
    /// Nothing is heard of the other side, or it hears nothing of us.
    #[default]
    Down,
    /// The other side is heard; whether it hears us is not known.
    Init,
    /// Both hear each other.
    Up,
}

impl State {
    /// What two bits of a packet say.
    fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    /// The name that reports use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AdminDown => "admin-down",
            Self::Down => "down",
            Self::Init => "init",
            Self::Up => "up",
        }
    }
}

/// Why a session last left the state up: a code of section 4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    /// No diagnostic.
    pub const NONE: Self = Self(0);
    /// Nothing was heard for the detection time.
    pub const EXPIRED: Self = Self(1);
    /// The other side said that it is down.
    pub const NEIGHBOR: Self = Self(3);
    /// The owner took it down.
    pub const ADMINISTRATIVE: Self = Self(7);

    /// The name that reports use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            0 => "none",
            1 => "detection time expired",
            2 => "echo failed",
            3 => "neighbour signalled down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            _ => "reserved",
        }
    }
}

/// What a packet says. Intervals are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// Why its sender last left the state up.
    pub diagnostic: Diagnostic,
    /// How its sender stands.
    pub state: State,
    /// It asks for an answer at once.
    pub poll: bool,
    /// It is that answer.
    pub is_final: bool,
    /// Its sender's packets do not stop when its control plane does.
    pub independent: bool,
    /// Its sender wants no periodic packets while both are up.
    pub demand: bool,
    /// So many packets may be lost in a row; never zero.
    pub detect_mult: u8,
    /// Its sender's name for the session; never zero.
    pub mine: u32,
    /// The name that its sender knows for ours; 0 if it knows none.
    pub yours: u32,
    /// Its sender would send no more often than this.
    pub desired_min_tx: u32,
    /// Its sender takes no more often than this; 0: it takes no periodic packets.
    pub required_min_rx: u32,
    /// Its sender takes echo packets no more often than this; 0: it takes none.
    pub required_min_echo: u32,
}

/// Why a packet is not listened to: the rules of RFC 5880, section 6.8.6, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It ends before its fields do.
    #[error("shorter than a control packet")]
    Short,
    /// Its version is not 1.
    #[error("version is not 1")]
    Version,
    /// Its length is below that of its fields, or above that of the datagram.
    #[error("length contradicts the datagram")]
    Length,
    /// Its detection multiplier is zero.
    #[error("detection multiplier is 0")]
    Multiplier,
    /// It is for several receivers at once.
    #[error("multipoint bit is set")]
    Multipoint,
    /// Its sender does not say which session it speaks of.
    #[error("its own discriminator is 0")]
    Discriminator,
    /// It knows no session of ours, and says that it is in one.
    #[error("our discriminator is 0 in a state that knows it")]
    State,
    /// It is authenticated, and nothing was agreed on.
    #[error("authentication, which is not in use")]
    Authentication,
}

impl Control {
    /// Reads the payload of a datagram.
    ///
    /// # Errors
    /// The first rule of section 6.8.6 that forbids to listen to it.
    pub fn read(payload: &[u8]) -> Result<Self, Refused> {
        let Some(bytes) = payload.first_chunk::<PACKET_LEN>() else { return Err(Refused::Short) };
        let [version, flags, detect_mult, length, ..] = *bytes;
        if version >> 5 != VERSION {
            return Err(Refused::Version);
        }
        let authenticated = flags & AUTHENTICATION != 0;
        let least = if authenticated { AUTHENTICATED_LEN } else { PACKET_LEN };
        if usize::from(length) < least || usize::from(length) > payload.len() {
            return Err(Refused::Length);
        }
        if detect_mult == 0 {
            return Err(Refused::Multiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(Refused::Multipoint);
        }
        let (words, _) = bytes.as_chunks::<4>();
        let word = |at: usize| words.get(at).map_or(0, |word| u32::from_be_bytes(*word));
        let (mine, yours, state) = (word(1), word(2), State::from_bits(flags >> 6));
        if mine == 0 {
            return Err(Refused::Discriminator);
        }
        if yours == 0 && state > State::Down {
            return Err(Refused::State);
        }
        if authenticated {
            return Err(Refused::Authentication);
        }
        Ok(Self {
            diagnostic: Diagnostic(version & 0x1f),
            state,
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            detect_mult,
            mine,
            yours,
            desired_min_tx: word(3),
            required_min_rx: word(4),
            required_min_echo: word(5),
        })
    }

    /// The packet's bytes.
    ///
    /// # Errors
    /// A diagnostic of more than five bits.
    pub fn bytes(&self) -> Result<[u8; PACKET_LEN], BuildError> {
        if self.diagnostic.0 > 0x1f {
            return Err(BuildError::Field("diagnostic"));
        }
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = (self.state as u8) << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.independent, CONTROL_PLANE_INDEPENDENT)
            | flag(self.demand, DEMAND);
        let first = [VERSION << 5 | self.diagnostic.0, flags, self.detect_mult, PACKET_LEN as u8];
        let words = [
            u32::from_be_bytes(first),
            self.mine,
            self.yours,
            self.desired_min_tx,
            self.required_min_rx,
            self.required_min_echo,
        ];
        let mut bytes = [0; PACKET_LEN];
        let (places, _) = bytes.as_chunks_mut::<4>();
        places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_be_bytes());
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn good() -> Control {
        Control {
            diagnostic: Diagnostic::EXPIRED,
            state: State::Up,
            poll: true,
            is_final: false,
            independent: false,
            demand: false,
            detect_mult: 3,
            mine: 0x0102_0304,
            yours: 0x0506_0708,
            desired_min_tx: 10_000,
            required_min_rx: 20_000,
            required_min_echo: 0,
        }
    }

    /// What becomes of the good packet with one byte changed.
    fn with(at: usize, value: u8) -> Result<Control, Refused> {
        let mut bytes = good().bytes().expect("fits");
        bytes[at] = value;
        Control::read(&bytes)
    }

    #[test]
    fn section_4_1_fields_lie_where_the_rfc_says() {
        let bytes = good().bytes().expect("fits");
        let expected = [
            0x21, 0xe0, 3, 24, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x27, 0x10, 0, 0, 0x4e, 0x20, 0, 0, 0,
            0,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(Control::read(&bytes), Ok(good()));
    }

    #[test]
    fn section_6_8_6_each_rule_refuses() {
        let bytes = good().bytes().expect("fits");
        assert_eq!(Control::read(&bytes[..23]), Err(Refused::Short));
        assert_eq!(with(0, 0x41), Err(Refused::Version));
        assert_eq!(with(3, 23), Err(Refused::Length));
        assert_eq!(with(3, 25), Err(Refused::Length));
        assert_eq!(with(2, 0), Err(Refused::Multiplier));
        assert_eq!(with(1, 0xc1), Err(Refused::Multipoint));
        let mut nobody = good();
        nobody.mine = 0;
        assert_eq!(Control::read(&nobody.bytes().expect("fits")), Err(Refused::Discriminator));
        for (state, allowed) in [
            (State::AdminDown, true),
            (State::Down, true),
            (State::Init, false),
            (State::Up, false),
        ] {
            let first = Control { yours: 0, state, ..good() };
            let read = Control::read(&first.bytes().expect("fits"));
            assert_eq!(read, if allowed { Ok(first) } else { Err(Refused::State) });
        }
    }

    #[test]
    fn section_6_8_6_authentication_is_refused_by_name() {
        assert_eq!(with(1, 0xc4), Err(Refused::Length), "24 bytes have no room for it");
        let mut long = good().bytes().expect("fits").to_vec();
        long.extend([1, 2]);
        (long[1], long[3]) = (0xc4, 26);
        assert_eq!(Control::read(&long), Err(Refused::Authentication));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_again(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = bytes;
            // Most random packets are refused by their first byte.
            bytes.iter_mut().take(1).for_each(|byte| *byte = 0x20 | *byte & 0x1f);
            if let Some(length) = bytes.get_mut(3) {
                *length = 24 + (*length & 1);
            }
            if let Ok(control) = Control::read(&bytes) {
                let written = control.bytes().expect("read from five bits");
                prop_assert_eq!(Control::read(&written), Ok(control));
                let same = bytes[..3] == written[..3] && bytes[4..24] == written[4..];
                prop_assert!(same, "{:?} {:?}", bytes, written);
            }
        }
    }
}
