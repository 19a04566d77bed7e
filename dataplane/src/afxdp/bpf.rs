//! The bpf system call, as far as an XDP program that feeds AF_XDP sockets needs it, and that
//! program.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// What our program and map are called, to recognise them by.
pub(super) const NAME: &str = "compute_gw";

const MAP_CREATE: u32 = 0;
const MAP_UPDATE_ELEM: u32 = 2;
const MAP_DELETE_ELEM: u32 = 3;
const PROG_LOAD: u32 = 5;
const PROG_GET_FD_BY_ID: u32 = 13;
const OBJ_GET_INFO_BY_FD: u32 = 15;
const LINK_CREATE: u32 = 28;
const LINK_GET_FD_BY_ID: u32 = 30;
const LINK_GET_NEXT_ID: u32 = 31;
const LINK_DETACH: u32 = 34;

const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_TYPE_XDP: u32 = 37;
const LINK_TYPE_XDP: u32 = 6;
/// The program copes with packets in several buffers: drivers then take jumbo frames.
const PROG_HAS_FRAGS: u32 = 1 << 5;
const XDP_FLAGS_GENERIC: u32 = 1 << 1;
const XDP_FLAGS_NATIVE: u32 = 1 << 2;

/// An instruction of the kernel's virtual machine.
#[repr(C)]
struct Instruction {
    code: u8,
    /// Destination in the lower half, source in the upper.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(code: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers, offset, immediate }
}

/// `return bpf_redirect_map(map, context->rx_queue_index, XDP_PASS)`: to the socket of the queue
/// the packet came by, and to the network stack if that queue has none.
fn program(map: RawFd) -> [Instruction; 6] {
    const XDP_PASS: i32 = 2;
    const REDIRECT_MAP: i32 = 51;
    const RX_QUEUE_INDEX: i16 = 16;
    [
        instruction(0x61, 0x12, RX_QUEUE_INDEX, 0), // r2 = *(u32 *)(r1 + 16)
        instruction(0x18, 0x11, 0, map),            // r1 = map, over two instructions
        instruction(0, 0, 0, 0),
        instruction(0xb7, 0x03, 0, XDP_PASS), // r3 = XDP_PASS
        instruction(0x85, 0x00, 0, REDIRECT_MAP), // r0 = bpf_redirect_map(r1, r2, r3)
        instruction(0x95, 0x00, 0, 0),        // return r0
    ]
}

/// One call; what it returns: a descriptor, or zero.
///
/// # Safety
/// `attributes` must be what the command takes: addresses in it valid for what it does with them.
unsafe fn bpf<T>(command: u32, attributes: &mut T) -> io::Result<RawFd> {
    let attributes = std::ptr::from_mut(attributes);
    // SAFETY: the struct is as long as is said; the rest by contract.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}

/// As [`bpf`], for commands that return a new descriptor.
///
/// # Safety
/// As for [`bpf`]; and it must be such a command.
unsafe fn bpf_open<T>(command: u32, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: by contract; a descriptor just opened is nobody else's.
    unsafe { bpf(command, attributes).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// A name in the form the kernel takes.
fn name() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..NAME.len()].copy_from_slice(NAME.as_bytes());
    bytes
}

/// An address in the form the kernel takes.
fn address<T>(of: &T) -> u64 {
    std::ptr::from_ref(of) as u64
}

/// A map from queue numbers below `queues` to AF_XDP sockets.
pub(super) fn create_map(queues: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        key_size: u32,
        value_size: u32,
        entries: u32,
        flags: [u32; 3],
        name: [u8; 16],
    }
    let (kind, name) = (MAP_TYPE_XSKMAP, name());
    let mut attributes =
        Attributes { kind, key_size: 4, value_size: 4, entries: queues, flags: [0; 3], name };
    // SAFETY: no addresses in it.
    unsafe { bpf_open(MAP_CREATE, &mut attributes) }
}

#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Lets the packets of `queue` go to `socket`.
pub(super) fn set_socket(map: &OwnedFd, queue: u32, socket: RawFd) -> io::Result<()> {
    let (key, value) = (address(&queue), address(&socket));
    let mut element = Element { map: map.as_raw_fd() as u32, padding: 0, key, value, flags: 0 };
    // SAFETY: key and value are of the map's four bytes each, and outlive the call.
    unsafe { bpf(MAP_UPDATE_ELEM, &mut element) }.map(drop)
}

