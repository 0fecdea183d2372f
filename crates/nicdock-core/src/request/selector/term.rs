//! One condition of a selector.

use std::fmt;

use nicdock_host::model::{CpuSet, Distance, Host, Link, Nic, NicKind, PciAddress, Speed};

use nicdock_netlink::name;

use crate::request::AddressWithPrefix;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// An RDMA device or a netdev.
    Named(String),
    Pci(PciAddress),
    Kind(NicKind),
    Numa(u32),
    Subnet(AddressWithPrefix),
    /// At least so fast.
    Speed(Speed),
    /// Of the PCI function, of an RDMA device, or the kind of a virtual netdev.
    Driver(String),
    /// `Link::state`
    Link(String),
    /// As near as any of those that match the other terms.
    Near(Place),
    /// No container has it, and the host does not use it.
    Free,
    /// Whichever comes first of those that match the other terms.
    Any,
}

/// What a NIC may be near to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Cpus(CpuSet),
    Device(PciAddress),
}

impl Place {
    fn parse(value: &str) -> Result<Self, String> {
        let Some(list) = value.strip_prefix("cpu:") else {
            return value.parse().map(Self::Device).map_err(|error| format!("{error}, or cpu:0-15"));
        };
        // A comma would end the term.
        let cpus: CpuSet = list.replace('+', ",").parse()?;
        if cpus.is_empty() {
            Err(format!("'{value}' names no processor: cpu:0-15+32-47"))
        } else {
            Ok(Self::Cpus(cpus))
        }
    }

    /// `None` where it is not known.
    pub fn distance(&self, host: &Host, nic: &Nic) -> Option<Distance> {
        match self {
            Self::Cpus(cpus) => host.distance_to_cpus(nic, cpus),
            Self::Device(address) => host.distance_to_device(nic, *address),
        }
    }
}

/// Every term: how it is written, and what it means. Help, errors and docs/selectors.md are made from it.
pub const TERMS: [(&str, &str); 12] = [
    (
        "NAME",
        "the RDMA device or netdev of this name (rxe1, mlx5_0, enp6s0); a byte that is no printable ASCII, and a backslash, may be written \\xNN",
    ),
    ("0000:06:00.0", "the PCI function at this address"),
    ("kind=KIND", "usnic, roce, ib, iwarp, efa, soft-roce, soft-iwarp or ethernet"),
    ("numa=NODE", "on this NUMA node"),
    ("subnet=ADDRESS/LENGTH", "with an address of this subnet"),
    ("speed>=SPEED", "a link at least so fast, as its driver tells: 25G, 100G, 2.5G, 100M"),
    ("driver=NAME", "with this driver (mlx5_core, enic, rxe)"),
    ("link=STATE", "with its link in this state: up, down, no-carrier, init, armed, active_defer, unknown"),
    (
        "near=cpu:CPUS",
        "nearest of those that match to these processors (0-15, 0-15+32-47), as nicdock topo shows",
    ),
    ("near=0000:17:00.0", "nearest of those that match to the GPU, disk or NIC at this address"),
    ("free", "no container has it, and the host does not use it"),
    ("any", "whichever comes first of those that match; without it, two that match are an error"),
];

const STATES: [&str; 7] = ["up", "down", "no-carrier", "init", "armed", "active_defer", "unknown"];

impl Term {
    /// Errors: what is wrong with the word; `None`, it is empty.
    pub fn parse(word: &str) -> Result<Self, Option<String>> {
        if let Some(speed) = word.strip_prefix("speed>=") {
            return speed.parse().map(Self::Speed).map_err(Some);
        }
        match word.split_once('=') {
            Some((key, value)) => Self::with_value(key, value).map_err(Some),
            None if word.is_empty() => Err(None),
            None if word == "any" => Ok(Self::Any),
            None if word == "free" => Ok(Self::Free),
            None => Ok(word.parse().map_or_else(|_| Self::Named(name::canonical(word)), Self::Pci)),
        }
    }

