//! DPDK's environment: started once a process, by us, without pinning our threads.

use std::ffi::{CString, c_char, c_int};
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use dpdk_sys as sys;

use super::DpdkError;
use super::error::logged;

/// How DPDK's environment is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EalSettings {
    /// Arguments as in DPDK's guide ("EAL parameters"): those of the configuration, then those
    /// behind `--` on the command line. They go before what is chosen here for want of them:
    /// cores (the process's own, not pinned), no files that outlive the process, no telemetry
    /// socket, only the PCI devices in `devices`.
    pub arguments: Vec<String>,
    /// The devices of the configuration's ports, with their arguments.
    pub devices: Vec<String>,
}

/// DPDK's environment, running; it runs until the process ends.
#[derive(Debug, Clone, Copy)]
pub struct Eal(PhantomData<()>);

/// Whether it was tried to start it: it can be done once.
static TRIED: Mutex<bool> = Mutex::new(false);

impl Eal {
    /// Starts it; the calling thread keeps its affinity.
    ///
    /// # Errors
    /// What is wrong with the arguments or the machine, and the remedy; also at the second call in
    /// a process, since DPDK can be started once.
    pub fn start(settings: &EalSettings) -> Result<Self, DpdkError> {
        let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *tried, true) {
            return Err(DpdkError::new(
                "DPDK was started before in this process; it can be once: start a new process",
            ));
        }
        let arguments = settings.all_arguments();
        let mut owned = Vec::with_capacity(arguments.len());
        for argument in &arguments {
            let text = CString::new(argument.as_str()).map_err(|_| {
                DpdkError::new(format!("an argument for DPDK with a zero byte: {argument:?}"))
            })?;
            owned.push(text);
        }
        // DPDK may reorder the pointers, and keeps them: neither they nor the strings ever go.
        let owned: &'static [CString] = owned.leak();
        let pointers: &'static mut [*mut c_char] =
            owned.iter().map(|text| text.as_ptr().cast_mut()).collect::<Vec<_>>().leak();
        let (code, log) = logged(|| {
            // SAFETY: as many strings as are counted, which live for ever; called once.
            let code =
                unsafe { sys::dpdk_eal_init(pointers.len() as c_int, pointers.as_mut_ptr()) };
            // SAFETY: reads the error number of this thread.
            if code < 0 { -unsafe { sys::dpdk_errno() }.abs() } else { code }
        });
        if code < 0 {
            let what = format!("DPDK does not start with {}", arguments[1..].join(" "));
            return Err(DpdkError::of(&what, code, &log));
        }
        Ok(Self(PhantomData))
    }

    /// Makes the calling thread known to DPDK, which gives it a cache of buffers of its own; the
    /// thread that started DPDK is known. To be called by each worker, before anything else here.
    ///
    /// # Errors
    /// When DPDK knows as many threads as it can (128 in most builds).
    pub fn register(self) -> Result<Registered, DpdkError> {
        // SAFETY: asks for a property of this thread.
        if unsafe { sys::dpdk_thread_known() } != 0 {
            return Ok(Registered { ours: false, thread: PhantomData });
        }
        let (code, log) = logged(|| {
            // SAFETY: DPDK runs: `self` says so.
            let code = unsafe { sys::rte_thread_register() };
            // SAFETY: as above.
            if code < 0 { -unsafe { sys::dpdk_errno() }.abs() } else { code }
        });
        if code < 0 {
            return Err(DpdkError::of("DPDK cannot take one more worker", code, &log));
        }
        Ok(Registered { ours: true, thread: PhantomData })
    }
}

/// This thread is known to DPDK, until this goes: after all that the thread has of DPDK.
#[derive(Debug)]
pub struct Registered {
    ours: bool,
    thread: PhantomData<*const ()>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if self.ours {
            // SAFETY: this thread was registered by `Eal::register`; the value cannot leave it.
            unsafe { sys::rte_thread_unregister() };
        }
    }
}

