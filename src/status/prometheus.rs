//! The status as Prometheus reads it: text exposition format, version 0.0.4.

use std::fmt::{self, Write};

use super::{Status, Traffic};

/// Labels of a sample.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// A metric: its name, kind and help, and how to get it.
type Figure<S, V> = (&'static str, &'static str, &'static str, fn(&S) -> V);

/// The metrics of one gateway.
struct Page<'a> {
    output: &'a mut dyn Write,
}

impl Page<'_> {
    /// Begins a metric: all of its samples follow.
    fn metric(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.output, "# HELP compute_gateway_{name} {help}")?;
        writeln!(self.output, "# TYPE compute_gateway_{name} {kind}")
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl fmt::Display) -> fmt::Result {
        write!(self.output, "compute_gateway_{name}")?;
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(self.output, "{before}{label}=\"{}\"", escaped(text))?;
        }
        let after = if labels.is_empty() { "" } else { "}" };
        writeln!(self.output, "{after} {value}")
    }

    /// Two metrics, packets and bytes, of the same labels.
    fn traffic<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Vec<(&'l str, &'l str)>, Traffic)> + Clone,
    ) -> fmt::Result {
        for unit in ["packets", "bytes"] {
            let full = format!("{name}_{unit}_total");
            self.metric(&full, "counter", &format!("{help} ({unit})."))?;
            for (labels, traffic) in samples.clone() {
                let value = if unit == "packets" { traffic.packets } else { traffic.bytes };
                self.sample(&full, &labels, value)?;
            }
        }
        Ok(())
    }
}

/// A label's value: the format escapes backslash, quote and line end.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Writes every figure of the status.
///
/// # Errors
/// Those of the output.
pub(crate) fn write_prometheus(status: &Status, output: &mut dyn Write) -> fmt::Result {
    let mut page = Page { output };
    page.metric("info", "gauge", "The gateway; always 1.")?;
    page.sample("info", &[("gateway", &status.gateway), ("version", &status.version)], 1)?;
    page.metric("uptime_seconds", "gauge", "Since it began.")?;
    page.sample("uptime_seconds", &[], status.uptime_seconds)?;
    page.metric("draining", "gauge", "Whether it was told to end.")?;
    page.sample("draining", &[], u8::from(status.state == "draining"))?;
    let of = &status.configuration;
    for (name, kind, help, value) in [
        ("config_generation", "gauge", "Of the configuration in force.", of.generation),
        ("config_changes_total", "counter", "Keys that changed while it runs.", of.changed),
        ("config_refused_total", "counter", "Changes refused, each whole.", of.refused),
    ] {
        page.metric(name, kind, help)?;
        page.sample(name, &[], value)?;
    }
    ports(&mut page, status)?;
    peers(&mut page, status)?;
    paths(&mut page, status)?;
    neighbours(&mut page, status)?;
    workers(&mut page, status)?;
    tenants(&mut page, status)?;
    flows(&mut page, status)?;
    let drops = status.workers.iter().flat_map(|worker| {
        worker
            .drops
            .iter()
            .map(move |(reason, traffic)| (worker.worker.to_string(), reason, traffic))
    });
    let drops: Vec<_> = drops.collect();
    page.traffic(
        "drops",
        "Dropped, by worker and reason",
        drops.iter().map(|(worker, reason, traffic)| {
            (vec![("worker", worker.as_str()), ("reason", reason.as_str())], **traffic)
        }),
    )?;
    page.metric("events_total", "counter", "What the gateway counted, by name.")?;
    for (name, value) in &status.counters {
        page.sample("events_total", &[("event", name)], value)?;
    }
    Ok(())
}

