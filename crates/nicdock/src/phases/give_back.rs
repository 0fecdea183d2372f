//! Gives a NIC back to the host as it was, wherever it is now.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nicdock_host::model::Netdev;

use super::network::find;
use super::{Doing, PhaseError, soft_rdma};
use crate::kernel::netns;
use crate::kernel::rtnl::{Link, Rtnl};
use crate::plan::{Grant, NetdevGrant};

/// How long the kernel may take to return a NIC whose namespace has died (`cleanup_net` runs in the background).
const KERNEL_RETURN: Duration = Duration::from_secs(20);

/// How giving back ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// The NIC is the host's, as it was.
    Done,
    /// Its PCI function is not there any more.
    Unplugged,
}

/// How long the kernel may take to remove a NIC that was pulled while a program used it.
const REMOVAL: Duration = Duration::from_secs(10);

/// Brings everything of `grant` back, or finds that it was unplugged. `namespace` is the container's, where a descriptor of it is at hand; without
/// it the container is dead and the kernel puts the NIC into the host's namespace by itself.
pub fn give_back(grant: &Grant, namespace: Option<&OwnedFd>) -> Result<Return, PhaseError> {
    let result = if is_unplugged(grant) { Ok(()) } else { bring_back(grant, namespace) };
    match result {
        Ok(()) if !is_unplugged(grant) => Ok(Return::Done),
        Ok(()) => Ok(Return::Unplugged),
        // A NIC that vanishes while it is moved gives any error: whether it did shows when the kernel is done.
        Err(error) => {
            let begin = Instant::now();
            while begin.elapsed() < REMOVAL && is_being_removed(&error) {
                if is_unplugged(grant) {
                    return Ok(Return::Unplugged);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            if is_unplugged(grant) { Ok(Return::Unplugged) } else { Err(error) }
        }
    }
}

fn is_unplugged(grant: &Grant) -> bool {
    grant.nic.pci.is_some_and(|address| !Path::new(&format!("/sys/bus/pci/devices/{address}")).exists())
}

/// The errors that an interface gives while, and after, its driver takes it away.
fn is_being_removed(error: &PhaseError) -> bool {
    const EBUSY: i32 = 16;
    const ENODEV: i32 = 19;
    error.error.kind() == io::ErrorKind::NotFound
        || matches!(error.error.raw_os_error(), Some(EBUSY | ENODEV))
}

fn bring_back(grant: &Grant, namespace: Option<&OwnedFd>) -> Result<(), PhaseError> {
    let mut host = Rtnl::open().doing(|| "opening rtnetlink".into())?;
    for given in &grant.netdevs {
        let link = match namespace.map(|handle| fetch(handle, given)).transpose()? {
            Some(true) => find(&mut host, &given.host.name)?,
            _ => match wait_for(&mut host, grant, given)? {
                Some(link) => link,
                None => return Ok(()),
            },
        };
        restore(&mut host, given, &link)?;
    }
    if grant.netdevs.is_empty() {
        return Ok(());
    }
    for (rdma, soft) in grant.rdma.iter().filter_map(|r| Some((r, r.remake.as_ref()?))) {
        soft_rdma::make(&soft.kind, &rdma.device.name, &soft.netdev)?;
    }
    Ok(())
}

/// Moves the netdev out of the container's namespace if it is there; gives whether it was.
fn fetch(namespace: &OwnedFd, given: &NetdevGrant) -> Result<bool, PhaseError> {
    let home = netns::current().doing(|| "opening the host's namespace".into())?;
    let mut inside = netns::within(namespace, Rtnl::open)
        .doing(|| "opening rtnetlink in the container's namespace".into())?;
    let links = inside.links().doing(|| "listing the container's interfaces".into())?;
    let Some(link) = links.iter().find(|link| is_same(link, &given.host)) else { return Ok(false) };
    let name = &given.host.name;
    inside.move_link(link.ifindex, name, &home).doing(|| format!("moving {} back as {name}", link.name))?;
    Ok(true)
}

/// A netdev is remembered by the address burnt into it; one without is known by the address in use.
fn is_same(link: &Link, planned: &Netdev) -> bool {
    match (&link.permanent_mac, &planned.permanent_mac) {
        (Some(mac), Some(wanted)) => *mac == wanted.0,
        _ => planned.mac.as_ref().is_some_and(|mac| mac.0 == link.mac),
    }
}

/// Finds the netdev in the host's namespace by its place on the bus, once the kernel has put it there. `None` if its
/// function is gone.
fn wait_for(host: &mut Rtnl, grant: &Grant, given: &NetdevGrant) -> Result<Option<Link>, PhaseError> {
    let planned = &given.host;
    let begin = Instant::now();
    loop {
        let names = names_on_bus(&planned.sysfs);
        let links = host.links().doing(|| "listing the host's interfaces".into())?;
        let mut here: Vec<Link> = links.into_iter().filter(|l| names.contains(&l.name)).collect();
        if here.len() > 1 {
            here.retain(|link| is_same(link, planned));
        }
        if let Some(link) = here.pop() {
            return Ok(Some(link));
        }
        if is_unplugged(grant) {
            return Ok(None);
        }
        if begin.elapsed() > KERNEL_RETURN {
            let error = io::Error::new(io::ErrorKind::NotFound, "it is not in the host's namespace");
            return Err(PhaseError::new(format!("waiting for the kernel to give back {}", planned.name), error)
                .with_advice("some process still holds the container's network namespace; end it and run nicdock reconcile"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The names of the netdevs in the folder in which the planned one was (`…/0000:02:00.0/net`).
fn names_on_bus(sysfs: &str) -> Vec<String> {
    let folder = Path::new("/sys").join(sysfs.trim_start_matches('/'));
    let Some(folder) = folder.parent() else { return Vec::new() };
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

fn restore(host: &mut Rtnl, given: &NetdevGrant, link: &Link) -> Result<(), PhaseError> {
    let planned = &given.host;
    let name = &planned.name;
    if link.name != *name {
        host.set_up(link.ifindex, false).doing(|| format!("setting {} down", link.name))?;
        host.rename(link.ifindex, name).doing(|| format!("renaming {} to {name}", link.name))?;
    }
    let mac = planned.mac.as_ref().filter(|mac| mac.0 != link.mac).map(|mac| mac.0.as_slice());
    host.set_mtu_and_mac(link.ifindex, planned.mtu, mac)
        .doing(|| format!("setting MTU and MAC address of {name}"))?;
    if planned.up {
        host.set_up(link.ifindex, true).doing(|| format!("setting {name} up"))?;
    }
    for address in &planned.addresses {
        host.restore_address(&address.raw, link.ifindex, name, false)
            .doing(|| format!("adding {address} to {name}"))?;
    }
    for route in planned.routes.iter().filter(|r| r.protocol != 2) {
        host.restore_route(&route.raw, planned.ifindex, link.ifindex)
            .doing(|| format!("adding the route to {:?} by {name}", route.destination))?;
    }
    Ok(())
}
