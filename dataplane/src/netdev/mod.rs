//! Network interfaces of the kernel, as an operator sees them: what they are and how they stand.
//!
//! Everything here speaks of the network namespace of the thread that asks. Nothing needs
//! rights but changing something.

mod ethtool;
mod netlink;
mod packet;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub use packet::PacketSocket;

/// An interface that cannot be asked. Said with the remedy, on a line of its own.
#[derive(Debug, thiserror::Error)]
#[error("{}\n    remedy: {}", self.what(), self.remedy())]
pub enum NetdevError {
    /// There is none of that name here.
    Missing(String),
    /// The kernel refused.
    Refused {
        /// As given.
        name: String,
        /// What was tried.
        what: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl NetdevError {
    /// What is wrong, in a line.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Missing(name) => format!("there is no interface {name}"),
            Self::Refused { name, what, source } => {
                format!("cannot {what} of interface {name}: {source}")
            }
        }
    }

    /// What helps, in a line.
    #[must_use]
    pub fn remedy(&self) -> String {
        let reason = match self {
            Self::Missing(_) => {
                return "choose one of this network namespace, see: ip -br link".to_owned();
            }
            Self::Refused { source, .. } => source.raw_os_error(),
        };
        match reason {
            Some(libc::EPERM | libc::EACCES) => "run as root, or give the capabilities: \
                setcap cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock+ep <program>"
                .to_owned(),
            Some(libc::EOPNOTSUPP) => {
                "its driver cannot do that: choose another interface".to_owned()
            }
            _ => "see what the kernel says: dmesg | tail".to_owned(),
        }
    }
}

/// Whether an interface can carry packets: RFC 2863's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperState {
    /// It does not say.
    Unknown,
    /// It is a part that is not there.
    NotPresent,
    /// It cannot.
    Down,
    /// What it runs on cannot.
    LowerLayerDown,
    /// It is being tested.
    Testing,
    /// It waits, for authentication for example.
    Dormant,
    /// It can.
    Up,
}

/// Ids of the XDP programs on an interface, a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct XdpPrograms {
    /// Run by the driver.
    pub native: Option<u32>,
    /// Run by the network stack.
    pub generic: Option<u32>,
    /// Run by the NIC.
    pub hardware: Option<u32>,
}

/// Work a NIC or the stack does on packets, which changes what a gateway sees of them: VLAN tags
/// taken off, checksums left to be filled in, several packets merged into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// `rx`: checksums are verified at reception.
    RxChecksum,
    /// `tx`: checksums are filled in by the NIC; over a veth pair they are never filled in.
    TxChecksum,
    /// `tso`: TCP segments are cut by the NIC.
    TxSegmentation,
    /// `gro`: packets are merged by the stack.
    GenericReceive,
    /// `lro`: packets are merged by the NIC.
    LargeReceive,
    /// `txvlan`: VLAN tags travel beside the packet when sent.
    TxVlan,
    /// `rxvlan`: VLAN tags are taken off at reception.
    RxVlan,
}

/// A network interface as it stood when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netdev {
    /// Its name.
    pub name: String,
    /// Its number in its network namespace.
    pub index: u32,
    /// The largest packet it carries, in bytes without the Ethernet header.
    pub mtu: u32,
    /// Its hardware address; zero if it has none of six bytes.
    pub mac: [u8; 6],
    /// Whether it was set up by the operator.
    pub up: bool,
    /// Whether there is something at the other end.
    pub carrier: bool,
    /// Whether it can carry packets.
    pub operstate: OperState,
    /// Whether it takes packets for any hardware address, for whatever reason.
    pub promiscuous: bool,
    /// Receive queues in use.
    pub rx_queues: u32,
    /// Transmit queues in use.
    pub tx_queues: u32,
    /// The driver's name; empty if it does not say.
    pub driver: String,
    /// XDP programs on it.
    pub xdp: XdpPrograms,
}

impl Netdev {
    /// The interface named `name`, as it stands now.
    ///
    /// # Errors
    /// When there is none, or the kernel refuses to say.
    pub fn find(name: &str) -> Result<Self, NetdevError> {
        // A longer name, or none, would be answered as malformed.
        if name.is_empty() || name.len() >= libc::IFNAMSIZ {
            return Err(NetdevError::Missing(name.to_owned()));
        }
        let link = netlink::link(name).map_err(|error| refused(name, "ask the state", error))?;
        let (rx_queues, tx_queues) =
            ethtool::queues(name).map_err(|error| refused(name, "ask the queues", error))?;
        Ok(Self {
            name: name.to_owned(),
            index: link.index,
            mtu: link.mtu,
            mac: link.mac,
            up: link.flags & libc::IFF_UP as u32 != 0,
            carrier: link.carrier,
            operstate: operstate(link.operstate),
            promiscuous: link.promiscuity > 0,
            rx_queues,
            tx_queues,
            driver: ethtool::driver(name).unwrap_or_default(),
            xdp: link.xdp,
        })
    }

