//! The lab's NICs and VICs: named, addressed and up.

use super::wait;
use crate::lab::machine::mac;
use crate::vic;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// An e1000e finds its link about two seconds after it was set up, longer on a busy host.
pub const LINK_SECONDS: u64 = 30;

/// A NIC as the lab promises it.
pub struct Nic {
    pub name: String,
    mac: String,
    addresses: [String; 2],
}

/// NIC 1 is eth0.
pub fn nics(count: u8) -> Vec<Nic> {
    let nic = |nic: u8| Nic {
        name: format!("eth{}", nic - 1),
        mac: mac(nic),
        addresses: [format!("10.77.{nic}.1/24"), format!("fd77:{nic:x}::1/64")],
    };
    (1..=count).map(nic).collect()
}

/// VIC 1 is vic0.
pub fn vics(count: u8) -> Vec<Nic> {
    let vic = |vic: u8| Nic {
        name: vic::name(vic),
        mac: vic::mac(vic),
        addresses: [format!("10.78.{vic}.1/24"), format!("fd78:{vic:x}::1/64")],
    };
    (1..=count).map(vic).collect()
}

/// Gives all of them their names, in one go.
pub fn name(all: &[&Nic]) -> Result<()> {
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
    wait::until(&format!("{} NICs exist", all.len()), 10, || {
        by_mac().is_ok_and(|found| all.iter().all(|nic| found.contains_key(&nic.mac)))
    })?;
    ip(&renaming(&by_mac()?, all)?)
}

/// Gives them their addresses and sets them up.
pub fn set_up(nics: &[Nic]) -> Result<()> {
    for Nic { name, .. } in nics {
        // It may have come before the default was set, and then a NIC that returns looks for duplicates for a second, each time.
        let setting = format!("/proc/sys/net/ipv6/conf/{name}/accept_dad");
        fs::write(&setting, "0").with_context(|| format!("cannot set {setting}"))?;
    }
    if nics.is_empty() { Ok(()) } else { ip(&setting_up(nics)) }
}

/// Every NIC has carrier, and the kernel has told everybody: up to a second later (net/core/link_watch.c).
pub fn await_link(nics: &[Nic]) -> Result<()> {
    for Nic { name, .. } in nics {
        let state = format!("/sys/class/net/{name}/operstate");
        wait::until(&format!("{name} is up, with carrier"), LINK_SECONDS, || {
            fs::read_to_string(&state).is_ok_and(|text| text.trim() == "up")
        })?;
    }
    Ok(())
}

/// Lines for `ip -batch`.
fn renaming(found: &BTreeMap<String, String>, all: &[&Nic]) -> Result<String> {
    let mut script = "link set lo up\n".to_owned();
    // The kernel gave out eth0, eth1, … in its own order: first out of the way.
    for (index, nic) in all.iter().enumerate() {
        let Some(kernel_name) = found.get(&nic.mac) else { bail!("no NIC has the address {}", nic.mac) };
        writeln!(script, "link set dev {kernel_name} name nic{index}")?;
    }
    for (index, nic) in all.iter().enumerate() {
        writeln!(script, "link set dev nic{index} name {}", nic.name)?;
    }
    Ok(script)
}

fn setting_up(nics: &[Nic]) -> String {
    let lines = nics.iter().map(|Nic { name, addresses: [ipv4, ipv6], .. }| {
        format!(
            "link set dev {name} up\naddress add {ipv4} dev {name}\naddress add {ipv6} dev {name} nodad\n"
        )
    });
    lines.collect()
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
        let found =
            [(mac(1), "eth1".to_owned()), (mac(2), "eth2".to_owned()), (vic::mac(1), "eth0".to_owned())]
                .into();
        let (nics, vics) = (nics(2), vics(1));
        let script = renaming(&found, &nics.iter().chain(&vics).collect::<Vec<_>>()).expect("a script");
        let lines: Vec<_> = script.lines().collect();
        assert_eq!(
            lines[1..],
            [
                "link set dev eth1 name nic0",
                "link set dev eth2 name nic1",
                "link set dev eth0 name nic2",
                "link set dev nic0 name eth0",
                "link set dev nic1 name eth1",
                "link set dev nic2 name vic0"
            ]
        );
    }

    #[test]
    fn every_nic_and_vic_has_a_subnet_of_its_own() {
        let script = setting_up(&nics(2)) + &setting_up(&vics(2));
        let lines: Vec<_> = script.lines().collect();
        assert!(lines.contains(&"address add fd77:2::1/64 dev eth1 nodad"));
        assert!(lines.contains(&"address add 10.78.2.1/24 dev vic1"));
    }

    #[test]
    fn a_missing_nic_is_named() {
        let nics = nics(1);
        let missing = renaming(&BTreeMap::new(), &[&nics[0]]).unwrap_err();
        assert!(missing.to_string().contains("52:54:00:4e:49:01"));
    }
}
