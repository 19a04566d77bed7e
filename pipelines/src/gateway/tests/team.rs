//! Two workers at either site, which are one gateway to the stations and to tenants.

use std::sync::Arc;

use super::pauses::*;
use super::*;
use crate::queueing::{Classes, Rate, TenantQueues, Thresholds};

/// So long at a time goes each worker's clock ahead of the other's.
const STEP: Nanos = MILLISECOND / 10;

/// A bed for each worker: its own sessions, and the team of its site.
struct Crew([Bed; 2]);

impl Crew {
    fn up(change: impl Fn(&mut Settings)) -> Self {
        let unwatched = |settings: &mut Settings| {
            change(settings);
            settings.peers[0].paths.iter_mut().for_each(|path| path.bfd = None);
        };
        let mut beds = [Bed::new(&change), Bed::new(unwatched)];
        for site in 0..2 {
            let mut of = settings(1, 2);
            change(&mut of);
            let team = Arc::new(Team::new(&of, beds.len()));
            for (worker, bed) in beds.iter_mut().enumerate() {
                bed.sides[site].gateway.join(&team, worker);
            }
        }
        let mut crew = Self(beds);
        crew.run(100 * MILLISECOND, &mut [&mut perfect, &mut perfect]);
        assert!(crew.0.iter().all(|bed| bed.sides[0].gateway.established(bed.now)));
        crew
    }

