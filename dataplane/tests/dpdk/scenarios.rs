//! The scenarios: each is played in a process of its own.

use std::process::Command;

use dataplane::dpdk::{Device, DpdkPort, Eal};
use dataplane::memory::{Frame, Packet, Pool, PoolSettings};
use dataplane::port::{Burst, Port, TxQueue};
use dataplane::time::Time;

use crate::site::{BUFFER_BYTES, BUFFERS, Site, bytes, eal, frame, mempool, settings, wish};

/// Plays a scenario by its name.
pub(crate) fn play(name: &str) {
    match name {
        "a_ring_carries_frames_without_copying_them" => ring(),
        "what_is_retained_is_sent_twice_intact" => retained(),
        "nobody_writes_to_what_a_ring_still_holds" => held(),
        "jumbo_frames_go_and_come_in_segments" => jumbo(),
        "frames_of_other_pools_are_copied" => foreign(),
        "what_does_not_fit_stays_in_the_queue" => full(),
        "a_null_device_counts" => null(),
        "a_capture_passes_byte_for_byte" => crate::kernel::capture(),
        "a_tap_carries_frames_to_the_kernel" => crate::kernel::tap(),
        "jumbo_frames_pass_an_interface_of_the_kernel" => crate::kernel::interface(),
        "a_device_closes_and_opens_again" => reopened(),
        "two_workers_have_a_queue_and_a_pool_each" => workers(),
        "every_driver_that_is_promised_comes_up" => crate::kernel::drivers(),
        "what_cannot_be_started_says_why" => errors(),
        "arguments_that_contradict_each_other_are_named" => contradiction(),
        "hugepages_are_used_or_named" => hugepages(),
        "frames_are_steered_or_spread" => crate::kernel::steered(),
        "whoever_starts_it_keeps_its_core" => affinity(),
        "buffers_run_out_and_come_back" => exhausted(),
        _ => panic!("no scenario {name}"),
    }
}

/// Frames that go round a ring in batches, so that our references are given up when they come.
const ROUND: u8 = 64;

fn ring() {
    let mut site = Site::new(&["net_ring0"], 1500);
    for round in 0..100 {
        let frames: Vec<Frame> =
            (0..ROUND).map(|i| site.packet(&frame(i ^ round, 100)).freeze()).collect();
        site.send(0, frames);
        let received = site.receive(0, ROUND.into());
        let expected: Vec<Vec<u8>> = (0..ROUND).map(|i| frame(i ^ round, 100)).collect();
        assert_eq!(received.iter().map(bytes).collect::<Vec<_>>(), expected);
    }
    let (counters, copies) = (site.ports[0].counters(), site.ports[0].copies());
    assert_eq!((counters.tx_packets, counters.rx_packets), (6400, 6400));
    assert_eq!((counters.tx_bytes, counters.rx_bytes), (640_000, 640_000));
    assert_eq!((copies.tx, copies.rx, copies.tx_refused), (0, 0, 0));
    assert_eq!(site.close(), 0);
}

fn retained() {
    let mut site = Site::new(&["net_ring0"], 1500);
    let kept: Vec<Frame> = (0..ROUND).map(|i| site.packet(&frame(i, 900)).freeze()).collect();
    // Twice at once, and once more after the driver is done with them.
    site.send(0, kept.iter().chain(&kept).cloned());
    let first = site.receive(0, 2 * usize::from(ROUND));
    site.send(0, kept.iter().cloned());
    let again = site.receive(0, ROUND.into());
    let expected: Vec<Vec<u8>> = (0..ROUND).map(|i| frame(i, 900)).collect();
    let (one, two) = first.split_at(ROUND.into());
    for received in [one, two, &again] {
        assert_eq!(received.iter().map(bytes).collect::<Vec<_>>(), expected);
    }
    // What we keep is not what came: somebody may write to that.
    assert_eq!(site.ports[0].copies().rx, 3 * u64::from(ROUND));
    for (kept, expected) in kept.iter().zip(&expected) {
        assert_eq!(kept.head(), expected);
    }
    drop((kept, first, again));
    assert_eq!(site.close(), 0);
}

