//! MAC control frames that hold traffic back: PAUSE (IEEE 802.3, annex 31B) and priority flow
//! control (IEEE 802.1Q, clause 36).
//!
//! Times are in quanta of 512 bit times of the port. A new frame replaces what is left of the
//! time before; 0 lets traffic go on at once.

use super::ethernet::{self, MAC_CONTROL, MIN_FRAME_LEN, Mac};
use super::{BuildError, Malformed, room_for};

/// Where such frames go: to the next station, which does not forward them.
pub const DESTINATION: Mac = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x01];
/// MAC control opcode of PAUSE.
pub const PAUSE: u16 = 0x0001;
/// MAC control opcode of PFC.
pub const PFC: u16 = 0x0101;

/// Bytes of opcode, class-enable vector and times of PFC.
const PFC_LEN: usize = 20;

/// What a MAC control frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacControl {
    /// Hold everything back for this many quanta.
    Pause(u16),
    /// Hold priorities back, each for its own time.
    Pfc(Priorities),
}

/// The times of PFC. Priorities without one are left as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Priorities([Option<u16>; 8]);

impl Priorities {
    /// Quanta for which `priority` (0 to 7) is held back; `None` if nothing is said of it.
    #[must_use]
    pub fn get(&self, priority: u8) -> Option<u16> {
        self.0.get(usize::from(priority)).copied().flatten()
    }

    /// With `priority` (0 to 7) held back for so many quanta, 0 to let it go on. Other numbers
    /// change nothing.
    #[must_use]
    pub fn with(mut self, priority: u8, quanta: u16) -> Self {
        if let Some(time) = self.0.get_mut(usize::from(priority)) {
            *time = Some(quanta);
        }
        self
    }

    /// The priorities that something is said of, with their quanta.
    pub fn iter(&self) -> impl Iterator<Item = (u8, u16)> {
        (0..).zip(self.0).filter_map(|(priority, time)| time.map(|quanta| (priority, quanta)))
    }

    /// The class-enable vector: bit n for priority n.
    #[must_use]
    pub fn enabled(&self) -> u8 {
        self.iter().fold(0, |vector, (priority, _)| vector | 1 << priority)
    }
}

impl MacControl {
    /// Reads the payload of a frame of type [`MAC_CONTROL`]: what is behind the type.
    ///
    /// # Errors
    /// [`Malformed::Kind`] for other opcodes, [`Malformed::Truncated`] for less than the opcode's
    /// parameters. The padding is not looked at.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let (opcode, parameters) = payload.split_first_chunk().ok_or(Malformed::Truncated)?;
        match u16::from_be_bytes(*opcode) {
            PAUSE => {
                let quanta = parameters.first_chunk().ok_or(Malformed::Truncated)?;
                Ok(MacControl::Pause(u16::from_be_bytes(*quanta)))
            }
            PFC => {
                let parameters: &[u8; PFC_LEN - 2] =
                    parameters.first_chunk().ok_or(Malformed::Truncated)?;
                let [_, enabled, times @ ..] = parameters;
                let mut priorities = Priorities::default();
                for (priority, quanta) in (0..).zip(times.as_chunks().0) {
                    if enabled >> priority & 1 == 1 {
                        priorities = priorities.with(priority, u16::from_be_bytes(*quanta));
                    }
                }
                Ok(MacControl::Pfc(priorities))
            }
            _ => Err(Malformed::Kind),
        }
    }

    /// Writes the whole frame, padded to the least length of a frame, as a port with the address
    /// `source` sends it; returns its bytes.
    ///
    /// # Errors
    /// No room.
    pub fn write_frame(&self, source: Mac, buffer: &mut [u8]) -> Result<usize, BuildError> {
        let frame = room_for(buffer, MIN_FRAME_LEN)?;
        frame.fill(0);
        let header = ethernet::Header {
            destination: DESTINATION,
            source,
            tags: &[],
            ethertype: MAC_CONTROL,
        };
        let len = header.write(frame)?;
        let payload = frame.get_mut(len..).unwrap_or_default();
        let put = |payload: &mut [u8], words: &mut dyn Iterator<Item = u16>| {
            for (bytes, word) in payload.as_chunks_mut::<2>().0.iter_mut().zip(words) {
                *bytes = word.to_be_bytes();
            }
        };
        match self {
            MacControl::Pause(quanta) => put(payload, &mut [PAUSE, *quanta].into_iter()),
            MacControl::Pfc(priorities) => {
                let times = priorities.0.into_iter().map(Option::unwrap_or_default);
                let head = [PFC, u16::from(priorities.enabled())];
                put(payload, &mut head.into_iter().chain(times));
            }
        }
        Ok(MIN_FRAME_LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_opcodes_and_short_frames() {
        assert_eq!(MacControl::parse(&[0, 2, 0, 0]), Err(Malformed::Kind));
        assert_eq!(MacControl::parse(&[0, 1, 0]), Err(Malformed::Truncated));
        assert_eq!(MacControl::parse(&[1, 1, 0, 8, 0]), Err(Malformed::Truncated));
        assert_eq!(MacControl::parse(&[1]), Err(Malformed::Truncated));
    }

    #[test]
    fn times_of_priorities_that_are_not_enabled_mean_nothing() {
        let mut payload = [0xff; 46];
        payload[..4].copy_from_slice(&[1, 1, 0, 0b0010_0001]);
        let expected = Priorities::default().with(0, 0xffff).with(5, 0xffff);
        assert_eq!(MacControl::parse(&payload), Ok(MacControl::Pfc(expected)));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            times in prop::array::uniform8(prop::option::of(any::<u16>())),
            quanta in any::<u16>(),
            room in 0usize..80,
        ) {
            for control in [MacControl::Pause(quanta), MacControl::Pfc(Priorities(times))] {
                let mut buffer = [0xaa; 80];
                let written = control.write_frame([2; 6], &mut buffer[..room]);
                prop_assert_eq!(written.is_ok(), room >= MIN_FRAME_LEN);
                if let Ok(len) = written {
                    let frame = ethernet::View::parse(&buffer[..len]).expect("a frame");
                    prop_assert_eq!((frame.destination(), frame.source()), (DESTINATION, [2; 6]));
                    prop_assert_eq!(frame.ethertype(), MAC_CONTROL);
                    prop_assert_eq!(MacControl::parse(frame.payload()), Ok(control));
                }
            }
        }
    }
}
