//! Work in a child process, which may go into namespaces that nicdock itself stays out of.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Doing, PhaseError};
use crate::kind::Kind;
use nicdock_sys::child::Child;
use nicdock_sys::netns;
use nicdock_sys::secluded::{Said, Streams, seclude};

/// How often `goes_on` is asked.
const TICK: Duration = Duration::from_millis(100);

/// Runs `work` in a child that may enter a container; its error comes back as a text. Of nicdock's descriptors it has those of `keep`.
/// The child is killed as soon as `goes_on` gives an error, which is the answer then.
pub fn aside<E: From<PhaseError>>(
    keep: &[BorrowedFd<'_>],
    goes_on: impl Fn() -> Result<(), E>,
    work: impl FnOnce() -> Result<(), PhaseError>,
) -> Result<(), E> {
    let mut stopped = None;
    let mut ask = || match goes_on() {
        Ok(()) => true,
        Err(error) => {
            stopped = Some(error);
            false
        }
    };
    let result = within(Some(keep), None, &mut ask, work);
    stopped.map_or(result.map_err(E::from), Err)
}

/// The same where file systems of a container are looked at, which may be such that they never answer (FUSE): the child is killed
/// when the time is up.
pub fn aside_at_most(
    limit: Duration,
    work: impl FnOnce() -> Result<(), PhaseError>,
) -> Result<(), PhaseError> {
    within(Some(&[]), Some(limit), &mut || true, work)
}

fn within(
    keep: Option<&[BorrowedFd<'_>]>,
    limit: Option<Duration>,
    goes_on: &mut dyn FnMut() -> bool,
    work: impl FnOnce() -> Result<(), PhaseError>,
) -> Result<(), PhaseError> {
    let what = || "working in another namespace".to_owned();
    let (mut ours, theirs) = UnixStream::pair().doing(what)?;
    let (errors, errors_end) = Said::new().doing(what)?;
    let mut child = Child::fork(|| {
        let begin = || {
            let Some(keep) = keep else { return Ok(()) };
            let keep = [keep, &[theirs.as_fd()]].concat();
            let streams = Streams { output: None, errors: Some(errors_end.as_fd()) };
            seclude(&keep, streams).doing(|| "keeping apart from the container's processes".into())
        };
        match begin().and_then(|()| work()) {
            Ok(()) => 0,
            Err(PhaseError { doing, error, advice, kind }) => {
                let advice = advice.map(|text| format!("; {text}")).unwrap_or_default();
                let _ = write!(&theirs, "{}\0{doing}\0{error}{advice}", kind.name());
                1
            }
        }
    })
    .doing(what)?;
    drop((theirs, errors_end));
    let said = hear(&mut ours, &errors, limit, goes_on).doing(what)?;
    let Some(said) = said else {
        if limit.is_none() {
            // It works on the host's behalf, and dies at once.
            drop(child);
            return Err(PhaseError::new(what(), io::ErrorKind::Interrupted));
        }
        // What a file system of a container's does not answer may not even die (request_wait_answer() of fs/fuse/dev.c).
        child.abandon();
        let error = io::Error::new(io::ErrorKind::TimedOut, "a file system of the container does not answer");
        return Err(PhaseError::new(what(), error));
    };
    match (child.wait().doing(what)?, &said.splitn(3, '\0').collect::<Vec<_>>()[..]) {
        (0, _) => Ok(()),
        (_, [kind, doing, error]) => {
            let error = PhaseError::new(*doing, io::Error::other((*error).to_owned()));
            Err(error.of_kind(Kind::named(kind)))
        }
        (status, _) => {
            Err(PhaseError::new(what(), io::Error::other(format!("it ended with {status} and said nothing"))))
        }
    }
}

/// All that comes until the end; what comes on standard error is said at once. `None` if the time is up before, or it does not go on.
fn hear(
    stream: &mut UnixStream,
    errors: &Said,
    limit: Option<Duration>,
    goes_on: &mut dyn FnMut() -> bool,
) -> io::Result<Option<String>> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut has_errors = true;
    let mut said = Vec::new();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) || !goes_on() {
            return Ok(None);
        }
        let tick = Timespec::try_from(left.map_or(TICK, |left| left.min(TICK))).map_err(io::Error::other)?;
        let mut sources = vec![PollFd::new(&*stream, PollFlags::IN)];
        if has_errors {
            sources.push(PollFd::new(errors, PollFlags::IN));
        }
        match poll(&mut sources, Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let speaks = !sources[0].revents().is_empty();
        has_errors = has_errors && errors.pass_on();
        if speaks {
            let mut part = [0; 4096];
            match stream.read(&mut part)? {
                0 => return Ok(Some(String::from_utf8_lossy(&said).into_owned())),
                length => said.extend_from_slice(&part[..length]),
            }
        }
    }
}

/// The same in the host's mount namespace, which is that of its first process: what is mounted there stays when nicdock ends. No container is entered.
pub fn in_host_mounts(work: impl FnOnce() -> Result<(), PhaseError>) -> Result<(), PhaseError> {
    within(None, None, &mut || true, || {
        netns::enter_mounts_of(1).doing(|| "entering the host's mount namespace (process 1)".into())?;
        work()
    })
}
