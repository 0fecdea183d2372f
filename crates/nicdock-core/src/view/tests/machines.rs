//! Machines made up, as trees to compose a view of.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use nicdock_host::constructed::{Function, Link, Machine, Place, Port, Rdma};
use nicdock_host::model::RdmaNetnsMode;
use nicdock_host::source::Entry;
use proptest::prelude::*;

use super::super::Shown;
use super::super::tree::Tree;

/// A sysfs in memory that counts what it is asked.
pub struct Memory {
    entries: BTreeMap<String, Entry>,
    pub asked: Cell<u32>,
}

impl Memory {
    pub fn of(machine: Machine) -> Self {
        let all = machine.everything();
        let below =
            |(path, entry): (&String, &Entry)| Some((path.strip_prefix("sys/")?.to_owned(), entry.clone()));
        Self { entries: all.entries().iter().filter_map(below).collect(), asked: Cell::new(0) }
    }

    pub fn paths(&self) -> impl Iterator<Item = &String> {
        self.entries.keys()
    }

    pub fn is_device(&self, path: &str) -> bool {
        self.entries.contains_key(&format!("{path}/subsystem"))
    }

    fn get(&self, path: &str) -> io::Result<&Entry> {
        self.asked.set(self.asked.get() + 1);
        self.entries.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Tree for Memory {
    fn link(&self, path: &str) -> io::Result<String> {
        match self.get(path)? {
            Entry::Link(text) => Ok(text.clone()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn entries(&self, path: &str) -> io::Result<Vec<String>> {
        let prefix = if path == "." { String::new() } else { format!("{path}/") };
        let below = self.entries.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let names: BTreeSet<String> = below
            .map(|(path, _)| path[prefix.len()..].split('/').next().unwrap_or_default().to_owned())
            .collect();
        let cost = u32::try_from(names.len()).unwrap_or(u32::MAX);
        self.asked.set(self.asked.get() + 1 + cost);
        Ok(names.into_iter().collect())
    }

    fn exists(&self, path: &str) -> bool {
        if let Ok(entry) = self.get(path) {
            return !matches!(entry, Entry::Link(_));
        }
        let prefix = format!("{path}/");
        self.entries.range(prefix.clone()..).next().is_some_and(|(path, _)| path.starts_with(&prefix))
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match self.get(path)? {
            Entry::File(content) => Ok(content.clone()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// A NIC, and how it is plugged in.
#[derive(Clone, Debug)]
pub struct Plugged {
    /// Bridges above it.
    bridges: u8,
    /// Its netdev sits on a child, as virtio's does.
    child: bool,
    rdma: bool,
    vfs: u8,
    /// Shares an IOMMU group with others of the same number.
    group: Option<u32>,
    /// A disk behind the same bridge.
    disk: bool,
}

pub fn any_machine() -> impl Strategy<Value = Vec<Plugged>> {
    let group = prop::option::of(0_u32..3);
    let one = (0_u8..4, any::<bool>(), any::<bool>(), 0_u8..4, group, any::<bool>());
    let one = one.prop_map(|(bridges, child, rdma, vfs, group, disk)| Plugged {
        bridges,
        child,
        rdma,
        vfs,
        group,
        disk,
    });
    prop::collection::vec(one, 1..9)
}

/// A machine, and what of it is the container's.
pub struct Described {
    pub tree: Memory,
    pub shown: Shown,
    /// Names of everything that belongs to other NICs.
    pub foreign: BTreeSet<String>,
    /// Netdevs and RDMA devices of the container's; the latter may be empty.
    pub own: Vec<(String, String)>,
}

/// `include/linux/pci_ids.h`: `PCI_CLASS_NETWORK_ETHERNET`, `PCI_CLASS_STORAGE_EXPRESS`.
const ETHERNET: u32 = 0x02_0000;
const DISK: u32 = 0x01_0802;

impl Plugged {
    /// The machine with all of `list`, of which the container has number `own`.
    pub fn describe(list: &[Self], own: usize) -> Described {
        let mut machine = Machine::new("6.1.0");
        machine.rdma_core(RdmaNetnsMode::Shared);
        let (mut shown, mut foreign, mut names) = (Shown::default(), BTreeSet::new(), Vec::new());
        for (number, nic) in list.iter().enumerate() {
            let device = nic.plug_in(&mut machine, number);
            if number == own {
                shown.netdevs.push(device.netdev.clone());
                shown.functions.push(device.function);
                shown.bridges = device.bridges;
                if nic.rdma {
                    shown.rdma_devices.push(device.rdma.clone());
                    shown.nodes.push(device.node);
                }
                names.push((device.netdev, if nic.rdma { device.rdma } else { String::new() }));
                foreign.extend(device.vfs);
            } else {
                // Bridges are no NICs: `open` shows them.
                foreign.extend([device.netdev, device.rdma, device.node, device.function]);
                foreign.extend(device.vfs);
            }
        }
        Described { tree: Memory::of(machine), shown, foreign, own: names }
    }

    fn plug_in(&self, machine: &mut Machine, number: usize) -> Device {
        let mut path = "pci0000:00".to_owned();
        let mut bridges = Vec::new();
        for depth in 0..self.bridges {
            let bus = if depth == 0 { 0 } else { number * 8 + usize::from(depth) };
            let slot = if depth == 0 { number + 1 } else { 0 };
            let address = format!("0000:{bus:02x}:{slot:02x}.7");
            path = format!("{path}/{address}");
            machine.function(&Function::bridge(&path, (0x1b36, 0x000c)));
            bridges.push(address);
        }
        let bus = number * 8 + 7;
        let address = |function| format!("0000:{bus:02x}:00.{function}");
        let function = address(0);
        let own = format!("{path}/{function}");
        let mut described = Function::new(&own, (0x15b3, 0x1017), ETHERNET).driver("mlx5_core");
        if let Some(group) = self.group {
            described = described.iommu_group(group);
        }
        machine.function(&described);
        let mut vfs = Vec::new();
        for vf in 1..=self.vfs {
            let path = format!("{path}/{}", address(vf));
            machine.function(&Function::new(&path, (0x15b3, 0x1018), ETHERNET).vf_of(&function));
            vfs.push(address(vf));
        }
        if self.disk {
            let path = format!("{path}/0000:{bus:02x}:1f.0");
            machine.function(&Function::new(&path, (0x144d, 0xa824), DISK).driver("nvme"));
        }
        let (netdev, rdma, node) =
            (format!("eth{number}x"), format!("mlx5_{number}x"), format!("uverbs{number}"));
        let child = format!("virtio{number}");
        let place = if self.child { Place::Child(&function, &child) } else { Place::Function(&function) };
        machine.link(Link::ethernet(&netdev, place, &format!("02:00:00:00:00:{number:02x}"), 1000));
        if self.rdma {
            machine.rdma(&Rdma {
                name: &rdma,
                function: Some(&function),
                node_type: "1: CA",
                node_guid: number as u64,
                firmware: "1",
                board_id: "",
                protocol: "roce",
                driver_id: None,
                ports: &[Port {
                    state: "4: ACTIVE",
                    link_layer: "Ethernet",
                    rate: "100 Gb/sec (4X EDR)",
                    lid: 0,
                    netdev: Some(&netdev),
                }],
                uverbs: u32::try_from(number).unwrap_or_default(),
                umad: None,
                usnic: None,
            });
        }
        Device { netdev, rdma, node, function, bridges, vfs }
    }
}

/// What a NIC is called.
struct Device {
    netdev: String,
    rdma: String,
    node: String,
    function: String,
    bridges: Vec<String>,
    vfs: Vec<String>,
}
