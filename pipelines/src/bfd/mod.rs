//! Bidirectional forwarding detection (RFC 5880): whether a path passes packets, known within
//! milliseconds, and without a word of the traffic on it.
//!
//! Asynchronous mode, over one hop (RFC 5881) or several (RFC 5883). There is no demand mode of
//! our own, no echo and no authentication; a packet that has one is refused by name.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`packet`] | the control packet: a checked view, and a builder |
//! | [`session`] | the state machine of one session: packets and `now` in, packets and changes out |
//! | [`datagram`] | the headers around a packet, and what must be right in them |
//! | [`damping`] | when a path that came back is used again |

pub mod damping;
pub mod datagram;
pub mod packet;
pub mod session;
#[cfg(test)]
mod tests;
