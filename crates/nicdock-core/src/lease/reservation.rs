//! NICs that are set aside for somebody, before there is a container: a scheduler's claim or job. One command after another may give them to a container of its
//! owner's and take them home again; nobody else gets them, and nothing but its owner's word, or an administrator's, ends it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ledger::{now, today, user};
use super::{Lease, LeaseError, Ledger, Lock, SCHEMA, Step};
use crate::plan::Grant;
use crate::request::NicRequest;

/// Who asked for it, in the words of what it was asked by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// What called `nicdock call`.
    pub engine: String,
    /// A claim, a job: what a later call knows it by.
    pub name: String,
}

/// One NIC's part of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub owner: Owner,
    /// What was asked for; the NIC is one of those that it chose.
    pub request: NicRequest,
    /// Which of the owner's requests it is, from 0: two may be equal.
    pub number: usize,
    /// How many NICs the owner has reserved: with fewer leases than that, whoever wrote them was killed meanwhile.
    pub all: usize,
    /// As of a holder.
    pub user: u32,
    /// Seconds since 1970.
    pub since: u64,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.engine)
    }
}

/// What an owner has reserved: its requests in their order, each with what it chose.
pub fn reserved_by<'a>(leases: &'a [Lease], owner: &Owner) -> Vec<(&'a NicRequest, Vec<&'a Lease>)> {
    let mut found: Vec<(usize, &NicRequest, Vec<&Lease>)> = Vec::new();
    for lease in leases {
        let Some(reservation) = lease.reserved.as_ref().filter(|of| of.owner == *owner) else { continue };
        match found.iter_mut().find(|(number, ..)| *number == reservation.number) {
            Some((.., its)) => its.push(lease),
            None => found.push((reservation.number, &reservation.request, vec![lease])),
        }
    }
    found.sort_by_key(|(number, ..)| *number);
    found.into_iter().map(|(_, request, leases)| (request, leases)).collect()
}

/// Those of reservations that were written in part: whoever wrote them was killed, or writes still (without the ledger's lock).
pub fn torn(leases: &[Lease]) -> Vec<&Lease> {
    let its = |owner: &Owner| {
        leases.iter().filter(|lease| lease.reserved.as_ref().is_some_and(|of| of.owner == *owner)).count()
    };
    let is_torn = |of: &Reservation| its(&of.owner) < of.all;
    leases
        .iter()
        .filter(|lease| lease.is_reserved() && lease.reserved.as_ref().is_some_and(is_torn))
        .collect()
}

impl Ledger {
    /// Writes a lease without a container for each NIC, all or none. `chosen`: each request with what it chose.
    pub fn reserve_for(
        &self,
        lock: &Lock,
        owner: &Owner,
        chosen: &[(NicRequest, Vec<Grant>)],
    ) -> Result<(), LeaseError> {
        let all = chosen.iter().map(|(_, grants)| grants.len()).sum();
        let since = today();
        let reservation = |number, request: &NicRequest| Reservation {
            owner: owner.clone(),
            request: request.clone(),
            number,
            all,
            user: user(),
            since,
        };
        let leases: Vec<Lease> = chosen
            .iter()
            .enumerate()
            .flat_map(|(number, (request, grants))| {
                let reservation = reservation(number, request);
                grants.iter().map(move |grant| Lease::reserved(grant.clone(), reservation.clone()))
            })
            .collect();
        let held = self.read()?;
        for lease in &leases {
            if let Some(other) = held.iter().find(|other| other.grant.nic.key() == lease.grant.nic.key()) {
                return Err(LeaseError::taken(other));
            }
        }
        let written =
            leases.iter().try_for_each(|lease| self.write(lease).and_then(|()| self.reach("reserve.begun")));
        if let Err(error) = written {
            for lease in &leases {
                let _ = self.end_reservation(lock, lease);
            }
            return Err(error);
        }
        Ok(())
    }

    /// The NIC is not set aside any more. One that no container has can be given again.
    pub fn end_reservation(&self, _lock: &Lock, lease: &Lease) -> Result<(), LeaseError> {
        let Some(mut left) = self.current(lease)? else { return Ok(()) };
        if left.is_reserved() {
            return self.remove(&left);
        }
        left.reserved = None;
        self.write(&left)
    }
}

impl Lease {
    /// Of a NIC that is on the host, and kept for its owner.
    pub(super) fn reserved(grant: Grant, reservation: Reservation) -> Self {
        Self {
            schema: SCHEMA,
            generation: now(),
            holders: Vec::new(),
            grant,
            journal: vec![Step::Reserve],
            draining: Vec::new(),
            quarantine: None,
            stuck: None,
            reserved: Some(reservation),
        }
    }