fn held() {
    let mut site = Site::new(&["net_ring0"], 4000);
    // The second segment counts as much as the first.
    let kept = site.packet(&frame(1, 3000)).freeze();
    site.send(0, [kept.clone()]);
    let kept = kept.try_unfreeze().expect_err("it lies in the ring");
    assert_eq!(site.receive(0, 1).iter().map(bytes).collect::<Vec<_>>(), [frame(1, 3000)]);
    let mut packet = kept.try_unfreeze().expect("nobody else has it");
    packet.head_mut()[20] ^= 0xff;
    let changed = bytes(&packet);
    site.send(0, [packet.freeze()]);
    assert_eq!(site.receive(0, 1).iter().map(bytes).collect::<Vec<_>>(), [changed]);
    assert_eq!(site.close(), 0);
}

fn jumbo() {
    let mut site = Site::new(&["net_ring0"], 9000);
    for len in [1919, 1920, 1921, 3968, 4200, 9014] {
        let frames: Vec<Frame> = (0..ROUND).map(|i| site.packet(&frame(i, len)).freeze()).collect();
        site.send(0, frames);
        let received = site.receive(0, ROUND.into());
        let expected: Vec<Vec<u8>> = (0..ROUND).map(|i| frame(i, len)).collect();
        assert_eq!(received.iter().map(bytes).collect::<Vec<_>>(), expected, "{len}");
        // What came is worked on as any packet: cut, headers in front, sent again.
        let worked = received.into_iter().map(|mut packet| {
            packet.truncate(len - 1000);
            packet.prepend(8).expect("headroom").fill(3);
            packet.freeze()
        });
        site.send(0, worked.collect::<Vec<_>>());
        for (received, mut expected) in site.receive(0, ROUND.into()).iter().zip(expected) {
            expected.truncate(len - 1000);
            expected.splice(..0, [3; 8]);
            assert_eq!(bytes(received), expected);
        }
    }
    assert_eq!(site.close(), 0);
}

fn foreign() {
    let mut site = Site::new(&["net_ring0"], 9000);
    let slab = PoolSettings { buffers: 64, buffer_bytes: 1984, headroom: 128 };
    let slab = Pool::new(slab).expect("valid settings");
    let mixed = |own: &Packet| {
        let mut packet = slab.copy(&bytes(own)).expect("buffers");
        assert!(packet.append(&slab, &[5; 4000]));
        packet.freeze()
    };
    let own = site.packet(&frame(1, 500));
    let frames = [slab.copy(&frame(2, 60)).expect("buffers").freeze(), mixed(&own)];
    let mut long = bytes(&own);
    long.extend([5; 4000]);
    site.send(0, [frames[0].clone(), own.freeze(), frames[1].clone()]);
    let received = site.receive(0, 3);
    let expected = [frame(2, 60), frame(1, 500), long];
    assert_eq!(received.iter().map(bytes).collect::<Vec<_>>(), expected);
    assert_eq!((site.ports[0].copies().tx, slab.stats().in_use), (2, 4));
    drop((received, frames));
    assert_eq!((slab.stats().in_use, site.close()), (0, 0));
}

fn full() {
    let mut site = Site::new(&["net_ring0"], 1500);
    let kept: Vec<Frame> = (0..1100_u16)
        .map(|i| site.packet(&[frame(0, 60), i.to_be_bytes().to_vec()].concat()).freeze())
        .collect();
    let mut queue = TxQueue::new(2000);
    kept.iter().for_each(|frame| assert!(queue.push(frame.clone()).is_ok()));
    // The ring of the device holds 1023.
    assert_eq!(site.ports[0].transmit(Time::ZERO, &mut queue), 1023);
    assert_eq!(site.ports[0].transmit(Time::ZERO, &mut queue), 0);
    assert_eq!(queue.len(), 77);
    let mut received = site.receive(0, 1023);
    assert_eq!(site.ports[0].transmit(Time::ZERO, &mut queue), 77);
    received.extend(site.receive(0, 77));
    assert!(received.iter().map(bytes).eq(kept.iter().map(|frame| frame.head().to_vec())));
    drop((received, kept));
    assert_eq!(site.close(), 0);
}

