//! The vectors as they are on disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One frame, and what is said of it.
pub(crate) struct Vector {
    /// The capture that holds it.
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) frame: Vec<u8>,
    /// The right ICRC of the frame, as a number.
    pub(crate) icrc: Option<u32>,
    /// Whether that is the ICRC which the frame has, if it has one.
    pub(crate) icrc_ok: bool,
    pub(crate) note: String,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-tests/vectors")
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "half a byte");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// All vectors, in order.
pub(crate) fn load() -> Vec<Vector> {
    let file = File::open(folder().join("vectors.json")).expect("the vectors");
    let list: Vec<Value> = serde_json::from_reader(file).expect("a list");
    list.iter().map(read).collect()
}

fn read(vector: &Value) -> Vector {
    let text = |key: &str| vector[key].as_str().unwrap_or_else(|| panic!("{key} of {vector}"));
    let fields = vector.as_object().expect("an object").len();
    assert_eq!(fields, 6, "a field that nothing is asserted of: {vector}");
    Vector {
        file: text("file").to_owned(),
        name: text("name").to_owned(),
        frame: hex(text("frame")),
        icrc: vector["icrc"].as_str().map(|hex| u32::from_str_radix(hex, 16).expect("a number")),
        icrc_ok: vector["icrc_ok"].as_bool().expect("yes or no"),
        note: text("note").to_owned(),
    }
}
