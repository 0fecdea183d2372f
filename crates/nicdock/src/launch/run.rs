//! The whole life of a container: reserve, prepare, enter, verify, the program, return.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Instant;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;

use super::executor::Program;
use super::staging::Staging;
use super::supervise::supervise;
use super::worker::Worker;
use super::{LaunchError, spec, staging};
use crate::kernel::pidfd::Process;
use crate::kernel::signals::Signals;
use crate::kernel::{netns, terminal};
use crate::lease::{Lease, Ledger, STATE};
use crate::phases::cgroup::{self, Cgroup};
use crate::phases::devices::given_nodes;
use crate::phases::give_back::give_back;
use crate::plan::Plan;

/// How long each phase took.
pub struct Timings {
    begin: Instant,
    pub marks: Vec<(&'static str, f64)>,
}

impl Timings {
    pub fn start() -> Self {
        Self { begin: Instant::now(), marks: Vec::new() }
    }

    /// Milliseconds since the last mark, under `name`.
    pub fn mark(&mut self, name: &'static str) {
        self.marks.push((name, self.begin.elapsed().as_secs_f64() * 1e3));
        self.begin = Instant::now();
    }
}

/// Runs the plan's program; gives its exit status. Whatever happens, the NICs are the host's again afterwards.
pub fn run(plan: &Plan, ledger: &Ledger, timings: &mut Timings) -> Result<i32, LaunchError> {
    let signals = Signals::block().map_err(|e| LaunchError::Inside(format!("blocking signals: {e}")))?;
    let mut leases = {
        let lock = ledger.lock()?;
        ledger.reserve(&lock, plan)?
    };
    timings.mark("reserve");
    let mut namespace = None;
    let result = attempt(plan, ledger, &mut leases, &signals, &mut namespace, timings);
    timings.mark("program");
    let undone = undo(&plan.name, ledger, &leases, namespace.as_ref());
    timings.mark("return");
    match (result, undone) {
        (Ok(status), Ok(())) => Ok(status),
        (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
        (Err(run), Err(undo)) => Err(LaunchError::Twice { run: Box::new(run), undo: Box::new(undo) }),
    }
}

fn attempt(
    plan: &Plan,
    ledger: &Ledger,
    leases: &mut [Lease],
    signals: &Signals,
    namespace: &mut Option<OwnedFd>,
    timings: &mut Timings,
) -> Result<i32, LaunchError> {
    let inside = |e: std::io::Error| LaunchError::Inside(e.to_string());
    netns::enter_private_mounts()
        .map_err(|e| LaunchError::Inside(format!("making a private mount namespace: {e}")))?;
    let staging = Staging::prepare(plan)?;
    ledger.journal(leases, "enter")?;
    timings.mark("prepare");
    let mut worker = Worker::start(plan)?;
    let handle = namespace.insert(netns::of_process(worker.pid()).map_err(inside)?);
    let netns_path = format!("/proc/{}/fd/{}", std::process::id(), handle.as_raw_fd());
    let config = spec::spec(plan, &staging, &netns_path);
    let config_path = staging.folder.join("config.json");
    fs::write(&config_path, config.to_string()).map_err(|e| LaunchError::path(&config_path, e))?;
    let supervisor = Process::open(std::process::id()).map_err(inside)?;
    let console = plan.container.terminal.then(|| staging.folder.join("console.sock"));
    let listener = console.as_ref().map(UnixListener::bind).transpose().map_err(inside)?;
    let created = ContainerBuilder::new(plan.name.clone(), SyscallType::default())
        .with_executor(Program::new(supervisor))
        .with_console_socket(console)
        .with_root_path(Path::new(STATE).join("containers"))
        .and_then(|builder| builder.as_init(&staging.folder).with_systemd(false).build());
    timings.mark("create");
    // Whatever libcontainer says, the worker's own error comes first: without the NIC there is nothing to create.
    worker.network_done()?;
    timings.mark("network");
    let mut container = created.map_err(|e| LaunchError::Container(reasons(&e)))?;
    let init = container
        .pid()
        .map(|pid| pid.as_raw().unsigned_abs())
        .ok_or_else(|| LaunchError::Container("no process".into()))?;
    let process = Process::open(init).map_err(inside)?;
    Cgroup::of_process(init)?.restrict_devices(&given_nodes(&plan.grants)?)?;
    worker.finish(init)?;
    timings.mark("enter and verify");
    let console = listener.map(|l| terminal::receive(&l)).transpose().map_err(inside)?;
    ledger.journal(leases, "start")?;
    container.start().map_err(|e| LaunchError::Container(reasons(&e)))?;
    timings.mark("start");
    supervise(&process, signals, console).map_err(inside)
}

/// Ends what is left of the container and gives everything back.
fn undo(
    name: &str,
    ledger: &Ledger,
    leases: &[Lease],
    namespace: Option<&OwnedFd>,
) -> Result<(), LaunchError> {
    cgroup::end(name)?;
    let mut first = None;
    for lease in leases {
        let given = give_back(&lease.grant, namespace).map_err(LaunchError::from);
        if let Err(error) = given.and_then(|()| ledger.free(lease).map_err(LaunchError::from)) {
            first.get_or_insert(error);
        }
    }
    let removed = staging::remove(name);
    let _ = fs::remove_dir_all(Path::new(STATE).join("containers").join(name));
    first.map_or(removed, Err)
}

/// Gives back what a supervisor that was killed could not: its container is ended first.
pub fn recover(ledger: &Ledger) -> Result<Vec<String>, LaunchError> {
    if ledger.read()?.iter().all(Lease::is_live) {
        return Ok(Vec::new());
    }
    let _lock = ledger.lock()?;
    let mut returned = Vec::new();
    for lease in ledger.read()?.into_iter().filter(|lease| !lease.is_live()) {
        undo(&lease.container, ledger, std::slice::from_ref(&lease), None)?;
        returned.push(format!("{} of container {}", lease.grant.nic.name, lease.container));
    }
    Ok(returned)
}

/// An error with its causes, as one line.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}