fn null() {
    let mut site = Site::new(&["net_null0,size=300"], 1500);
    let received = site.receive(0, 1000);
    assert!(received.iter().all(|packet| packet.len() == 300));
    site.send(0, received.into_iter().map(Packet::freeze).take(1000));
    let (counters, device) = (site.ports[0].counters(), site.devices[0].counters());
    assert_eq!((counters.tx_packets, counters.tx_bytes, counters.rx_missed), (1000, 300_000, 0));
    assert_eq!((device.rx_packets, device.tx_packets), (counters.rx_packets, 1000));
    assert!(site.devices[0].link().up);
    assert_eq!(site.close(), 0);
}

fn reopened() {
    let eal = eal();
    for _ in 0..3 {
        let mut site = Site::over(eal, &["net_ring0"], 1500);
        let sent = site.packet(&frame(9, 80)).freeze();
        site.send(0, [sent]);
        assert!(site.devices[0].queue(0).is_none(), "given before");
        assert_eq!(site.receive(0, 1).len(), 1);
        assert_eq!(site.close(), 0);
    }
    let error = Eal::start(&settings(&["--no-huge"])).expect_err("started before").to_string();
    assert!(error.contains("once"), "{error}");
}

fn workers() {
    let eal = eal();
    let mempools = [mempool(eal), mempool(eal)];
    let device = Device::open(eal, &wish("net_null0", 1500), &[&mempools[0], &mempools[1]])
        .expect("two queues");
    std::thread::scope(|scope| {
        for (index, mempool) in mempools.iter().enumerate() {
            let queue = device.queue(index as u16).expect("two queues");
            scope.spawn(move || {
                let _known = eal.register().expect("one more thread");
                let pool = mempool.attach().expect("the only worker");
                assert!(mempool.attach().is_err());
                let mut port = DpdkPort::new(queue, &pool).expect("its own pool");
                let mut queue = TxQueue::new(64);
                for _ in 0..1000 {
                    let mut burst = Burst::new();
                    assert_eq!(port.receive(Time::ZERO, &mut burst), 32);
                    burst.drain(..).for_each(|p| assert!(queue.push(p.freeze()).is_ok()));
                    assert_eq!(port.transmit(Time::ZERO, &mut queue), 32);
                }
                assert_eq!(port.counters().tx_packets, 32_000);
                assert_eq!((port.copies().rx, port.copies().tx), (0, 0));
            });
        }
    });
    let notes = device.notes().join("; ");
    let counters = device.counters();
    assert_eq!((counters.rx_packets, counters.tx_packets), (64_000, 64_000), "{notes}");
    device.close().expect("no queue is left");
    assert_eq!((mempools[0].out(), mempools[1].out()), (0, 0));
}

fn errors() {
    let eal = eal();
    let mempool = mempool(eal);
    let open = |device: &str, mtu| {
        Device::open(eal, &wish(device, mtu), &[&mempool]).expect_err(device).to_string()
    };
    let error = open("net_nothing0", 1500);
    assert!(error.contains("net_nothing0") && error.contains("driver is installed"), "{error}");
    let error = open("0000:ff:1f.7", 1500);
    assert!(error.contains("dpdk-devbind.py"), "{error}");
    let error = open("net_pcap0,rx_pcap=/nowhere/in.pcap,tx_pcap=/nowhere/out.pcap", 1500);
    assert!(error.contains("/nowhere/in.pcap"), "{error}");
    let many = [&mempool; 17];
    let error = Device::open(eal, &wish("net_ring0", 1500), &many).expect_err("17 queues");
    assert!(error.to_string().contains("use fewer cores"), "{error}");
    // And what failed is not in the way of what is right.
    let device = Device::open(eal, &wish("net_ring0", 1500), &[&mempool]).expect("net_ring0");
    let stranger = crate::site::mempool(eal).attach().expect("the only worker");
    let error = DpdkPort::new(device.queue(0).expect("a queue"), &stranger).err();
    assert!(error.expect("a stranger").to_string().contains("another worker"));
    assert_eq!(mempool.settings().buffer_bytes, BUFFER_BYTES);
}

