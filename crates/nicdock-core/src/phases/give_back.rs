//! Gives a NIC back to the host as it was, wherever it is now.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nicdock_host::model::Netdev;

use super::away::Away;
use super::gone::{gone, is_nowhere, names_on_bus};
use super::names::{self, Pending};
use super::network::set_mtu_and_mac;
use super::soft_rdma::Wanted;
use super::{Doing, Patience, PhaseError, draining, ipoib, rdma_move, soft_rdma};
use crate::lease::DeviceNode;
use crate::lease::{Journal, Lease, Step};
use crate::plan::{Grant, NetdevGrant, SoftRdma, come_anew};
use crate::settings::{Left, Settings};
use nicdock_netlink::rtnl::{Link, Rtnl, message};
use nicdock_sys::netns;

/// How long the kernel may take to remove a NIC that was pulled while a program used it.
const REMOVAL: Duration = Duration::from_secs(10);

/// Brings back every part of the NIC that was taken; gives what is not as it was, or that the NIC was unplugged.
///
/// `namespace` is the container's, where a descriptor of it is at hand. Without it the container is dead and the kernel puts the
/// NIC into the host's namespace by itself, unless somebody else keeps that namespace: then it is looked for. An error means
/// that the NIC, or a part of it, is not back; it is [`PhaseError::is_kept_away`] if that may come by itself.
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

/// The errors that an interface gives while, and after, its driver takes it away.
fn is_being_removed(error: &PhaseError) -> bool {
    error.error.kind() == io::ErrorKind::NotFound
        || matches!(error.error.raw_os_error(), Some(libc::EBUSY | libc::ENODEV))
}

fn bring_back(lease: &Lease, namespace: Option<&OwnedFd>, journal: Journal<'_>) -> Result<Left, PhaseError> {
    let grant = &lease.grant;
    let patience = if lease.stuck.is_some() { Patience::Again } else { Patience::First };
    let made_once = lease.journal.iter().any(|step| matches!(step, Step::RemakeRdma { .. }));
    if patience == Patience::Again && made_once && is_here(grant) {
        // The rest was as before by then; as long as only this is lacking, it is left alone.
        match remake(lease, &|soft| Some(soft.netdev.clone()), patience, journal) {
            Err(error) if error.is_kept_away() => return Err(error),
            _ => {}
        }
    }
    let mut host = Rtnl::open().doing(|| "opening rtnetlink".into())?;
    let mut left = Left::default();
    let mut names = BTreeMap::new();
    let mut missing = Vec::new();
    let anew = come_anew(grant);
    if anew {
        bring_back_rdma(lease, namespace, patience, journal)?;
    }
    for given in &grant.netdevs {
        let name = &given.host.name;
        let by_rdma =
            grant.rdma.iter().filter(|_| anew).find_map(|rdma| lease.namespace_of(&rdma.device.name));
        let Some(taken_to) = lease.namespace_of(name).or(by_rdma) else { continue };
        if let Some(handle) = namespace.filter(|_| !anew) {
            journal.try_begin(&Step::FetchNetdev { netdev: name.clone() });
            left.extend(fetch(handle, given)?);
        }
        let away = Away::in_namespace(taken_to, patience, namespace.is_none());
        let Some(link) = wait_for(&mut host, grant, given, away, journal)? else {
            if gone(grant).is_some() {
                return Ok(left);
            }
            left.notes.extend(is_nowhere(grant, given));
            missing.push(name);
            continue;
        };
        journal.try_begin(&Step::RestoreNetdev { netdev: name.clone() });
        let (now, what_is_left) = restore(&mut host, given, &link)?;
        names::note(
            &Pending {
                nic: grant.nic.key(),
                netdev: now.clone(),
                ifindex: link.ifindex,
                name: (now != *name).then(|| name.clone()),
                altnames: what_is_left.taken.clone(),
            },
            journal.ledger,
        )?;
        left.extend(what_is_left);
        if given.host.is_ipoib() {
            let links = host.links().doing(|| "listing the host's interfaces".into())?;
            left.notes.extend(ipoib::children_to_tell(&links, &link));
        }
        names.insert(name.clone(), now);
    }
    if !anew {
        bring_back_rdma(lease, namespace, patience, journal)?;
    }
    if names.is_empty() {
        return Ok(left);
    }
    let name_now = |soft: &SoftRdma| {
        let is_missing = missing.contains(&&soft.netdev);
        (!is_missing).then(|| names.get(&soft.netdev).unwrap_or(&soft.netdev).clone())
    };
    remake(lease, &name_now, patience, journal)?;
    Ok(left)
}

/// Brings back the RDMA devices that were moved.
fn bring_back_rdma(
    lease: &Lease,
    namespace: Option<&OwnedFd>,
    patience: Patience,
    journal: Journal<'_>,
) -> Result<(), PhaseError> {
    for rdma in lease.grant.rdma.iter().filter(|rdma| rdma.moves) {
        let name = &rdma.device.name;
        let Some(taken_to) = lease.namespace_of(name) else { continue };
        journal.try_begin(&Step::FetchRdma { device: name.clone() });
        rdma_move::bring_back(rdma, namespace, Away::in_namespace(taken_to, patience, namespace.is_none()))?;
    }
    Ok(())
}

/// Makes the soft RDMA devices anew that went with their netdev, on the netdev that has the name which `netdev` gives; not
/// those whose netdev is nowhere.
fn remake(
    lease: &Lease,
    netdev: &dyn Fn(&SoftRdma) -> Option<String>,
    patience: Patience,
    journal: Journal<'_>,
) -> Result<(), PhaseError> {
    for (rdma, soft) in lease.grant.rdma.iter().filter_map(|r| Some((r, r.remake.as_ref()?))) {
        let Some(netdev) = netdev(soft) else { continue };
        let name = &rdma.device.name;
        journal.try_begin(&Step::RemakeRdma { device: name.clone() });
        let wanted = Wanted { kind: &soft.kind, name, netdev: &netdev };
        let given = lease.steps().flat_map(Step::nodes_given);
        let nodes: Vec<DeviceNode> = given.filter(|node| node.device == *name).cloned().collect();
        soft_rdma::make(&wanted, journal.ledger, patience, || draining::holders(&nodes))?;
    }
    Ok(())
}

