//! Traffic as the command line writes it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use config::units::{Bytes, Rate, Span, ValueError};

use super::plan::MAX_READS;
use super::{Bursts, Direction, Mix, Traffic};
use crate::rnic::Timer;

/// Queue pairs at most; more have numbers that mean something else, and memory has an end.
const MAX_QPS: u64 = 1 << 14;
/// The longest message: a queue pair can number its packets, whatever their size.
const MAX_SIZE: u64 = 1 << 30;
/// Hosts of a group at a site: each has an octet of an address.
const MAX_HOSTS: u64 = 64;
/// Messages of all queue pairs: each is remembered in the report's quantiles.
const MAX_MESSAGES: u64 = 1 << 26;

/// What [`Traffic`]'s text may say.
const KEYS: [&str; 22] = [
    "verb",
    "qps",
    "size",
    "messages",
    "timer",
    "reads",
    "retry",
    "rnr",
    "recreate",
    "direction",
    "line",
    "dscp",
    "name",
    "priority",
    "start",
    "pmtu",
    "window",
    "dcqcn",
    "port",
    "hosts",
    "targets",
    "bursts",
];

/// Traffic that cannot be understood, or cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TrafficError(String);

impl FromStr for Traffic {
    type Err = TrafficError;

    /// `KEY=VALUE[,KEY=VALUE]..` with the keys verb, qps, size, messages, timer, reads, retry, rnr,
    /// recreate, direction, line, dscp, name, priority, start, pmtu, window, dcqcn, port, hosts,
    /// targets and bursts; all have defaults but verb.
    fn from_str(text: &str) -> Result<Self, TrafficError> {
        let mut traffic = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split(',') {
            let Some((key, value)) = part.split_once('=') else {
                let what = format!("\"{}\" is no KEY=VALUE", part.escape_debug());
                return Err(TrafficError(what));
            };
            let (key, value) = (key.trim(), value.trim());
            if seen.contains(&key) {
                return Err(TrafficError(format!("{key} is said twice")));
            }
            seen.push(key);
            if !KEYS.contains(&key) {
                let (key, known) = (key.escape_debug(), KEYS.join(", "));
                return Err(TrafficError(format!("{key}: not known; there are {known}")));
            }
            traffic.set(key, value).map_err(|error| TrafficError(format!("{key}: {error}")))?;
        }
        if !seen.contains(&"verb") {
            let verbs = names(&Mix::ALL);
            return Err(TrafficError(format!("verb: say what messages do: {verbs}")));
        }
        traffic.check().map_err(|error| TrafficError(format!("messages: {error}")))?;
        Ok(traffic)
    }
}

impl Traffic {
    /// Sets what `key` says: one of [`KEYS`]. The error is what is wrong with the value.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), ValueError> {
        match key {
            "verb" => self.verb = one_of(&Mix::ALL, value)?,
            "qps" => self.qps = number(value, 1..=MAX_QPS)? as u32,
            "size" => self.size = size(value)?,
            "messages" => self.messages = number(value, 1..=MAX_MESSAGES)? as u32,
            "timer" => self.timer = timer(value)?,
            "reads" => self.reads = Some(number(value, 1..=MAX_READS)? as u32),
            "retry" => self.retry = number(value, 0..=7)? as u8,
            "rnr" => self.rnr = Some(number(value, 2..=MAX_MESSAGES)? as u32),
            "recreate" => self.recreate = Some(number(value, 1..=MAX_MESSAGES)? as u32),
            "direction" => self.direction = one_of(&Direction::ALL, value)?,
            "line" => self.line = Some(line(value)?),
            "dscp" => self.dscp = value.split('+').map(code_point).collect::<Result<_, _>>()?,
            "name" => self.name = name(value)?,
            "priority" => self.priority = number(value, 0..=7)? as u8,
            "start" => self.start = value.parse().map(|Span(start)| start)?,
            "dcqcn" => self.dcqcn = truth(value)?,
            "port" => self.port = Some(number(value, 1..=u64::from(u16::MAX))? as u16),
            "hosts" => self.hosts = number(value, 1..=MAX_HOSTS)? as u32,
            "targets" => self.targets = Some(number(value, 1..=MAX_HOSTS)? as u32),
            "bursts" => self.bursts = Some(bursts(value)?),
            "pmtu" => self.pmtu = value.parse()?,
            "window" => self.window = Some(value.parse().map(|Bytes(bytes)| bytes)?),
            _ => return Err(wrong(key, format!("one of {}", KEYS.join(", ")))),
        }
        Ok(())
    }

    /// What no single value shows: what goes together, and how many messages there are in all.
    pub(crate) fn check(&self) -> Result<(), ValueError> {
        if self.recreate.is_some() && self.dscp.len() > 1 {
            let what = "queue pairs that are recreated have no code points of their own".into();
            return Err(ValueError { what, remedy: "leave out dscp or recreate".into() });
        }
        let hosts = self.hosts.max(self.targets.unwrap_or(1));
        if self.recreate.is_some() && (hosts > 1 || self.bursts.is_some()) {
            let what = "queue pairs that are recreated are of one host, and without bursts".into();
            return Err(ValueError { what, remedy: "leave out recreate, or the others".into() });
        }
        if hosts > self.qps {
            let what = format!("{hosts} hosts have {} queue pairs", self.qps);
            return Err(ValueError { what, remedy: "give each a queue pair".into() });
        }
        let total = self.total();
        if total <= MAX_MESSAGES {
            return Ok(());
        }
        let what = format!("{total} in all are too many");
        Err(ValueError { what, remedy: format!("at most {MAX_MESSAGES}") })
    }
}

