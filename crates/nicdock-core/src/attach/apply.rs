//! Gives NICs to a container that runs, each step noted before it is done.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;

use nicdock_audit::weakness::Weakness;

use super::Target;
use super::admit::admit;
use super::openings::{of_limits, of_status};
use super::terms::{NETLINK_RDMA, Terms};
use crate::kind::Kind;
use crate::lease::{Holder, Journal, Lease, LeaseError, Ledger, Lock, Owner, Step, Token};
use crate::lifecycle::{LaunchError, finish, undo_joined};
use crate::phases::{Doing, PhaseError, aside, filters, network, rdma_limits, refuse, remember, sockets};
use crate::plan::{Grant, of_grants, of_netlink, of_view};
use crate::request::Memlock;
use nicdock_netlink::rtnl::Rtnl;
use nicdock_sys::netns;
use nicdock_sys::signals::Signals;

/// What is to be told of a container that was given NICs.
pub struct Attached {
    /// What is left open.
    pub weaknesses: Vec<Weakness>,
    /// What differs from what was asked, in sentences.
    pub warnings: Vec<String>,
}

/// Gives them, all or none. `lock` was taken before the grants were planned. Nobody has them, or they are set aside for `reserved_for`.
pub fn attach(
    target: &Target,
    grants: &[Grant],
    reserved_for: Option<&Owner>,
    terms: &Terms,
    ledger: &Ledger,
    lock: Lock,
) -> Result<Attached, LaunchError> {
    let (refuses, accepted) = netlink(target, terms)?;
    let (mut grants, renamed) = free_names(target, grants, terms.created.is_some())?;
    network::check_identities(&grants)?;
    own_name(target, ledger)?;
    let signals = block_signals()?;
    let mut warnings = remember::remember(&mut grants)?;
    warnings.extend(renamed);
    let grants = &grants[..];
    let weaknesses = weaknesses(target, grants, terms, accepted);
    let token = ledger.take(&lock, &target.name, &terms.engine, grants, &weaknesses, reserved_for)?;
    drop(lock);
    let journal = Journal { ledger, token: &token, grants };
    refuse_sockets(target, terms, refuses, journal)
        .and_then(|()| fill(target, terms, journal, || goes_on(&signals)))
        .and_then(|()| goes_on(&signals))
        .and_then(|()| Ok(limits(target, grants, journal)?))
        .and_then(|()| admit(target, terms, journal, || goes_on(&signals)))
        .map_err(|error| give_up(target, journal, error))?;
    warnings.extend(memlock(target, terms.memlock));
    Ok(Attached { weaknesses, warnings })
}

/// Lets a container use the NICs of these leases, all or none. It is in the network namespace of the containers that have them, where they stay.
pub fn join(
    target: &Target,
    leases: &[&Lease],
    terms: &Terms,
    ledger: &Ledger,
    lock: Lock,
) -> Result<Attached, LaunchError> {
    let (refuses, accepted) = netlink(target, terms)?;
    own_name(target, ledger)?;
    let signals = block_signals()?;
    let grants: Vec<Grant> = leases.iter().map(|lease| lease.left()).collect();
    let weaknesses = weaknesses(target, &grants, terms, accepted);
    let token = ledger.share(&lock, &target.name, &terms.engine, leases, &weaknesses)?;
    drop(lock);
    let journal = Journal { ledger, token: &token, grants: &grants };
    refuse_sockets(target, terms, refuses, journal)
        .and_then(|()| admit(target, terms, journal, || goes_on(&signals)))
        .map_err(|error| give_up(target, journal, error))?;
    Ok(Attached { weaknesses, warnings: memlock(target, terms.memlock).into_iter().collect() })
}

/// Undoes what was done; gives `error`, with what could not be undone.
fn give_up(target: &Target, journal: Journal<'_>, error: LaunchError) -> LaunchError {
    match undo(target, journal) {
        Ok(()) => error,
        Err(undo) => LaunchError::Twice { run: Box::new(error), undo: Box::new(undo) },
    }
}

