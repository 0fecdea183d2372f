//! Lets a container that is in the network namespace of NICs open their nodes, and shows them to it.

use std::fs;
use std::io;

use super::terms::Terms;
use super::{Job, Target};
use crate::kind::Kind;
use crate::lease::{DeviceNode, Journal, Step};
use crate::lifecycle::{LaunchError, Siblings, turn};
use crate::phases::devices::{self, given_nodes};
use crate::phases::narrow::narrow;
use crate::phases::show::{Showing, show};
use crate::phases::{PhaseError, allow, freeze, stale};

/// Lets the container's processes open the NICs' nodes, shows them, and hands all over to the container.
pub fn admit(
    target: &Target,
    Terms { view, cover_proc, created, .. }: &Terms,
    journal: Journal<'_>,
    goes_on: impl Fn() -> Result<(), LaunchError>,
) -> Result<(), LaunchError> {
    let pid = target.process.pid;
    match &target.job {
        Some(job) => nodes_of_job(target, job, journal)?,
        None => nodes(target, journal)?,
    }
    if created.is_some() {
        no_other_nodes(target, journal)?;
    }
    goes_on()?;
    let unpivoted = created.as_ref().map(|created| created.root.clone());
    let starts_as = created.as_ref().map(|created| created.user);
    let sys_later = created.as_ref().is_some_and(|created| created.sys_later);
    {
        let _turn = turn()?;
        let mut siblings = Siblings::of(journal.ledger, target.process, journal.token.generation)?;
        siblings.grants.extend_from_slice(journal.grants);
        let freezer = freeze::file(&target.whole)?;
        let (process, mounts) = (target.process, target.mounts);
        let (step_freezer, step_root) = (freezer.clone(), unpivoted.clone());
        journal.begin(&Step::Show {
            process,
            mounts,
            freezer: step_freezer,
            view: *view,
            unpivoted: step_root,
        })?;
        let (grants, unpivoted) = (&siblings.grants[..], unpivoted.as_deref());
        show(&Showing {
            process,
            grants,
            view: *view,
            freezer,
            cover_proc: *cover_proc,
            sys_later,
            unpivoted,
            starts_as,
        })?;
    }
    goes_on()?;
    stale::check(journal)?;
    if fs::metadata(format!("/proc/{pid}/ns/mnt")).map_or(0, |of| std::os::unix::fs::MetadataExt::ino(&of))
        != target.mounts
    {
        return Err(LaunchError::Inside(format!("process {pid} has changed its mount namespace meanwhile")));
    }
    let made = journal.ledger.holder_of(journal.token)?;
    Ok(journal.ledger.hand_over(journal.token, &target.holder(&made))?)
}

/// What the device cgroup refuses until now is allowed; that it can be opened then is tried.
///
/// Trying goes into the container's control group, which a container can freeze: so it is done without the ledger's lock.
fn nodes(target: &Target, journal: Journal<'_>) -> Result<(), PhaseError> {
    let pid = target.process.pid;
    // A rule that is for another device by now does not count.
    stale::look(journal.ledger)?;
    let mut open = Vec::new();
    for node in given_nodes(journal.grants)? {
        if allow::can_open(&target.cgroup, pid, &node)? {
            open.push(node);
        }
    }
    let given = stale::give(journal, target.process, |nodes, begin| {
        let refused: Vec<DeviceNode> = nodes.iter().filter(|node| !open.contains(node)).cloned().collect();
        if refused.is_empty() {
            return Ok(());
        }
        let pins = format!("{}-devices", journal.token.generation);
        // On version 1 what is allowed does not hold for the groups below (`devcgroup_update_access()`, security/device_cgroup.c).
        let group = if target.cgroup.devices().is_some() { &target.cgroup } else { &target.whole };
        allow::allow(group, &refused, &pins, begin)
    })?;
    for node in &given {
        if !allow::can_open(&target.cgroup, pid, node)? {
            let error = std::io::Error::from_raw_os_error(libc::EPERM);
            return Err(PhaseError::new(
                format!("opening {} ({}:{}) as container {} would", node.name, node.major, node.minor, target.name),
                error,
            )
            .with_advice(
                "a cgroup above its own refuses the device: allow it there (systemctl set-property … DeviceAllow=, or the engine's --device)",
            ));
        }
    }
    Ok(())
}

/// Its scheduler has decided which devices it may open: what that refuses nicdock does not allow, and what it leaves of others' is refused.
fn nodes_of_job(target: &Target, job: &Job, journal: Journal<'_>) -> Result<(), PhaseError> {
    stale::look(journal.ledger)?;
    let given = stale::give(journal, target.process, |_, _| Ok(()))?;
    narrow(&job.groups, &given, journal)?;
    for group in &job.groups {
        for node in &given {
            if !allow::can_open(group, target.process.pid, node)? {
                let error = std::io::Error::from_raw_os_error(libc::EPERM);
                let what = format!(
                    "opening {} ({}:{}) as job {} would",
                    node.name, node.major, node.minor, target.name
                );
                return Err(PhaseError::new(what, error).of_kind(Kind::NotClosed).with_advice(
                    "the job's device control group refuses it: its scheduler has not given the job this NIC (Slurm: --gres)",
                ));
            }
        }
    }
    Ok(())
}

/// An engine may let a container open other devices (`--device`): those of other NICs are not its own.
fn no_other_nodes(target: &Target, journal: Journal<'_>) -> Result<(), PhaseError> {
    let mut own = given_nodes(&Siblings::of(journal.ledger, target.process, 0)?.grants)?;
    own.extend(given_nodes(journal.grants)?);
    let mut others = devices::every_node_of_host()?;
    others.retain(|node| own.iter().all(|given| given.name != node.name));
    let groups = target.job.as_ref().map_or(std::slice::from_ref(&target.cgroup), |job| &job.groups);
    let mut found = None;
    for group in groups {
        found = found.or(allow::first_openable(group, target.process.pid, &others)?);
    }
    let Some(node) = found else { return Ok(()) };
    let error = io::Error::other(format!("it may open /dev/infiniband/{}, which it is not given", node.name));
    Err(PhaseError::new(format!("looking at what container {} may open", target.name), error)
        .of_kind(Kind::NotClosed)
        .with_advice("leave --privileged and --device for other NICs away"))
}
