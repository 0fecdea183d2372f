//! A report that comes out of a container: whatever it says was written where the container's processes are.

use super::{Entry, Report, Summary, accept};
use crate::weakness::Weakness;

impl Report {
    /// What `text`, JSON, says, counted and explained anew, and printable. Errors: it is no whole report.
    pub fn received(text: &[u8], weaknesses: &[Weakness]) -> Result<Self, String> {
        let said: Self = serde_json::from_slice(text).map_err(|error| format!("no whole report: {error}"))?;
        if said.schema != 1 {
            return Err(format!("a report of schema {}, and this nicdock knows 1", said.schema));
        }
        let mut probes: Vec<Entry> = said
            .probes
            .into_iter()
            .map(|entry| Entry { id: printable(&entry.id), evidence: printable(&entry.evidence), ..entry })
            .collect();
        accept(&mut probes, weaknesses);
        let summary = Summary {
            entries_walked: said.summary.entries_walked,
            seconds: said.summary.seconds,
            walk_seconds: said.summary.walk_seconds,
            ..Summary::count(&probes)
        };
        let notes = said.notes.iter().map(|note| printable(note)).collect();
        Ok(Self { schema: 1, reproducible: said.reproducible, notes, summary, probes })
    }
}

/// One line without what a terminal obeys: control characters, and those that change the direction of writing (UAX #9).
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | '\0' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_default()),
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Verdict;

    #[test]
    fn a_received_report_is_counted_anew() {
        let entry = Entry {
            id: "a.b".into(),
            result: Verdict::Open,
            evidence: String::new(),
            milliseconds: 0,
            weakness: None,
        };
        let said = Report { reproducible: true, probes: vec![entry], ..Report::not_reproducible("x") };
        assert_eq!(said.exit_status(), 0);
        let report = Report::received(&serde_json::to_vec(&said).unwrap(), &[]).unwrap();
        assert_eq!((report.summary.open, report.exit_status()), (1, 1));
    }

    #[test]
    fn what_is_accepted_the_host_says() {
        let entry = |id: &str| Entry {
            id: id.into(),
            result: Verdict::Accepted,
            evidence: String::new(),
            milliseconds: 0,
            weakness: Some("x".into()),
        };
        let said = Report {
            reproducible: true,
            probes: vec![entry("generic.list"), entry("rdma.list")],
            ..Report::not_reproducible("x")
        };
        let weaknesses = [Weakness::new("netlink.generic", "")];
        let report = Report::received(&serde_json::to_vec(&said).unwrap(), &weaknesses).unwrap();
        assert_eq!((report.summary.accepted, report.summary.open), (1, 1));
        assert_eq!(report.probes[0].weakness.as_deref(), Some("netlink.generic"));
        assert_eq!(report.probes[1].weakness, None);
    }

    #[test]
    fn nothing_in_a_received_report_commands_a_terminal() {
        let said = Report::not_reproducible("\u{1b}]0;x\u{7} \u{9b}31m \u{202e}");
        let report = Report::received(&serde_json::to_vec(&said).unwrap(), &[]).unwrap();
        assert!(!report.notes[0].contains(|c: char| c.is_control() || c == '\u{202e}'), "{:?}", report.notes);
    }

    #[test]
    fn a_part_of_a_report_is_none() {
        let text = serde_json::to_vec(&Report::not_reproducible("x")).unwrap();
        assert!(
            Report::received(&text[..text.len() - 1], &[]).is_err() && Report::received(b"", &[]).is_err()
        );
    }
}
