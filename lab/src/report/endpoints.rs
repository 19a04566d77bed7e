//! What the hosts sent and received.

use dataplane::time::{MICROSECOND, Nanos, SECOND};
use serde::Serialize;

use super::gbps;
use crate::ledger::Account;

/// What the hosts sent and received. Sums over everything in both directions.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Endpoints {
    /// What became of messages, where RNICs carry them.
    #[serde(flatten)]
    pub messages: Option<MessageReport>,
    /// Frames sent.
    pub packets_sent: u64,
    /// Frames delivered: of a capture's each once, to RNICs whatever came.
    pub packets_delivered: u64,
    /// Bytes of the frames delivered, or of the messages completed.
    pub payload_bytes: u64,
    /// Those, in a second of the span from the start to the last of them.
    pub goodput_gbps: f64,
    /// What all paths carried in a second of that span, headers and repairs included.
    pub line_gbps: f64,
    /// Frames never delivered; to RNICs, packets that the application was not given although it
    /// was given later ones.
    pub missing: u64,
    /// Frames without a usable number that the wide area lost, where PSNs are the numbers: bare
    /// acknowledgements, datagrams, congestion notifications, management, repeats.
    pub unprotected_lost: u64,
    /// Frames received that nobody sent; packets given to the application with other bytes than
    /// the sender's.
    pub altered: u64,
    /// Frames that were not the next of their stream: ahead of missing ones, or late. RNICs count
    /// those ahead.
    pub out_of_sequence: u64,
    /// Frames received more often than they were sent; packets given to the application twice.
    pub duplicates: u64,
    /// Frames that a gateway absorbed: repeats of what was on its way; and those of a capture that
    /// end at the first port by their nature, which are not played.
    pub absorbed: u64,
    /// How often the play went on without frames that did not come.
    pub stalls: u64,
    /// Time from the start of the play to the last delivery; of messages, from the first packet
    /// of each to its completion.
    pub completion_us: Completion,
    /// What each pair of hosts did, where there are several or they have names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<PairReport>,
    /// What queue pairs of each code point did, where the traffic names some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_dscp: Vec<GroupReport>,
    /// Strangers beside them, where the scenario has some; they count nowhere else here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strangers: Option<StrangersReport>,
}

/// What queue pairs of a code point did.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct GroupReport {
    /// The code point of differentiated services.
    pub dscp: u8,
    /// Bytes of messages done.
    pub payload_bytes: u64,
    /// Those, in a second of the span to the last of them.
    pub goodput_gbps: f64,
    /// Per cent of all bytes that were its own when the first code point had nothing left to do:
    /// until then all were sending.
    pub share_percent: f64,
    /// From the first packet of each message to its completion.
    pub completion_us: Completion,
}

/// What a pair of hosts did.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PairReport {
    /// Its name.
    pub name: String,
    /// Messages done.
    pub messages_completed: u64,
    /// Bytes of those.
    pub payload_bytes: u64,
    /// Those, in a second of the span from its start to the last of them.
    pub goodput_gbps: f64,
    /// Per cent of all bytes that were its own when the first pair had nothing left to do, of those
    /// that have a hundredth of everything to carry or more.
    pub share_percent: f64,
    /// From the first packet of each message to its completion.
    pub completion_us: Completion,
    /// Request packets sent again.
    pub retransmitted_packets: u64,
    /// Congestion notifications that its hosts sent, and that made them slow down.
    pub np_cnp_sent: u64,
    /// See there.
    pub rp_cnp_handled: u64,
    /// When it was back after the first pause of its priority; nothing if there was none, it never
    /// was, or its messages ended too soon to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Resumed>,
}

/// From the end of a pause until as much came as before it, in every quarter of a round trip of the
/// eight that follow: 95 per cent of the mean of the two round trips before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Resumed {
    /// In microseconds.
    pub after_us: f64,
    /// In round trips of the longest path.
    pub round_trips: f64,
}

impl Resumed {
    /// Of a time, by a round trip of the longest path.
    pub(crate) fn new(after: Nanos, round_trip: Nanos) -> Self {
        let round_trips = after as f64 / round_trip.max(1) as f64;
        Self { after_us: after as f64 / MICROSECOND as f64, round_trips }
    }
}

impl PairReport {
    /// Of bytes done in a span, a share of all bytes, and how long each message took.
    pub(crate) fn new(bytes: u64, span: Nanos, share: f64, times: Vec<Nanos>) -> Self {
        Self {
            payload_bytes: bytes,
            goodput_gbps: gbps(bytes, span),
            share_percent: share * 100.0,
            completion_us: Completion::of(times),
            ..Self::default()
        }
    }
}

impl GroupReport {
    /// Of bytes done in a span, a share of all bytes, and how long each message took.
    #[must_use]
    pub fn new(dscp: u8, bytes: u64, span: Nanos, share: f64, times: Vec<Nanos>) -> Self {
        Self {
            dscp,
            payload_bytes: bytes,
            goodput_gbps: gbps(bytes, span),
            share_percent: share * 100.0,
            completion_us: Completion::of(times),
        }
    }
}

/// Packets of strangers: random addresses, ports and queue pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StrangersReport {
    /// Sent at site A.
    pub sent: u64,
    /// Arrived at site B.
    pub arrived: u64,
}

