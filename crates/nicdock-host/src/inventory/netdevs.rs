//! Netdevs: what netlink and sysfs say of each, put together.

use super::ByIndex;
use super::links::Link;
use super::pci_path;
use super::sysfs::Sysfs;
use crate::model::{Address, Netdev, PciAddress, Route};

/// A netdev and the PCI function that it belongs to; `None` for a virtual one.
pub struct FoundNetdev {
    pub function: Option<PciAddress>,
    pub netdev: Netdev,
}

/// Every netdev that can be (part of) a NIC: not the loopback, nor what hangs on a USB or other bus.
pub fn read(
    sysfs: &Sysfs,
    links: &ByIndex<Link>,
    mut addresses: ByIndex<Vec<Address>>,
    mut routes: ByIndex<Vec<Route>>,
) -> Vec<FoundNetdev> {
    let mut found = Vec::new();
    for (index, link) in links.iter().filter(|(_, link)| !link.loopback) {
        let Some(path) = sysfs.target(&format!("class/net/{}", link.name)) else {
            sysfs.warn(format!(
                "{} is not in /sys/class/net and is left out: it was just removed, or /sys is that of another \
                 network namespace (mount one of your own)",
                link.name
            ));
            continue;
        };
        let is_virtual = path.starts_with("devices/virtual/");
        let on = pci_path::cut(&path).filter(pci_path::PciPath::is_direct);
        if on.is_none() && !is_virtual {
            continue;
        }
        let function = on.map(|on| on.function);
        let netdev = Netdev {
            name: link.name.clone(),
            ifindex: *index,
            altnames: link.altnames.clone(),
            mac: link.mac.clone(),
            permanent_mac: link.permanent_mac.clone(),
            link_type: link.hardware,
            dev_port: function.and_then(|_| sysfs.number(&format!("{path}/dev_port"))).unwrap_or(0),
            mtu: link.mtu,
            up: link.up,
            carrier: link.carrier,
            speed_mbps: function.filter(|_| link.up).and_then(|_| speed(sysfs, &path)),
            virtual_kind: link.kind.clone().filter(|_| is_virtual),
            sysfs: path,
            addresses: addresses.remove(index).unwrap_or_default(),
            routes: routes.remove(index).unwrap_or_default(),
        };
        found.push(FoundNetdev { function, netdev });
    }
    found
}

/// `speed_show()` of `net/core/net-sysfs.c`: Mbit/s, -1 where it is not known, `EINVAL` without a carrier on most.
fn speed(sysfs: &Sysfs, path: &str) -> Option<u32> {
    let speed: i64 = sysfs.text_if_told(&format!("{path}/speed"))?.parse().ok()?;
    u32::try_from(speed).ok().filter(|mbps| (1..u32::MAX).contains(mbps))
}
