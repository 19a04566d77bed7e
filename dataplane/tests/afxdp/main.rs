//! AF_XDP ports on veth pairs: in namespaces of each test's own. All need root, and iproute2.

mod churn;
mod net;
mod others;

use dataplane::afxdp::{AfXdpError, AfXdpPort, Mode, ModeChoice, PortSettings, Step};
use dataplane::memory::{Pool, PoolSettings};
use dataplane::netdev::{Netdev, Offload, Promiscuous};
use dataplane::port::{Burst, Port, TxQueue};
use dataplane::time::Time;
use net::{LEFT, RIGHT, RING, attach, bytes, in_own_network, pool, port, queue, receive, send};

/// Sends frames of many sizes from one end to the other and back; every byte must arrive.
fn there_and_back(mode: Mode, mtu: u32) {
    in_own_network(1, mtu, move || {
        let (left_pool, right_pool) = (pool(1024), pool(1024));
        let mut left = port(LEFT, mode, &left_pool);
        let mut right = port(RIGHT, mode, &right_pool);
        assert_eq!((left.mode(), right.mode()), (mode, mode));
        let most = mtu as usize + 14;
        let edges = [60, 61, 64, 1514, 3775, 3776, 3777, 3900, 4032, 4200, 7552, 7553, most - 1];
        let sizes: Vec<usize> =
            edges.into_iter().chain(20..520).map(|n| n.min(most).max(60)).collect();
        let sent: Vec<_> = sizes.iter().zip(0..).map(|(&len, number)| bytes(len, number)).collect();
        for back in [false, true] {
            let (from, to) = if back { (&mut right, &mut left) } else { (&mut left, &mut right) };
            let from_pool = if back { &right_pool } else { &left_pool };
            let frames = |of: &[Vec<u8>]| {
                of.iter().map(|b| from_pool.copy(b).expect("buffers").freeze()).collect()
            };
            let mut arrived = Vec::new();
            for some in sent.chunks(100) {
                send(from, frames(some), || net::receive_now(to, &mut arrived));
            }
            arrived.extend(receive(to, sent.len() - arrived.len()));
            assert_eq!(arrived.len(), sent.len(), "{:?}", to.afxdp_counters());
            for (index, (arrived, sent)) in arrived.iter().zip(&sent).enumerate() {
                assert!(arrived == sent, "frame {index} of {} bytes", sent.len());
            }
            let bytes: usize = sizes.iter().sum();
            let counters = (from.counters(), to.counters());
            assert_eq!(counters.0.tx_packets, sizes.len() as u64);
            assert_eq!((counters.0.tx_bytes, counters.1.rx_bytes), (bytes as u64, bytes as u64));
            assert_eq!(counters.1.rx_missed, 0);
        }
        for (port, pool) in [(&mut left, &left_pool), (&mut right, &right_pool)] {
            let own = port.afxdp_counters();
            assert_eq!((own.alien, own.invalid, own.tx_copied, own.tx_refused), (0, 0, 0, 0));
            assert!(port.close().is_empty());
            assert_eq!(pool.stats().in_use, 0);
        }
    });
}

#[test]
#[ignore = "needs root"]
fn native_copy_with_mtu_1500() {
    there_and_back(Mode::NativeCopy, 1500);
}

#[test]
#[ignore = "needs root"]
fn native_copy_with_mtu_9000() {
    there_and_back(Mode::NativeCopy, 9000);
}

#[test]
#[ignore = "needs root"]
fn generic_with_mtu_1500() {
    there_and_back(Mode::Generic, 1500);
}

#[test]
#[ignore = "needs root"]
fn generic_with_mtu_9000() {
    there_and_back(Mode::Generic, 9000);
}

#[test]
#[ignore = "needs root"]
fn the_best_mode_is_taken_and_the_better_ones_are_named() {
    in_own_network(1, 1500, || {
        let pool = pool(1024);
        let interface = attach(LEFT, ModeChoice::Best).expect("attached");
        let mut left = queue(&interface, 0, &pool);
        // A veth has no zero-copy.
        assert_eq!(left.mode(), Mode::NativeCopy);
        let refused: Vec<_> = left.refused().iter().map(|refused| refused.mode).collect();
        assert_eq!(refused, [Mode::NativeZeroCopy], "{:?}", left.refused());
        assert!(left.jumbo() && left.wait_fd().is_some());
        assert!(left.close().is_empty());
        assert_eq!(pool.stats().in_use, 0);
        drop((left, interface));

        let interface = attach(LEFT, ModeChoice::Only(Mode::NativeZeroCopy)).expect("attached");
        let settings = PortSettings { queue: 0, ring: RING };
        let error = AfXdpPort::open(&interface, &pool, settings).err().expect("refused");
        assert!(matches!(error, AfXdpError::Refused { .. }), "{error}");
        assert_eq!(pool.stats().in_use, 0);
    });
}

