//! Paths over SRv6: the segments between the gateways, which each direction visits in its own order.

use std::fmt;
use std::net::Ipv6Addr;

use config::units::ValueError;
use pipelines::gateway::{MAX_SEGMENTS, Segments};
use pipelines::wire::srv6::visit;

const ETHERNET_LEN: usize = 14;
/// What a way over no other segments is called.
const DIRECT: &str = "direct";

/// How a path leads from one gateway to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Segments before the peer's SID, as they are visited from site A.
    pub by: Vec<Ipv6Addr>,
    /// Whether the first segment is in the destination address only (`H.Encaps.Red`).
    pub reduced: bool,
}

/// The SID of the gateway of `side`.
pub(crate) fn sid(side: usize) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xa + side as u16, 0, 0, 0, 0, 0xd46)
}

impl Way {
    /// Reads `direct`, or segments with `+` between them.
    pub(crate) fn read(text: &str, reduced: bool) -> Result<Self, ValueError> {
        let error = |what: String| ValueError {
            what,
            remedy: format!(
                "write \"{DIRECT}\", or up to {} segments, as 2001:db8:c::1+2001:db8:c::2",
                MAX_SEGMENTS - 1
            ),
        };
        if text == DIRECT {
            return Ok(Self { by: Vec::new(), reduced });
        }
        let segment = |part: &str| {
            let wrong = || error(format!("\"{}\" is no IPv6 address", part.escape_debug()));
            part.trim().parse().map_err(|_| wrong())
        };
        let by = text.split('+').map(segment).collect::<Result<Vec<Ipv6Addr>, _>>()?;
        if by.len() >= MAX_SEGMENTS {
            return Err(error(format!("{} segments, and the peer's SID", by.len())));
        }
        Ok(Self { by, reduced })
    }

    /// The segments from `side` to the other one.
    pub(crate) fn segments(&self, side: usize) -> Segments {
        let mut list = self.by.clone();
        if side != 0 {
            list.reverse();
        }
        list.push(sid(1 - side));
        Segments { list, reduced: self.reduced }
    }

    /// The key that says it.
    pub(crate) fn key(&self) -> &'static str {
        if self.reduced { "srv6_red" } else { "srv6" }
    }
}

impl fmt::Display for Way {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by.is_empty() {
            return f.write_str(DIRECT);
        }
        for (index, segment) in self.by.iter().enumerate() {
            write!(f, "{}{segment}", if index > 0 { "+" } else { "" })?;
        }
        Ok(())
    }
}

/// Whether a frame has segments to visit.
pub(crate) fn travels(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x86, 0xdd])
}

/// Lets a frame visit its segments, all but the last, which opens it.
pub(crate) fn travel(frame: &mut [u8]) {
    let packet = frame.get_mut(ETHERNET_LEN..).unwrap_or_default();
    // Fewer are left each time.
    while visit(packet) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_has_its_own_order() {
        let text = "2001:db8:c::1+2001:db8:c::2";
        let way = Way::read(text, true).unwrap();
        assert_eq!(way.to_string(), text);
        let [one, two] = way.by[..] else { panic!("{way:?}") };
        assert_eq!(way.segments(0), Segments { list: vec![one, two, sid(1)], reduced: true });
        assert_eq!(way.segments(1), Segments { list: vec![two, one, sid(0)], reduced: true });
        let direct = Way::read("direct", false).unwrap();
        assert_eq!(
            (direct.to_string().as_str(), direct.segments(0).list),
            ("direct", vec![sid(1)])
        );
    }

    #[test]
    fn what_is_no_way_is_refused() {
        let error = |text: &str| Way::read(text, false).unwrap_err().what;
        assert!(error("10.0.0.1").contains("\"10.0.0.1\" is no IPv6 address"));
        assert!(error("2001:db8::1+").contains("\"\" is no IPv6 address"));
        assert!(error(&["::1"; MAX_SEGMENTS].join("+")).contains("16 segments"));
    }
}
