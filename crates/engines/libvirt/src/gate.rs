//! The gate from the host's side: found, looked at, opened.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::FOLDER;
use nicdock_core::request::Memlock;
use nicdock_sys::pidfd::Process;

#[derive(Debug, thiserror::Error)]
pub enum GateError {
    #[error("libvirt's controller, process {0}, has ended or has no container")]
    NoContainer(u32),
    #[error(
        "the container's first program is {0}, not nicdock's gate: nicdock libvirt edit puts the gate before it (or nicdock was installed anew meanwhile: start it again)"
    )]
    NotGated(String),
    #[error("the gate in the container (process {0}) does not wait: the domain's console says why")]
    NotWaiting(u32),
    #[error(
        "the gate in the container (process {0}) {1}: something has run before it. A root that others can write cannot be given a NIC"
    )]
    NotFirst(u32, String),
    #[error("{FOLDER}/{name}: {0}; nicdock libvirt install puts it there", name = nicdock_gate::NAME)]
    Absent(io::Error),
    #[error("RLIMIT_MEMLOCK of process {0}: {1}")]
    Memlock(u32, io::Error),
    #[error("opening the gate of process {0}: {1}")]
    Open(u32, io::Error),
}

/// libvirtd answers nobody for as long as a hook takes, and virsh waits for 30 seconds (keepalive_interval in libvirtd.conf).
const LIMIT: Duration = Duration::from_secs(15);

/// The first process of a container, that has closed what the gate closes and waits.
pub struct Gate {
    pub pid: u32,
    process: Process,
}

impl Gate {
    /// That of the container of libvirt's controller.
    pub fn of_controller(controller: u32) -> Result<Self, GateError> {
        let gate = fs::metadata(Path::new(FOLDER).join(nicdock_gate::NAME)).map_err(GateError::Absent)?;
        let executes = |pid: u32| fs::metadata(format!("/proc/{pid}/exe"));
        let is = |file: &fs::Metadata, other: &fs::Metadata| {
            (file.dev(), file.ino()) == (other.dev(), other.ino())
        };
        let begin = Instant::now();
        loop {
            let found = first_process(controller).and_then(|pid| Some((pid, Process::open(pid).ok()?)));
            let Some((pid, process)) = found else { return Err(GateError::NoContainer(controller)) };
            let (Ok(own), Ok(controllers)) = (executes(pid), executes(controller)) else {
                return Err(GateError::NoContainer(controller));
            };
            if is(&own, &gate) {
                if waits(pid) {
                    return Ok(Self { pid, process });
                }
            } else if !is(&own, &controllers) {
                let path = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
                return Err(GateError::NotGated(path.display().to_string()));
            }
            if begin.elapsed() > LIMIT {
                return Err(GateError::NotWaiting(pid));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Nothing has run in the container before the gate, as far as that can be seen: it has no other process, and the gate holds nothing but its console.
    pub fn is_first(&self) -> Result<(), GateError> {
        let not = |what: String| GateError::NotFirst(self.pid, what);
        if !children(self.pid).is_empty() {
            return Err(not("has children".to_owned()));
        }
        let folder = format!("/proc/{}/fd", self.pid);
        for entry in fs::read_dir(&folder)
            .map_err(|error| not(format!("has descriptors that cannot be listed ({error})")))?
            .flatten()
        {
            let console = fs::metadata(entry.path()).is_ok_and(|file| is_console(&file));
            if !console {
                let what = fs::read_link(entry.path()).unwrap_or_default();
                return Err(not(format!("holds {}", what.display())));
            }
        }
        Ok(())
    }

    /// Sets the limit that its processes inherit.
    pub fn limit(&self, memlock: Memlock) -> Result<(), GateError> {
        let bytes = match memlock {
            Memlock::Unlimited => None,
            Memlock::Bytes(bytes) => Some(bytes),
        };
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let limit = Rlimit { current: bytes, maximum: bytes };
        rustix::process::prlimit(pid, Resource::Memlock, limit)
            .map(drop)
            .map_err(|error| GateError::Memlock(self.pid, error.into()))
    }

    /// The container's own program starts, if the gate still waits.
    pub fn open(&self) -> Result<(), GateError> {
        if !waits(self.pid) {
            return Err(GateError::NotWaiting(self.pid));
        }
        self.process.signal(Signal::USR1).map_err(|error| GateError::Open(self.pid, error))
    }
}

/// The first process of the container of a controller: its child that is the first one of a process namespace.
pub fn first_process(controller: u32) -> Option<u32> {
    children(controller).into_iter().find(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        is_first_of_namespace(&status)
    })
}

fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// By `NSpid` of proc_pid_status(5), which has a number for each namespace that the process is in.
fn is_first_of_namespace(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_whitespace().skip(1).last() == Some("1")
}

/// A pseudo-terminal (`UNIX98_PTY_SLAVE_MAJOR`, include/uapi/linux/major.h) or /dev/null.
fn is_console(file: &fs::Metadata) -> bool {
    let number = file.rdev();
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    file.file_type().is_char_device() && ((136..144).contains(&major) || (major, minor) == (1, 3))
}

/// It has closed everything else before it gives the signal a handler; a program that it became has none.
fn waits(pid: u32) -> bool {
    catches(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default())
}

fn catches(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    caught >> (nicdock_gate::OPENS - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_of_a_namespace_has_number_1_in_the_last_one_only() {
        assert!(is_first_of_namespace("Pid:\t7\nNSpid:\t7\t1\n"));
        assert!(is_first_of_namespace("NSpid:\t7\t9\t1\n"));
        for other in ["NSpid:\t1\n", "NSpid:\t7\t2\n", "NSpid:\t7\t1\t2\n", ""] {
            assert!(!is_first_of_namespace(other), "{other}");
        }
    }

    #[test]
    fn a_gate_waits_when_it_has_a_handler() {
        assert!(catches("SigCgt:\t0000000000000200\n"));
        assert!(!catches("SigCgt:\t0000000000000100\n") && !catches("SigCgt:\tx\n") && !catches(""));
    }

    #[test]
    fn null_is_a_console_and_memory_is_none() {
        assert!(is_console(&fs::metadata("/dev/null").unwrap()));
        assert!(!is_console(&fs::metadata("/dev/zero").unwrap()) && !is_console(&fs::metadata("/").unwrap()));
    }
}
