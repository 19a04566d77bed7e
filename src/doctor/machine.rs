//! The machine as it is read: its files below a root, its interfaces by who knows them.

use std::fs;
use std::path::PathBuf;

use dataplane::netdev::{Netdev, NetdevError, Offload};

use crate::run::OFFLOADS;

/// A network interface, and the offloads that are on.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) netdev: Netdev,
    pub(super) offloads: Vec<Offload>,
}

/// How an interface is asked for by its name.
type Ask = Box<dyn Fn(&str) -> Result<Interface, NetdevError>>;

/// What is looked at. Tests have one of their own making.
pub(super) struct Machine {
    /// The folder that `/sys`, `/proc` and the rest lie in.
    root: PathBuf,
    ask: Ask,
    /// This program's file, to be named in commands.
    pub(super) program: PathBuf,
    /// Whether this build has DPDK; with it, the folder that its drivers are loaded from: empty if
    /// they are linked in.
    pub(super) dpdk: Option<PathBuf>,
}

impl Machine {
    /// The machine this process runs on.
    pub(super) fn real() -> Self {
        let ask = |name: &str| {
            let netdev = Netdev::find(name)?;
            let on = OFFLOADS.into_iter().filter(|&one| netdev.offload(one) == Some(true));
            Ok(Interface { offloads: on.collect(), netdev })
        };
        let program = std::env::current_exe();
        Self {
            root: PathBuf::from("/"),
            ask: Box::new(ask),
            program: program.unwrap_or_else(|_| PathBuf::from("compute-gateway")),
            dpdk: drivers(),
        }
    }

    /// A machine whose files lie in `root`, with a build that has DPDK or not.
    #[cfg(test)]
    pub(super) fn fake(root: &std::path::Path, ask: Ask, dpdk: Option<PathBuf>) -> Self {
        let program = PathBuf::from("/usr/bin/compute-gateway");
        Self { root: root.to_owned(), ask, program, dpdk }
    }

    /// The interface of that name.
    pub(super) fn interface(&self, name: &str) -> Result<Interface, NetdevError> {
        (self.ask)(name)
    }

    /// What a file says, without spaces around; `None` if it cannot be read.
    pub(super) fn text(&self, file: &str) -> Option<String> {
        let text = fs::read_to_string(self.path(file)).ok()?;
        Some(text.trim().to_owned())
    }

    /// The number in a file.
    pub(super) fn number(&self, file: &str) -> Option<u64> {
        self.text(file)?.parse().ok()
    }

    /// The names in a folder, sorted; none if it cannot be read.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The last part of what a symbolic link leads to.
    pub(super) fn link(&self, link: &str) -> Option<String> {
        let target = fs::read_link(self.path(link)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }

    /// Whether there is such a file or folder.
    pub(super) fn exists(&self, file: &str) -> bool {
        self.path(file).exists()
    }

    /// Whether there is such a folder.
    pub(super) fn is_dir(&self, folder: &str) -> bool {
        self.path(folder).is_dir()
    }

    /// A path of the machine, below the root.
    fn path(&self, file: &str) -> PathBuf {
        self.root.join(file.trim_start_matches('/'))
    }
}

/// The folder that DPDK's drivers are loaded from.
fn drivers() -> Option<PathBuf> {
    #[cfg(feature = "dpdk")]
    return Some(dataplane::dpdk::driver_folder().to_owned());
    #[cfg(not(feature = "dpdk"))]
    None
}

/// The numbers in a list as the kernel writes it: `0-3,8`. What cannot be read is left out.
pub(super) fn numbers(list: &str) -> Vec<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse::<u32>().ok()?);
        // No machine has more cores; a list that says so is none of them.
        (last < 1 << 16).then_some(first..=last)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// Numbers as people write a list: `2,3,7`.
pub(super) fn list(numbers: &[u32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel_are_read() {
        for (text, expected) in [
            ("0-3,8", vec![0, 1, 2, 3, 8]),
            ("5", vec![5]),
            ("", vec![]),
            ("x,1", vec![1]),
            ("0-4294967295", vec![]),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
        assert_eq!(list(&[2, 7]), "2,7");
    }

    #[test]
    fn the_real_machine_has_what_every_linux_has() {
        let machine = Machine::real();
        assert!(machine.text("proc/sys/kernel/osrelease").is_some_and(|text| !text.is_empty()));
        assert_eq!(machine.text("no/such/file"), None);
        assert_eq!(machine.interface("lo").unwrap().netdev.name, "lo");
        assert!(machine.program.is_absolute() && machine.is_dir("/proc"));
        assert!(!machine.exists("/no-such-file") && machine.names("/no-such-file").is_empty());
    }
}
