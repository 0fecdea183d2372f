//! Gives a NIC back to the host as it was, wherever it is now.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nicdock_host::model::Netdev;

use super::network::set_mtu_and_mac;
use super::settings::Left;
use super::{Doing, PhaseError, rdma_move, soft_rdma};
use crate::kernel::netns;
use crate::kernel::rtnl::{Link, Rtnl};
use crate::lease::{Journal, Lease, Step};
use crate::plan::{Grant, NetdevGrant};

/// How long the kernel may take to return a NIC whose namespace has died (`cleanup_net` runs in the background).
const KERNEL_RETURN: Duration = Duration::from_secs(20);

/// How long the kernel may take to remove a NIC that was pulled while a program used it.
const REMOVAL: Duration = Duration::from_secs(10);

/// Brings back every part of the NIC that was taken; gives what is not as it was, or that the NIC was unplugged.
///
/// `namespace` is the container's, where a descriptor of it is at hand. Without it the container is dead and the kernel puts the
/// NIC into the host's namespace by itself, unless somebody else keeps that namespace: then it is looked for. An error means
/// that the NIC is not back.
pub fn give_back(
    lease: &Lease,
    namespace: Option<&OwnedFd>,
    journal: Journal<'_>,
) -> Result<Left, PhaseError> {
    let grant = &lease.grant;
    if let Some(why) = gone(grant) {
        return Ok(Left::note_of(why));
    }
    let result = bring_back(lease, namespace, journal);
    // A NIC that vanishes while it is moved gives any error: whether it did shows when the kernel is done.
    let begin = Instant::now();
    while result.as_ref().is_err_and(is_being_removed) && gone(grant).is_none() && begin.elapsed() < REMOVAL {
        std::thread::sleep(Duration::from_millis(20));
    }
    gone(grant).map_or(result, |why| Ok(Left::note_of(why)))
}

/// Why there is no netdev to give back, if it is told apart from one that is lost.
fn gone(grant: &Grant) -> Option<String> {
    let address = grant.nic.pci?;
    let function = Path::new("/sys/bus/pci/devices").join(address.to_string());
    let why = if !function.exists() {
        "was unplugged meanwhile: there is nothing to give back"
    } else if !function.join("driver").exists() {
        "has no driver any more: there is nothing to give back; what the host had set on its netdev is to be set again when one is bound"
    } else {
        return None;
    };
    Some(format!("{} ({address}) {why}", grant.nic.name))
}

/// The errors that an interface gives while, and after, its driver takes it away.
fn is_being_removed(error: &PhaseError) -> bool {
    error.error.kind() == io::ErrorKind::NotFound
        || matches!(error.error.raw_os_error(), Some(libc::EBUSY | libc::ENODEV))
}

fn bring_back(lease: &Lease, namespace: Option<&OwnedFd>, journal: Journal<'_>) -> Result<Left, PhaseError> {
    let grant = &lease.grant;
    let mut host = Rtnl::open().doing(|| "opening rtnetlink".into())?;
    let mut left = Left::default();
    for given in &grant.netdevs {
        let name = &given.host.name;
        let Some(taken_to) = lease.namespace_of(name) else { continue };
        let kept = kept(namespace, taken_to)?;
        if let Some(handle) = namespace.or(kept.as_ref()) {
            journal.try_begin(&Step::FetchNetdev { netdev: name.clone() });
            fetch(handle, given)?;
        }
        let Some(link) = wait_for(&mut host, grant, given)? else { return Ok(left) };
        journal.try_begin(&Step::RestoreNetdev { netdev: name.clone() });
        left.extend(restore(&mut host, given, &link)?);
    }
    for rdma in grant.rdma.iter().filter(|rdma| rdma.moves) {
        let name = &rdma.device.name;
        let Some(taken_to) = lease.namespace_of(name) else { continue };
        let kept = kept(namespace, taken_to)?;
        journal.try_begin(&Step::FetchRdma { device: name.clone() });
        rdma_move::bring_back(rdma, namespace.or(kept.as_ref()))?;
    }
    if grant.netdevs.iter().all(|given| lease.namespace_of(&given.host.name).is_none()) {
        return Ok(left);
    }
    for (rdma, soft) in grant.rdma.iter().filter_map(|r| Some((r, r.remake.as_ref()?))) {
        let device = rdma.device.name.clone();
        journal.try_begin(&Step::RemakeRdma { device });
        soft_rdma::make(&soft.kind, &rdma.device.name, &soft.netdev, journal.ledger)?;
    }
    Ok(left)
}

/// A handle on the container's network namespace, should somebody else keep it: another process, a descriptor, a mount.
fn kept(namespace: Option<&OwnedFd>, inode: u64) -> Result<Option<OwnedFd>, PhaseError> {
    if namespace.is_some() {
        return Ok(None);
    }
    netns::find(inode).doing(|| "looking for who keeps the container's network namespace".into())
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
    if let Some(settings) = &given.settings {
        settings
            .before_move(&mut inside, link.ifindex)
            .doing(|| format!("taking further names from {}", link.name))?;
    }
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
        if gone(grant).is_some() {
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

/// Makes the netdev as it was; gives what could not be put back.
fn restore(host: &mut Rtnl, given: &NetdevGrant, link: &Link) -> Result<Left, PhaseError> {
    let planned = &given.host;
    let index = link.ifindex;
    let mut left = Left::default();
    let mut name = planned.name.clone();
    if link.name != name {
        host.set_up(index, false).doing(|| format!("setting {} down", link.name))?;
        match host.rename(index, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                left.notes.push(format!(
                    "warning: {name} is back as {}: another interface is called {name} by now; rename it with ip link set",
                    link.name
                ));
                name.clone_from(&link.name);
            }
            result => result.doing(|| format!("renaming {} to {name}", link.name))?,
        }
    }
    if let Some(settings) = &given.settings {
        left.extend(settings.restore_device(host, index, &name));
    }
    set_mtu_and_mac(host, link, planned, &name)?;
    if let Some(settings) = &given.settings {
        settings.restore_rules(&name);
    }
    if planned.up {
        host.set_up(index, true).doing(|| format!("setting {name} up"))?;
    }
    for address in &planned.addresses {
        if let Err(error) = host.restore_address(&address.raw, index, &name, false) {
            left.notes.push(format!("warning: {name} is back without its address {address}: {error}"));
        }
    }
    for route in planned.own_routes() {
        if let Err(error) = host.restore_route(&route.raw, planned.ifindex, index) {
            left.notes.push(format!("warning: {name} is back without its {route}: {error}"));
        }
    }
    if let Some(settings) = &given.settings {
        left.extend(settings.restore_rest(host, index, &name, planned)?);
    }
    Ok(left)
}
