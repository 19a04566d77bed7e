//! Two tenants over a lossy wide area, one of them with hardly any memory: the other one does not
//! notice.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use dataplane::capture::{Reader, Record, Writer};
use lab::report::TenantReport;
use lab::{Report, Scenario};
use pipelines::gateway::Numbering;

const BOUND: u64 = 128 << 10;

/// A capture of RDMA writes, each frame of it once as it is and once in VLAN 7.
fn twice(folder: &Path) -> PathBuf {
    let from =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../pcap-tests/captures/rc-write-4096.pcap");
    let to = folder.join("twice.pcap");
    let mut reader = Reader::open(&from).expect("a capture");
    let mut writer = Writer::new(BufWriter::new(File::create(&to).expect("a file"))).expect("room");
    while let Some(record) = reader.next().expect("readable") {
        writer.write(&record).expect("room");
        let tagged = [&record.data[..12], &[0x81, 0, 0, 7], &record.data[12..]].concat();
        let record = Record { data: &tagged, original_len: tagged.len() as u32, ..record };
        writer.write(&record).expect("room");
    }
    writer.finish().expect("room");
    to
}

fn run(input: &Path, numbering: Numbering, tenants: &[&str], seed: u64) -> Report {
    let path = "p1,delay=5ms,rate=1G,loss=0.02".parse().expect("a path");
    let mut scenario = Scenario::new(input.to_owned(), vec![path], seed);
    scenario.numbering = numbering;
    scenario.tenants = tenants.iter().map(|text| text.parse().expect("a tenant")).collect();
    lab::run(&scenario).unwrap_or_else(|error| panic!("{error}\n{}", scenario.command_line()))
}

#[test]
fn a_tenant_without_memory_does_not_touch_the_other_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = twice(folder.path());
    for numbering in [Numbering::Tunnel, Numbering::Transparent { check_icrc: true }] {
        let tiny = "tiny,vlan=7,replay_bytes=128KiB,hold_bytes=128KiB";
        let mut bounded = 0;
        for seed in 1..=3 {
            let report = run(&input, numbering, &[tiny, "roomy,vlan=0"], seed);
            let free = run(&input, numbering, &["tiny,vlan=7", "roomy,vlan=0"], seed);
            let [default, tiny, roomy] = &report.tenants[..] else { panic!("{report:?}") };
            assert_eq!((default.name.as_str(), default.packets), ("default", 0));
            assert!(tiny.replay_high_water_bytes <= BOUND, "{tiny:?}");
            assert!(tiny.held_high_water_bytes <= BOUND, "{tiny:?}");
            assert_eq!((roomy.unprotected, roomy.gave_up), (0, 0));
            assert!(roomy.packets > 0 && roomy.replay_high_water_bytes > 0);
            // Nobody but the one with bounds misses anything.
            let gateways = report.gateways.as_ref().expect("gateways");
            let gave_up = gateways.a.gave_up + gateways.b.gave_up;
            assert!(report.endpoints.missing <= gave_up, "{report:?}");
            bounded += tiny.unprotected + tiny.gave_up;
            let refused = |tenant: &TenantReport| tenant.unprotected + tenant.gave_up;
            assert_eq!(free.tenants.iter().map(refused).sum::<u64>(), 0);
            assert_eq!(free.endpoints.missing, 0);
        }
        assert!(bounded > 0, "the bounds were never reached: {numbering:?}");
    }
}

#[test]
fn without_tenants_the_report_has_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = run(&twice(folder.path()), Numbering::Tunnel, &[], 1);
    assert_eq!(report.tenants, []);
    let json = serde_json::to_string(&report).expect("plain data");
    assert!(!json.contains("\"tenants\""));
}

/// What the scenario of two tenants shows is seen: where both have one priority on the LANs, a pause of
/// one holds the other one back as well.
#[test]
fn tenants_of_one_priority_are_paused_together() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios/two-tenants.toml");
    let text = fs::read_to_string(file).expect("a scenario").replace("priority=4", "priority=3");
    let text = text.replace("priority = 4", "priority = 3");
    let experiment = lab::file::parse(&text, "one-priority.toml", Path::new("")).expect("right");
    let outcome = experiment.run(1).expect("a report");
    let alone = outcome.alone.as_ref().expect("a pair alone");
    assert!(alone.goodput_percent < 90.0, "{alone:?}");
    // Nothing is lost by it.
    assert_eq!(outcome.report.endpoints.missing, 0);
    let failures: Vec<_> = outcome.failures().map(|verdict| verdict.field.as_str()).collect();
    assert!(failures.contains(&"alone.goodput_percent"), "{failures:?}");
}
