//! The report for people: what is open, and how much is not.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Entry, Report};
use crate::probe::{Verdict, family};

/// One line a family, then what is open with its evidence; `colour` for terminals.
pub fn text(report: &Report, colour: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut out = String::new();
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    if !report.reproducible {
        return out;
    }
    let mut families: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in &report.probes {
        families.entry(family(&entry.id)).or_default().push(entry);
    }
    for (family, entries) in families {
        let of = |verdict| entries.iter().filter(move |entry| entry.result == verdict);
        let count = |verdict| of(verdict).count();
        let (open, absent) = (count(Verdict::Open), count(Verdict::NotApplicable));
        let _ = write!(out, "{family:<12} {:>4} closed", count(Verdict::Closed));
        let accepted = count(Verdict::Accepted);
        if accepted > 0 {
            let _ = write!(out, ", {}", paint("33", &format!("{accepted} accepted")));
        }
        if open > 0 {
            let _ = write!(out, ", {}", paint("31;1", &format!("{open} open")));
        }
        if absent > 0 {
            let _ = write!(out, ", {absent} not applicable");
        }
        out.push('\n');
        for entry in of(Verdict::Open) {
            let _ = writeln!(out, "  {} {}: {}", paint("31", "open"), entry.id, entry.evidence);
        }
        for entry in of(Verdict::Accepted) {
            let by = entry.weakness.as_deref().unwrap_or_default();
            let _ = writeln!(out, "  {} ({by}) {}: {}", paint("33", "accepted"), entry.id, entry.evidence);
        }
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in of(Verdict::NotApplicable) {
            *reasons.entry(&entry.evidence).or_default() += 1;
        }
        for (reason, count) in reasons {
            let _ = writeln!(out, "  n/a ({count}): {reason}");
        }
    }
    let summary = &report.summary;
    let verdict = if summary.open > 0 { paint("31;1", "OPEN") } else { paint("32;1", "closed") };
    let _ = writeln!(
        out,
        "{verdict}: {} probes, {} closed, {} accepted, {} open, {} not applicable; {} entries of /sys and /proc read; {} s",
        report.probes.len(),
        summary.closed,
        summary.accepted,
        summary.open,
        summary.not_applicable,
        summary.entries_walked,
        summary.seconds
    );
    out
}
