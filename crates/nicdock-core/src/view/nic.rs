//! The view `nic`: the container's NIC with the bridges above it, and the machine's CPUs and memory.
//!
//! A pure function of a sysfs-shaped tree and of what the container has. Its work grows with what is shown: no folder is
//! listed that others' devices are in.

use std::io;

use nicdock_host::model::is_subfunction;

use super::device::{self, BRIDGE_FILES, FILES};
use super::shown::Shown;
use super::tree::{Tree, ancestors, resolve, split};
use super::{Omission, View};

/// CPU, cache, memory and NUMA topology; huge pages. They name no device but CPUs, memory blocks, timers.
const TOPOLOGY: [&str; 2] = ["devices/system", "kernel/mm"];

/// What of an IOMMU group is shown beside its own functions (`drivers/iommu/iommu.c`).
const GROUP_FILES: [&str; 2] = ["type", "reserved_regions"];

/// Kinds of devices that a function may have below it, each a class of the same name.
const BELOW_FUNCTION: [&str; 2] = ["hwmon", "ptp"];

pub struct Builder<'a, T> {
    pub tree: &'a T,
    pub shown: &'a Shown,
    pub view: View,
}

/// What is shown of `tree`.
pub fn nic(tree: &impl Tree, shown: &Shown) -> Result<View, Omission> {
    let mut builder = Builder { tree, shown, view: View::default() };
    builder.topology()?;
    builder.classes()?;
    for address in shown.functions.iter().chain(&shown.bridges) {
        builder.link(&format!("bus/pci/devices/{address}"))?;
    }
    for address in &shown.functions {
        builder.function(address)?;
    }
    Ok(builder.view)
}

