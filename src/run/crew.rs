//! The workers: a thread each, pinned to its core, with its own memory, ports and gateway.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use config::model::{Config, Idle as IdleChoice, Role};
use dataplane::idle::{Idle, Idler};
use dataplane::memory::{Pool, PoolStats};
use dataplane::time::{Clock, MICROSECOND, MILLISECOND, Nanos, SECOND, Time};
use dataplane::worker::Worker;
use pipelines::gateway::{self, Gateway, Team};

use super::board::Board;
use super::desk::{Desk, Order};
use super::machine::{Machine, WorkerMemory};
use crate::settings;
use crate::status::Status;

/// Frames that a port's transmit queue holds.
const QUEUE: usize = 4_096;
/// Rounds between two looks at the clock for what is not packets.
const ROUNDS: u32 = 256;
/// How often a worker publishes.
const PUBLISH: u64 = 100 * MILLISECOND;
/// How long one of several workers sleeps at most: what another says of pauses wakes nobody.
const LOOK: Nanos = 50 * MICROSECOND;
/// How long what is under way may take to be confirmed once the gateway is told to end.
const DRAIN: u64 = SECOND;

/// What all workers share: read only, but for what is made to be written.
pub(super) struct Shared {
    /// As it was read at the start. What of it may change is the desk's.
    pub(super) config: Config,
    pub(super) desk: Desk,
    pub(super) machine: Machine,
    pub(super) board: Board,
    /// What several workers tell each other; none of one.
    pub(super) team: Option<Arc<Team>>,
    /// The origin of every worker's clock.
    pub(super) origin: Instant,
    /// Everybody is told to end.
    pub(super) stop: AtomicBool,
    /// Every worker has ended.
    pub(super) ended: AtomicBool,
}

impl Shared {
    /// How the gateway stands.
    pub(super) fn status(&self, draining: bool) -> Status {
        let mut status = self.board.status(&self.desk.config(), &self.machine.devices, draining);
        status.configuration = self.desk.status();
        status
    }
}

/// How a worker ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Packets that were neither confirmed nor released in time.
    pub(super) unfinished: u64,
    /// Buffers that did not come home.
    pub(super) leaked: u32,
    /// What went wrong at its ports.
    pub(super) errors: Vec<String>,
}

/// The threads of all workers.
pub(super) struct Crew {
    threads: Vec<JoinHandle<Ended>>,
}

impl Crew {
    /// Starts a worker on each core, with its seed and its orders; returns once all are ready.
    ///
    /// # Errors
    /// Why one of them could not: one message with the remedy. Those that could have ended by then.
    pub(super) fn start(
        shared: &Arc<Shared>,
        posts: Vec<(u64, Receiver<Order>)>,
    ) -> Result<Self, String> {
        let mut crew = Self { threads: Vec::new() };
        for (index, (seed, orders)) in posts.into_iter().enumerate() {
            let (ready, answer) = mpsc::channel();
            let shared_with = Arc::clone(shared);
            let name = format!("worker-{index}");
            let spawned = thread::Builder::new().name(name).spawn(move || {
                match Post::new(&shared_with, index, seed, orders) {
                    Ok(post) => {
                        let _ = ready.send(Ok(()));
                        post.work()
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                        Ended::default()
                    }
                }
            });
            let started = match spawned {
                Ok(thread) => {
                    crew.threads.push(thread);
                    answer.recv().unwrap_or_else(|_| Err(format!("worker {index} died")))
                }
                Err(error) => Err(format!("worker {index}: no thread: {error}")),
            };
            if let Err(error) = started {
                shared.stop.store(true, Ordering::Release);
                crew.join();
                return Err(error);
            }
        }
        Ok(crew)
    }

    /// Whether a worker ended although nobody told it to.
    pub(super) fn has_lost_one(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Waits for all to end, which they do once told to.
    pub(super) fn join(self) -> Vec<Ended> {
        let died = |_| Ended { errors: vec!["it died".into()], ..Ended::default() };
        self.threads.into_iter().map(|thread| thread.join().unwrap_or_else(died)).collect()
    }
}

/// One worker's place: everything it has.
struct Post<'a> {
    shared: &'a Shared,
    index: usize,
    worker: Worker<Gateway>,
    idler: Idler,
    published: Time,
    orders: Receiver<Order>,
    /// Goes last: everything above lies in it.
    memory: WorkerMemory,
}

impl<'a> Post<'a> {
    fn new(
        shared: &'a Shared,
        index: usize,
        seed: u64,
        orders: Receiver<Order>,
    ) -> Result<Self, String> {
        let Shared { config, machine, board, .. } = shared;
        let core = config.workers.cores.get(index).copied().unwrap_or(0);
        let pinned = core_affinity::set_for_current(core_affinity::CoreId { id: core as usize });
        if !pinned {
            tracing::warn!("worker {index} cannot be pinned to core {core}: it runs where it may");
        }
        let memory = machine.memory(config, index)?;
        let opened = machine.ports(config, index, &memory)?;
        let (ports, modes): (Vec<_>, Vec<_>) =
            opened.into_iter().map(|opened| (opened.port, (opened.mode, opened.refused))).unzip();
        let clock = Clock::Real(shared.origin);
        let gateway = gateway(shared, index, &memory.pool, seed)?;
        let idler = Idler::new(
            idle(config.workers.idle),
            &ports.iter().map(|port| port.wait_fd()).collect::<Vec<_>>(),
        );
        if let Some(mut place) = board.places.get(index).and_then(|place| place.lock().ok()) {
            place.pinned = pinned;
            place.modes = modes;
        }
        let worker = Worker::new(ports, QUEUE, gateway, clock);
        let published = Time::ZERO;
        let mut post = Self { shared, index, worker, idler, published, orders, memory };
        post.publish(true);
        Ok(post)
    }

