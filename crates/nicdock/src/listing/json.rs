//! `nicdock ls --json`: the format that other programs rely on. Fields are added, never renamed or removed, within a
//! schema.

use nicdock_host::model::{
    Host, InUse, Isolation, LinkLayer, Mac, Netdev, Nic, NicKind, PciAddress, PortElsewhere, RdmaDevice,
    RdmaNetnsMode, Representor, UsnicPool, UsnicQueuePair,
};
use serde::Serialize;

use super::{Holder, Holders, shown, vfs_behind_iommu};
use nicdock_host::model::Link;

/// The whole answer.
#[derive(Serialize)]
struct Listing<'a> {
    /// Version of this format: 1.
    schema: u32,
    /// Kernel release, as `uname -r` prints it.
    kernel: &'a str,
    /// `shared` or `exclusive`; null where no RDMA core is loaded.
    rdma_netns_mode: Option<RdmaNetnsMode>,
    /// `RLIMIT_MEMLOCK` of the command itself in bytes, 18446744073709551615 for unlimited; null where it is not known.
    /// A container gets one of its own.
    memlock_bytes: Option<u64>,
    /// In the order in which several are taken: PCI address, then name.
    nics: Vec<Entry<'a>>,
    /// Netdevs that are ports of a card's own switch (switchdev), and no NIC's.
    representors: Vec<RepresentorEntry<'a>>,
    /// What could not be read, in sentences; empty when everything was.
    warnings: &'a [String],
}

/// One NIC: one PCI function with all its netdevs and RDMA devices.
#[derive(Serialize)]
struct Entry<'a> {
    /// What it is called by: the first RDMA device's name, else the first netdev's, else the PCI address.
    name: &'a str,
    /// `usnic`, `roce`, `ib`, `iwarp`, `efa`, `soft-roce`, `soft-iwarp` or `ethernet`.
    kind: NicKind,
    /// What its ports speak, each once.
    kinds: &'a [NicKind],
    /// The first RDMA device's name; null without one.
    rdma_device: Option<&'a str>,
    /// The first netdev's name in the host's network namespace; null without one.
    netdev: Option<&'a str>,
    /// Domain, bus, device, function; null for a virtual netdev with a software RDMA device.
    pci: Option<PciAddress>,
    /// The auxiliary device of a sub-function, `mlx5_core.sf.2`, in that function; null for others.
    auxiliary: Option<&'a str>,
    /// Vendor and device number in hexadecimal, `15b3:1017`; null without a PCI function.
    pci_id: Option<String>,
    /// The driver bound to the PCI function; null for none.
    driver: Option<&'a str>,
    /// NUMA node; null where the firmware does not say.
    numa_node: Option<u32>,
    /// State and speed of the first ACTIVE port, else of the first.
    link: Link,
    /// IP addresses with their prefix lengths, of every netdev, and of those that its ports have elsewhere.
    addresses: Vec<String>,
    /// Paths of the character devices: uverbs, then umad and issm.
    nodes: Vec<&'a str>,
    /// The physical function that this is a virtual function of; null for others.
    pf: Option<PciAddress>,
    /// Virtual functions of this physical function, by number.
    vfs: &'a [PciAddress],
    /// The container that has it now; null while nobody has.
    held_by: Option<&'a Holder>,
    /// Containers that joined that one.
    shared_with: &'a [Holder],
    /// What else keeps it from being given, a sentence: it is draining or in quarantine (`nicdock leases`).
    kept_by: Option<&'a str>,
    /// Why the host needs it; empty when it is free to take.
    in_use: Vec<Sign<'a>>,
    /// How a container can be kept from other NICs' RDMA devices: `method` is `rdma-netns` (the device moves into
    /// the container's namespace), `view` (nodes, device cgroup, /sys and seccomp) or `netns` (no RDMA device);
    /// `reason` is a sentence.
    isolation: &'a Isolation,
    /// Every RDMA device, by name.
    rdma_devices: Vec<RdmaEntry<'a>>,
    /// Every netdev, by port.
    netdevs: Vec<NetdevEntry<'a>>,
    /// Ports of its RDMA devices whose netdev is another device's.
    ports_elsewhere: Vec<ElsewhereEntry<'a>>,
}

/// A port with a netdev that is not the NIC's: it stays where it is.
#[derive(Serialize)]
struct ElsewhereEntry<'a> {
    /// The RDMA device.
    device: &'a str,
    /// Counted from 1.
    port: u32,
    netdev: &'a str,
    /// `bond` for RoCE LAG; null for hardware.
    netdev_kind: Option<&'a str>,
    /// The NIC that has the netdev, by its place on the bus, else its name; null for one that is no NIC's.
    nic: Option<&'a str>,
}

