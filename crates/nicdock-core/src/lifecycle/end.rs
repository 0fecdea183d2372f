//! The end of a container, be it told or found out later: what is left of it is ended, and the NICs go back.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::undo::{undo, undo_joined, undo_late};
use super::{LaunchError, staged};
use crate::kind::Kind;
use crate::lease::{Journal, Lease, Ledger, Lock, STATE, State, Step, Token, torn};
use crate::phases::give_back::give_back;
use crate::phases::{cgroup, draining, host_nodes, queue_pairs, stale};
use crate::plan::check_name;
use crate::say::notice;
use nicdock_sys::closing::Closing;

/// Ends what is left of this process's container. NICs that no other container has go back to the host; `namespace` is
/// the container's, if it came to have one.
pub fn end(journal: Journal<'_>, namespace: Option<&OwnedFd>) -> Result<(), LaunchError> {
    let Journal { ledger, token, grants } = journal;
    let mut unreadable = ledger.lost(token, grants)?;
    // Whoever took the NICs away by force has cleared up, and the name may be another container's by now.
    if !ledger.knows(token) && unreadable.is_empty() {
        return Ok(());
    }
    clear(&token.container)?;
    // One of them may share the NIC: who ends last gives it back.
    if !unreadable.is_empty() && !orphans(ledger)?.is_empty() {
        unreadable.clear();
    }
    let last = {
        let lock = ledger.lock()?;
        for (path, lease) in &unreadable {
            let kept = ledger.put_aside(&lock, path)?;
            notice(format_args!(
                "warning: the lease of {} could not be read any more: it is kept as {}",
                lease.grant.nic.name,
                kept.display()
            ));
            ledger.write(lease)?;
        }
        ledger.leave(&lock, token)?
    };
    let mut first = None;
    for lease in &last {
        // Containers that shared it and whose supervisors were killed.
        let cleared = lease.dead_launched().iter().try_for_each(|name| clear(name));
        if let Err(error) = cleared.and_then(|()| finish(journal, lease, namespace)) {
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), Err)
}

/// What recovery did, in sentences, and what it could not do.
#[derive(Default)]
pub struct Recovered {
    pub done: Vec<String>,
    pub failed: Vec<LaunchError>,
}

impl Recovered {
    pub fn add(&mut self, result: Result<Option<String>, LaunchError>) {
        match result {
            Ok(line) => self.done.extend(line),
            Err(error) => self.failed.push(error),
        }
    }
}

/// Gives back what supervisors that were killed could not, their containers ended first, and frees what has drained. One NIC
/// that cannot be given back does not keep the others; its lease stays.
pub fn recover(ledger: &Ledger) -> Result<Recovered, LaunchError> {
    let leases = ledger.read()?;
    let mut ended = end_torn(ledger, &leases)?;
    let Recovered { done, failed } = recover_leases(ledger, leases)?;
    ended.extend(done);
    Ok(Recovered { done: ended, failed })
}

/// The same for one container's, if it has ended.
pub fn recover_container(ledger: &Ledger, name: &str) -> Result<Recovered, LaunchError> {
    let leases = ledger.readable()?.into_iter().filter(|lease| lease.holder(name).is_some());
    recover_leases(ledger, leases.collect())
}

/// The same for these; what lives is not looked at any further.
pub fn recover_leases(ledger: &Ledger, leases: Vec<Lease>) -> Result<Recovered, LaunchError> {
    ledger.tidy()?;
    free_nodes(ledger)?;
    let mut recovered = Recovered::default();
    match stale::look(ledger) {
        Ok(told) => recovered.done.extend(told.iter().map(ToString::to_string)),
        Err(error) => recovered.failed.push(error.into()),
    }
    for seen in leases {
        if seen.state() == State::Draining {
            recovered.add(drained(ledger, &seen));
        } else if seen.is_broken() {
            recovered.add(recover_one(ledger, &seen));
        }
    }
    Ok(recovered)
}

