//! How long tests take: read from what the lab's suite prints at its end (`tests/lab/times.rs`). Pure.

use std::collections::BTreeSet;

/// So many are shown: what is worth making faster.
const SHOWN: usize = 10;

/// A test and its seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    pub seconds: f64,
    pub name: String,
}

/// A line such as `  12.3 s  name_of_a_test`; the sum of all, which has two words, is none.
pub fn of_line(line: &str) -> Option<Timed> {
    let (seconds, name) = line.trim().split_once(" s  ")?;
    let seconds = seconds.parse().ok()?;
    (!name.is_empty() && !name.contains(' ')).then(|| Timed { seconds, name: name.to_owned() })
}

/// A line each for the slowest of all steps, each step with its name.
pub fn table<'a>(steps: impl Iterator<Item = (&'a str, &'a [Timed])>) -> Vec<String> {
    let mut all: Vec<_> =
        steps.flat_map(|(step, tests)| tests.iter().map(move |test| (step, test))).collect();
    all.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
    all.iter()
        .take(SHOWN)
        .map(|(step, test)| format!("{:7.1} s  {} ({step})", test.seconds, test.name))
        .collect()
}

/// The seconds of these tests, in all steps together.
pub fn sum<'a>(tests: impl Iterator<Item = &'a Timed>, names: &BTreeSet<&str>) -> f64 {
    tests.filter(|test| names.contains(&*test.name)).map(|test| test.seconds).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_counts_in_each_lab_where_it_ran() {
        let timed = |seconds, name: &str| Timed { seconds, name: name.to_owned() };
        let all = [timed(1.5, "a"), timed(2.0, "b"), timed(4.0, "a")];
        assert!((sum(all.iter(), &BTreeSet::from(["a"])) - 5.5).abs() < 1e-9);
    }

    #[test]
    fn the_slowest_of_all_labs_come_first() {
        let read = |text: &str| text.lines().filter_map(of_line).collect::<Vec<_>>();
        let one = read("  12.3 s  a_is_b\n   2.0 s  c_is_d\n  14.3 s  2 tests\ntest e ... ok");
        let other = read(" 100.5 s  a_is_b\n");
        assert_eq!(one.len(), 2);
        let table = table([("lab 1", one.as_slice()), ("lab 2", other.as_slice())].into_iter());
        assert_eq!(
            table,
            ["  100.5 s  a_is_b (lab 2)", "   12.3 s  a_is_b (lab 1)", "    2.0 s  c_is_d (lab 1)"]
        );
    }
}