/// A netdev that is a port of a card's own switch, and no NIC's.
#[derive(Serialize)]
struct RepresentorEntry<'a> {
    netdev: &'a str,
    /// The function whose switch it is on.
    pci: PciAddress,
    /// What it stands for, as the driver says: `pf0vf3`, `pf0sf88`; null where it does not.
    port: Option<&'a str>,
}

/// One reason not to take the NIC: `what` is `default_route`, `tcp_connection`, `routed_tcp`, `member`, `stacked`, `xdp`, `open_node`,
/// `driver_node`, `kernel_user`, `port_elsewhere` or `vf_in_use`, each with fields of its own.
#[derive(Serialize)]
struct Sign<'a> {
    #[serde(flatten)]
    sign: &'a InUse,
    /// The same as a sentence.
    text: String,
}

#[derive(Serialize)]
struct RdmaEntry<'a> {
    name: &'a str,
    /// Driver: `mlx5_core`, `efa`, `rxe`, `siw`, `usnic_verbs`; null where it is not known.
    driver: Option<&'a str>,
    /// As sysfs prints it: `1: CA`, `4: RNIC`, `6: usNIC UDP`.
    node_type: &'a str,
    /// As sysfs prints it, `0002:c903:00a1:b2c3`.
    node_guid: Option<&'a str>,
    /// Firmware version.
    firmware: Option<&'a str>,
    /// Board's identity, as the vendor prints it.
    board_id: Option<&'a str>,
    /// By number.
    ports: Vec<PortEntry<'a>>,
    /// usNIC's pool of VFs; null for every other driver.
    usnic: Option<PoolEntry<'a>>,
}

#[derive(Serialize)]
struct PoolEntry<'a> {
    /// VFs that `usnic_verbs` has: so many processes can use the NIC at once.
    vfs: u32,
    /// Those that have queue pairs.
    vfs_in_use: usize,
    /// Of one VF.
    queue_pairs_per_vf: u32,
    /// Of one VF.
    completion_queues_per_vf: u32,
    /// Of all queue pairs.
    completion_queues_in_use: u32,
    /// Whether every VF is behind an IOMMU, without which `usnic_verbs` takes none.
    iommu: bool,
    /// What exists now, each `{"number", "state", "pid", "vf", "completion_queues"}`; the process by its number on
    /// the host.
    queue_pairs: &'a [UsnicQueuePair],
}

#[derive(Serialize)]
struct PortEntry<'a> {
    /// Counted from 1.
    number: u32,
    /// `ACTIVE`, `INIT`, `DOWN`, …
    state: &'a str,
    /// `ethernet`, `infiniband` or `unknown`.
    link_layer: LinkLayer,
    /// In Mbit/s.
    rate_mbps: Option<u32>,
    /// Local identifier; null outside InfiniBand.
    lid: Option<u16>,
    /// The port's netdev, if it has one here.
    netdev: Option<&'a str>,
    /// Its state and speed in the words of the NIC's.
    link: Link,
}

#[derive(Serialize)]
struct NetdevEntry<'a> {
    name: &'a str,
    /// Alternative names.
    altnames: &'a [String],
    /// Link-layer address in use: 6 bytes on Ethernet, 20 on `IPoIB`.
    mac: Option<&'a Mac>,
    /// Link-layer address burnt in.
    permanent_mac: Option<&'a Mac>,
    mtu: u32,
    /// `up`, `down` or `no-carrier`, and the speed.
    link: Link,
    /// IP addresses with their prefix lengths.
    addresses: Vec<String>,
}

/// The listing as indented JSON, with a newline at its end.
pub fn json(host: &Host, holders: &Holders, all: bool) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&listing(host, holders, all))? + "\n")
}

/// The same as a value, of every NIC.
pub fn value(host: &Host, holders: &Holders) -> serde_json::Result<serde_json::Value> {
    serde_json::to_value(listing(host, holders, true))
}

fn listing<'a>(host: &'a Host, holders: &'a Holders, all: bool) -> Listing<'a> {
    Listing {
        schema: 1,
        kernel: &host.kernel,
        rdma_netns_mode: host.rdma_netns_mode,
        memlock_bytes: host.memlock,
        nics: shown(host, all).map(|nic| entry(host, nic, holders)).collect(),
        representors: host.representors.iter().map(representor_entry).collect(),
        warnings: &host.warnings,
    }
}

