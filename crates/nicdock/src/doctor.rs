//! Words the doctor's answers, for people and for programs: pure functions to text.

use std::fmt::Write;

use nicdock_doctor::{Answer, CHECKS, Status};
use serde::Serialize;

/// What stands below the options in help.
pub fn help() -> String {
    let ids = CHECKS.iter().map(|check| format!("  {:24} {}", check.id, check.asks));
    format!(
        "Checks:\n{}\n\nExamples:\n  nicdock doctor\n  nicdock doctor --nic usnic_0 --image-root /images/mpi\n  nicdock doctor --pid 4711 --json\n  \
         nicdock doctor --host capture.tar.gz\n\nIt changes nothing. What an ordinary user may not read is 'unknown', which is never 'ok': run it as root.\n\n\
         Exit status: 0; 1 if there is a problem (hints and what is unknown are none); other numbers: nicdock --help.",
        ids.collect::<Vec<_>>().join("\n")
    )
}

/// Problems first, then hints, what is unknown, and a line for each that is well.
pub fn text(answers: &[Answer]) -> String {
    let mut text = String::new();
    let of = |status: Status| answers.iter().filter(move |answer| answer.status == status);
    for status in [Status::Problem, Status::Hint, Status::Unknown] {
        for answer in of(status) {
            let _ = writeln!(text, "{}", heading(answer));
            let _ = writeln!(text, "  found: {}", answer.evidence);
            if status != Status::Unknown {
                let _ = writeln!(text, "  why:   {}", answer.why);
            }
            if let Some(fix) = &answer.fix {
                let _ = writeln!(
                    text,
                    "  {}",
                    if status == Status::Unknown { format!("ask:   {fix}") } else { format!("fix:   {fix}") }
                );
            }
        }
    }
    for answer in of(Status::Ok) {
        let _ = writeln!(text, "{}: {}", heading(answer), answer.evidence);
    }
    let count = |status| of(status).count();
    let _ = writeln!(
        text,
        "\nproblems: {}, hints: {}, unknown: {}, ok: {}",
        count(Status::Problem),
        count(Status::Hint),
        count(Status::Unknown),
        count(Status::Ok)
    );
    text
}

/// `problem  link.state  rxe0`.
fn heading(answer: &Answer) -> String {
    let nic = answer.nic.as_ref().map(|nic| format!("  {nic}")).unwrap_or_default();
    format!("{:7}  {}{nic}", answer.status.as_str(), answer.id)
}

/// `{"schema": 1, "checks": […]}`, in the order of the table of checks.
pub fn json(answers: &[Answer]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Listing<'a> {
        /// Version of this format: 1.
        schema: u32,
        checks: &'a [Answer],
    }
    Ok(serde_json::to_string_pretty(&Listing { schema: 1, checks: answers })? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_first_and_everything_is_told() {
        let answer = |id, status, fix: Option<&str>| Answer {
            id,
            status,
            nic: Some("rxe0".to_owned()),
            evidence: "/sys/x: 1".to_owned(),
            why: "it is slow",
            fix: fix.map(str::to_owned),
        };
        let answers = [
            answer("a.a", Status::Ok, None),
            answer("a.b", Status::Unknown, Some("as root")),
            answer("a.c", Status::Problem, Some("ip link set eth0 up")),
        ];
        let expected = "problem  a.c  rxe0\n  found: /sys/x: 1\n  why:   it is slow\n  fix:   ip link set eth0 up\n\
                        unknown  a.b  rxe0\n  found: /sys/x: 1\n  ask:   as root\nok       a.a  rxe0: /sys/x: 1\n\n\
                        problems: 1, hints: 0, unknown: 1, ok: 1\n";
        assert_eq!(text(&answers), expected);
    }

    #[test]
    fn the_page_about_the_doctor_has_each_check_of_the_table() {
        let page = include_str!("../../../docs/doctor.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<String> = CHECKS
            .iter()
            .map(|check| format!("| `{}` | {} | {} |", check.id, check.asks, check.why))
            .collect();
        assert_eq!(rows, expected, "docs/doctor.md has to have exactly these rows:\n{}", expected.join("\n"));
    }
}