/// What the replay buffer does: frames are kept, sent, and sent again while the first sending may
/// still be under way; meanwhile the pool is used by others.
#[test]
#[ignore = "needs root"]
fn retained_frames_are_intact_after_being_sent_twice() {
    in_own_network(1, 9000, || {
        let (pool, far) = (pool(2048), pool(1024));
        let mut left = port(LEFT, Mode::NativeCopy, &pool);
        let mut right = port(RIGHT, Mode::NativeCopy, &far);
        let sent: Vec<_> = (0..50).map(|n| bytes(60 + 180 * n as usize, n)).collect();
        let kept: Vec<_> =
            sent.iter().map(|bytes| pool.copy(bytes).expect("buffers").freeze()).collect();
        let mut arrived = Vec::new();
        for _ in 0..2 {
            let twice = kept.iter().flat_map(|frame| [frame.clone(), frame.clone()]).collect();
            send(&mut left, twice, || {
                net::receive_now(&mut right, &mut arrived);
                // Somebody else writes to what is free.
                let other = pool.copy(&[0xee; 9000]).expect("buffers");
                drop(other);
            });
        }
        arrived.extend(receive(&mut right, 200 - arrived.len()));
        assert_eq!(arrived.len(), 200, "{:?}", right.afxdp_counters());
        let expected = sent.iter().flat_map(|bytes| [bytes, bytes]);
        assert!(arrived.iter().eq(expected.clone().chain(expected)));
        for (frame, bytes) in kept.iter().zip(&sent) {
            assert!(frame.segments().flatten().eq(bytes));
        }
        assert!(left.close().is_empty());
        let segments: usize = kept.iter().map(|frame| frame.segments().count()).sum();
        assert_eq!(pool.stats().in_use as usize, segments);
        assert!(kept.into_iter().all(|frame| frame.try_unfreeze().is_ok()));
        assert_eq!(pool.stats().in_use, 0);
    });
}

#[test]
#[ignore = "needs root"]
fn frames_of_another_pool_are_copied_and_what_cannot_be_sent_is_counted() {
    in_own_network(1, 9000, || {
        let (own, far, other) = (pool(1024), pool(1024), pool(16));
        let mut left = port(LEFT, Mode::NativeCopy, &own);
        let mut right = port(RIGHT, Mode::NativeCopy, &far);
        let sent = [bytes(60, 1), bytes(9000, 2)];
        let mut frames: Vec<_> =
            sent.iter().map(|bytes| other.copy(bytes).expect("buffers").freeze()).collect();
        frames.insert(1, own.alloc().expect("buffers").freeze());
        send(&mut left, frames, || ());
        assert_eq!(other.stats().in_use, 0, "copied, so not kept");
        assert_eq!(receive(&mut right, 2), sent);
        let counters = left.afxdp_counters();
        assert_eq!((counters.tx_copied, counters.tx_refused), (2, 1));
        assert_eq!(left.counters().tx_packets, 2);
    });
}

/// Packets of every queue come to that queue's socket, all of them over one pool.
#[test]
#[ignore = "needs root"]
fn every_queue_has_a_socket() {
    in_own_network(3, 1500, || {
        for mode in [Mode::NativeCopy, Mode::Generic] {
            let pool = pool(4096);
            let left = attach(LEFT, ModeChoice::Only(mode)).expect("attached");
            let right = attach(RIGHT, ModeChoice::Only(mode)).expect("attached");
            assert_eq!((left.netdev().rx_queues, left.netdev().tx_queues), (3, 3));
            let mut lefts = [0, 1, 2].map(|number| queue(&left, number, &pool));
            let mut rights = [0, 1, 2].map(|number| queue(&right, number, &pool));
            for (number, left) in lefts.iter_mut().enumerate() {
                let sent = bytes(500, number as u32);
                let frame = pool.copy(&sent).expect("buffers").freeze();
                send(left, vec![frame], || ());
                // What a veth sends by queue n, the stack takes for received by queue n - 1: its
                // mark of a queue counts from 0 when sending, from 1 when receiving.
                let to = if mode == Mode::Generic { number.saturating_sub(1) } else { number };
                assert!(receive(&mut rights[to], 1) == [sent], "{mode}, queue {number}");
                for right in &mut rights {
                    assert_eq!(right.receive(Time::ZERO, &mut Burst::new()), 0);
                }
            }
            let settings = PortSettings { queue: 3, ring: RING };
            let error = AfXdpPort::open(&left, &pool, settings).err().expect("no such queue");
            assert!(matches!(error, AfXdpError::Queue { queue: 3, queues: 3, .. }), "{error}");
            for port in lefts.iter_mut().chain(&mut rights) {
                assert!(port.close().is_empty());
            }
            assert_eq!(pool.stats().in_use, 0);
        }
    });
}