fn entry<'a>(host: &'a Host, nic: &'a Nic, holders: &'a Holders) -> Entry<'a> {
    let function = nic.pci.and_then(|address| host.function(address));
    let whole = nic.whole_function().and(function);
    let elsewhere = nic.ports_elsewhere.iter().map(|port| &port.netdev);
    let held = holders.get(&nic.name);
    let held_by = held.map_or(&[][..], |held| &held.containers);
    Entry {
        name: &nic.name,
        kind: nic.kind,
        kinds: &nic.kinds,
        rdma_device: nic.rdma_devices.first().map(|device| device.name.as_str()),
        netdev: nic.netdevs.first().map(|netdev| netdev.name.as_str()),
        pci: nic.pci,
        auxiliary: nic.auxiliary.as_deref(),
        pci_id: function.map(|f| format!("{:04x}:{:04x}", f.vendor, f.device)),
        driver: function.and_then(|f| f.driver.as_deref()),
        numa_node: nic.numa_node,
        link: Link::of(nic),
        addresses: nic.netdevs.iter().chain(elsewhere).flat_map(addresses).collect(),
        nodes: nic.nodes().map(|node| node.path.as_str()).collect(),
        pf: whole.and_then(|f| f.pf),
        vfs: whole.map_or(&[], |f| &f.vfs),
        held_by: held_by.first(),
        shared_with: held_by.get(1..).unwrap_or_default(),
        kept_by: held.and_then(|held| held.kept_by.as_deref()),
        in_use: nic.in_use.iter().map(|sign| Sign { sign, text: sign.to_string() }).collect(),
        isolation: &nic.isolation,
        rdma_devices: nic.rdma_devices.iter().map(|device| rdma_entry(host, nic, device)).collect(),
        netdevs: nic.netdevs.iter().map(netdev_entry).collect(),
        ports_elsewhere: nic.ports_elsewhere.iter().map(elsewhere_entry).collect(),
    }
}

fn elsewhere_entry(port: &PortElsewhere) -> ElsewhereEntry<'_> {
    ElsewhereEntry {
        device: &port.device,
        port: port.port,
        netdev: &port.netdev.name,
        netdev_kind: port.netdev.virtual_kind.as_deref(),
        nic: port.nic.as_deref(),
    }
}

fn representor_entry(one: &Representor) -> RepresentorEntry<'_> {
    RepresentorEntry { netdev: &one.netdev, pci: one.function, port: one.port.as_deref() }
}

fn rdma_entry<'a>(host: &Host, nic: &Nic, device: &'a RdmaDevice) -> RdmaEntry<'a> {
    let ports = device.ports.iter().map(|port| PortEntry {
        number: port.number,
        state: &port.state,
        link_layer: port.link_layer,
        rate_mbps: port.rate_mbps,
        lid: port.lid,
        netdev: port.netdev.as_deref(),
        link: Link::of_port(nic, port),
    });
    RdmaEntry {
        name: &device.name,
        driver: device.driver.as_deref(),
        node_type: &device.node_type,
        node_guid: device.node_guid.as_deref(),
        firmware: device.firmware.as_deref(),
        board_id: device.board_id.as_deref(),
        ports: ports.collect(),
        usnic: device.usnic.as_ref().map(|pool| pool_entry(host, nic, pool)),
    }
}

fn pool_entry<'a>(host: &Host, nic: &Nic, pool: &'a UsnicPool) -> PoolEntry<'a> {
    PoolEntry {
        vfs: pool.vfs,
        vfs_in_use: pool.vfs_in_use(),
        queue_pairs_per_vf: pool.queue_pairs_per_vf,
        completion_queues_per_vf: pool.completion_queues_per_vf,
        completion_queues_in_use: pool.completion_queues_in_use(),
        iommu: vfs_behind_iommu(host, nic),
        queue_pairs: &pool.queue_pairs,
    }
}

fn netdev_entry(netdev: &Netdev) -> NetdevEntry<'_> {
    NetdevEntry {
        name: &netdev.name,
        altnames: &netdev.altnames,
        mac: netdev.mac.as_ref(),
        permanent_mac: netdev.permanent_mac.as_ref(),
        mtu: netdev.mtu,
        link: Link::of_netdev(netdev),
        addresses: addresses(netdev).collect(),
    }
}

fn addresses(netdev: &Netdev) -> impl Iterator<Item = String> {
    netdev.addresses.iter().map(ToString::to_string)
}
