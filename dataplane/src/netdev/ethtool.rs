//! Questions to a network driver by the ethtool ioctl: its name, its queues, its offloads.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::Offload;

const GET_DRIVER: u32 = 0x03;
const GET_CHANNELS: u32 = 0x3c;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    other: [u8; 160],
}
const _: () = assert!(size_of::<DriverInfo>() == 196);

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    /// The most there can be of each kind: receive, transmit, other, combined.
    most: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// One ioctl about interface `name`; `data` is what the command works on, which begins with the
/// command.
///
/// # Safety
/// `T` must be that command's own struct.
unsafe fn ioctl<T>(name: &str, data: &mut T) -> io::Result<()> {
    // SAFETY: no pointers; the descriptor is nobody else's.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: all zeroes is a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(data).cast();
    // SAFETY: the kernel reads and writes one value of the command's own struct.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The driver's name.
pub(super) fn driver(name: &str) -> io::Result<String> {
    let mut info = DriverInfo { command: GET_DRIVER, driver: [0; 32], other: [0; 160] };
    // SAFETY: the struct of that command.
    unsafe { ioctl(name, &mut info)? };
    let end = info.driver.iter().position(|&byte| byte == 0).unwrap_or(info.driver.len());
    Ok(String::from_utf8_lossy(&info.driver[..end]).into_owned())
}

/// Receive and transmit queues in use. A driver that has no notion of them has one of each.
pub(super) fn queues(name: &str) -> io::Result<(u32, u32)> {
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    // SAFETY: the struct of that command.
    match unsafe { ioctl(name, &mut channels) } {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok((1, 1)),
        Err(error) => Err(error),
        Ok(()) => {
            let Channels { rx, tx, combined, .. } = channels;
            Ok(((rx + combined).max(1), (tx + combined).max(1)))
        }
    }
}

/// The commands that get and set an offload, and the bits of the value that stand for it.
fn commands(offload: Offload) -> (u32, u32, u32) {
    match offload {
        Offload::RxChecksum => (0x14, 0x15, 1),
        Offload::TxChecksum => (0x16, 0x17, 1),
        Offload::TxSegmentation => (0x1e, 0x1f, 1),
        Offload::GenericReceive => (0x2b, 0x2c, 1),
        Offload::LargeReceive => (0x25, 0x26, 1 << 15),
        Offload::TxVlan => (0x25, 0x26, 1 << 7),
        Offload::RxVlan => (0x25, 0x26, 1 << 8),
    }
}

/// Whether the driver does `offload` now.
pub(super) fn offload(name: &str, offload: Offload) -> io::Result<bool> {
    let (get, _, bits) = commands(offload);
    let mut value = Value { command: get, data: 0 };
    // SAFETY: the struct of commands with one value.
    unsafe { ioctl(name, &mut value)? };
    Ok(value.data & bits != 0)
}

/// Turns `offload` on or off.
pub(super) fn set_offload(name: &str, offload: Offload, on: bool) -> io::Result<()> {
    let (get, set, bits) = commands(offload);
    let mut value = Value { command: get, data: 0 };
    // SAFETY: the struct of commands with one value.
    unsafe { ioctl(name, &mut value)? };
    value.command = set;
    value.data = if on { value.data | bits } else { value.data & !bits };
    // SAFETY: as above.
    unsafe { ioctl(name, &mut value) }
}
