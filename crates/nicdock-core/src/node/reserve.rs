//! NICs that are set aside for somebody, before there is a container.

use super::{HostSnapshot, Node, NodeError, Offer, choose};
use crate::kind::Kind;
use crate::lease::{Lease, LeaseError, Owner, reserved_by};
use crate::lifecycle::{self, Recovered};
use crate::phases::host_nodes;
use crate::plan::{self, Grant, PlanError};
use crate::request::NicRequest;

impl Node {
    /// Sets NICs aside for `owner`, all or none, until [`Node::withdraw`]: nobody else is given them, and users of the host cannot open their nodes. The same
    /// request of the same owner, once more, changes nothing and is answered as the first; another one of that owner is an error.
    pub fn reserve(&self, owner: &Owner, wanted: &[NicRequest]) -> Result<Offer, NodeError> {
        plan::check_name(&owner.name)?;
        self.recover()?;
        // What is chosen is what is there: others wait until the NICs are reserved.
        let lock = self.ledger.lock()?;
        let snapshot = HostSnapshot::of_machine()?;
        let before = reserved_by(&snapshot.leases, owner);
        if !before.is_empty() {
            return same(&before, owner, wanted);
        }
        let mut warnings = snapshot.host.warnings.clone();
        let chosen = choose(&snapshot, wanted, &owner.name, &mut warnings)?;
        let chosen: Vec<(NicRequest, Vec<Grant>)> = wanted.iter().cloned().zip(chosen).collect();
        self.ledger.reserve_for(&lock, owner, &chosen)?;
        let grants: Vec<Grant> = chosen.into_iter().flat_map(|(_, grants)| grants).collect();
        if let Err(error) = host_nodes::withhold(&grants, &lock) {
            drop(lock);
            self.withdraw(owner)?;
            return Err(lifecycle::LaunchError::from(error).into());
        }
        Ok(Offer::of(grants, warnings))
    }

    /// Ends what `owner` has reserved, which can be given to anybody then. What containers of its own have left is taken home first; one that runs is an error,
    /// and nothing is changed. Says what it did; nothing, if there was no reservation.
    pub fn withdraw(&self, owner: &Owner) -> Result<Recovered, NodeError> {
        let its = |lease: &Lease| lease.reserved.as_ref().is_some_and(|of| of.owner == *owner);
        let leases = self.ledger.readable()?.into_iter().filter(its).collect();
        let mut recovered = lifecycle::recover_leases(&self.ledger, leases)?;
        let lock = self.ledger.lock()?;
        let leases: Vec<Lease> = self.ledger.readable()?.into_iter().filter(its).collect();
        if let Some(lease) = leases.iter().find(|lease| !lease.holders.is_empty()) {
            let why = format!(
                "{} is reserved for {owner}, and held by {}: end it first",
                lease.grant.nic.name,
                lease.kept_by()
            );
            return Err(NodeError::Reserved { nic: lease.grant.nic.name.clone(), why });
        }
        for lease in &leases {
            lifecycle::end_reservation(&self.ledger, &lock, lease)?;
            recovered.done.push(format!("{} is not reserved for {owner} any more", lease.grant.nic.name));
        }
        Ok(recovered)
    }
}

/// A second call of one owner's: the answer may have been lost.
fn same(
    before: &[(&NicRequest, Vec<&Lease>)],
    owner: &Owner,
    wanted: &[NicRequest],
) -> Result<Offer, NodeError> {
    let grants = || before.iter().flat_map(|(_, leases)| leases).map(|lease| &lease.grant);
    if before.iter().map(|(request, _)| *request).ne(wanted) {
        let nics: Vec<&str> = grants().map(|grant| grant.nic.name.as_str()).collect();
        let why = format!(
            "{owner} has reserved {} already, by another request: release that first",
            nics.join(" and ")
        );
        return Err(NodeError::Reserved { nic: nics[0].to_owned(), why });
    }
    Ok(Offer::of(grants().cloned().collect(), Vec::new()))
}

/// The NICs that `owner` has reserved, as they are now, for its container `name`. An error tells why it cannot have them.
pub fn offer_again(snapshot: &HostSnapshot, owner: &Owner, name: &str) -> Result<Offer, NodeError> {
    let reserved = reserved_by(&snapshot.leases, owner);
    if reserved.is_empty() {
        return Err(NodeError::refused(Kind::NoMatch, format!("nothing is reserved for {owner}")));
    }
    let leases = || reserved.iter().flat_map(|(_, leases)| leases);
    if let Some(lease) = leases().find(|lease| !lease.is_reserved()) {
        return Err(LeaseError::taken(lease).into());
    }
    let wanted: Vec<NicRequest> = reserved.iter().map(|(request, _)| (*request).clone()).collect();
    let mut facts = snapshot.facts(&wanted, name.to_owned());
    // By the names under which they were reserved.
    facts.held.retain(|nic, _| leases().all(|lease| lease.grant.nic.name != *nic));
    let mut warnings = snapshot.host.warnings.clone();
    let mut grants = Vec::new();
    for (request, leases) in &reserved {
        let mut nics = Vec::new();
        for lease in leases {
            let key = lease.grant.nic.key();
            let Some(nic) = snapshot.host.nics.iter().find(|nic| nic.key() == key) else {
                let why = format!("{}, reserved for {owner}, is not there any more", lease.grant.nic.name);
                return Err(NodeError::refused(Kind::NoMatch, why));
            };
            nics.push(nic.clone());
        }
        plan::check_chosen(&snapshot.host, &facts, &nics, request).map_err(PlanError::from)?;
        grants.extend(plan::granted(&snapshot.host, &facts, request, nics, &mut warnings)?);
    }
    Ok(Offer::of(grants, warnings))
}
