//! The whole life of a container: reserve, prepare, enter, verify, the program, return.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;

use super::executor::{Last, Program};
use super::opened::Opened;
use super::promise::Promise;
use super::relay::{Diverted, Relay};
use super::spec;
use super::staging::Staging;
use super::streams;
use super::supervise::supervise;
use super::watch::Watch;
use super::worker::Worker;
use nicdock_core::audit::Audit;
use nicdock_core::kind::Kind;
use nicdock_core::lease::{DeviceNode, Holder, Journal, Ledger, Lock, ProcessId, STATE, Step};
use nicdock_core::lifecycle::{LaunchError, end};
use nicdock_core::phases::cgroup::{self, Cgroup};
use nicdock_core::phases::enter::remove_nodes;
use nicdock_core::phases::limits;
use nicdock_core::phases::network;
use nicdock_core::phases::rdma_limits::{self, Inside};
use nicdock_core::phases::remember;
use nicdock_core::phases::stale;
use nicdock_core::plan::Plan;
use nicdock_core::request::{Memlock, Root};
use nicdock_core::say::notice;
use nicdock_core::static_program;
use nicdock_sys::closing::Closing;
use nicdock_sys::pidfd::Process;
use nicdock_sys::signals::Signals;
use nicdock_sys::{child, netns, terminal};

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

