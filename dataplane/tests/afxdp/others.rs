//! What others left on an interface: a program of somebody else's, or of a gateway that was killed.

use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use dataplane::afxdp::{AfXdpError, Interface, InterfaceSettings, Mode, ModeChoice};
use dataplane::netdev::Netdev;
use dataplane::port::Port;

use crate::net::{LEFT, attach, in_own_network, ip, pool, port, queue};

/// Set for the process that is going to be killed.
const VICTIM: &str = "AFXDP_TEST_VICTIM";

#[test]
#[ignore = "needs root"]
fn a_killed_process_leaves_nothing_and_a_new_one_starts() {
    if std::env::var_os(VICTIM).is_some() {
        // The process to be killed: it has been started in the test's network.
        let pool = pool(1024);
        let _port = port(LEFT, Mode::NativeCopy, &pool);
        println!("\nready");
        std::thread::sleep(std::time::Duration::from_secs(60));
        panic!("not killed");
    }
    in_own_network(1, 1500, || {
        for _ in 0..3 {
            let name = "others::a_killed_process_leaves_nothing_and_a_new_one_starts";
            let mut victim = Command::new(std::env::current_exe().expect("this test"))
                .args(["--ignored", "--exact", "--nocapture", name])
                .env(VICTIM, "1")
                .stdout(Stdio::piped())
                .spawn()
                .expect("started");
            let lines = BufReader::new(victim.stdout.take().expect("piped")).lines();
            assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
            let error = attach(LEFT, ModeChoice::Best).expect_err("the other has it");
            assert!(error.to_string().contains("another gateway"), "{error}");
            victim.kill().expect("killed");
            victim.wait().expect("dead");
            assert_eq!(Netdev::find(LEFT).expect("there").xdp, Default::default());
            let pool = pool(1024);
            let mut port = port(LEFT, Mode::NativeCopy, &pool);
            assert!(port.close().is_empty());
        }
        assert_eq!(Netdev::find(LEFT).expect("there").xdp, Default::default());
    });
}

#[test]
#[ignore = "needs root"]
fn the_program_of_somebody_else_stays_unless_told_otherwise() {
    in_own_network(1, 1500, || {
        ip("link set left xdpgeneric off");
        for (how, link) in [("xdpgeneric", false), ("xdpdrv", false), ("xdpdrv", true)] {
            let other = Other::attach(LEFT, how, link);
            let error = attach(LEFT, ModeChoice::Best).expect_err("occupied");
            let AfXdpError::Occupied { id, program, .. } = &error else { panic!("{error}") };
            assert_eq!((program.as_str(), Some(*id)), ("somebodys", on(LEFT)), "{error}");
            assert!(error.to_string().contains("replace = true"), "{error}");

            let (name, mode) = (LEFT.to_owned(), ModeChoice::Best);
            let replace = InterfaceSettings { name, mode, replace: true };
            let ours = std::sync::Arc::new(Interface::attach(&replace).expect("replaced"));
            assert!(on(LEFT).is_some_and(|now| now != *id));
            let pool = pool(1024);
            assert_eq!(queue(&ours, 0, &pool).mode(), Mode::NativeCopy);
            drop((ours, other));
            assert_eq!(on(LEFT), None);
        }
    });
}

/// The id of the one program on an interface.
fn on(name: &str) -> Option<u32> {
    let xdp = Netdev::find(name).expect("there").xdp;
    xdp.native.or(xdp.generic)
}

/// A program that lets everything pass, and the link that holds it on an interface, if one does.
struct Other {
    _program: OwnedFd,
    _link: Option<OwnedFd>,
}

impl Other {
    /// Attaches it by a link, or as `ip link set` does.
    fn attach(name: &str, how: &str, link: bool) -> Self {
        let program = load();
        if link {
            let index = Netdev::find(name).expect("there").index;
            let fd = program.as_raw_fd() as u32;
            let _link = Some(bpf(28, &mut [fd, index, 37, 1 << 2]));
            return Self { _program: program, _link };
        }
        // In the test's own mount namespace.
        let (kind, at) = (c"bpf".as_ptr(), c"/sys/fs/bpf".as_ptr());
        // SAFETY: strings that end in zero.
        let mounted = unsafe { libc::mount(kind, at, kind, 0, std::ptr::null()) };
        assert_eq!(mounted, 0, "{}", std::io::Error::last_os_error());
        let path = c"/sys/fs/bpf/somebodys".as_ptr() as u64;
        let fd = program.as_raw_fd() as u32;
        let mut pin = [path as u32, (path >> 32) as u32, fd, 0];
        // SAFETY: BPF_OBJ_PIN: an address of a string that ends in zero, a descriptor, flags.
        let pinned = unsafe { libc::syscall(libc::SYS_bpf, 6, pin.as_mut_ptr(), 16) };
        assert_eq!(pinned, 0, "{}", std::io::Error::last_os_error());
        ip(&format!("link set dev {name} {how} pinned /sys/fs/bpf/somebodys"));
        Self { _program: program, _link: None }
    }
}

/// Loads `return XDP_PASS` by the name "somebodys".
fn load() -> OwnedFd {
    let program: [u64; 2] = [0x2_0000_00b7, 0x95];
    let (at, license) = (program.as_ptr() as u64, c"MIT".as_ptr() as u64);
    let mut attributes = [0u32; 18];
    (attributes[0], attributes[1]) = (6, 2);
    (attributes[2], attributes[3]) = (at as u32, (at >> 32) as u32);
    (attributes[4], attributes[5]) = (license as u32, (license >> 32) as u32);
    for (word, letters) in attributes[12..].iter_mut().zip(b"somebodys\0\0\0".chunks(4)) {
        *word = u32::from_ne_bytes(letters.try_into().expect("four"));
    }
    bpf(5, &mut attributes)
}

/// A bpf command that returns a descriptor.
fn bpf(command: u32, attributes: &mut [u32]) -> OwnedFd {
    let len = size_of_val(attributes);
    // SAFETY: attributes of these commands, as long as is said; the descriptor is nobody else's.
    unsafe {
        let fd = libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), len);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd as i32)
    }
}
