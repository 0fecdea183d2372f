//! Pretended InfiniBand HCAs: `hca0` on the first e1000e, `hca1` on the next, by a build of `rdma_rxe` made for tests only.
//!
//! `ib_ipoib` makes `ib0`, `ib1`, … beside them. An HCA's PCI function has no Ethernet netdev: what it has here is in a network
//! namespace of its own, `hidden-eth0`, where it must be up, so that the port is active.

use super::nics::{LINK_SECONDS, Nic};
use super::wait;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// NIC models take turns, and the first is an e1000e. (A virtio-net's netdev is not at the PCI function itself.)
const EVERY: usize = 2;

/// Makes so many of the NICs HCAs. Their links must be up: the driver asks for the carrier once, at its start.
pub fn add(nics: &[Nic], hcas: u8) -> Result<()> {
    let chosen = || nics.iter().step_by(EVERY).take(usize::from(hcas)).map(|nic| &nic.name);
    for (index, netdev) in chosen().enumerate() {
        let (hca, namespace) = (format!("hca{index}"), hidden(netdev));
        run(&["rdma", "link", "add", &hca, "type", "rxe", "netdev", netdev])?;
        run(&["ip", "netns", "add", &namespace])?;
        run(&["ip", "link", "set", netdev, "netns", &namespace])?;
        run(&["ip", "-n", &namespace, "link", "set", netdev, "up"])?;
        wait::until_active(&hca)?;
        let ipoib = format!("ib{index}");
        wait::until(&format!("{hca} has {ipoib}"), 10, || Path::new("/sys/class/net").join(&ipoib).exists())?;
    }
    // A device that is moved asks for the carrier anew.
    chosen().try_for_each(|netdev| {
        wait::until(&format!("{netdev} has its link again"), LINK_SECONDS, || has_link(netdev))
    })
}

fn hidden(netdev: &str) -> String {
    format!("hidden-{netdev}")
}

fn has_link(netdev: &str) -> bool {
    let output = Command::new("ip").args(["-n", &hidden(netdev), "-o", "link", "show", netdev]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("state UP"))
}

fn run(words: &[&str]) -> Result<()> {
    let (program, rest) = words.split_first().context("no words")?;
    let status =
        Command::new(program).args(rest).status().with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("`{}` failed ({status}); the console has its words", words.join(" "));
    }
    Ok(())
}
