//! A plan for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::part::{Member, Wanted, What};
use super::plan::{Is, PartPlan, Plan};

/// One block a part. `done`: the plan has been carried out.
pub fn text(plan: &Plan, done: bool) -> String {
    let mut text = String::new();
    for part in &plan.parts {
        let _ = writeln!(text, "{:<11}{:<9}{}", part.name, state(part, done), part.says);
        let mut line = |word: &str, rest: &str| {
            let rest = rest.trim_end().replace('\n', &format!("\n{:<22}", ""));
            let _ = writeln!(text, "{:<11}{word:<9}{rest}", "");
        };
        for (wanted, is) in &part.steps {
            let path = wanted.path.display();
            if let (What::Member(Member { way, value, .. }), true) = (&wanted.what, is.is_kept()) {
                let name = way.join(".");
                line(
                    "kept",
                    &format!(
                        "{path}: its {name} is not {value}, and not nicdock's. Take it out to have it made"
                    ),
                );
                continue;
            }
            match is {
                Is::There => {}
                _ if is.changes() && edits(wanted) => line(
                    if done { "added to" } else { "add to" },
                    &format!("{path}, of which a copy stays beside it"),
                ),
                Is::Missing => line(if done { "made" } else { "make" }, &path.to_string()),
                Is::Outdated => line(if done { "replaced" } else { "replace" }, &path.to_string()),
                Is::Edited => line(
                    "kept",
                    &format!(
                        "{path}: edited since nicdock setup made it. Move it away to have it made again"
                    ),
                ),
                Is::Foreign => line("kept", &format!("{path}: not nicdock's. Move it away to have it made")),
            }
            if is.changes() {
                for changed in changed(wanted) {
                    line("", &changed);
                }
            }
        }
        if let Some(error) = &part.refused {
            line("kept", &error.to_string());
        }
        if part.changes() {
            part.commands.iter().for_each(|run| line(if done { "ran" } else { "run" }, &run.0.join(" ")));
        }
        part.hints.iter().for_each(|hint| line("by hand", hint));
    }
    text
}

/// Is there a file of somebody else's already?
fn edits(wanted: &Wanted) -> bool {
    matches!(&wanted.what, What::Member(Member { before: Some(_), .. }))
}

/// Lines of a file that others have, too, as they are and as they should be, with one before and one after for the eye.
fn changed(wanted: &Wanted) -> Vec<String> {
    let What::Member(Member { before, after, .. }) = &wanted.what else { return Vec::new() };
    let before: Vec<&str> = before.iter().flat_map(|text| text.lines()).collect();
    let after: Vec<&str> = after.lines().collect();
    let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let rest = before[same..].iter().rev().zip(after[same..].iter().rev());
    let end = rest.take_while(|(a, b)| a == b).count();
    let marked = |mark: &str, lines: &[&str]| -> Vec<String> {
        lines.iter().map(|line| format!("{mark}{line}")).collect()
    };
    let tail = &after[after.len() - end..];
    [
        marked("  ", &after[same.saturating_sub(1)..same]),
        marked("- ", &before[same..before.len() - end]),
        marked("+ ", &after[same..after.len() - end]),
        marked("  ", &tail[..tail.len().min(1)]),
    ]
    .concat()
}

fn state(part: &PartPlan, done: bool) -> &'static str {
    if part.keeps() {
        "kept"
    } else if part.changes() && !done {
        "to do"
    } else if part.steps.is_empty() && !part.hints.is_empty() {
        "by hand"
    } else if part.steps.is_empty() {
        "-"
    } else {
        "done"
    }
}

pub fn json(plan: &Plan, done: bool) -> Value {
    let of_part = |part: &PartPlan| {
        let steps = part.steps.iter().map(|(wanted, is)| {
            json!({"path": wanted.path.display().to_string(), "changes": if is.changes() { changed(wanted) } else { Vec::new() }, "is": match is {
                Is::There => "there",
                Is::Missing => "missing",
                Is::Outdated => "outdated",
                Is::Edited => "edited",
                Is::Foreign => "foreign",
            }})
        });
        let commands: Vec<&Vec<String>> =
            if part.changes() { part.commands.iter().map(|run| &run.0).collect() } else { Vec::new() };
        json!({"part": part.name, "state": state(part, done), "says": part.says, "files": steps.collect::<Vec<_>>(),
            "commands": commands, "hints": part.hints, "refused": part.refused.as_ref().map(ToString::to_string)})
    };
    let parts: Vec<Value> = plan.parts.iter().map(of_part).collect();
    json!({"schema": 1, "carried_out": done, "parts": parts})
}
