//! Netdevs that a card makes in its function's folder and that are not the function's: ports of its own switch.

use std::collections::{BTreeMap, BTreeSet};

use super::netdevs::{FoundNetdev, Home};
use crate::model::{PciAddress, RdmaDevice, Representor};

/// The netdevs that the ports of hardware RDMA devices have: by the function or sub-function of the device, the device and the port's number.
#[derive(Default)]
pub struct Named(BTreeMap<Place, BTreeMap<(String, u32), String>>);

/// A function, or a sub-function of it.
type Place = (PciAddress, Option<String>);

impl Named {
    pub fn add(&mut self, home: &Home, device: &RdmaDevice) {
        let Some(place) = place(home) else { return };
        for port in &device.ports {
            if let Some(netdev) = &port.netdev {
                let ports = self.0.entry(place.clone()).or_default();
                ports.insert((device.name.clone(), port.number), netdev.clone());
            }
        }
    }

    /// The function's own among its netdevs, by index; `None` if no port has any of them. In switchdev mode mlx5's device has a port for each
    /// representor behind port 1 (`mlx5_ib_vport_rep_load()`, drivers/infiniband/hw/mlx5/ib_rep.c), all with the same `dev_port`; a card's own
    /// ports differ in that.
    fn own(&self, of: &Place, netdevs: &[FoundNetdev]) -> Option<BTreeSet<u32>> {
        let (mut own, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for ((device, _), name) in self.0.get(of)? {
            let is_it =
                |found: &&FoundNetdev| found.netdev.name == *name && place(&found.home).as_ref() == Some(of);
            let Some(found) = netdevs.iter().find(is_it) else { continue };
            if taken.insert((device, found.netdev.dev_port)) {
                own.insert(found.netdev.ifindex);
            }
        }
        Some(own).filter(|own| !own.is_empty())
    }
}

fn place(home: &Home) -> Option<Place> {
    match home {
        Home::Function(address) => Some((*address, None)),
        Home::Subfunction(address, auxiliary) => Some((*address, Some(auxiliary.clone()))),
        Home::Virtual | Home::OtherBus => None,
    }
}

/// Takes those that represent something else out of `netdevs`. The driver's word counts (`phys_port_name`). Where it says nothing, the
/// RDMA device's does: on a function one of whose own netdevs is a port's, another one is not the NIC's. An `IPoIB` netdev is named for no
/// port, and stays.
pub fn take_out(netdevs: &mut Vec<FoundNetdev>, named: &Named) -> Vec<Representor> {
    let own: BTreeMap<Place, BTreeSet<u32>> =
        named.0.keys().filter_map(|place| Some((place.clone(), named.own(place, netdevs)?))).collect();
    let mut representors = Vec::new();
    netdevs.retain(|found| {
        let Some(place) = place(&found.home) else { return true };
        let port = found.port_name.clone().filter(|name| represents(name));
        let is_no_port = own.get(&place).is_some_and(|own| !own.contains(&found.netdev.ifindex));
        let is_out = port.is_some() || (is_no_port && !found.netdev.is_ipoib());
        if is_out {
            let netdev = &found.netdev;
            representors.push(Representor {
                netdev: netdev.name.clone(),
                altnames: netdev.altnames.clone(),
                function: place.0,
                port,
            });
        }
        !is_out
    });
    representors.sort_by(|a, b| a.netdev.cmp(&b.netdev));
    representors
}

/// Whether a port of this name stands for a function or sub-function (`__devlink_port_phys_port_name_get()` of net/devlink/port.c): `pf0`,
/// `pf0vf3`, `pf0sf88`, each also behind the number of another controller (`c1pf0vf3`). `p0`, the function's own uplink, does not.
fn represents(name: &str) -> bool {
    let mut rest = name;
    if let Some(behind) = number_behind(rest, "c") {
        rest = behind;
    }
    let Some(behind) = number_behind(rest, "pf") else { return false };
    let behind = number_behind(behind, "vf").or_else(|| number_behind(behind, "sf")).unwrap_or(behind);
    behind.is_empty()
}

/// What comes behind `word` and a number.
fn number_behind<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    (behind.len() < rest.len()).then_some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_stand_for_functions_are_told_from_the_uplink() {
        for name in ["pf0", "pf0vf3", "pf1sf88", "c1pf0", "c1pf0vf12", "c2pf1sf4"] {
            assert!(represents(name), "{name}");
        }
        for name in ["p0", "p1", "p0s1", "pf", "pfx", "", "pf0vf", "c1", "pf0vf3x", "np0"] {
            assert!(!represents(name), "{name}");
        }
    }
}
