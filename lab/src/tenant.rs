//! Tenants as the command line writes them: `acme,vlan=7,replay_bytes=1MiB`.

use std::fmt;
use std::str::FromStr;

use config::prefix::Prefix;
use config::units::Bytes;
use pipelines::gateway;
use pipelines::tenant::{Match, TenantSettings};

/// A tenant of both gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantScenario(pub TenantSettings);

/// A tenant that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tenant \"{0}\": {1}")]
pub struct TenantError(String, String);

/// The name of the tenant that has what is nobody else's.
const DEFAULT: &str = "default";

impl FromStr for TenantScenario {
    type Err = TenantError;

    /// `NAME[,KEY=VALUE]..` with the keys vlan, prefix, p_key, dscp - each may be repeated - and
    /// `replay_bytes`, `hold_bytes`.
    fn from_str(text: &str) -> Result<Self, TenantError> {
        let fail = |what: String| TenantError(text.escape_debug().to_string(), what);
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default().trim();
        if name.is_empty() || name.contains('=') {
            return Err(fail("begin with a name, as in \"acme,vlan=7\"".into()));
        }
        let mut settings = TenantSettings { name: name.into(), ..TenantSettings::default() };
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                return Err(fail(format!("\"{part}\" is no KEY=VALUE")));
            };
            let (key, value) = (key.trim(), value.trim());
            set(&mut settings, key, value).map_err(|what| fail(format!("{key}: {what}")))?;
        }
        if settings.matches.is_empty() != (name == DEFAULT) {
            let what = match name {
                DEFAULT => "has what is nobody else's: give it bounds only",
                _ => "say which packets are its own, as vlan=7",
            };
            return Err(fail(what.into()));
        }
        Ok(Self(settings))
    }
}

/// Sets what `key` says; the error is what is wrong with the value.
fn set(settings: &mut TenantSettings, key: &str, value: &str) -> Result<(), String> {
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
        _ => {
            let known = "vlan, prefix, p_key, dscp, replay_bytes, hold_bytes";
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

fn bytes(text: &str) -> Result<u64, String> {
    text.parse().map(|Bytes(bytes)| bytes).map_err(|error| format!("{error}"))
}

impl fmt::Display for TenantScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TenantSettings { name, matches, replay_bytes, hold_bytes } = &self.0;
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
        Ok(())
    }
}

/// What the gateways are told: the default tenant first, then these in their order; nothing if
/// there are none.
pub(crate) fn settings(tenants: &[TenantScenario]) -> Vec<TenantSettings> {
    let (default, others): (Vec<_>, Vec<_>) =
        tenants.iter().map(|tenant| tenant.0.clone()).partition(|tenant| tenant.name == DEFAULT);
    let unnamed = || TenantSettings { name: DEFAULT.into(), ..TenantSettings::default() };
    let first = default.into_iter().next().or_else(|| (!others.is_empty()).then(unnamed));
    first.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "acme,vlan=7,vlan=8,prefix=10.0.0.0/8,p_key=0x8001,dscp=26,replay_bytes=1MiB,\
             hold_bytes=128KiB",
            "default,hold_bytes=1MiB",
        ] {
            assert_eq!(text.parse::<TenantScenario>().unwrap().to_string(), text);
        }
        let tenants = ["a,vlan=1", "default,hold_bytes=1MiB"].map(|text| text.parse().unwrap());
        let names: Vec<_> = settings(&tenants).into_iter().map(|tenant| tenant.name).collect();
        assert_eq!(names, ["default", "a"]);
        assert_eq!(settings(&tenants[..1])[0].hold_bytes, None);
        assert_eq!(settings(&[]), []);
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (text, why) in [
            ("", "begin with a name"),
            ("a", "say which packets are its own"),
            ("default,vlan=1", "bounds only"),
            ("a,vlan=4095", "vlan: write a number up to 4094"),
            ("a,colour=1", "colour: not known; there are vlan, prefix"),
            ("a,vlan", "\"vlan\" is no KEY=VALUE"),
        ] {
            let error = text.parse::<TenantScenario>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
