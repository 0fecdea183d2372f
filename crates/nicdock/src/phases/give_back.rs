//! Gives a NIC back to the host as it was, wherever it is now.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nicdock_host::model::Netdev;

use super::network::set_mtu_and_mac;
use super::{Doing, PhaseError, rdma_move, soft_rdma};
use crate::kernel::netns;
use crate::kernel::rtnl::{Link, Rtnl};
use crate::plan::{Grant, NetdevGrant};

/// How long the kernel may take to return a NIC whose namespace has died (`cleanup_net` runs in the background).
const KERNEL_RETURN: Duration = Duration::from_secs(20);

/// How long the kernel may take to remove a NIC that was pulled while a program used it.
const REMOVAL: Duration = Duration::from_secs(10);

/// Brings everything of `grant` back; gives what is not as it was, or that the NIC was unplugged, in sentences.
///
/// `namespace` is the container's, where a descriptor of it is at hand; without it the container is dead and the kernel
/// puts the NIC into the host's namespace by itself. An error means that the NIC is not back.
pub fn give_back(grant: &Grant, namespace: Option<&OwnedFd>) -> Result<Vec<String>, PhaseError> {
    let unplugged = || {
        let address = grant.nic.pci.map(|address| format!(" ({address})")).unwrap_or_default();
        Ok(vec![format!(
            "{}{address} was unplugged meanwhile: there is nothing to give back",
            grant.nic.name
        )])
    };
    if is_unplugged(grant) {
        return unplugged();
    }
    let result = bring_back(grant, namespace);
    // A NIC that vanishes while it is moved gives any error: whether it did shows when the kernel is done.
    let begin = Instant::now();
    while result.as_ref().is_err_and(is_being_removed) && !is_unplugged(grant) && begin.elapsed() < REMOVAL {
        std::thread::sleep(Duration::from_millis(20));
    }
    if is_unplugged(grant) { unplugged() } else { result }
}

fn is_unplugged(grant: &Grant) -> bool {
    grant.nic.pci.is_some_and(|address| !Path::new(&format!("/sys/bus/pci/devices/{address}")).exists())
}

/// The errors that an interface gives while, and after, its driver takes it away.
fn is_being_removed(error: &PhaseError) -> bool {
    error.error.kind() == io::ErrorKind::NotFound
        || matches!(error.error.raw_os_error(), Some(libc::EBUSY | libc::ENODEV))
}

fn bring_back(grant: &Grant, namespace: Option<&OwnedFd>) -> Result<Vec<String>, PhaseError> {
    let mut host = Rtnl::open().doing(|| "opening rtnetlink".into())?;
    let mut notes = Vec::new();
    for given in &grant.netdevs {
        if let Some(handle) = namespace {
            fetch(handle, given)?;
        }
        let Some(link) = wait_for(&mut host, grant, given)? else { return Ok(notes) };
        notes.extend(restore(&mut host, given, &link)?);
    }
    for rdma in grant.rdma.iter().filter(|rdma| rdma.moves) {
        rdma_move::bring_back(rdma, namespace)?;
    }
    if grant.netdevs.is_empty() {
        return Ok(notes);
    }
    for (rdma, soft) in grant.rdma.iter().filter_map(|r| Some((r, r.remake.as_ref()?))) {
        soft_rdma::make(&soft.kind, &rdma.device.name, &soft.netdev)?;
    }
    Ok(notes)
}

/// Moves the netdev out of the container's namespace if it is there: under its name, or, should that be taken by now, under
/// one that nobody has.
fn fetch(namespace: &OwnedFd, given: &NetdevGrant) -> Result<(), PhaseError> {
    let home = netns::current().doing(|| "opening the host's namespace".into())?;
    let mut inside = netns::within(namespace, Rtnl::open)
        .doing(|| "opening rtnetlink in the container's namespace".into())?;
    let links = inside.links().doing(|| "listing the container's interfaces".into())?;
    let Some(link) = links.iter().find(|link| !link.is_virtual && is_same(link, &given.host)) else {
        return Ok(());
    };
    let name = &given.host.name;
    match inside.move_link(link.ifindex, name, &home) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            inside.move_link(link.ifindex, &format!("nicdock{}", link.ifindex), &home)
        }
        result => result,
    }
    .doing(|| format!("moving {} back as {name}", link.name))
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

/// Makes the netdev as it was; gives what could not be put back, in sentences.
fn restore(host: &mut Rtnl, given: &NetdevGrant, link: &Link) -> Result<Vec<String>, PhaseError> {
    let planned = &given.host;
    let index = link.ifindex;
    let mut notes = Vec::new();
    let mut name = planned.name.clone();
    if link.name != name {
        host.set_up(index, false).doing(|| format!("setting {} down", link.name))?;
        match host.rename(index, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                notes.push(format!(
                    "warning: {name} is back as {}: another interface is called {name} by now; rename it with ip link set",
                    link.name
                ));
                name.clone_from(&link.name);
            }
            result => result.doing(|| format!("renaming {} to {name}", link.name))?,
        }
    }
    set_mtu_and_mac(host, link, planned, &name)?;
    if planned.up {
        host.set_up(index, true).doing(|| format!("setting {name} up"))?;
    }
    for address in &planned.addresses {
        if let Err(error) = host.restore_address(&address.raw, index, &name, false) {
            notes.push(format!("warning: {name} is back without its address {address}: {error}"));
        }
    }
    for route in planned.own_routes() {
        if let Err(error) = host.restore_route(&route.raw, planned.ifindex, index) {
            notes.push(format!("warning: {name} is back without its {route}: {error}"));
        }
    }
    Ok(notes)
}
