//! However large a capture is, `inspect` reads it in little memory.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const FILE_HEADER: usize = 24;
const MIB: u64 = 1 << 20;

/// Writes the packets of a real capture again and again, until the file has `size` bytes; returns
/// how often.
fn write_large(file: &Path, size: u64) -> u64 {
    let source = format!("{}/pcap-tests/captures/rc-write.pcap", env!("CARGO_MANIFEST_DIR"));
    let bytes = fs::read(source).unwrap();
    let (header, packets) = bytes.split_at(FILE_HEADER);
    let mut output = BufWriter::new(File::create(file).unwrap());
    output.write_all(header).unwrap();
    let times = size.div_ceil(packets.len() as u64);
    for _ in 0..times {
        output.write_all(packets).unwrap();
    }
    output.flush().unwrap();
    times
}

/// The most memory that a process has had resident so far, in bytes; `None` once it has ended.
fn high_water(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[test]
fn a_large_capture_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.pcap");
    let times = write_large(&file, 256 * MIB);
    let child = Command::new(env!("CARGO_BIN_EXE_compute-gateway"))
        .args(["inspect", "--json"])
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let process = child.id();
    // The mark only ever rises, so what is seen last is what counts.
    let watcher = thread::spawn(move || {
        let mut looks = 0u32;
        let mut highest = 0;
        while let Some(bytes) = high_water(process) {
            (looks, highest) = (looks + 1, bytes);
            thread::sleep(Duration::from_millis(2));
        }
        (looks, highest)
    });
    let output = child.wait_with_output().unwrap();
    let (looks, highest) = watcher.join().unwrap();

    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["packets"], times * 1_991);
    assert!(looks >= 10, "it ran too short to be watched: {looks} looks");
    assert!(highest >= MIB, "{highest} bytes: this is not its memory");
    assert!(highest < 100 * MIB, "{} MiB", highest / MIB);
}
