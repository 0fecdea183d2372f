//! Soft-RoCE devices: rxe0 on eth0, and so on.

use super::nics::Nic;
use super::wait;
use anyhow::{Context, Result, bail};
use std::process::Command;

pub fn add(nics: &[Nic]) -> Result<()> {
    for (index, Nic { name: netdev, .. }) in nics.iter().enumerate() {
        let name = format!("rxe{index}");
        let mut rdma = Command::new("rdma");
        let status = rdma
            .args(["link", "add", &name, "type", "rxe", "netdev", netdev])
            .status()
            .context("cannot start rdma")?;
        if !status.success() {
            bail!("rdma could not add {name} to {netdev}; the console has its words");
        }
    }
    Ok(())
}

/// Lets every RDMA device be in one network namespace only.
pub fn set_exclusive() -> Result<()> {
    let status = Command::new("rdma").args(["system", "set", "netns", "exclusive"]).status();
    if !status.context("cannot start rdma")?.success() {
        bail!("the RDMA network namespaces could not be made exclusive; the console has rdma's words");
    }
    Ok(())
}

/// A device's port follows its NIC's carrier.
pub fn await_active(nics: &[Nic]) -> Result<()> {
    (0..nics.len()).try_for_each(|index| wait::until_active(&format!("rxe{index}")))
}
