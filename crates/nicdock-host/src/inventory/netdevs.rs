//! Netdevs: what netlink and sysfs say of each, put together.

use nicdock_netlink::ParseError;

use super::ByIndex;
use super::links::Link;
use super::pci_path;
use super::sysfs::Sysfs;
use crate::model::{Address, Netdev, PciAddress, Route};

/// A netdev and what it belongs to.
pub struct FoundNetdev {
    pub home: Home,
    pub netdev: Netdev,
    /// What its driver calls the port of the card.
    pub port_name: Option<String>,
    /// Index of the bond, bridge or team that it is a member of.
    pub master: Option<u32>,
}

/// What a netdev, or an RDMA device, belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    Function(PciAddress),
    /// A sub-function: its function and its auxiliary device.
    Subfunction(PciAddress, String),
    Virtual,
    /// USB, VMBus, the platform's own.
    OtherBus,
}

impl Home {
    pub fn function(&self) -> Option<PciAddress> {
        match self {
            Self::Function(address) | Self::Subfunction(address, _) => Some(*address),
            Self::Virtual | Self::OtherBus => None,
        }
    }
}

/// What netlink tells of interfaces, by their index.
pub struct Found {
    pub addresses: ByIndex<Vec<Address>>,
    pub routes: ByIndex<Vec<Route>>,
    pub unread: ByIndex<Vec<ParseError>>,
    pub lost: ByIndex<Vec<String>>,
}

/// Every netdev but the loopback.
pub fn read(
    sysfs: &Sysfs,
    links: &ByIndex<Link>,
    Found { mut addresses, mut routes, mut unread, mut lost }: Found,
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
        let home = match (&on, is_virtual) {
            (_, true) => Home::Virtual,
            (None, false) => Home::OtherBus,
            (Some(on), false) => match on.subfunction() {
                Some(auxiliary) => Home::Subfunction(on.function, auxiliary.to_owned()),
                None => Home::Function(on.function),
            },
        };
        let function = home.function();
        let unread: Vec<String> = link
            .unread
            .iter()
            .chain(&unread.remove(index).unwrap_or_default())
            .map(ToString::to_string)
            .collect();
        if !unread.is_empty() {
            sysfs.warn(format!("not everything of {} is understood: {}", link.name, unread.join("; ")));
        }
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
            addresses: addresses.remove(index).unwrap_or_default(),
            routes: routes.remove(index).unwrap_or_default(),
            uppers: uppers(sysfs, &path),
            lost: lost.remove(index).unwrap_or_default(),
            unread,
            sysfs: path,
        };
        found.push(FoundNetdev { home, netdev, port_name: link.port_name.clone(), master: link.master });
    }
    found
}

/// Those of the same network namespace (`netdev_adjacent_sysfs_add()`, net/core/dev.c).
fn uppers(sysfs: &Sysfs, path: &str) -> Vec<String> {
    let names = sysfs.list(path);
    let uppers = names.iter().filter_map(|name| name.strip_prefix("upper_"));
    // Asked for, so that a capture has it.
    uppers.filter(|name| sysfs.target(&format!("{path}/upper_{name}")).is_some()).map(str::to_owned).collect()
}

/// `speed_show()` of `net/core/net-sysfs.c`: Mbit/s, -1 where it is not known, `EINVAL` without a carrier on most.
fn speed(sysfs: &Sysfs, path: &str) -> Option<u32> {
    let speed: i64 = sysfs.text_if_told(&format!("{path}/speed"))?.parse().ok()?;
    u32::try_from(speed).ok().filter(|mbps| (1..u32::MAX).contains(mbps))
}
