//! Child processes of nicdock itself, and what ties a container's life to its supervisor.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::process::Pid;

use super::pidfd::Process;

/// A child of this process; killed and reaped when dropped before it was waited for.
pub struct Child {
    pid: Pid,
    reaped: bool,
}

impl Child {
    /// Forks; the child runs `work` and exits with its result, never returning into the caller's frames.
    ///
    /// The caller must have one thread only (fork(2)); nicdock never starts another.
    pub fn fork(work: impl FnOnce() -> i32) -> io::Result<Self> {
        let parent = rustix::process::getpid();
        // SAFETY: the process is single-threaded, so the child's copy of every lock is consistent.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let status = match die_with_parent() {
                    Ok(()) if rustix::process::getppid() == Some(parent) => work(),
                    _ => 125,
                };
                // SAFETY: ends this process without running the parent's destructors and exit handlers.
                unsafe { libc::_exit(status) }
            }
            pid => Ok(Self { pid: Pid::from_raw(pid).ok_or(io::ErrorKind::Other)?, reaped: false }),
        }
    }

    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The same for at most `limit`; `None` if it has not ended by then. It is killed then, and not waited for: what waits for a file
    /// system that does not answer, or is in a frozen control group, may not end for a long time.
    pub fn wait_at_most(mut self, limit: Duration) -> io::Result<Option<i32>> {
        if Process::open(self.pid())?.ends_within(limit)? {
            return self.wait().map(Some);
        }
        self.abandon();
        Ok(None)
    }

    /// Kills it and does not wait for its end.
    pub fn abandon(mut self) {
        let _ = rustix::process::kill_process(self.pid, rustix::process::Signal::KILL);
        self.reaped = true;
    }

    /// Waits for the end of the child; gives its exit status (125 when a signal ended it).
    pub fn wait(&mut self) -> io::Result<i32> {
        let status = wait(self.pid)?;
        self.reaped = true;
        Ok(status.exit_status().unwrap_or(125))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = rustix::process::kill_process(self.pid, rustix::process::Signal::KILL);
            let _ = wait(self.pid);
        }
    }
}

fn wait(pid: Pid) -> io::Result<rustix::process::WaitStatus> {
    loop {
        match rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Asks the kernel to kill this process when its parent ends (prctl(2), `PR_SET_PDEATHSIG`).
///
/// The setting is lost over an exec of a set-uid file or a change of credentials, so it is made last.
pub fn die_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

/// Keeps descriptors that the caller left open from the container's program, and the variables by which libcontainer would
/// hand them on (sd_listen_fds(3)).
pub fn forget_passed_descriptors() -> io::Result<()> {
    for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        // SAFETY: the process is single-threaded, so nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
    // SAFETY: the call takes numbers only, and marks descriptors to be closed at the next exec (close_range(2)).
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The number of a descriptor, for paths under `/proc/self/fd`.
pub fn proc_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}
