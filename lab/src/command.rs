//! A scenario as the command line that runs it: `compute-gateway lab --traffic .. --path ..`.

use std::fmt::{self, Write as _};

use config::units::{Bytes, Rate, Span};
use pipelines::gateway::{Numbering, Prefix, Sharing};

use crate::report::mode_name;
use crate::rnic::Timer;
use crate::scenario::{Bounds, PathScenario, Scenario, Source};
use crate::spread::Spread;
use crate::traffic::{Bursts, Plan, Traffic};

impl Scenario {
    /// The command that runs exactly this, but for what has no flag: an adaptive timer that is not
    /// the default one, and ICRCs that are not checked.
    #[must_use]
    pub fn command_line(&self) -> String {
        let mut line = String::from("compute-gateway lab");
        let mut flag = |name: &str, value: &dyn fmt::Display| {
            // Writing to a string cannot fail.
            let _ = write!(line, " --{name} {value}");
        };
        let usual = match &self.source {
            Source::Capture(capture) => {
                flag("input", &capture.input.display());
                for Prefix { address, length } in &capture.site_a {
                    flag("site-a", &format_args!("{address}/{length}"));
                }
                Bounds::default()
            }
            Source::Traffic(groups) => {
                groups.iter().for_each(|traffic| flag("traffic", traffic));
                Plan::of_all(groups, &self.paths).bounds()
            }
        };
        self.paths.iter().for_each(|path| flag("path", path));
        self.tenants.iter().for_each(|tenant| flag("tenant", tenant));
        self.wan_rate.iter().for_each(|rate| flag("wan-rate", rate));
        self.lan_rate.iter().for_each(|rate| flag("lan-rate", rate));
        self.changes.iter().for_each(|change| flag("change", change));
        self.restarts.iter().for_each(|restart| flag("restart", restart));
        self.pauses.iter().for_each(|pause| flag("pause", pause));
        self.strangers.iter().for_each(|rate| flag("strangers", rate));
        if self.numbering != Numbering::Tunnel {
            flag("mode", &mode_name(self.numbering));
        }
        let Bounds { replay_bytes, hold_bytes, replay_packets, hold_packets, mtu } = self.bounds;
        for (name, bytes, usual) in [
            ("replay-bytes", replay_bytes, usual.replay_bytes),
            ("hold-bytes", hold_bytes, usual.hold_bytes),
        ] {
            if bytes != usual {
                flag(name, &Bytes(bytes));
            }
        }
        for (name, packets) in [("replay-packets", replay_packets), ("hold-packets", hold_packets)]
        {
            if let Some(packets) = packets {
                flag(name, &packets);
            }
        }
        if self.sharing.spread != Sharing::default().spread {
            flag("spread", &Spread(self.sharing.spread));
        }
        if mtu != usual.mtu {
            flag("mtu", &mtu);
        }
        flag("seed", &self.seed);
        if !self.gateways {
            line += " --no-gateways";
        }
        line
    }
}

impl fmt::Display for PathScenario {
    /// As it is parsed; floating-point numbers are written so that they read back the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let does = &self.does;
        write!(f, "{}", self.name)?;
        if let Some(rate) = does.rate {
            write!(f, ",rate={}", Rate(rate))?;
        }
        if does.delay > 0 {
            write!(f, ",delay={}", Span(does.delay))?;
        }
        for (name, probability) in [
            ("loss", does.loss),
            ("reorder", does.reorder),
            ("duplicate", does.duplicate),
            ("corrupt", does.corrupt),
        ] {
            if probability > 0.0 {
                write!(f, ",{name}={probability}")?;
            }
        }
        if let Some(burst) = does.burst {
            write!(f, ",burst={burst}")?;
        }
        if let Some(interval) = self.bfd {
            write!(f, ",bfd={}", Span(interval))?;
        }
        if let Some(way) = &self.srv6 {
            write!(f, ",{}={way}", way.key())?;
        }
        for down in &does.down {
            write!(f, ",down={}..{}", Span(down.start), Span(down.end))?;
        }
        Ok(())
    }
}

