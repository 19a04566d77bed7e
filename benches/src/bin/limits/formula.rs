//! What is possible: formulas, and a table of what perfect retransmission would take.

use crate::matrix::{Case, RATE};

/// Bytes that a packet of 4096 takes on the line without gateways.
const LINE_BYTES: f64 = 4_178.0;

/// Packets that the line carries in a round trip, for each of `qps` queue pairs.
pub(crate) fn packets_under_way(rtt: u64, qps: f64) -> f64 {
    rtt as f64 * RATE as f64 / 8e9 / LINE_BYTES / qps
}

/// Where a gap makes a queue pair go back: of `ceiling`, what is left. A burst is one gap to whom
/// all of its packets belong; queue pairs take turns, so that several get their gap each.
pub(crate) fn go_back_n(case: Case, ceiling: f64) -> f64 {
    let gap = (case.burst.unwrap_or(1.0) / f64::from(case.qps)).max(1.0);
    let gaps = case.loss / gap;
    let m = packets_under_way(case.rtt(), case.qps.into());
    ceiling * (1.0 - case.loss) / (1.0 - case.loss + m * gaps)
}

/// Where only lost packets are sent again: of `ceiling`, what is left.
pub(crate) fn selective_repeat(case: Case, ceiling: f64) -> f64 {
    ceiling * (1.0 - case.loss)
}

/// Completion times in milliseconds: median, 99th and 99.9th percentile.
pub(crate) type Times = [f64; 3];

/// Ideal retransmission: every loss is known at once, each round of repair takes a round trip,
/// streams stay in order; 16 queue pairs fill 100 Gbit/s with messages of 1 MiB, and losses are
/// independent. By kilometres and loss.
const IDEAL: [(u32, f64, Times); 12] = [
    (100, 0.0, [2.34, 2.34, 2.34]),
    (100, 1e-4, [2.34, 2.93, 3.32]),
    (100, 1e-3, [2.34, 3.29, 3.34]),
    (100, 1e-2, [2.98, 3.78, 4.27]),
    (500, 0.0, [6.34, 6.34, 6.34]),
    (500, 1e-4, [6.34, 10.8, 11.2]),
    (500, 1e-3, [7.62, 11.3, 11.3]),
    (500, 1e-2, [11.0, 15.8, 16.3]),
    (1_000, 0.0, [11.3, 11.3, 11.3]),
    (1_000, 1e-4, [11.3, 20.7, 21.2]),
    (1_000, 1e-3, [17.5, 21.3, 28.5]),
    (1_000, 1e-2, [21.1, 30.8, 31.3]),
];

/// What ideal retransmission would take, where that was computed.
pub(crate) fn ideal(case: Case) -> Option<Times> {
    if case.qps != 16 || case.burst.is_some() {
        return None;
    }
    let same = |&&(km, loss, _): &&(u32, f64, Times)| (km, loss) == (case.km, case.loss);
    IDEAL.iter().find(same).map(|&(_, _, times)| times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Mode;

    #[test]
    fn one_gap_costs_a_round_trip() {
        let case = Case { mode: Mode::Bare, km: 1_000, qps: 1, loss: 1e-3, burst: None };
        // 9.8 ms are 29,320 packets of 334 ns.
        let of_all = go_back_n(case, 1.0);
        assert!((of_all - 0.999 / (0.999 + 29.32)).abs() < 1e-5, "{of_all}");
        let bursts = Case { burst: Some(5.0), ..case };
        let shared = Case { qps: 5, ..case };
        assert!(go_back_n(bursts, 1.0) > 4.0 * of_all);
        assert!((go_back_n(bursts, 1.0) - go_back_n(shared, 1.0)).abs() < 1e-12);
        let both = Case { qps: 5, ..bursts };
        assert_eq!(go_back_n(both, 1.0), go_back_n(shared, 1.0));
        assert_eq!(selective_repeat(case, 100.0), 99.9);
    }

    #[test]
    fn ideal_times_grow_with_loss() {
        let case = Case { mode: Mode::Tunnel, km: 500, qps: 16, loss: 1e-2, burst: None };
        assert_eq!(ideal(case), Some([11.0, 15.8, 16.3]));
        assert_eq!(ideal(Case { burst: Some(5.0), ..case }), None);
        assert_eq!(ideal(Case { loss: 1e-5, ..case }), None);
        for pair in IDEAL.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            assert!(pair[0].2.iter().zip(pair[1].2).all(|(less, more)| *less <= more));
        }
    }
}
