//! Tenants as the command line writes them: `acme,vlan=7,replay_bytes=1MiB`.

use std::fmt;
use std::str::FromStr;

use config::advice;
use config::prefix::Prefix;
use config::units::{Bytes, Rate as Bits, Span};
use pipelines::gateway::{self, QueueSettings};
use pipelines::queueing::{Classes, Marking, Rate, TenantQueues, Thresholds};
use pipelines::tenant::{Match, TenantSettings};

use crate::pause::PRIORITY;
use crate::scenario::PathScenario;

/// A tenant of both gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantScenario {
    /// Whose packets are its own, and what it may have.
    pub settings: TenantSettings,
    /// Its part of what is short; 1 if none is said.
    pub weight: Option<u16>,
    /// The most it may send to the wide area, with a burst that suits it.
    pub rate: Option<Bits>,
    /// Bytes of its own in each of its queues; of lossless ones those for what comes after a stop, by
    /// default what `config check` says these have to be.
    pub reserved: Option<Bytes>,
    /// Where its queues say stop; without it they are lossy.
    pub xoff: Option<Bytes>,
    /// Bytes in a queue from which some of its packets are marked, and from which all are.
    pub ecn: [Option<Bytes>; 2],
    /// How often the gateway notifies a sender that it knows instead; never, if nothing is said.
    pub cnp: Option<Span>,
    /// The priority of its packets on the LANs; that of RDMA if none is said.
    pub priority: Option<u8>,
}

/// Queues of a lab: what may wait each way.
const POOL: u64 = 256 << 20;
const PACKETS: u32 = 1 << 16;
/// The largest frame on a LAN.
const FRAME: u64 = 9_216 + 22;
/// What a WAN port may be given at once: on the path it waits for less than what has hosts stop.
const WAN_BURST: u32 = 16 << 10;
/// As much as is left.
const ALPHA: u32 = 256;

/// A tenant that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tenant \"{0}\": {1}")]
pub struct TenantError(String, String);

/// The name of the tenant that has what is nobody else's.
const DEFAULT: &str = "default";

impl FromStr for TenantScenario {
    type Err = TenantError;

    /// `NAME[,KEY=VALUE]..` with the keys vlan, prefix, p_key, dscp - each may be repeated - and
    /// `replay_bytes`, `hold_bytes`, weight, rate, reserved, xoff, `ecn_min`, `ecn_max`,
    /// cnp, priority.
    fn from_str(text: &str) -> Result<Self, TenantError> {
        let fail = |what: String| TenantError(text.escape_debug().to_string(), what);
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default().trim();
        if name.is_empty() || name.contains('=') {
            return Err(fail("begin with a name, as in \"acme,vlan=7\"".into()));
        }
        let settings = TenantSettings { name: name.into(), ..TenantSettings::default() };
        let mut tenant = Self::of(settings);
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                return Err(fail(format!("\"{part}\" is no KEY=VALUE")));
            };
            let (key, value) = (key.trim(), value.trim());
            set(&mut tenant, key, value).map_err(|what| fail(format!("{key}: {what}")))?;
        }
        if tenant.settings.matches.is_empty() != (name == DEFAULT) {
            let what = match name {
                DEFAULT => "has what is nobody else's: give it bounds only",
                _ => "say which packets are its own, as vlan=7",
            };
            return Err(fail(what.into()));
        }
        match tenant.ecn {
            [Some(min), Some(max)] if min < max => Ok(tenant),
            [None, None] => Ok(tenant),
            _ => Err(fail("ecn_min goes with an ecn_max above it".into())),
        }
    }
}

