//! Ports that come and go, and interfaces that do, while packets flow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dataplane::afxdp::{Mode, ModeChoice};
use dataplane::port::{Burst, Port, TxQueue};
use dataplane::time::Time;

use crate::net::{
    LEFT, RIGHT, attach, bytes, content, in_own_network, ip, pool, port, queue, receive, send,
};

/// Floods the interface named `name` with jumbo frames until told to stop; how many it sent.
fn flood(name: &str, stop: &AtomicBool) -> u64 {
    let pool = pool(1024);
    let mut port = port(name, Mode::NativeCopy, &pool);
    let frame = pool.copy(&bytes(8000, 1)).expect("buffers").freeze();
    let mut queue = TxQueue::new(32);
    while !stop.load(Ordering::Relaxed) {
        while queue.push(frame.clone()).is_ok() {}
        port.transmit(Time::ZERO, &mut queue);
        port.receive(Time::ZERO, &mut Burst::new());
    }
    let sent = port.counters().tx_packets;
    drop((port, queue, frame));
    assert_eq!(pool.stats().in_use, 0);
    sent
}

/// Sets what it refers to when it goes, by a failed test too: else the flood would never end.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Packets in several segments are in every ring when the port closes.
#[test]
#[ignore = "needs root"]
fn closing_under_traffic_takes_every_buffer_home() {
    in_own_network(1, 9000, || {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let flood = scope.spawn(|| flood(RIGHT, &stop));
            let end = AtEnd(&stop);
            let expected = bytes(8000, 1);
            for mode in [Mode::NativeCopy, Mode::Generic].into_iter().cycle().take(10) {
                let pool = pool(1024);
                let mut port = port(LEFT, mode, &pool);
                let mut out = TxQueue::new(64);
                let (mut seen, mut burst) = (0, Burst::new());
                let until = Instant::now() + Duration::from_secs(10);
                while seen < 500 && Instant::now() < until {
                    seen += port.receive(Time::ZERO, &mut burst);
                    for packet in burst.drain(..) {
                        assert!(content(&packet) == expected);
                        // Back it goes; what does not fit is dropped.
                        let _ = out.push(packet.freeze());
                    }
                    port.transmit(Time::ZERO, &mut out);
                }
                assert!(seen >= 500, "{mode}: {:?}", port.afxdp_counters());
                assert_eq!(port.close(), []);
                assert_eq!(port.receive(Time::ZERO, &mut burst), 0);
                drop(out);
                assert_eq!((pool.stats().in_use, port.afxdp_counters().alien), (0, 0));
            }
            drop(end);
            assert!(flood.join().expect("no panic") > 5000);
        });
    });
}

/// Frames given to the port just before it closes are sent, not lost.
#[test]
#[ignore = "needs root"]
fn closing_sends_what_is_on_its_way() {
    in_own_network(1, 1500, || {
        let (near, far) = (pool(1024), pool(1024));
        let mut right = port(RIGHT, Mode::NativeCopy, &far);
        let mut left = port(LEFT, Mode::NativeCopy, &near);
        let mut queue = TxQueue::new(200);
        for number in 0..200 {
            let frame = near.copy(&bytes(1000, number)).expect("buffers").freeze();
            queue.push(frame).expect("room");
        }
        assert_eq!(left.transmit(Time::ZERO, &mut queue), 200);
        assert_eq!(left.close(), []);
        assert_eq!(near.stats().in_use, 0);
        assert_eq!(receive(&mut right, 200).len(), 200);
    });
}

/// A restart of the port in the same process, on the same interface.
#[test]
#[ignore = "needs root"]
fn an_interface_can_be_used_again_at_once() {
    in_own_network(1, 1500, || {
        let pool = pool(1024);
        for mode in [Mode::NativeCopy, Mode::Generic].into_iter().cycle().take(20) {
            let interface = attach(LEFT, ModeChoice::Only(mode)).expect("nothing left there");
            for _ in 0..2 {
                assert_eq!(queue(&interface, 0, &pool).close(), []);
            }
        }
        assert_eq!(pool.stats().in_use, 0);
    });
}

#[test]
#[ignore = "needs root"]
fn an_interface_that_goes_down_and_up_again_carries_on() {
    in_own_network(1, 1500, || {
        for mode in [Mode::NativeCopy, Mode::Generic] {
            let (near, far) = (pool(1024), pool(1024));
            let mut left = port(LEFT, mode, &near);
            let mut right = port(RIGHT, mode, &far);
            ip(&format!("link set {LEFT} down"));
            let mut out = TxQueue::new(1);
            out.push(near.copy(&bytes(100, 1)).expect("buffers").freeze()).expect("room");
            left.transmit(Time::ZERO, &mut out);
            assert_eq!((left.error(), left.sending()), (None, 1));
            ip(&format!("link set {LEFT} up"));
            send(&mut left, Vec::new(), || ());
            assert_eq!(receive(&mut right, 1), [bytes(100, 1)], "{mode}");
            send(&mut right, vec![far.copy(&bytes(100, 2)).expect("buffers").freeze()], || ());
            assert_eq!(receive(&mut left, 1), [bytes(100, 2)], "{mode}");
        }
    });
}
