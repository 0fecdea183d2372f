//! The views `open` and `off`. Open is what `nic` shows and every other device of the machine, but no other NIC.
//!
//! Folders of links (classes, buses) are made anew, so that what is plugged in later does not appear in them. The work grows
//! with the host.

use super::nic::{Builder, nic};
use super::shown::Shown;
use super::tree::{Tree, ancestors, is_inside, resolve, split};
use super::{Omission, View, device};

/// Base classes of NICs (include/linux/pci_ids.h): `PCI_BASE_CLASS_NETWORK` and `PCI_CLASS_SERIAL_INFINIBAND` (0x0c06).
const NIC_CLASSES: [&str; 2] = ["0x02", "0x0c06"];
const BRIDGE_CLASS: &str = "0x0604";

/// Classes of which the container has its own devices only, by name.
const BY_NAME: [&str; 7] =
    ["net", "infiniband", "infiniband_verbs", "infiniband_mad", "infiniband_cm", "ptp", "pci_bus"];
/// What lies outside of every PCI function and is a NIC's all the same.
const VIRTUAL: [&str; 4] = ["net", "infiniband", "infiniband_verbs", "infiniband_mad"];
/// Folders without devices, shown whole.
const PLAIN: [&str; 3] = ["firmware", "hypervisor", "power"];

pub fn open(tree: &impl Tree, shown: &Shown) -> Result<View, Omission> {
    let view = nic(tree, shown)?;
    let mut builder = Builder { tree, shown, view };
    let foreign = builder.functions()?;
    builder.other_classes(&foreign)?;
    for path in PLAIN {
        if tree.exists(path) {
            builder.view.mounts.insert(path.to_owned());
        }
    }
    for name in builder.entries("fs")? {
        // The container's own control groups come later.
        if name != "cgroup" {
            builder.view.mounts.insert(format!("fs/{name}"));
        }
    }
    for name in builder.entries("module")? {
        let parameters = format!("module/{name}/parameters");
        if tree.exists(&parameters) {
            builder.view.mounts.insert(parameters);
        }
        builder.view.files.insert(format!("module/{name}/version"));
    }
    Ok(builder.view)
}

/// The whole of `tree`, but for the host's control groups.
pub fn all(tree: &impl Tree) -> Result<View, Omission> {
    let mut view = View::default();
    for (folder, except) in [(".", "fs"), ("fs", "cgroup")] {
        let names = tree.entries(folder).map_err(|error| Omission { path: folder.to_owned(), error })?;
        let shown = names.into_iter().filter(|name| name != except);
        view.mounts.extend(shown.map(|name| if folder == "." { name } else { format!("{folder}/{name}") }));
    }
    Ok(view)
}

impl<T: Tree> Builder<'_, T> {
    /// Shows the functions that are no NICs; gives the folders of those that are and are not the container's, or not its alone.
    fn functions(&mut self) -> Result<Vec<String>, Omission> {
        let mut foreign = Vec::new();
        for address in self.entries("bus/pci/devices")? {
            let own = [&self.shown.functions, &self.shown.bridges].iter().any(|list| list.contains(&address));
            let is_shared = self.shown.shared_functions.contains(&address);
            if own && !is_shared {
                continue;
            }
            let link = format!("bus/pci/devices/{address}");
            let text = self.tree.link(&link).map_err(|error| Omission { path: link.clone(), error })?;
            let Some(path) = resolve("bus/pci/devices", &text) else { continue };
            if is_shared {
                foreign.push(path);
                continue;
            }
            let class = self.tree.read(&format!("{path}/class")).unwrap_or_default();
            let is = |prefix: &str| class.starts_with(prefix.as_bytes());
            if NIC_CLASSES.iter().any(|prefix| is(prefix)) || class.is_empty() {
                foreign.push(path);
            } else {
                let path = self.link(&link)?;
                if !is(BRIDGE_CLASS) {
                    self.view.mounts.insert(path);
                }
            }
        }
        Ok(foreign)
    }

    fn other_classes(&mut self, foreign: &[String]) -> Result<(), Omission> {
        let classes = self.entries("class")?.into_iter().filter(|class| !BY_NAME.contains(&class.as_str()));
        let folders: Vec<String> =
            classes.map(|class| format!("class/{class}")).chain(["block".into()]).collect();
        for folder in folders {
            for name in self.entries(&folder)? {
                let path = format!("{folder}/{name}");
                let Some(target) = self.tree.link(&path).ok().and_then(|text| resolve(&folder, &text)) else {
                    continue;
                };
                let virtual_nic =
                    VIRTUAL.iter().any(|class| is_inside(&target, &format!("devices/virtual/{class}")))
                        || target == "devices/virtual/misc/rdma_cm";
                let foreign = foreign.iter().any(|function| is_inside(&target, function));
                let shown = self.view.links.contains_key(&path);
                // A bridge is not shown whole, for what is below it would be seen.
                let bridge = device::is_pci_address(split(&target).1);
                if virtual_nic || foreign || shown || bridge {
                    continue;
                }
                let device = self.link(&path)?;
                if !ancestors(&device).any(|above| self.view.mounts.contains(above)) {
                    self.view.mounts.insert(device);
                }
            }
        }
        Ok(())
    }
}