fn ports(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    page.metric("port_info", "gauge", "A port and the mode its driver obtained; always 1.")?;
    for port in &status.ports {
        let labels = [
            ("port", port.name.as_str()),
            ("role", &port.role),
            ("driver", &port.driver),
            ("device", &port.device),
            ("mode", &port.mode),
        ];
        page.sample("port_info", &labels, 1)?;
    }
    page.metric("port_link_up", "gauge", "Whether the link of a port is up.")?;
    for port in &status.ports {
        if let Some(link) = port.link {
            page.sample("port_link_up", &[("port", &port.name)], u8::from(link))?;
        }
    }
    let of = |pick: fn(&super::PortStatus) -> Traffic| {
        status.ports.iter().map(move |port| (vec![("port", port.name.as_str())], pick(port)))
    };
    page.traffic("port_rx", "Received by a port", of(|port| port.rx))?;
    page.traffic("port_tx", "Sent by a port", of(|port| port.tx))?;
    page.metric("port_rx_missed_total", "counter", "Arrived and found no buffer or no room.")?;
    for port in &status.ports {
        page.sample("port_rx_missed_total", &[("port", &port.name)], port.rx_missed)?;
    }
    page.metric("port_driver_total", "counter", "A driver's own counters, by name.")?;
    for port in &status.ports {
        for (name, value) in &port.detail {
            page.sample("port_driver_total", &[("port", &port.name), ("counter", name)], value)?;
        }
    }
    Ok(())
}

fn peers(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let gauges: [Figure<super::PeerStatus, u64>; 6] = [
        ("peer_up", "gauge", "Whether all workers have a session.", |peer| peer.up.into()),
        ("peer_sessions", "gauge", "Workers that have one.", |peer| peer.sessions as u64),
        ("peer_repaired_total", "counter", "Losses repaired.", |peer| peer.repaired),
        ("peer_missing_packets", "gauge", "Missing now.", |peer| peer.missing),
        ("peer_held_packets", "gauge", "Waiting for others before them.", |peer| peer.held),
        ("peer_held_high_water_bytes", "gauge", "Most that ever waited.", |peer| {
            peer.held_high_water_bytes
        }),
    ];
    for (name, kind, help, pick) in gauges {
        page.metric(name, kind, help)?;
        for peer in &status.peers {
            page.sample(name, &[("peer", &peer.name)], pick(peer))?;
        }
    }
    let received =
        status.peers.iter().map(|peer| (vec![("peer", peer.name.as_str())], peer.received));
    page.traffic("peer_received", "Received from a peer's tunnel for the first time", received)
}

