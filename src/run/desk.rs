//! The configuration in force, and changes of it while traffic runs: checked whole, given to every
//! worker, which takes them over between two bursts, and written down.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use config::in_force::Doubtful;
use config::model::Config;
use config::{Diagnostics, InForce};
use pipelines::queueing::TenantQueues;
use tracing::{error, info, warn};

use crate::settings;
use crate::status::{ChangeStatus, ConfigurationStatus, RefusalStatus};
use crate::tenant::{Answer, Request};

/// Changes that are remembered.
const REMEMBERED: usize = 256;
/// How long workers may take to take a change over.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who asks for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// A process at the socket.
    Socket { user: u32, process: i32 },
    /// The signal.
    Hangup,
}

/// Tenants' queues for a worker to take over.
pub(super) struct Order {
    /// By the tenants' numbers.
    pub(super) queues: Arc<[(u16, TenantQueues)]>,
    /// Where it says that it has, or why not.
    pub(super) done: Sender<Result<(), String>>,
}

/// Why workers have not taken an order over.
enum Untaken {
    /// It cannot be, and so is with none of them: their settings are alike.
    Refused(String),
    /// Some have not looked at it yet.
    Late(String),
}

/// The configuration in force, and the way to the workers.
pub(super) struct Desk {
    book: Mutex<Book>,
    orders: Vec<Sender<Order>>,
}

/// What is known of it.
struct Book {
    in_force: InForce,
    generation: u64,
    changed: u64,
    refused: u64,
    last_refusal: Option<(Instant, RefusalStatus)>,
    changes: VecDeque<(Instant, ChangeStatus)>,
}

impl Desk {
    /// Of a gateway with this configuration; and where its workers find their orders.
    pub(super) fn new(in_force: InForce) -> (Self, Vec<Receiver<Order>>) {
        let workers = in_force.config().workers.cores.iter();
        let (orders, inboxes) = workers.map(|_| mpsc::channel()).unzip();
        let book = Book {
            in_force,
            generation: 1,
            changed: 0,
            refused: 0,
            last_refusal: None,
            changes: VecDeque::new(),
        };
        (Self { book: Mutex::new(book), orders }, inboxes)
    }

    /// The configuration in force now.
    pub(super) fn config(&self) -> Config {
        self.book().in_force.config().clone()
    }

    /// How it stands with the configuration.
    pub(super) fn status(&self) -> ConfigurationStatus {
        let book = self.book();
        let ago = |at: &Instant| at.elapsed().as_secs_f64();
        let change = |(at, of): &(Instant, ChangeStatus)| ChangeStatus {
            seconds_ago: ago(at),
            ..of.clone()
        };
        let last = book.last_refusal.as_ref();
        ConfigurationStatus {
            file: book.in_force.file().to_owned(),
            generation: book.generation,
            changed: book.changed,
            refused: book.refused,
            last_refusal: last.map(|(at, of)| RefusalStatus { seconds_ago: ago(at), ..of.clone() }),
            changes: book.changes.iter().map(change).collect(),
        }
    }

    /// Does what somebody asks for.
    pub(super) fn answer(&self, request: &Request, by: &By) -> Answer {
        let Request::TenantSet { tenant, keys } = request;
        let mut book = self.book();
        let next = book.in_force.with(tenant, keys);
        self.take_over(&mut book, next, by)
    }

    /// Reads the file again.
    pub(super) fn reload(&self, file: &Path) {
        let mut book = self.book();
        let next = book.in_force.reloaded(file);
        let answer = self.take_over(&mut book, next, &By::Hangup);
        answer.warnings.iter().for_each(|warning| warn!("{warning}"));
        if answer.applied && answer.changes.is_empty() {
            info!("{}: nothing changes", file.display());
        }
    }

    /// Refuses somebody who may not ask.
    pub(super) fn refuse(&self, by: &By, why: String) -> Answer {
        self.book().refuse(by, why)
    }

