//! The host as it is: sysfs, procfs and netlink, each read once, become a [`Host`].

mod addresses;
mod driver_nodes;
mod elsewhere;
mod group;
mod in_use;
mod isolation;
mod kernel_users;
mod kind;
mod links;
mod lost;
mod memlock;
mod netdevs;
mod nexthops;
mod pci;
mod pci_path;
mod ports;
mod rdma;
mod representors;
mod routes;
mod routing;
mod sysfs;
pub(crate) mod tcp;
mod topology;
mod usnic;
mod vfs;

use std::collections::BTreeMap;
use std::io;

use nicdock_netlink::ParseError;
use nicdock_netlink::rdma::{NetnsMode, parse_netns_mode};

use crate::model::{Host, Nic, RdmaNetnsMode, UsnicPool, own_nodes};
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
    let links::Links { by_index: links, unread } =
        links::parse(&dump(source, Dump::Links, "network interfaces")?).map_err(malformed("interfaces"))?;
    for error in &unread {
        sysfs.warn(format!("an interface is left out: {error}"));
    }
    let addresses = dump(source, Dump::Addresses, "addresses")?;
    let (addresses, mut unread) = addresses::parse(&addresses).map_err(malformed("addresses"))?;
    let routes = dump(source, Dump::Routes, "routes")?;
    let mut routes = routes::parse(&routes).map_err(malformed("routes"))?;
    unread.extend(std::mem::take(&mut routes.unread));
    let nexthops = match source.dump(Dump::Nexthops) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        answer => answer.map_err(|source| InventoryError::Netlink { what: "nexthop objects", source })?,
    };
    let (nexthops, unread_nexthops) = nexthops::parse(&nexthops).map_err(malformed("nexthop objects"))?;
    unread.extend(unread_nexthops);
    for error in &unread.of_nobody {
        sysfs.warn(format!(
            "an address, route or nexthop object is left out; which interface has it is not known: {error}"
        ));
    }

    let mut functions = Functions::scan(&sysfs);
    let rdma = rdma::read(source, &sysfs)?;
    if routes.without_interface > 0 {
        let count = routes.without_interface;
        sysfs.warn(format!(
            "{count} routes name a nexthop object only: by which NIC they leave is not known \
             (sysctl net.ipv4.nexthop_compat_mode=1 shows it)"
        ));
    }
    let own: Vec<_> = addresses.values().flatten().map(|address| address.ip).collect();
    let lost = lost::with_each(&routes, &nexthops, &addresses);
    let found = netdevs::Found { addresses, routes: routes.by_interface, unread: unread.by_interface, lost };
    let netdevs = netdevs::read(&sysfs, &links, found);
    let ways = in_use::Ways::of(&netdevs, own);
    let (mut nics, representors) = group::nics(&sysfs, &mut functions, netdevs, rdma.devices);

    let has_nodes = nics.iter().any(|nic| has_nodes(nic, &mut functions, &sysfs));
    let signs = in_use::Signs::read(source, &sysfs, &links, &ways, has_nodes);
    drop(ways);
    for nic in &mut nics {
        nic.isolation = isolation::of(nic, rdma.netns_mode);
        let function = nic.whole_function().and_then(|address| functions.get(&sysfs, address));
        nic.in_use = signs.of(nic, function);
        for device in &nic.rdma_devices {
            if let Some(index) = device.index {
                nic.in_use.extend(kernel_users::read(source, &sysfs, &device.name, index)?);
            }
        }
    }
    elsewhere::share_use(&mut nics, &signs);
    for at in 0..nics.len() {
        let of_parts = vfs::signs(&nics[at], &nics, |address| functions.get(&sysfs, address).cloned());
        nics[at].in_use.extend(of_parts);
    }
    let has_rdma = nics.iter().any(|nic| !nic.rdma_devices.is_empty());
    let memlock = if has_rdma { memlock::limit(source) } else { None };
    let topology = topology::read(&sysfs, &functions);
    let pci = functions.into_relevant(&sysfs, &nics);
    nics.iter().filter_map(|nic| usnic::idle_pool(nic, &pci)).for_each(|warning| sysfs.warn(warning));
    Ok(Host {
        kernel,
        rdma_netns_mode: rdma.netns_mode,
        pci,
        nics,
        representors,
        rdma_cm: rdma.cm,
        memlock,
        topology,
        warnings: sysfs.into_warnings(),
    })
}

/// Whether programs can have the NIC open, so that it is worth a look at every process.
fn has_nodes(nic: &Nic, functions: &mut Functions, sysfs: &Sysfs) -> bool {
    let driver = nic.pci.and_then(|address| functions.get(sysfs, address)?.driver.clone());
    let has_own = |driver: String| own_nodes(&driver).is_some() || driver.contains("vfio");
    nic.nodes().next().is_some() || driver.is_some_and(has_own)
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

/// Entries of a list that are not understood. They are nothing to the others.
#[derive(Default)]
struct Unread {
    by_interface: ByIndex<Vec<ParseError>>,
    /// Those that do not even tell their interface.
    of_nobody: Vec<ParseError>,
}

impl Unread {
    fn add(&mut self, interface: Option<u32>, error: ParseError) {
        match interface {
            Some(index) => self.by_interface.entry(index).or_default().push(error),
            None => self.of_nobody.push(error),
        }
    }

    fn extend(&mut self, other: Self) {
        for (index, errors) in other.by_interface {
            self.by_interface.entry(index).or_default().extend(errors);
        }
        self.of_nobody.extend(other.of_nobody);
    }
}

fn netns_mode(source: &dyn Source) -> Result<RdmaNetnsMode, InventoryError> {
    // Kernels before 5.2 do not know the question; they share.
    let answer = source.dump(Dump::RdmaSystem).unwrap_or_default();
    let mode = parse_netns_mode(&answer).map_err(malformed("RDMA settings"))?;
    Ok(match mode {
        Some(NetnsMode::Exclusive) => RdmaNetnsMode::Exclusive,
        Some(NetnsMode::Shared) | None => RdmaNetnsMode::Shared,
    })
}
