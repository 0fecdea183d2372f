//! Runs the steps of `cargo xtask test` one by one and keeps what came of them.

use super::tally::Tally;
use crate::process::show;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Skipped(&'static str),
}

#[derive(Debug)]
struct Step {
    name: String,
    verdict: Verdict,
    time: Duration,
    tally: Tally,
}

#[derive(Debug, Default)]
pub struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Runs a program, showing its output as it comes and counting its tests.
    pub fn run(&mut self, name: &str, command: &mut Command) {
        self.step(name, || {
            println!("    {}", show(command));
            follow(command)
        });
    }

    /// Does something that gives its own verdict and counts; true when it passed.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<(bool, Tally)>) -> bool {
        println!("\n==> {name}");
        let started = Instant::now();
        let (passed, mut tally) = work().unwrap_or_else(|error| {
            println!("{error:#}");
            (false, Tally::default())
        });
        if !passed && tally.failed == 0 {
            // It failed without naming a test (did not compile, the guest died): it must not look as if none had failed.
            tally.failed = 1;
        }
        let verdict = if passed { Verdict::Passed } else { Verdict::Failed };
        let step = Step { name: name.to_owned(), verdict, time: started.elapsed(), tally };
        println!("<== {}", row(&step));
        self.steps.push(step);
        passed
    }

    pub fn skip(&mut self, name: &str, why: &'static str) {
        println!("\n==> {name}: SKIPPED, {why}");
        let verdict = Verdict::Skipped(why);
        self.steps.push(Step {
            name: name.to_owned(),
            verdict,
            time: Duration::ZERO,
            tally: Tally::default(),
        });
    }

    /// Shows the table and the sum; true when nothing failed.
    pub fn finish(&self) -> bool {
        println!("\n{:<28} {:<7} {:>7}", "step", "result", "seconds");
        let mut sum = Tally::default();
        for step in &self.steps {
            println!("{}", row(step));
            sum += step.tally;
        }
        println!("\n{sum}");
        self.steps.iter().all(|step| step.verdict != Verdict::Failed)
    }
}

fn row(step: &Step) -> String {
    let (result, note) = match step.verdict {
        Verdict::Passed if step.tally.is_empty() => ("ok", String::new()),
        Verdict::Passed => ("ok", step.tally.to_string()),
        Verdict::Failed => ("FAILED", step.tally.to_string()),
        Verdict::Skipped(why) => ("skipped", why.to_owned()),
    };
    format!("{:<28} {result:<7} {:>7.1}   {note}", step.name, step.time.as_secs_f64()).trim_end().to_owned()
}

fn follow(command: &mut Command) -> Result<(bool, Tally)> {
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start {}", show(command)))?;
    // The command holds our copies of the pipe's writing end: with them open, its end would never come.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut tally = Tally::default();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        tally += Tally::of_line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok((child.wait()?.success(), tally))
}
