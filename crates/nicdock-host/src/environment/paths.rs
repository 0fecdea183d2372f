//! Which files and facts are read.

use crate::model::{Host, PciFunction, RdmaDevice};
use crate::source::{Fact, Source};

/// Of the machine, whatever NICs it has.
const FIXED: [&str; 8] = [
    "proc/self/limits",
    "proc/1/limits",
    "proc/cgroups",
    "proc/sys/kernel/seccomp/actions_avail",
    "proc/sys/kernel/io_uring_disabled",
    "sys/fs/cgroup/cgroup.controllers",
    "sys/fs/cgroup/unified/cgroup.controllers",
    "sys/class/infiniband_verbs/abi_version",
];

/// Attributes of a PCIe function (drivers/pci/pci-sysfs.c).
const LINK: [&str; 4] = ["current_link_speed", "current_link_width", "max_link_speed", "max_link_width"];

/// The same of a GPU or a disk, with what it is.
const DEVICE: [&str; 6] =
    ["current_link_speed", "current_link_width", "max_link_speed", "max_link_width", "vendor", "device"];

pub fn facts(process: Option<u32>) -> Vec<Fact> {
    let mut facts = vec![
        Fact::Version,
        Fact::KernelArguments,
        Fact::Nodes(None),
        Fact::SharedMemory(None),
        Fact::Cpus(None),
        Fact::LinkModes,
        Fact::FlowControl,
        Fact::Daemons,
        Fact::Engines,
        Fact::Managers,
        Fact::Firewall,
        Fact::Namespaces,
        Fact::ServiceLimits,
        Fact::SecurityModules,
    ];
    if process.is_some() {
        facts.extend([Fact::Nodes(process), Fact::SharedMemory(process), Fact::Cpus(process)]);
    }
    facts
}

/// Paths below `/`.
pub fn files(source: &dyn Source, host: &Host, process: Option<u32>) -> Vec<String> {
    let mut paths: Vec<String> = FIXED.map(str::to_owned).to_vec();
    if let Some(pid) = process {
        paths.extend([format!("proc/{pid}/limits"), format!("proc/{pid}/uid_map")]);
    }
    paths.extend(links(host));
    paths.extend(physical(host).map(|function| format!("sys/{}/config", function.sysfs)));
    paths.extend(host.pci.iter().filter(|function| function.driver.is_some()).flat_map(sriov_files));
    for device in host.nics.iter().flat_map(|nic| &nic.rdma_devices) {
        paths.extend(device.uverbs.iter().map(|node| format!("sys/{}/abi_version", node.sysfs)));
        paths.extend(device.ports.iter().flat_map(|port| {
            let port = format!("sys/{}/ports/{}", device.sysfs, port.number);
            let gids = gids(source, &port).into_iter();
            gids.map(move |gid| format!("{port}/gids/{gid}"))
        }));
        paths.extend(
            device.ports.iter().map(|port| format!("sys/{}/ports/{}/rate", device.sysfs, port.number)),
        );
    }
    for netdev in host.nics.iter().flat_map(|nic| &nic.netdevs) {
        // Of NVIDIA's own driver (MLNX_OFED manual, "Explicit Congestion Notification"); the kernel's has it in debugfs only.
        paths.extend(["roce_np", "roce_rp"].map(|side| format!("sys/{}/ecn/{side}/enable/3", netdev.sysfs)));
    }
    paths
}

/// A VF has the link of its PF, and no file of its own about it.
fn physical(host: &Host) -> impl Iterator<Item = &PciFunction> {
    host.pci.iter().filter(|function| function.pf.is_none())
}

/// What tells the PCIe links of NICs, bridges, GPUs and disks, and what the latter two are.
pub fn links(host: &Host) -> impl Iterator<Item = String> {
    let functions = physical(host).map(|function| (&function.sysfs, &LINK[..]));
    let devices = host.topology.devices.iter().map(|device| (&device.sysfs, &DEVICE[..]));
    functions
        .chain(devices)
        .flat_map(|(sysfs, names)| names.iter().map(move |name| format!("sys/{sysfs}/{name}")))
}

/// How many VFs a PF has and can have (drivers/pci/iov.c).
fn sriov_files(function: &PciFunction) -> Vec<String> {
    ["sriov_totalvfs", "sriov_numvfs"].map(|name| format!("sys/{}/{name}", function.sysfs)).to_vec()
}

/// The indices of a port's GID table, in order.
fn gids(source: &dyn Source, port: &str) -> Vec<u32> {
    let names = source.list(&format!("{port}/gids")).unwrap_or_default();
    let mut indices: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    indices.sort_unstable();
    indices
}

/// What kind of GID an entry is, and whose (`gid_attrs`): asked of entries that are not empty only, for the others cannot tell.
pub fn gid_attributes(gid: &str) -> Option<[String; 2]> {
    let (port, index) = gid.rsplit_once("/gids/")?;
    Some(["types", "ndevs"].map(|kind| format!("{port}/gid_attrs/{kind}/{index}")))
}

/// The folder of a port's GIDs.
pub fn gid_folder(device: &RdmaDevice, port: u32) -> String {
    format!("sys/{}/ports/{port}/gids/", device.sysfs)
}
