//! Asking a running gateway by its socket.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Exit;
use crate::configuration;
use crate::report::complain;

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer that is read.
const LONGEST: u64 = 64 << 20;

/// Which gateway is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The gateway's socket.
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    socket: Option<PathBuf>,
    /// The gateway's configuration, which names its socket.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
}

impl Which {
    /// Sends it a request, which may be empty, and reads what it answers. What goes wrong is said on
    /// standard error.
    ///
    /// # Errors
    /// What the command ends with.
    pub(crate) fn ask<T: serde::de::DeserializeOwned>(&self, request: &[u8]) -> Result<T, Exit> {
        let socket = self.socket()?;
        let answer = ask(&socket, request);
        let read = |answer: Vec<u8>| serde_json::from_slice(&answer).map_err(io::Error::other);
        answer.and_then(read).map_err(|error| {
            complain(&format!(
                "{}: {error}\n    remedy: is `compute-gateway run` there, with this socket in \
                 [control]?",
                socket.display()
            ));
            Exit::Failed
        })
    }

    /// The socket that the command line or the configuration names.
    fn socket(&self) -> Result<PathBuf, Exit> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let Some(file) = &self.config else { return Err(Exit::Refused) };
        configuration::load(file)?.control.socket.ok_or_else(|| {
            complain(&format!(
                "{}: there is no socket to ask\n    remedy: add [control] and socket = \
                 \"compute-gateway.sock\", and start the gateway anew",
                file.display()
            ));
            Exit::Refused
        })
    }
}

/// Whoever asks closes its side first: so the gateway knows that it has all of the request.
fn ask(socket: &Path, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(answer)
}
