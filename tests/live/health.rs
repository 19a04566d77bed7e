//! Paths that BFD watches, against FRR's bfdd (Debian's package frr) in a namespace of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::gateway::{Gateway, PATIENCE};
use crate::namespace::{Namespace, cable, ip};

const DAEMONS: &str = "/usr/lib/frr";

/// zebra, which tells bfdd of interfaces, and bfdd. Dropping it ends both.
struct Frr {
    folder: PathBuf,
    daemons: Vec<Child>,
}

impl Frr {
    /// Starts them in a namespace; their files are in `folder`, and bfdd has `configuration`.
    ///
    /// # Panics
    /// Without the package: a live test that cannot run has not passed.
    fn start(namespace: &Namespace, folder: &Path, configuration: &str) -> Self {
        let folder = folder.join("frr");
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("zebra.conf"), "").expect("a file");
        fs::write(folder.join("bfdd.conf"), configuration).expect("a file");
        // They give up being root, and make sockets there.
        let owned = Command::new("chown").args(["-R", "frr:frr"]).arg(&folder).status();
        assert!(owned.is_ok_and(|status| status.success()), "frr is not installed");
        let mut frr = Self { folder, daemons: Vec::new() };
        for name in ["zebra", "bfdd"] {
            frr.launch(namespace, name);
        }
        frr
    }

    fn launch(&mut self, namespace: &Namespace, name: &str) {
        let file = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        let mut command = Command::new(format!("{DAEMONS}/{name}"));
        command.arg("--vty_socket").arg(&self.folder);
        command.arg("-i").arg(file("pid")).arg("-z").arg(self.folder.join("zserv"));
        command.arg("-f").arg(file("conf")).args(["-P", "0", "--log", "stdout"]);
        if name == "bfdd" {
            command.arg("--bfdctl").arg(self.folder.join("control"));
        }
        let log = fs::File::create(file("log")).expect("a file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        self.daemons.push(namespace.run(|| command.spawn().expect("frr is installed")));
        let until = Instant::now() + PATIENCE;
        while !file("vty").exists() {
            assert!(Instant::now() < until, "{name}: {:?}", fs::read_to_string(file("log")));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The status of its only session.
    fn status(&self) -> Option<String> {
        let mut vtysh = Command::new("vtysh");
        vtysh.arg("--vty_socket").arg(&self.folder).args(["-c", "show bfd peers json"]);
        let peers: Value = serde_json::from_slice(&vtysh.output().ok()?.stdout).ok()?;
        Some(peers[0]["status"].as_str()?.to_owned())
    }

    /// Waits for a status; panics when that takes too long.
    fn wait(&self, wished: &str) {
        let until = Instant::now() + PATIENCE;
        while self.status().as_deref() != Some(wished) {
            let log = fs::read_to_string(self.folder.join("bfdd.log"));
            assert!(Instant::now() < until, "bfdd is not {wished}: {:?}\n{log:?}", self.status());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            // It may have ended.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

const BFDD: &str = "bfd
 peer 192.0.2.1 local-address 192.0.2.2
  detect-multiplier 3
  receive-interval 50
  transmit-interval 50
  no shutdown
 !
!
";

const GATEWAY: &str = r#"
[gateway]
name = "gateway-a"
address = "192.0.2.1"

[workers]
cores = [0]
idle = "sleep"

[[port]]
name = "lan"
role = "lan"
driver = "af_xdp"
interface = "lan"
xdp_mode = "generic"

[[port]]
name = "wan"
role = "wan"
driver = "af_xdp"
interface = "wan"
xdp_mode = "generic"
mtu = 1600

[[peer]]
name = "peer"
address = "192.0.2.2"
everything = true
key = "000102030405060708090a0b0c0d0e0f"

[[path]]
name = "north"
peer = "peer"
port = "wan"
next_hop = "192.0.2.2"
weight = 1
bfd = true
bfd_interval = "50ms"

[recovery]
replay_bytes = "8MiB"
hold_bytes = "8MiB"

[control]
socket = "gateway-a.sock"
"#;

/// Waits until the gateway's session is in `state`; returns it.
fn wait(gateway: &mut Gateway, state: &str) -> Value {
    let of = |shown: &Value| shown["peers"][0]["paths"][0]["bfd"].clone();
    of(&gateway.wait(&format!("in a session that is {state}"), |shown| of(shown)["state"] == state))
}

#[test]
#[ignore = "needs root, iproute2 and frr: make test-live"]
fn a_session_with_bfdd_comes_up_goes_down_with_its_link_and_comes_up_again() {
    let (gate, host, router) = (Namespace::new(), Namespace::new(), Namespace::new());
    cable((&host, "eth0"), (&gate, "lan"), 1_500, 1);
    cable((&gate, "wan"), (&router, "wan"), 1_600, 1);
    router.run(|| ip(&["addr", "add", "192.0.2.2/24", "dev", "wan"]));
    let folder = TempDir::new().expect("a folder");
    // bfdd, which is not root, must get through to its own.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), open).expect("it is ours");
    fs::write(folder.path().join("gateway-a.toml"), GATEWAY).expect("a file");
    let mut gateway = Gateway::start(&gate, folder.path(), "gateway-a", None);
    let frr = Frr::start(&router, folder.path(), BFDD);

    let up = wait(&mut gateway, "up");
    frr.wait("up");
    assert_eq!((&up["ups"], &up["flaps"]), (&1.into(), &0.into()));

    let cut = Instant::now();
    router.run(|| ip(&["link", "set", "dev", "wan", "down"]));
    let down = wait(&mut gateway, "down");
    println!("gateway down after {:?}", cut.elapsed());
    frr.wait("down");
    println!("bfdd down after {:?}", cut.elapsed());
    assert_eq!(
        (&down["flaps"], down["diagnostic"].as_str()),
        (&1.into(), Some("detection time expired"))
    );

    let mended = Instant::now();
    router.run(|| ip(&["link", "set", "dev", "wan", "up"]));
    let up = wait(&mut gateway, "up");
    frr.wait("up");
    println!("up again after {:?}", mended.elapsed());
    assert_eq!((&up["ups"], &up["flaps"]), (&2.into(), &1.into()));
    assert!(gateway.terminate().status.success());
}
