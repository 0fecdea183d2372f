//! RDMA ports whose netdev is another device's, tied to what has it.

use super::in_use::Signs;
use super::netdevs::FoundNetdev;
use crate::model::{CarriedPort, InUse, Nic, PortElsewhere, is_soft};

/// Ties NICs together, and RDMA devices to netdevs that are no NIC's. The netdevs are those that the RDMA core names (`ib_device_get_netdev()`).
pub fn find(nics: &mut [Nic], netdevs: &[FoundNetdev]) {
    let mut ties = Vec::new();
    for nic in nics.iter() {
        let hardware =
            nic.rdma_devices.iter().filter(|device| !device.driver.as_deref().is_some_and(is_soft));
        for (device, port) in hardware.flat_map(|device| device.ports.iter().map(move |port| (device, port)))
        {
            let Some(name) = &port.netdev else { continue };
            if nic.netdevs.iter().any(|netdev| netdev.name == *name) {
                continue;
            }
            let Some(found) = netdevs.iter().find(|found| found.netdev.name == *name) else { continue };
            let owner = nics.iter().find(|nic| nic.netdevs.iter().any(|netdev| netdev.name == *name));
            let tie = PortElsewhere {
                device: device.name.clone(),
                port: port.number,
                netdev: found.netdev.clone(),
                nic: owner.map(Nic::key),
            };
            ties.push((nic.key(), tie));
        }
    }
    for (key, tie) in ties {
        let is_leg = |ifindex: u32| {
            let of = netdevs.iter().find(|found| found.netdev.ifindex == ifindex);
            of.and_then(|found| found.master) == Some(tie.netdev.ifindex)
        };
        for nic in nics.iter_mut() {
            let own = nic.key();
            let carried = |is_leg| CarriedPort {
                device: tie.device.clone(),
                port: tie.port,
                netdev: tie.netdev.name.clone(),
                nic: key.clone(),
                is_leg,
            };
            if tie.nic.as_ref() == Some(&own) {
                nic.carries.push(carried(false));
            } else if nic.netdevs.iter().any(|netdev| is_leg(netdev.ifindex)) {
                nic.carries.push(carried(true));
            }
            if own == key {
                nic.ports_elsewhere.push(tie.clone());
            }
        }
    }
}

/// Whatever uses the one end of a tie uses the other: signs that are known of each go to both.
pub fn share_use(nics: &mut [Nic], signs: &Signs) {
    let of_key = |key: &String| nics.iter().find(|nic| nic.key() == *key);
    let mut found = Vec::new();
    for nic in nics.iter() {
        let mut more = Vec::new();
        for tie in &nic.ports_elsewhere {
            let of_netdev = signs.of_netdev(&tie.netdev);
            if tie.nic.is_none() || !of_netdev.is_empty() {
                more.push(sign(&tie.device, tie.port, &tie.netdev.name));
                more.extend(of_netdev);
            }
        }
        for tie in &nic.carries {
            let users = of_key(&tie.nic)
                .into_iter()
                .flat_map(|other| &other.in_use)
                .filter(|sign| is_of_device(sign));
            let users: Vec<InUse> = users.cloned().collect();
            if tie.is_leg || !users.is_empty() {
                more.push(sign(&tie.device, tie.port, &tie.netdev));
                more.extend(users);
            }
        }
        found.push(more);
    }
    for (nic, more) in nics.iter_mut().zip(found) {
        for sign in more {
            if !nic.in_use.contains(&sign) {
                nic.in_use.push(sign);
            }
        }
        nic.ports_elsewhere.iter_mut().for_each(|tie| tie.netdev.routes.clear());
    }
}

fn sign(device: &str, port: u32, netdev: &str) -> InUse {
    InUse::PortElsewhere { device: device.to_owned(), port, netdev: netdev.to_owned() }
}

fn is_of_device(sign: &InUse) -> bool {
    matches!(sign, InUse::OpenNode { .. } | InUse::DriverNode { .. } | InUse::KernelUser { .. })
}
