//! When a tenant's packets are marked: told that their queue grows.

use crate::diagnostic::Report;
use crate::draft::TenantDraft;
use crate::units::{Bytes, Span};

/// When packets that can be told (RFC 3168) are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marking {
    /// Length of a queue from which some are.
    pub min: Bytes,
    /// Length from which all are; above `min`.
    pub max: Bytes,
    /// How likely one is just below `max`, in thousandths: 1 to 1,000.
    pub probability: u32,
    /// Instead of marks, senders that are known are notified, each once in this time at most.
    pub cnp: Option<Span>,
}

/// How likely that is, if nothing is said.
const PROBABILITY: u32 = 100;

/// A tenant's marking, if it asks for any; `None` if it is wrong.
pub(crate) fn check_marking(
    tenant: &TenantDraft,
    report: &mut Report<'_>,
) -> Option<Option<Marking>> {
    let of = &tenant.queue;
    let probability = of.ecn_probability.or(PROBABILITY)?;
    let keys = [
        ("ecn_min", of.ecn_min.is_absent(), of.ecn_min.at(tenant.at)),
        ("ecn_max", of.ecn_max.is_absent(), of.ecn_max.at(tenant.at)),
        ("ecn_probability", of.ecn_probability.is_absent(), of.ecn_probability.at(tenant.at)),
        ("cnp", of.cnp.is_absent(), of.cnp.at(tenant.at)),
    ];
    let Some((given, _, at)) = keys.iter().find(|(_, absent, _)| !absent) else {
        return Some(None);
    };
    if let Some((missing, ..)) = keys.iter().take(2).find(|(_, absent, _)| *absent) {
        let what = format!("\"{given}\" without \"{missing}\": both say when packets are marked");
        report.error(*at, what, format!("add {missing}, or remove {given}"));
        return None;
    }
    let (min, max) = (*of.ecn_min.given()?, *of.ecn_max.given()?);
    if min >= max {
        let what = format!("\"ecn_min\", {min}, is not below \"ecn_max\", {max}");
        report.error(of.ecn_min.at(tenant.at), what, "write a lower ecn_min");
        return None;
    }
    let cnp = of.cnp.given().copied();
    Some(Some(Marking { min, max, probability, cnp }))
}
