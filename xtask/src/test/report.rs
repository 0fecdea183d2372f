//! Runs the steps of `cargo xtask test`, one by one or several at a time, and keeps what came of them.

use super::attacks;
use super::failures::Failures;
use super::tally::Tally;
use super::times::{self, Timed};
use crate::process::show;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
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
    seen: Seen,
}

/// What a program's output told of its tests.
#[derive(Debug, Default)]
struct Seen {
    tally: Tally,
    failures: Failures,
    /// Names of the tests that were not ignored.
    ran: BTreeSet<String>,
    /// What each test of a lab took.
    times: Vec<Timed>,
}

impl Seen {
    fn see(&mut self, line: &str) {
        self.tally += Tally::of_line(line);
        self.ran.extend(attacks::test_that_ran(line).map(str::to_owned));
        self.times.extend(times::of_line(line));
        self.failures.see(line);
    }
}

#[derive(Debug)]
pub struct Report {
    started: Instant,
    steps: Vec<Step>,
}

impl Report {
    pub fn new() -> Self {
        Self { started: Instant::now(), steps: Vec::new() }
    }

    /// Runs a program, showing its output as it comes and counting its tests.
    pub fn run(&mut self, name: &str, command: &mut Command) {
        println!("\n==> {name}\n    {}", show(command));
        self.steps.push(step(name, || follow(command, "")));
    }

    /// Runs programs, each with its name, so many at a time; they are started in this order, and reported in it at the end.
    /// Each line of their output begins with the name of the one that said it.
    pub fn run_side_by_side(&mut self, commands: Vec<(String, Command)>, at_once: usize) {
        let next = AtomicUsize::new(0);
        let commands: Vec<_> = commands.into_iter().map(Mutex::new).collect();
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(command) = commands.get(index) else { return done };
                let (name, command) = &mut *command.lock().expect("nobody else has this one");
                println!("\n==> {name}\n    {}", show(command));
                let prefix = if at_once > 1 { format!("{name}: ") } else { String::new() };
                done.push((index, step(name, || follow(command, &prefix))));
            }
        };
        let mut done: Vec<(usize, Step)> = thread::scope(|scope| {
            let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("running does not panic")).collect()
        });
        done.sort_by_key(|(index, _)| *index);
        self.steps.extend(done.into_iter().map(|(_, step)| step));
    }

    /// Does something that has no tests of its own; true when it passed.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> bool {
        println!("\n==> {name}");
        let step = step(name, || work().map(|()| (true, Seen::default())));
        let passed = step.verdict == Verdict::Passed;
        self.steps.push(step);
        passed
    }

    pub fn skip(&mut self, name: &str, why: &'static str) {
        println!("\n==> {name}: SKIPPED, {why}");
        let verdict = Verdict::Skipped(why);
        self.steps.push(Step { name: name.to_owned(), verdict, time: Duration::ZERO, seen: Seen::default() });
    }

    /// The names of the tests that have run so far.
    pub fn ran(&self) -> BTreeSet<String> {
        self.steps.iter().flat_map(|step| step.seen.ran.iter().cloned()).collect()
    }

    /// The seconds that these tests took, in all labs together.
    pub fn seconds_of(&self, tests: &BTreeSet<&str>) -> f64 {
        times::sum(self.steps.iter().flat_map(|step| &step.seen.times), tests)
    }

    /// Shows what failed, the table and the sum; true when nothing failed.
    pub fn finish(&self) -> bool {
        for step in self.steps.iter().filter(|step| step.verdict == Verdict::Failed) {
            println!("\n{} FAILED:", step.name);
            for line in step.seen.failures.told() {
                println!("    {line}");
            }
        }
        let slow = times::table(self.steps.iter().map(|step| (&*step.name, &*step.seen.times)));
        if !slow.is_empty() {
            println!("\nthe slowest tests:\n{}", slow.join("\n"));
        }
        println!("\n{:<28} {:<7} {:>7}", "step", "result", "seconds");
        let mut sum = Tally::default();
        for step in &self.steps {
            println!("{}", row(step));
            sum += step.seen.tally;
        }
        // Of steps that ran side by side the times add up to more.
        println!("\n{sum}, in {:.1} minutes", self.started.elapsed().as_secs_f64() / 60.0);
        self.steps.iter().all(|step| step.verdict != Verdict::Failed)
    }
}

/// Does a step's work and says what came of it.
fn step(name: &str, work: impl FnOnce() -> Result<(bool, Seen)>) -> Step {
    let started = Instant::now();
    let (passed, mut seen) = work().unwrap_or_else(|error| {
        let error = format!("{error:#}");
        println!("{error}");
        let mut seen = Seen::default();
        error.lines().for_each(|line| seen.failures.see(line));
        (false, seen)
    });
    if !passed && seen.tally.failed == 0 {
        // It failed without naming a test (did not compile, the guest died): it must not look as if none had failed.
        seen.tally.failed = 1;
    }
    let verdict = if passed { Verdict::Passed } else { Verdict::Failed };
    let step = Step { name: name.to_owned(), verdict, time: started.elapsed(), seen };
    println!("<== {}", row(&step));
    step
}

fn row(step: &Step) -> String {
    let (result, note) = match step.verdict {
        Verdict::Passed if step.seen.tally.is_empty() => ("ok", String::new()),
        Verdict::Passed => ("ok", step.seen.tally.to_string()),
        Verdict::Failed => ("FAILED", step.seen.tally.to_string()),
        Verdict::Skipped(why) => ("skipped", why.to_owned()),
    };
    format!("{:<28} {result:<7} {:>7.1}   {note}", step.name, step.time.as_secs_f64()).trim_end().to_owned()
}

/// Runs a program to its end, shows its output with `prefix` before each line, counts its tests and keeps what failed.
fn follow(command: &mut Command, prefix: &str) -> Result<(bool, Seen)> {
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start {}", show(command)))?;
    // The command holds our copies of the pipe's writing end: with them open, its end would never come.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut seen = Seen::default();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&[prefix.as_bytes(), &line].concat())?;
        seen.see(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok((child.wait()?.success(), seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, script: &str) -> (String, Command) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        (name.to_owned(), command)
    }

    #[test]
    fn what_runs_side_by_side_is_reported_in_order_with_what_failed() {
        let result = "echo 'test result: ok. 5 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out'";
        let folder = tempfile::tempdir().expect("a directory");
        let there = folder.path().join("there").display().to_string();
        // The first ends only if the third runs beside it.
        let first = format!("for i in $(seq 500); do [ -e {there} ] && exit 0; sleep 0.02; done; exit 1");
        let mut report = Report::new();
        report.run_side_by_side(
            vec![
                shell("first", &first),
                shell("second", &format!("{result}; exit 3")),
                shell("third", &format!("{result}; touch {there}")),
            ],
            2,
        );
        let names: Vec<&str> = report.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["first", "second", "third"]);
        let verdicts: Vec<&Verdict> = report.steps.iter().map(|step| &step.verdict).collect();
        assert_eq!(verdicts, [&Verdict::Passed, &Verdict::Failed, &Verdict::Passed]);
        assert_eq!(report.steps[1].seen.tally, Tally { passed: 5, failed: 1, skipped: 2 });
        assert_eq!(report.steps[2].seen.tally, Tally { passed: 5, failed: 0, skipped: 2 });
        assert!(!report.finish());
    }
}
