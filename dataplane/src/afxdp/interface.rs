//! An interface with our XDP program on it: what all its queues' sockets share.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::time::Duration;

use super::bpf;
use super::error::LOOK;
use super::open::within;
use super::{AfXdpError, Mode, ModeChoice, Refusal, Step};
use crate::netdev::Netdev;

/// How an interface is to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// Its name.
    pub name: String,
    /// Modes to try.
    pub mode: ModeChoice,
    /// Whether an XDP program of somebody else's is taken off.
    pub replace: bool,
}

/// An interface with our XDP program on it, made by the control thread and shared by the workers.
///
/// Packets of a queue with a socket go to that socket, those of other queues to the network
/// stack. The program goes when this is dropped, or the process ends, however it ends.
#[derive(Debug)]
pub struct Interface {
    netdev: Netdev,
    choice: ModeChoice,
    native: bool,
    refused: Vec<Refusal>,
    map: OwnedFd,
    /// Holds the program on the interface.
    link: OwnedFd,
}

/// How long a program of ours may still be on an interface: that of a gateway that was killed and
/// is being taken down.
const LEFTOVER_WAIT: Duration = Duration::from_secs(1);

impl Interface {
    /// Loads the program and attaches it.
    ///
    /// # Errors
    /// When the interface is missing, down or has another XDP program (and is not to be
    /// replaced), when the process has not the rights, or no mode is granted.
    pub fn attach(settings: &InterfaceSettings) -> Result<Self, AfXdpError> {
        let netdev = Netdev::find(&settings.name)?;
        if !netdev.up {
            return Err(AfXdpError::Down { name: netdev.name });
        }
        let load = |error| AfXdpError::at(Step::Load, error);
        let map = bpf::create_map(netdev.rx_queues.max(netdev.tx_queues)).map_err(load)?;
        let program = bpf::load_program(&map).map_err(load)?;
        wait_for_room(&netdev, settings.replace)?;

        let choice = settings.mode;
        let mut refused = Vec::new();
        for native in [true, false] {
            let modes: &[Mode] =
                if native { &[Mode::NativeZeroCopy, Mode::NativeCopy] } else { &[Mode::Generic] };
            if !modes.iter().any(|&mode| choice.allows(mode)) {
                continue;
            }
            match bpf::attach(&program, netdev.index, native) {
                Ok(link) => return Ok(Self { netdev, choice, native, refused, map, link }),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or_default();
                    if errno == libc::EPERM {
                        return Err(AfXdpError::Rights { step: Step::Attach });
                    }
                    let granted = modes.iter().filter(|&&mode| choice.allows(mode));
                    refused.extend(granted.map(|&mode| Refusal {
                        mode,
                        step: Step::Attach,
                        errno,
                    }));
                }
            }
        }
        // Somebody may have come in between.
        make_room(&Netdev::find(&settings.name)?, false)?;
        Err(refusal(&netdev, refused))
    }

    /// The interface as it stood when the program was attached.
    #[must_use]
    pub fn netdev(&self) -> &Netdev {
        &self.netdev
    }

    /// Whether the driver itself runs the program.
    #[must_use]
    pub fn native(&self) -> bool {
        self.native
    }

    /// Modes that were refused when the program was attached.
    #[must_use]
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
    }

    /// Modes a socket may still be granted, best first.
    pub(super) fn modes(&self) -> impl Iterator<Item = Mode> {
        let modes: &[Mode] =
            if self.native { &[Mode::NativeZeroCopy, Mode::NativeCopy] } else { &[Mode::Generic] };
        modes.iter().copied().filter(|&mode| self.choice.allows(mode))
    }

    /// Lets the packets of `queue` go to `socket`.
    pub(super) fn join(&self, queue: u32, socket: RawFd) -> io::Result<()> {
        bpf::set_socket(&self.map, queue, socket)
    }

    /// Lets the packets of `queue` go to the network stack again.
    pub(super) fn leave(&self, queue: u32) {
        // The entry is gone already if the socket was closed by the kernel.
        let _ = bpf::clear_socket(&self.map, queue);
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        // Closing the link would do, but not while a process is being started: until it executes
        // its program, it holds copies of our descriptors. Of an interface that is gone, nothing
        // can be taken off.
        let _ = bpf::detach(&self.link);
    }
}