fn one_of<T: Copy>(all: &[(&'static str, T)], value: &str) -> Result<T, ValueError> {
    let known = all.iter().find(|(name, _)| *name == value).map(|(_, known)| *known);
    known.ok_or_else(|| wrong(value, format!("one of {}", names(all))))
}

fn names<T>(all: &[(&'static str, T)]) -> String {
    all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn number(value: &str, range: RangeInclusive<u64>) -> Result<u64, ValueError> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| wrong(value, format!("a number, {} to {}", range.start(), range.end())))
}

fn truth(value: &str) -> Result<bool, ValueError> {
    value.parse().map_err(|_| wrong(value, "true or false"))
}

/// What the path of an expectation can name.
fn name(value: &str) -> Result<String, ValueError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    match !value.is_empty() && value.chars().all(plain) {
        true => Ok(value.to_owned()),
        false => Err(wrong(value, "letters, digits, \"-\" and \"_\"")),
    }
}

fn code_point(value: &str) -> Result<u8, ValueError> {
    number(value.trim(), 0..=63).map(|point| point as u8)
}

fn size(value: &str) -> Result<u32, ValueError> {
    // Bytes need no unit.
    let bytes = value.parse().or_else(|_| value.parse().map(|Bytes(bytes)| bytes));
    let bytes: u64 = bytes?;
    if !(1..=MAX_SIZE).contains(&bytes) {
        return Err(wrong(value, "from 1 byte to 1GiB"));
    }
    Ok(bytes as u32)
}

fn bursts(value: &str) -> Result<Bursts, ValueError> {
    let parts = value.split_once('@').and_then(|(messages, every)| {
        let messages = number(messages, 1..=MAX_MESSAGES).ok()? as u32;
        let Span(every) = every.parse().ok()?;
        (every > 0).then_some(Bursts { messages, every })
    });
    parts.ok_or_else(|| wrong(value, "messages and the time from one to the next, as 8@5ms"))
}

fn line(value: &str) -> Result<u64, ValueError> {
    let Rate(rate) = value.parse()?;
    if rate == 0 { Err(wrong(value, "above 0")) } else { Ok(rate) }
}

fn timer(value: &str) -> Result<Timer, ValueError> {
    if value == "adaptive" {
        let Timer::Fixed(configured) = Traffic::default().timer else { return Ok(Timer::Fixed(0)) };
        return Ok(Timer::adaptive(configured));
    }
    let power = number(value, 0..=31).map_err(|_| wrong(value, "\"adaptive\", or 0 to 31"))?;
    Ok(Timer::Fixed(power as u8))
}

fn wrong(value: &str, right: impl Display) -> ValueError {
    let what = format!("\"{}\"", value.escape_debug());
    ValueError { what, remedy: format!("has to be {right}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rnic::Verb;

    fn error(text: &str) -> String {
        text.parse::<Traffic>().unwrap_err().to_string()
    }

    #[test]
    fn all_that_can_be_said_is_understood() {
        let text = "verb=mix,qps=16,size=64KiB,messages=9,timer=14,reads=32,retry=3,rnr=10,\
                    recreate=5,direction=both,line=25G,name=a-1,priority=4,start=3ms,\
                    dcqcn=true";
        let bursts = "verb=send,qps=9,hosts=8,targets=1,bursts=3@5ms".parse::<Traffic>().unwrap();
        assert_eq!((bursts.hosts, bursts.targets), (8, Some(1)));
        assert_eq!(bursts.bursts, Some(Bursts { messages: 3, every: 5_000_000 }));
        let expected = Traffic {
            verb: Mix::Mixed,
            qps: 16,
            size: 65_536,
            messages: 9,
            timer: Timer::Fixed(14),
            reads: Some(32),
            retry: 3,
            rnr: Some(10),
            recreate: Some(5),
            direction: Direction::Both,
            line: Some(25_000_000_000),
            name: "a-1".into(),
            priority: 4,
            start: 3_000_000,
            dcqcn: true,
            ..Traffic::default()
        };
        assert_eq!(text.parse(), Ok(expected));
        let adaptive: Traffic = "verb=read,size=1,timer=adaptive".parse().unwrap();
        assert_eq!((adaptive.size, adaptive.timer), (1, Timer::adaptive(17)));
        assert_eq!(adaptive.message(0), (Verb::Read, 1));
        assert_eq!("verb=write".parse(), Ok(Traffic::default()));
    }

    #[test]
    fn errors_name_the_key_and_what_would_be_right() {
        for (text, why) in [
            ("", "\"\" is no KEY=VALUE"),
            ("qps=1", "verb: say what messages do: write, send, read, atomic, mix"),
            ("verb=push", "verb: \"push\": has to be one of write, send"),
            ("verb=write,verb=send", "verb is said twice"),
            ("verb=write,qp=1", "qp: not known; there are verb, qps"),
            ("verb=write,qps=0", "qps: \"0\": has to be a number, 1 to 16384"),
            ("verb=write,size=1mib", "size: unknown unit"),
            ("verb=write,size=2GiB", "size: \"2GiB\": has to be from 1 byte"),
            ("verb=write,messages=-1", "messages: \"-1\": has to be a number"),
            ("verb=write,qps=16384,messages=16384", "messages: 268435456 in all are too many"),
            ("verb=write,timer=32", "timer: \"32\": has to be \"adaptive\", or 0 to 31"),
            ("verb=write,reads=0", "reads: \"0\": has to be a number, 1 to 255"),
            ("verb=write,retry=8", "retry: \"8\": has to be a number, 0 to 7"),
            ("verb=write,rnr=1", "rnr: \"1\": has to be a number, 2 to"),
            ("verb=write,recreate=0", "recreate: \"0\": has to be a number, 1 to"),
            ("verb=write,name=a b", "name: \"a b\": has to be letters"),
            ("verb=write,priority=8", "priority: \"8\": has to be a number, 0 to 7"),
            ("verb=write,start=5", "start: "),
            ("verb=write,dcqcn=1", "dcqcn: \"1\": has to be true or false"),
            ("verb=write,hosts=65", "hosts: \"65\": has to be a number, 1 to 64"),
            ("verb=write,qps=2,hosts=3", "messages: 3 hosts have 2 queue pairs"),
            ("verb=write,qps=2,targets=3", "messages: 3 hosts have 2 queue pairs"),
            ("verb=write,bursts=1@0ms", "bursts: \"1@0ms\": has to be messages and the time"),
            ("verb=write,bursts=0@1ms", "bursts: \"0@1ms\": has to be messages and the time"),
            ("verb=write,bursts=5", "bursts: \"5\": has to be messages and the time"),
            ("verb=write,qps=2,hosts=2,recreate=1", "messages: queue pairs that are recreated"),
            ("verb=write,bursts=1@5ms,recreate=1", "messages: queue pairs that are recreated"),
            ("verb=write,direction=up", "direction: \"up\": has to be one of ab, ba, both"),
        ] {
            assert!(error(text).starts_with(why), "{}", error(text));
        }
    }
}
