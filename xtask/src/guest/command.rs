//! The command: started with the host's streams, waited for, and everything it left behind reaped.

use super::ports;
use crate::lab::job::{Job, Size};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, wait};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Runs the job's command and gives its exit status; `started` is called as soon as it runs.
pub fn run(job: &Job, started: impl FnOnce() -> Result<()>) -> Result<u8> {
    let input = ports::open("stdin")?;
    let outputs = [ports::open("stdout")?, ports::open("stderr")?];
    // A session of its own, as a login has; setsid also says what shells say when there is no such program (127).
    let mut command = Command::new("setsid");
    if job.terminal.is_some() {
        command.arg("--ctty");
    }
    command.arg("--").args(&job.argv).current_dir(&job.cwd).env_clear();
    for variable in &job.env {
        let bytes = variable.as_bytes();
        let equals = bytes.iter().position(|&byte| byte == b'=').unwrap_or(bytes.len());
        let (name, value) = bytes.split_at(equals);
        command.env(
            std::ffi::OsStr::from_bytes(name),
            std::ffi::OsStr::from_bytes(value.get(1..).unwrap_or_default()),
        );
    }
    let exited = Arc::new(AtomicBool::new(false));
    let (pid, relays) = match job.terminal {
        Some(size) => on_terminal(command, size, input, outputs, &exited)?,
        None => on_pipes(command, input, outputs, &exited)?,
    };
    started()?;
    let status = reap_until(pid)?;
    exited.store(true, Ordering::Relaxed);
    for relay in relays {
        drop(relay.join());
    }
    Ok(status)
}

type Started = (u32, Vec<JoinHandle<()>>);

fn on_pipes(
    mut command: Command,
    input: File,
    outputs: [File; 2],
    exited: &Arc<AtomicBool>,
) -> Result<Started> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start the command")?;
    let [to_stdout, to_stderr] = outputs;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::spawn(move || copy(input, File::from(OwnedFd::from(stdin.expect("piped")))));
    let relays = vec![
        relay(OwnedFd::from(stdout.expect("piped")), to_stdout, exited),
        relay(OwnedFd::from(stderr.expect("piped")), to_stderr, exited),
    ];
    Ok((child.id(), relays))
}

fn on_terminal(
    mut command: Command,
    size: Size,
    input: File,
    outputs: [File; 2],
    exited: &Arc<AtomicBool>,
) -> Result<Started> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .context("cannot open a terminal")?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let window = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, window)?;
    let path =
        std::path::PathBuf::from(std::ffi::OsStr::from_bytes(ptsname(&master, Vec::new())?.as_bytes()));
    let slave = File::options()
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
    let child = command.spawn().context("cannot start the command")?;
    // Our copies of the slave must go, or its end would never be seen.
    drop(command);
    let [to_stdout, _stderr] = outputs;
    let keys = File::from(master.try_clone()?);
    thread::spawn(move || copy(input, keys));
    Ok((child.id(), vec![relay(master, to_stdout, exited)]))
}

/// As the first process we inherit every orphan; only the command's end matters.
fn reap_until(pid: u32) -> Result<u8> {
    loop {
        let Some((ended, status)) = wait(WaitOptions::empty()).context("cannot wait for the command")? else {
            continue;
        };
        if u32::try_from(ended.as_raw_nonzero().get()) == Ok(pid) {
            let code =
                status.exit_status().or_else(|| status.terminating_signal().map(|signal| signal + 128));
            return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX));
        }
    }
}

/// Copies output until its end; or until it pauses after the command has exited, for a daemon may hold on to it.
fn relay(from: OwnedFd, mut to: File, exited: &Arc<AtomicBool>) -> JoinHandle<()> {
    let exited = Arc::clone(exited);
    let mut from = File::from(from);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            let last = exited.load(Ordering::Relaxed);
            let mut fds = [PollFd::new(&from, PollFlags::IN)];
            match poll(&mut fds, Some(&pause)) {
                Ok(0) if last => return,
                Ok(0) => continue,
                _ => {}
            }
            match from.read(&mut buffer) {
                Ok(length @ 1..) if to.write_all(&buffer[..length]).is_ok() => {}
                _ => return,
            }
        }
    })
}

fn copy(mut from: File, mut to: File) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