    /// Whether it waits for a container of its owner's.
    pub fn is_reserved(&self) -> bool {
        self.reserved.is_some()
            && self.holders.is_empty()
            && self.draining.is_empty()
            && self.quarantine.is_none()
    }

    /// Whether a container of this owner's may have it now.
    pub(super) fn is_for(&self, owner: Option<&Owner>) -> bool {
        self.is_reserved() && self.reserved.as_ref().map(|reservation| &reservation.owner) == owner
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lease::tests::plan;
    use crate::lease::{State, Token};

    fn owner(name: &str) -> Owner {
        Owner { engine: "example".to_owned(), name: name.to_owned() }
    }

    /// A ledger where `claim` has reserved NICs 0 and 1.
    fn reserved() -> (tempfile::TempDir, Ledger, Vec<Grant>) {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::new(folder.path());
        let grants = plan(0, &BTreeSet::from([0, 1])).grants;
        let request = NicRequest::of(vec!["2xany".parse().expect("a selector")]);
        let lock = ledger.lock().expect("a lock");
        ledger.reserve_for(&lock, &owner("claim"), &[(request, grants.clone())]).expect("free NICs");
        drop(lock);
        (folder, ledger, grants)
    }

    fn states(ledger: &Ledger) -> Vec<State> {
        ledger.read().expect("leases").iter().map(Lease::state).collect()
    }

    fn take(ledger: &Ledger, grants: &[Grant], reserved_for: Option<&Owner>) -> Result<Token, LeaseError> {
        let lock = ledger.lock()?;
        ledger.take(&lock, "container", "example", grants, &[], reserved_for)
    }

    #[test]
    fn what_is_reserved_goes_to_its_owner_alone_and_comes_back_to_it() {
        let (_folder, ledger, grants) = reserved();
        let leases = ledger.read().unwrap();
        let its = reserved_by(&leases, &owner("claim"));
        assert_eq!((its.len(), its[0].1.len()), (1, 2));
        assert!(reserved_by(&leases, &owner("other")).is_empty());
        for wrong in [None, Some(&owner("other"))] {
            let error = take(&ledger, &grants, wrong).unwrap_err().to_string();
            assert!(error.contains("reservation claim of example"), "{error}");
        }
        for _ in 0..2 {
            let token = take(&ledger, &grants, Some(&owner("claim"))).unwrap();
            assert_eq!(states(&ledger), [State::Starting; 2]);
            assert!(take(&ledger, &grants, Some(&owner("claim"))).is_err(), "a container has them");
            let lock = ledger.lock().unwrap();
            for lease in ledger.leave(&lock, &token).unwrap() {
                ledger.free(&lock, &lease).unwrap();
            }
            assert_eq!(states(&ledger), [State::Reserved; 2]);
        }
    }

    #[test]
    fn a_reservation_that_ends_frees_what_no_container_has() {
        let (_folder, ledger, grants) = reserved();
        take(&ledger, &grants[..1], Some(&owner("claim"))).unwrap();
        let lock = ledger.lock().unwrap();
        for lease in ledger.read().unwrap() {
            ledger.end_reservation(&lock, &lease).unwrap();
        }
        assert_eq!(states(&ledger), [State::Starting]);
        let lease = ledger.read().unwrap().remove(0);
        ledger.free(&lock, &lease).unwrap();
        assert!(states(&ledger).is_empty());
    }

    #[test]
    fn several_requests_are_known_apart_and_one_of_them_taken_leaves_none() {
        let (_folder, ledger, grants) = reserved();
        let more = plan(0, &BTreeSet::from([1, 2])).grants;
        let request = |text: &str| NicRequest::of(vec![text.parse().expect("a selector")]);
        let lock = ledger.lock().unwrap();
        let chosen = [(request("nic2"), vec![more[1].clone()]), (request("nic1"), vec![more[0].clone()])];
        assert!(ledger.reserve_for(&lock, &owner("second"), &chosen).is_err());
        assert_eq!(states(&ledger).len(), 2);
        for lease in ledger.read().unwrap() {
            ledger.end_reservation(&lock, &lease).unwrap();
        }
        ledger.reserve_for(&lock, &owner("second"), &chosen).unwrap();
        let leases = ledger.read().unwrap();
        let order: Vec<String> = reserved_by(&leases, &owner("second"))
            .iter()
            .map(|(request, leases)| format!("{} {}", request.selectors[0], leases[0].grant.nic.name))
            .collect();
        assert_eq!(order, ["nic2 nic2", "nic1 nic1"]);
        assert!(torn(&leases).is_empty());
        assert_eq!(torn(&leases[1..]).len(), 1, "one of two was written");
        drop(grants);
    }
}
