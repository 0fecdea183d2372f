//! A probe and what it finds.

use serde::{Deserialize, Serialize};

use crate::kernel::errno::Errno;
use crate::target::Target;
use crate::walk::Walk;
use crate::words::Words;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Closed,
    Open,
    /// Open, and explained by what was chosen for the container.
    Accepted,
    /// What the attempt needs is missing, as the probe itself has found.
    NotApplicable,
}

/// A verdict with its evidence: one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub verdict: Verdict,
    pub evidence: String,
}

impl Finding {
    pub fn closed(evidence: impl Into<String>) -> Self {
        Self { verdict: Verdict::Closed, evidence: evidence.into() }
    }

    pub fn open(evidence: impl Into<String>) -> Self {
        Self { verdict: Verdict::Open, evidence: evidence.into() }
    }

    pub fn not_applicable(evidence: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotApplicable, evidence: evidence.into() }
    }

    /// An error is closed, unless it says only that something is used up: whoever has freed some may try again.
    pub fn refused(what: &str, errno: Errno) -> Self {
        if errno.is_exhaustion() {
            return Self::open(format!("not concluded: {what}: {errno}"));
        }
        Self::closed(format!("{what}: {errno}"))
    }

    /// Success is open, an error closed as [`Finding::refused`] says; `what` was tried.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "what a call gave is given on, and a descriptor in it closed"
    )]
    pub fn of<T>(what: &str, result: Result<T, Errno>) -> Self {
        match result {
            Ok(_) => Self::open(format!("{what}: succeeded")),
            Err(errno) => Self::refused(what, errno),
        }
    }

    /// The kernel answers what it only does once permission was given (`reached`): open. Any other error is as [`Finding::refused`] says.
    pub fn unless_reached<T>(what: &str, result: Result<T, Errno>, reached: &[i32]) -> Self {
        match result {
            Err(errno) if reached.contains(&errno.0) => {
                Self::open(format!("{what}: {errno}, which is said only after permission was given"))
            }
            result => Self::of(what, result),
        }
    }
}

/// What every probe may look at: made once, before the first.
pub struct Context {
    pub target: Target,
    pub walk: Walk,
    pub words: Words,
}

type Attempt = Box<dyn Fn(&Context) -> Finding>;

pub struct Probe {
    /// A stable, dotted name; its first word is the family.
    pub id: String,
    /// Only looks up what the walk found, so it needs no process of its own.
    pub looks_up: bool,
    pub attempt: Attempt,
}

impl Probe {
    pub fn new(id: impl Into<String>, attempt: impl Fn(&Context) -> Finding + 'static) -> Self {
        Self { id: id.into(), looks_up: false, attempt: Box::new(attempt) }
    }

    pub fn lookup(id: impl Into<String>, attempt: impl Fn(&Context) -> Finding + 'static) -> Self {
        Self { id: id.into(), looks_up: true, attempt: Box::new(attempt) }
    }

    pub fn family(&self) -> &str {
        family(&self.id)
    }
}

/// The first word of an id.
pub fn family(id: &str) -> &str {
    id.split('.').next().unwrap_or(id)
}
