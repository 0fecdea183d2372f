//! Keeps a job's processes from every RDMA device but their own. Their scheduler decides what else they may open (GPUs, FUSE), so nothing else is refused here.
//!
//! On version 2 of cgroups one more program on a group can only narrow (`__cgroup_bpf_check_dev_permission()`). On version 1 what a group denies holds for
//! those below it (`propagate_exception()`, security/device_cgroup.c); but a group that allows all else cannot allow one number of a range that it denies
//! (`dev_exception_rm()`), so the numbers are denied one by one.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::cgroup::{self, Cgroup};
use super::{Doing, PhaseError};
use crate::kind::Kind;
use crate::lease::{DeviceNode, Journal, Step};
use nicdock_sys::bpf::{self, DEVICE_CHAR, Hook, Instruction, op};

/// `IB_UVERBS_MAJOR`, `IB_UMAD_MAJOR` (drivers/infiniband/core): all nodes of the first devices have it, at fixed places (Documentation/admin-guide/devices.txt).
const INFINIBAND: u32 = 231;
/// Minor numbers that a major number's nodes have at most (`IB_UVERBS_MAX_DEVICES`, `IB_UMAD_MAX_PORTS`, below the 256 of the fixed one).
const MINORS: u32 = 1024;
/// Devices beyond those have a major number that the kernel chooses (`alloc_chrdev_region()`), by these names in /proc/devices.
const DYNAMIC: [&str; 3] = ["infiniband_verbs", "infiniband_mad", "infiniband_ib_issm"];

/// Narrows these groups to `own`.
pub fn narrow(groups: &[Cgroup], own: &[DeviceNode], journal: Journal<'_>) -> Result<(), PhaseError> {
    let folders = groups.iter().filter_map(|group| group.devices().or_else(|| group.unified()));
    journal.begin(&Step::Narrow { groups: folders.map(Path::to_owned).collect() })?;
    let rdma_cm = super::devices::rdma_cm()?;
    let others: Vec<(u32, u32)> = rdma_cm
        .iter()
        .filter(|node| own.iter().all(|given| given.name != node.name))
        .map(|node| (node.major, node.minor))
        .collect();
    let majors = majors()?;
    for group in groups {
        match (group.devices(), group.unified()) {
            (Some(folder), _) => deny(folder, &majors, own, &others)?,
            (None, Some(folder)) => attach(folder, &majors, own, &others)?,
            (None, None) => {
                let error = io::Error::from(io::ErrorKind::NotFound);
                return Err(
                    PhaseError::new("finding the job's control group", error).of_kind(Kind::NotClosed)
                );
            }
        }
    }
    Ok(())
}

fn majors() -> Result<Vec<u32>, PhaseError> {
    let text = fs::read_to_string("/proc/devices").doing(|| "reading /proc/devices".into())?;
    let characters = text.split("Block devices").next().unwrap_or_default();
    let named = characters.lines().filter_map(|line| {
        let (number, name) = line.trim().split_once(' ')?;
        DYNAMIC.contains(&name).then(|| number.parse().ok()).flatten()
    });
    let mut majors: Vec<u32> = std::iter::once(INFINIBAND).chain(named).collect();
    majors.sort_unstable();
    majors.dedup();
    Ok(majors)
}

fn deny(folder: &Path, majors: &[u32], own: &[DeviceNode], others: &[(u32, u32)]) -> Result<(), PhaseError> {
    let path = folder.join("devices.deny");
    let is_own = |number: (u32, u32)| own.iter().any(|node| (node.major, node.minor) == number);
    let mut denied: Vec<String> = Vec::new();
    for major in majors {
        if own.iter().any(|node| node.major == *major) {
            let minors = 0..if *major == INFINIBAND { 256 } else { MINORS };
            denied.extend(
                minors.filter(|minor| !is_own((*major, *minor))).map(|minor| format!("{major}:{minor}")),
            );
        } else {
            denied.push(format!("{major}:*"));
        }
    }
    denied.extend(others.iter().map(|(major, minor)| format!("{major}:{minor}")));
    for numbers in denied {
        let rule = format!("c {numbers} rwm");
        fs::write(&path, &rule).doing(|| format!("writing '{rule}' to {}", path.display()))?;
    }
    Ok(())
}

fn attach(
    folder: &Path,
    majors: &[u32],
    own: &[DeviceNode],
    others: &[(u32, u32)],
) -> Result<(), PhaseError> {
    let what = || format!("refusing others' RDMA devices in {}", folder.display());
    let group = cgroup::open(folder).doing(what)?;
    let program = bpf::load(Hook::Device, &program(majors, own, others)).doing(what)?;
    bpf::attach(Hook::Device, group.as_fd(), &program).doing(what)
}

/// Over `struct bpf_cgroup_dev_ctx`: allows `own`, refuses the rest of `majors` and `others`, and has no say in any other device.
fn program(majors: &[u32], own: &[DeviceNode], others: &[(u32, u32)]) -> Vec<Instruction> {
    let make = Instruction::new;
    let mut program = vec![
        make(op::LOAD, 0x12, 0, 0),
        make(op::AND, 0x02, 0, 0xffff), // r2 = type
        make(op::LOAD, 0x14, 4, 0),     // r4 = major
        make(op::LOAD, 0x15, 8, 0),     // r5 = minor
        make(op::IF, 0x02, 2, DEVICE_CHAR),
    ];
    program.extend(Instruction::answer(true));
    let own = own.iter().map(|node| ((node.major, node.minor), true));
    for ((major, minor), answer) in own.chain(others.iter().map(|number| (*number, false))) {
        program.push(make(op::UNLESS, 0x04, 3, major));
        program.push(make(op::UNLESS, 0x05, 2, minor));
        program.extend(Instruction::answer(answer));
    }
    for major in majors {
        program.push(make(op::UNLESS, 0x04, 2, *major));
        program.extend(Instruction::answer(false));
    }
    program.extend(Instruction::answer(true));
    program
}
