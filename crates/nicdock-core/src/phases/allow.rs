//! Lets a container that runs open the nodes of a NIC, whoever has made it, and takes that back.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::aside::in_host_mounts;
use super::cgroup::{self, Cgroup};
use super::enter::make_nodes;
use super::pins::Pins;
use super::stale::Begin;
use super::{Doing, PhaseError};
use crate::kind::Kind;
use crate::lease::DeviceNode;
use crate::lease::Step;
use crate::request::User;
use nicdock_sys::bpf::{self, Attached, DEVICE_CHAR, Hook, Instruction, op};
use nicdock_sys::child::Child;
use nicdock_sys::netns;
use nicdock_sys::secluded::{Streams, seclude};

/// Lets the group open `nodes`; the names of programs that have to be kept are `pins`.
pub fn allow(group: &Cgroup, nodes: &[DeviceNode], pins: &str, begin: Begin<'_>) -> Result<(), PhaseError> {
    let rules: Vec<String> = nodes.iter().map(DeviceNode::rule).collect();
    match (group.devices(), group.unified()) {
        (Some(folder), _) => {
            allows_the_named(folder)?;
            begin(&Step::Allow { group: folder.to_owned(), rules: rules.clone(), pins: None })?;
            rules.iter().try_for_each(|rule| write(folder, "devices.allow", rule))
        }
        (None, Some(folder)) => {
            let numbers = numbers(&rules);
            begin(&Step::Allow { group: folder.to_owned(), rules, pins: Some(pins.to_owned()) })?;
            in_host_mounts(|| replace(folder, &numbers, &Pins::of(pins)))
        }
        (None, None) => Err(PhaseError::new(
            "finding the container's cgroup",
            io::Error::other("it is in the root of the hierarchy, and the node cannot be opened there"),
        )),
    }
}

/// Makes the group as it was before [`allow`]; as often as it is asked to.
pub fn undo(group: &Path, rules: &[String], pins: Option<&str>) -> Result<(), PhaseError> {
    match pins {
        Some(pins) => in_host_mounts(|| put_back(group, &Pins::of(pins))),
        None => deny(group, rules),
    }
}

/// Takes some of the rules of [`allow`] away; `kept` stay.
pub fn narrow(group: &Path, taken: &[String], kept: &[String], pins: Option<&str>) -> Result<(), PhaseError> {
    match pins {
        Some(pins) => in_host_mounts(|| {
            let pins = Pins::of(pins);
            put_back(group, &pins)?;
            if kept.is_empty() || !group.exists() { Ok(()) } else { replace(group, &numbers(kept), &pins) }
        }),
        None => deny(group, taken),
    }
}

/// On version 1. A group that has gone has taken its rules along.
pub fn deny(group: &Path, rules: &[String]) -> Result<(), PhaseError> {
    match rules.iter().try_for_each(|rule| write(group, "devices.deny", rule)) {
        Err(_) if !group.exists() => Ok(()),
        result => result,
    }
}

/// A group that allows all but what is named forgets a name only if it is given as it was (`dev_exception_rm()`,
/// security/device_cgroup.c): one node of a whole range cannot be allowed there.
fn allows_the_named(folder: &Path) -> Result<(), PhaseError> {
    let path = folder.join("devices.list");
    let what = || format!("allowing a device in {}", folder.display());
    let list = fs::read_to_string(&path).doing(|| format!("reading {}", path.display()))?;
    if !list.lines().any(|line| line.starts_with('a')) {
        return Ok(());
    }
    let error = io::Error::other(
        "it allows every device but those that it, or a group above it, denies, and this is one of them",
    );
    Err(PhaseError::new(what(), error).of_kind(Kind::Unsupported).with_advice(
        "have its engine deny all and allow what is needed, or allow the denied range again (devices.allow)",
    ))
}

fn write(folder: &Path, file: &str, rule: &str) -> Result<(), PhaseError> {
    let path = folder.join(file);
    fs::write(&path, rule).doing(|| format!("writing '{rule}' to {}", path.display())).map_err(|error| {
        error.with_advice("a group above it refuses the device: that is its engine's or systemd's to change")
    })
}

/// The numbers that rules name.
fn numbers(rules: &[String]) -> Vec<(u32, u32)> {
    let number = |rule: &String| {
        let (major, minor) = rule.split_whitespace().nth(1)?.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    rules.iter().filter_map(number).collect()
}

/// Every device program of the group itself gives way to one that allows the nodes and else lets that one decide.
fn replace(folder: &Path, nodes: &[(u32, u32)], pins: &Pins) -> Result<(), PhaseError> {
    let what = || format!("replacing the device programs of {}", folder.display());
    let group = cgroup::open(folder).doing(what)?;
    let there = bpf::device_programs(group.as_fd()).doing(what)?;
    pins.make()?;
    for (number, id) in there.ids.iter().enumerate() {
        let old = bpf::program(*id).doing(what)?;
        let array = bpf::array().doing(what)?;
        bpf::put(&array, &old).doing(what)?;
        let new = bpf::load(Hook::Device, &program(nodes, &array)).doing(what)?;
        pins.keep(&format!("old{number}"), &old)?;
        pins.keep(&format!("array{number}"), &array)?;
        pins.keep(&format!("new{number}"), &new)?;
        bpf::replace(Hook::Device, group.as_fd(), &there, &old, &new).doing(what)?;
    }
    Ok(())
}

fn put_back(folder: &Path, pins: &Pins) -> Result<(), PhaseError> {
    let what = || format!("putting the device programs of {} back", folder.display());
    // A group that has gone has taken its programs along.
    let group = match cgroup::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return pins.remove(),
        group => group.doing(what)?,
    };
    for number in 0.. {
        let Some(old) = pins.get(&format!("old{number}"))? else { break };
        if let Some(new) = pins.get(&format!("new{number}"))? {
            let there = bpf::device_programs(group.as_fd()).doing(what)?;
            unlink(&group, &there, &old, &new).doing(what)?;
        }
    }
    pins.remove()
}