/// Runs the plan's program; gives its exit status. Whatever happens, the NICs are the host's again afterwards, or the
/// containers' that joined this one.
///
/// `lock` was taken before the plan was made; `opened` is what the plan names on the host. `audit` is run instead of a program of the container's.
pub fn run(
    plan: &Plan,
    opened: Opened,
    ledger: &Ledger,
    lock: Lock,
    audit: Option<Audit>,
    timings: &mut Timings,
) -> Result<i32, LaunchError> {
    if plan.container.root == Root::Unnamed {
        return Err(LaunchError::refused(
            Kind::BadInput,
            "the plan is for NICs alone: it names no root for a program",
        ));
    }
    let audit = audit.map(Rc::new);
    let last = match &audit {
        Some(audit) => Last::Audit(audit.clone()),
        None => Last::Starter(Rc::new(static_program::in_memory(nicdock_starter::NAME)?)),
    };
    child::forget_passed_descriptors()
        .map_err(|e| LaunchError::Inside(format!("closing descriptors: {e}")))?;
    // Else the program would have the caller's supplementary groups: libcontainer sets them where some are asked for only.
    if !Closing::CallersGroups.is_left_open() {
        rustix::thread::set_thread_groups(&[])
            .map_err(|e| LaunchError::Inside(format!("leaving groups: {e}")))?;
    }
    let signals = Signals::block().map_err(|e| LaunchError::Inside(format!("blocking signals: {e}")))?;
    let mut plan = plan.clone();
    if plan.join.is_none() {
        remember::remember(&mut plan.grants)?.iter().for_each(notice);
    }
    let plan = &plan;
    // One that the ledger knows is refused by it.
    if ledger.readable()?.iter().all(|lease| lease.holder(&plan.name).is_none()) {
        cgroup::check(&plan.name)?;
    }
    let (token, host) = match &plan.join {
        None => (ledger.reserve(&lock, plan)?, None),
        Some(other) => ledger.join(&lock, plan, other).map(|(token, host)| (token, Some(host)))?,
    };
    let journal = Journal { ledger, token: &token, grants: &plan.grants };
    drop(lock);
    timings.mark("reserve");
    let mut namespace = None;
    let result = attempt(plan, opened, journal, host.as_ref(), &last, &signals, &mut namespace, timings);
    timings.mark("program");
    let undone = end(journal, namespace.as_ref());
    timings.mark("return");
    match (result, undone) {
        (Ok(status), Ok(())) => Ok(status),
        // As a plain run that is ended early.
        (Err(LaunchError::Signal(signal)), Ok(())) => Ok(128 + signal),
        (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
        (Err(run), Err(undo)) => Err(LaunchError::Twice { run: Box::new(run), undo: Box::new(undo) }),
    }
}

#[expect(clippy::too_many_arguments, reason = "of one caller, and nothing that belongs together")]
fn attempt(
    plan: &Plan,
    opened: Opened,
    journal: Journal<'_>,
    host: Option<&Holder>,
    last: &Last,
    signals: &Signals,
    namespace: &mut Option<OwnedFd>,
    timings: &mut Timings,
) -> Result<i32, LaunchError> {
    let inside = |e: std::io::Error| LaunchError::Inside(e.to_string());
    let copies = opened.into_copies(&plan.container.volumes)?;
    // A mount can be copied in its own mount namespace only.
    let streams_failed =
        |e: std::io::Error| LaunchError::Inside(format!("looking at the standard streams: {e}"));
    let mut input = streams::read_only_input().map_err(streams_failed)?;
    let read = input.as_ref().map(std::fs::File::try_clone).transpose().map_err(streams_failed)?;
    netns::enter_private_mounts()
        .map_err(|e| LaunchError::Inside(format!("making a private mount namespace: {e}")))?;
    journal.begin(&Step::Stage)?;
    let staging = Staging::prepare(plan, copies)?;
    if host.is_none() {
        network::check_identities(&plan.grants)?;
    }
    timings.mark("prepare");
    let mut worker = Worker::start(plan, &staging.prepared, host, journal, signals)?;
    let handle = namespace.insert(netns::of_process(worker.pid()).map_err(inside)?);
    let mut watch = Watch::start(plan, journal.ledger, handle).map_err(inside)?;
    let config = spec::spec(plan, &staging);
    let config_path = staging.folder.join("config.json");
    fs::write(&config_path, config.to_string()).map_err(|e| LaunchError::path(&config_path, e))?;
    let supervisor = Process::open(std::process::id()).map_err(inside)?;
    let console = plan.container.terminal.then(|| staging.folder.join("console.sock"));
    let listener = console.as_ref().map(UnixListener::bind).transpose().map_err(inside)?;
    let builder = ContainerBuilder::new(plan.name.clone(), SyscallType::default())
        .with_executor(Program::new(
            supervisor,
            Promise::of(plan),
            plan.container.workdir.clone(),
            last.clone(),
        ))
        .with_console_socket(console.clone())
        .with_root_path(Path::new(STATE).join("containers"));
    if plan.container.userns {
        inherit_memlock(plan.container.memlock).map_err(inside)?;
    }
    journal.begin(&Step::Create)?;
    let group = Inside::enter(&plan.name)?;
    // The audit is nicdock's own program, and alone there: it shows its progress.
    let diverted = match last {
        Last::Starter(_) if console.is_none() => Some(Diverted::begin(input.take()).map_err(streams_failed)?),
        _ => None,
    };
    // The container inherits the network namespace: from a user namespace of its own it could not enter it.
    let created = netns::within(&*handle, || {
        Ok(builder.and_then(|builder| builder.as_init(&staging.folder).with_systemd(false).build()))
    })
    .map_err(inside)?;
    let piped = diverted.map(Diverted::end).unwrap_or_default();
    drop(group);
    timings.mark("create");
    // Whatever libcontainer says, the worker's own error comes first: without the NIC there is nothing to create.
    worker.network_done(signals)?;
    timings.mark("network");
    let mut container = created.map_err(|e| LaunchError::Container(reasons(&e)))?;
    let init = container
        .pid()
        .map(|pid| pid.as_raw().unsigned_abs())
        .ok_or_else(|| LaunchError::Container("no process".into()))?;
    let process = Process::open(init).map_err(inside)?;
    journal.begin(&Step::Restrict)?;
    let cgroup = Cgroup::of_process(init)?;
    let first = ProcessId::of(init).ok_or_else(|| LaunchError::Container("it has ended".into()))?;
    let given = stale::give(journal, first, |nodes, _| {
        if Closing::DeviceCgroup.is_left_open() { Ok(()) } else { cgroup.restrict_devices(nodes) }
    })?;
    watch.guard(given.clone());
    if plan.container.socket_program && !Closing::SocketProgram.is_left_open() {
        cgroup.restrict_sockets(&plan.container.sockets)?;
    }
    rdma_limits::set(plan, &given, init)?;
    limits::set(plan)?;
    if !Closing::Verify.is_left_open() {
        cgroup.verify(plan.container.socket_program)?;
    }
    journal.begin(&Step::Compose)?;
    let _nodes = Nodes { folder: worker.finish(init, signals)?, given };
    timings.mark("enter and verify");
    let relay = match listener {
        Some(listener) => terminal::receive(&listener).and_then(Relay::of_terminal).map_err(inside)?,
        None => piped,
    };
    cgroup::holds_only(&plan.name, init)?;
    stale::check(journal)?;
    journal.start(handle.as_raw_fd())?;
    if let Some(signal) = signals.next_that_ends().map_err(inside)? {
        return Err(LaunchError::Signal(signal));
    }
    if let Last::Audit(audit) = last {
        audit.tell(plan).map_err(|e| LaunchError::Inside(e.to_string()))?;
    }
    container.start().map_err(|e| LaunchError::Container(reasons(&e)))?;
    timings.mark("start");
    let status = supervise(&process, signals, watch, relay).map_err(inside);
    read.iter().for_each(streams::follow);
    status
}

/// The container's nodes; they go when this does.
struct Nodes {
    folder: Option<OwnedFd>,
    given: Vec<DeviceNode>,
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if Closing::RemovedNodes.is_left_open() {
            return;
        }
        if let Some(Err(error)) = self.folder.as_ref().map(|folder| remove_nodes(folder, &self.given)) {
            notice(format_args!("warning: {error}"));
        }
    }
}

/// A process in a user namespace of its own cannot raise its limits (setrlimit(2): `CAP_SYS_RESOURCE` in the first one).
fn inherit_memlock(memlock: Memlock) -> std::io::Result<()> {
    let limit = memlock.bytes();
    let limit = rustix::process::Rlimit { current: limit, maximum: limit };
    Ok(rustix::process::setrlimit(rustix::process::Resource::Memlock, limit)?)
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
