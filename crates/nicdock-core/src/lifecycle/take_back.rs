//! A NIC is taken back because an administrator says so.

use nicdock_netlink::name;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::LaunchError;
use super::detach::detach as detach_one;
use super::end::{self, Recovered, drained, recover_one};
use crate::kind::Kind;
use crate::lease::{Holder, Lease, Ledger, State};
use crate::phases::cgroup;
use nicdock_sys::membership;
use nicdock_sys::pidfd::Process;

/// How long a supervisor may take to give back the NIC of a container that was ended.
const SUPERVISOR: Duration = Duration::from_secs(15);

/// Takes back every NIC that `what` names: a NIC's name, its netdev's or its PCI address, or a container. Without `force` no container
/// that runs is ended, and no NIC freed that is not as it was.
pub fn take_back(ledger: &Ledger, what: &str, force: bool) -> Result<Recovered, LaunchError> {
    let leases = ledger.readable()?.into_iter();
    let meant: Vec<Lease> = leases.filter(|lease| is_meant(lease, what)).collect();
    if meant.is_empty() {
        return Err(LaunchError::refused(
            Kind::NoMatch,
            format!("no NIC or container '{what}' has a lease: see nicdock leases"),
        ));
    }
    let mut recovered = Recovered::default();
    for lease in &meant {
        recovered.add(one(ledger, lease, force));
    }
    Ok(recovered)
}

/// Takes every NIC that `what` names and that was attached from its container, which runs on; see [`detach_one`].
pub fn detach(ledger: &Ledger, what: &str, wait: Duration, force: bool) -> Result<Recovered, LaunchError> {
    detach_those(ledger, what, |lease| is_meant(lease, what), wait, force)
}

/// The same for those of the container `name` whose first process is `pid`.
pub fn detach_from(
    ledger: &Ledger,
    name: &str,
    pid: u32,
    wait: Duration,
    force: bool,
) -> Result<Recovered, LaunchError> {
    let has = |lease: &Lease| lease.holder(name).is_some_and(|holder| holder.supervisor.pid == pid);
    detach_those(ledger, name, has, wait, force)
}

fn detach_those(
    ledger: &Ledger,
    what: &str,
    is_meant: impl Fn(&Lease) -> bool,
    wait: Duration,
    force: bool,
) -> Result<Recovered, LaunchError> {
    let leases = ledger.each()?.into_iter().filter_map(Result::ok);
    let (meant, others): (Vec<Lease>, Vec<Lease>) = leases
        .filter(is_meant)
        .partition(|lease| lease.was_attached() && !is_a_jobs(lease) && lease.state() == State::Held);
    if meant.is_empty() {
        let why = others.first().map_or_else(
            || "nothing of that name has a lease".to_owned(),
            |lease| {
                format!(
                    "{} is kept by {}; nicdock return takes that back",
                    lease.grant.nic.name,
                    lease.kept_by()
                )
            },
        );
        let kind = if others.is_empty() { Kind::NoMatch } else { Kind::Held };
        return Err(LaunchError::refused(
            kind,
            format!("{what} was not attached: {why} (see nicdock leases)"),
        ));
    }
    let mut recovered = Recovered::default();
    for lease in &meant {
        recovered.add(detach_one(ledger, lease, wait, force));
    }
    Ok(recovered)
}

fn is_meant(lease: &Lease, what: &str) -> bool {
    let (nic, called) = (&lease.grant.nic, name::canonical(what));
    nic.name == called
        || nic.key() == what
        || nic.netdevs.iter().any(|netdev| netdev.name == called)
        || lease.holder(what).is_some()
        || lease.reserved.as_ref().is_some_and(|reservation| reservation.owner.name == what)
}

fn one(ledger: &Ledger, lease: &Lease, force: bool) -> Result<Option<String>, LaunchError> {
    let refuse = |advice: &str| {
        let kept = LaunchError::kept(lease);
        Err(LaunchError::refused(kept.kind(), format!("{kept}: {advice}")))
    };
    match lease.state() {
        State::Abandoned | State::Stuck => recover_one(ledger, lease),
        State::Held if is_a_jobs(lease) && !force => refuse("end the job (scancel), or let --force end it"),
        State::Held if lease.was_attached() && !is_a_jobs(lease) => {
            detach_one(ledger, lease, Duration::ZERO, force)
        }
        State::Starting | State::Held | State::Returning if force => end_holders(ledger, lease).map(Some),
        State::Starting | State::Held | State::Returning => refuse("end it, or let --force end it"),
        State::Draining => match drained(ledger, lease)? {
            None if force => free(ledger, lease).map(Some),
            None => refuse(
                "end that process, or let --force free the NIC: the next container shares it with that one then",
            ),
            done => Ok(done),
        },
        State::Reserved | State::Quarantined if force => free(ledger, lease).map(Some),
        State::Reserved => refuse("have its owner release it, or let --force end the reservation"),
        State::Quarantined => refuse("put that right, then free it with --force"),
    }
}

fn free(ledger: &Ledger, lease: &Lease) -> Result<String, LaunchError> {
    let lock = ledger.lock()?;
    if lease.is_reserved() {
        end::end_reservation(ledger, &lock, lease)?;
    } else {
        end::free(ledger, &lock, lease)?;
    }
    Ok(format!("{} can be given again, although it was kept by {}", lease.grant.nic.name, lease.kept_by()))
}

/// Ends the containers; their supervisors give the NIC back, or are killed, and it is given back for them.
fn end_holders(ledger: &Ledger, lease: &Lease) -> Result<String, LaunchError> {
    let names: Vec<&str> = lease.holders.iter().map(|holder| holder.container.as_str()).collect();
    let told = || format!("ended container {} and took back {}", names.join(" and "), lease.grant.nic.name);
    for holder in lease.holders.iter().filter(|holder| holder.is_launched()) {
        cgroup::end(&holder.container)?;
    }
    let begin = Instant::now();
    while begin.elapsed() < SUPERVISOR {
        match ledger.current(lease)? {
            None => return Ok(told()),
            Some(now) if now.holders.is_empty() => break,
            Some(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    for holder in &lease.holders {
        // A job lives as long as one process of it does.
        kill_group(holder);
        kill(holder);
    }
    if let Some(now) = ledger.current(lease)? {
        recover_one(ledger, &now)?;
    }
    match ledger.current(lease)? {
        None => Ok(told()),
        Some(now) => Err(LaunchError::refused(
            Kind::NotRestored,
            format!("{}; it is still kept by {}", told(), now.kept_by()),
        )),
    }
}

/// What a job may open its control group says, which is its scheduler's: the NIC comes back when it has ended.
fn is_a_jobs(lease: &Lease) -> bool {
    lease.holders.iter().any(|holder| holder.group.is_some())
}

/// Kills what is left of a job.
fn kill_group(holder: &Holder) {
    let Some(group) = &holder.group else { return };
    let begin = Instant::now();
    while begin.elapsed() < SUPERVISOR {
        let left = membership::processes_below(group).unwrap_or_default();
        if left.is_empty() {
            return;
        }
        for process in left.into_iter().filter_map(|pid| Process::open(pid).ok()) {
            let _ = process.signal(Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills a supervisor and waits for its end; a later process with its number is left alone.
fn kill(holder: &Holder) {
    let Ok(process) = Process::open(holder.supervisor.pid) else { return };
    let begin = Instant::now();
    while holder.is_alive() && begin.elapsed() < SUPERVISOR {
        let _ = process.signal(Signal::KILL);
        std::thread::sleep(Duration::from_millis(5));
    }
}