/// Takes `new` out of the chain: off the group, or out of the array of the program that came after it.
fn unlink(group: &OwnedFd, there: &Attached, old: &OwnedFd, new: &OwnedFd) -> io::Result<()> {
    let id = bpf::id(new)?;
    if there.ids.contains(&id) {
        return bpf::replace(Hook::Device, group.as_fd(), there, new, old);
    }
    for array in Pins::arrays().map_err(io::Error::other)? {
        if bpf::held(&array).is_ok_and(|held| held == id) {
            bpf::put(&array, old)?;
        }
    }
    Ok(())
}

fn program(nodes: &[(u32, u32)], array: &OwnedFd) -> Vec<Instruction> {
    let make = Instruction::new;
    let length = i16::try_from(nodes.len() * 4).unwrap_or(i16::MAX);
    let mut program = vec![
        Instruction::keep_context(),
        make(op::LOAD, 0x12, 0, 0),
        make(op::AND, 0x02, 0, 0xffff), // r2 = type
        make(op::LOAD, 0x14, 4, 0),     // r4 = major
        make(op::LOAD, 0x15, 8, 0),     // r5 = minor
        make(op::UNLESS, 0x02, length, DEVICE_CHAR),
    ];
    for (major, minor) in nodes {
        program.push(make(op::UNLESS, 0x04, 3, *major));
        program.push(make(op::UNLESS, 0x05, 2, *minor));
        program.extend(Instruction::answer(true));
    }
    program.extend(Instruction::go_on(array));
    program
}

/// Whether a process in the group, and in the network namespace of process `pid`, can open the node: tried.
pub fn can_open(group: &Cgroup, pid: u32, node: &DeviceNode) -> Result<bool, PhaseError> {
    Ok(first_openable(group, pid, std::slice::from_ref(node))?.is_some())
}

/// The first of the nodes that such a process can open: tried.
pub fn first_openable<'a>(
    group: &Cgroup,
    pid: u32,
    nodes: &'a [DeviceNode],
) -> Result<Option<&'a DeviceNode>, PhaseError> {
    for part in nodes.chunks(MOST) {
        if let Some(number) = openable(group, pid, part)? {
            return Ok(part.get(number));
        }
    }
    Ok(None)
}

fn openable(group: &Cgroup, pid: u32, nodes: &[DeviceNode]) -> Result<Option<usize>, PhaseError> {
    let what = || {
        let name = |node: &DeviceNode| format!("{} ({}:{})", node.name, node.major, node.minor);
        let names: Vec<String> = nodes.iter().map(name).collect();
        format!("opening {} as the container would", names.join(", "))
    };
    let folder = make_nodes("tmpfs", User::default(), nodes)?;
    let attempt = || -> io::Result<i32> {
        seclude(&[folder.as_fd()], Streams::default())?;
        let own = std::process::id().to_string();
        for group in group.devices().into_iter().chain(group.unified()) {
            fs::write(group.join("cgroup.procs"), &own)?;
        }
        netns::enter(netns::of_process(pid)?)?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        for (number, node) in (0..).zip(nodes) {
            match rustix::fs::openat(&folder, node.name.as_str(), flags, Mode::empty()) {
                // The device cgroup's answer (devcgroup_check_permission()).
                Err(rustix::io::Errno::PERM) => {}
                result => return result.map(|_| OPENED + number).map_err(io::Error::from),
            }
        }
        Ok(REFUSED)
    };
    let status = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    match Child::fork(|| attempt().unwrap_or_else(status))
        .and_then(|child| child.wait_at_most(LIMIT))
        .doing(what)?
    {
        Some(REFUSED) => Ok(None),
        Some(status @ OPENED..REFUSED) => Ok(usize::try_from(status - OPENED).ok()),
        Some(errno) => Err(PhaseError::new(what(), io::Error::from_raw_os_error(errno))),
        // A task that moves into a frozen group is frozen itself (cgroup_freezer_migrate_task(), kernel/cgroup/freezer.c).
        None => Err(PhaseError::new(what(), io::Error::from(io::ErrorKind::TimedOut)).with_advice(
            "its control group may be frozen (a container that is paused): let it run, and try again",
        )),
    }
}

/// Opening takes milliseconds; more is a group that stands still.
const LIMIT: Duration = Duration::from_secs(10);

/// Exit statuses that no error of the kernel's has (133 is the highest, include/uapi/asm-generic/errno.h): the first that could be opened, and none.
const OPENED: i32 = 140;
const REFUSED: i32 = 254;
/// So many at once.
const MOST: usize = 100;
