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

use std::fmt;

use super::devices::{given_nodes, present};
use super::{PhaseError, host_nodes, rdma_limits};
use crate::lease::{DeviceNode, Journal, Lease, LeaseError, Ledger, Lock, ProcessId, Step};
use crate::say::notice;
use nicdock_sys::closing::Closing;

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

/// Lets a container have its nodes, and gives them: nothing between the look at the devices and the end of `allow` changes what the ledger
/// says. `allow` waits for nothing that a container decides: everybody else waits for the lock.
pub fn give(
    journal: Journal<'_>,
    process: ProcessId,
    allow: impl FnOnce(&[DeviceNode], Begin<'_>) -> Result<(), PhaseError>,
) -> Result<Vec<DeviceNode>, PhaseError> {
    let (lock, revoked) = locked(journal.ledger)?;
    for grant in journal.grants {
        let (container, grants) = (journal.token.container.clone(), std::slice::from_ref(grant));
        let nodes = given_nodes(grants)?;
        Journal { grants, ..journal }.begin_locked(&lock, &Step::Give { container, process, nodes })?;
    }
    host_nodes::withhold(journal.grants, &lock)?;
    let nodes = given_nodes(journal.grants)?;
    allow(&nodes, &|step: &Step| journal.begin_locked(&lock, step))?;
    drop(lock);
    revoked.take_nodes();
    Ok(nodes)
}

/// Before a container's program starts: an error if a device that it was given has gone meanwhile.
pub fn check(journal: Journal<'_>) -> Result<(), PhaseError> {
    let (lock, revoked) = locked(journal.ledger)?;
    drop(lock);
    revoked.take_nodes();
    let is_revoked =
        |step: &Step| matches!(step, Step::Revoke { container, .. } if *container == journal.token.container);
    let is_given =
        |lease: &&Lease| journal.grants.iter().any(|grant| grant.nic.key() == lease.grant.nic.key());
    for lease in journal.ledger.readable()?.iter().filter(is_given) {
        if lease.steps().any(is_revoked) {
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
    let (lock, mut revoked) = locked(ledger)?;
    let made = attempt();
    let mut refused = None;
    if made.is_ok() {
        // A device that went just then, before the new one was there.
        let late = revoke(ledger, &lock)?;
        rdma_limits::refuse_foreign(&ledger.readable()?);
        refused = late.failed.or_else(|| late.told.first().map(may_have_opened));
        revoked.nodes.extend(late.nodes);
    }
    drop(lock);
    revoked.take_nodes();
    refused.map_or(Ok(made), Err)
}

fn may_have_opened(taken: &Taken) -> PhaseError {
    let error = std::io::Error::new(std::io::ErrorKind::ResourceBusy, taken.to_string());
    PhaseError::new("making an RDMA device", error)
        .with_advice("that container may have opened the new one by the old one's number: try again")
}

/// What nicdock's launcher gave a container that this process supervises, so that its number can be refused at the very event, before the
/// ledger is read.
pub struct Own {
    container: String,
    nodes: Vec<DeviceNode>,
}

impl Own {
    /// What [`give`] gave it.
    pub fn of(container: &str, nodes: Vec<DeviceNode>) -> Self {
        Self { container: container.to_owned(), nodes }
    }

    /// [`look`] notes it and takes the nodes; that the rule is refused again then changes nothing. What could not be refused is tried at the
    /// next event.
    pub fn refuse(&mut self) -> Result<(), PhaseError> {
        if Closing::DeviceNumbers.is_left_open() {
            return Ok(());
        }
        let there = present()?;
        let gone: Vec<DeviceNode> =
            self.nodes.iter().filter(|node| !there.contains(&node.identity)).cloned().collect();
        if gone.is_empty() {
            return Ok(());
        }
        rule::refuse(&self.container, &gone)?;
        self.nodes.retain(|node| there.contains(&node.identity));
        Ok(())
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
    let (lock, revoked) = locked(ledger)?;
    rdma_limits::refuse_foreign(&ledger.readable()?);
    drop(lock);
    revoked.take_nodes();
    Ok(revoked.told)
}

/// The ledger's lock, with every rule revoked whose device has gone.
fn locked(ledger: &Ledger) -> Result<(Lock, Revoked), PhaseError> {
    let lock = ledger.lock()?;
    let mut revoked = revoke(ledger, &lock)?;
    let Some(error) = revoked.failed.take() else { return Ok((lock, revoked)) };
    drop(lock);
    revoked.take_nodes();
    Err(error)
}

/// What was taken from containers, and the nodes that are still to be removed there.
#[derive(Default)]
struct Revoked {
    told: Vec<Taken>,
    nodes: Vec<Gone>,
    /// Why a rule could not be taken.
    failed: Option<PhaseError>,
}

impl Revoked {
    /// Without the lock: the file system of a container's may never answer. Without their rule the nodes open nothing.
    fn take_nodes(&self) {
        for gone in &self.nodes {
            if let Err(error) = node::take(gone) {
                let container = &gone.container;
                notice(format_args!("warning: {error}; the node stays visible in container {container}"));
            }
        }
    }
}

/// Takes rules and nodes whose devices have gone from every container. Errors: a rule that could not be taken; all others are.
fn revoke(ledger: &Ledger, _lock: &Lock) -> Result<Revoked, PhaseError> {
    let mut revoked = Revoked::default();
    if Closing::DeviceNumbers.is_left_open() {
        return Ok(revoked);
    }
    let there = present()?;
    // One that cannot be read is its supervisor's to look after.
    for mut lease in ledger.readable()? {
        let found = gone(&lease, &there);
        for gone in &found {
            match take(&mut lease, gone) {
                Ok(Some(taken)) => {
                    revoked.told.push(taken);
                    revoked.nodes.push(gone.clone());
                }
                // On its way back all of its nodes are taken, and this place may show the host's own by now.
                Ok(None) => {}
                Err(error) => drop(revoked.failed.get_or_insert(error)),
            }
        }
        // It is done, whatever cannot be noted: the next look does it again.
        if !found.is_empty()
            && let Err(error) = ledger.write(&lease)
        {
            notice(format_args!("warning: {error}"));
        }
    }
    Ok(revoked)
}

/// Gives nothing for a lease that is on its way back: all of its nodes are taken.
fn take(lease: &mut Lease, gone: &Gone) -> Result<Option<Taken>, PhaseError> {
    rule::take(lease, gone)?;
    let nodes = gone.nodes.iter().map(|node| node.identity).collect();
    let is_on_its_way = lease.has_begun(&Step::Return);
    lease.note_for(
        |holder| holder.container == gone.container,
        Step::Revoke { container: gone.container.clone(), nodes },
    );
    let nodes = gone.nodes.iter().map(|node| node.name.clone()).collect();
    let taken = Taken { container: gone.container.clone(), nic: lease.grant.nic.name.clone(), nodes };
    Ok((!is_on_its_way).then_some(taken))
}
