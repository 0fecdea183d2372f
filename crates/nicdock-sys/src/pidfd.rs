//! Waiting for the container and for signals at once, without threads.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, WaitIdOptions, WaitIdStatus};

/// A process that cannot be mistaken for a later one with the same number (pidfd_open(2)).
pub struct Process {
    pid: Pid,
    handle: OwnedFd,
}

impl Process {
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { pid, handle: rustix::process::pidfd_open(pid, PidfdFlags::empty())? })
    }

    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(rustix::process::pidfd_send_signal(&self.handle, signal)?)
    }

    /// Whether the process has a handler for `signal`, ignores or blocks it: `SigCgt`, `SigIgn`, `SigBlk` of
    /// proc_pid_status(5). A doubt counts as yes; a process that blocks just what nicdock itself does is nicdock's own,
    /// about to become the program, and counts as no.
    pub fn has_a_say_in(&self, signal: i32) -> bool {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero()))
        else {
            return true;
        };
        let mask = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            u64::from_str_radix(line.trim(), 16).ok()
        };
        let (Some(blocked), Some(ignored), Some(caught)) =
            (mask("SigBlk:"), mask("SigIgn:"), mask("SigCgt:"))
        else {
            return true;
        };
        let blocked = if blocked == super::signals::blocked_mask() { 0 } else { blocked };
        (blocked | ignored | caught) >> (signal - 1) & 1 == 1
    }

    /// The exit status in shell terms if the process, a child of ours, has ended: its own, or 128 + signal.
    pub fn try_wait(&self) -> io::Result<Option<i32>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let id = rustix::process::WaitId::Pid(self.pid);
        Ok(rustix::process::waitid(id, options)?.map(|status: WaitIdStatus| {
            status
                .exit_status()
                .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
                .unwrap_or(125)
        }))
    }

    /// Whether the process has ended, be it a child of ours or not; a doubt counts as yes.
    pub fn has_ended(&self) -> bool {
        let mut poll = [rustix::event::PollFd::new(&self.handle, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut poll, Some(&now)).map_or(true, |ready| ready > 0)
    }

    /// Waits for its end for at most `limit`; whether it has ended.
    pub fn ends_within(&self, limit: Duration) -> io::Result<bool> {
        let begin = Instant::now();
        loop {
            let left = limit.saturating_sub(begin.elapsed());
            let left = rustix::event::Timespec::try_from(left).map_err(io::Error::other)?;
            let mut poll = [rustix::event::PollFd::new(&self.handle, rustix::event::PollFlags::IN)];
            match rustix::event::poll(&mut poll, Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Readable as soon as the process has ended.
    pub fn handle(&self) -> impl AsFd {
        self.handle.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_does_with_a_signal_is_seen_from_outside() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "trap '' USR1; read line"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let process = Process::open(child.id()).unwrap();
        while !process.has_a_say_in(libc::SIGUSR1) {
            std::thread::yield_now();
        }
        assert!(!process.has_a_say_in(libc::SIGUSR2));
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn the_end_of_a_process_is_seen_by_its_handle() {
        assert!(!Process::open(std::process::id()).unwrap().has_ended());
        let mut child = std::process::Command::new("sleep").arg("0").spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        child.wait().unwrap();
        assert!(process.has_ended());
    }
}
