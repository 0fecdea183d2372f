//! Counts a used virtual function or sub-function as a use of its physical function: who has that sees and sets them.

use crate::model::{InUse, LinkLayer, Nic, PciAddress, PciFunction};

/// Signs that a part of `nic` is in use, for each part one.
pub fn signs(
    nic: &Nic,
    nics: &[Nic],
    mut function: impl FnMut(PciAddress) -> Option<PciFunction>,
) -> Vec<InUse> {
    let Some(address) = nic.whole_function() else { return Vec::new() };
    let vfs = function(address).map(|function| function.vfs).unwrap_or_default();
    let of_vfs = vfs.iter().filter_map(|vf| {
        let vf = function(*vf).filter(|vf| !vf.is_usnic_vf())?;
        let nic = nics.iter().find(|nic| nic.whole_function() == Some(vf.address));
        let why = why_vf(&vf, nic)?;
        Some(InUse::VfInUse { vf: vf.address.to_string(), why })
    });
    let of_vfs: Vec<InUse> = of_vfs.collect();
    let subfunctions = nics.iter().filter(|other| other.pci == Some(address) && other.auxiliary.is_some());
    let of_subfunctions = subfunctions.filter_map(|other| {
        let why = other.in_use.first()?.to_string();
        Some(InUse::VfInUse { vf: other.key(), why })
    });
    of_vfs.into_iter().chain(of_subfunctions).collect()
}

fn why_vf(vf: &PciFunction, nic: Option<&Nic>) -> Option<String> {
    let driver = vf.driver.as_deref()?;
    if driver.contains("vfio") {
        return Some(format!("{driver} has it, for a virtual machine or a program"));
    }
    let nic = nic?;
    if let Some(sign) = nic.in_use.first() {
        return Some(sign.to_string());
    }
    // An InfiniBand one has a netdev only where ib_ipoib is loaded.
    let mut ports = nic.rdma_devices.iter().flat_map(|device| &device.ports);
    let is_here = !nic.netdevs.is_empty() || ports.any(|port| port.link_layer == LinkLayer::InfiniBand);
    (!is_here).then(|| format!("{driver} has it, and its netdev is in another network namespace"))
}
