//! Authentication of control messages: a keyed MAC, keys for a session, a window against replay.
//!
//! The MAC is SipHash-2-4 with 128 bits of output, keyed with 128 bits: a pseudo-random function
//! (Aumasson and Bernstein, 2012) that takes some 60 ns for a message of an acknowledgement's size,
//! where HMAC-SHA-256 takes several times that; messages are sent every few dozen packets.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// Bytes of a MAC.
pub const MAC_LEN: usize = 16;

/// A key of 128 bits. Never printed.
#[derive(Clone, Copy)]
pub struct Key(u64, u64);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// The key of a pair of gateways, from what was configured.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Self {
        let mut key = Self(0x636f_6d70_7574_6567, 0x6174_6577_6179_2d31);
        // Every 16 bytes key the hash of all: no byte of a longer secret is lost.
        for chunk in secret.chunks(16) {
            let mut half = [0; 16];
            half.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            let number = u128::from_be_bytes(half);
            let keyed = Self(key.0 ^ (number >> 64) as u64, key.1 ^ number as u64);
            key = keyed.derive(secret);
        }
        key
    }

    /// A key for one purpose, which tells nothing of this one.
    #[must_use]
    pub fn derive(self, purpose: &[u8]) -> Self {
        let hash = self.hash(&[b"derive", purpose]);
        Self((hash >> 64) as u64, hash as u64)
    }

    /// The key of the direction from the gateway with nonce `from` to the one with nonce `to`.
    #[must_use]
    pub fn session(self, from: u64, to: u64) -> Self {
        let mut purpose = *b"session.................";
        purpose[8..16].copy_from_slice(&from.to_be_bytes());
        purpose[16..].copy_from_slice(&to.to_be_bytes());
        self.derive(&purpose)
    }

    /// What marks the packets of this session: 16 bits of the key's making.
    #[must_use]
    pub fn tag(self) -> u16 {
        self.hash(&[b"tag"]) as u16
    }

    /// The MAC of a message given in parts.
    #[must_use]
    pub fn mac(self, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        self.hash(parts).to_be_bytes()
    }

    /// Whether `mac` is the message's, compared in constant time.
    #[must_use]
    pub fn verify(self, parts: &[&[u8]], mac: &[u8]) -> bool {
        let expected = self.mac(parts);
        mac.len() == MAC_LEN && expected.iter().zip(mac).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
    }

    fn hash(self, parts: &[&[u8]]) -> u128 {
        let mut hasher = SipHasher24::new_with_keys(self.0, self.1);
        parts.iter().for_each(|part| hasher.write(part));
        hasher.finish128().as_u128()
    }
}

/// Words of the replay window.
const WORDS: usize = 16;
/// Numbers the window covers: paths of unequal length may overtake each other by that many.
pub const REPLAY_WINDOW: u64 = WORDS as u64 * 64;

/// Which message numbers have been seen (RFC 6479).
#[derive(Debug, Clone, Default)]
pub struct ReplayWindow {
    /// The highest number seen; 0 before any, since numbers begin at 1.
    highest: u64,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// Takes note of an authenticated message's number; `false` if it was seen before or is too
    /// old to tell.
    pub fn accept(&mut self, number: u64) -> bool {
        if number == 0 || number.saturating_add(REPLAY_WINDOW - 64) <= self.highest {
            return false;
        }
        let word = |number: u64| (number / 64) as usize % WORDS;
        if number > self.highest {
            let turned = (number / 64 - self.highest / 64).min(WORDS as u64);
            for ahead in 0..turned {
                self.seen[word(number - ahead * 64)] = 0;
            }
            self.highest = number;
        }
        let bit = 1 << (number % 64);
        let slot = &mut self.seen[word(number)];
        let fresh = *slot & bit == 0;
        *slot |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_depend_on_every_part() {
        let secret = [7u8; 33];
        let base = Key::from_secret(&secret);
        let message: &[&[u8]] = &[b"hello"];
        for index in 0..secret.len() {
            let mut other = secret;
            other[index] ^= 1;
            assert_ne!(Key::from_secret(&other).mac(message), base.mac(message), "byte {index}");
        }
        let session = base.session(1, 2);
        assert_ne!(session.mac(message), base.session(2, 1).mac(message));
        assert_ne!(session.mac(message), base.session(1, 3).mac(message));
        assert_eq!(format!("{base:?}"), "Key(..)");
    }

    #[test]
    fn a_changed_message_or_mac_is_refused() {
        let key = Key::from_secret(b"0123456789abcdef");
        let mac = key.mac(&[b"ab", b"c"]);
        assert!(key.verify(&[b"abc"], &mac));
        assert!(!key.verify(&[b"abd"], &mac));
        assert!(!key.verify(&[b"abc"], &mac[..15]));
        let mut wrong = mac;
        wrong[15] ^= 0x80;
        assert!(!key.verify(&[b"abc"], &wrong));
    }

    #[test]
    fn the_window_takes_each_number_once() {
        let mut window = ReplayWindow::default();
        assert!(!window.accept(0));
        assert!(window.accept(5) && window.accept(3) && !window.accept(5) && !window.accept(3));
        assert!(window.accept(5_000));
        assert!(!window.accept(4), "too old to tell");
        assert!(window.accept(4_500) && !window.accept(4_500));
        assert!(window.accept(u64::MAX - 64) && window.accept(u64::MAX - 65));
    }

    proptest! {
        /// No number is ever taken twice; recent ones are taken the first time.
        #[test]
        fn the_window_agrees_with_a_set(numbers in prop::collection::vec(1u64..4_000, 1..500)) {
            let mut window = ReplayWindow::default();
            let mut seen = std::collections::HashSet::new();
            let mut highest = 0;
            for number in numbers {
                let recent = number + REPLAY_WINDOW - 64 > highest;
                let fresh = seen.insert(number);
                let taken = window.accept(number);
                prop_assert_eq!(taken, fresh && recent);
                if !taken && !recent && fresh { seen.remove(&number); }
                highest = highest.max(number);
            }
        }
    }
}
