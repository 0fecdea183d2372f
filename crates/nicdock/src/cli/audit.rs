//! `nicdock audit`: what a container can reach of NICs that are not its own.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;
use nicdock_audit::report::{Report, junit, text};
use nicdock_audit::weakness::Weakness;
use nicdock_core::audit::{self, Audit, AuditError, Own};
use nicdock_core::kind::Kind;
use nicdock_core::lease::{Holder, Lease, Ledger};
use nicdock_core::phases::cgroup;
use nicdock_core::phases::devices::present;
use nicdock_core::plan::Plan;
use nicdock_core::say::{answer, answer_styled, notice};
use nicdock_sys::membership;
use nicdock_sys::umask::with_callers;

/// Seconds for which a container may stand still.
pub const MAX_PAUSE: u64 = 60;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock audit --pid $(pgrep -n ibv_rc_pingpong)\n  nicdock audit --pid 4711 --json --junit audit.xml\n  nicdock run --audit --nic rxe1 --host-root\n  nicdock run --audit --nic rxe1 --host-root -- --json\n  nicdock audit --show-target > target.json\n\nIt tries, as an attacker would, several hundred ways to see or reach the NICs that the container was not given, and\nchanges nothing. Without --pid it tries from where it is called.\n\nWith --pid the container's processes stand still until it has ended, so that none of them can reach the audit, which is\nthen one of theirs. After --max-pause seconds they run on, and the answer is 'not reproducible'.\n\nExit status: 0 if nothing is open; 1 if something is; 125 when nothing is concluded, for the audit\ncould not be put exactly where the process is; other numbers: nicdock --help."
)]
pub struct Options {
    /// Audit in the place of this process of a container
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// What the container was given, as nicdock plan --json writes it; without it the leases tell
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
    /// Also write the result as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Only probes whose name has this in it, or one of a list with commas
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Let the container run on after so many seconds, whether or not the audit has ended
    #[arg(long, value_name = "SECONDS", default_value_t = MAX_PAUSE, value_parser = clap::value_parser!(u64).range(1..=3600))]
    max_pause: u64,
    /// Print what is foreign and what is own, for nicdock-audit --target elsewhere, and stop
    #[arg(long)]
    show_target: bool,
}

impl Options {
    /// In the place of process `pid`.
    pub fn of_process(pid: u32, json: bool, max_pause: u64) -> Self {
        Self { pid: Some(pid), plan: None, json, junit: None, only: None, max_pause, show_target: false }
    }
}

pub fn audit(options: &Options) -> Result<u8, Failure> {
    let own = own(options)?;
    let target = audit::target(&own)?;
    if options.show_target {
        answer(&(serde_json::to_string_pretty(&target)? + "\n"))?;
        return Ok(0);
    }
    if own.is_nothing() {
        notice("no NIC is known to be the container's own: every one is looked for as foreign");
    }
    let program = Audit::load()?;
    program.tell_bytes(&serde_json::to_vec(&target)?)?;
    // Made before anything is tried, so that a wrong path is told at once.
    let file = options.junit.as_ref().map(|path| {
        let file = with_callers(|| File::create(path));
        file.map(OwnedFd::from).map_err(|error| unusable(path, error))
    });
    let file = file.transpose()?;
    let mut more = Vec::new();
    if let Some(part) = &options.only {
        more.extend(["--only".to_owned(), part.clone()]);
    }
    if options.json || options.pid.is_some() {
        more.push("--json".to_owned());
    }
    let arguments = audit::arguments(&more);
    let Some(pid) = options.pid else {
        return Err(audit::run_here(&program, &arguments, file.as_ref()).into());
    };
    let pause = Duration::from_secs(options.max_pause);
    let (report, failure) = match audit::run_in_place_of(pid, &program, &target.weaknesses, &arguments, pause)
    {
        Ok(mut report) => {
            let leases = Ledger::of_machine().read()?;
            if let Some(entry) = audit::limits(&leases, pid, options.only.as_deref()) {
                report.add(entry);
            }
            (report, None)
        }
        Err(AuditError::NotReproducible(reason)) => {
            (Report::not_reproducible(&reason), Some(AuditError::NotReproducible(reason)))
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(file) = file {
        std::io::Write::write_all(&mut File::from(file), junit(&report).as_bytes())?;
    }
    if options.json {
        answer(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    } else if failure.is_none() {
        answer_styled(&text(&report, std::io::stdout().is_terminal()))?;
    }
    // With --json the report says so itself.
    if let Some(error) = failure {
        notice(error);
    }
    Ok(report.exit_status())
}

/// A file that the user named.
fn unusable(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::BadInput, format!("{}: {why}", path.display()))
}

/// What the container has: by its plan, by the lease whose network namespace the process is in, or by that namespace.
fn own(options: &Options) -> Result<Own, Failure> {
    if let Some(path) = &options.plan {
        let content = std::fs::read(path).map_err(|error| unusable(path, error))?;
        let plan: Plan = serde_json::from_slice(&content).map_err(|error| {
            unusable(path, format_args!("not a plan as nicdock plan --json writes it: {error}"))
        })?;
        return Ok(Own { has_profile: true, ..Own::of_grants(plan.grants, plan.weaknesses) });
    }
    let Some(pid) = options.pid else { return Ok(Own::default()) };
    let namespace = std::fs::read_link(format!("/proc/{pid}/ns/net"))
        .map_err(|error| Failure::new(Kind::NoMatch, format!("/proc/{pid}/ns/net: {error}")))?;
    let leases = Ledger::of_machine().read()?;
    let is_theirs = |holder: &&Holder| match &holder.group {
        Some(group) => is_in(group, pid),
        None => holder.network().and_then(|path| std::fs::read_link(path).ok()).as_ref() == Some(&namespace),
    };
    // A number that it was given is not its own any more when the device has gone.
    let there = present()?;
    let theirs: Vec<&Lease> =
        leases.iter().filter(|lease| lease.holders.iter().any(|holder| is_theirs(&holder))).collect();
    if !theirs.is_empty() {
        // Several containers may share a network namespace, and each has its own.
        let name = cgroup::container_of(pid);
        let is_its = |holder: &&Holder| match &name {
            Some(name) => holder.container == *name,
            None => match &holder.group {
                Some(group) => is_in(group, pid),
                None => !holder.is_launched() && shares_processes(holder.supervisor.pid, pid),
            },
        };
        let holders: Vec<&Holder> = theirs.iter().flat_map(|lease| &lease.holders).filter(is_its).collect();
        let mut weaknesses: Vec<Weakness> =
            holders.iter().flat_map(|holder| holder.weaknesses.clone()).collect();
        weaknesses.sort_by(|a, b| a.id.cmp(&b.id));
        weaknesses.dedup();
        let has_profile = holders.iter().any(|holder| holder.is_launched());
        let grants = theirs.iter().map(|lease| lease.present(&there)).collect();
        return Ok(Own { has_profile, ..Own::of_grants(grants, weaknesses) });
    }
    Ok(Own::found_with(pid).map_err(|error| format!("the network namespace of process {pid}: {error}"))?)
}

/// Whether a process is a job's with this control group.
fn is_in(group: &Path, pid: u32) -> bool {
    membership::processes_below(group).is_ok_and(|processes| processes.contains(&pid))
}

/// Whether a process is in the process namespace of a container's first one; without one of their own, whether it is that one.
fn shares_processes(first: u32, pid: u32) -> bool {
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/pid")).ok();
    let theirs = namespace(&first.to_string());
    first == pid || theirs.is_some() && theirs == namespace(&pid.to_string()) && theirs != namespace("self")
}