/// Lets the packets of `queue` go to the network stack again.
pub(super) fn clear_socket(map: &OwnedFd, queue: u32) -> io::Result<()> {
    let key = address(&queue);
    let mut element = Element { map: map.as_raw_fd() as u32, padding: 0, key, value: 0, flags: 0 };
    // SAFETY: the key is of the map's four bytes, and outlives the call.
    unsafe { bpf(MAP_DELETE_ELEM, &mut element) }.map(drop)
}

/// Loads the program that feeds the sockets of `map`.
pub(super) fn load_program(map: &OwnedFd) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
        interface: u32,
        attach_type: u32,
    }
    let program = program(map.as_raw_fd());
    let license = *b"Dual MIT/GPL\0";
    let mut attributes = Attributes {
        kind: PROG_TYPE_XDP,
        count: program.len() as u32,
        instructions: address(&program),
        license: address(&license),
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: PROG_HAS_FRAGS,
        name: name(),
        interface: 0,
        attach_type: ATTACH_TYPE_XDP,
    };
    // SAFETY: as many instructions as said, a string that ends in zero; both outlive the call.
    unsafe { bpf_open(PROG_LOAD, &mut attributes) }
}

/// Attaches the program to an interface, until the descriptor is closed, by whatever end of the
/// process.
pub(super) fn attach(program: &OwnedFd, interface: u32, native: bool) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        program: u32,
        interface: u32,
        attach_type: u32,
        flags: u32,
    }
    let mut attributes = Attributes {
        program: program.as_raw_fd() as u32,
        interface,
        attach_type: ATTACH_TYPE_XDP,
        flags: if native { XDP_FLAGS_NATIVE } else { XDP_FLAGS_GENERIC },
    };
    // SAFETY: no addresses in it.
    unsafe { bpf_open(LINK_CREATE, &mut attributes) }
}

/// Takes a program off its interface at once, whoever else holds the link.
pub(super) fn detach(link: &OwnedFd) -> io::Result<()> {
    let mut link = link.as_raw_fd() as u32;
    // SAFETY: no addresses in it.
    unsafe { bpf(LINK_DETACH, &mut link) }.map(drop)
}

/// What the commands that go by ids take: an id in, the next one out.
#[repr(C)]
struct Id {
    id: u32,
    next: u32,
    flags: u32,
}

/// Fills `info` with the beginning of what the kernel knows about an object.
fn info<const BYTES: usize>(object: &OwnedFd) -> io::Result<[u8; BYTES]> {
    #[repr(C)]
    struct Attributes {
        object: u32,
        len: u32,
        info: u64,
    }
    let mut info = [0u8; BYTES];
    let to = info.as_mut_ptr() as u64;
    let object = object.as_raw_fd() as u32;
    let mut attributes = Attributes { object, len: BYTES as u32, info: to };
    // SAFETY: the kernel writes as many bytes as said at most, to memory that outlives the call.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attributes)? };
    Ok(info)
}

/// The name of the program with that id.
pub(super) fn program_name(id: u32) -> io::Result<String> {
    const NAME_AT: usize = 64;
    // SAFETY: no addresses in it.
    let program = unsafe { bpf_open(PROG_GET_FD_BY_ID, &mut Id { id, next: 0, flags: 0 })? };
    let info = info::<{ NAME_AT + 16 }>(&program)?;
    let name = info[NAME_AT..].split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Takes the program with that id off an interface, if it was attached by a link; whether there
/// was one.
pub(super) fn detach_link(program: u32, interface: u32) -> io::Result<bool> {
    let mut last = 0;
    loop {
        let mut id = Id { id: last, next: 0, flags: 0 };
        // SAFETY: no addresses in it.
        match unsafe { bpf(LINK_GET_NEXT_ID, &mut id) } {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(false),
            Err(error) => return Err(error),
            Ok(_) => last = id.next,
        }
        // SAFETY: no addresses in it.
        let Ok(link) =
            (unsafe { bpf_open(LINK_GET_FD_BY_ID, &mut Id { id: last, next: 0, flags: 0 }) })
        else {
            continue; // It went away meanwhile.
        };
        // Kind, id, program and, for XDP, the interface behind four bytes of padding.
        let info = info::<24>(&link)?;
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|i| info[at + i]));
        if (word(0), word(8), word(16)) == (LINK_TYPE_XDP, program, interface) {
            return detach(&link).map(|()| true);
        }
    }
}