fn paths(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let all: Vec<_> = status
        .peers
        .iter()
        .flat_map(|peer| {
            let labels = |path: &super::PathStatus| {
                [peer.name.clone(), path.name.clone(), path.port.clone()]
            };
            peer.paths.iter().map(move |path| (labels(path), path))
        })
        .collect();
    let labels = |[peer, path, port]: &[String; 3]| {
        [("peer", peer.clone()), ("path", path.clone()), ("port", port.clone())]
    };
    let of = |pick: fn(&super::PathStatus) -> Traffic| {
        all.iter().map(move |([peer, path, port], status)| {
            let labels = [("peer", peer), ("path", path), ("port", port)];
            (labels.map(|(label, text)| (label, text.as_str())).to_vec(), pick(status))
        })
    };
    page.traffic("path_sent", "Sent on a path, first copies", of(|path| path.sent))?;
    page.traffic("path_resent", "Sent on a path again", of(|path| path.resent))?;
    page.traffic("path_confirmed", "Confirmed by the far side", of(|path| path.confirmed))?;
    let gauges: [Figure<super::PathStatus, f64>; 18] = [
        ("path_unconfirmed_packets", "gauge", "Sent and not confirmed.", |path| {
            path.unconfirmed as f64
        }),
        ("path_rtt_seconds", "gauge", "Smoothed round trip.", |path| path.rtt_us / 1e6),
        ("path_rtt_variance_seconds", "gauge", "How much it varies.", |path| {
            path.rtt_variance_us / 1e6
        }),
        (
            "path_arrives_delay_above_least_seconds",
            "gauge",
            "Delay of what comes, above its least of 10 to 20 s.",
            |path| path.arrives.delay_above_least_us / 1e6,
        ),
        ("path_arrives_jitter_seconds", "gauge", "Jitter of what comes (RFC 3550).", |path| {
            path.arrives.jitter_us / 1e6
        }),
        ("path_arrives_loss", "gauge", "Part lost of what was to come lately.", |path| {
            path.arrives.loss()
        }),
        ("path_arrives_bits", "gauge", "Bits a second that come.", |path| {
            path.arrives.delivered_bps as f64
        }),
        ("path_arrives_expected_total", "counter", "Packets that were to come.", |path| {
            path.arrives.expected_total as f64
        }),
        ("path_arrives_lost_total", "counter", "Those of them that were lost.", |path| {
            path.arrives.lost_total as f64
        }),
        ("path_out_of_service", "gauge", "Whether BFD keeps it out of service.", |path| {
            path.out_of_service.into()
        }),
        ("path_troubled", "gauge", "Whether the far side does not answer.", |path| {
            path.troubled.into()
        }),
        (
            "path_capacity_bits",
            "gauge",
            "Bits a second it carries; 0: only weights are known.",
            |path| path.capacity_bps as f64,
        ),
        ("path_worth", "gauge", "The part of that it is worth at present.", |path| path.worth),
        ("path_offered_bits", "gauge", "Bits a second sent on it.", |path| path.offered_bps as f64),
        ("path_delivered_bits", "gauge", "Bits a second confirmed.", |path| {
            path.delivered_bps as f64
        }),
        ("path_lanes", "gauge", "Order domains that belong to it.", |path| path.lanes as f64),
        ("path_spread_lanes", "gauge", "Those that are spread over several.", |path| {
            path.spread_lanes as f64
        }),
        (
            "path_moves_total",
            "counter",
            "Busy ones moved to it, or that began to be spread.",
            |path| path.moves as f64,
        ),
    ];
    for (name, kind, help, pick) in gauges {
        page.metric(name, kind, help)?;
        for (names, path) in &all {
            let labels = labels(names);
            let labels = labels.each_ref().map(|(label, text)| (*label, text.as_str()));
            page.sample(name, &labels, pick(path))?;
        }
    }
    let sessions: [Figure<super::BfdStatus, f64>; 6] = [
        ("path_bfd_up", "gauge", "Whether the path's BFD session is up.", |bfd| {
            f64::from(bfd.state == "up")
        }),
        ("path_bfd_remote_up", "gauge", "Whether the far side says so.", |bfd| {
            f64::from(bfd.remote_state == "up")
        }),
        ("path_bfd_ups_total", "counter", "Times it came up.", |bfd| bfd.ups as f64),
        ("path_bfd_flaps_total", "counter", "Times it went down.", |bfd| bfd.flaps as f64),
        ("path_bfd_detection_seconds", "gauge", "Silence after which it goes down.", |bfd| {
            bfd.detection_ms / 1e3
        }),
        ("path_bfd_held_down_seconds", "gauge", "Until it is in service again.", |bfd| {
            bfd.held_down_ms / 1e3
        }),
    ];
    for (name, kind, help, pick) in sessions {
        page.metric(name, kind, help)?;
        for (names, path) in &all {
            let Some(bfd) = &path.bfd else { continue };
            let labels = labels(names);
            let labels = labels.each_ref().map(|(label, text)| (*label, text.as_str()));
            page.sample(name, &labels, pick(bfd))?;
        }
    }
    Ok(())
}

fn neighbours(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    page.metric("neighbour_known", "gauge", "Whether a next hop that is asked for answered.")?;
    for neighbour in &status.neighbours {
        let labels = [
            ("worker", &*neighbour.worker.to_string()),
            ("port", &neighbour.port),
            ("address", &neighbour.address),
        ];
        page.sample("neighbour_known", &labels, u8::from(neighbour.mac.is_some()))?;
    }
    Ok(())
}