/// Ends reservations that have only a part of their NICs: a nicdock that was killed had begun one, or ended it by half. `seen` are all leases that there
/// are: as long as one cannot be read, what a reservation has is not known.
pub fn end_torn(ledger: &Ledger, seen: &[Lease]) -> Result<Vec<String>, LaunchError> {
    if torn(seen).is_empty() {
        return Ok(Vec::new());
    }
    // Nobody writes one now.
    let lock = ledger.lock()?;
    let mut done = Vec::new();
    for lease in torn(&ledger.read()?) {
        end_reservation(ledger, &lock, lease)?;
        done.push(format!("freed {}: {} had only a part of its NICs", lease.grant.nic.name, lease.kept_by()));
    }
    Ok(done)
}

/// Frees a lease that nobody's descriptor keeps any more.
pub fn drained(ledger: &Ledger, lease: &Lease) -> Result<Option<String>, LaunchError> {
    let left = draining::now(lease);
    if left == lease.draining {
        return Ok(None);
    }
    let lock = ledger.lock()?;
    if !left.is_empty() {
        ledger.keep(&lock, lease, left, None)?;
        return Ok(None);
    }
    free(ledger, &lock, lease)?;
    Ok(Some(format!(
        "{} can be given again: the last descriptor that left its container is closed",
        lease.grant.nic.name
    )))
}

/// The NIC can be given again, and its nodes are the host's as before.
pub fn free(ledger: &Ledger, lock: &Lock, lease: &Lease) -> Result<(), LaunchError> {
    ledger.free(lock, lease)?;
    host_nodes::give_back(ledger, lock).iter().for_each(notice);
    Ok(())
}

/// The NIC is set aside for nobody any more; if no container has it, it is the host's.
pub fn end_reservation(ledger: &Ledger, lock: &Lock, lease: &Lease) -> Result<(), LaunchError> {
    ledger.end_reservation(lock, lease)?;
    host_nodes::give_back(ledger, lock).iter().for_each(notice);
    Ok(())
}

/// The same for nodes whose lease has gone without that: it could not be read any more, or whoever noted them was killed.
pub fn free_nodes(ledger: &Ledger) -> Result<(), LaunchError> {
    if host_nodes::want_looking_after(ledger) {
        let lock = ledger.lock()?;
        host_nodes::give_back(ledger, &lock).iter().for_each(notice);
    }
    Ok(())
}

/// The ledger is not locked: ending processes and waiting for the kernel take time, and the lease is claimed. `None` if
/// there is nothing to do.
pub fn recover_one(ledger: &Ledger, seen: &Lease) -> Result<Option<String>, LaunchError> {
    // While the lease still names it: whoever is killed meanwhile leaves it to the next.
    if seen.is_live() {
        let mut dead = seen.holders.iter().filter(|holder| !holder.is_alive());
        dead.try_for_each(|joined| undo_joined(seen, joined, ledger))?;
    }
    let claimed = {
        let lock = ledger.lock()?;
        ledger.claim(&lock, seen)?
    };
    let Some(lease) = claimed else { return Ok(None) };
    let (nic, names) = (&lease.grant.nic.name, lease.dead_holders());
    let containers = names.join(" and ");
    let was_live = lease.is_live();
    // A container that nicdock has not made is not nicdock's to end.
    for name in &lease.dead_launched() {
        clear(name)?;
    }
    if was_live {
        return Ok(Some(format!(
            "took {nic} from container {containers}, which has ended; others still have it"
        )));
    }
    let token = lease.holders.first().map(Token::of).unwrap_or_default();
    let why = why_broken(&lease);
    finish(Journal { ledger, token: &token, grants: std::slice::from_ref(&lease.grant) }, &lease, None)?;
    Ok(Some(format!("gave back {nic} of container {containers}, {why}")))
}

/// Why a lease that nobody alive answers for is to be given back. By a signal or by an error of its own: the ledger does not know which.
pub fn why_broken(lease: &Lease) -> &'static str {
    let foreign = lease.holders.iter().any(|holder| !holder.is_launched());
    match foreign {
        true if lease.has_begun(&Step::Return) => "whose nicdock detach ended halfway",
        true if lease.has_begun(&Step::Attach) => "which has ended",
        true => "whose nicdock attach ended halfway",
        false => "whose nicdock ended before it had given it back",
    }
}

