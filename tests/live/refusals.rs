//! What cannot be run is refused with one message, which names the remedy, and changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::gateway::{Ended, Gateway};
use crate::network::{Network, Settings, Side};

/// Somebody without rights, on every Linux.
const NOBODY: u32 = 65_534;

/// A network nobody sends in.
fn quiet() -> Network {
    Network::new(&Settings { addresses: false, ..Settings::default() })
}

/// That gateway A ended at once with that exit status, and said these words, of the remedy too, in one
/// message.
fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    let messages = ended.said.matches("compute-gateway: ").count();
    assert_eq!(messages, 1, "{}", ended.said);
    for word in words {
        assert!(ended.said.contains(word), "not a word of {word:?}:\n{}", ended.said);
    }
    let lines = ended.said.lines().count();
    assert!(lines <= 6, "{lines} lines:\n{}", ended.said);
    assert!(ended.report.is_null(), "{ended:?}");
}

/// Rewrites the configuration of gateway A.
fn rewrite(network: &Network, from: &str, to: &str) {
    let file = network.folder().join("gateway-a.toml");
    let text = fs::read_to_string(&file).expect("it was written");
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replacen(from, to, 1)).expect("it can be written");
}

#[test]
#[ignore = "needs root: make test-live"]
fn somebody_without_rights() {
    let network = quiet();
    let everybody = fs::Permissions::from_mode(0o777);
    fs::set_permissions(network.folder(), everybody).expect("it is ours");
    let (gate, folder) = (network.gate(Side::A), network.folder());
    let gateway = Gateway::start(gate, folder, Side::A.name(), Some(NOBODY));
    refused(
        &gateway.ended(),
        1,
        &["\"lan\"", "run as root, or", "setcap cap_net_admin,cap_net_raw,"],
    );
    assert!(network.programs(Side::A).is_empty());
}

#[test]
#[ignore = "needs root: make test-live"]
fn an_interface_that_is_not_there() {
    let network = quiet();
    rewrite(&network, r#"interface = "wan""#, r#"interface = "wan7""#);
    refused(
        &network.start(Side::A).ended(),
        1,
        &["\"wan\"", "no interface wan7", "see: ip -br link"],
    );
    assert!(network.programs(Side::A).is_empty(), "what came up before is taken down");
}

#[test]
#[ignore = "needs root: make test-live"]
fn an_interface_that_another_gateway_has() {
    let network = quiet();
    let mut first = network.start(Side::A);
    first.wait("there", |_| true);
    let before = network.programs(Side::A);
    let text = fs::read_to_string(network.folder().join("gateway-a.toml")).expect("written");
    let second = network.folder().join("second.toml");
    fs::write(second, text.replace("gateway-a", "second")).expect("it can be written");
    let second = Gateway::start(network.gate(Side::A), network.folder(), "second", None);
    refused(&second.ended(), 1, &["\"lan\"", "another gateway runs on it; stop that one"]);
    assert_eq!(network.programs(Side::A), before, "the first is left in peace");
    assert!(first.terminate().status.success());
}

#[test]
#[ignore = "needs root: make test-live"]
fn a_socket_that_another_gateway_has() {
    let network = quiet();
    let mut first = network.start(Side::A);
    first.wait("there", |_| true);
    let text = fs::read_to_string(network.folder().join("gateway-b.toml")).expect("written");
    let second = network.folder().join("second.toml");
    fs::write(second, text.replace("gateway-b.sock", "gateway-a.sock")).expect("written");
    let second = Gateway::start(network.gate(Side::B), network.folder(), "second", None);
    let ended = second.ended();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.said.contains("gateway-a.sock: in use"), "{}", ended.said);
    assert!(network.programs(Side::B).is_empty());
    assert_eq!(first.show()["gateway"], "gateway-a");
    assert!(first.terminate().status.success());
}

#[test]
#[ignore = "needs root: make test-live"]
fn an_mtu_that_the_interface_does_not_have() {
    let network = quiet();
    rewrite(&network, "mtu = 1600", "mtu = 1700");
    let words = ["\"wan\"", "1700", "1600", "remedy: ip link set wan mtu 1700"];
    refused(&network.start(Side::A).ended(), 1, &words);
    assert!(network.programs(Side::A).is_empty());
}

#[test]
#[ignore = "needs root: make test-live"]
fn an_mtu_that_has_no_room_for_the_tunnel() {
    let network = quiet();
    rewrite(&network, "mtu = 1600", "mtu = 1500");
    refused(
        &network.start(Side::A).ended(),
        2,
        &["LAN packets of 1500", "remedy: raise the path's mtu to 1562"],
    );
}
