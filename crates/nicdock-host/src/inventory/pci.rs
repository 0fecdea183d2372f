//! PCI functions: of most only the class is read, of NICs everything that the model holds.

use std::collections::{BTreeMap, BTreeSet};

use super::pci_path::{bridges, full_address};
use super::sysfs::{Sysfs, hexadecimal};
use crate::model::{Nic, PciAddress, PciFunction};

/// `PCI_BASE_CLASS_NETWORK` of `include/linux/pci_ids.h`.
const CLASS_NETWORK: u32 = 0x02;
/// `PCI_CLASS_SERIAL_INFINIBAND` (`PCI_CLASS_NETWORK_INFINIBAND`, 0x0207, is a network class).
const CLASS_SERIAL_INFINIBAND: u32 = 0x0c06;
/// `PCI_DEVICE_ID_CISCO_VIC_USPACE_NIC` of `drivers/infiniband/hw/usnic/usnic_ib_main.c`: usNIC's pool of VFs.
const CISCO_USNIC_VF: (u16, u16) = (0x1137, 0x00cf);

/// Every PCI function of the machine.
pub struct Functions {
    /// Where it is, and its class if it could be read.
    seen: BTreeMap<PciAddress, (String, Option<u32>)>,
    /// `None` for one that cannot be read: a warning says why.
    read: BTreeMap<PciAddress, Option<PciFunction>>,
}

impl Functions {
    /// Finds every function's path and class.
    pub fn scan(sysfs: &Sysfs) -> Self {
        let mut seen = BTreeMap::new();
        for name in sysfs.list("bus/pci/devices") {
            let Some(address) = full_address(&name) else {
                sysfs.warn(format!("/sys/bus/pci/devices/{name} is not a PCI address and is left out"));
                continue;
            };
            let Some(path) = sysfs.target(&format!("bus/pci/devices/{name}")) else { continue };
            let class = sysfs.value(&format!("{path}/class"), hexadecimal);
            seen.insert(address, (path, class));
        }
        Self { seen, read: BTreeMap::new() }
    }

    /// Functions whose class says that they are network adapters.
    pub fn network_class(&self) -> Vec<PciAddress> {
        let is_network = |class: u32| class >> 16 == CLASS_NETWORK || class >> 8 == CLASS_SERIAL_INFINIBAND;
        self.seen.iter().filter(|(_, (_, class))| class.is_some_and(is_network)).map(|(a, _)| *a).collect()
    }

    /// Every function with where it is and its class, where that could be read.
    pub fn classes(&self) -> impl Iterator<Item = (PciAddress, &str, u32)> {
        self.seen.iter().filter_map(|(address, (path, class))| Some((*address, path.as_str(), (*class)?)))
    }

    /// Reads a function in full, once. `None` if it is not on the PCI bus (any more).
    pub fn get(&mut self, sysfs: &Sysfs, address: PciAddress) -> Option<&PciFunction> {
        if !self.read.contains_key(&address) {
            let (path, class) = self.seen.get(&address)?;
            let function = class.and_then(|class| read(sysfs, address, path, class));
            self.read.insert(address, function);
        }
        self.read.get(&address)?.as_ref()
    }

    /// The NICs' functions, with their PFs, VFs and bridges; sorted by address.
    pub fn into_relevant(mut self, sysfs: &Sysfs, nics: &[Nic]) -> Vec<PciFunction> {
        let mut wanted: BTreeSet<PciAddress> = BTreeSet::new();
        let mut next: Vec<PciAddress> = nics.iter().filter_map(|nic| nic.pci).collect();
        // usNIC VFs are no NICs, but their PF names them.
        while let Some(address) = next.pop() {
            if !wanted.insert(address) {
                continue;
            }
            if let Some(function) = self.get(sysfs, address) {
                next.extend(function.bridges.iter().chain(&function.vfs).chain(&function.pf));
            }
        }
        self.read.retain(|address, _| wanted.contains(address));
        self.read.into_values().flatten().collect()
    }
}

impl PciFunction {
    /// A VF of usNIC's pool: used by the PF's RDMA device, never a NIC of its own.
    pub fn is_usnic_vf(&self) -> bool {
        (self.vendor, self.device) == CISCO_USNIC_VF
    }
}

/// Attributes of `drivers/pci/pci-sysfs.c` and `drivers/pci/iov.c`.
fn read(sysfs: &Sysfs, address: PciAddress, path: &str, class: u32) -> Option<PciFunction> {
    let id = |name| sysfs.value(&format!("{path}/{name}"), |t| u16::try_from(hexadecimal(t)?).ok());
    let function = |name: &str| {
        let target = sysfs.target_name(&format!("{path}/{name}"))?;
        full_address(&target)
    };
    // The file is there on functions that can have VFs only.
    let vf_count: u32 = sysfs.number(&format!("{path}/sriov_numvfs")).unwrap_or(0);
    let vfs = (0..vf_count).map_while(|n| function(&format!("virtfn{n}"))).collect();
    Some(PciFunction {
        address,
        sysfs: path.to_owned(),
        vendor: id("vendor")?,
        device: id("device")?,
        subsystem_vendor: id("subsystem_vendor").unwrap_or(0),
        subsystem_device: id("subsystem_device").unwrap_or(0),
        class,
        driver: sysfs.target_name(&format!("{path}/driver")),
        numa_node: numa_node(sysfs, path),
        bridges: bridges(path),
        pf: function("physfn"),
        vfs,
        iommu_group: sysfs.target_name(&format!("{path}/iommu_group")).and_then(|n| n.parse().ok()),
    })
}

/// -1 (`NUMA_NO_NODE`) is `None`.
pub fn numa_node(sysfs: &Sysfs, path: &str) -> Option<u32> {
    let node: i32 = sysfs.number(&format!("{path}/numa_node"))?;
    u32::try_from(node).ok()
}