/// What comes by a queue without a socket goes to the network stack, and a socket that is closed
/// gives its queue back.
#[test]
#[ignore = "needs root"]
fn a_queue_without_a_socket_is_the_stacks() {
    in_own_network(1, 1500, || {
        let (near, far) = (pool(1024), pool(1024));
        let interface = attach(RIGHT, ModeChoice::Best).expect("attached");
        let mut left = port(LEFT, Mode::NativeCopy, &far);
        let stack = net::Stack::listen(RIGHT);
        for number in 0..3 {
            let sent = bytes(300, number);
            send(&mut left, vec![far.copy(&sent).expect("buffers").freeze()], || ());
            assert_eq!(stack.receive(), Some(sent));
            let mut right = queue(&interface, 0, &near);
            let sent = bytes(300, 100 + number);
            send(&mut left, vec![far.copy(&sent).expect("buffers").freeze()], || ());
            assert_eq!(receive(&mut right, 1), [sent]);
            assert!(right.close().is_empty());
        }
    });
}

/// A worker that sleeps on the port's descriptor wakes when a packet arrives.
#[test]
#[ignore = "needs root"]
fn the_descriptor_wakes_a_sleeper() {
    in_own_network(1, 1500, || {
        let (near, far) = (pool(1024), pool(1024));
        let mut left = port(LEFT, Mode::NativeCopy, &near);
        let mut right = port(RIGHT, Mode::NativeCopy, &far);
        let fd = right.wait_fd().expect("open");
        assert!(!net::readable(fd, 20));
        send(&mut left, vec![near.copy(&bytes(60, 0)).expect("buffers").freeze()], || ());
        assert!(net::readable(fd, 5000));
        assert_eq!(receive(&mut right, 1).len(), 1);
        assert!(!net::readable(fd, 0));
        assert!(right.close().is_empty() && right.wait_fd().is_none());
    });
}

#[test]
#[ignore = "needs root"]
fn the_kernel_always_has_buffers_and_a_starved_port_recovers() {
    in_own_network(1, 1500, || {
        let (near, far) = (pool(RING + 64), pool(1024));
        let mut left = port(LEFT, Mode::NativeCopy, &near);
        let mut right = port(RIGHT, Mode::NativeCopy, &far);
        let sent: Vec<_> = (0..2 * RING).map(|number| bytes(200, number)).collect();
        let frames = sent.iter().map(|b| far.copy(b).expect("buffers").freeze());
        // Somebody holds every packet that arrives: the pool runs dry.
        let (mut held, mut burst) = (Vec::new(), Burst::new());
        send(&mut right, frames.collect(), || {
            left.receive(Time::ZERO, &mut burst);
            held.extend(burst.drain(..));
        });
        let stats = near.stats();
        assert_eq!(stats.in_use, stats.capacity);
        assert!(left.afxdp_counters().pool_empty > 0);
        assert!(left.counters().rx_missed > 0, "{:?}", left.afxdp_counters());
        held.clear();
        let mut late = Vec::new();
        net::receive_now(&mut left, &mut late);
        send(&mut right, vec![far.copy(&bytes(200, 9999)).expect("buffers").freeze()], || ());
        late.extend(receive(&mut left, 1));
        assert_eq!(late.last(), Some(&bytes(200, 9999)));
        assert!(left.close().is_empty());
        assert_eq!(near.stats().in_use, 0);
    });
}

