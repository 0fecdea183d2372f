//! The gate from the host's side: found, looked at, opened.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::FOLDER;
use crate::kernel::pidfd::Process;
use crate::request::Memlock;

#[derive(Debug, thiserror::Error)]
pub enum GateError {
    #[error("libvirt's controller, process {0}, has ended or has no container")]
    NoContainer(u32),
    #[error(
        "the container's first program is {0}, not nicdock's gate: nicdock libvirt edit puts the gate before it"
    )]
    NotGated(String),
    #[error("the gate in the container (process {0}) does not wait: the domain's console says why")]
    NotWaiting(u32),
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

    /// The container's own program starts.
    pub fn open(&self) -> Result<(), GateError> {
        self.process.signal(Signal::USR1).map_err(|error| GateError::Open(self.pid, error))
    }
}

/// The first process of the container of a controller: its child that is the first one of a process namespace.
pub fn first_process(controller: u32) -> Option<u32> {
    let threads = fs::read_dir(format!("/proc/{controller}/task")).ok()?.flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().find(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        line.split_whitespace().skip(1).last() == Some("1")
    })
}

/// It has closed everything else before it gives the signal a handler.
fn waits(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    caught >> (nicdock_gate::OPENS - 1) & 1 == 1
}
