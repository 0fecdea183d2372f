//! JUnit's XML, as pipelines read it.

use std::fmt::Write;

use super::Report;
use crate::probe::{Verdict, family};

/// One test case a probe: open is a failure, not applicable is skipped, accepted is none.
pub fn junit(report: &Report) -> String {
    let summary = &report.summary;
    let errors = u8::from(!report.reproducible);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"nicdock audit\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\" skipped=\"{}\" time=\"{}\">\n",
        report.probes.len() + usize::from(errors),
        summary.open,
        summary.not_applicable,
        summary.seconds
    );
    if !report.reproducible {
        let reason = escape(&report.notes.join("; "));
        let _ = writeln!(
            out,
            "<testcase classname=\"nicdock.audit\" name=\"reproducible\"><error message=\"{reason}\"/></testcase>"
        );
    }
    for entry in &report.probes {
        let (id, evidence) = (escape(&entry.id), escape(&entry.evidence));
        let _ =
            write!(out, "<testcase classname=\"nicdock.audit.{}\" name=\"{id}\">", escape(family(&entry.id)));
        let _ = match entry.result {
            Verdict::Open => write!(out, "<failure message=\"{evidence}\"/>"),
            Verdict::NotApplicable => write!(out, "<skipped message=\"{evidence}\"/>"),
            Verdict::Closed => write!(out, "<system-out>{evidence}</system-out>"),
            Verdict::Accepted => {
                let by = escape(entry.weakness.as_deref().unwrap_or_default());
                write!(out, "<system-out>accepted ({by}): {evidence}</system-out>")
            }
        };
        out.push_str("</testcase>\n");
    }
    out + "</testsuite>\n</testsuites>\n"
}

/// XML 1.0 has no way to write most control characters: they become question marks.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Entry;

    #[test]
    fn evidence_cannot_break_out_of_the_xml() {
        let mut report = Report::not_reproducible("because <of> \"this\"");
        report.probes.push(Entry {
            id: "a.b".into(),
            result: Verdict::Open,
            milliseconds: 0,
            weakness: None,
            evidence: "\x1b[31m\"/><x> & y".into(),
        });
        let xml = junit(&report);
        assert!(xml.contains("message=\"?[31m&quot;/&gt;&lt;x&gt; &amp; y\""), "{xml}");
        assert!(xml.contains("because &lt;of&gt;") && xml.contains("tests=\"2\""));
    }
}
