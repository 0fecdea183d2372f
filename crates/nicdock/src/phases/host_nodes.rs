//! The host's own nodes of a NIC that a container has are root's alone meanwhile.
//!
//! A container has nodes of its own. The kernel makes those in the host's /dev for everybody (`uverbs_devnode()`, `drivers/infiniband/core/uverbs_main.c`:
//! 0666): any user of the host could use the NIC beside the container, and keep it from being given again by a descriptor.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

use super::devices::every_node_of;
use super::{Doing, PhaseError};
use crate::closing::Closing;
use crate::lease::{DeviceNode, HostNode, Lease, LeaseError, Ledger, Lock, Step};
use crate::plan::Grant;

/// Where udev keeps them (DEVNAME of /sys/class/infiniband_verbs/uverbs0/uevent).
const FOLDER: &str = "/dev/infiniband";
/// What others than its owner may do with a file.
const OTHERS: u32 = 0o077;

/// Those of the NIC that others than root may open, and that the lease does not have yet.
pub fn open_to_others(grant: &Grant, lease: Option<&Lease>) -> Result<Vec<HostNode>, PhaseError> {
    if Closing::HostNodes.is_left_open() {
        return Ok(Vec::new());
    }
    let noted: Vec<&HostNode> = lease.map(|lease| noted(lease).collect()).unwrap_or_default();
    let mut found = Vec::new();
    for node in every_node_of(grant)? {
        let is_noted = noted.iter().any(|known| known.identity == node.identity);
        if let Some(mode) = mode(&node)?.filter(|mode| mode & OTHERS != 0 && !is_noted) {
            found.push(HostNode { name: node.name, identity: node.identity, mode });
        }
    }
    Ok(found)
}

/// Takes them from others than root.
pub fn withhold(nodes: &[HostNode]) -> Result<(), PhaseError> {
    nodes.iter().try_for_each(|node| set(node, node.mode & !OTHERS))
}

/// The NIC can be given again, and its nodes are the host's as before. What cannot be set is told, and keeps nothing.
pub fn free(ledger: &Ledger, lock: &Lock, lease: &Lease) -> Result<Vec<String>, LeaseError> {
    let mut told = Vec::new();
    if let Some(lease) = ledger.current(lease)? {
        let there = every_node_of(&lease.grant).unwrap_or_default();
        // One that was made anew has the mode of a new one.
        let left = noted(&lease).filter(|node| there.iter().any(|it| it.identity == node.identity));
        told.extend(left.filter_map(|node| set(node, node.mode).err()).map(|error| {
            format!("warning: {error}; udevadm trigger --action=add --subsystem-match=infiniband_verbs sets it as the host's rules say")
        }));
    }
    ledger.free(lock, lease).map(|()| told)
}

fn noted(lease: &Lease) -> impl Iterator<Item = &HostNode> {
    lease.journal.iter().flat_map(|step| match step {
        Step::Withhold { nodes } => &nodes[..],
        _ => &[],
    })
}

/// `None` where the host has no such node, or another device's under that name.
fn mode(node: &DeviceNode) -> Result<Option<u32>, PhaseError> {
    let path = path(&node.name);
    match fs::symlink_metadata(&path) {
        Ok(file) => {
            let is_it = file.file_type().is_char_device()
                && (major(file.rdev()), minor(file.rdev())) == (node.major, node.minor);
            Ok(is_it.then_some(file.mode() & 0o7777))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PhaseError::new(format!("looking at {}", path.display()), error)),
    }
}

fn set(node: &HostNode, mode: u32) -> Result<(), PhaseError> {
    let path = path(&node.name);
    fs::set_permissions(&path, Permissions::from_mode(mode))
        .doing(|| format!("setting the mode of {} to {mode:04o}", path.display()))
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}
