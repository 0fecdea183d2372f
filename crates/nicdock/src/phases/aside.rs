//! Work in a child process, which may go into namespaces that nicdock itself stays out of.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::{Doing, PhaseError};
use crate::kernel::child::Child;
use crate::kernel::netns;

/// Runs `work` in a child; its error comes back as a text.
pub fn aside(work: impl FnOnce() -> Result<(), PhaseError>) -> Result<(), PhaseError> {
    within(None, work)
}

/// The same where file systems of a container are looked at, which may be such that they never answer (FUSE): the child is killed
/// when the time is up.
pub fn aside_at_most(
    limit: Duration,
    work: impl FnOnce() -> Result<(), PhaseError>,
) -> Result<(), PhaseError> {
    within(Some(limit), work)
}

fn within(limit: Option<Duration>, work: impl FnOnce() -> Result<(), PhaseError>) -> Result<(), PhaseError> {
    let what = || "working in another namespace".to_owned();
    let (mut ours, theirs) = UnixStream::pair().doing(what)?;
    ours.set_read_timeout(limit).doing(what)?;
    let mut child = Child::fork(move || match work() {
        Ok(()) => 0,
        Err(PhaseError { doing, error, advice }) => {
            let advice = advice.map(|text| format!("; {text}")).unwrap_or_default();
            let _ = write!(&theirs, "{doing}\0{error}{advice}");
            1
        }
    })
    .doing(what)?;
    let mut said = String::new();
    if let Err(error) = ours.read_to_string(&mut said)
        && error.kind() == io::ErrorKind::WouldBlock
    {
        let error = io::Error::new(io::ErrorKind::TimedOut, "a file system of the container does not answer");
        return Err(PhaseError::new(what(), error));
    }
    match (child.wait().doing(what)?, said.split_once('\0')) {
        (0, _) => Ok(()),
        (_, Some((doing, error))) => Err(PhaseError::new(doing, io::Error::other(error.to_owned()))),
        (status, None) => {
            Err(PhaseError::new(what(), io::Error::other(format!("it ended with {status} and said nothing"))))
        }
    }
}

/// The same in the host's mount namespace, which is that of its first process: what is mounted there stays when nicdock ends.
pub fn in_host_mounts(work: impl FnOnce() -> Result<(), PhaseError>) -> Result<(), PhaseError> {
    aside(|| {
        netns::enter_mounts_of(1).doing(|| "entering the host's mount namespace (process 1)".into())?;
        work()
    })
}