/// What became of messages, and what the RNICs of both sites counted.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct MessageReport {
    /// Messages to carry, those included that failed with their queue pair.
    pub messages_posted: u64,
    /// Messages done.
    pub messages_completed: u64,
    /// Messages that ended with the failure of their queue pair.
    pub messages_failed: u64,
    /// From the start to the last completion.
    pub span_us: f64,
    /// Messages done in a second of that span.
    pub operations_per_second: f64,
    /// Request packets sent again.
    pub retransmitted_packets: u64,
    /// Sequence NAKs sent.
    pub naks: u64,
    /// Refusals sent for lack of a receive.
    pub rnr_naks: u64,
    /// Timeouts.
    pub timeouts: u64,
    /// Requests received that had been executed before.
    pub repeated_requests: u64,
    /// Packets received with a wrong ICRC.
    pub icrc_errors: u64,
    /// Queue pairs that failed, each end counted.
    pub qp_errors: u64,
}

/// Quantiles of completion times in microseconds; of a capture, the play is the only sample.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Completion {
    /// Median.
    pub p50: f64,
    /// 99 of 100 are below.
    pub p99: f64,
    /// 999 of 1000 are below.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Endpoints {
    /// Of a capture: from both directions' accounts, the time of the last delivery and the bytes
    /// that took the lines of the wide area.
    #[must_use]
    pub fn of_play(account: Account, completion: Nanos, line_bytes: u64) -> Self {
        Self {
            packets_sent: account.sent,
            packets_delivered: account.delivered,
            missing: account.missing,
            unprotected_lost: account.unprotected_lost,
            altered: account.altered,
            out_of_sequence: account.out_of_sequence + account.late,
            duplicates: account.duplicates,
            completion_us: Completion::of(vec![completion]),
            ..Self::of_span(completion, account.delivered_bytes, line_bytes)
        }
    }

    /// Of messages: how long each of those that are done took, their bytes, and the time of the
    /// last.
    #[must_use]
    pub fn of_messages(
        messages: MessageReport,
        times: Vec<Nanos>,
        span: Nanos,
        payload_bytes: u64,
        line_bytes: u64,
    ) -> Self {
        let (seconds, done) = (span as f64 / SECOND as f64, times.len() as f64);
        let operations_per_second = if span == 0 { 0.0 } else { done / seconds };
        let span_us = span as f64 / MICROSECOND as f64;
        Self {
            messages: Some(MessageReport { span_us, operations_per_second, ..messages }),
            completion_us: Completion::of(times),
            ..Self::of_span(span, payload_bytes, line_bytes)
        }
    }

    fn of_span(span: Nanos, payload_bytes: u64, line_bytes: u64) -> Self {
        Self {
            payload_bytes,
            goodput_gbps: gbps(payload_bytes, span),
            line_gbps: gbps(line_bytes, span),
            ..Self::default()
        }
    }
}

impl Completion {
    /// The quantiles of these times: of each the smallest that is not exceeded by more than its
    /// part of them.
    #[must_use]
    pub fn of(mut times: Vec<Nanos>) -> Self {
        times.sort_unstable();
        let quantile = |per_mille: usize| {
            let rank = (times.len() * per_mille).div_ceil(1_000).max(1);
            times.get(rank - 1).map_or(0.0, |time| *time as f64 / MICROSECOND as f64)
        };
        Self { p50: quantile(500), p99: quantile(990), p999: quantile(999), max: quantile(1_000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_quantiles_are_those_of_the_play() {
        let account =
            Account { sent: 3, delivered: 2, delivered_bytes: 2_500, ..Account::default() };
        let endpoints = Endpoints::of_play(Account { late: 1, ..account }, 2_000, 5_000);
        assert_eq!((endpoints.goodput_gbps, endpoints.line_gbps), (10.0, 20.0));
        assert_eq!((endpoints.out_of_sequence, endpoints.completion_us.max), (1, 2.0));
        assert_eq!(Endpoints::of_play(account, 0, 0).goodput_gbps, 0.0);
    }

    #[test]
    fn quantiles_are_times_that_occurred() {
        let of = |times: &[Nanos]| {
            let Completion { p50, p99, p999, max } = Completion::of(times.to_vec());
            [p50, p99, p999, max]
        };
        assert_eq!(of(&[]), [0.0; 4]);
        assert_eq!(of(&[3_000, 1_000]), [1.0, 3.0, 3.0, 3.0]);
        let thousand: Vec<_> = (1..=1_000).rev().map(|us| us * MICROSECOND).collect();
        assert_eq!(of(&thousand), [500.0, 990.0, 999.0, 1_000.0]);
    }

    #[test]
    fn operations_are_those_done_in_the_span() {
        let posted = MessageReport { messages_posted: 9, ..MessageReport::default() };
        let ends = Endpoints::of_messages(posted, vec![5, 7], 1_000, 500, 1_000);
        let messages = ends.messages.unwrap();
        assert_eq!((messages.messages_posted, messages.operations_per_second), (9, 2e6));
        assert_eq!((ends.goodput_gbps, ends.line_gbps), (4.0, 8.0));
    }
}
