//! The character devices of the NICs, by the numbers that sysfs tells now: they change whenever a driver is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use nicdock_netlink::name;

use super::{Doing, PhaseError};
use crate::lease::DeviceNode;
use crate::plan::Grant;

/// Reads the nodes of what is granted, found by the RDMA device's name (`ibdev`), never by a stored number.
pub fn given_nodes(grants: &[Grant]) -> Result<Vec<DeviceNode>, PhaseError> {
    let mut nodes = Vec::new();
    for grant in grants {
        for rdma in &grant.rdma {
            let device = &rdma.device.name;
            let mut found = of_class("infiniband_verbs", "uverbs", device)?;
            found.retain(|node| is_where(&rdma.device.sysfs, "infiniband_verbs", &node.name));
            if found.is_empty() && rdma.device.uverbs.is_some() {
                let error = io::Error::from(io::ErrorKind::NotFound);
                return Err(PhaseError::new(format!("finding the uverbs node of {device} in sysfs"), error));
            }
            nodes.extend(found);
            if grant.umad {
                nodes.extend(of_class("infiniband_mad", "umad", device)?);
                nodes.extend(of_class("infiniband_mad", "issm", device)?);
            }
        }
        if grant.rdma_cm && !nodes.iter().any(|n: &DeviceNode| n.name == "rdma_cm") {
            nodes.push(read("misc", "rdma_cm", "", 0o666)?);
        }
    }
    Ok(nodes)
}

/// Every node of the NICs' RDMA devices, given or not, but for `rdma_cm`, which is every device's.
pub fn every_node_of(grants: &[Grant]) -> Result<Vec<DeviceNode>, PhaseError> {
    let mut nodes = Vec::new();
    for rdma in grants.iter().flat_map(|grant| &grant.rdma) {
        for (class, prefix) in
            [("infiniband_verbs", "uverbs"), ("infiniband_mad", "umad"), ("infiniband_mad", "issm")]
        {
            let mut found = of_class(class, prefix, &rdma.device.name)?;
            found.retain(|node| is_where(&rdma.device.sysfs, class, &node.name));
            nodes.extend(found);
        }
    }
    Ok(nodes)
}

/// Whether the node's device is where the RDMA device of the grant is, below `sysfs` (`devices/…/infiniband/mlx5_0`): one of the same name
/// may have been made elsewhere since.
fn is_where(sysfs: &str, class: &str, node: &str) -> bool {
    let place = |path: &str, class: &str| Some(path.split_once(&format!("/{class}/"))?.0.to_owned());
    let real = fs::canonicalize(format!("/sys/class/{class}/{node}")).unwrap_or_default();
    let real = name::text(real.as_os_str().as_bytes());
    place(real.trim_start_matches("/sys/"), class) == place(sysfs.trim_start_matches('/'), "infiniband")
}

/// What the RDMA device of each `uverbsN` is called now, by that node's identity: whoever may (`rdma dev set … name`) can change it at any time.
pub fn called_now() -> Result<BTreeMap<u64, String>, PhaseError> {
    let (class, mut found) = ("infiniband_verbs", BTreeMap::new());
    for name in names(&format!("/sys/class/{class}"))? {
        let Some(identity) = identity(class, &name)? else { continue };
        found.extend(device_of(class, &name).map(|device| (identity, device)));
    }
    Ok(found)
}

/// The identity of every node that there is now and that could be given.
pub fn present() -> Result<BTreeSet<u64>, PhaseError> {
    let mut found = BTreeSet::new();
    for class in ["infiniband_verbs", "infiniband_mad"] {
        for name in names(&format!("/sys/class/{class}"))? {
            found.extend(identity(class, &name)?);
        }
    }
    found.extend(identity("misc", "rdma_cm")?);
    Ok(found)
}

/// `None` for one that has gone.
fn identity(class: &str, name: &str) -> Result<Option<u64>, PhaseError> {
    let path = format!("/sys/class/{class}/{name}");
    match fs::metadata(&path) {
        Ok(folder) => Ok(Some(folder.ino())),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => Ok(None),
        Err(error) => Err(PhaseError::new(format!("looking at {path}"), error)),
    }
}

fn names(folder: &str) -> Result<Vec<String>, PhaseError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(PhaseError::new(format!("listing {folder}"), error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(name::text(entry?.file_name().as_bytes()));
    entries.map(name).collect::<io::Result<_>>().doing(|| format!("listing {folder}"))
}

/// Those of every RDMA device of the host, for a container that is left open.
pub fn every_node() -> Result<Vec<DeviceNode>, PhaseError> {
    let folder = "/sys/class/infiniband";
    let mut nodes = Vec::new();
    for entry in fs::read_dir(folder).doing(|| format!("listing {folder}"))?.filter_map(Result::ok) {
        nodes.extend(of_class("infiniband_verbs", "uverbs", &name::text(entry.file_name().as_bytes()))?);
    }
    Ok(nodes)
}

/// The RDMA device that a node of a class is of, by its name now.
pub fn device_of(class: &str, node: &str) -> Option<String> {
    let called = fs::read(format!("/sys/class/{class}/{node}/ibdev")).ok()?;
    Some(name::text(called.strip_suffix(b"\n").unwrap_or(&called)))
}

/// Every node of every RDMA device of the host, but for `rdma_cm`, which is every device's.
pub fn every_node_of_host() -> Result<Vec<DeviceNode>, PhaseError> {
    let mut nodes = Vec::new();
    for class in ["infiniband_verbs", "infiniband_mad"] {
        let folder = format!("/sys/class/{class}");
        for name in names(&folder)?.into_iter().filter(|name| name != "abi_version") {
            // One that has gone meanwhile has no device.
            if let Some(device) = device_of(class, &name) {
                nodes.push(read(class, &name, &device, 0o666)?);
            }
        }
    }
    Ok(nodes)
}

/// The node that all RDMA devices share; `None` if its module is not loaded.
pub fn rdma_cm() -> Result<Option<DeviceNode>, PhaseError> {
    identity("misc", "rdma_cm")?.map(|_| read("misc", "rdma_cm", "", 0o666)).transpose()
}

fn of_class(class: &str, prefix: &str, device: &str) -> Result<Vec<DeviceNode>, PhaseError> {
    let folder = format!("/sys/class/{class}");
    let mut nodes = Vec::new();
    for name in names(&folder)? {
        let belongs = || device_of(class, &name).is_some_and(|owner| owner == device);
        if name.starts_with(prefix) && belongs() {
            // uverbs are for every user; the kernel makes umad and issm for root only.
            nodes.push(read(class, &name, device, if prefix == "uverbs" { 0o666 } else { 0o600 })?);
        }
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(nodes)
}

fn read(class: &str, name: &str, device: &str, mode: u32) -> Result<DeviceNode, PhaseError> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let identity = identity(class, name)?.ok_or_else(gone).doing(|| format!("finding {name} in sysfs"))?;
    let path = format!("/sys/class/{class}/{name}/dev");
    let text = fs::read_to_string(&path).doing(|| format!("reading {path}"))?;
    let numbers = text
        .trim()
        .split_once(':')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let (major, minor) = numbers.ok_or(io::ErrorKind::InvalidData).doing(|| format!("reading {path}"))?;
    Ok(DeviceNode { name: name.to_owned(), device: device.to_owned(), major, minor, mode, identity })
}
