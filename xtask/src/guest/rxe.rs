//! Soft-RoCE devices: rxe0 on eth0, and so on.

use super::{nics, wait};
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::Command;

pub fn add(count: u8) -> Result<()> {
    for (index, netdev) in (1..=count).map(nics::name).enumerate() {
        let name = format!("rxe{index}");
        let mut rdma = Command::new("rdma");
        let status = rdma
            .args(["link", "add", &name, "type", "rxe", "netdev", &netdev])
            .status()
            .context("cannot start rdma")?;
        if !status.success() {
            bail!("rdma could not add {name} to {netdev}; the console has its words");
        }
    }
    Ok(())
}

/// A device's port follows its NIC's carrier.
pub fn await_active(count: u8) -> Result<()> {
    for index in 0..count {
        let state = format!("/sys/class/infiniband/rxe{index}/ports/1/state");
        wait::until(&format!("rxe{index} is active"), 10, || {
            fs::read_to_string(&state).is_ok_and(|text| text.contains("ACTIVE"))
        })?;
    }
    Ok(())
}