fn contradiction() {
    let error = Eal::start(&settings(&["--no-huge", "--in-memory"])).expect_err("both").to_string();
    assert!(error.contains("not compatible with --in-memory"), "{error}");
    assert!(error.ends_with("leave one of the two out of DPDK's arguments"), "{error}");
}

fn hugepages() {
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let free: u32 = free.map_or(0, |text| text.trim().parse().unwrap_or(0));
    // Hugepages of the machine are not for a test to reserve.
    match (free, Eal::start(&settings(&[]))) {
        (0, started) => {
            let error = started.expect_err("no hugepages").to_string();
            assert!(error.contains("vm.nr_hugepages") && error.contains("--no-huge"), "{error}");
        }
        (1..32, _) => println!("{free} hugepages: too few to try"),
        (_, started) => {
            let mut site = Site::over(started.expect("hugepages"), &["net_ring0"], 1500);
            let sent = site.packet(&frame(1, 100)).freeze();
            site.send(0, [sent]);
            assert_eq!(site.receive(0, 1).iter().map(bytes).collect::<Vec<_>>(), [frame(1, 100)]);
            assert_eq!(site.close(), 0);
        }
    }
}

/// The cores the calling thread may use, as the kernel writes them.
fn cores() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.expect("a list of cores").trim().to_owned()
}

fn affinity() {
    let all = cores();
    // The thread that starts DPDK keeps what it had.
    let id = std::fs::read_link("/proc/thread-self").expect("Linux");
    let id = id.file_name().expect("a number").to_string_lossy().into_owned();
    let last = all.rsplit([',', '-']).next().expect("a core").to_owned();
    run(&format!("taskset -pc {last} {id} >/dev/null"));
    assert_eq!(cores(), last);
    let eal = eal();
    assert_eq!(cores(), last);
    // And so does a worker that has chosen its core before it is registered.
    run(&format!("taskset -pc {all} {id} >/dev/null"));
    std::thread::spawn(move || {
        let before = cores();
        let _known = eal.register().expect("one more thread");
        assert_eq!(cores(), before);
    })
    .join()
    .expect("a worker");
    assert_eq!(cores(), all);
}

fn exhausted() {
    let mut site = Site::new(&["net_null0,size=64"], 1500);
    // Whatever is received is kept: as by a replay buffer that was promised too much.
    let mut kept = Vec::new();
    while kept.len() < BUFFERS as usize {
        let burst = site.receive(0, 1);
        if burst.is_empty() {
            break;
        }
        kept.extend(burst.into_iter().map(Packet::freeze));
    }
    assert_eq!((kept.len(), site.pool.pool().stats().in_use), (BUFFERS as usize, BUFFERS));
    assert_eq!(site.receive(0, 1).len(), 0);
    assert!(site.pool.pool().alloc().is_none());
    assert_eq!(site.pool.pool().stats().exhausted, 1);
    // Two come home: both ways to get buffers find them.
    kept.truncate(BUFFERS as usize - 2);
    assert!(site.pool.pool().alloc().is_some());
    kept.clear();
    assert_eq!(site.receive(0, 32).len(), 32);
    assert_eq!(site.pool.pool().stats().in_use, 0);
    assert_eq!(site.close(), 0);
}

/// Runs a command; it must succeed.
pub(crate) fn run(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().expect("a shell");
    assert!(status.success(), "{command}: {status}");
}