    /// Works until told to end, then brings what is under way to its end.
    fn work(mut self) -> Ended {
        while !self.shared.stop.load(Ordering::Acquire) {
            self.rounds();
            if self.worker.ports().iter().any(|port| port.error().is_some()) {
                break;
            }
        }
        for (index, port) in self.shared.config.ports.iter().enumerate() {
            if port.role == Role::Lan {
                self.worker.stop_receiving(index);
            }
        }
        let until = self.worker.now().after(DRAIN);
        while self.is_busy() && self.worker.now() < until {
            self.rounds();
        }
        self.end()
    }

    /// Whether anything is under way.
    fn is_busy(&self) -> bool {
        self.worker.queued() > 0 || self.worker.pipeline().outstanding() != (0, 0)
    }

    /// A number of rounds, fewer with nothing to do; then takes over what changes, and publishes, if
    /// it is time to.
    fn rounds(&mut self) {
        for _ in 0..ROUNDS {
            if self.worker.round() {
                self.idler.busy();
                continue;
            }
            let now = self.worker.now();
            let left = self.worker.next_event().map_or(u64::MAX, |next| next.since(now));
            let has_pauses =
                self.shared.team.is_some() && self.shared.config.backpressure.is_some();
            self.idler.idle(if has_pauses { left.min(LOOK) } else { left });
            if now.since(self.published) >= PUBLISH {
                break;
            }
        }
        self.heed();
        self.publish(false);
    }

    /// Takes over what changes, between two bursts.
    fn heed(&mut self) {
        while let Ok(Order { queues, done }) = self.orders.try_recv() {
            let now = self.worker.now();
            let taken = self.worker.pipeline_mut().set_tenant_queues(&queues, now);
            // Whoever asked may have lost patience.
            let _ = done.send(taken.map_err(|error| error.to_string()));
        }
    }

    /// Publishes what was counted, now and then or `surely`.
    fn publish(&mut self, surely: bool) {
        let now = self.worker.now();
        if !surely && now.since(self.published) < PUBLISH {
            return;
        }
        let Some(place) = self.shared.board.places.get(self.index) else { return };
        // Somebody is reading: then the next time. Only at the end is it waited for.
        let place = if surely { place.lock().ok() } else { place.try_lock().ok() };
        if let Some(mut place) = place {
            place.take(&self.worker, self.memory.pool.stats(), now);
            self.published = now;
        }
    }

    fn end(mut self) -> Ended {
        let (sent, held) = self.worker.pipeline().outstanding();
        self.worker.pipeline_mut().clear();
        let ports = &self.shared.config.ports;
        let name = |port: usize| ports.get(port).map_or("?", |port| port.name.as_str());
        let closed = self.worker.close();
        let errors = closed.iter().map(|(port, error)| format!("port {:?}: {error}", name(*port)));
        let errors = errors.collect();
        self.publish(true);
        drop(self.worker);
        let PoolStats { in_use, .. } = self.memory.pool.stats();
        Ended { unfinished: sent + held, leaked: in_use, errors }
    }
}

/// The settings of all workers' gateways, but for what is each one's own.
pub(super) fn settings(config: &Config, machine: &Machine) -> gateway::Settings {
    let macs: Vec<gateway::Mac> = machine.devices.iter().map(|device| device.mac).collect();
    settings::gateway(config, &macs)
}

/// The gateway of worker number `index`: its tunnels have a UDP port of their own.
fn gateway(shared: &Shared, index: usize, pool: &Rc<Pool>, seed: u64) -> Result<Gateway, String> {
    let mut settings = settings(&shared.config, &shared.machine);
    // The configuration has made sure that they exist.
    settings.udp_port = settings.udp_port.saturating_add(index as u16);
    if index > 0 {
        // One session a path: the first worker's.
        let paths = settings.peers.iter_mut().flat_map(|peer| &mut peer.paths);
        paths.for_each(|path| path.bfd = None);
    }
    let mut gateway = Gateway::new(settings, Rc::clone(pool), Time::ZERO, seed)
        .map_err(|error| error.to_string())?;
    shared.team.iter().for_each(|team| gateway.join(team, index));
    Ok(gateway)
}

fn idle(choice: IdleChoice) -> Idle {
    match choice {
        IdleChoice::Poll => Idle::Poll,
        IdleChoice::Backoff => Idle::Backoff,
        IdleChoice::Sleep => Idle::Sleep,
    }
}