/// Sets what `key` says; the error is what is wrong with the value.
fn set(tenant: &mut TenantScenario, key: &str, value: &str) -> Result<(), String> {
    let settings = &mut tenant.settings;
    let Match { vlans, prefixes, p_keys, dscp, .. } = &mut settings.matches;
    match key {
        "vlan" => vlans.push(number(value, 4_094)?),
        "p_key" => p_keys.push(number(value, 0xffff)?),
        "dscp" => dscp.push(number(value, 63)? as u8),
        "prefix" => {
            let prefix: Prefix = value.parse().map_err(|error| format!("{error}"))?;
            let (address, length) = (prefix.address(), prefix.length());
            prefixes.push(gateway::Prefix { address, length });
        }
        "replay_bytes" => settings.replay_bytes = Some(bytes(value)?),
        "hold_bytes" => settings.hold_bytes = Some(bytes(value)?),
        "weight" => tenant.weight = Some(weight(value)?),
        "rate" => tenant.rate = Some(rate(value)?),
        "reserved" => tenant.reserved = Some(Bytes(bytes(value)?)),
        "xoff" => tenant.xoff = Some(Bytes(bytes(value)?)),
        "ecn_min" => tenant.ecn[0] = Some(Bytes(bytes(value)?)),
        "ecn_max" => tenant.ecn[1] = Some(Bytes(bytes(value)?)),
        "cnp" => tenant.cnp = Some(value.parse().map_err(|error| format!("{error}"))?),
        "priority" => tenant.priority = Some(number(value, 7)? as u8),
        _ => {
            let known = "vlan, prefix, p_key, dscp, replay_bytes, hold_bytes, weight, rate, reserved, \
                         xoff, ecn_min, ecn_max, cnp, priority";
            return Err(format!("not known; there are {known}"));
        }
    }
    Ok(())
}

/// A number up to `most`, decimal or, as 0x8001, hexadecimal.
fn number(text: &str, most: u16) -> Result<u16, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number.filter(|number| *number <= most).ok_or_else(|| format!("write a number up to {most}"))
}

/// A part of what is short.
pub(crate) fn weight(text: &str) -> Result<u16, String> {
    Ok(number(text, TenantQueues::HEAVIEST)?.max(1))
}

/// A rate that a tenant can have.
pub(crate) fn rate(text: &str) -> Result<Bits, String> {
    let rate: Bits = text.parse().map_err(|error| format!("{error}"))?;
    let known = Rate::SLOWEST..=Rate::FASTEST;
    known.contains(&rate.0).then_some(rate).ok_or_else(|| "write a rate of 1M to 800G".into())
}

fn bytes(text: &str) -> Result<u64, String> {
    text.parse().map(|Bytes(bytes)| bytes).map_err(|error| format!("{error}"))
}

impl fmt::Display for TenantScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TenantSettings { name, matches, replay_bytes, hold_bytes } = &self.settings;
        write!(f, "{name}")?;
        matches.vlans.iter().try_for_each(|vlan| write!(f, ",vlan={vlan}"))?;
        for gateway::Prefix { address, length } in &matches.prefixes {
            write!(f, ",prefix={address}/{length}")?;
        }
        matches.p_keys.iter().try_for_each(|key| write!(f, ",p_key={key:#06x}"))?;
        matches.dscp.iter().try_for_each(|dscp| write!(f, ",dscp={dscp}"))?;
        for (key, bound) in [("replay_bytes", replay_bytes), ("hold_bytes", hold_bytes)] {
            if let Some(bytes) = bound {
                write!(f, ",{key}={}", Bytes(*bytes))?;
            }
        }
        self.weight.iter().try_for_each(|weight| write!(f, ",weight={weight}"))?;
        self.rate.iter().try_for_each(|rate| write!(f, ",rate={rate}"))?;
        self.reserved.iter().try_for_each(|bytes| write!(f, ",reserved={bytes}"))?;
        self.xoff.iter().try_for_each(|bytes| write!(f, ",xoff={bytes}"))?;
        for (key, bound) in ["ecn_min", "ecn_max"].iter().zip(self.ecn) {
            bound.iter().try_for_each(|bytes| write!(f, ",{key}={bytes}"))?;
        }
        self.cnp.iter().try_for_each(|interval| write!(f, ",cnp={interval}"))?;
        self.priority.iter().try_for_each(|priority| write!(f, ",priority={priority}"))
    }
}

/// What the gateways are told: the default tenant first, then these in their order; nothing if
/// there are none.
pub(crate) fn settings(tenants: &[TenantScenario]) -> Vec<TenantSettings> {
    in_order(tenants).into_iter().map(|tenant| tenant.settings).collect()
}