/// Moves the netdev out of the container's namespace if it is there: under its name, or, should that be taken by now, under
/// one that nobody has. Gives what was removed with it, and what could not be, in sentences.
fn fetch(namespace: &OwnedFd, given: &NetdevGrant) -> Result<Left, PhaseError> {
    let home = netns::current().doing(|| "opening the host's namespace".into())?;
    let mut inside = netns::within(namespace, Rtnl::open)
        .doing(|| "opening rtnetlink in the container's namespace".into())?;
    let links = inside.links().doing(|| "listing the container's interfaces".into())?;
    let exact = links.iter().find(|link| !link.is_virtual && is_same(link, &given.host));
    let Some(link) = exact.or_else(|| ipoib::with_the_queue_pair_of(&links, &given.host)) else {
        return Ok(Left::default());
    };
    let mut left = Left { notes: ipoib::remove_children(&mut inside, &links, link)?, ..Left::default() };
    let name = &given.host.name;
    if let Some(settings) = &given.settings {
        settings.before_move(&mut inside, link.ifindex, &link.name, &mut left);
    }
    let is_taken = |result: &io::Result<()>| {
        result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
    };
    let spare = format!("nicdock{}", link.ifindex);
    let move_home = |inside: &mut Rtnl| {
        let result = inside.move_link(link.ifindex, name, &home);
        if is_taken(&result) { inside.move_link(link.ifindex, &spare, &home) } else { result }
    };
    let mut result = move_home(&mut inside);
    if is_taken(&result) {
        // It is one of its further names: they come back on the host, as far as they are free there.
        result = Settings::take_names_off(&mut inside, link.ifindex).and_then(|()| move_home(&mut inside));
    }
    result.doing(|| format!("moving {} back as {name}", link.name))?;
    Ok(left)
}

/// A netdev is remembered by the address burnt into it; one without is known by the address in use.
fn is_same(link: &Link, planned: &Netdev) -> bool {
    match (&link.permanent_mac, &planned.permanent_mac) {
        (Some(mac), Some(wanted)) => *mac == wanted.0,
        _ => planned.mac.as_ref().is_some_and(|mac| mac.0 == link.mac),
    }
}

/// Finds the netdev in the host's namespace by its place on the bus, once the kernel has put it there, or nicdock, by a handle of who keeps
/// the container's. `None` if it is in no namespace.
fn wait_for(
    host: &mut Rtnl,
    grant: &Grant,
    given: &NetdevGrant,
    mut away: Away,
    journal: Journal<'_>,
) -> Result<Option<Link>, PhaseError> {
    let planned = &given.host;
    loop {
        let names = names_on_bus(grant, given);
        let links = host.links().doing(|| "listing the host's interfaces".into())?;
        let is_it = |l: &Link| names.contains(&l.name) && !l.is_virtual && ipoib::is_port(&l.name, given);
        let mut here: Vec<Link> = links.into_iter().filter(is_it).collect();
        if here.len() > 1 {
            here.retain(|link| is_same(link, planned));
        }
        if let Some(link) = here.pop() {
            return Ok(Some(link));
        }
        if gone(grant).is_some() {
            return Ok(None);
        }
        match away.wait(&planned.name) {
            Ok(Some(handle)) => {
                journal.try_begin(&Step::FetchNetdev { netdev: planned.name.clone() });
                fetch(&handle, given)?;
            }
            Ok(None) => {}
            Err(_) if is_nowhere(grant, given).is_some() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Whether every netdev is in the host's namespace, by its place on the bus and its name.
fn is_here(grant: &Grant) -> bool {
    grant.netdevs.iter().all(|given| names_on_bus(grant, given).contains(&given.host.name))
}

/// The routes that are not as they were although the kernel took them, in sentences.
fn missing_routes(
    host: &mut Rtnl,
    planned: &Netdev,
    index: u32,
    name: &str,
) -> Result<Vec<String>, PhaseError> {
    let mut routes = planned.own_routes().peekable();
    if routes.peek().is_none() {
        return Ok(Vec::new());
    }
    let now = host.comparable_routes().doing(|| "listing the host's routes".into())?;
    let is_missing = |raw: &[u8]| {
        let wanted = message::payload(raw)
            .and_then(|payload| message::comparable_route(payload, planned.ifindex, index));
        wanted.is_ok_and(|wanted| !now.contains(&wanted))
    };
    let missing = routes.filter(|route| is_missing(&route.raw));
    Ok(missing.map(|route| format!("warning: {name} is back without its {route} as before")).collect())
}

/// Makes the netdev as it was; gives what it is called now, and what could not be put back.
fn restore(host: &mut Rtnl, given: &NetdevGrant, link: &Link) -> Result<(String, Left), PhaseError> {
    let planned = &given.host;
    let index = link.ifindex;
    let mut left = Left::default();
    let mut name = planned.name.clone();
    if link.name != name {
        host.set_up(index, false).doing(|| format!("setting {} down", link.name))?;
        match host.rename(index, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                left.notes.push(format!(
                    "warning: {name} is back as {}: another interface is called {name} by now; nicdock reconcile renames it once none is (before \
                     Linux 6.2 only while it is down)",
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
    left.notes.extend(missing_routes(host, planned, index, &name)?);
    Ok((name, left))
}
