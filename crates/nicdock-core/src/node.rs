//! The machine and its ledger, as whoever gives NICs to containers uses them: an engine's hook, or the command.
//!
//! Three moments are the same under every engine: *check* whether a container could have its NICs, and change nothing; *give* them, all or none,
//! before its program runs or while it runs; *release* them when it has ended. [`Node::recover`] does what nobody came to do.
//!
//! A scheduler chooses before there is a container: it *reserves* NICs, gives them to one container of its own after another, and ends that by *withdrawing*.

mod error;
mod harden;
mod join;
mod reserve;
mod snapshot;

pub use error::{NodeError, kind_of_inventory};
pub use harden::{harden, harden_job};
pub use snapshot::HostSnapshot;

use std::thread::sleep;
use std::time::{Duration, Instant};

use nicdock_audit::weakness::Weakness;

use crate::attach::{self, Target, TargetError, Terms};
use crate::keeper::Keeper;
use crate::kind::Kind;
use crate::lease::{Holder, Lease, LeaseError, Ledger, Owner, State};
use crate::lifecycle::{self, LaunchError, Recovered};
use crate::phases::filters;
use crate::plan::{self, Grant};
use crate::request::NicRequest;
use crate::say::notice;

/// This machine.
pub struct Node {
    ledger: Ledger,
}

/// What a container would be given now.
pub struct Offer {
    pub grants: Vec<Grant>,
    /// What of it reaches more than the NIC. What the container itself leaves open is not known yet.
    pub weaknesses: Vec<Weakness>,
    pub warnings: Vec<String>,
}

