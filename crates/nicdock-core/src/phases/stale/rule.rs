//! Takes rules of the device cgroup from a container that runs.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::Gone;
use crate::lease::DeviceNode;
use crate::lease::{Lease, Step};
use crate::phases::{Doing, PhaseError, allow, cgroup};
use nicdock_sys::bpf::{self, DEVICE_CHAR, Hook, Instruction, op};

/// After this the container can open none of the nodes, whatever device has the number. Those that were allowed to a container that ran
/// already are taken out of the lease's step, too: undoing it must not deny what has been allowed anew since.
pub fn take(lease: &mut Lease, gone: &Gone) -> Result<(), PhaseError> {
    for step in lease.steps_mut() {
        if let Step::Narrow { groups } = step
            && gone.group.is_some()
        {
            groups.iter().try_for_each(|folder| refuse_in(folder, &gone.nodes))?;
        }
        if let Step::Allow { group, rules, pins } = step {
            let is_gone = |rule: &String| gone.nodes.iter().any(|node| node.rule() == *rule);
            let (taken, kept): (Vec<String>, Vec<String>) = rules.iter().cloned().partition(is_gone);
            if !taken.is_empty() {
                allow::narrow(group, &taken, &kept, pins.as_deref())?;
            }
            *rules = kept;
        }
    }
    if gone.is_launched { refuse(&gone.container, &gone.nodes) } else { Ok(()) }
}

/// In one of a job's groups.
fn refuse_in(folder: &Path, nodes: &[DeviceNode]) -> Result<(), PhaseError> {
    if folder.join("devices.deny").exists() {
        let rules: Vec<String> = nodes.iter().map(DeviceNode::rule).collect();
        return allow::deny(folder, &rules);
    }
    attach(folder, nodes)
}

/// In the group that nicdock's launcher made.
pub fn refuse(container: &str, nodes: &[DeviceNode]) -> Result<(), PhaseError> {
    let root = Path::new("/sys/fs/cgroup");
    let (version_1, hybrid) = (root.join("devices"), root.join("unified"));
    if cgroup::is_unified() {
        attach(&cgroup::below(root, container), nodes)
    } else if version_1.exists() {
        let rules: Vec<String> = nodes.iter().map(DeviceNode::rule).collect();
        allow::deny(&cgroup::below(&version_1, container), &rules)
    } else {
        attach(&cgroup::below(&hybrid, container), nodes)
    }
}

/// Every program on a group has to agree, so one more can only narrow (`__cgroup_bpf_check_dev_permission()`).
fn attach(folder: &Path, nodes: &[DeviceNode]) -> Result<(), PhaseError> {
    let what = || format!("refusing devices that have gone in {}", folder.display());
    let group = match cgroup::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        group => group.doing(what)?,
    };
    let program = bpf::load(Hook::Device, &program(nodes)).doing(what)?;
    match bpf::attach(Hook::Device, group.as_fd(), &program) {
        // It was removed since.
        Err(_) if !fs::exists(folder).unwrap_or(true) => Ok(()),
        result => result.doing(what),
    }
}

/// Over `struct bpf_cgroup_dev_ctx`: refuses these character devices and has no say in the others.
fn program(nodes: &[DeviceNode]) -> Vec<Instruction> {
    let make = Instruction::new;
    let mut program = vec![
        make(op::LOAD, 0x12, 0, 0),
        make(op::AND, 0x02, 0, 0xffff), // r2 = type
        make(op::LOAD, 0x14, 4, 0),     // r4 = major
        make(op::LOAD, 0x15, 8, 0),     // r5 = minor
        make(op::IF, 0x02, 2, DEVICE_CHAR),
    ];
    program.extend(Instruction::answer(true));
    for node in nodes {
        program.push(make(op::UNLESS, 0x04, 3, node.major));
        program.push(make(op::UNLESS, 0x05, 2, node.minor));
        program.extend(Instruction::answer(false));
    }
    program.extend(Instruction::answer(true));
    program
}
