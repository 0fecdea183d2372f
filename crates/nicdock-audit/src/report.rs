//! What the audit says.

mod junit;
mod received;
mod text;

pub use junit::junit;
pub use received::printable;
pub use text::text;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::probe::{Context, Verdict};
use crate::weakness::Weakness;

/// The whole report, as `--json` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Version of this format: 1.
    pub schema: u32,
    /// Whether the audit saw what the audited process sees; if not, nothing is called closed.
    pub reproducible: bool,
    /// Why not, where it is not; what the audit did not know.
    pub notes: Vec<String>,
    pub summary: Summary,
    pub probes: Vec<Entry>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    pub closed: usize,
    pub open: usize,
    /// Open, and explained by a weakness that the plan names.
    #[serde(default)]
    pub accepted: usize,
    pub not_applicable: usize,
    /// Files and folders looked at below /sys and /proc.
    pub entries_walked: usize,
    /// All, and of that the walk over /sys and /proc.
    pub seconds: f64,
    pub walk_seconds: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    pub result: Verdict,
    pub evidence: String,
    /// The id of the weakness that explains it, if it is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weakness: Option<String>,
    #[serde(default)]
    pub milliseconds: u64,
}

impl Summary {
    fn count(probes: &[Entry]) -> Self {
        let count = |verdict| probes.iter().filter(|entry| entry.result == verdict).count();
        Self {
            closed: count(Verdict::Closed),
            open: count(Verdict::Open),
            accepted: count(Verdict::Accepted),
            not_applicable: count(Verdict::NotApplicable),
            ..Self::default()
        }
    }
}

impl Report {
    pub fn new(mut probes: Vec<Entry>, context: &Context, duration: Duration) -> Self {
        accept(&mut probes, &context.target.weaknesses);
        let summary = Summary {
            entries_walked: context.walk.seen.values().sum(),
            seconds: rounded(duration.as_secs_f64()),
            walk_seconds: rounded(context.walk.seconds),
            ..Summary::count(&probes)
        };
        let mut notes = Vec::new();
        if context.target.learned {
            notes.push("no foreign NICs were told: whatever is visible here and is not of this network namespace counts as foreign".to_owned());
        } else if context.target.knows_nothing_foreign() {
            notes.push("there are no foreign NICs to look for".to_owned());
        }
        Self { schema: 1, reproducible: true, notes, summary, probes }
    }

    /// For a process in whose place the audit could not be put.
    pub fn not_reproducible(reason: &str) -> Self {
        let notes = vec![format!("not reproducible: {reason}")];
        Self { schema: 1, reproducible: false, notes, summary: Summary::default(), probes: Vec::new() }
    }

    /// Adds what was found out on the host, of a process in whose place the audit was.
    pub fn add(&mut self, entry: Entry) {
        match entry.result {
            Verdict::Closed => self.summary.closed += 1,
            Verdict::Open => self.summary.open += 1,
            Verdict::Accepted => self.summary.accepted += 1,
            Verdict::NotApplicable => self.summary.not_applicable += 1,
        }
        self.probes.push(entry);
    }

    /// 0 if nothing is open; 1 if something is; 125 if the audit could not be what it should.
    pub fn exit_status(&self) -> u8 {
        match self {
            _ if !self.reproducible => 125,
            _ if self.summary.open > 0 => 1,
            _ => 0,
        }
    }
}

/// Whatever is open and explained is accepted, and nothing else.
fn accept(probes: &mut [Entry], weaknesses: &[Weakness]) {
    for entry in probes.iter_mut().filter(|entry| matches!(entry.result, Verdict::Open | Verdict::Accepted)) {
        let by = weaknesses.iter().find(|weakness| weakness.explains(&entry.id));
        entry.result = if by.is_some() { Verdict::Accepted } else { Verdict::Open };
        entry.weakness = by.map(|weakness| weakness.id.clone());
    }
}

/// To a tenth.
fn rounded(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}
