//! Holds docs/security/attacks.md against what has run: each attack in its tables has a test, and that test ran in a lab. Pure.

use anyhow::{Result, bail};
use std::collections::BTreeSet;

/// Where the attacks are listed.
pub const PAGE: &str = "docs/security/attacks.md";

/// Fails if a row of the page's tables names no test, or one that has not run.
pub fn check(page: &str, ran: &BTreeSet<String>) -> Result<usize> {
    let rows: Vec<&str> = page.lines().filter(|line| is_row(line)).collect();
    if rows.is_empty() {
        bail!("{PAGE} has no row of an attack");
    }
    let mut wrong = Vec::new();
    for row in &rows {
        let tests = tests_of(row);
        if tests.is_empty() {
            wrong.push(format!("no test is named: {row}"));
        }
        let missing = tests.iter().filter(|test| !ran.contains(**test));
        wrong.extend(missing.map(|test| format!("{test} has not run: {row}")));
    }
    if wrong.is_empty() { Ok(rows.len()) } else { bail!("{PAGE}:\n{}", wrong.join("\n")) }
}

/// The tests that the page's tables name.
pub fn tests(page: &str) -> BTreeSet<&str> {
    page.lines().filter(|line| is_row(line)).flat_map(tests_of).collect()
}

/// The name of the test that a line of libtest's output reports as run; tests may print between the name and the result.
pub fn test_that_ran(line: &str) -> Option<&str> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    (result.trim() != "ignored").then_some(name.trim())
}

/// A row of an attack begins with its number, here or of the CVEs; headings and rules do not.
fn is_row(line: &str) -> bool {
    let begins = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()) || rest.starts_with("CVE-");
    line.strip_prefix("| ").is_some_and(begins)
}

/// The names in backquotes in the last column.
fn tests_of(row: &str) -> Vec<&str> {
    let last = row.trim().trim_end_matches('|').rsplit(" | ").next().unwrap_or_default();
    last.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# Attacks\n\n| | attack | test |\n|---|---|---|\n| 1a | a number `231:193` | `a_is_b`, `c_is_d` |\n";

    fn ran(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_row_has_tests_that_ran() {
        assert_eq!(tests(PAGE), BTreeSet::from(["a_is_b", "c_is_d"]));
        assert_eq!(check(PAGE, &ran(&["a_is_b", "c_is_d", "e"])).unwrap(), 1);
        let error = check(PAGE, &ran(&["a_is_b"])).unwrap_err().to_string();
        assert!(error.contains("c_is_d has not run"), "{error}");
    }

    #[test]
    fn a_row_without_a_test_and_a_page_without_a_row_are_refused() {
        let error = check("| 2 | an attack | none |\n", &ran(&[])).unwrap_err().to_string();
        assert!(error.contains("no test is named"), "{error}");
        assert!(check("# Attacks\n", &ran(&[])).is_err());
    }

    #[test]
    fn a_test_that_is_ignored_has_not_run() {
        assert_eq!(test_that_ran("test a_is_b        ... ok"), Some("a_is_b"));
        assert_eq!(test_that_ran("test a_is_b ... warning: words of its own"), Some("a_is_b"));
        assert_eq!(test_that_ran("test a_is_b    ... ignored"), None);
        assert_eq!(test_that_ran("test result: ok. 5 passed"), None);
    }
}
