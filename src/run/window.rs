//! The windows into a running gateway: a Unix socket for `show` and `tenant`, HTTP for Prometheus.
//!
//! Each is a thread that answers one asker at a time, in a bounded time; the workers never wait for
//! it.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::crew::Shared;
use super::request;
use crate::status::write_prometheus;

/// How long one asker may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a window looks whether the gateway ends.
const LOOK: Duration = Duration::from_millis(50);
/// The most bytes of a request that are read.
const REQUEST: usize = 4_096;

/// A window that is open.
pub(super) struct Window {
    thread: JoinHandle<()>,
    /// The socket's file, ours to remove.
    file: Option<PathBuf>,
}

impl Window {
    /// Opens the Unix socket: whoever connects and says nothing is told the status as JSON.
    ///
    /// # Errors
    /// When another gateway has it, or the file system refuses; with the remedy.
    pub(super) fn socket(path: &Path, shared: &Arc<Shared>) -> Result<Self, String> {
        let refused = |what: &str, error: &dyn std::fmt::Display| {
            format!("{}: {what}: {error}\n    remedy: another socket in [control]", path.display())
        };
        // A file that nobody answers by is left over from a gateway that was killed.
        if UnixStream::connect(path).is_ok() {
            return Err(refused("in use", &"a gateway answers there already"));
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(refused("cannot be replaced", &error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(|error| refused("no socket", &error))?;
        listener.set_nonblocking(true).map_err(|error| refused("no socket", &error))?;
        let shared = Arc::clone(shared);
        let thread = thread::spawn(move || {
            serve(
                &shared,
                || listener.accept().map(|(stream, _)| stream),
                |stream, shared| {
                    stream.set_nonblocking(false)?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    let request = request::read(stream, Instant::now() + PATIENCE)?;
                    match request.is_empty() {
                        true => serde_json::to_writer(&mut *stream, &status(shared))?,
                        false => {
                            let answer = request::answer(&request, stream, &shared.desk);
                            serde_json::to_writer(&mut *stream, &answer)?;
                        }
                    }
                    stream.flush()
                },
            );
        });
        Ok(Self { thread, file: Some(path.to_owned()) })
    }

    /// Opens the HTTP port: `GET /metrics` is answered by Prometheus text.
    ///
    /// # Errors
    /// When the address cannot be listened on; with the remedy.
    pub(super) fn metrics(address: SocketAddr, shared: &Arc<Shared>) -> Result<Self, String> {
        let refused = |error| {
            format!("metrics at {address}: {error}\n    remedy: another metrics in [control]")
        };
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let shared = Arc::clone(shared);
        let thread = thread::spawn(move || {
            serve(
                &shared,
                || listener.accept().map(|(stream, _)| stream),
                |stream, shared| {
                    stream.set_nonblocking(false)?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    answer(stream, shared)
                },
            );
        });
        Ok(Self { thread, file: None })
    }

    /// Waits for it to close, which it does once the gateway ends.
    pub(super) fn close(self) {
        let _ = self.thread.join();
        self.file.map(fs::remove_file);
    }
}

/// Answers one asker after another until the gateway ends. What goes wrong with one is his to see.
fn serve<S>(
    shared: &Shared,
    accept: impl Fn() -> io::Result<S>,
    answer: impl Fn(&mut S, &Shared) -> io::Result<()>,
) {
    while !shared.ended.load(Ordering::Acquire) {
        match accept() {
            Ok(mut stream) => _ = answer(&mut stream, shared),
            Err(_) => thread::sleep(LOOK),
        }
    }
}

fn status(shared: &Shared) -> crate::status::Status {
    shared.status(shared.stop.load(Ordering::Acquire))
}

/// Answers one HTTP/1.1 request (RFC 9112) and closes.
fn answer(stream: &mut (impl Read + Write), shared: &Shared) -> io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 512];
    while request.len() < REQUEST && !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut part)? {
            0 => break,
            count => request.extend(part.iter().take(count)),
        }
    }
    let line = request.split(|&byte| byte == b'\r').next().unwrap_or(&[]);
    let (code, kind, body) = match line {
        line if line.starts_with(b"GET /metrics ") || line.starts_with(b"GET /metrics?") => {
            let mut text = String::new();
            let written = write_prometheus(&status(shared), &mut text);
            written.map_err(io::Error::other)?;
            ("200 OK", "text/plain; version=0.0.4; charset=utf-8", text)
        }
        line if line.starts_with(b"GET ") => {
            ("404 Not Found", "text/plain", "what there is: /metrics\n".into())
        }
        _ => ("400 Bad Request", "text/plain", "GET /metrics\n".into()),
    };
    write!(
        stream,
        "HTTP/1.1 {code}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}
