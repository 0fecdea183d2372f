//! Devices that come while containers of nicdock's run: these may have nothing of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{FILE, content, line, lines, nothing, turn};
use nicdock_netlink::name;

use crate::lease::{DeviceNode, Lease, Step};
use crate::phases::cgroup;
use crate::phases::devices::called_now;
use crate::plan::RdmaGrant;
use crate::request::RdmaLimits;
use crate::say::notice;
use nicdock_sys::closing::Closing;

/// Whether there is something to do for [`refuse_foreign`].
pub fn lack_foreign(leases: &[Lease]) -> bool {
    containers(leases).iter().any(|(name, own)| !unlimited(&cgroup::folder("rdma", name), own).is_empty())
}

/// Gives every container that nicdock's launcher made nothing of the devices that are neither its own nor limited.
///
/// That a container cannot open the node does not hang on this: a failure is told, and nothing else.
pub fn refuse_foreign(leases: &[Lease]) {
    for (name, own) in containers(leases) {
        let folder = cgroup::folder("rdma", &name);
        let devices = unlimited(&folder, &own);
        if devices.is_empty() {
            continue;
        }
        // A group that is being removed must not get limits: see `lift`.
        let _turn = match turn() {
            Ok(turn) => turn,
            Err(error) => return notice(error),
        };
        for device in devices.iter().filter(|_| folder.exists()) {
            let path = folder.join(FILE);
            match fs::write(&path, name::bytes(&line(device, nothing()))) {
                // One of them has gone meanwhile.
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::EINVAL)) => {}
                Err(error) => notice(format_args!(
                    "warning: container {name} may use {device}: writing {}: {error}",
                    path.display()
                )),
                Ok(()) => {}
            }
        }
    }
}

/// The devices, not its own, of which a container that nicdock's launcher made may have as much as there is. `None` where that is not limited, or not known.
pub fn left_to(leases: &[Lease], container: &str) -> Option<Vec<String>> {
    let folder = cgroup::folder("rdma", container);
    let (_, own) = running(leases).into_iter().find(|(name, _)| name == container)?;
    folder.join(FILE).exists().then(|| unlimited(&folder, &own))
}

/// Those to limit.
fn containers(leases: &[Lease]) -> Vec<(String, BTreeSet<String>)> {
    if Closing::RdmaCgroup.is_left_open() { Vec::new() } else { running(leases) }
}

/// Those that run, with the names of their own devices.
fn running(leases: &[Lease]) -> Vec<(String, BTreeSet<String>)> {
    let is_given =
        |step: &Step, name: &str| matches!(step, Step::Give { container, .. } if container == name);
    let holders = leases.iter().flat_map(|lease| lease.holders.iter().map(move |holder| (lease, holder)));
    let launched = holders.filter(|(lease, holder)| {
        holder.is_launched()
            && holder.is_alive()
            && lease.steps().any(|step| is_given(step, &holder.container))
    });
    let names: BTreeSet<String> = launched.map(|(_, holder)| holder.container.clone()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    // Names that cannot be read now are read the next time.
    let Ok(called) = called_now() else { return Vec::new() };
    let own = |name: &String| {
        let has: Vec<_> = leases.iter().filter(|lease| lease.holder(name).is_some()).collect();
        let nodes: Vec<DeviceNode> = has.iter().flat_map(|lease| lease.given(name)).cloned().collect();
        let left: Vec<RdmaGrant> = has.iter().flat_map(|lease| lease.left().rdma).collect();
        super::names(&called, left.iter(), &nodes)
    };
    names.into_iter().map(|name| (name.clone(), own(&name))).collect()
}

/// The devices of which a group may have as much as there is, but for `own`.
fn unlimited(folder: &Path, own: &BTreeSet<String>) -> Vec<String> {
    let text = content(PathBuf::from(folder).join(FILE)).unwrap_or_default();
    let all = lines(&text).filter(|(device, found)| *found == line(device, RdmaLimits::default()));
    all.map(|(device, _)| device.to_owned()).filter(|device| !own.contains(device)).collect()
}
