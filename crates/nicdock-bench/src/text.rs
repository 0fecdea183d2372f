//! Writes the report for people, as lines of a terminal.

use std::fmt::Write;

use crate::report::Report;

/// The table, what disturbs, and how to read it.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let machine = &report.machine;
    let _ = writeln!(
        text,
        "{} against {}, on the host and in a container ({} rounds)\n",
        machine.nic.name, machine.nic2.name, report.rounds
    );
    let _ = writeln!(
        text,
        "{:<5} {:>7}  {:>12} {:>12} {:<7} {:>7}  {:<17} VERDICT",
        "TEST", "BYTES", "HOST", "CONTAINER", "", "RATIO", "95 % INTERVAL"
    );
    for row in &report.tests {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), significant);
        let ratio = row.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.4}"));
        let interval =
            row.interval.map_or_else(|| "-".to_owned(), |[low, high]| format!("{low:.4} … {high:.4}"));
        let _ = writeln!(
            text,
            "{:<5} {:>7}  {:>12} {:>12} {:<7} {:>7}  {:<17} {}",
            row.name,
            row.size,
            number(row.host.median),
            number(row.container.median),
            row.unit,
            ratio,
            interval,
            row.verdict
        );
    }
    if report.interrupted {
        text.push_str("\nIt was interrupted: these are the rounds that both had finished.\n");
    }
    for disturbance in &report.disturbances {
        let _ = writeln!(text, "\nnote: {disturbance}");
    }
    text
}

/// Four significant digits.
pub fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    #[allow(clippy::cast_possible_truncation)]
    let magnitude = value.abs().log10().floor() as i32;
    let digits = usize::try_from(3 - magnitude).unwrap_or(0);
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::significant;

    #[test]
    fn four_digits_count() {
        assert_eq!([1367.58, 10.7, 0.002_326].map(significant), ["1368", "10.70", "0.002326"]);
    }
}