    fn with_value(key: &str, value: &str) -> Result<Self, String> {
        match key {
            "kind" => {
                let kind = NicKind::ALL.into_iter().find(|kind| kind.as_str() == value);
                let known = || NicKind::ALL.map(NicKind::as_str).join(", ");
                kind.map(Self::Kind).ok_or_else(|| format!("no kind '{value}': one of {}", known()))
            }
            "numa" => value.parse().map(Self::Numa).map_err(|_| format!("'{value}' is no NUMA node number")),
            "subnet" => {
                value.parse().map(Self::Subnet).map_err(|e: super::super::ParseAddressError| e.to_string())
            }
            "driver" if value.is_empty() => Err("driver= names no driver".to_owned()),
            "driver" => Ok(Self::Driver(value.to_owned())),
            "link" if STATES.contains(&value) => Ok(Self::Link(value.to_owned())),
            "near" => Place::parse(value).map(Self::Near),
            "link" => Err(format!("no link is '{value}': one of {}", STATES.join(", "))),
            "speed" => Err(format!("speed={value}: at least so fast is speed>={value}")),
            _ => Err(format!("no term '{key}=': there are {}", written())),
        }
    }

    pub fn matches(&self, host: &Host, nic: &Nic) -> bool {
        match self {
            Self::Named(name) => {
                let no_nics =
                    nic.ports_elsewhere.iter().filter(|port| port.nic.is_none()).map(|port| &port.netdev);
                nic.name == *name
                    || nic.key() == *name
                    || nic.rdma_devices.iter().any(|d| d.name == *name)
                    || nic.netdevs.iter().chain(no_nics).any(|n| n.name == *name || n.altnames.contains(name))
            }
            Self::Pci(address) => nic.whole_function() == Some(*address),
            Self::Kind(kind) => nic.speaks(*kind),
            Self::Numa(node) => nic.numa_node == Some(*node),
            Self::Subnet(net) => {
                let elsewhere = nic.ports_elsewhere.iter().map(|port| &port.netdev);
                let mut addresses = nic.netdevs.iter().chain(elsewhere).flat_map(|netdev| &netdev.addresses);
                addresses.any(|address| net.contains(address.ip))
            }
            Self::Speed(least) => Link::of(nic).speed_mbps.is_some_and(|mbps| mbps >= least.mbps),
            Self::Driver(name) => {
                let function = nic.pci.and_then(|address| host.function(address));
                let own = function.and_then(|function| function.driver.as_ref());
                let devices = nic.rdma_devices.iter().filter_map(|device| device.driver.as_ref());
                let kinds = nic.netdevs.iter().filter_map(|netdev| netdev.virtual_kind.as_ref());
                own.into_iter().chain(devices).chain(kinds).any(|driver| driver == name)
            }
            Self::Link(state) => Link::of(nic).state == *state,
            // Whoever chooses leaves out those that are not; what is nearest only all terms together tell.
            Self::Free | Self::Any | Self::Near(_) => true,
        }
    }

    /// Does it say which NIC is meant, so that one without RDMA counts?
    pub fn is_explicit(&self) -> bool {
        matches!(self, Self::Named(_) | Self::Pci(_) | Self::Kind(_) | Self::Driver(_))
    }
}

/// How the terms are written, in a sentence.
pub fn written() -> String {
    let words = TERMS.map(|(word, _)| word);
    let (last, others) = words.split_last().expect("there are terms");
    format!("{} and {last}", others.join(", "))
}

/// A name as a word of a selector, also if it has what means something else there.
fn as_a_word(name: &str) -> String {
    let escape = |c: char| format!("\\x{:02x}", u32::from(c));
    let word: String =
        name.chars().map(|c| if matches!(c, ',' | '=' | ' ') { escape(c) } else { c.to_string() }).collect();
    match (Term::parse(&word), word.chars().next()) {
        (Ok(Term::Named(_)), _) | (_, None) => word,
        // `any`, an address of a PCI function.
        (_, Some(first)) => escape(first) + &word[first.len_utf8()..],
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(&as_a_word(name)),
            Self::Pci(address) => write!(f, "{address}"),
            Self::Kind(kind) => write!(f, "kind={kind}"),
            Self::Numa(node) => write!(f, "numa={node}"),
            Self::Subnet(net) => write!(f, "subnet={net}"),
            Self::Speed(speed) => write!(f, "speed>={speed}"),
            Self::Driver(name) => write!(f, "driver={name}"),
            Self::Link(state) => write!(f, "link={state}"),
            Self::Near(Place::Cpus(cpus)) => write!(f, "near=cpu:{}", cpus.to_string().replace(',', "+")),
            Self::Near(Place::Device(address)) => write!(f, "near={address}"),
            Self::Free => f.write_str("free"),
            Self::Any => f.write_str("any"),
        }
    }
}
