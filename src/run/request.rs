//! What is asked for by the socket, and by whom. Whoever may connect may see the status; only root and
//! the gateway's own user may change anything.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::net::sockopt::socket_peercred;

use super::desk::{By, Desk};
use crate::tenant::{Answer, Request};

/// The longest request that is read: a tenant, and all keys that may change.
const LONGEST: usize = 16 << 10;

/// Reads a request, until whoever asks has closed its side or `until`. Of one that only listens it is
/// empty.
///
/// # Errors
/// Those of the socket, and a request that is too long.
pub(super) fn read(stream: &mut UnixStream, until: Instant) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut part = [0; 512];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(request);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) => return Ok(request),
            Ok(count) => request.extend(part.iter().take(count)),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                _ => return Err(error),
            },
        }
        if request.len() > LONGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, "a very long request"));
        }
    }
}

/// Does what a request says.
pub(super) fn answer(request: &[u8], stream: &UnixStream, desk: &Desk) -> Answer {
    let refused = |why: String| Answer { refused: true, error: Some(why), ..Answer::default() };
    let request = match serde_json::from_slice::<Request>(request) {
        Ok(request) => request,
        Err(error) => {
            return refused(format!(
                "the request is none: {error}\n    remedy: ask with the same version as the gateway's"
            ));
        }
    };
    // The kernel says who connected (unix(7), SO_PEERCRED).
    let who = match socket_peercred(stream) {
        Ok(who) => who,
        Err(error) => return refused(format!("the system does not say who asks: {error}")),
    };
    let by = By::Socket { user: who.uid.as_raw(), process: who.pid.as_raw_nonzero().get() };
    if !may_change(who.uid.as_raw(), rustix::process::geteuid().as_raw()) {
        let remedy = "ask as root, or as the user that the gateway runs as";
        return desk.refuse(&by, format!("this user may change nothing\n    remedy: {remedy}"));
    }
    desk.answer(&request, &by)
}

/// Whether a user may, of a gateway that runs as `own`.
fn may_change(user: u32, own: u32) -> bool {
    user == 0 || user == own
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::Shutdown;
    use std::time::Duration;

    #[test]
    fn a_request_ends_where_its_sender_closes_or_patience_does() {
        let far_off = || Instant::now() + Duration::from_secs(60);
        let (mut near, mut far) = UnixStream::pair().expect("sockets");
        near.write_all(b"some").expect("room");
        near.shutdown(Shutdown::Write).expect("open");
        assert_eq!(read(&mut far, far_off()).expect("it is whole"), b"some");
        // Who only listens gets an answer too.
        let (_near, mut far) = UnixStream::pair().expect("sockets");
        assert_eq!(read(&mut far, Instant::now() + Duration::from_millis(1)).expect("none"), b"");
        let (mut near, mut far) = UnixStream::pair().expect("sockets");
        near.write_all(&[b' '; LONGEST + 1]).expect("room");
        assert!(read(&mut far, far_off()).is_err());
    }

    #[test]
    fn root_and_the_gateways_own_user_may_change_something() {
        assert!(may_change(0, 7) && may_change(7, 7) && may_change(0, 0));
        assert!(!may_change(7, 0) && !may_change(8, 7));
    }
}