/// As [`make_room`], with patience for a program of ours.
fn wait_for_room(netdev: &Netdev, replace: bool) -> Result<(), AfXdpError> {
    let mut room = make_room(netdev, replace);
    within(LEFTOVER_WAIT, || {
        let ours = |error: &_| matches!(error, AfXdpError::Occupied { program, .. } if program == bpf::NAME);
        if !room.as_ref().is_err_and(ours) {
            return true;
        }
        room = Netdev::find(&netdev.name)
            .map_err(AfXdpError::from)
            .and_then(|now| make_room(&now, replace));
        false
    });
    room
}

/// Takes other programs off if that was asked for, or says whose they are.
fn make_room(netdev: &Netdev, replace: bool) -> Result<(), AfXdpError> {
    for (id, native) in [(netdev.xdp.native, true), (netdev.xdp.generic, false)] {
        let Some(id) = id else { continue };
        if !replace {
            return Err(occupied(netdev, id));
        }
        let detach = |error| AfXdpError::at(Step::Attach, error);
        if !bpf::detach_link(id, netdev.index).map_err(detach)? {
            netdev.detach_xdp(native).map_err(detach)?;
        }
    }
    // A program in the NIC itself is not ours to load again: never replaced.
    netdev.xdp.hardware.map_or(Ok(()), |id| Err(occupied(netdev, id)))
}

fn occupied(netdev: &Netdev, id: u32) -> AfXdpError {
    let program = bpf::program_name(id).unwrap_or_default();
    let name = &netdev.name;
    let remedy = if program == bpf::NAME {
        "another gateway runs on it; stop that one first".to_owned()
    } else if netdev.xdp.hardware == Some(id) {
        format!("it is in the NIC; ip link set dev {name} xdpoffload off")
    } else {
        format!("stop what put it there, or ip link set dev {name} xdp off, or set replace = true")
    };
    let program = if program.is_empty() { "without a name".to_owned() } else { program };
    AfXdpError::Occupied { name: name.clone(), id, program, remedy }
}

/// The words for an interface that grants no mode.
pub(super) fn refusal(netdev: &Netdev, refused: Vec<Refusal>) -> AfXdpError {
    let only_native = !refused.iter().any(|refusal| refusal.mode == Mode::Generic);
    let by = |errno| refused.iter().any(|refusal| refusal.errno == errno);
    let hint = if by(libc::ERANGE) || (by(libc::EINVAL) && netdev.mtu > 1500) {
        "a smaller MTU, or mode generic: it may be too large for native mode of this driver"
    } else if only_native {
        "mode generic, which works with every driver"
    } else {
        LOOK
    };
    let Netdev { name, driver, mtu, .. } = netdev.clone();
    AfXdpError::Refused { name, driver, mtu, refused, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_shared_by_threads() {
        fn shared<T: Send + Sync>() -> usize {
            size_of::<T>()
        }
        assert!(shared::<Interface>() > 0);
    }

    #[test]
    fn a_refusal_names_every_mode_its_reason_and_what_may_help() {
        let netdev =
            Netdev { mtu: 9000, driver: "slow".to_owned(), ..Netdev::find("lo").expect("lo") };
        let one = |mode, errno| Refusal { mode, step: Step::Attach, errno };
        let message = |refused| refusal(&netdev, refused).to_string();
        let both = [Mode::NativeZeroCopy, Mode::NativeCopy];
        let large = message(both.map(|mode| one(mode, libc::ERANGE)).to_vec());
        for part in ["lo (slow, MTU 9000)", "native zero-copy: ", "native copy: ", "smaller MTU"] {
            assert!(large.contains(part), "{large}");
        }
        let native = message(vec![one(Mode::NativeCopy, libc::EOPNOTSUPP)]);
        assert!(native.contains("remedy: mode generic, which works"), "{native}");
        let generic = message(vec![one(Mode::Generic, libc::EIO)]);
        assert!(generic.contains("generic: cannot attach the XDP program: "), "{generic}");
        assert!(generic.contains("remedy: see what the kernel says"), "{generic}");
    }
}
