//! The lab's NICs: named, addressed and up.

use super::wait;
use crate::lab::machine::mac;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// An e1000e finds its link about two seconds after it was set up, longer on a busy host.
const LINK_SECONDS: u64 = 30;

/// NIC 1 is eth0.
pub fn name(nic: u8) -> String {
    format!("eth{}", nic - 1)
}

/// Gives the NICs their names and addresses and sets them up, in one go.
pub fn configure(nics: u8) -> Result<()> {
    // NICs on one switch must not answer for each other (the peer would reach an RDMA device at the wrong one), and
    // addresses must be usable at once.
    for (setting, value) in [
        ("ipv4/conf/all/arp_ignore", "1"),
        ("ipv4/conf/all/arp_announce", "2"),
        ("ipv6/conf/all/accept_dad", "0"),
        ("ipv6/conf/default/accept_dad", "0"),
    ] {
        fs::write(format!("/proc/sys/net/{setting}"), value)
            .with_context(|| format!("cannot set {setting}"))?;
    }
    wait::until(&format!("{nics} NICs exist"), 10, || {
        by_mac().is_ok_and(|found| found.len() >= usize::from(nics))
    })?;
    ip(&script(&by_mac()?, nics)?)
}

/// Every NIC has carrier.
pub fn await_link(nics: u8) -> Result<()> {
    for nic in (1..=nics).map(name) {
        let carrier = format!("/sys/class/net/{nic}/carrier");
        wait::until(&format!("{nic} has carrier"), LINK_SECONDS, || {
            fs::read_to_string(&carrier).is_ok_and(|text| text.trim() == "1")
        })?;
    }
    Ok(())
}

/// Lines for `ip -batch`.
fn script(found: &BTreeMap<String, String>, nics: u8) -> Result<String> {
    let mut script = "link set lo up\n".to_owned();
    // The kernel gave out eth0, eth1, … in its own order: first out of the way.
    for nic in 1..=nics {
        let Some(kernel_name) = found.get(&mac(nic)) else { bail!("no NIC has the address {}", mac(nic)) };
        writeln!(script, "link set dev {kernel_name} name nic{nic}")?;
    }
    for nic in 1..=nics {
        let name = name(nic);
        writeln!(script, "link set dev nic{nic} name {name}")?;
        writeln!(script, "link set dev {name} up")?;
        writeln!(script, "address add 10.77.{nic}.1/24 dev {name}")?;
        writeln!(script, "address add fd77:{nic:x}::1/64 dev {name} nodad")?;
    }
    Ok(script)
}

/// MAC address to the name the kernel gave, of everything that is a device (so not `lo`).
fn by_mac() -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/sys/class/net")?.flatten() {
        if entry.path().join("device").exists() {
            let mac = fs::read_to_string(entry.path().join("address"))?;
            found.insert(mac.trim().to_owned(), entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

fn ip(script: &str) -> Result<()> {
    let mut child =
        Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("cannot start ip")?;
    child.stdin.take().context("no pipe")?.write_all(script.as_bytes())?;
    if !child.wait()?.success() {
        bail!("ip could not configure the NICs; the console has its words");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_mac_addresses_whatever_the_kernel_called_them() {
        let found = [(mac(1), "eth1".to_owned()), (mac(2), "eth0".to_owned())].into();
        let script = script(&found, 2).expect("a script");
        let lines: Vec<_> = script.lines().collect();
        assert_eq!(
            lines[1..4],
            ["link set dev eth1 name nic1", "link set dev eth0 name nic2", "link set dev nic1 name eth0"]
        );
        assert!(lines.contains(&"address add fd77:2::1/64 dev eth1 nodad"));
    }

    #[test]
    fn a_missing_nic_is_named() {
        assert!(script(&BTreeMap::new(), 1).unwrap_err().to_string().contains("52:54:00:4e:49:01"));
    }
}
