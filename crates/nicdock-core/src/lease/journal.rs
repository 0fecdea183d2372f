//! What a container notes in its leases before it is done, and how it is known there.

use super::file;
use super::{Holder, Lease, LeaseError, Ledger, Lock, Step};
use crate::plan::Grant;

/// What a container's later calls are recognised by: one that comes late, when another container of that name has the NIC, changes
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    pub container: String,
    pub generation: u64,
}

impl Token {
    pub fn of(holder: &Holder) -> Self {
        Self { container: holder.container.clone(), generation: holder.generation }
    }

    pub(super) fn has(&self, lease: &Lease) -> bool {
        lease.holders.iter().any(|holder| self.owns(holder))
    }

    pub(super) fn owns(&self, holder: &Holder) -> bool {
        (&holder.container, holder.generation) == (&self.container, self.generation)
    }
}

/// Where one container's steps are noted: in the leases of these NICs, and no other is looked at.
#[derive(Clone, Copy)]
pub struct Journal<'a> {
    pub ledger: &'a Ledger,
    pub token: &'a Token,
    pub grants: &'a [Grant],
}

impl Journal<'_> {
    /// Notes what is about to be done.
    pub fn begin(&self, step: &Step) -> Result<(), LeaseError> {
        self.note(step, |_| {})
    }

    /// The same for a caller who has the lock.
    pub fn begin_locked(&self, lock: &Lock, step: &Step) -> Result<(), LeaseError> {
        let name = step.name();
        self.ledger.reach(&format!("{name}.before"))?;
        self.write(lock, step, &|_| {})?;
        self.ledger.reach(&format!("{name}.begun"))
    }

    /// Notes that the program is about to start, and by which descriptor its supervisor has the network namespace.
    pub fn start(&self, namespace: i32) -> Result<(), LeaseError> {
        self.note(&Step::Start, |holder| holder.namespace = Some(namespace))
    }

    /// The same on the way back, which nothing stops: what cannot be noted is done all the same.
    pub fn try_begin(&self, step: &Step) {
        let _ = self.begin(step);
    }

    fn note(&self, step: &Step, change: impl Fn(&mut Holder)) -> Result<(), LeaseError> {
        let name = step.name();
        self.ledger.reach(&format!("{name}.before"))?;
        let lock = self.ledger.lock()?;
        self.write(&lock, step, &change)?;
        drop(lock);
        self.ledger.reach(&format!("{name}.begun"))
    }

    fn write(&self, _lock: &Lock, step: &Step, change: &impl Fn(&mut Holder)) -> Result<(), LeaseError> {
        let Self { ledger, token, grants } = self;
        // One that cannot be read is no reason not to note it in the others.
        let leases = grants.iter().filter_map(|grant| file::read(&ledger.path(grant)).ok());
        for mut lease in leases.filter(|lease| token.has(lease)) {
            lease.note_for(|holder| token.owns(holder), step.clone());
            lease.holders.iter_mut().filter(|holder| token.owns(holder)).for_each(change);
            ledger.write(&lease)?;
        }
        Ok(())
    }
}
