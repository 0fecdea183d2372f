//! Running the probes, each in a process of its own.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::kernel::errno::Errno;
use crate::kernel::fork::{self, End, signal_name};
use crate::probe::{Context, Finding, Probe};
use crate::probes;
use crate::report::{Entry, Report, printable};
use crate::target::Target;
use crate::walk::{self, Walk};
use crate::words::Words;

/// A probe that takes longer proves nothing.
const A_PROBE: Duration = Duration::from_secs(15);
const A_TREE: Duration = Duration::from_secs(60);
/// The exit status when the audit itself fails.
pub const FAILURE: u8 = 125;

/// Tries everything. Fails only if no process can be made at all.
pub fn run(target: Target, only: Option<&str>) -> Result<Report, String> {
    let begin = Instant::now();
    let words = Words::of(&target);
    let mut context = Context { target, walk: Walk::default(), words };
    let mut probes = probes::all(&context);
    probes.retain(|probe| only.is_none_or(|parts| parts.split(',').any(|part| probe.id.contains(part))));
    if probes.iter().any(|probe| matches!(probe.family(), "sys" | "proc")) {
        context.walk = match fork::run(A_TREE * 3, || walk::walk(&context.words, A_TREE)) {
            Ok(End::Said(walk)) => walk,
            Ok(other) => return Err(format!("the walk over /sys and /proc did not end well: {other:?}")),
            Err(errno) => return Err(format!("no process can be made to try anything in: fork: {errno}")),
        };
    }
    let mut progress = Progress { begin, is_shown: false, total: probes.len() };
    let mut entries = Vec::new();
    for (number, probe) in probes.iter().enumerate() {
        progress.show(number, &probe.id);
        let started = Instant::now();
        let finding = attempt(probe, &context).map_err(|errno| format!("{}: fork: {errno}", probe.id))?;
        entries.push(Entry {
            id: probe.id.clone(),
            result: finding.verdict,
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            evidence: printable(&finding.evidence),
            weakness: None,
        });
    }
    progress.end();
    Ok(Report::new(entries, &context, begin.elapsed()))
}

/// Runs `work` in a child that is in the process namespace for the caller's children; gives its exit status.
pub fn in_process_namespace(work: impl FnOnce() -> Result<u8, String>) -> Result<u8, String> {
    let said = || {
        work().unwrap_or_else(|error| {
            eprintln!("nicdock-audit: {error}");
            FAILURE
        })
    };
    match fork::status_of(said) {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(signal)) => Err(format!("the audit was ended by {}", signal_name(signal))),
        Err(errno) => Err(format!("entering the process namespace: fork: {errno}")),
    }
}

fn attempt(probe: &Probe, context: &Context) -> Result<Finding, Errno> {
    if probe.looks_up {
        return Ok((probe.attempt)(context));
    }
    Ok(match fork::run(A_PROBE, || (probe.attempt)(context))? {
        End::Said(finding) => finding,
        End::Signal(libc::SIGSYS) => Finding::closed("the attempt was killed by SIGSYS (seccomp)"),
        // What could not be tried to its end is not closed.
        End::Signal(signal) => {
            Finding::open(format!("not concluded: the attempt was ended by {}", signal_name(signal)))
        }
        End::Late => Finding::open(format!("not concluded: no answer within {} s", A_PROBE.as_secs())),
        End::Silent => Finding::open("not concluded: the attempt ended without an answer"),
    })
}

/// A line on a terminal, after the first second.
struct Progress {
    begin: Instant,
    is_shown: bool,
    total: usize,
}

impl Progress {
    fn show(&mut self, number: usize, id: &str) {
        let mut stderr = std::io::stderr();
        if self.begin.elapsed() > Duration::from_secs(1) && stderr.is_terminal() {
            self.is_shown = true;
            let _ = write!(stderr, "\r\x1b[K{}/{} {id}", number + 1, self.total);
        }
    }

    fn end(&self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
