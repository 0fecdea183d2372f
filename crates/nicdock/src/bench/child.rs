//! Runs a script on the host or in a container as a child process, and ends it without leaving anything behind.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};

use nicdock_sys::memfd;
use nicdock_sys::signals::Signals;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How waiting ended.
pub enum Ended {
    /// Its output has the word that was waited for.
    Said,
    /// With success, or without.
    Exited(bool),
    /// Somebody asked this program to end.
    Signal(i32),
    TimedOut,
}

/// How often a child is looked at: rarely, since it measures.
const PAUSE: Duration = Duration::from_millis(50);

/// What a container may take to end and give its NIC back.
const FAREWELL: Duration = Duration::from_secs(60);

/// A child in a process group of its own: a terminal's Ctrl-C comes to us alone, and we end it in order.
///
/// What it prints goes to files in memory: a pipe would have to be emptied while it measures.
pub struct Child {
    process: RefCell<process::Child>,
    is_container: bool,
    stdout: File,
    stderr: File,
}

impl Child {
    pub fn on_host(script: &str) -> io::Result<Self> {
        Self::start("KILL", &["sh", "-c", script], false)
    }

    /// `nicdock run`, over the host's root. It must be this nicdock, whatever is in PATH.
    pub fn in_container(nic: &str, address: Option<&str>, script: &str) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let own = own.to_string_lossy();
        let mut words = vec![&*own, "run", "--nic", nic, "--host-root"];
        words.extend(address.iter().flat_map(|address| ["--ip", address]));
        words.extend(["--", "sh", "-c", script]);
        Self::start("TERM", &words, true)
    }

    /// setpriv: should this program be killed, the kernel ends the child (prctl(2), `PR_SET_PDEATHSIG`), and `nicdock run` gives its NIC back.
    fn start(with_us: &str, words: &[&str], is_container: bool) -> io::Result<Self> {
        let stdout = File::from(memfd::open("bench-output")?);
        let stderr = File::from(memfd::open("bench-errors")?);
        let process = Command::new("setpriv")
            .args(["--pdeathsig", with_us, "--"])
            .args(words)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .process_group(0)
            .spawn()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("cannot start setpriv (util-linux): {error}"))
            })?;
        Ok(Self { process: RefCell::new(process), is_container, stdout, stderr })
    }

    /// Waits until its output has this line.
    pub fn says(&self, word: &str, signals: &Signals, patience: Duration) -> io::Result<Ended> {
        self.look(signals, patience, || Ok(self.output()?.lines().any(|line| line == word)))
    }

    /// Waits until it ends, or, as [`Ended::Said`], until the server that it talks to has failed.
    pub fn wait(&self, server: &Self, signals: &Signals, patience: Duration) -> io::Result<Ended> {
        let has_failed = || {
            let ended = server.process.borrow_mut().try_wait()?;
            Ok(ended.is_some_and(|status| !status.success()))
        };
        self.look(signals, patience, has_failed)
    }

    fn look(
        &self,
        signals: &Signals,
        patience: Duration,
        said: impl Fn() -> io::Result<bool>,
    ) -> io::Result<Ended> {
        let begin = Instant::now();
        loop {
            if let Some(signal) = signals.next_that_ends()? {
                return Ok(Ended::Signal(signal));
            }
            if said()? {
                return Ok(Ended::Said);
            }
            if let Some(status) = self.process.borrow_mut().try_wait()? {
                return Ok(Ended::Exited(status.success()));
            }
            if begin.elapsed() > patience {
                return Ok(Ended::TimedOut);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends it, and waits until it has. A container is asked to, so that it gives its NIC back.
    pub fn stop(&self) -> io::Result<()> {
        let mut process = self.process.borrow_mut();
        if process.try_wait()?.is_some() {
            return Ok(());
        }
        let Some(pid) = Pid::from_raw(process.id().cast_signed()) else { return Ok(()) };
        if self.is_container {
            kill_process(pid, Signal::TERM)?;
            let begin = Instant::now();
            while begin.elapsed() < FAREWELL {
                if process.try_wait()?.is_some() {
                    return Ok(());
                }
                std::thread::sleep(PAUSE);
            }
            let why = format!("nicdock run (process {}) does not end; see nicdock leases", process.id());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        kill_process_group(pid, Signal::KILL)?;
        process.wait().map(drop)
    }

    pub fn output(&self) -> io::Result<String> {
        text(&self.stdout)
    }

    /// What it wrote to standard error, in one line.
    pub fn complaint(&self) -> String {
        let text = text(&self.stderr).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join(" / ")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// All of a file, wherever its shared offset is.
fn text(file: &File) -> io::Result<String> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
