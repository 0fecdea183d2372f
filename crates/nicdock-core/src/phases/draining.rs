//! Who can still reach a NIC that has come back: a descriptor can be passed out of a container, and the device cgroup looks at
//! opening only.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nicdock_host::model::InUse;
use nicdock_sys::processes::{self, command};
use nicdock_sys::tables::descriptors;
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use super::devices::{called_now, every_node, given_nodes, present};
use crate::lease::{DeviceNode, Draining, Lease, ProcessId, Step};
use crate::plan::Grant;
use nicdock_sys::closing::Closing;
use nicdock_sys::tables;

/// How long processes that were just ended may take to close what they had.
const CLOSING: Duration = Duration::from_secs(1);

/// Those that reach the NIC's RDMA devices and are no nicdock's; waits for processes that are ending.
pub fn of(lease: &Lease) -> Vec<Draining> {
    let begin = Instant::now();
    loop {
        let found = now(lease);
        if found.is_empty() || begin.elapsed() > CLOSING {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The same as it is at this moment.
pub fn now(lease: &Lease) -> Vec<Draining> {
    let grant = &lease.grant;
    // Nodes that are not there any more have nobody who could use them. Those that were given are known by more than their device's name, which
    // may be another one by now.
    let there = present().unwrap_or_default();
    let mut nodes: Vec<DeviceNode> = given_nodes(std::slice::from_ref(grant)).unwrap_or_default();
    let known = lease.steps().filter(|_| !Closing::RenamedDevices.is_left_open());
    for given in known.flat_map(Step::nodes_given) {
        if there.contains(&given.identity) && nodes.iter().all(|node| node.identity != given.identity) {
            nodes.push(given.clone());
        }
    }
    let nodes: Vec<&DeviceNode> = nodes.iter().filter(|node| node.name != "rdma_cm").collect();
    if nodes.is_empty() {
        return Vec::new();
    }
    // The host's own, which had it open when it was taken nevertheless (`--take-in-use`).
    let host: Vec<u32> = grant.nic.in_use.iter().filter_map(opener).collect();
    let (hosts, found): (Vec<_>, Vec<_>) = processes(&nodes)
        .into_iter()
        .partition(|one| matches!(one, Draining::Process { process, .. } if host.contains(&process.pid)));
    if found.is_empty() && hosts.is_empty() { contexts(grant, &nodes) } else { found }
}

fn opener(sign: &InUse) -> Option<u32> {
    match sign {
        InUse::OpenNode { pid, .. } => Some(*pid),
        _ => None,
    }
}

/// The host's own that had the NIC open when it was taken nevertheless, and live.
pub fn host(grant: &Grant) -> Vec<Draining> {
    let open = grant.nic.in_use.iter().filter_map(|sign| match sign {
        // One of another NIC's that this one has a port of is no business of its.
        InUse::OpenNode { node, pid, command } if grant.nic.nodes().any(|own| own.path == *node) => {
            let (node, command) = (node.clone(), command.clone());
            Some(Draining::Process { process: ProcessId::of(*pid)?, command, node })
        }
        _ => None,
    });
    open.collect()
}

/// Those that have a node open whose device has gone, or is about to go. A number that is another device's by now tells nothing.
pub fn holders(nodes: &[DeviceNode]) -> Vec<Draining> {
    let there = every_node().unwrap_or_default();
    let is_anothers = |node: &&DeviceNode| {
        there.iter().any(|other| {
            (other.major, other.minor, other.identity != node.identity) == (node.major, node.minor, true)
        })
    };
    let nodes: Vec<&DeviceNode> = nodes.iter().filter(|node| !is_anothers(node)).collect();
    if nodes.is_empty() { Vec::new() } else { processes(&nodes) }
}

/// Those that have one of these nodes open, by its number.
fn processes(nodes: &[&DeviceNode]) -> Vec<Draining> {
    let pids = processes::all().into_iter().flatten();
    pids.filter(|pid| *pid != std::process::id()).filter_map(|pid| process(pid, nodes)).collect()
}

fn process(pid: u32, nodes: &[&DeviceNode]) -> Option<Draining> {
    let threads = tables::threads(pid).ok()?;
    let node = threads
        .flat_map(|thread| descriptors(pid, thread).into_iter().flatten())
        .filter_map(|path| number(&path))
        .find_map(|number| nodes.iter().find(|node| (node.major, node.minor) == number))?;
    Some(Draining::Process {
        process: ProcessId::of(pid)?,
        command: command(pid),
        node: format!("/dev/infiniband/{}", node.name),
    })
}

/// The number of the character device behind a descriptor, whatever path it was opened by. Nothing is asked of a file system that
/// may not answer.
fn number(descriptor: &Path) -> Option<(u32, u32)> {
    let target = fs::read_link(descriptor).ok()?;
    if !target.has_root() {
        return None; // A socket, a pipe or the like.
    }
    let file = rustix::fs::open(descriptor, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let status = rustix::fs::statx(file.as_fd(), "", flags, StatxFlags::TYPE).ok()?;
    let kind = rustix::fs::FileType::from_raw_mode(status.stx_mode.into());
    (kind == rustix::fs::FileType::CharacterDevice).then_some((status.stx_rdev_major, status.stx_rdev_minor))
}

/// A descriptor that is on its way in a socket is no process's; the kernel still counts its context.
fn contexts(grant: &Grant, nodes: &[&DeviceNode]) -> Vec<Draining> {
    let called = called_now().unwrap_or_default();
    let called: BTreeSet<&String> = nodes.iter().filter_map(|node| called.get(&node.identity)).collect();
    let Ok(socket) = nicdock_netlink::rdma::Socket::open() else { return Vec::new() };
    let devices = socket.devices().unwrap_or_default();
    // Another one may have the old name by now.
    let is_given = |name: &String| {
        let has_it = grant.rdma.iter().any(|rdma| rdma.device.name == *name);
        called.contains(name) || called.is_empty() && has_it
    };
    let given = devices.iter().filter(|device| is_given(&device.name));
    given
        .filter_map(|device| {
            let count = socket.contexts(device.index).ok().flatten().filter(|count| *count > 0)?;
            Some(Draining::Contexts { device: device.name.clone(), count })
        })
        .collect()
}