/// The priority of each on the LANs, in the order of the gateways; of the only one, if none are told
/// apart.
pub(crate) fn priorities(tenants: &[TenantScenario]) -> Vec<u8> {
    let all = in_order(tenants);
    let priority = |tenant: &TenantScenario| tenant.priority.unwrap_or(PRIORITY);
    if all.is_empty() { vec![PRIORITY] } else { all.iter().map(priority).collect() }
}

/// The tenants in the order of the gateways.
pub(crate) fn in_order(tenants: &[TenantScenario]) -> Vec<TenantScenario> {
    let (default, others): (Vec<_>, Vec<_>) =
        tenants.iter().cloned().partition(|tenant| tenant.settings.name == DEFAULT);
    let unnamed = || TenantSettings { name: DEFAULT.into(), ..TenantSettings::default() };
    let unnamed = || TenantScenario::of(unnamed());
    let first = default.into_iter().next().or_else(|| (!others.is_empty()).then(unnamed));
    first.into_iter().chain(others).collect()
}

/// The queues of a gateway with a LAN port of this rate, and a WAN port a path that together have
/// that one; none if nobody asks for any.
pub(crate) fn queues(
    tenants: &[TenantScenario],
    (lan_rate, wan_rate): (Option<Bits>, Option<Bits>),
    paths: &[PathScenario],
) -> Option<QueueSettings> {
    let rated = lan_rate.is_some() || wan_rate.is_some();
    if !rated && !tenants.iter().any(TenantScenario::asks_for_queues) {
        return None;
    }
    let wan_ports = paths.len();
    let mut all: Vec<_> = in_order(tenants).iter().map(|tenant| tenant.queues(paths)).collect();
    if all.is_empty() {
        all.push(TenantScenario::of(TenantSettings::default()).queues(paths));
    }
    let wan = wan_rate.map(|Bits(rate)| Rate {
        bits_per_second: rate / wan_ports.max(1) as u64,
        burst_bytes: WAN_BURST,
    });
    let lan = lan_rate.map(|Bits(rate)| Rate::of(rate));
    let port_rates = [lan].into_iter().chain(std::iter::repeat_n(wan, wan_ports)).collect();
    Some(QueueSettings {
        classes: Classes::default(),
        pool_bytes: POOL,
        packets: PACKETS,
        port_rates,
        tenants: all,
    })
}

impl TenantScenario {
    fn of(settings: TenantSettings) -> Self {
        Self {
            settings,
            weight: None,
            rate: None,
            reserved: None,
            xoff: None,
            ecn: [None; 2],
            cnp: None,
            priority: None,
        }
    }

    fn asks_for_queues(&self) -> bool {
        let Self { weight, rate, reserved, xoff, ecn, .. } = self;
        ecn[0].is_some()
            || weight.is_some()
            || rate.is_some()
            || reserved.is_some()
            || xoff.is_some()
    }

    /// Bits a second that it may send to the wide area, if that has a bound.
    pub(crate) fn bits_per_second(&self) -> Option<u64> {
        self.rate.map(|Bits(rate)| rate)
    }

    /// What `config check` says that its queues need after they said stop; nothing where they are
    /// lossy, or nobody knows how fast they fill.
    pub(crate) fn advised_headroom(&self, paths: &[PathScenario]) -> Option<Bytes> {
        self.xoff?;
        let all = paths.iter().map(|path| path.does.rate).sum();
        let rate = self.rate.or(Option::map(all, Bits))?;
        let delay = paths.iter().map(|path| path.does.delay).max().unwrap_or(0);
        Some(advice::headroom(rate, Span(2 * delay), FRAME))
    }

    /// When its packets are marked: at most one in a hundred before all are, as DCQCN has it.
    fn marking(&self) -> Option<Marking> {
        let [min, max] = self.ecn.map(|bound| bound.map(|Bytes(bytes)| bytes));
        let notify = self.cnp.map(|Span(interval)| interval);
        min.zip(max).map(|(min, max)| Marking { min, max, most: 10, notify })
    }

