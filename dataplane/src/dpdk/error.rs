//! What goes wrong in DPDK, in one message: what was tried, why it failed, what to do.

use std::ffi::{CStr, c_int};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dpdk_sys as sys;

/// What went wrong, why, and the remedy, in one message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DpdkError(String);

/// Lines of DPDK's log that are worth repeating: the last ones, where the cause is.
const LINES: usize = 4;

/// What DPDK's log, or its error, says, and what helps.
const REMEDIES: &[(&str, &str)] = &[
    (
        "hugepages",
        "reserve hugepages (sysctl -w vm.nr_hugepages=1024), or do without them (--no-huge -m 1024)",
    ),
    ("Cannot get hugepage", "mount hugetlbfs, or do without hugepages (--no-huge -m 1024)"),
    ("Permission denied", "run as root, or with CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_BPF"),
    ("Operation not permitted", "run as root, or with CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK"),
    (
        "Cannot allocate memory",
        "give DPDK more memory: more hugepages, or --no-huge and a larger -m",
    ),
    ("is not compatible with", "leave one of the two out of DPDK's arguments"),
    ("Invalid 'command line' arguments", "see DPDK's guide (EAL parameters) for its arguments"),
    ("failed to parse device", "name a PCI address, or a virtual device whose driver is installed"),
    ("No such device", "bind the NIC to vfio-pci (dpdk-devbind.py --bind=vfio-pci ADDRESS)"),
];

impl DpdkError {
    /// An error of our own, remedy included.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// What failed with error `code` (positive or negative), and what was logged meanwhile.
    pub(super) fn of(what: &str, code: c_int, log: &str) -> Self {
        let reason = strerror(code);
        let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let said = lines[lines.len().saturating_sub(LINES)..].join(" | ");
        let mut message = format!("{what}: {reason}");
        if !said.is_empty() {
            message = format!("{message} ({said})");
        }
        let known = REMEDIES.iter().find(|(sign, _)| log.contains(sign) || reason.contains(sign));
        if let Some(missing) = missing_drivers() {
            message = format!("{message}; {missing}");
        } else if let Some((_, remedy)) = known {
            message = format!("{message}; {remedy}");
        }
        Self(message)
    }
}

/// The text of an error number, whatever its sign.
fn strerror(code: c_int) -> String {
    // SAFETY: rte_strerror takes any number, and gives a string that lasts until this thread's
    // next call of it.
    unsafe { CStr::from_ptr(sys::rte_strerror(code.abs())) }.to_string_lossy().into_owned()
}

/// The folder that drivers are loaded from; empty if they are linked in.
#[must_use]
pub fn driver_folder() -> &'static Path {
    // SAFETY: a string constant.
    Path::new(unsafe { CStr::from_ptr(sys::dpdk_plugins()) }.to_str().unwrap_or_default())
}

/// What to do when the folder that drivers are loaded from is not there; `None` when it is.
pub(super) fn missing_drivers() -> Option<String> {
    let folder = driver_folder();
    (!folder.as_os_str().is_empty() && !folder.is_dir()).then(|| {
        format!(
            "the folder of DPDK's drivers is missing: {} (apt-get install librte-meta-all, or name \
             drivers with -d)",
            folder.display()
        )
    })
}

/// One log is collected at a time.
static LOG: Mutex<()> = Mutex::new(());

/// Does `work`, and collects what DPDK logs meanwhile.
pub(super) fn logged<T>(work: impl FnOnce() -> T) -> (T, String) {
    let _one = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: begin and end come in pairs, one pair at a time (the lock); what end returns lasts
    // until the next begin.
    unsafe {
        let collecting = sys::dpdk_log_begin() == 0;
        let result = work();
        let log = if collecting {
            CStr::from_ptr(sys::dpdk_log_end()).to_string_lossy().into_owned()
        } else {
            String::new()
        };
        (result, log)
    }
}

/// Does `work`, which tells a negative error number when it fails; `what` is what then is said
/// to have failed.
pub(super) fn checked(what: &str, work: impl FnOnce() -> c_int) -> Result<c_int, DpdkError> {
    let (code, log) = logged(work);
    if code < 0 { Err(DpdkError::of(what, code, &log)) } else { Ok(code) }
}
