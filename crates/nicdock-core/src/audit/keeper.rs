//! The process on the host that makes the container stand still, puts the audit there, and ends it before the container goes on.

use std::io::{PipeWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};

use super::Audit;
use super::place::{Entering, enter};
use super::standstill::{Standstill, has_ended, processes, session};
use nicdock_sys::child::Child;
use nicdock_sys::closing::Closing;
use nicdock_sys::pidfd::Process;
use nicdock_sys::place::fork_and_wait;
use nicdock_sys::secluded::Streams;

/// How often is looked whether something has come into the container.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// What was killed may take so long to end.
const ENDING: Duration = Duration::from_secs(2);

/// What it needs of its parent.
pub struct Task<'a> {
    pub process: &'a Process,
    pub pid: u32,
    pub audit: &'a Audit,
    pub arguments: &'a [String],
    /// Standard output and error of the audit.
    pub report: &'a PipeWriter,
    pub errors: &'a PipeWriter,
}

/// Runs in a child of nicdock's, with whose end the container goes on, whatever ends it. Says `ended STATUS` or `error REASON`, and returns when the
/// audit has ended, or `stream` has been closed at the other end.
pub fn keep(task: &Task<'_>, stream: &UnixStream) -> i32 {
    let (line, status) = match work(task, stream) {
        Ok(status) => (format!("ended {status}\n"), 0),
        Err(reason) => (format!("error {}\n", reason.replace('\n', " ")), 1),
    };
    let _ = (&*stream).write_all(line.as_bytes());
    status
}

fn work(task: &Task<'_>, stream: &UnixStream) -> Result<i32, String> {
    let mut still = Standstill::begin(task.pid)?;
    let entering = Entering::of(task.pid)?;
    // All that was found by number is the process's still.
    if task.process.has_ended() {
        return Err(format!("process {} has ended", task.pid));
    }
    let keeper = std::process::id();
    let mut child =
        Child::fork(|| inside(task, &entering, keeper)).map_err(|error| format!("fork: {error}"))?;
    let pid = child.pid();
    // Without a session of its own, in a test, it is of nicdock's.
    let session_of = if Closing::AuditDescriptors.is_left_open() {
        session(keeper).map(|(session, _)| session)
    } else {
        Some(pid)
    };
    still.spare_session(session_of.unwrap_or(pid));
    let process = Process::open(pid).map_err(|error| format!("the audit's process: {error}"))?;
    let result = watch(&process, stream, &mut still);
    // Before the container goes on. The first one keeps its number until it is waited for, so nobody else has it as a session.
    let end = end_session(pid);
    let status = child.wait().map_err(|error| format!("waiting for the audit: {error}"))?;
    result.and(end).map(|()| status)
}

/// Until the audit has ended.
fn watch(process: &Process, stream: &UnixStream, still: &mut Standstill) -> Result<(), String> {
    loop {
        let handle = process.handle();
        let mut sources = [PollFd::new(&handle, PollFlags::IN), PollFd::new(stream, PollFlags::IN)];
        match poll(&mut sources, Some(&LOOK)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(format!("poll: {errno}")),
        }
        if !sources[0].revents().is_empty() {
            // Once more, for what has come at the last moment.
            return still.look();
        }
        if !sources[1].revents().is_empty() {
            return Err("it took too long".to_owned());
        }
        still.look()?;
    }
}

/// Kills every process of the audit's, also those that its probes have left behind.
fn end_session(session_of: u32) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        let is_theirs =
            |pid: &u32| session(*pid).is_some_and(|(found, _)| found == session_of) && !has_ended(*pid);
        let left: Vec<u32> = processes()?.into_iter().filter(is_theirs).collect();
        if left.is_empty() {
            return Ok(());
        }
        for pid in &left {
            let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::KILL));
        }
        if begin.elapsed() > ENDING {
            return Err(format!("process {} of the audit does not end", left[0]));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// In the process that becomes the audit.
fn inside(task: &Task<'_>, entering: &Entering, keeper: u32) -> i32 {
    let streams = Streams { output: Some(task.report.as_fd()), errors: Some(task.errors.as_fd()) };
    let attempt = |keeper| match enter(entering, task.audit, task.arguments, streams, keeper) {
        Ok(never) => match never {},
        Err(reason) => {
            // By now this is the pipe, unless just that has failed.
            let _ = writeln!(std::io::stderr(), "{reason}");
            125
        }
    };
    if Closing::AuditOrder.is_left_open() {
        let entered = entering.place.enter_pid_namespace();
        return entered.and_then(|()| fork_and_wait(|| attempt(0))).unwrap_or(125);
    }
    attempt(keeper)
}