impl fmt::Display for Traffic {
    /// As it is parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, qps, size, messages, timer, reads, retry, rnr, recreate, .. } = self;
        write!(f, "verb={},qps={qps},size={size},messages={messages}", verb.name())?;
        match timer {
            Timer::Fixed(power) => write!(f, ",timer={power}")?,
            Timer::Adaptive { .. } => write!(f, ",timer=adaptive")?,
        }
        write!(f, ",retry={retry},direction={}", self.direction.name())?;
        for (name, number) in [("reads", reads), ("rnr", rnr), ("recreate", recreate)] {
            if let Some(number) = number {
                write!(f, ",{name}={number}")?;
            }
        }
        if let Some(line) = self.line {
            write!(f, ",line={}", Rate(line))?;
        }
        if let [first, rest @ ..] = self.dscp.as_slice() {
            write!(f, ",dscp={first}")?;
            rest.iter().try_for_each(|point| write!(f, "+{point}"))?;
        }
        let usual = Self::default();
        if self.pmtu != usual.pmtu {
            write!(f, ",pmtu={}", self.pmtu.bytes())?;
        }
        if let Some(window) = self.window {
            write!(f, ",window={}", Bytes(window))?;
        }
        if !self.name.is_empty() {
            write!(f, ",name={}", self.name)?;
        }
        if self.priority != usual.priority {
            write!(f, ",priority={}", self.priority)?;
        }
        if self.start > 0 {
            write!(f, ",start={}", Span(self.start))?;
        }
        if self.dcqcn {
            write!(f, ",dcqcn=true")?;
        }
        if let Some(port) = self.port {
            write!(f, ",port={port}")?;
        }
        if self.hosts != usual.hosts {
            write!(f, ",hosts={}", self.hosts)?;
        }
        self.targets.iter().try_for_each(|targets| write!(f, ",targets={targets}"))?;
        self.bursts.iter().try_for_each(|Bursts { messages, every }| {
            write!(f, ",bursts={messages}@{}", Span(*every))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "verb=mix,qps=16,size=65536,messages=9,timer=14,retry=3,direction=both,reads=32,rnr=10,\
             recreate=4,line=25Gbps,port=49152",
            "verb=write,qps=2,size=1,messages=1,timer=17,retry=7,direction=ab,dscp=1+2,pmtu=1024,\
             window=1MiB,name=a,priority=4,start=5ms,dcqcn=true",
            "verb=read,qps=1,size=1,messages=1,timer=adaptive,retry=7,direction=ba",
            "verb=send,qps=64,size=1,messages=9,timer=17,retry=7,direction=ab,hosts=64,targets=1,\
             bursts=3@5ms",
        ] {
            assert_eq!(text.parse::<Traffic>().unwrap().to_string(), text);
        }
        for text in [
            "p",
            "p,rate=1Gbps,delay=2500us,loss=0.001,reorder=0.1,duplicate=0.02,corrupt=0.3,burst=2.5,\
             down=1ms..2ms,down=1s..1500ms",
            "p,srv6=direct",
            "p,bfd=10ms,srv6_red=2001:db8:c::1+2001:db8:c::2",
        ] {
            assert_eq!(text.parse::<PathScenario>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_usual_is_not_said() {
        let traffic: Traffic = "verb=write,messages=2".parse().unwrap();
        let mut scenario = Scenario::traffic(traffic, vec!["p1".parse().unwrap()], 3);
        let usual = "compute-gateway lab --traffic verb=write,qps=1,size=1048576,messages=2,\
                     timer=17,retry=7,direction=ab --path p1 --seed 3";
        assert_eq!(scenario.command_line(), usual);
        scenario.bounds.hold_bytes = 128 << 10;
        scenario.bounds.hold_packets = Some(64);
        scenario.changes = vec!["a@5ms,rate=1Gbps".parse().unwrap()];
        scenario.restarts = vec!["b@5ms".parse().unwrap()];
        scenario.numbering = Numbering::Transparent { check_icrc: true };
        scenario.sharing.spread = None;
        let said = " --change a@5ms,rate=1Gbps --restart b@5ms --mode transparent --hold-bytes 128KiB --hold-packets 64 \
                    --spread off";
        assert_eq!(scenario.command_line(), usual.replace(" --seed", &format!("{said} --seed")));
    }
}