#[test]
#[ignore = "needs root"]
fn every_mistake_has_its_message() {
    in_own_network(1, 1500, || {
        let missing = attach("absent", ModeChoice::Best).expect_err("missing").to_string();
        assert!(missing.contains("no interface absent"), "{missing}");
        net::ip(&format!("link set {RIGHT} down"));
        let down = attach(RIGHT, ModeChoice::Best).expect_err("down").to_string();
        assert!(down.contains("ip link set right up"), "{down}");

        let interface = attach(LEFT, ModeChoice::Best).expect("attached");
        let again = attach(LEFT, ModeChoice::Best).expect_err("ours already").to_string();
        assert!(again.contains("compute_gw") && again.contains("another gateway"), "{again}");
        let pool = pool(RING);
        let first = queue(&interface, 0, &pool);
        let open = |pool: &_, queue, ring| {
            let opened = AfXdpPort::open(&interface, pool, PortSettings { queue, ring });
            opened.err().expect("refused").to_string()
        };
        assert!(open(&pool, 0, 100).contains("power of two"));
        assert!(open(&pool, 0, RING).contains("0 of 256 buffers left"));
        let settings = PoolSettings { buffers: RING, buffer_bytes: 2048, headroom: 128 };
        let odd = std::rc::Rc::new(Pool::new(settings).expect("valid settings"));
        assert!(open(&odd, 0, RING).contains("4032 or 1984"));
        let more = net::pool(RING);
        assert!(open(&more, 0, RING).contains("in use by another AF_XDP socket"));
        assert_eq!(more.stats().in_use, 0);

        // The last, since it cannot be undone: this thread's rights are given up.
        net::become_nobody();
        let error = attach(LEFT, ModeChoice::Best).expect_err("no rights");
        assert!(matches!(error, AfXdpError::Rights { .. }), "{error}");
        assert!(error.to_string().contains("run as root"), "{error}");
        drop(first);
        let error = AfXdpPort::open(&interface, &more, PortSettings { queue: 0, ring: RING });
        assert!(matches!(error, Err(AfXdpError::Rights { step: Step::Socket })));
        assert_eq!(more.stats().in_use, 0);
    });
}

#[test]
#[ignore = "needs root"]
fn a_driver_without_native_mode_says_so_or_leads_to_generic() {
    in_own_network(1, 1500, || {
        net::ip("link set lo up");
        let native = attach("lo", ModeChoice::Only(Mode::NativeCopy)).expect_err("refused");
        let message = native.to_string();
        assert!(
            message.contains("remedy: mode generic, which works with every driver"),
            "{message}"
        );
        let interface = attach("lo", ModeChoice::Best).expect("attached");
        let refused: Vec<_> = interface.refused().iter().map(|refused| refused.mode).collect();
        assert_eq!(refused, [Mode::NativeZeroCopy, Mode::NativeCopy]);
        let pool = pool(1024);
        let port = queue(&interface, 0, &pool);
        assert_eq!((port.mode(), port.refused().len()), (Mode::Generic, 2));
    });
}

#[test]
#[ignore = "needs root"]
fn an_interface_says_what_it_is_and_goes_away_in_the_open() {
    in_own_network(1, 3000, || {
        let find = || Netdev::find(LEFT).expect("it is there");
        let netdev = find();
        assert_eq!((netdev.driver.as_str(), netdev.mtu, netdev.up), ("veth", 3000, true));
        assert!(netdev.carrier && !netdev.promiscuous && netdev.mac != [0; 6], "{netdev:?}");
        for on in [false, true] {
            netdev.set_offload(Offload::TxChecksum, on).expect("root");
            assert_eq!(netdev.offload(Offload::TxChecksum), Some(on));
        }
        let promiscuous = Promiscuous::on(&netdev).expect("root");
        assert!(find().promiscuous);
        drop(promiscuous);
        assert!(!find().promiscuous);

        let pool = pool(1024);
        let mut left = port(LEFT, Mode::NativeCopy, &pool);
        assert!(find().xdp.native.is_some());
        net::ip(&format!("link del {LEFT}"));
        let mut queue = TxQueue::new(1);
        queue.push(pool.copy(&bytes(60, 0)).expect("buffers").freeze()).expect("room");
        left.transmit(Time::ZERO, &mut queue);
        assert!(left.error().expect("it is gone").contains("is gone"), "{:?}", left.error());
        assert!(!left.close().is_empty());
        assert_eq!(pool.stats().in_use, 0);
    });
}
