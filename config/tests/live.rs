//! The keys of live ports: their drivers, next hops that are asked for, windows.

use std::path::Path;

use config::Config;
use config::model::{Driver, NextHop, XdpMode};

mod common;
use common::{changed, findings, wrong};

/// The first port's role and driver.
const DRIVER: &str = "role = \"lan\"\ndriver = \"ring\"";

#[test]
fn live_ports() {
    let xdp = |keys: &str| format!("role = \"lan\"\ndriver = \"af_xdp\"\n{keys}");
    let right = xdp("interface = \"eth1\"");
    let config = Config::parse(&changed(DRIVER, &right), "g.toml", Path::new("")).expect("right");
    let driver = Driver::AfXdp {
        interface: "eth1".into(),
        queues: vec![0],
        mode: XdpMode::Auto,
        replace: false,
    };
    assert_eq!(config.config.ports[0].driver, driver);
    assert_eq!(config.config.workers.buffer_bytes, 4_032);

    let port = |keys: &str| xdp(&format!("interface = \"eth1\"\n{keys}"));
    wrong(DRIVER, &xdp("interface = \"a/b\""), (12, 13), "not an interface's name", "ip link");
    wrong(DRIVER, &port("queues = [0, 1]"), (13, 10), "2 queues for 1 workers", "each element");
    wrong(DRIVER, &port("queues = [0, 0]"), (13, 10), "names 0 twice", "once");
    wrong(DRIVER, &port("xdp_mode = \"nativ\""), (13, 12), "\"nativ\"", "\"native\"?");
    wrong(DRIVER, &port("device = \"x\""), (13, 10), "dpdk driver only", "remove it");
    wrong("mac = \"02:00:00:00:00:01\"", "", (8, 1), "ring driver has no \"mac\"", "add");

    let both = changed(DRIVER, &right);
    let ring = "driver = \"ring\"";
    let second = both.replacen(ring, "driver = \"af_xdp\"\ninterface = \"eth1\"", 1);
    let found = findings(&second);
    assert_eq!((found.len(), found[0].line), (1, 19), "{found:?}");
    assert!(found[0].what.contains("\"eth1\" is the port on line 12 already"));
    let sized = both.replacen("cores = [1]", "buffer_bytes = 2048", 1);
    let found = findings(&sized);
    assert!(found[0].what.contains("buffer_bytes is 2048") && found[0].line == 6);
    let mixed = both.replacen(ring, "driver = \"dpdk\"\ndevice = \"net_null0\"", 1);
    assert!(findings(&mixed)[0].what.contains("cannot share packet memory"));
}

#[test]
fn next_hops_and_windows() {
    let hop = "next_hop = \"02:00:00:00:01:fe\"";
    wrong(hop, "next_hop = \"2001:db8::1\"", (31, 12), "not of the family", "that family");
    wrong(hop, "next_hop = \"192.0.2\"", (31, 12), "not an Ethernet address", "six bytes");
    let last = "holes = 4096";
    let control = |key: &str| format!("{last}\n[control]\n{key}");
    wrong(last, &control("metrics = \"9477\""), (37, 11), "no address and port", "127.0.0.1:9477");
    let long = control(&format!("socket = \"{}\"", "s".repeat(108)));
    wrong(last, &long, (37, 10), "108 bytes long", "at most 107");
    let text = changed(last, &control("socket = \"s\"\nmetrics = \"[::1]:80\""));
    let text = text.replacen(hop, "next_hop = \"192.0.2.254\"", 1);
    let Config { control, peers, .. } =
        Config::parse(&text, "g.toml", Path::new("/etc")).expect("right").config;
    assert_eq!(control.socket.as_deref(), Some(Path::new("/etc/s")));
    assert_eq!(control.metrics, Some("[::1]:80".parse().expect("an address")));
    let router = NextHop::Address([192, 0, 2, 254].into());
    assert_eq!(peers[0].paths[0].next_hop, router);
}
