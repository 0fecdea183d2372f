//! Whether a NIC, or its netdev, is nowhere any more, so that there is nothing to give back and nobody to wait for.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nicdock_host::model::{PciAddress, is_subfunction};
use nicdock_netlink::name;

use crate::plan::{Grant, NetdevGrant};

/// How far below its function a NIC's netdevs are: below the function itself, or below one device in it (virtio).
const DEPTH: usize = 1;

/// Why there is no netdev to give back, if it is told apart from one that is lost.
pub fn gone(grant: &Grant) -> Option<String> {
    let address = grant.nic.pci?;
    let auxiliary = grant.nic.auxiliary.as_deref();
    let function = device(address, auxiliary);
    // One that was made anew has another name by now.
    let parents =
        grant.netdevs.iter().filter_map(parent).filter(|it| it.exists() || !has_a_netdev(address, auxiliary));
    // A NIC of virtio has two: that of the function (virtio-pci) and that of the device in it (virtio_net).
    let mut devices = std::iter::once(function.clone()).chain(parents);
    let why = if function.exists() {
        let bare = devices.find(|device| !device.join("driver").exists())?;
        let which = bare.file_name().filter(|_| bare != function);
        let which = which.map(|name| format!(" for {}", name.display())).unwrap_or_default();
        format!(
            "has no driver{which} any more: there is nothing to give back; what the host had set on its netdev is to be set again \
             when one is bound"
        )
    } else {
        "was unplugged meanwhile: there is nothing to give back".to_owned()
    };
    Some(format!("{} ({}) {why}", grant.nic.name, grant.nic.key()))
}

/// Why a netdev is in no network namespace, although its NIC is there with a driver: that may make no netdevs any more (an auxiliary
/// device without its driver, a failed recovery).
pub fn is_nowhere(grant: &Grant, given: &NetdevGrant) -> Option<String> {
    let parent = parent(given)?;
    let is_nowhere = parent.exists() && netdev_folders(grant, given).is_empty();
    is_nowhere.then(|| {
        format!(
            "warning: {} has no netdev any more, in any network namespace: {} is not given back; see dmesg, and bind its driver anew",
            grant.nic.name, given.host.name
        )
    })
}

/// Where the kernel lists the netdev: with the device that it was of, or, should that have been made anew, with what there is in the
/// function.
pub fn netdev_folders(grant: &Grant, given: &NetdevGrant) -> Vec<PathBuf> {
    match (parent(given), grant.nic.pci) {
        (Some(parent), None) => folders(&parent, 0),
        (Some(parent), _) if parent.exists() => folders(&parent, 0),
        (_, Some(address)) => folders(&device(address, grant.nic.auxiliary.as_deref()), DEPTH),
        (None, None) => Vec::new(),
    }
}

/// The names of the netdevs of the device that the planned one was of.
pub fn names_on_bus(grant: &Grant, given: &NetdevGrant) -> Vec<String> {
    let listed = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = netdev_folders(grant, given).into_iter().flat_map(listed);
    entries.map(|e| name::text(e.file_name().as_bytes())).collect()
}

/// Whether the function at this address, or its sub-function `auxiliary`, has a netdev, in whatever network namespace.
pub fn has_a_netdev(address: PciAddress, auxiliary: Option<&str>) -> bool {
    !folders(&device(address, auxiliary), DEPTH).is_empty()
}

fn device(address: PciAddress, auxiliary: Option<&str>) -> PathBuf {
    let function = Path::new("/sys/bus/pci/devices").join(address.to_string());
    auxiliary.map_or_else(|| function.clone(), |auxiliary| function.join(auxiliary))
}

/// The device that a netdev is of: `devices/…/virtio3/net/eth3` is that of virtio3.
fn parent(given: &NetdevGrant) -> Option<PathBuf> {
    let netdev = name::path(&format!("/sys/{}", given.host.sysfs.trim_start_matches('/')));
    let class = netdev.parent().filter(|class| class.ends_with("net"))?;
    class.parent().map(Path::to_owned)
}

/// The folders of netdevs in a device and those so far below it. Such a folder is there as long as there is a netdev in it, also one of
/// a network namespace that this sysfs does not show (`cleanup_glue_dir()`, drivers/base/core.c).
fn folders(device: &Path, depth: usize) -> Vec<PathBuf> {
    let own = device.join("net");
    if own.exists() {
        return vec![own];
    }
    if depth == 0 {
        return Vec::new();
    }
    let entries = fs::read_dir(device).into_iter().flatten().flatten();
    let is_other_nic = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(is_subfunction);
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let below = entries.filter(|entry| is_folder(entry) && !is_other_nic(entry));
    below.flat_map(|entry| folders(&entry.path(), depth - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netdevs_are_found_in_the_function_and_in_a_device_in_it() {
        let function = tempfile::tempdir().unwrap();
        let at = |name: &str| function.path().join(name);
        fs::create_dir_all(at("mlx5_core.sf.4/net")).unwrap();
        assert!(folders(function.path(), DEPTH).is_empty(), "a sub-function's netdev is not its function's");
        assert_eq!(folders(&at("mlx5_core.sf.4"), DEPTH), [at("mlx5_core.sf.4/net")]);
        fs::create_dir_all(at("virtio3/net")).unwrap();
        std::os::unix::fs::symlink(at("virtio3"), at("physfn")).unwrap();
        assert_eq!(folders(function.path(), DEPTH), [at("virtio3/net")]);
        assert!(folders(function.path(), 0).is_empty());
        fs::create_dir(at("net")).unwrap();
        assert_eq!(folders(function.path(), DEPTH), [at("net")]);
    }
}
