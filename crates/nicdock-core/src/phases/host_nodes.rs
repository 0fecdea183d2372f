//! The host's own nodes of a NIC that a container has are root's alone meanwhile.
//!
//! A container has nodes of its own. The kernel makes those in the host's /dev for everybody (`uverbs_devnode()`, drivers/infiniband/core/uverbs_main.c:
//! 0666): any user of the host could use the NIC in addition to the container, and keep it from being given again by a descriptor.
//!
//! What mode each had is noted in `/run/nicdock/nodes`, and not in the lease: a lease that cannot be read any more leaves the note.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};
use serde::{Deserialize, Serialize};

use super::devices::{every_node_of, present};
use super::{Doing, PhaseError};
use crate::lease::{DeviceNode, Lease, Ledger, Lock, PRIVATE, STATE, make_folder};
use crate::plan::Grant;
use nicdock_sys::closing::Closing;
use nicdock_sys::failpoint;

/// Where udev keeps them (DEVNAME of /sys/class/infiniband_verbs/uverbs0/uevent).
const FOLDER: &str = "/dev/infiniband";
/// What others than its owner may do with a file.
const OTHERS: u32 = 0o077;

/// A node as it was before.
#[derive(Serialize, Deserialize)]
struct Note {
    /// As [`DeviceNode::identity`].
    identity: u64,
    /// The RDMA device.
    device: String,
    /// Its permissions, of which a POSIX ACL's mask is a part (acl(5)).
    mode: u32,
}

/// Takes the nodes of these NICs from others than root.
pub fn withhold(grants: &[Grant], _lock: &Lock) -> Result<(), PhaseError> {
    if Closing::HostNodes.is_left_open() {
        return Ok(());
    }
    for node in every_node_of(grants)? {
        let Some(mode) = mode(&node)?.filter(|mode| mode & OTHERS != 0) else { continue };
        note(&node, mode).doing(|| format!("noting the mode of {}", path(&node.name).display()))?;
        failpoint::reach("nodes.noted").doing(|| "withholding nodes".into())?;
        set(&node.name, mode & !OTHERS)?;
    }
    Ok(())
}

/// Gives back those whose NIC no lease has, and takes again what somebody else has opened; gives what could not be done, in sentences. As long as a
/// lease cannot be read, whose they are is not known.
pub fn give_back(ledger: &Ledger, _lock: &Lock) -> Vec<String> {
    let names = noted();
    if names.is_empty() {
        return Vec::new();
    }
    let Ok(leases) = ledger.read() else { return Vec::new() };
    let held = held(&leases);
    let there = match present() {
        Ok(there) => there,
        Err(error) => return vec![format!("warning: {error}")],
    };
    let failed = |name: &String| match settle(name, &held, &there) {
        Ok(()) => None,
        Err(error) => Some(format!(
            "warning: {error}; udevadm trigger --action=add --sysname-match={name} sets it as the host's rules say"
        )),
    };
    names.iter().filter_map(failed).collect()
}

/// Whether there is something to give back, or to take again. Asked without the ledger's lock.
pub fn want_looking_after(ledger: &Ledger) -> bool {
    let names = noted();
    if names.is_empty() {
        return false;
    }
    let Ok(leases) = ledger.read() else { return false };
    let held = held(&leases);
    let is_settled = |name: &String| {
        let note = read(name).ok().flatten();
        note.is_some_and(|note| held.contains(note.device.as_str())) && !is_open(name)
    };
    !names.iter().all(is_settled)
}

/// The names of the devices that leases have.
fn held(leases: &[Lease]) -> BTreeSet<&str> {
    leases.iter().flat_map(|lease| &lease.grant.rdma).map(|rdma| rdma.device.name.as_str()).collect()
}

/// Whether others than root may open it.
fn is_open(name: &str) -> bool {
    fs::symlink_metadata(path(name)).is_ok_and(|file| file.mode() & OTHERS != 0)
}

fn settle(name: &str, held: &BTreeSet<&str>, there: &BTreeSet<u64>) -> Result<(), PhaseError> {
    let file = note_of(name);
    let forget = || fs::remove_file(&file).doing(|| format!("removing {}", file.display()));
    // Half of one was noted, and nothing was done.
    let Some(note) = read(name).doing(|| format!("reading {}", file.display()))? else { return forget() };
    // One that was made anew has the mode of a new one.
    let is_it = there.contains(&note.identity);
    if held.contains(note.device.as_str()) {
        // udev sets the modes of its rules, and the kernel's where they say none, with each event of the device (`udevadm trigger`).
        return if is_it && is_open(name) { set(name, note.mode & !OTHERS) } else { Ok(()) };
    }
    if is_it {
        set(name, note.mode)?;
    }
    forget()
}

fn note(node: &DeviceNode, mode: u32) -> io::Result<()> {
    make_folder(&folder(), PRIVATE)?;
    let text = serde_json::to_string(&Note { identity: node.identity, device: node.device.clone(), mode })?;
    fs::write(note_of(&node.name), text)
}

/// `None` if it is not a whole one.
fn read(name: &str) -> io::Result<Option<Note>> {
    Ok(serde_json::from_str(&fs::read_to_string(note_of(name))?).ok())
}

/// The names of the nodes of which there is a note.
fn noted() -> Vec<String> {
    let entries = fs::read_dir(folder()).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn folder() -> PathBuf {
    Path::new(STATE).join("nodes")
}

fn note_of(name: &str) -> PathBuf {
    folder().join(name)
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

fn set(name: &str, mode: u32) -> Result<(), PhaseError> {
    let path = path(name);
    fs::set_permissions(&path, Permissions::from_mode(mode))
        .doing(|| format!("setting the mode of {} to {mode:04o}", path.display()))
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}
