//! Keeps what a runner said of the tests that failed, to say it again where everybody looks: at the end. Pure.

use std::collections::VecDeque;

/// How many of its last lines tell of a program that failed without naming a test.
const LAST: usize = 60;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    said: Vec<String>,
    last: VecDeque<String>,
    inside: bool,
}

impl Failures {
    /// Sees the next line of a runner's output.
    pub fn see(&mut self, line: &str) {
        let line = line.trim_end();
        // libtest's part about failures goes from here to its result, with what each test said.
        if line == "failures:" {
            self.inside = true;
        } else if line.starts_with("test result: ") {
            self.inside = false;
        } else if self.inside && !line.is_empty() || is_failure(line.trim_start()) {
            self.said.push(line.to_owned());
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    /// What the runner said of failures, or else the last that it said.
    pub fn told(&self) -> Vec<&str> {
        if self.said.is_empty() {
            self.last.iter().map(String::as_str).collect()
        } else {
            self.said.iter().map(String::as_str).collect()
        }
    }
}

/// nextest's `FAIL [   0.1s] …` and `TIMEOUT [ …`, and guest.sh's `FAILED: …`.
fn is_failure(line: &str) -> bool {
    ["FAIL [", "TIMEOUT [", "SIGABRT [", "SIGSEGV [", "FAILED: "].iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &str) -> Vec<String> {
        let mut failures = Failures::default();
        lines.lines().for_each(|line| failures.see(line));
        failures.told().into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn what_libtest_says_of_failures_is_kept() {
        let lines = "test a ... FAILED\ntest b ... ok\n\nfailures:\n\n---- a ----\nit broke\n\n\nfailures:\n    a\n\n\
                     test result: FAILED. 1 passed; 1 failed\n\n  1.0 s  a";
        assert_eq!(told(lines), ["---- a ----", "it broke", "    a"]);
    }

    #[test]
    fn other_runners_failures_are_kept() {
        let lines = "  PASS [ 0.1s] x a\n  FAIL [   0.1s] x b\nFAILED: fi_info: -61\nproven: c";
        assert_eq!(told(lines), ["  FAIL [   0.1s] x b", "FAILED: fi_info: -61"]);
    }

    #[test]
    fn who_names_no_test_is_told_by_its_last_lines() {
        let lines: Vec<String> = (1..=100).map(|line| format!("line {line}")).collect();
        assert_eq!(told(&lines.join("\n")), lines[40..]);
    }
}
