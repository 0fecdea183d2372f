//! The host as it is: sysfs, procfs and netlink, each read once, become a [`Host`].

mod addresses;
mod group;
mod in_use;
mod isolation;
mod kind;
mod links;
mod memlock;
mod netdevs;
mod pci;
mod pci_path;
mod ports;
mod rdma;
mod routes;
mod sysfs;
pub(crate) mod tcp;
mod usnic;

use std::collections::BTreeMap;
use std::io;

use nicdock_netlink::ParseError;
use nicdock_netlink::rdma::{NetnsMode, parse_netns_mode};

use crate::model::{Host, RdmaNetnsMode, UsnicPool};
use crate::source::{Dump, Source};
pub use isolation::judge;
pub(crate) use links::addresses as link_addresses;
use pci::Functions;
use sysfs::Sysfs;

/// Why a host cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    #[error("cannot read {path}: {source}; is /proc mounted, or the capture complete?")]
    Read { path: String, source: io::Error },
    #[error("cannot list {what}: {source}; a capture from the same machine would help to find out why")]
    Netlink { what: &'static str, source: io::Error },
    #[error(
        "the {what} are not valid netlink data: {source}; nothing is concluded from them: \
         if this is a live machine please report it, if a capture take it anew"
    )]
    Malformed { what: &'static str, source: ParseError },
}

/// Reads the machine behind `source`.
///
/// Costs one readlink and one read for every PCI function, about ten reads more for each that is a NIC, and no child
/// process. What cannot be read of a single NIC is a warning in [`Host::warnings`]; lists that everything hangs on
/// (interfaces, addresses, routes, RDMA devices) are an error.
pub fn read(source: &dyn Source) -> Result<Host, InventoryError> {
    let sysfs = Sysfs::new(source);
    let kernel = kernel_release(source)?;
    let links =
        links::parse(&dump(source, Dump::Links, "network interfaces")?).map_err(malformed("interfaces"))?;
    let addresses = dump(source, Dump::Addresses, "addresses")?;
    let addresses = addresses::parse(&addresses).map_err(malformed("addresses"))?;
    let routes = dump(source, Dump::Routes, "routes")?;
    let routes = routes::parse(&routes).map_err(malformed("routes"))?;

    let mut functions = Functions::scan(&sysfs);
    let rdma = rdma::read(source, &sysfs)?;
    if routes.without_interface > 0 {
        let count = routes.without_interface;
        sysfs.warn(format!(
            "{count} routes name a nexthop object only: by which NIC they leave is not known \
             (sysctl net.ipv4.nexthop_compat_mode=1 shows it)"
        ));
    }
    let netdevs = netdevs::read(&sysfs, &links, addresses, routes.by_interface);
    let mut nics = group::nics(&sysfs, &mut functions, netdevs, rdma.devices);

    let uses =
        in_use::Signs::read(source, &sysfs, &links, nics.iter().any(|nic| nic.nodes().next().is_some()));
    for nic in &mut nics {
        nic.isolation = isolation::of(nic, rdma.netns_mode);
        nic.in_use = uses.of(nic);
    }
    let has_rdma = nics.iter().any(|nic| !nic.rdma_devices.is_empty());
    let memlock = if has_rdma { memlock::limit(source) } else { None };
    let pci = functions.into_relevant(&sysfs, &nics);
    nics.iter().filter_map(|nic| usnic::idle_pool(nic, &pci)).for_each(|warning| sysfs.warn(warning));
    Ok(Host {
        kernel,
        rdma_netns_mode: rdma.netns_mode,
        pci,
        nics,
        rdma_cm: rdma.cm,
        memlock,
        warnings: sysfs.into_warnings(),
    })
}

/// The pool of the usNIC device at `sysfs` (a path below `/sys`) as it is now; zeroes if it is not there.
pub fn usnic_pool(source: &dyn Source, sysfs: &str) -> UsnicPool {
    usnic::pool(&Sysfs::new(source), sysfs)
}

fn kernel_release(source: &dyn Source) -> Result<String, InventoryError> {
    let path = "proc/sys/kernel/osrelease";
    let bytes =
        source.read(path).map_err(|source| InventoryError::Read { path: format!("/{path}"), source })?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn dump(source: &dyn Source, dump: Dump, what: &'static str) -> Result<Vec<u8>, InventoryError> {
    source.dump(dump).map_err(|source| InventoryError::Netlink { what, source })
}

fn malformed(what: &'static str) -> impl Fn(ParseError) -> InventoryError {
    move |source| InventoryError::Malformed { what, source }
}

/// What is known of each interface, by its index.
type ByIndex<T> = BTreeMap<u32, T>;

fn netns_mode(source: &dyn Source) -> Result<RdmaNetnsMode, InventoryError> {
    // Kernels before 5.2 do not know the question; they share.
    let answer = source.dump(Dump::RdmaSystem).unwrap_or_default();
    let mode = parse_netns_mode(&answer).map_err(malformed("RDMA settings"))?;
    Ok(match mode {
        Some(NetnsMode::Exclusive) => RdmaNetnsMode::Exclusive,
        Some(NetnsMode::Shared) | None => RdmaNetnsMode::Shared,
    })
}
