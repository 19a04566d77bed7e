//! `[[class]]`: the classes of a tenant's data, the most urgent first.

use crate::diagnostic::{Report, quoted};
use crate::document::{Entries, Field};
use crate::draft::Draft;
use crate::read_tenants::read_dscp;

/// Most of them: with signalling as many as a LAN has priorities.
const MOST: usize = 7;

/// A class of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataClass {
    /// Name in messages.
    pub name: String,
    /// Its code points; of the last one those, too, that no class names.
    pub dscp: Vec<u8>,
    /// Its priority on the LAN, of tenants that say none: 0 to 7.
    pub priority: Option<u8>,
}

/// `[[class]]`, read.
pub(crate) struct ClassDraft {
    pub(crate) at: usize,
    pub(crate) name: Field<String>,
    pub(crate) dscp: Field<Vec<u32>>,
    pub(crate) priority: Field<u32>,
}

pub(crate) fn read_class(entries: &Entries<'_>, report: &mut Report<'_>) -> ClassDraft {
    ClassDraft {
        at: entries.at,
        name: entries.owned("name", report),
        dscp: read_dscp(entries, report),
        priority: entries.count("priority", 0..=7, report),
    }
}

/// The classes as they are to be, none if none are given; nothing if any of them is wrong.
pub(crate) fn check_classes(draft: &Draft, report: &mut Report<'_>) -> Option<Vec<DataClass>> {
    let classes = &draft.classes;
    if let Some(over) = classes.get(MOST) {
        let what = format!("{} classes of data: there are {MOST} at most", classes.len());
        report.error(over.at, what, "let the last one have what the others have not");
        return None;
    }
    let mut taken: Vec<(u32, &str)> = Vec::new();
    let mut built = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        let name = class.name.given().map_or("", String::as_str);
        let points = class.dscp.or(Vec::new())?;
        if points.is_empty() && index + 1 < classes.len() {
            let what = format!("the class {} has no code point", quoted(name));
            report.error(class.at, what, "add dscp; only the last class has what no other names");
        }
        for point in &points {
            if let Some((_, other)) = taken.iter().find(|(of, _)| of == point) {
                let what =
                    format!("the code point {point} is the class {}'s already", quoted(other));
                report.error(class.dscp.at(class.at), what, "name it once");
            }
            taken.push((*point, name));
        }
        let priority = match class.priority {
            Field::Absent => None,
            _ => Some(u8::try_from(*class.priority.given()?).ok()?),
        };
        let dscp = points.iter().map(|point| *point as u8).collect();
        built.push(DataClass { name: class.name.given()?.clone(), dscp, priority });
    }
    Some(built)
}
