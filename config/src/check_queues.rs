//! Queues: whether lossless ones can be, and whether the pool holds what all of them have.
//!
//! A lossless queue says stop at `xoff`, and what its senders sent until they heard that still
//! comes: a round trip of its rate, and a frame at either end that had begun. That is its headroom.

use crate::advice;
use crate::check::DEFAULT_MTU;
use crate::check_peers::DEFAULT_RTT;
use crate::diagnostic::{Report, quoted};
use crate::document::Field;
use crate::draft::{Draft, PortDraft, QueueDraft, QueuesDraft, TenantDraft};
use crate::marking::check_marking;
use crate::model::{Queues, Role, Shape, Share, TenantQueue};
use crate::units::{Bytes, Rate, Span};

/// Ethernet header with a VLAN tag, and frame check sequence.
const ETHERNET: u64 = 18 + 4;
/// Bytes of frames that may wait each way, and packets, if the section does not say.
pub(crate) const POOL: Bytes = Bytes(64 << 20);
pub(crate) const PACKETS: u32 = 16_384;
/// Classes of data if none are given: latency and bulk.
const CLASSES: usize = 2;
/// Of what is free, in per cent, a queue may have as much as is left.
const ALPHA: u32 = 100;

/// The queues, if anything asks for some, `None` if any of it is wrong; and those of each tenant.
pub(crate) fn check_queues(
    draft: &Draft,
    report: &mut Report<'_>,
) -> (Option<Option<Queues>>, Vec<Option<TenantQueue>>) {
    for port in &draft.ports {
        check_rate(port, draft, report);
    }
    let tenants = draft.tenants.iter().map(|tenant| check_queue(tenant, draft, report));
    let tenants: Vec<_> = tenants.collect();
    (check_pool(&tenants, draft, report), tenants)
}

/// The pool holds what the tenants' queues have.
fn check_pool(
    tenants: &[Option<TenantQueue>],
    draft: &Draft,
    report: &mut Report<'_>,
) -> Option<Option<Queues>> {
    if !asked(draft) {
        let said = |of: &&QueuesDraft| !(of.pool_bytes.is_absent() && of.packets.is_absent());
        if let Some(of) = draft.queues.as_ref().filter(said) {
            let what = "no tenant and no port asks for queues: nothing waits";
            report.warn(of.at, what, "give a tenant a weight or a rate, or a port a rate");
        }
        return Some(None);
    }
    let (pool_bytes, packets) = match &draft.queues {
        None => (POOL, PACKETS),
        Some(of) => (of.pool_bytes.or(POOL)?, of.packets.or(PACKETS)?),
    };
    let classes = if draft.classes.is_empty() { CLASSES } else { draft.classes.len() };
    let mut own = 0u64;
    for queue in tenants {
        let queue = queue.as_ref()?;
        let each = queue.reserved.0.saturating_add(queue.headroom.0);
        own = own.saturating_add(each.saturating_mul(classes as u64));
    }
    if own > pool_bytes.0 {
        let at = draft.queues.as_ref().map_or(0, |of| of.pool_bytes.at(of.at));
        let own = Bytes(own.checked_next_multiple_of(1 << 20).unwrap_or(own));
        let what = format!(
            "the pool of the queues has {pool_bytes}; what is reserved of it and headroom, for {classes} \
             classes of each tenant, are {own}"
        );
        let remedy = format!("write pool_bytes = \"{own}\" or more in [queues]");
        report.error(at, what, remedy);
        return None;
    }
    Some(Some(Queues { pool_bytes, packets }))
}

/// Whether anything is to wait for its turn.
pub(crate) fn asked(draft: &Draft) -> bool {
    draft.ports.iter().any(|port| !port.rate.is_absent())
        || draft.tenants.iter().any(|tenant| !tenant.queue.is_absent())
}

/// Several WAN ports are served by one set of queues, at the sum of their rates.
fn check_rate(port: &PortDraft, draft: &Draft, report: &mut Report<'_>) {
    if let (Field::Given(_, at), Field::Absent) = (&port.burst, &port.rate) {
        report.error(*at, "the port has a \"burst\" and no \"rate\"", "add a rate, or remove it");
    }
    let is_wan = |port: &&PortDraft| port.role.given() == Some(&Role::Wan);
    let Field::Given(_, at) = &port.rate else { return };
    let mut others = draft.ports.iter().filter(is_wan);
    if is_wan(&port) && others.any(|other| other.rate.is_absent()) {
        let remedy = "give all WAN ports a rate, or none";
        report.error(*at, "other WAN ports have no \"rate\": they are served together", remedy);
    }
}

