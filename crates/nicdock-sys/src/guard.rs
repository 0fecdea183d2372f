//! A process that does one last thing for its parent when that ends, however it ends.
#![allow(unsafe_code)]

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::child::Child;
use super::secluded::{Streams, seclude};

/// The last thing is done when this is dropped, when the parent ends, also by SIGKILL, and after the time that was given.
pub struct Guard {
    /// No other process has this end.
    end: Option<UnixStream>,
    child: Child,
}

impl Guard {
    /// Returns as soon as the guard cannot miss its parent's end any more. It has a session of its own and no descriptors but `keep`.
    ///
    /// As with [`Child::fork`] the caller has one thread only.
    pub fn start(
        keep: &[BorrowedFd<'_>],
        longest: Duration,
        last: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<Self> {
        let (mut end, other) = UnixStream::pair()?;
        let child = Child::fork(|| {
            let mut kept = keep.to_vec();
            kept.push(other.as_fd());
            let ready = || -> io::Result<()> {
                block_signals()?;
                seclude(&kept, Streams::default())?;
                rustix::process::set_parent_process_death_signal(None)?;
                other.set_read_timeout(Some(longest))?;
                (&other).write_all(&[1])
            };
            if ready().is_err() {
                return 1;
            }
            // The end of the stream, an error, or the time is over: each is a reason.
            let _ = (&other).read(&mut [0]);
            i32::from(last().is_err())
        })?;
        drop(other);
        end.read_exact(&mut [0])?;
        Ok(Self { end: Some(end), child })
    }

    /// Makes it do the last thing, and waits until it has.
    pub fn finish(mut self) -> io::Result<()> {
        self.close()
    }

    fn close(&mut self) -> io::Result<()> {
        if self.end.take().is_none() {
            return Ok(());
        }
        match self.child.wait()? {
            0 => Ok(()),
            status => Err(io::Error::other(format!("the guard ended with status {status}"))),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// What ends its parent must not end it: a service manager sends the same signal to both.
fn block_signals() -> io::Result<()> {
    // SAFETY: the set is initialised by the first call and lives until the second returns; no old set is asked for.
    let result = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