impl EalSettings {
    /// The program's name, the arguments given, and what they leave open.
    fn all_arguments(&self) -> Vec<String> {
        let given = |names: &[&str]| {
            self.arguments.iter().any(|argument| names.iter().any(|name| is(argument, name)))
        };
        let mut all = vec!["compute-gateway".to_owned()];
        all.extend(self.arguments.iter().cloned());
        if !given(&["-l", "-c", "-S", "--lcores"]) {
            // One number, for the control thread, on every core it may use already: not pinned.
            all.push(format!("--lcores=0@({})", allowed_cores().join(",")));
        }
        let files = ["--in-memory", "--no-shconf", "--file-prefix", "--huge-dir", "--proc-type"];
        if !given(&files) && !given(&["--huge-unlink", "--single-file-segments"]) {
            // What lies in no hugepages is in no files, but DPDK's books are.
            let no_files = if given(&["--no-huge"]) { "--no-shconf" } else { "--in-memory" };
            all.push(no_files.to_owned());
        }
        if !given(&["--telemetry", "--no-telemetry"]) {
            all.push("--no-telemetry".to_owned());
        }
        if !given(&["-a", "--allow", "-b", "--block", "--no-pci"]) {
            let before = all.len();
            for device in self.devices.iter().filter(|device| is_pci(device)) {
                all.push(format!("--allow={device}"));
            }
            if all.len() == before {
                all.push("--no-pci".to_owned());
            }
        }
        all
    }
}

/// Whether `argument` is the option `name`, with or without a value joined to it.
fn is(argument: &str, name: &str) -> bool {
    match argument.strip_prefix(name) {
        Some("") => true,
        Some(rest) => rest.starts_with('=') || !name.starts_with("--"),
        None => false,
    }
}

/// Whether a device is named by its PCI address: `0000:3b:00.0` or `3b:00.0`, perhaps with
/// arguments.
pub(super) fn is_pci(device: &str) -> bool {
    let address = device.split(',').next().unwrap_or_default();
    let mut parts = address.rsplitn(3, ':');
    let Some((slot, function)) = parts.next().and_then(|part| part.split_once('.')) else {
        return false;
    };
    let hex = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    hex(slot, 2)
        && hex(function, 1)
        && parts.next().is_some_and(|bus| hex(bus, 2))
        && parts.next().is_none_or(|domain| hex(domain, 8))
}

/// The cores this process may use, by number: ranges as the kernel writes them.
fn allowed_cores() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let cores: Vec<String> = list
        .into_iter()
        .flat_map(|list| list.trim().split(','))
        .filter(|range| !range.is_empty())
        .map(str::to_owned)
        .collect();
    if cores.is_empty() { vec!["0".to_owned()] } else { cores }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(given: &[&str], devices: &[&str]) -> Vec<String> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        EalSettings { arguments: owned(given), devices: owned(devices) }.all_arguments()
    }

    #[test]
    fn what_is_not_given_is_chosen() {
        let all = arguments(&[], &["net_null0"]);
        assert!(all[1].starts_with("--lcores=0@("), "{all:?}");
        assert_eq!(all[2..], ["--in-memory", "--no-telemetry", "--no-pci"]);
    }

    #[test]
    fn what_is_given_stays() {
        let given = ["-l0", "--file-prefix=gw", "--telemetry", "-a", "0000:01:00.0"];
        assert_eq!(arguments(&given, &["0000:3b:00.0"])[1..], given);
    }

    #[test]
    fn only_the_pci_devices_of_the_ports_are_taken() {
        let devices = ["net_tap0,iface=a:b.0", "0000:3b:00.1,mprq_en=0"];
        let all = arguments(&["--lcores", "0", "--no-huge"], &devices);
        assert_eq!(all[4..], ["--no-shconf", "--no-telemetry", "--allow=0000:3b:00.1,mprq_en=0"]);
    }

    #[test]
    fn pci_addresses_are_told_from_names() {
        for (device, expected) in [
            ("0000:3b:00.0", true),
            ("3b:00.0", true),
            ("3b:00", false),
            ("net_ring0", false),
            ("x0:00.0", false),
            ("eth_a:0.0", false),
            ("", false),
        ] {
            assert_eq!(is_pci(device), expected, "{device}");
        }
    }
}