    /// Puts a configuration in force, if it is one.
    fn take_over(&self, book: &mut Book, next: Result<Doubtful, Diagnostics>, by: &By) -> Answer {
        let (next, warnings) = match next {
            Ok(next) => next,
            Err(errors) => return book.refuse(by, errors.to_string()),
        };
        let changes = book.in_force.changes_to(&next);
        let config = next.config();
        let is_concerned = |number: usize| changes.iter().any(|change| change.tenant == number);
        let concerned = (0..config.tenants.len()).filter(|number| is_concerned(*number));
        let queues: Arc<[_]> = concerned
            .map(|number| number as u16)
            .zip(settings::tenant_queues(config, is_concerned))
            .collect();
        let taken = if queues.is_empty() { Ok(()) } else { self.order(&queues) };
        let error = match taken {
            Ok(()) => None,
            Err(Untaken::Refused(why)) => return book.refuse(by, why),
            // They will, so it is in force.
            Err(Untaken::Late(why)) => Some(why),
        };
        let changes = changes.into_iter().map(|change| {
            let tenant = config.tenants.get(change.tenant);
            let tenant = tenant.map_or_else(String::new, |tenant| tenant.name.clone());
            (tenant, change)
        });
        let changes: Vec<_> = changes.collect();
        let changes = book.write(changes, by);
        book.in_force = next;
        error.iter().for_each(|error| error!("{error}"));
        let warnings = warnings.iter().map(ToString::to_string).collect();
        let (applied, generation) = (error.is_none(), book.generation);
        Answer { applied, refused: false, generation, changes, warnings, error }
    }

    /// Has all workers take queues over, and waits until they have.
    ///
    /// # Errors
    /// When one has not by then.
    fn order(&self, queues: &Arc<[(u16, TenantQueues)]>) -> Result<(), Untaken> {
        let (done, answers) = mpsc::channel();
        for orders in &self.orders {
            // Of a worker that has ended no answer comes.
            let _ = orders.send(Order { queues: Arc::clone(queues), done: done.clone() });
        }
        drop(done);
        let until = Instant::now() + PATIENCE;
        for had in 0..self.orders.len() {
            match answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return Err(Untaken::Refused(why)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(Untaken::Late(format!(
                        "{had} of {} workers have taken it over so far\n    remedy: see by \
                         `compute-gateway show workers` whether the others get their cores",
                        self.orders.len()
                    )));
                }
            }
        }
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // What somebody left who panicked is still in force.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Writes down what changes, and says so.
    fn write(
        &mut self,
        changes: Vec<(String, config::in_force::Change)>,
        by: &By,
    ) -> Vec<ChangeStatus> {
        self.generation += u64::from(!changes.is_empty());
        self.changed += changes.len() as u64;
        let (generation, by) = (self.generation, self.name(by));
        let written = changes.into_iter().map(|(tenant, change)| {
            let config::in_force::Change { key, from, to, .. } = change;
            info!("tenant {tenant}: {key} {from} -> {to}, by {by}, generation {generation}");
            let by = by.clone();
            let (key, unix_seconds) = (key.to_owned(), unix_seconds());
            ChangeStatus { generation, seconds_ago: 0.0, unix_seconds, by, tenant, key, from, to }
        });
        let written: Vec<_> = written.collect();
        self.changes.extend(written.iter().map(|of| (Instant::now(), of.clone())));
        let over = self.changes.len().saturating_sub(REMEMBERED);
        self.changes.drain(..over);
        written
    }

    /// Writes down that nothing changes, and says so.
    fn refuse(&mut self, by: &By, why: String) -> Answer {
        let by = self.name(by);
        error!("a change by {by} is refused, and nothing changes:\n{why}");
        self.refused += 1;
        let refusal =
            RefusalStatus { seconds_ago: 0.0, unix_seconds: unix_seconds(), by, why: why.clone() };
        self.last_refusal = Some((Instant::now(), refusal));
        let generation = self.generation;
        Answer { refused: true, generation, error: Some(why), ..Answer::default() }
    }

    fn name(&self, by: &By) -> String {
        match by {
            By::Socket { user, process } => format!("user {user}, process {process}"),
            By::Hangup => format!("SIGHUP, {}", self.in_force.file()),
        }
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