    fn run(&mut self, span: Nanos, fates: &mut [&mut Fate<'_>; 2]) {
        for _ in 0..span / STEP {
            for (bed, fate) in self.0.iter_mut().zip(&mut *fates) {
                bed.run(STEP, *fate);
            }
        }
    }

    fn pass(&mut self, span: Nanos) {
        self.run(span, &mut [&mut perfect, &mut perfect]);
    }
}

/// What each worker of site 1 says that its stations pause.
fn paused(crew: &Crew) -> [Option<u8>; 2] {
    let status = |bed: &Bed| bed.sides[1].gateway.pfc_status(LAN);
    crew.0.each_ref().map(|bed| status(bed).map(|of| of.paused))
}

#[test]
fn a_pause_that_one_worker_hears_holds_every_workers_packets() {
    for change in [may_pause, may_pause_and_wait] {
        let mut crew = Crew::up(change);
        pause(&mut crew.0[0], 1, ACME.1, LONG);
        crew.0.iter_mut().for_each(|bed| send(bed, 0..30));
        crew.pass(8 * MILLISECOND);
        let all: Vec<_> = (0..30).collect();
        for bed in &crew.0 {
            assert_eq!((arrived(bed, ACME.0), arrived(bed, GLOBEX.0)), (vec![], all.clone()));
        }
        assert_eq!(paused(&crew), [Some(1 << ACME.1), None], "said once");
        crew.pass(8 * MILLISECOND);
        let stopped = crew.0.each_ref().map(|bed| stops(bed, 0, 1).is_stopped);
        assert_eq!(stopped, [true; 2], "each worker's peer is told");
        assert!(!stops(&crew.0[1], 0, 2).is_stopped, "and of nobody else");

        pause(&mut crew.0[0], 1, ACME.1, 0);
        crew.pass(20 * MILLISECOND);
        for bed in &crew.0 {
            assert_eq!(arrived(bed, ACME.0), all, "in order, and nothing lost");
        }
        assert_eq!(paused(&crew), [Some(0), None]);
    }
}

#[test]
fn stations_wait_until_no_worker_wants_them_to_and_one_worker_tells_them() {
    let mut crew = Crew::up(may_pause);
    pause(&mut crew.0[0], 1, ACME.1, LONG);
    crew.pass(20 * MILLISECOND);
    assert_eq!(crew.0.each_ref().map(|bed| stops(bed, 0, 1).is_stopped), [true; 2]);
    assert_eq!(told(&crew.0[0], 0, ACME.1), Some(1_000));

    // The end that worker 1's peer says gets lost for a while.
    let mut lossy = |_: u64, frame: &[u8]| if is_stop(frame) { vec![] } else { perfect(0, frame) };
    pause(&mut crew.0[0], 1, ACME.1, 0);
    crew.run(20 * MILLISECOND, &mut [&mut perfect, &mut lossy]);
    assert_eq!(crew.0.each_ref().map(|bed| stops(bed, 0, 1).is_stopped), [false, true]);
    assert_eq!(told(&crew.0[0], 0, ACME.1), Some(1_000), "worker 1 wants it still");
    crew.pass(40 * MILLISECOND);
    assert_eq!(crew.0.each_ref().map(|bed| stops(bed, 0, 1).is_stopped), [false; 2]);
    assert_eq!(told(&crew.0[0], 0, ACME.1), Some(0));

    let said = crew.0[0].sides[0].gateway.pfc_status(LAN).expect("spoken").said;
    assert_eq!(said.resumes[usize::from(ACME.1)], 1);
    assert_eq!(told(&crew.0[1], 0, ACME.1), None, "one voice");
}

/// A queue of worker 1 that fills has worker 0 tell the stations.
#[test]
fn the_queue_of_any_worker_has_the_stations_pause() {
    let mut crew = Crew::up(|settings| {
        may_pause_and_wait(settings);
        let queues = settings.queues.as_mut().expect("some");
        queues.tenants[1].rate = Some(Rate { bits_per_second: 4_000_000, burst_bytes: 1_000 });
    });
    send(&mut crew.0[1], 0..60);
    crew.pass(MILLISECOND);
    assert_eq!(told(&crew.0[0], 0, ACME.1), Some(1_000));
    assert_eq!(told(&crew.0[0], 0, GLOBEX.1), None);
    crew.pass(100 * MILLISECOND);
    assert_eq!(told(&crew.0[0], 0, ACME.1), Some(0));
    assert_eq!(arrived(&crew.0[1], ACME.0), (0..60).collect::<Vec<_>>());
}

/// Worker 0 has the sessions: when it leaves a path, so does worker 1, and both come back.
#[test]
fn a_path_that_is_out_of_service_is_left_by_every_worker() {
    let mut crew = Crew::up(health::two_paths);
    let cut = crew.0[0].now;
    let (mut number, mut dead) = (0, [health::without(0), health::without(0)]);
    while crew.0[0].now < cut.after(60 * MILLISECOND) {
        (1..=8).for_each(|stream| crew.0[1].send(0, stream, number, 200));
        number += 1;
        let [first, second] = &mut dead;
        crew.run(MILLISECOND, &mut [first, second]);
    }
    let out = |crew: &Crew| crew.0.each_ref().map(|bed| health::paths(bed, 0)[0].out_of_service);
    assert_eq!(out(&crew), [true; 2]);
    let at = |bed: &Bed, wanted: fn(PathEventKind) -> bool| {
        let mut events = bed.sides[0].gateway.path_events();
        events.find(|event| wanted(event.kind)).expect("it happened").at
    };
    let down = at(&crew.0[0], |kind| matches!(kind, PathEventKind::Down(_)));
    let told = at(&crew.0[1], |kind| kind == PathEventKind::OutOfService);
    assert!(told.since(down) <= STEP, "at once: {down:?}, {told:?}");
    let [first, second] = &mut dead;
    crew.run(40 * MILLISECOND, &mut [first, second]);
    for stream in 1..=8 {
        assert_eq!(numbers(&crew.0[1], 1, stream), (0..number).collect::<Vec<_>>());
    }
    crew.pass(2_100 * MILLISECOND);
    assert_eq!(out(&crew), [false; 2], "after the hold-down");
    assert!(health::events(&crew.0[1], 0).contains(&(0, PathEventKind::InService)));
    assert_eq!(crew.0[1].counters(1).gave_up, 0);
}

/// Each worker's part is half of the tenant's rate; the one that is alone has all of it.
#[test]
fn a_tenant_has_its_rate_whichever_worker_its_packets_come_to() {
    const RATE: u64 = 16_000_000;
    let part = Rate { bits_per_second: RATE / 2, burst_bytes: 8 << 10 };
    let change = |settings: &mut Settings| {
        may_pause(settings);
        settings.backpressure = None;
        let of = |rate| TenantQueues {
            weight: 1,
            rate,
            thresholds: TenantQueues::per_class(Thresholds::lossy(256), Thresholds::lossy(256), 2),
            marking: None,
        };
        settings.queues = Some(QueueSettings {
            classes: Classes::default(),
            pool_bytes: 1 << 24,
            packets: 1 << 12,
            port_rates: vec![None, None],
            tenants: vec![of(None), of(Some(part)), of(None)],
        });
    };
    for (busy, frames) in [(&[1][..], 2_000), (&[0, 1], 1_000)] {
        let mut crew = Crew::up(change);
        busy.iter().for_each(|worker| send(&mut crew.0[*worker], 0..frames));
        crew.pass(50 * MILLISECOND);
        let came = |crew: &Crew| crew.0.each_ref().map(|bed| arrived(bed, ACME.0).len() as u64);
        let before = came(&crew);
        crew.pass(100 * MILLISECOND);
        let after = came(&crew);
        let bytes = (after[0] + after[1] - before[0] - before[1]) * 304;
        let exact = RATE / 80;
        assert!(bytes.abs_diff(exact) <= exact / 100, "{busy:?}: {bytes}, not {exact}");
        for worker in busy {
            let bytes = (after[*worker] - before[*worker]) * 304;
            assert!(bytes >= exact / 2 - exact / 50, "{busy:?}: {bytes} of {exact}");
        }
    }
}
