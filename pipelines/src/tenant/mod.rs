//! Tenants: whose a packet is ([`Classifier`]), and how much memory each may take ([`Shares`]).
//!
//! A tenant is known by the *site's* side of a packet: the VLAN and the port on the LAN, the address
//! of the host at this site (the source of what comes from the LAN, the destination of what goes
//! there), the P_Key, the DSCP. So one packet has one value of each kind, both directions of a
//! queue pair are the same tenant's, and whether two tenants overlap does not depend on who talks to
//! whom.

mod classifier;
mod shares;

use std::net::IpAddr;

pub use classifier::{Classifier, MAX_COMBINATIONS};
pub use shares::{Share, Shares};

use crate::gateway::Prefix;

/// Tenants at most, besides the one that has what is nobody else's.
pub const MAX_TENANTS: usize = 4_096;

/// The tenant that has what is nobody else's.
pub const DEFAULT: u16 = 0;

/// The bits of a P_Key that name the partition; the other one says what kind of member uses it
/// (IBTA volume 1, section 10.9.1.1).
pub const PARTITION: u16 = 0x7fff;

/// A tenant. A gateway is told all of them in a list, of which the first is [`DEFAULT`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantSettings {
    /// Name in reports.
    pub name: String,
    /// Which packets are its own, unless they are an earlier tenant's.
    pub matches: Match,
    /// Bytes of packet buffers that it may have in a worker's replay buffer; `None`: all.
    pub replay_bytes: Option<u64>,
    /// Bytes of packet buffers that it may have in a worker's hold buffer, a peer; `None`: all.
    pub hold_bytes: Option<u64>,
}

/// Which packets are a tenant's: those that have one of the values of each kind that is given. A
/// kind without values does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// VLAN identifiers of the outermost tag; 0 for packets without.
    pub vlans: Vec<u16>,
    /// Where the host at this site is.
    pub prefixes: Vec<Prefix>,
    /// P_Keys, of which [`PARTITION`] counts.
    pub p_keys: Vec<u16>,
    /// Differentiated services code points, up to 63.
    pub dscp: Vec<u8>,
    /// LAN ports, by their index.
    pub ports: Vec<u8>,
}

/// What of a packet tenants are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traits {
    /// The LAN port.
    pub port: u8,
    /// The identifier of the outermost VLAN tag; 0 for none.
    pub vlan: u16,
    /// Of IP packets: the address of the host at this site, and the DSCP.
    pub ip: Option<(IpAddr, u8)>,
    /// Of RoCEv2 packets: the P_Key.
    pub p_key: Option<u16>,
}

impl Match {
    /// Whether it asks for anything at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { vlans, prefixes, p_keys, dscp, ports } = self;
        vlans.is_empty()
            && prefixes.is_empty()
            && p_keys.is_empty()
            && dscp.is_empty()
            && ports.is_empty()
    }

    /// Whether a packet is among them: what a [`Classifier`] does for all tenants at once.
    #[must_use]
    pub fn matches(&self, of: &Traits) -> bool {
        fn any<T>(values: &[T], mut is: impl FnMut(&T) -> bool) -> bool {
            values.is_empty() || values.iter().any(&mut is)
        }
        any(&self.vlans, |vlan| *vlan == of.vlan)
            && any(&self.ports, |port| *port == of.port)
            && any(&self.dscp, |dscp| of.ip.is_some_and(|(_, its)| its == *dscp))
            && any(&self.prefixes, |prefix| of.ip.is_some_and(|(host, _)| prefix.contains(host)))
            && any(&self.p_keys, |key| of.p_key.is_some_and(|its| (its ^ key) & PARTITION == 0))
    }

    /// How many combinations of values there are, one of each kind.
    fn combinations(&self) -> usize {
        let Self { vlans, prefixes, p_keys, dscp, ports } = self;
        [vlans.len(), prefixes.len(), p_keys.len(), dscp.len(), ports.len()]
            .into_iter()
            .fold(1, |product, count| product.saturating_mul(count.max(1)))
    }
}

/// Whether a gateway can be told these tenants.
///
/// # Errors
/// What is wrong with them, in a few words.
pub(crate) fn check(tenants: &[TenantSettings], ports: usize) -> Result<(), String> {
    if tenants.len() > MAX_TENANTS + 1 {
        return Err(format!("{} tenants: at most {MAX_TENANTS}", tenants.len() - 1));
    }
    for (index, TenantSettings { name, matches, .. }) in tenants.iter().enumerate() {
        let fail = |what: &str| Err(format!("tenant {name}: {what}"));
        if matches.is_empty() != (index == usize::from(DEFAULT)) {
            return fail("the first one, and no other, matches nothing in particular");
        }
        if matches.vlans.iter().any(|vlan| *vlan > 4_094) {
            return fail("a VLAN above 4094");
        }
        if matches.dscp.iter().any(|dscp| *dscp > 63) {
            return fail("a DSCP above 63");
        }
        if matches.ports.iter().any(|port| usize::from(*port) >= ports) {
            return fail("a port that there is not");
        }
    }
    let combinations = tenants.iter().skip(1).map(|tenant| tenant.matches.combinations());
    let combinations = combinations.fold(0usize, usize::saturating_add);
    if combinations > MAX_COMBINATIONS {
        return Err(format!(
            "the tenants' values make {combinations} combinations: at most {MAX_COMBINATIONS}"
        ));
    }
    Ok(())
}
