//! Counts tests in what the runners print: libtest (and libtest-mimic), cargo-nextest, and lab/vic/tests/guest.sh. Pure.

use std::fmt;
use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Tally {
    /// What one line of a runner's output adds.
    pub fn of_line(line: &str) -> Self {
        let line = line.trim();
        if let Some(result) = line.strip_prefix("test result: ") {
            // test result: ok. 5 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s
            let counts = result.split_once(". ").map_or("", |(_, counts)| counts);
            return counts.split("; ").map(count).fold(Self::default(), Self::plus);
        }
        if line.starts_with("Summary [") {
            // Summary [   0.012s] 5 tests run: 3 passed (1 slow), 2 failed, 1 skipped
            let counts = line.split_once("run: ").map_or("", |(_, counts)| counts);
            return counts.split(", ").map(count).fold(Self::default(), Self::plus);
        }
        // guest.sh proves a claim a line. It ends with the first that fails.
        match line.split_once(": ") {
            Some(("proven", _)) => Self { passed: 1, ..Self::default() },
            Some(("skipped", _)) => Self { skipped: 1, ..Self::default() },
            Some(("FAILED", _)) => Self { failed: 1, ..Self::default() },
            _ => Self::default(),
        }
    }

    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn plus(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// `3 passed (1 slow)`, `2 timed out`, `1 ignored`.
fn count(text: &str) -> Tally {
    let (number, word) = text.trim().split_once(' ').unwrap_or_default();
    let number = number.parse().unwrap_or(0);
    match word.split(" (").next().unwrap_or(word) {
        "passed" => Tally { passed: number, ..Tally::default() },
        "failed" | "timed out" | "exec failed" => Tally { failed: number, ..Tally::default() },
        "ignored" | "skipped" => Tally { skipped: number, ..Tally::default() },
        _ => Tally::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_says_how_many() {
        let line = "test result: FAILED. 5 passed; 1 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.00s";
        assert_eq!(Tally::of_line(line), Tally { passed: 5, failed: 1, skipped: 2 });
    }

    #[test]
    fn nextest_says_how_many() {
        let line =
            "     Summary [   0.012s] 6/8 tests run: 3 passed (1 slow), 2 failed, 1 timed out, 1 skipped";
        assert_eq!(Tally::of_line(line), Tally { passed: 3, failed: 3, skipped: 1 });
        let line = "Summary [   0.1s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(Tally::of_line(line), Tally { passed: 1, failed: 0, skipped: 0 });
    }

    #[test]
    fn every_claim_about_the_virtual_vic_counts() {
        assert_eq!(Tally::of_line("proven: a VIC can be unplugged"), Tally { passed: 1, ..Tally::default() });
        assert_eq!(Tally::of_line("skipped: the data path"), Tally { skipped: 1, ..Tally::default() });
        assert_eq!(Tally::of_line("FAILED: fi_info: -61"), Tally { failed: 1, ..Tally::default() });
    }

    #[test]
    fn other_lines_count_nothing() {
        assert!(Tally::of_line("test plan::tests::a ... ok").is_empty());
        assert!(Tally::of_line("error: 3 failed, 1 passed").is_empty());
    }
}