/// The container's NICs go back unless others have them.
fn undo(target: &Target, journal: Journal<'_>) -> Result<(), LaunchError> {
    let (ledger, token) = (journal.ledger, journal.token);
    for lease in ledger.readable()? {
        if let Some(joined) = lease.holders.iter().find(|holder| Token::of(holder) == *token) {
            undo_joined(&lease, joined, ledger)?;
        }
    }
    let leases = {
        let lock = ledger.lock()?;
        ledger.leave(&lock, token)?
    };
    // Each, whatever becomes of the others.
    let mut first = None;
    for lease in &leases {
        if let Err(error) = finish(journal, lease, Some(&target.network)) {
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), Err)
}

fn block_signals() -> Result<Signals, LaunchError> {
    Signals::block().map_err(|error| LaunchError::Inside(format!("blocking signals: {error}")))
}

/// An error when a signal has come that ends this process.
fn goes_on(signals: &Signals) -> Result<(), LaunchError> {
    match signals.next_that_ends() {
        Ok(None) => Ok(()),
        Ok(Some(signal)) => Err(LaunchError::Signal(signal)),
        Err(error) => Err(LaunchError::Inside(error.to_string())),
    }
}

/// What is left open.
fn weaknesses(target: &Target, grants: &[Grant], terms: &Terms, accepted: Option<Weakness>) -> Vec<Weakness> {
    let mut weaknesses: Vec<Weakness> = accepted.into_iter().collect();
    weaknesses.extend(match &terms.created {
        Some(created) => created.weaknesses.clone(),
        None => openings(target, terms.starts),
    });
    weaknesses.extend(of_view(terms.view).into_iter().chain(of_netlink(&terms.netlink)));
    weaknesses.extend(of_grants(grants));
    weaknesses
}

/// Before anything of the NIC can be reached.
fn refuse_sockets(
    target: &Target,
    terms: &Terms,
    refuses: bool,
    journal: Journal<'_>,
) -> Result<(), LaunchError> {
    if let Some(group) = target.whole.unified().filter(|_| refuses) {
        let pins = format!("{}-sockets", journal.token.generation);
        refuse::refuse(group, &pins, &terms.netlink, journal)?;
    }
    Ok(())
}

/// Brings the NICs into the container's network namespace.
fn fill(
    target: &Target,
    terms: &Terms,
    journal: Journal<'_>,
    goes_on: impl Fn() -> Result<(), LaunchError>,
) -> Result<(), LaunchError> {
    if target.job.is_some() {
        return Ok(());
    }
    aside(&[target.network.as_fd()], goes_on, || {
        let mut host = Rtnl::open().doing(|| "opening rtnetlink".into())?;
        let home = netns::current().doing(|| "opening the host's network namespace".into())?;
        netns::enter(&target.network)
            .doing(|| format!("entering the network namespace of {}", target.name))?;
        // In one that runs it is its own affair.
        if terms.starts {
            network::set_loopback_up()?;
        }
        network::fill(&mut host, &home, &target.network, journal.grants, journal)
    })
}

/// A container of nicdock's own may have nothing of other NICs' devices, and of this one from now on.
fn limits(target: &Target, grants: &[Grant], journal: Journal<'_>) -> Result<(), PhaseError> {
    let Some(own) = &target.own else { return Ok(()) };
    for rdma in grants.iter().flat_map(|grant| &grant.rdma) {
        let device = &rdma.device.name;
        if let Some((group, before)) = rdma_limits::limited(&own.container, device) {
            journal.begin(&Step::Limit { group: group.clone(), before })?;
            rdma_limits::free(&group, device)?;
        }
    }
    Ok(())
}

