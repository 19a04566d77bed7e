//! From the document: what SRv6 needs to know.

use std::net::Ipv6Addr;

use toml_edit::Value;

use crate::diagnostic::{Report, quoted};
use crate::document::{Entries, Field};
use crate::draft::EncapsulationDraft;
use crate::model::Encapsulation;
use crate::units::ValueError;

/// Most segments of a path: what the gateway's headers have room for.
const MAX_SEGMENTS: usize = 16;

/// The words for encapsulations.
#[derive(Clone, Copy)]
enum Word {
    Udp,
    Srv6 { reduced: bool },
}

/// `sid` of the gateway.
pub(crate) fn read_sid(entries: &Entries<'_>, report: &mut Report<'_>) -> Field<Ipv6Addr> {
    entries.text("sid", report).and_then(report, |text| segment("\"sid\"", text))
}

/// `encapsulation` and `segments` of a path.
pub(crate) fn read_encapsulation(
    entries: &Entries<'_>,
    report: &mut Report<'_>,
) -> Option<EncapsulationDraft> {
    let words = [
        ("udp", Word::Udp),
        ("srv6", Word::Srv6 { reduced: false }),
        ("srv6-red", Word::Srv6 { reduced: true }),
    ];
    let word = entries.choice("encapsulation", &words, report);
    let segments = entries.list("segments", report, read_segment);
    let at = segments.at(entries.at);
    match (word, segments) {
        (Field::Wrong, _) | (_, Field::Wrong) => None,
        (Field::Absent | Field::Given(Word::Udp, _), Field::Absent) => {
            Some(EncapsulationDraft { at, segments: Vec::new(), means: Encapsulation::Udp })
        }
        (Field::Absent | Field::Given(Word::Udp, _), Field::Given(..)) => {
            let what = "the path has segments, and no SRv6";
            report.error(at, what, "add encapsulation = \"srv6\", or remove the key");
            None
        }
        (Field::Given(Word::Srv6 { .. }, at), Field::Absent) => {
            let what = "the path has SRv6, and no segments";
            report.error(at, what, "add segments = [\"2001:db8:b::d46\"], the peer's SID the last");
            None
        }
        (Field::Given(Word::Srv6 { reduced }, _), Field::Given(segments, _)) => {
            if !(1..=MAX_SEGMENTS).contains(&segments.len()) {
                let what = format!("the path has {} segments", segments.len());
                report.error(
                    at,
                    what,
                    format!("write 1 to {MAX_SEGMENTS}, the peer's SID the last"),
                );
                return None;
            }
            let list = segments.iter().map(|(segment, _)| *segment).collect();
            let means = Encapsulation::Srv6 { segments: list, reduced };
            Some(EncapsulationDraft { at, segments, means })
        }
    }
}

fn read_segment(value: &Value) -> Result<Ipv6Addr, ValueError> {
    match value.as_str() {
        Some(text) => segment("an element of \"segments\"", text),
        None => Err(ValueError {
            what: "an element of \"segments\" is no string".into(),
            remedy: "write it as in: segments = [\"2001:db8:b::d46\"]".into(),
        }),
    }
}

/// A segment identifier: an address that packets can be sent to, of one place.
fn segment(name: &str, text: &str) -> Result<Ipv6Addr, ValueError> {
    let error = |what: &str| ValueError {
        what: format!("{name} is {}: {what}", quoted(text)),
        remedy: "write an IPv6 address of one host, as in \"2001:db8:b::d46\"".into(),
    };
    let address: Ipv6Addr = text.parse().map_err(|_| error("no IPv6 address"))?;
    // Multicast is no place, and link-local ones mean nothing behind a router.
    let link_local = address.segments()[0] & 0xffc0 == 0xfe80;
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() || link_local {
        return Err(error("no address that a segment can have"));
    }
    Ok(address)
}