    /// What its queues are told: with an `xoff`, what is reserved is headroom.
    pub(crate) fn queues(&self, paths: &[PathScenario]) -> TenantQueues {
        let own = self.reserved.map(|Bytes(bytes)| bytes);
        let data = match self.xoff {
            None => Thresholds { reserved: own.unwrap_or(0), ..Thresholds::lossy(ALPHA) },
            Some(Bytes(xoff)) => {
                let advised = self.advised_headroom(paths).map(|Bytes(bytes)| bytes);
                let headroom = own.or(advised).unwrap_or(0);
                Thresholds { reserved: 0, alpha: ALPHA, headroom, xoff, xon: xoff / 2 }
            }
        };
        let thresholds = TenantQueues::per_class(Thresholds::lossy(ALPHA), data, 2);
        let rate = self.rate.map(|Bits(rate)| Rate::of(rate));
        TenantQueues { weight: self.weight.unwrap_or(1), rate, thresholds, marking: self.marking() }
    }
}

#[cfg(test)]
mod tests {
    use pipelines::queueing::Class;

    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "acme,vlan=7,vlan=8,prefix=10.0.0.0/8,p_key=0x8001,dscp=26,replay_bytes=1MiB,\
             hold_bytes=128KiB",
            "default,hold_bytes=1MiB",
            "a,dscp=1,weight=8,rate=10Gbps,reserved=64KiB,xoff=1MiB,ecn_min=100KiB,\
             ecn_max=1MiB,cnp=50us,priority=4",
        ] {
            assert_eq!(text.parse::<TenantScenario>().unwrap().to_string(), text);
        }
        let tenants = ["a,vlan=1", "default,hold_bytes=1MiB"].map(|text| text.parse().unwrap());
        let names: Vec<_> = settings(&tenants).into_iter().map(|tenant| tenant.name).collect();
        assert_eq!(names, ["default", "a"]);
        assert_eq!(settings(&tenants[..1])[0].hold_bytes, None);
        assert_eq!(settings(&[]), []);
        let paths = vec![PathScenario::default(); 2];
        assert_eq!(queues(&tenants, (None, None), &paths), None);
        let heavy = ["a,vlan=1,weight=8"].map(|text| text.parse().unwrap());
        let found = queues(&heavy, (None, Some(Bits(10_000_000_000))), &paths).unwrap();
        assert_eq!(found.tenants.iter().map(|of| of.weight).collect::<Vec<_>>(), [1, 8]);
        let each = Some(Rate { bits_per_second: 5_000_000_000, burst_bytes: WAN_BURST });
        assert_eq!(found.port_rates, [None, each, each]);
    }

    #[test]
    fn lossless_queues_have_the_headroom_that_a_check_asks_for() {
        let path: PathScenario = "p1,rate=10G,delay=2.5ms".parse().unwrap();
        let advised = |text: &str| {
            let tenant: TenantScenario = text.parse().unwrap();
            tenant.advised_headroom(std::slice::from_ref(&path)).map(|Bytes(bytes)| bytes)
        };
        // 10 Gbit/s times 5 ms, and two frames, in whole KiB.
        assert_eq!(advised("a,dscp=1,xoff=1MiB"), Some(6_122 << 10));
        assert_eq!(advised("a,dscp=1,xoff=1MiB,rate=1G"), Some(629 << 10));
        assert_eq!(advised("a,dscp=1,weight=2"), None);
        let tenants = ["a,dscp=1,xoff=1MiB".parse().unwrap()];
        let found = queues(&tenants, (None, None), std::slice::from_ref(&path)).unwrap();
        let bulk = found.tenants[1].thresholds[Class::BULK.index()];
        assert_eq!((bulk.headroom, bulk.xoff), (6_122 << 10, 1 << 20));
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (text, why) in [
            ("", "begin with a name"),
            ("a", "say which packets are its own"),
            ("default,vlan=1", "bounds only"),
            ("a,vlan=4095", "vlan: write a number up to 4094"),
            ("a,colour=1", "colour: not known; there are vlan, prefix"),
            ("a,vlan=1,ecn_min=5KiB", "ecn_min goes with an ecn_max above it"),
            ("a,vlan=1,ecn_min=5KiB,ecn_max=5KiB", "ecn_min goes with"),
            ("a,vlan", "\"vlan\" is no KEY=VALUE"),
        ] {
            let error = text.parse::<TenantScenario>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
