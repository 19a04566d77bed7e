//! A gateway under test: a process of `compute-gateway run`, and what it shows.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::namespace::Namespace;

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// When a gateway ends by itself, should its test have been killed.
const LIFE: &str = "180";
const LOOK: Duration = Duration::from_millis(20);

/// A gateway that runs. Dropping it kills it.
pub(crate) struct Gateway {
    child: Child,
    folder: PathBuf,
    name: String,
}

/// How a gateway ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The final status: null if none was written.
    pub(crate) report: Value,
    /// What it said.
    pub(crate) said: String,
}

impl Gateway {
    /// Starts one in a namespace, as `uid` or as who tests. Its files are in `folder`: NAME.toml,
    /// which is there, NAME.sock, NAME.json and NAME.log.
    pub(crate) fn start(
        namespace: &Namespace,
        folder: &Path,
        name: &str,
        uid: Option<u32>,
    ) -> Self {
        let file = |ending| folder.join(format!("{name}.{ending}"));
        let create = |ending| Stdio::from(File::create(file(ending)).expect("a file"));
        let mut binary = PathBuf::from(env!("CARGO_BIN_EXE_compute-gateway"));
        if uid.is_some() {
            // Not everybody may look into the folder it was built in.
            let copy = folder.join("compute-gateway");
            fs::copy(&binary, &copy).expect("room for a copy");
            binary = copy;
        }
        let mut command = Command::new(binary);
        command.args(["run", "--json", "--seconds", LIFE, "--config"]).arg(file("toml"));
        command.stdin(Stdio::null()).stdout(create("json")).stderr(create("log"));
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        let child = namespace.run(|| command.spawn().expect("it starts"));
        Self { child, folder: folder.to_owned(), name: name.to_owned() }
    }

    /// What it shows now; none while it does not answer.
    pub(crate) fn try_show(&self) -> Option<Value> {
        let output = self.ask(&["show", "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// What it shows now.
    pub(crate) fn show(&self) -> Value {
        self.try_show().unwrap_or_else(|| panic!("{} does not answer:\n{}", self.name, self.said()))
    }

    /// Waits until what it shows is as wished; panics when that takes too long.
    pub(crate) fn wait(&mut self, what: &str, wished: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut last = Value::Null;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("{} ended ({status}) and should be {what}:\n{}", self.name, self.said());
            }
            if let Some(shown) = self.try_show() {
                if wished(&shown) {
                    return shown;
                }
                last = shown;
            }
            thread::sleep(LOOK);
        }
        panic!("{} is not {what}:\n{}\n{last:#}", self.name, self.said());
    }

    /// Waits until it has a session with its peer.
    pub(crate) fn wait_for_session(&mut self) {
        self.wait("in session", |shown| shown["peers"][0]["up"] == true);
    }

    /// What a command says that asks it by its socket.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_compute-gateway"));
        command.args(arguments).arg("--socket").arg(self.file("sock"));
        command.output().expect("it starts")
    }

    /// Tells it to read its configuration again.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Tells it to end, and waits for that.
    pub(crate) fn terminate(self) -> Ended {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Kills it; nothing of it is cleaned up.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("a child");
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "{} does not end:\n{}", self.name, self.said());
            thread::sleep(LOOK);
        };
        let report = File::open(self.file("json")).expect("made at its start");
        let report = serde_json::from_reader(report).unwrap_or(Value::Null);
        Ended { status, report, said: self.said() }
    }

    /// What it said so far.
    pub(crate) fn said(&self) -> String {
        let mut said = String::new();
        let log = File::open(self.file("log")).and_then(|mut log| log.read_to_string(&mut said));
        log.map_or_else(|error| error.to_string(), |_| said)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("not 0");
        kill_process(pid, signal).expect("it is ours, and not waited for yet");
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.name))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {}:\n{}", self.name, self.said());
        }
    }
}