/// A tenant's queues, if nothing about them is wrong.
fn check_queue(
    tenant: &TenantDraft,
    draft: &Draft,
    report: &mut Report<'_>,
) -> Option<TenantQueue> {
    let of = &tenant.queue;
    let rate = match (&of.rate, &of.burst) {
        (Field::Absent, Field::Given(_, at)) => {
            let what = "the tenant has a \"burst\" and no \"rate\"";
            report.error(*at, what, "add a rate, or remove it");
            return None;
        }
        (Field::Absent, _) => None,
        (rate, burst) => Some(shape(rate, burst)?),
    };
    let lossless = of.lossless.or(false)?;
    let mut queue = TenantQueue {
        rate,
        weight: of.weight.or(1)? as u16,
        reserved: of.reserved.or(Bytes(0))?,
        alpha: of.alpha.or(ALPHA)?,
        headroom: Bytes(0),
        xoff: None,
        priority: of.priority.or(u32::MAX).map(|priority| u8::try_from(priority).ok())?,
        marking: check_marking(tenant, report)?,
    };
    if !lossless {
        for (name, field) in [("headroom", &of.headroom), ("xoff", &of.xoff), ("xon", &of.xon)] {
            if let Field::Given(_, at) = field {
                let what = format!("\"{name}\" is of lossless queues, and this tenant's are not");
                report.error(*at, what, "add lossless = true, or remove it");
                return None;
            }
        }
        return Some(queue);
    }
    let needed = needed_headroom(tenant, rate, draft, report)?;
    queue.headroom = of.headroom.or(needed)?;
    if queue.headroom < needed {
        let at = of.headroom.at(tenant.at);
        let what = format!(
            "a headroom of {} does not hold what still comes after a stop: a round trip of the rate \
             and two frames are {needed}",
            queue.headroom
        );
        report.error(at, what, format!("write headroom = \"{needed}\" or more, or no key"));
        return None;
    }
    let xoff = of.xoff.or(Bytes(needed.0.max(64 << 10)))?;
    let xon = of.xon.or(Bytes(xoff.0 / 2))?;
    if xon >= xoff {
        let at = of.xon.at(of.xoff.at(tenant.at));
        let what = format!("\"xon\", {xon}, is not below \"xoff\", {xoff}");
        report.error(at, what, "write a lower xon: half of xoff is usual");
        return None;
    }
    queue.xoff = Some((xoff, xon));
    Some(queue)
}

/// A rate and its burst.
pub(crate) fn shape(rate: &Field<Rate>, burst: &Field<Bytes>) -> Option<Shape> {
    let burst = match burst {
        Field::Wrong => return None,
        field => field.given().copied(),
    };
    Some(Shape { rate: *rate.given()?, burst })
}

/// What still comes to a tenant's queue after it said stop.
fn needed_headroom(
    tenant: &TenantDraft,
    rate: Option<Shape>,
    draft: &Draft,
    report: &mut Report<'_>,
) -> Option<Bytes> {
    let capacities = draft.paths.iter().map(|path| match path.share.given() {
        Some(Share::Capacity(rate)) => Some(rate.0),
        _ => None,
    });
    let all: Option<u64> = capacities.sum();
    let Some(rate) = rate.map(|shape| shape.rate.0).or(all) else {
        let name = tenant.name.given().map_or("", String::as_str);
        let what = format!(
            "the queues of {} are to be lossless, and how fast they fill is not known",
            quoted(name)
        );
        let remedy = "add a rate to the tenant, or capacity to all paths";
        report.error(tenant.queue.lossless.at(tenant.at), what, remedy);
        return None;
    };
    let rtt = draft.paths.iter().map(|path| path.rtt.or(DEFAULT_RTT));
    let Span(rtt) = rtt.collect::<Option<Vec<_>>>()?.into_iter().max().unwrap_or(DEFAULT_RTT);
    let frames = draft.ports.iter().filter_map(|port| port.mtu.or(DEFAULT_MTU));
    let frame = u64::from(frames.max().unwrap_or(DEFAULT_MTU)) + ETHERNET;
    Some(advice::headroom(Rate(rate), Span(rtt), frame))
}

impl QueueDraft {
    /// Whether it says nothing of queues.
    fn is_absent(&self) -> bool {
        self.rate.is_absent()
            && self.burst.is_absent()
            && self.weight.is_absent()
            && self.lossless.is_absent()
            && self.reserved.is_absent()
            && self.alpha.is_absent()
            && self.headroom.is_absent()
            && self.xoff.is_absent()
            && self.xon.is_absent()
            && self.priority.is_absent()
            && self.ecn_min.is_absent()
            && self.ecn_max.is_absent()
            && self.ecn_probability.is_absent()
            && self.cnp.is_absent()
    }
}