impl<T: Tree> Builder<'_, T> {
    fn topology(&mut self) -> Result<(), Omission> {
        for path in TOPOLOGY {
            if self.tree.exists(path) {
                self.view.mounts.insert(path.to_owned());
            }
        }
        // CPUs, memory blocks and nodes have a link `subsystem`, CPUs one to their driver.
        for bus in self.entries("devices/system")? {
            let bus = format!("bus/{bus}");
            if self.tree.exists(&bus) {
                self.view.folders.insert(bus);
            }
        }
        if self.tree.exists("bus/cpu/drivers/processor") {
            self.view.folders.insert("bus/cpu/drivers/processor".to_owned());
        }
        Ok(())
    }

    fn classes(&mut self) -> Result<(), Omission> {
        for class in ["class/net", "class/infiniband", "class/infiniband_verbs", "bus/pci/devices"] {
            self.view.folders.insert(class.to_owned());
        }
        let shown = self.shown;
        let management: Vec<&String> = shown.nodes_of("umad").chain(shown.nodes_of("issm")).collect();
        self.device_in("class/net", "lo")?;
        for name in &shown.netdevs {
            self.device_in("class/net", name)?;
        }
        for name in &shown.rdma_devices {
            self.device_in("class/infiniband", name)?;
        }
        for name in shown.nodes_of("uverbs") {
            self.device_in("class/infiniband_verbs", name)?;
        }
        for name in &management {
            self.device_in("class/infiniband_mad", name)?;
        }
        for name in shown.nodes_of("rdma_cm") {
            self.device_in("class/misc", name)?;
        }
        if !shown.rdma_devices.is_empty() {
            self.view.files.insert("class/infiniband_verbs/abi_version".to_owned());
        }
        if !management.is_empty() {
            self.view.files.insert("class/infiniband_mad/abi_version".to_owned());
        }
        Ok(())
    }

    /// A class's link and the whole device that it leads to.
    fn device_in(&mut self, class: &str, name: &str) -> Result<(), Omission> {
        let device = self.link(&format!("{class}/{name}"))?;
        self.view.mounts.insert(device);
        Ok(())
    }

    /// Makes the same link, and the folders above what it leads to, which is given back.
    pub fn link(&mut self, path: &str) -> Result<String, Omission> {
        let failed = |error| Omission { path: path.to_owned(), error };
        let (folder, _) = split(path);
        let text = self.tree.link(path).map_err(failed)?;
        let device = resolve(folder, &text).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
        self.view.links.insert(path.to_owned(), text);
        for above in ancestors(&device).filter(|above| split(above).0.starts_with("devices/")) {
            self.part_of_device(above)?;
        }
        if device::is_pci_address(split(&device).1) {
            self.part_of_device(&device)?;
        }
        Ok(device)
    }

    /// A device of which some is shown. A folder that is no device (`net` in a function) has none of the files.
    fn part_of_device(&mut self, path: &str) -> Result<(), Omission> {
        if !self.view.folders.insert(path.to_owned()) {
            return Ok(());
        }
        let name = split(path).1;
        let own = self.shown.functions.iter().any(|own| own == name);
        if self.tree.link(&format!("{path}/subsystem")).is_err() {
            return Ok(());
        }
        let bridge: &[&str] = if device::is_pci_address(name) && !own { &BRIDGE_FILES } else { &[] };
        for file in FILES.iter().chain(bridge) {
            self.view.files.insert(format!("{path}/{file}"));
        }
        for name in ["subsystem", "driver"] {
            self.folder_link(&format!("{path}/{name}"))?;
        }
        if own {
            // The same as the driver's own list has, of which the others' are left out.
            if let Some(driver) = self.view.target(&format!("{path}/driver")) {
                self.back_link(&format!("{driver}/{name}"), path);
            }
            self.iommu_group(path, name)?;
        }
        Ok(())
    }

    /// A link to a folder that is shown empty: `subsystem`, `driver`.
    fn folder_link(&mut self, path: &str) -> Result<(), Omission> {
        if let Ok(text) = self.tree.link(path) {
            let target = resolve(split(path).0, &text).ok_or_else(|| Omission::invalid(path))?;
            self.view.links.insert(path.to_owned(), text);
            self.view.folders.insert(target);
        }
        Ok(())
    }

    fn back_link(&mut self, path: &str, target: &str) {
        let up = "../".repeat(ancestors(path).count());
        self.view.links.insert(path.to_owned(), format!("{up}{target}"));
    }

    /// The group with its own functions only, though others may be in it.
    fn iommu_group(&mut self, function: &str, address: &str) -> Result<(), Omission> {
        let path = format!("{function}/iommu_group");
        self.folder_link(&path)?;
        if let Some(group) = self.view.target(&path) {
            self.back_link(&format!("{group}/devices/{address}"), function);
            for file in GROUP_FILES {
                self.view.files.insert(format!("{group}/{file}"));
            }
        }
        Ok(())
    }

    /// What an own function has besides netdevs and RDMA devices.
    fn function(&mut self, address: &str) -> Result<(), Omission> {
        let link = format!("bus/pci/devices/{address}");
        let function = self.view.target(&link).ok_or_else(|| Omission::invalid(&link))?;
        let is_shared = self.shown.shared_functions.iter().any(|shared| shared == address);
        for class in BELOW_FUNCTION.iter().filter(|_| !is_shared) {
            for name in self.entries(&format!("{function}/{class}"))? {
                self.device_in(&format!("class/{class}"), &name)?;
            }
        }
        for name in self.entries(&function)? {
            // A sub-function of its own is linked from its netdev; the others are other NICs.
            if is_subfunction(&name) {
                continue;
            }
            // `module.kind.number` (drivers/base/auxiliary.c); its other devices are linked from their classes.
            if name.matches('.').count() == 2 && !device::is_pci_address(&name) {
                self.part_of_device(&format!("{function}/{name}"))?;
            }
            if self.shown.registers && !is_shared && device::is_register(&name) {
                self.view.mounts.insert(format!("{function}/{name}"));
            }
        }
        Ok(())
    }

    pub fn entries(&self, path: &str) -> Result<Vec<String>, Omission> {
        self.tree.entries(path).map_err(|error| Omission { path: path.to_owned(), error })
    }
}
