//! usNIC, the VICs' RDMA devices: usnic_0 is vic0's, and so on.

use super::nics::Nic;
use super::{modules, wait};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Loads the driver. Before other RDMA devices exist, so that usnic_I is uverbsI; and before the VICs have addresses: the
/// driver learns those from events, and of one that was there before it makes no GID.
pub fn load(driver: &[PathBuf], vics: &[Nic]) -> Result<()> {
    modules::load(driver)?;
    if without_iommu() {
        return Ok(());
    }
    for (index, Nic { name, .. }) in vics.iter().enumerate() {
        // The kernel numbers them in the order of their PCI functions, which is that of the VICs.
        for promised in [format!("infiniband/usnic_{index}"), format!("infiniband_verbs/uverbs{index}")] {
            if !Path::new("/sys/class/net").join(name).join("device").join(&promised).exists() {
                bail!(
                    "{name} has no {promised}: its usNIC did not come, or in another order; the console has more"
                );
            }
        }
    }
    Ok(())
}

/// A device's port is active when its driver knows of carrier and an IPv4 address.
pub fn await_active(vics: &[Nic]) -> Result<()> {
    if without_iommu() {
        return Ok(());
    }
    (0..vics.len()).try_for_each(|index| wait::until_active(&format!("usnic_{index}")))
}

/// The caller said `--append intel_iommu=off`, to see what becomes of usNIC then: its driver takes no VF.
fn without_iommu() -> bool {
    std::fs::read_to_string("/proc/cmdline")
        .is_ok_and(|line| line.split_whitespace().any(|word| word == "intel_iommu=off"))
}
