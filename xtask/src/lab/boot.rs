//! One run of the machine, from start to the command's exit status.

use super::channels::{Channels, Listeners};
use super::console::Console;
use super::machine::Machine;
use crate::process::tail;
use anyhow::{Context, Result, anyhow, bail};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How a run ended.
pub struct Outcome {
    /// The command's exit status, 128 + N after signal N.
    pub status: u8,
    /// From the start of QEMU to the start of the command.
    pub boot: Duration,
}

/// Boots the machine and waits for its command. An error means that the lab failed, not the command.
pub fn boot(machine: &Machine, console: &mut Console, timeout: Duration) -> Result<Outcome> {
    let listeners = Listeners::bind(&machine.sockets)?;
    let qemu_log = machine.sockets.join("qemu.log");
    let started = Instant::now();
    let mut qemu = Qemu(start(machine, File::create(&qemu_log)?)?);
    let channels =
        listeners.accept(&mut qemu.0).map_err(|error| anyhow!("{error:#}\n{}", complaints(&qemu_log)))?;
    let outcome = follow(&channels, started, timeout);
    // The guest has no state to save: what it wrote to /lab is on the host before it reports the end.
    drop(qemu);
    channels.drain();
    outcome.map_err(|error| anyhow!("{error:#}\n{}{}", complaints(&qemu_log), console.keep()))
}

/// setpriv: should xtask be killed, QEMU does not stay behind.
fn start(machine: &Machine, log: File) -> Result<Child> {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .args(machine.command_line())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start QEMU through setpriv (util-linux)")
}

/// Reads the guest's messages until the last.
fn follow(channels: &Channels, started: Instant, timeout: Duration) -> Result<Outcome> {
    let mut boot = Duration::ZERO;
    let mut lines = BufReader::new(&channels.control);
    loop {
        let left = timeout.saturating_sub(started.elapsed()).max(Duration::from_millis(1));
        channels.control.set_read_timeout(Some(left))?;
        let mut line = String::new();
        match lines.read_line(&mut line) {
            Ok(0) => {
                bail!("the guest died{}", if boot.is_zero() { " before the command started" } else { "" })
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("not finished after {} s; give it longer with --timeout", timeout.as_secs())
            }
            Err(error) => return Err(error).context("cannot read the guest's messages"),
        }
        match line.trim_end().split_once(' ') {
            Some(("start", _)) => {
                boot = started.elapsed();
                channels.send_input()?;
            }
            Some(("exit", status)) => return Ok(Outcome { status: status.parse()?, boot }),
            Some(("fail", reason)) => bail!("the guest could not make the lab: {reason}"),
            _ => bail!("the guest said {line:?}"),
        }
    }
}

/// What QEMU said, but for its doubts about a switch that leads nowhere.
fn complaints(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.contains("is not connected to host network")).collect();
    if lines.is_empty() { String::new() } else { format!("QEMU: {}\n", tail(&lines.join("\n"), 10)) }
}

/// Ends with its owner.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