/// The NICs that a container is to have.
#[derive(Clone, Copy)]
pub enum Wanted<'a> {
    /// Chosen now.
    Asked(&'a [NicRequest]),
    /// Those that this owner has reserved.
    ReservedBy(&'a Owner),
}

/// What a container was given.
pub struct Given {
    pub target: Target,
    pub grants: Vec<Grant>,
    /// What is left open.
    pub weaknesses: Vec<Weakness>,
    /// What differs from what was asked, in sentences.
    pub warnings: Vec<String>,
}

impl Offer {
    fn of(grants: Vec<Grant>, warnings: Vec<String>) -> Self {
        let weaknesses = plan::of_grants(&grants);
        Self { grants, weaknesses, warnings }
    }
}

impl Node {
    pub fn of_machine() -> Self {
        Self { ledger: Ledger::of_machine() }
    }

    /// What container `name` would be given. A container of that name that has a NIC already is an error. Only what others left behind is
    /// changed: see [`Node::recover`].
    pub fn check(&self, name: &str, wanted: &[NicRequest]) -> Result<Offer, NodeError> {
        plan::check_name(name)?;
        self.recover()?;
        let snapshot = HostSnapshot::of_machine()?;
        if let Some(lease) = snapshot.leases.iter().find(|lease| lease.holder(name).is_some()) {
            let keeper = lease.keeper();
            if keeper.kind == Kind::Held {
                return Err(LeaseError::Name(name.to_owned()).into());
            }
            // It has ended, and its NIC has not come back.
            return Err(LaunchError::kept(lease).into());
        }
        offer(&snapshot, wanted, name)
    }

    /// Gives NICs to a container, all or none, if `condition` holds for it. `who` finds it among those that have leases. NICs that are in its network namespace
    /// already, with other containers, it joins: they have them together from then on, and who ends last gives them back.
    pub fn give(
        &self,
        who: impl FnOnce(&[Lease]) -> Result<Target, TargetError>,
        wanted: Wanted<'_>,
        terms: &Terms,
        condition: impl FnOnce(&Target) -> Result<(), NodeError>,
    ) -> Result<Given, NodeError> {
        self.recover()?;
        // What is planned is what is there: others wait from before the host is looked at until the NICs are leased.
        let lock = self.ledger.lock()?;
        let snapshot = HostSnapshot::of_machine()?;
        let target = who(&snapshot.leases)?;
        plan::check_name(&target.name)?;
        condition(&target)?;
        if let Some(leases) = join::shared(&snapshot, wanted, &target)? {
            let grants = leases.iter().map(|lease| lease.left()).collect();
            let joined = attach::join(&target, &leases, terms, &self.ledger, lock)?;
            let (weaknesses, mut warnings) = (joined.weaknesses, snapshot.host.warnings.clone());
            warnings.extend(joined.warnings);
            return Ok(Given { target, grants, weaknesses, warnings });
        }
        let (offer, owner) = match wanted {
            Wanted::Asked(wanted) => (offer(&snapshot, wanted, &target.name)?, None),
            Wanted::ReservedBy(owner) => (reserve::offer_again(&snapshot, owner, &target.name)?, Some(owner)),
        };
        let Offer { grants, mut warnings, .. } = offer;
        if let Some(grant) = grants.iter().find(|grant| grant.of_host_network != target.job.is_some()) {
            let why = format!(
                "{} was asked for, or is reserved, for the {} network namespace, and {} is in {}",
                grant.nic.name,
                if grant.of_host_network { "host's" } else { "container's own" },
                target.name,
                if target.job.is_some() { "the host's" } else { "its own" }
            );
            return Err(NodeError::refused(Kind::BadInput, why));
        }
        let attached = attach::attach(&target, &grants, owner, terms, &self.ledger, lock)?;
        warnings.extend(attached.warnings);
        Ok(Given { target, grants, weaknesses: attached.weaknesses, warnings })
    }

    /// Takes home what container `name` had, when it has ended; waits at most `wait` for the end that an engine has told of. One that runs by
    /// now under the same name keeps what it has.
    pub fn release(&self, name: &str, wait: Duration) -> Result<Recovered, NodeError> {
        let begin = Instant::now();
        let lives = || -> Result<bool, NodeError> {
            let is_its = |lease: Lease| {
                let lives = lease.holder(name).is_some_and(Holder::is_alive);
                lease.was_attached() && lives && lease.state() == State::Held
            };
            Ok(self.ledger.readable()?.into_iter().any(is_its))
        };
        while begin.elapsed() < wait && lives()? {
            sleep(Duration::from_millis(20));
        }
        Ok(lifecycle::recover_container(&self.ledger, name)?)
    }

    /// What every command that looks at this machine as root does first: gives back what a killed nicdock could not, and says so. A NIC that
    /// cannot be given back keeps its lease, and is no reason not to work with the others.
    pub fn recover(&self) -> Result<(), NodeError> {
        let Recovered { done, failed } = lifecycle::recover(&self.ledger)?;
        done.iter().for_each(notice);
        for error in failed {
            notice(format_args!("warning: {error}"));
        }
        Ok(())
    }
}

/// An error tells why it cannot be.
fn offer(snapshot: &HostSnapshot, wanted: &[NicRequest], name: &str) -> Result<Offer, NodeError> {
    let mut warnings = snapshot.host.warnings.clone();
    let chosen = choose(snapshot, wanted, name, &mut warnings)?;
    Ok(Offer::of(chosen.into_iter().flatten().collect(), warnings))
}

/// What each of the requests gets. No NIC is chosen for two of them.
fn choose(
    snapshot: &HostSnapshot,
    wanted: &[NicRequest],
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<Vec<Grant>>, NodeError> {
    let mut facts = snapshot.facts(wanted, name.to_owned());
    let mut chosen = Vec::new();
    for one in wanted {
        let grants = plan::taken(&snapshot.host, &facts, one, warnings)?;
        facts.held.extend(grants.iter().map(|grant| (grant.nic.name.clone(), Keeper::container(name))));
        chosen.push(grants);
    }
    Ok(chosen)
}

/// That a container whose program has not started is as closed as its engine was told to make it. `remedy`: what to do where it is not.
///
/// With `keep_privileges` only what is never the container's own affair counts.
pub fn check_as_told(target: &Target, terms: &Terms, remedy: &str) -> Result<(), NodeError> {
    let mut open: Vec<String> = Vec::new();
    if !terms.keeps_privileges() {
        open.extend(attach::openings(target, true).into_iter().map(|weakness| weakness.what));
        open.extend(attach::memlock(target, terms.memlock));
    }
    let pid = target.process.pid;
    let way = filters::lets_through(pid, &terms.netlink).map_err(|error| {
        let why = format!("reading the seccomp filters of process {pid}: {error}");
        NodeError::refused(Kind::of_io(&error), why)
    })?;
    open.extend(way.map(|way| format!("its seccomp profile lets {way}")));
    if open.is_empty() {
        return Ok(());
    }
    let why =
        format!("container {} is not as closed as it was to be: {}. {remedy}", target.name, open.join("; "));
    Err(NodeError::refused(Kind::NotClosed, why))
}
