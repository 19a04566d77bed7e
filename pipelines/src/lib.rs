//! Decides about packets. Sans-IO: no sockets, no threads, no clock, no sleep; bytes and `now` in,
//! packets and timers out.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`backpressure`] | who is held back on whose word: stops between gateways, and their end |
//! | [`bfd`] | whether a path passes packets: bidirectional forwarding detection |
//! | [`flows`] | who sends how much: flows and subflows, elephants and mice |
//! | [`gateway`] | the pipeline of one worker: classify, encapsulate, recover, deliver |
//! | [`inspect`] | what is in a capture: streams, gaps, path MTUs, connections |
//! | [`local`] | the gateway's own addresses: ARP, neighbour discovery, ping; next hops |
//! | [`pfc`] | priority flow control with the next station of a port |
//! | [`queueing`] | a queue a tenant and class: what they hold, who leaves next, how fast |
//! | [`recovery`] | numbering, replay, gaps, order: the engine of loss recovery |
//! | [`steer`] | which worker a packet belongs to |
//! | [`tenant`] | whose a packet is, and what memory each may take |
//! | `shield` | keeps RNICs' repeats of what is still on its way off the wide area |
//! | `transparent` | the engine of loss recovery where PSNs are the numbers |
//! | [`tunnel`] | the tunnel header, the outer headers, authenticated control messages |
//! | [`wire`] | checked views and builders of the bytes on the wire |
//! | [`checksum`] | the Internet checksum |

#![forbid(unsafe_code)]

pub mod backpressure;
pub mod bfd;
pub mod checksum;
pub mod flows;
pub mod gateway;
pub mod inspect;
pub mod local;
pub mod paths;
pub mod pfc;
pub mod queueing;
pub mod recovery;
mod shield;
pub mod steer;
pub mod tenant;
mod transparent;
pub mod tunnel;
pub mod wire;
