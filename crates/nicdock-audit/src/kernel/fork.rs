//! Doing something in a child process: it may hang, crash, or change its namespaces.
#![allow(unsafe_code)]

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::errno::Errno;

/// How a child ended.
#[derive(Debug)]
pub enum End<T> {
    /// It said this.
    Said(T),
    /// A signal ended it first.
    Signal(i32),
    /// It said nothing in time, and was killed.
    Late,
    /// It ended by itself and said nothing.
    Silent,
}

/// Runs `work` in a child and gives what it returned. The child's whole process group is killed afterwards.
pub fn run<T: Serialize + DeserializeOwned>(
    limit: Duration,
    work: impl FnOnce() -> T,
) -> Result<End<T>, Errno> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: this program never starts a thread, so the child's copy of every lock is consistent.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::last()),
        0 => {
            drop(reader);
            let _ = rustix::process::setpgid(None, None);
            let said = serde_json::to_vec(&work()).unwrap_or_default();
            let _ = std::fs::File::from(writer).write_all(&said);
            // SAFETY: ends this process without running the parent's destructors and exit handlers.
            unsafe { libc::_exit(0) }
        }
        child => {
            drop(writer);
            let child = Pid::from_raw(child).ok_or(Errno(libc::ECHILD))?;
            let _ = rustix::process::setpgid(Some(child), Some(child));
            Ok(wait(child, reader, Instant::now() + limit))
        }
    }
}

/// Runs `work` in a child, which is in the caller's process namespace for children; gives the exit status, or the signal that ended it.
pub fn status_of(work: impl FnOnce() -> u8) -> Result<Result<u8, i32>, Errno> {
    // SAFETY: this program never starts a thread, so the child's copy of every lock is consistent.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::last()),
        0 => {
            // A filter may refuse it; the keeper on the host ends the child, too.
            let _ = super::capability::prctl(libc::PR_SET_PDEATHSIG, [libc::SIGKILL as u64, 0]);
            let status = work();
            // SAFETY: ends this process without running the parent's destructors and exit handlers.
            unsafe { libc::_exit(status.into()) }
        }
        child => {
            let child = Pid::from_raw(child).ok_or(Errno(libc::ECHILD))?;
            loop {
                match waitpid(Some(child), WaitOptions::empty()) {
                    Ok(Some((_, status))) => {
                        let signal = status.terminating_signal().unwrap_or(0);
                        return Ok(status
                            .exit_status()
                            .and_then(|status| u8::try_from(status).ok())
                            .ok_or(signal));
                    }
                    Ok(None) | Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
    }
}

fn wait<T: DeserializeOwned>(child: Pid, reader: OwnedFd, deadline: Instant) -> End<T> {
    let mut text = Vec::new();
    let mut reader = std::fs::File::from(reader);
    let mut part = vec![0; 65536];
    let in_time = loop {
        if !readable(&reader, deadline) {
            break false;
        }
        match reader.read(&mut part) {
            Ok(0) | Err(_) => break true,
            Ok(length) => text.extend_from_slice(&part[..length]),
        }
        // A grandchild may still hold the pipe: what is complete is enough.
        if let Ok(said) = serde_json::from_slice(&text) {
            let _ = kill_process_group(child, Signal::KILL);
            let _ = waitpid(Some(child), WaitOptions::empty());
            return End::Said(said);
        }
    };
    if !in_time {
        let _ = kill_process_group(child, Signal::KILL);
        let _ = rustix::process::kill_process(child, Signal::KILL);
    }
    let status = waitpid(Some(child), WaitOptions::empty());
    let _ = kill_process_group(child, Signal::KILL);
    match status {
        _ if !in_time => End::Late,
        Ok(Some((_, status))) => status.terminating_signal().map_or(End::Silent, End::Signal),
        _ => End::Silent,
    }
}

fn readable(reader: impl AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&limit)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready.is_ok_and(|ready| ready > 0),
        }
    }
}

/// The name of a signal that ends a probe.
pub fn signal_name(signal: i32) -> String {
    match signal {
        libc::SIGSYS => "SIGSYS (seccomp)".to_owned(),
        libc::SIGSEGV => "SIGSEGV".to_owned(),
        libc::SIGKILL => "SIGKILL".to_owned(),
        other => format!("signal {other}"),
    }
}