fn workers(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let figures: [Figure<super::WorkerStatus, u64>; 8] = [
        ("worker_busy_rounds_total", "counter", "Rounds with something to do.", |w| w.busy_rounds),
        ("worker_idle_rounds_total", "counter", "Rounds without.", |w| w.idle_rounds),
        ("worker_buffers", "gauge", "Packet buffers.", |w| w.buffers.into()),
        ("worker_buffers_in_use", "gauge", "Those in use.", |w| w.buffers_in_use.into()),
        ("worker_buffers_high_water", "gauge", "Most ever in use.", |w| {
            w.buffers_high_water.into()
        }),
        ("worker_buffers_exhausted_total", "counter", "Times none was left.", |w| {
            w.buffers_exhausted
        }),
        ("worker_replay_bytes", "gauge", "Kept until confirmed.", |w| w.replay_bytes),
        ("worker_replay_high_water_bytes", "gauge", "Most ever kept.", |w| {
            w.replay_high_water_bytes
        }),
    ];
    for (name, kind, help, pick) in figures {
        page.metric(name, kind, help)?;
        for worker in &status.workers {
            let labels =
                [("worker", &*worker.worker.to_string()), ("core", &worker.core.to_string())];
            page.sample(name, &labels, pick(worker))?;
        }
    }
    let stages: [Figure<super::StageStatus, u64>; 3] = [
        ("stage_calls_total", "counter", "Times a stage had something to do.", |stage| stage.calls),
        ("stage_packets_total", "counter", "Packets it handled.", |stage| stage.packets),
        ("stage_cycles_total", "counter", "Cycles it took.", |stage| stage.cycles),
    ];
    for (name, kind, help, pick) in stages {
        page.metric(name, kind, help)?;
        for worker in &status.workers {
            let number = worker.worker.to_string();
            for stage in &worker.stages {
                let labels =
                    [("worker", number.as_str()), ("stage", &stage.stage), ("port", &stage.port)];
                page.sample(name, &labels, pick(stage))?;
            }
        }
    }
    Ok(())
}

fn tenants(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let of = |pick: fn(&super::TenantStatus) -> Traffic| {
        let tenants = status.tenants.iter();
        tenants.map(move |tenant| (vec![("tenant", tenant.name.as_str())], pick(tenant)))
    };
    page.traffic("tenant_sent", "From the LAN for peers, a tenant", of(|tenant| tenant.sent))?;
    page.traffic("tenant_received", "From peers, a tenant", of(|tenant| tenant.received))?;
    let figures: [Figure<super::TenantStatus, u64>; 11] = [
        ("tenant_replay_bytes", "gauge", "Kept until confirmed.", |t| t.replay_bytes),
        ("tenant_replay_high_water_bytes", "gauge", "Most ever kept, of a worker.", |t| {
            t.replay_high_water_bytes
        }),
        ("tenant_unprotected_total", "counter", "Not kept because of its bound.", |t| {
            t.unprotected
        }),
        ("tenant_held_bytes", "gauge", "Waiting for others before them.", |t| t.held_bytes),
        ("tenant_held_high_water_bytes", "gauge", "Most that ever waited.", |t| {
            t.held_high_water_bytes
        }),
        ("tenant_gave_up_total", "counter", "Not waited for because of its bound.", |t| t.gave_up),
        ("tenant_stops_sent_total", "counter", "Said to peers, to stop it.", |t| t.stops_sent),
        ("tenant_stops_received_total", "counter", "Obeyed peers, to stop it.", |t| {
            t.stops_received
        }),
        ("tenant_stops_expired_total", "counter", "Ended by their lifetime.", |t| t.stops_expired),
        ("tenant_stops_broken_total", "counter", "Lasted too long.", |t| t.stops_broken),
        ("tenant_stopped", "gauge", "A peer has it stopped now.", |t| t.stopped.into()),
    ];
    for (name, kind, help, pick) in figures {
        page.metric(name, kind, help)?;
        for tenant in &status.tenants {
            page.sample(name, &[("tenant", &tenant.name)], pick(tenant))?;
        }
    }
    queues(page, status)
}

/// What of tenants waits for its turn, either way.
fn queues(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let figures: [Figure<super::QueueStatus, u64>; 7] = [
        ("tenant_queue_bytes", "gauge", "Waiting for its turn.", |queue| queue.bytes),
        ("tenant_queue_high_water_bytes", "gauge", "Most that ever waited.", |queue| {
            queue.high_water_bytes
        }),
        ("tenant_queue_stops_total", "counter", "Times its senders were to stop.", |q| q.stops),
        ("tenant_queue_stopped_microseconds_total", "counter", "How long they were.", |queue| {
            queue.stopped_us
        }),
        ("tenant_queue_dropped_total", "counter", "Not taken.", |queue| queue.dropped),
        ("tenant_queue_marked_total", "counter", "Told that it grows (ECN).", |queue| queue.marked),
        ("tenant_queue_notified_total", "counter", "Senders notified instead (CNP).", |queue| {
            queue.notified
        }),
    ];
    for (name, kind, help, pick) in figures {
        page.metric(name, kind, help)?;
        for tenant in &status.tenants {
            for (towards, queue) in [("wan", &tenant.to_wan), ("lan", &tenant.to_lan)] {
                page.sample(name, &[("tenant", &tenant.name), ("towards", towards)], pick(queue))?;
            }
        }
    }
    Ok(())
}

