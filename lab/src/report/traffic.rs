//! The traffic of a run, in its report.

use dataplane::time::Nanos;
use serde::Serialize;

use crate::rnic::Timer;
use crate::scenario::PathScenario;
use crate::traffic::{Plan, Traffic};

/// What RNICs were to do, as it was asked for and as it follows from the paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrafficReport {
    /// Its name; nothing where none is said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What messages do.
    pub verb: &'static str,
    /// Queue pairs.
    pub qps: u32,
    /// Bytes of a message that is no atomic.
    pub size: u32,
    /// Messages of a queue pair.
    pub messages: u32,
    /// Who asks.
    pub direction: &'static str,
    /// The largest payload of a packet.
    pub pmtu: u32,
    /// Bytes that a site may have under way.
    pub window_bytes: u64,
    /// Packets that a queue pair may have under way.
    pub window_packets: u32,
    /// READs and atomics that a queue pair may have outstanding.
    pub reads: u32,
    /// "fixed" or "adaptive".
    pub timer: &'static str,
    /// Power of two of the configured timeout, in units of 4.096 µs; 0 is never.
    pub timeout: u8,
    /// Timeouts without progress before a queue pair fails.
    pub retry: u8,
    /// Every so many messages that need a receive find none.
    pub rnr: Option<u32>,
    /// Messages after which a queue pair is destroyed and another one goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recreate: Option<u32>,
    /// Hosts at site A and at site B, if there is more than one at either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<[u32; 2]>,
    /// Nanoseconds from one burst to the next, and messages of a queue pair in each, if messages come
    /// in bursts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_every_ns: Option<Nanos>,
    /// See there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_messages: Option<u32>,
    /// Bits a second that a host sends at most.
    pub host_line_bps: u64,
}

impl TrafficReport {
    /// Of this traffic, at this place of all, over these paths.
    #[must_use]
    pub fn new(place: usize, traffic: &Traffic, paths: &[PathScenario]) -> Self {
        let plan = Plan::new(traffic, paths);
        let hosts = [0, 1].map(|side| traffic.hosts_at(side));
        let is_named = place > 0 || !traffic.name.is_empty();
        Self {
            name: if is_named { traffic.called(place) } else { String::new() },
            verb: traffic.verb.name(),
            qps: traffic.qps,
            size: traffic.size,
            messages: traffic.messages,
            direction: traffic.direction.name(),
            pmtu: traffic.pmtu.bytes(),
            window_bytes: plan.window_bytes,
            window_packets: plan.window_packets,
            reads: plan.reads,
            timer: match traffic.timer {
                Timer::Fixed(_) => "fixed",
                Timer::Adaptive { .. } => "adaptive",
            },
            timeout: traffic.timer.configured(),
            retry: traffic.retry,
            rnr: traffic.rnr,
            recreate: traffic.recreate,
            hosts: Some(hosts).filter(|hosts| *hosts != [1; 2]),
            burst_every_ns: traffic.bursts.map(|bursts| bursts.every),
            burst_messages: traffic.bursts.map(|bursts| bursts.messages),
            host_line_bps: plan.line_rate,
        }
    }
}
