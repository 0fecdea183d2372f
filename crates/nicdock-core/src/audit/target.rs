//! What is foreign to a container: every NIC and PCI function of the host that it was not given.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use nicdock_audit::Target;
use nicdock_audit::target::{Folder, Node, Things};
use nicdock_host::inventory;
use nicdock_host::model::{Host, Nic, RdmaNetnsMode};
use nicdock_netlink::name;

use super::AuditError;
use super::Own;
use super::offered::{filesystems, refused_calls};
use crate::lease::{Ledger, STATE, show_held};
use crate::phases::devices::given_nodes;
use crate::plan::NetdevGrant;
use nicdock_host::source::Live;
use nicdock_sys::mountinfo;

/// For a container. To be called in the host's network namespace.
pub fn target(container: &Own) -> Result<Target, AuditError> {
    let mut host = inventory::read(&Live)?;
    show_held(&mut host, &Ledger::of_machine().read()?);
    let mut foreign = things(&host);
    foreign.netdevs.extend(interfaces());
    foreign.netdevs.retain(|name| name != "lo");
    foreign.pci.extend(names("/sys/bus/pci/devices"));
    for list in [&mut foreign.netdevs, &mut foreign.pci, &mut foreign.addresses] {
        list.sort();
        list.dedup();
    }
    let mut own = Things::default();
    for grant in &container.grants {
        add(&mut own, &grant.nic);
        own.netdevs.extend(grant.netdevs.iter().map(|netdev| netdev.name.clone()));
        let ips = grant.netdevs.iter().flat_map(NetdevGrant::ips);
        own.addresses.extend(ips.flat_map(texts));
        own.pci.extend(grant.bridges.iter().chain(&grant.vfs).map(ToString::to_string));
        let given = |name: &String| grant.rdma.iter().any(|rdma| rdma.device.name == *name);
        let has = |name: &String| grant.nic.rdma_devices.iter().any(|device| device.name == *name);
        own.rdma_devices.retain(|name| given(name) || !has(name));
    }
    // Numbers are those of now, and what it was not given of the NIC's is not its own.
    own.nodes.clear();
    own.netdevs.extend(container.netdevs.iter().cloned());
    for address in &container.functions {
        own.pci.push(address.to_string());
        own.pci.extend(host.function(*address).into_iter().flat_map(|f| &f.bridges).map(ToString::to_string));
        host.nics.iter().filter(|nic| nic.pci == Some(*address)).for_each(|nic| add(&mut own, nic));
    }
    for node in given_nodes(&container.grants)? {
        own.nodes.push(Node { name: node.name, major: node.major, minor: node.minor });
    }
    let rdma_netns = host.rdma_netns_mode.map(|mode| match mode {
        RdmaNetnsMode::Shared => "shared".to_owned(),
        RdmaNetnsMode::Exclusive => "exclusive".to_owned(),
    });
    let state = place(Path::new(STATE));
    let given = || {
        container.grants.iter().flat_map(|grant| &grant.netdevs).map(|netdev| netdev.name.clone()).collect()
    };
    let given = (!container.grants.is_empty()).then(given);
    let weaknesses = container.weaknesses.clone();
    let offered = AuditError::kernel("looking for what the kernel offers");
    let filesystems = Some(filesystems().map_err(&offered)?);
    let refused_calls = if container.has_profile { refused_calls().map_err(&offered)? } else { Vec::new() };
    Ok(Target {
        schema: 1,
        foreign,
        own,
        rdma_netns,
        given,
        weaknesses,
        filesystems,
        refused_calls,
        state,
        ..Target::default()
    })
}

/// Where a folder is on its file system, by the mount that shows it here.
fn place(folder: &Path) -> Option<Folder> {
    let folder = fs::canonicalize(folder).ok()?;
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    // Of several on one point the last is seen.
    let mounted = mountinfo::parse(&mounts).filter(|mounted| folder.starts_with(&mounted.point)).reduce(
        |best, other| {
            let deeper = other.point.components().count() >= best.point.components().count();
            if deeper { other } else { best }
        },
    )?;
    let root = mounted.root.join(folder.strip_prefix(&mounted.point).ok()?);
    Some(Folder { device: mounted.device, root: root.to_str()?.trim_end_matches('/').to_owned() })
}

fn things(host: &Host) -> Things {
    let mut things = Things::default();
    for nic in &host.nics {
        add(&mut things, nic);
    }
    if let Some(node) = &host.rdma_cm {
        things.nodes.push(Node { name: node.name().to_owned(), major: node.major, minor: node.minor });
    }
    things
}

fn add(things: &mut Things, nic: &Nic) {
    for netdev in &nic.netdevs {
        things.netdevs.push(netdev.name.clone());
        things.netdevs.extend(netdev.altnames.iter().cloned());
        things.addresses.extend(netdev.mac.iter().chain(&netdev.permanent_mac).map(ToString::to_string));
        things.addresses.extend(netdev.addresses.iter().flat_map(|address| texts(address.ip)));
    }
    for device in &nic.rdma_devices {
        things.rdma_devices.push(device.name.clone());
        things.serials.extend(
            device
                .node_guid
                .iter()
                .filter(|guid| guid.chars().any(|c| c.is_ascii_hexdigit() && c != '0'))
                .cloned(),
        );
    }
    let nodes =
        nic.nodes().map(|node| Node { name: node.name().to_owned(), major: node.major, minor: node.minor });
    things.nodes.extend(nodes);
    things.pci.extend(nic.pci.iter().map(ToString::to_string));
}

/// An address as programs write it and, as a GID, in full (include/rdma/ib_addr.h, `rdma_ip2gid`).
fn texts(ip: IpAddr) -> [String; 2] {
    let full = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let groups: Vec<String> = full.segments().iter().map(|group| format!("{group:04x}")).collect();
    [ip.to_string(), groups.join(":")]
}

/// Every interface of the caller's network namespace, virtual ones too.
fn interfaces() -> Vec<String> {
    let table = fs::read("/proc/self/net/dev").unwrap_or_default();
    // No name has a colon in it, or a blank (`dev_valid_name()`, net/core/dev.c).
    let name = |line: &[u8]| {
        Some(name::text(line.split_at(line.iter().position(|byte| *byte == b':')?).0.trim_ascii()))
    };
    table.split(|byte| *byte == b'\n').filter_map(name).collect()
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_found_on_its_file_system() {
        let proc = place(Path::new("/proc/sys/net")).unwrap();
        assert!(proc.root.ends_with("/net") && proc.device.contains(':'), "{proc:?}");
        assert_eq!(place(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn an_address_is_looked_for_as_a_gid_too() {
        assert_eq!(
            texts("10.77.1.1".parse().unwrap()),
            ["10.77.1.1", "0000:0000:0000:0000:0000:ffff:0a4d:0101"]
        );
    }
}
