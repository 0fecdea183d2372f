//! Nodes that containers were given and whose devices have gone while they run.
//!
//! The kernel gives the lowest free number to the next RDMA device as soon as one has gone (`ib_uverbs_remove_one()`,
//! drivers/infiniband/core/uverbs_main.c; `ib_umad_kill_port()`, user_mad.c). A rule or a node that says `231:193` opens then
//! what is there by that number, which may be another container's. So before nicdock makes or gives a device, and whenever a command or a
//! supervisor learns that one has gone, rule and node are taken from whoever had the old one.

mod find;
mod node;
mod rule;

pub use find::{Gone, gone};

use std::collections::BTreeSet;
use std::fmt;

use super::devices::{DeviceNode, given_nodes, present};
use super::{PhaseError, rdma_limits};
use crate::closing::Closing;
use crate::lease::{Journal, Lease, LeaseError, Ledger, Lock, ProcessId, Step};
use crate::say::notice;

/// What was taken from a container that runs.
#[derive(Debug)]
pub struct Taken {
    pub container: String,
    nic: String,
    /// `uverbs0`
    nodes: Vec<String>,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { container, nic, nodes } = self;
        write!(f, "took {} of {nic} from container {container}: its device has gone", nodes.join(" and "))
    }
}

/// What a caller of [`give`] notes its own steps by.
pub type Begin<'a> = &'a dyn Fn(&Step) -> Result<(), LeaseError>;

/// Lets a container have its nodes: nothing between the look at the devices and the end of `allow` changes what the ledger says.
pub fn give(
    journal: Journal<'_>,
    process: ProcessId,
    allow: impl FnOnce(&[DeviceNode], Begin<'_>) -> Result<(), PhaseError>,
) -> Result<(), PhaseError> {
    let lock = journal.ledger.lock()?;
    revoke(journal.ledger, &lock)?;
    let nodes = given_nodes(journal.grants)?;
    let begin = |step: &Step| journal.begin_locked(&lock, step);
    let container = journal.token.container.clone();
    begin(&Step::Give { container, process, nodes: nodes.clone() })?;
    allow(&nodes, &begin)
}

/// Before a container's program starts: an error if a device that it was given has gone meanwhile.
pub fn check(journal: Journal<'_>) -> Result<(), PhaseError> {
    let lock = journal.ledger.lock()?;
    revoke(journal.ledger, &lock)?;
    let is_revoked =
        |step: &Step| matches!(step, Step::Revoke { container, .. } if *container == journal.token.container);
    let is_given =
        |lease: &&Lease| journal.grants.iter().any(|grant| grant.nic.key() == lease.grant.nic.key());
    for lease in journal.ledger.readable()?.iter().filter(is_given) {
        if lease.journal.iter().any(is_revoked) {
            let what = format!("giving {}", lease.grant.nic.name);
            let error = std::io::Error::new(std::io::ErrorKind::NotFound, "its RDMA device went meanwhile");
            return Err(PhaseError::new(what, error).with_advice("see nicdock ls, and start it again"));
        }
    }
    Ok(())
}

/// Makes an RDMA device by `attempt`, which may get the number of any that has gone. No container but its own may have anything of it.
///
/// Gives what `attempt` says. Errors: a rule that could not be taken; or that the number may have been used by somebody who still had it.
pub fn around<E>(
    ledger: &Ledger,
    attempt: impl FnOnce() -> Result<(), E>,
) -> Result<Result<(), E>, PhaseError> {
    let lock = ledger.lock()?;
    revoke(ledger, &lock)?;
    let made = attempt();
    if made.is_ok() {
        // A device that went just then, before the new one was there.
        let late = revoke(ledger, &lock)?;
        rdma_limits::refuse_foreign(&ledger.readable()?);
        if let Some(line) = late.first() {
            let error = std::io::Error::new(std::io::ErrorKind::ResourceBusy, line.to_string());
            return Err(PhaseError::new("making an RDMA device", error).with_advice(
                "that container may have opened the new one by the old one's number: try again",
            ));
        }
    }
    Ok(made)
}

/// What nicdock's launcher gave a container that this process supervises, so that its number can be refused at the very event, before the
/// ledger is read.
pub struct Own {
    container: String,
    nodes: Vec<DeviceNode>,
}

impl Own {
    pub fn of(ledger: &Ledger, container: &str) -> Self {
        let leases = ledger.readable().unwrap_or_default();
        let all = leases.iter().flat_map(|lease| gone(lease, &BTreeSet::new()));
        let launched = all.filter(|gone| gone.is_launched && gone.container == container);
        Self { container: container.to_owned(), nodes: launched.flat_map(|gone| gone.nodes).collect() }
    }

    /// [`look`] notes it and takes the nodes; that the rule is refused again then changes nothing.
    pub fn refuse(&mut self) -> Result<(), PhaseError> {
        if Closing::DeviceNumbers.is_left_open() {
            return Ok(());
        }
        let there = present()?;
        let gone: Vec<DeviceNode> =
            self.nodes.extract_if(.., |node| !there.contains(&node.identity)).collect();
        if gone.is_empty() { Ok(()) } else { rule::refuse(&self.container, &gone) }
    }
}

/// Looks at every container; gives what was taken from them.
pub fn look(ledger: &Ledger) -> Result<Vec<Taken>, PhaseError> {
    let leases = ledger.readable()?;
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    let there = present()?;
    if leases.iter().all(|lease| gone(lease, &there).is_empty()) && !rdma_limits::lack_foreign(&leases) {
        return Ok(Vec::new());
    }
    let lock = ledger.lock()?;
    let told = revoke(ledger, &lock)?;
    rdma_limits::refuse_foreign(&ledger.readable()?);
    Ok(told)
}

/// Takes rules and nodes whose devices have gone from every container. Errors: a rule that could not be taken; all others are.
fn revoke(ledger: &Ledger, _lock: &Lock) -> Result<Vec<Taken>, PhaseError> {
    let (mut told, mut failed) = (Vec::new(), None);
    if Closing::DeviceNumbers.is_left_open() {
        return Ok(told);
    }
    let there = present()?;
    // One that cannot be read is its supervisor's to look after.
    for mut lease in ledger.readable()? {
        let found = gone(&lease, &there);
        for gone in &found {
            match take(&mut lease, gone) {
                Ok(taken) => told.extend(taken),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        // It is done, whatever cannot be noted: the next look does it again.
        if !found.is_empty()
            && let Err(error) = ledger.write(&lease)
        {
            notice(format_args!("warning: {error}"));
        }
    }
    failed.map_or(Ok(told), Err)
}

/// Gives nothing for a lease that is on its way back: all of its nodes are taken.
fn take(lease: &mut Lease, gone: &Gone) -> Result<Option<Taken>, PhaseError> {
    rule::take(lease, gone)?;
    // Without the rule it opens nothing; and a file system of the container's may not answer.
    if let Err(error) = node::take(gone) {
        notice(format_args!("warning: {error}; the node stays visible in container {}", gone.container));
    }
    let nodes = gone.nodes.iter().map(|node| node.identity).collect();
    let is_on_its_way = lease.has_begun(&Step::Return);
    lease.journal.push(Step::Revoke { container: gone.container.clone(), nodes });
    let nodes = gone.nodes.iter().map(|node| node.name.clone()).collect();
    let taken = Taken { container: gone.container.clone(), nic: lease.grant.nic.name.clone(), nodes };
    Ok((!is_on_its_way).then_some(taken))
}