/// Whether a program is to refuse RDMA netlink; an error where nothing can, unless that is accepted.
fn netlink(target: &Target, terms: &Terms) -> Result<(bool, Option<Weakness>), LaunchError> {
    // Its seccomp does, since its start.
    if target.own.is_some() {
        return Ok((false, None));
    }
    let own = crate::phases::cgroup::Cgroup::of_process(std::process::id())?;
    let alone = |group: &std::path::Path| !own.unified().is_some_and(|own| own.starts_with(group));
    if sockets::are_hooked() && target.whole.unified().is_some_and(alone) {
        return Ok((true, None));
    }
    let opens = "root in it can list every RDMA device of the host and, with CAP_NET_ADMIN on the host, rename and delete them through RDMA netlink, and hears \
                 the host's hotplug events";
    let name = &target.name;
    let (which, why) = if let Some(created) = &terms.created {
        let Some(what) = &created.sockets else { return Ok((false, None)) };
        (
            format!(
                "the seccomp profile in the configuration of container {name} lets {what}, in programs that are executed in it later"
            ),
            "give it nicdock's (nicdock oci seccomp)".to_owned(),
        )
    } else if terms.starts {
        let pid = target.process.pid;
        let reading = || format!("reading the seccomp filters of process {pid}");
        let Some(way) = filters::lets_through(pid, &terms.netlink).doing(reading)? else {
            return Ok((false, None));
        };
        (
            format!("the seccomp profile of container {name} lets {way}"),
            "give it one that refuses them".to_owned(),
        )
    } else {
        (
            format!("container {name} was not made by nicdock"),
            "seccomp cannot be added to processes that run".to_owned(),
        )
    };
    if terms.accept_netlink {
        return Ok((false, Some(Weakness::new(NETLINK_RDMA, opens))));
    }
    let accept = if terms.created.is_some() {
        format!("a line in /etc/nicdock/config.toml that accepts {NETLINK_RDMA}")
    } else {
        "--accept-netlink".to_owned()
    };
    Err(LaunchError::refused(
        Kind::NotClosed,
        format!(
            "{which}: {opens}. {why}, and the kernel's BPF hook needs cgroup version 2, a cgroup of the container's own and lsm=…,bpf: \
         {accept} gives it the NIC all the same"
        ),
    ))
}

/// What a container that nicdock has not made leaves open. `alone`: nothing but its first process is in it yet.
pub fn openings(target: &Target, alone: bool) -> Vec<Weakness> {
    if target.own.is_some() {
        return Vec::new();
    }
    let pid = target.process.pid;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let is_hosts = |kind: &str| {
        let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/{kind}")).ok();
        of("self") == of(&pid.to_string())
    };
    let mut found = of_status(&status, !is_hosts("user"), alone);
    if is_hosts("pid") {
        found.push(Weakness::new(
            "namespace.pid",
            "it shares the host's process namespace: its processes see the host's and, by /proc/PID/root, may reach their files",
        ));
    }
    found
}

/// What of its limit for locked memory is not as its engine was told, in a sentence.
pub fn memlock(target: &Target, wanted: Memlock) -> Option<String> {
    if target.own.is_some() {
        return None;
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", target.process.pid)).unwrap_or_default();
    of_limits(&limits, wanted)
}

/// A name is a container's alone.
fn own_name(target: &Target, ledger: &Ledger) -> Result<(), LaunchError> {
    let leases = ledger.read()?;
    let holders = leases.iter().filter_map(|lease| lease.holder(&target.name));
    let others = |holder: &Holder| target.own.is_none() && holder.supervisor != target.process;
    match holders.into_iter().find(|holder| others(holder)) {
        Some(_) => Err(LeaseError::Name(target.name.clone()).into()),
        None => Ok(()),
    }
}

/// Two interfaces of one name cannot be, and the container's own must stay. With `rename` a NIC's is `nic0`, `nic1`, … then, unless its name was asked for.
fn free_names(
    target: &Target,
    grants: &[Grant],
    rename: bool,
) -> Result<(Vec<Grant>, Vec<String>), LaunchError> {
    let links = netns::within(&target.network, || Rtnl::open()?.links());
    let links = links.doing(|| format!("listing the interfaces of container {}", target.name))?;
    let mut taken: BTreeSet<String> = links.into_iter().map(|link| link.name).collect();
    let (mut grants, mut renamed) = (grants.to_vec(), Vec::new());
    for given in grants.iter_mut().flat_map(|grant| &mut grant.netdevs) {
        if taken.insert(given.name.clone()) {
            continue;
        }
        if !rename || given.is_named {
            return Err(LaunchError::refused(
                Kind::BadInput,
                format!(
                    "container {} has an interface {} already: give the NIC's another name there (--as, ifname)",
                    target.name, given.name
                ),
            ));
        }
        let mut free = (0..).map(|number| format!("nic{number}"));
        let name = free.find(|name| !taken.contains(name)).unwrap_or_default();
        renamed.push(format!(
            "the container has an interface {} already, so the NIC's is {name} there",
            given.name
        ));
        taken.insert(name.clone());
        given.name = name;
    }
    Ok((grants, renamed))
}