/// Containers that run and that no lease names which can be read.
fn orphans(ledger: &Ledger) -> Result<Vec<String>, LaunchError> {
    let known = ledger.readable()?;
    let is_known = |name: &String| known.iter().any(|lease| lease.holder(name).is_some());
    let made = made().into_iter();
    Ok(made.filter(|name| cgroup::is_populated(name) && !is_known(name)).collect())
}

/// Ends those of them whose nicdock has ended; gives the others. A program can take back that it ends with its nicdock, and nobody
/// else would end it.
pub fn end_left_behind(ledger: &Ledger) -> Result<Vec<String>, LaunchError> {
    let (dead, others): (Vec<_>, Vec<_>) =
        orphans(ledger)?.into_iter().partition(|name| staged::is_left_behind(name));
    dead.iter().try_for_each(|name| clear(name))?;
    Ok(others)
}

/// The containers of nicdock's launcher of which there is something still. It has noted each before it made a group for it.
fn made() -> Vec<String> {
    let mut names = staged::names();
    if Closing::Names.is_left_open() {
        names.extend(cgroup::unchecked_names());
    }
    names
}

/// Clears what is left of containers that have no lease: that of one was put aside, since it could not be read.
pub fn clear_orphans(ledger: &Ledger) -> Result<(), LaunchError> {
    let lock = ledger.lock()?;
    // As long as another lease cannot be read, whose they are is not known.
    let Ok(leases) = ledger.read() else { return Ok(()) };
    made()
        .into_iter()
        .filter(|name| leases.iter().all(|lease| lease.holder(name).is_none()))
        .try_for_each(|name| clear(&name))?;
    drop(lock);
    Ok(())
}

/// Ends every process of a container and removes what was made for it, but for the NICs.
fn clear(name: &str) -> Result<(), LaunchError> {
    if check_name(name).is_err() && !Closing::Names.is_left_open() {
        return Err(LaunchError::refused(
            Kind::BadInput,
            format!("'{}' is no container's name: nothing is removed", name.escape_debug()),
        ));
    }
    cgroup::end(name)?;
    let removed = staged::remove(name);
    let _ = fs::remove_dir_all(Path::new(STATE).join("containers").join(name));
    removed
}

/// Gives back a NIC that nobody has any more, each part that was taken. It can be given again unless somebody can still reach
/// it.
pub fn finish(journal: Journal<'_>, lease: &Lease, namespace: Option<&OwnedFd>) -> Result<(), LaunchError> {
    for line in queue_pairs::left(&lease.grant) {
        notice(format_args!("warning: {line}"));
    }
    undo(lease, journal.ledger)?;
    let left = match give_back(lease, namespace, journal) {
        Err(error) if error.is_kept_away() => {
            // Nobody waits for it again.
            let lock = journal.ledger.lock()?;
            journal.ledger.stick(&lock, lease, error.to_string())?;
            return Err(error.into());
        }
        left => left?,
    };
    left.iter().for_each(notice);
    undo_late(lease)?;
    let was_opened = lease.has_begun(&Step::Restrict) || lease.was_attached();
    let reached_by = if was_opened { draining::of(lease) } else { Vec::new() };
    journal.try_begin(&Step::Free);
    let lock = journal.ledger.lock()?;
    if reached_by.is_empty() && left.dirty.is_empty() {
        free(journal.ledger, &lock, lease)?;
        return Ok(());
    }
    for one in &reached_by {
        notice(format_args!(
            "warning: {} is back, but {one}: it is not given to anybody until that is closed",
            lease.grant.nic.name
        ));
    }
    let quarantine = (!left.dirty.is_empty()).then(|| left.dirty.join("; "));
    Ok(journal.ledger.keep(&lock, lease, reached_by, quarantine)?)
}
