//! What is different from what the ledger says, and making it right.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nicdock_host::inventory;
use nicdock_host::model::{LinkLayer, PciAddress};

use super::LaunchError;
use super::end::{
    Recovered, clear_orphans, end_left_behind, end_torn, free_nodes, recover_leases, why_broken,
};
use crate::kind::Kind;
use crate::lease::{Lease, LeaseError, Ledger, State, file_stem};
use crate::phases::devices::present;
use crate::phases::gone::has_a_netdev;
use crate::phases::{draining, names, stale};
use nicdock_host::source::Live;

/// How long the kernel may take to return a NIC whose namespace has died.
const KERNEL_RETURN: Duration = Duration::from_secs(20);

/// Gives back what was left, as every command does, and repairs what cannot be read.
pub fn reconcile(ledger: &Ledger) -> Result<Recovered, LaunchError> {
    let (leases, unreadable) = split(ledger)?;
    let ended = if unreadable.is_empty() { end_torn(ledger, &leases)? } else { Vec::new() };
    let mut recovered = recover_leases(ledger, leases)?;
    recovered.done.extend(ended);
    for error in unreadable {
        match error {
            LeaseError::Broken { path, reason } => recovered.add(repair(ledger, &path, &reason).map(Some)),
            error => recovered.failed.push(error.into()),
        }
    }
    free_nodes(ledger)?;
    match names::complete(ledger) {
        Ok(done) => recovered.done.extend(done),
        Err(error) => recovered.failed.push(error.into()),
    }
    let leases = ledger.readable()?;
    let kept = leases.iter().filter(|lease| matches!(lease.state(), State::Draining | State::Quarantined));
    recovered.failed.extend(kept.map(LaunchError::kept));
    Ok(recovered)
}

/// What [`reconcile`] would do, and what it could not.
pub fn differences(ledger: &Ledger) -> Result<Recovered, LaunchError> {
    let (leases, unreadable) = split(ledger)?;
    let mut told = Recovered::default();
    let there = present()?;
    for lease in &leases {
        let nic = &lease.grant.nic.name;
        for gone in stale::gone(lease, &there).iter().filter(|_| lease.is_live()) {
            let names: Vec<&str> = gone.nodes.iter().map(|node| node.name.as_str()).collect();
            told.done.push(format!(
                "{nic}: the device of {} has gone; would take it from container {}",
                names.join(" and "),
                gone.container
            ));
        }
        match lease.state() {
            State::Abandoned if lease.dead_launched().is_empty() => told.done.push(format!(
                "{nic}: container {}, {}; would undo what was done for it and give the NIC back",
                lease.dead_holders().join(" and "),
                why_broken(lease)
            )),
            State::Abandoned => told.done.push(format!(
                "{nic}: the nicdock of container {} has ended; would end what is left of it and give the NIC back",
                lease.dead_holders().join(" and ")
            )),
            State::Draining if draining::now(lease).is_empty() => told.done.push(format!(
                "{nic}: the last descriptor that left its container is closed; would free the NIC"
            )),
            State::Draining | State::Quarantined | State::Stuck => {
                told.failed.push(LaunchError::kept(lease));
            }
            State::Reserved | State::Starting | State::Held | State::Returning => {}
        }
    }
    told.done.extend(names::pending().iter().map(|pending| {
        format!(
            "{}: would add {} once no other interface is called so",
            pending.netdev,
            names::listed(pending)
        )
    }));
    for error in unreadable {
        match error {
            LeaseError::Broken { path, reason } => told.done.push(format!(
                "{} cannot be read ({reason}); would put it aside if its NIC is on the host and no container has it",
                path.display()
            )),
            error => told.failed.push(error.into()),
        }
    }
    Ok(told)
}

fn split(ledger: &Ledger) -> Result<(Vec<Lease>, Vec<LeaseError>), LeaseError> {
    let (mut leases, mut unreadable) = (Vec::new(), Vec::new());
    for lease in ledger.each()? {
        match lease {
            Ok(lease) => leases.push(lease),
            Err(error) => unreadable.push(error),
        }
    }
    Ok((leases, unreadable))
}

/// Puts aside a lease that cannot be read, once its NIC is the host's by the kernel's own account.
fn repair(ledger: &Ledger, path: &Path, reason: &str) -> Result<String, LaunchError> {
    let refuse = |why: String| {
        LaunchError::refused(
            Kind::NotRestored,
            format!("{} cannot be read ({reason}): {why}", path.display()),
        )
    };
    let key = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let orphans = end_left_behind(ledger)?;
    if !orphans.is_empty() {
        return Err(refuse(format!(
            "container {} runs and has no lease that can be read; when it ends, its nicdock gives the NIC back by itself",
            orphans.join(" and ")
        )));
    }
    let begin = Instant::now();
    let found = loop {
        match place(&key)? {
            Place::Away if begin.elapsed() < KERNEL_RETURN => std::thread::sleep(Duration::from_millis(50)),
            found => break found,
        }
    };
    let put_aside = || -> Result<PathBuf, LaunchError> {
        let kept = {
            let lock = ledger.lock()?;
            ledger.put_aside(&lock, path)?
        };
        clear_orphans(ledger)?;
        Ok(kept)
    };
    match found {
        Place::Host => Ok(format!(
            "{} cannot be read ({reason}); its NIC is on the host and can be given again. Its addresses and routes may not be as before: \
             the file is kept as {}",
            path.display(),
            put_aside()?.display()
        )),
        Place::Nowhere => Ok(format!(
            "{} cannot be read ({reason}); no such NIC is plugged in, or it has no driver that makes a netdev; the file is kept as {}",
            path.display(),
            put_aside()?.display()
        )),
        Place::Away => Err(refuse(
            "its netdev is not in the host's network namespace: end the process that keeps the other one (lsns -t net), then run nicdock reconcile"
                .to_owned(),
        )),
    }
}

enum Place {
    Host,
    Away,
    Nowhere,
}

/// Where the NIC of a lease's file is, by its place on the bus or its name.
fn place(key: &str) -> Result<Place, LaunchError> {
    let host = inventory::read(&Live).map_err(|error| LaunchError::Inside(error.to_string()))?;
    let Some(nic) = host.nics.iter().find(|nic| file_stem(&nic.key()) == key) else {
        let (address, auxiliary) =
            key.split_once('+').map_or((key, None), |(address, auxiliary)| (address, Some(auxiliary)));
        let address = address.parse::<PciAddress>().ok();
        let is_away = address.is_some_and(|address| has_a_netdev(address, auxiliary));
        return Ok(if is_away { Place::Away } else { Place::Nowhere });
    };
    let needs_none = || {
        nic.rdma_devices
            .iter()
            .flat_map(|device| &device.ports)
            .any(|port| port.link_layer == LinkLayer::InfiniBand)
    };
    Ok(if !nic.netdevs.is_empty() || needs_none() {
        Place::Host
    } else if nic.pci.is_some_and(|address| !has_a_netdev(address, nic.auxiliary.as_deref())) {
        Place::Nowhere
    } else {
        Place::Away
    })
}
