//! Without a parent that knows the host: whatever /sys shows of NICs and is not of this network namespace is foreign.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nicdock_netlink::name;

use super::{Node, Target, Things};

/// Looks at what is visible here. It says so itself when nothing is.
pub fn learn() -> Target {
    let own_netdevs: BTreeSet<String> = interfaces().into_iter().collect();
    let own_nodes: BTreeSet<String> = names("/dev/infiniband").into_iter().collect();
    let mut own = Things { netdevs: own_netdevs.iter().cloned().collect(), ..Things::default() };
    let mut foreign = Things::default();
    for netdev in names("/sys/class/net") {
        let side = if own_netdevs.contains(&netdev) { &mut own } else { &mut foreign };
        if netdev != "lo" {
            side.addresses
                .extend(read(&format!("/sys/class/net/{netdev}/address")).filter(|a| a.contains(':')));
        }
        if let Ok(device) = fs::canonicalize(format!("/sys/class/net/{netdev}/device")) {
            side.pci.extend(addresses_of(&device));
        }
        side.netdevs.push(netdev);
    }
    for class in ["infiniband_verbs", "infiniband_mad"] {
        for name in names(&format!("/sys/class/{class}")) {
            let number = read(&format!("/sys/class/{class}/{name}/dev"));
            let Some((major, minor)) = number.as_deref().and_then(split) else { continue };
            let side = if own_nodes.contains(&name) { &mut own } else { &mut foreign };
            side.rdma_devices.extend(read(&format!("/sys/class/{class}/{name}/ibdev")));
            side.nodes.push(Node { name, major, minor });
        }
    }
    foreign.rdma_devices.extend(names("/sys/class/infiniband"));
    foreign.rdma_devices.retain(|name| !own.rdma_devices.contains(name));
    foreign.pci.extend(names("/sys/bus/pci/devices").into_iter().filter(|address| {
        read(&format!("/sys/bus/pci/devices/{address}/class")).is_some_and(|c| c.starts_with("0x02"))
    }));
    foreign.pci.retain(|address| !own.pci.contains(address));
    for list in [&mut foreign.rdma_devices, &mut foreign.pci] {
        list.sort();
        list.dedup();
    }
    Target { schema: 1, foreign, own, learned: true, ..Target::default() }
}

/// The interfaces of this network namespace, whatever /sys shows.
pub fn interfaces() -> Vec<String> {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned()).collect()
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.map(|e| name::text(e.file_name().as_bytes())).collect();
    names.retain(|name| name != "abi_version");
    names.sort();
    names
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn split(number: &str) -> Option<(u32, u32)> {
    let (major, minor) = number.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The PCI addresses among a path's parts.
fn addresses_of(path: &Path) -> Vec<String> {
    let parts = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    parts.filter(|part| part.len() >= 12 && part.as_bytes()[part.len() - 2] == b'.').collect()
}

/// The interfaces that answer to one of the first numbers.
pub fn interfaces_by_index() -> Vec<String> {
    (1..256).filter_map(crate::kernel::interface::name_of).collect()
}
