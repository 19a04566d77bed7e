//! The ports of a replay: which captures they read and which they write.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use config::model::{Config, Driver, Role};
use dataplane::capture::{Reader, WriteError, Writer};
use dataplane::memory::Pool;
use dataplane::port::Port;
use dataplane::port::file::FilePort;

use super::{Args, Failure};

type CapturePort = FilePort<File, File>;

/// What each port of the configuration reads and writes.
pub(super) struct Captures {
    ports: Vec<Paths>,
}

struct Paths {
    input: Option<PathBuf>,
    output: Option<PathBuf>,
}

impl Captures {
    /// What the command line says, and where it says nothing, the configuration.
    pub(super) fn new(args: &Args, config: &Config) -> Result<Self, Failure> {
        let chosen = chosen_port(args, config)?;
        let ports = config.ports.iter().enumerate().map(|(index, port)| {
            let (input, output) = match &port.driver {
                Driver::Pcap { input, output } => (Some(input), Some(output)),
                Driver::Ring | Driver::AfXdp { .. } | Driver::Dpdk { .. } => (None, None),
            };
            let given = args.capture.as_ref().filter(|_| chosen == Some(index));
            let placed = args.out.as_ref().map(|dir| dir.join(format!("{}.pcap", port.name)));
            Paths { input: given.or(input).cloned(), output: placed.or(output.cloned()) }
        });
        let captures = Self { ports: ports.collect() };
        captures.spare_inputs()?;
        Ok(captures)
    }

    /// Refuses to write over what is read.
    fn spare_inputs(&self) -> Result<(), Failure> {
        let real = |path: &PathBuf| path.canonicalize().ok();
        let inputs: Vec<PathBuf> =
            self.ports.iter().filter_map(|port| port.input.as_ref().and_then(real)).collect();
        for output in self.ports.iter().filter_map(|port| port.output.as_ref()) {
            if real(output).is_some_and(|output| inputs.contains(&output)) {
                return Err(Failure::refused(format!(
                    "{}: is an input, which would be overwritten\n    remedy: another --out",
                    output.display()
                )));
            }
        }
        Ok(())
    }

    /// What the port with this number writes.
    pub(super) fn output(&self, index: usize) -> Option<&Path> {
        self.ports.get(index).and_then(|port| port.output.as_deref())
    }

    /// The earliest capture time of all inputs: the beginning of the run.
    pub(super) fn origin(&self) -> Result<u64, Failure> {
        let mut origin = None;
        for path in self.ports.iter().filter_map(|port| port.input.as_ref()) {
            let mut reader = Reader::open(path).map_err(Failure::refused)?;
            if let Some(record) = reader.next().map_err(Failure::refused)? {
                origin = Some(origin.map_or(record.time_ns, |at: u64| at.min(record.time_ns)));
            }
        }
        Ok(origin.unwrap_or(0))
    }

    /// Opens everything, for a run that begins at the capture time `origin_ns`.
    pub(super) fn open(
        &self,
        pool: &Rc<Pool>,
        origin_ns: u64,
    ) -> Result<Vec<Box<dyn Port>>, Failure> {
        let open = |paths: &Paths| {
            let input = paths.input.as_deref().map(Reader::open).transpose();
            let output = paths.output.as_deref().map(create).transpose();
            let port = CapturePort::new(
                input.map_err(Failure::refused)?,
                output?,
                Rc::clone(pool),
                origin_ns,
            );
            Ok(Box::new(port) as Box<dyn Port>)
        };
        self.ports.iter().map(open).collect()
    }
}

/// Number of the port that the capture of the command line arrives at.
fn chosen_port(args: &Args, config: &Config) -> Result<Option<usize>, Failure> {
    let found = match &args.port {
        Some(name) => config.ports.iter().position(|port| port.name == *name),
        None => config.ports.iter().position(|port| port.role == Role::Lan),
    };
    if found.is_some() || args.capture.is_none() {
        return Ok(found);
    }
    let names: Vec<&str> = config.ports.iter().map(|port| port.name.as_str()).collect();
    let name = args.port.as_deref().unwrap_or("?");
    Err(Failure::refused(format!(
        "no port {name:?} in the configuration\n    remedy: --port takes one of {}",
        names.join(", ")
    )))
}

/// Begins a capture, in a folder that is made if it is not there.
fn create(path: &Path) -> Result<Writer<File>, Failure> {
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    let file = folder.and_then(|()| File::create(path)).map_err(WriteError::from);
    file.and_then(Writer::new)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}