/// Tables, and the fastest elephants: never more than [`LABELLED`], however many flows there are.
fn flows(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let tables = [("flow", &status.flows.flows), ("subflow", &status.flows.subflows)];
    let figures: [Figure<super::flows::FlowTable, u64>; 10] = [
        ("flows", "gauge", "Followed now.", |table| table.known),
        ("flow_places", "gauge", "Places of the tables.", |table| table.capacity),
        ("elephants", "gauge", "Elephants among them.", |table| table.elephants),
        ("flows_added_total", "counter", "New ones.", |table| table.added),
        ("flows_aged_total", "counter", "Over, and forgotten.", |table| table.aged),
        ("flows_evicted_once_total", "counter", "Came once, made room.", |t| t.evicted_once),
        ("flows_evicted_mice_total", "counter", "Came more often, made room.", |t| t.evicted_mice),
        ("flows_refused_total", "counter", "Found no room beside elephants.", |t| t.refused),
        ("elephants_entered_total", "counter", "Became elephants.", |table| table.entered),
        ("elephants_left_total", "counter", "Are elephants no more.", |table| table.left),
    ];
    for (name, kind, help, pick) in figures {
        page.metric(name, kind, help)?;
        for (level, table) in tables {
            page.sample(name, &[("level", level)], pick(table))?;
        }
    }
    page.metric("elephant_rate_bits_per_second", "gauge", "The fastest elephants: queue pairs.")?;
    let elephants = status.flows.top_subflows.iter().filter(|flow| flow.class == "elephant");
    for flow in elephants.take(LABELLED) {
        let [from, to] = [flow.source, flow.destination].map(|address| address.to_string());
        let qp = flow.dest_qp.map_or_else(String::new, |qp| qp.to_string());
        let path = flow.path.as_deref().unwrap_or("");
        let labels =
            [("source", from.as_str()), ("destination", &to), ("dest_qp", &qp), ("path", path)];
        page.sample("elephant_rate_bits_per_second", &labels, flow.rate_bps)?;
    }
    Ok(())
}

/// Elephants that have a label of their own.
const LABELLED: usize = 10;

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut text = String::new();
        write_prometheus(&sample(), &mut text).expect("a string takes all");
        let mut metric = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                metric = rest.split(' ').next().expect("a name");
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').expect("a value");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                // All samples of a metric stand together.
                assert_eq!(name.split('{').next(), Some(metric), "{line}");
            }
        }
        for line in [
            "compute_gateway_port_info{port=\"lan0\",role=\"lan\",driver=\"af_xdp\",\
             device=\"eth\\\"1\",mode=\"generic\"} 1",
            "compute_gateway_drops_packets_total{worker=\"0\",reason=\"wan_duplicate\"} 1",
            "compute_gateway_path_rtt_seconds{peer=\"site-b\",path=\"north\",port=\"wan0\"} 0.0102504",
            "compute_gateway_tenant_sent_bytes_total{tenant=\"acme\"} 6000",
            "compute_gateway_tenant_held_high_water_bytes{tenant=\"acme\"} 7104",
            "compute_gateway_elephants{level=\"subflow\"} 1",
            "compute_gateway_elephant_rate_bits_per_second{source=\"10.0.0.1\",\
             destination=\"10.1.0.2\",dest_qp=\"17\",path=\"north\"} 80000000000",
            "compute_gateway_tenant_queue_high_water_bytes{tenant=\"acme\",towards=\"wan\"} 5000",
            "compute_gateway_stage_cycles_total{worker=\"0\",stage=\"receive\",port=\"lan0\"} 1000",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} not in\n{text}");
        }
    }
}
