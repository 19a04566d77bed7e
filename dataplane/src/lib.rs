//! Moves packets: packet memory, ports, the run-to-completion worker, time and counters.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`memory`] | pools, packets of one or more segments, shared read-only frames |
//! | [`port`] | the port trait, transmit queues, and the drivers that need no device |
//! | [`afxdp`] | the port on a kernel interface: AF_XDP |
//! | `dpdk` | ports of DPDK, with the feature of that name |
//! | [`netdev`] | the kernel's network interfaces: what they are and how they stand |
//! | [`capture`] | capture files: pcap and pcapng, streamed |
//! | [`handover`] | rings between workers, and the port that hands over what is another's |
//! | [`worker`] | receive, decide, fire timers, send: one core |
//! | [`idle`] | what a worker does when nothing is to do |
//! | [`time`], [`wheel`], [`cycles`] | clocks, timers, what a stage costs |
//! | [`drops`] | the one enum of drop reasons, and its counters |
//!
//! `unsafe` is confined to [`memory`], to the rings of [`handover`], to the drivers of the kernel's
//! interfaces and to reading the cycle counter.

pub mod afxdp;
pub mod capture;
pub mod cycles;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod drops;
pub mod handover;
pub mod idle;
pub mod memory;
pub mod netdev;
pub mod port;
pub mod time;
pub mod wheel;
pub mod worker;