    /// Whether `offload` is on now; `None` if the driver does not say.
    #[must_use]
    pub fn offload(&self, offload: Offload) -> Option<bool> {
        ethtool::offload(&self.name, offload).ok()
    }

    /// Turns `offload` on or off. Needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// When the driver or the kernel refuses.
    pub fn set_offload(&self, offload: Offload, on: bool) -> Result<(), NetdevError> {
        ethtool::set_offload(&self.name, offload, on)
            .map_err(|error| refused(&self.name, "set an offload", error))
    }

    /// Takes off an XDP program that was attached by netlink (as `ip link set xdp` does), native
    /// or generic. Needs CAP_NET_ADMIN.
    pub(crate) fn detach_xdp(&self, native: bool) -> io::Result<()> {
        const GENERIC: u32 = 1 << 1;
        const NATIVE: u32 = 1 << 2;
        netlink::detach_xdp(self.index, if native { NATIVE } else { GENERIC })
    }
}

/// Makes an interface take packets for any hardware address, for as long as it lives. The kernel
/// counts who wants that, so what others set stays, and it ends with the process.
#[derive(Debug)]
pub struct Promiscuous {
    _socket: OwnedFd,
}

impl Promiscuous {
    /// Turns it on. Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn on(netdev: &Netdev) -> Result<Self, NetdevError> {
        let refused = || refused(&netdev.name, "turn on promiscuity", io::Error::last_os_error());
        // SAFETY: no pointers; the descriptor is nobody else's. Protocol 0: it receives nothing.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
            if fd < 0 {
                return Err(refused());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let membership = libc::packet_mreq {
            mr_ifindex: netdev.index as i32,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        // SAFETY: the option's value is one `packet_mreq`, of the size said.
        let done = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                (&raw const membership).cast(),
                size_of::<libc::packet_mreq>() as u32,
            )
        };
        if done < 0 { Err(refused()) } else { Ok(Self { _socket: socket }) }
    }
}

fn refused(name: &str, what: &'static str, source: io::Error) -> NetdevError {
    match source.raw_os_error() {
        Some(libc::ENODEV) => NetdevError::Missing(name.to_owned()),
        _ => NetdevError::Refused { name: name.to_owned(), what, source },
    }
}

fn operstate(number: u8) -> OperState {
    match number {
        1 => OperState::NotPresent,
        2 => OperState::Down,
        3 => OperState::LowerLayerDown,
        4 => OperState::Testing,
        5 => OperState::Dormant,
        6 => OperState::Up,
        _ => OperState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there_and_others_are_missing() {
        let lo = Netdev::find("lo").expect("every network namespace has it");
        assert_eq!((lo.index, lo.name.as_str(), lo.mac), (1, "lo", [0; 6]));
        assert!(lo.mtu >= 1500 && lo.rx_queues == 1 && lo.tx_queues == 1, "{lo:?}");
        for name in ["no-such-if0", "", "a-name-of-more-than-15-bytes"] {
            let error = Netdev::find(name).expect_err("there is no such interface");
            assert!(matches!(&error, NetdevError::Missing(missing) if missing == name), "{error}");
        }
    }

    #[test]
    fn each_error_says_what_helps_on_a_line_of_its_own() {
        let error = Netdev::find("no-such-if0").expect_err("there is no such interface");
        let said = "there is no interface no-such-if0\n    remedy: choose one of this network \
                    namespace, see: ip -br link";
        assert_eq!(error.to_string(), said);
        for (errno, remedy) in [
            (libc::EPERM, "run as root"),
            (libc::EOPNOTSUPP, "choose another interface"),
            (libc::EIO, "dmesg"),
        ] {
            let error = refused("eth0", "set an offload", io::Error::from_raw_os_error(errno));
            let said = error.to_string();
            let (what, helps) = said.split_once("\n    remedy: ").expect("two lines");
            assert!(what.starts_with("cannot set an offload of interface eth0: "), "{what}");
            assert!(helps.contains(remedy), "{helps}");
        }
    }
}
