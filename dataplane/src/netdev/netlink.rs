//! What the kernel says about a link, and taking an XDP program off it: route netlink, one request
//! and one answer a socket.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::XdpPrograms;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_PROMISCUITY: u16 = 30;
const IFLA_CARRIER: u16 = 33;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const NLA_F_NESTED: u16 = 1 << 15;
/// The lower 14 bits of an attribute's type are its number.
const NLA_TYPE: u16 = 0x3fff;
/// A program in one mode only, as told by `IFLA_XDP_ATTACHED`.
const ATTACHED_NATIVE: u8 = 1;
const ATTACHED_GENERIC: u8 = 2;
const ATTACHED_HARDWARE: u8 = 3;

/// What the kernel says about a link.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) flags: u32,
    pub(super) mtu: u32,
    pub(super) mac: [u8; 6],
    pub(super) operstate: u8,
    /// How many want it to be promiscuous.
    pub(super) promiscuity: u32,
    pub(super) carrier: bool,
    pub(super) xdp: XdpPrograms,
}

/// Asks for the link named `name` in the network namespace of this thread.
pub(super) fn link(name: &str) -> io::Result<Link> {
    let mut zero_ended = name.as_bytes().to_vec();
    zero_ended.push(0);
    let mut attributes = Vec::new();
    attribute(&mut attributes, IFLA_IFNAME, &zero_ended);
    let answer = ask(libc::RTM_GETLINK, 0, 0, &attributes)?;
    Ok(parse(&answer))
}

/// Takes the XDP program in the mode of `flags` (`XDP_FLAGS_*`) off interface `index`. Only what
/// was attached by netlink goes this way; a program attached by a link answers EBUSY.
pub(super) fn detach_xdp(index: u32, flags: u32) -> io::Result<()> {
    let mut nested = Vec::new();
    attribute(&mut nested, IFLA_XDP_FD, &(-1i32).to_ne_bytes());
    attribute(&mut nested, IFLA_XDP_FLAGS, &flags.to_ne_bytes());
    let mut attributes = Vec::new();
    attribute(&mut attributes, IFLA_XDP | NLA_F_NESTED, &nested);
    ask(libc::RTM_SETLINK, libc::NLM_F_ACK as u16, index, &attributes).map(drop)
}

/// Sends one request about one link; what follows the header of the answer.
fn ask(kind: u16, flags: u16, index: u32, attributes: &[u8]) -> io::Result<Vec<u8>> {
    const HEADER: usize = 16;
    let mut request = Vec::new();
    let total = (HEADER + 16 + attributes.len()) as u32;
    request.extend(total.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend((libc::NLM_F_REQUEST as u16 | flags).to_ne_bytes());
    request.extend([0; 8]); // Sequence and port: one request a socket, none needed.
    request.extend([0; 4]); // Of the link: family, padding and type.
    request.extend(index.to_ne_bytes());
    request.extend([0; 8]); // Flags, and which of them to change.
    request.extend(attributes);

    let mut answer = exchange(&request)?;
    let kind = answer.get(4..6).map(|b| u16::from_ne_bytes([b[0], b[1]]));
    if kind == Some(libc::NLMSG_ERROR as u16) {
        return match -number(answer.get(HEADER..HEADER + 4).unwrap_or_default()) {
            0 => Ok(Vec::new()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        };
    }
    Ok(answer.split_off(HEADER.min(answer.len())))
}

fn exchange(request: &[u8]) -> io::Result<Vec<u8>> {
    // SAFETY: no pointers; the descriptor is nobody else's.
    let socket = unsafe {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let mut answer = vec![0u8; 32 * 1024];
    // SAFETY: both buffers are as long as is said.
    let received = unsafe {
        if libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0)
    };
    answer.truncate(usize::try_from(received).map_err(|_| io::Error::last_os_error())?);
    Ok(answer)
}

/// Reads an answer about a link; what is missing stays zero.
fn parse(answer: &[u8]) -> Link {
    let mut link = Link {
        index: number(answer.get(4..8).unwrap_or_default()) as u32,
        flags: number(answer.get(8..12).unwrap_or_default()) as u32,
        ..Link::default()
    };
    for (kind, value) in attributes(answer.get(16..).unwrap_or_default()) {
        match kind {
            IFLA_ADDRESS if value.len() == 6 => link.mac.copy_from_slice(value),
            IFLA_MTU => link.mtu = number(value) as u32,
            IFLA_OPERSTATE => link.operstate = value.first().copied().unwrap_or_default(),
            IFLA_PROMISCUITY => link.promiscuity = number(value) as u32,
            IFLA_CARRIER => link.carrier = value.first() == Some(&1),
            IFLA_XDP => link.xdp = programs(value),
            _ => {}
        }
    }
    link
}

fn programs(nested: &[u8]) -> XdpPrograms {
    let mut found = XdpPrograms::default();
    let mut attached = 0;
    for (kind, value) in attributes(nested) {
        let id = Some(number(value) as u32).filter(|&id| id != 0);
        match kind {
            IFLA_XDP_ATTACHED => attached = value.first().copied().unwrap_or_default(),
            // The only program's, when there is one; `attached` came before it.
            IFLA_XDP_PROG_ID if attached == ATTACHED_NATIVE => found.native = id,
            IFLA_XDP_PROG_ID if attached == ATTACHED_GENERIC => found.generic = id,
            IFLA_XDP_PROG_ID if attached == ATTACHED_HARDWARE => found.hardware = id,
            IFLA_XDP_DRV_PROG_ID => found.native = id,
            IFLA_XDP_SKB_PROG_ID => found.generic = id,
            IFLA_XDP_HW_PROG_ID => found.hardware = id,
            _ => {}
        }
    }
    found
}

/// Adds an attribute, padded to four bytes.
fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend((4 + value.len() as u16).to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// The attributes in `bytes`, as far as they are whole.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & NLA_TYPE, value))
    })
}

/// A 32-bit number in the machine's order; zero when there are other than four bytes.
fn number(bytes: &[u8]) -> i32 {
    bytes.try_into().map_or(0, i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_from_its_attributes() {
        let mut answer = vec![0; 16];
        answer[4] = 7;
        attribute(&mut answer, IFLA_ADDRESS, &[2, 0, 0, 0, 0, 9]);
        attribute(&mut answer, IFLA_MTU, &9000u32.to_ne_bytes());
        attribute(&mut answer, IFLA_CARRIER, &[1]);
        let mut nested = Vec::new();
        attribute(&mut nested, IFLA_XDP_ATTACHED, &[ATTACHED_GENERIC]);
        attribute(&mut nested, IFLA_XDP_PROG_ID, &31u32.to_ne_bytes());
        attribute(&mut answer, IFLA_XDP | NLA_F_NESTED, &nested);
        let link = parse(&answer);
        assert_eq!((link.index, link.mtu, link.carrier), (7, 9000, true));
        assert_eq!(link.mac, [2, 0, 0, 0, 0, 9]);
        assert_eq!(link.xdp, XdpPrograms { generic: Some(31), ..XdpPrograms::default() });
        // Cut anywhere, it is read as far as it goes.
        for len in 0..answer.len() {
            assert!(parse(&answer[..len]).xdp == XdpPrograms::default(), "{len}");
        }
    }
}
