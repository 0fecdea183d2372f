//! Measures one NIC on the host and in containers, turn by turn, against a second NIC of the same host.
//!
//! The second NIC serves from a container of its own, so that the host reaches it over the wire and not by itself.

mod child;
mod ends;
mod free_address;
mod machine;
mod tools;

use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use child::{Child, Ended};
use ends::Ends;
use nicdock_bench::{
    Measurement, Plan, Profile, READY, Readings, Report, Results, Test, Turn, Waiting, answers, client,
    disturbances, parse, server,
};
use nicdock_core::kind::Kind;
use nicdock_core::request::Selector;
use nicdock_sys::signals::Signals;

/// No turn and no start of the server takes so long where anything works.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is asked.
pub struct Order {
    pub nic: Selector,
    pub nic2: Option<Selector>,
    pub tests: Vec<Test>,
    pub rounds: u32,
    pub seed: u64,
}

/// A report, and the signal that ended it early.
pub struct Done {
    pub report: Report,
    pub signal: Option<i32>,
}

/// Measures, and gives both NICs back whatever happens.
pub fn measure(order: &Order, command: String) -> Result<Done, Failure> {
    let measurements = Measurement::of(&order.tests);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let waiting = if processors == 1 { Waiting::Events } else { Waiting::Polling };
    let perftest = tools::check(&measurements, waiting)?;
    let ends = Ends::choose(&order.nic, order.nic2.as_ref())?;
    let plan = Plan::draw(&measurements, order.rounds, order.seed);
    let signals = Signals::block()?;
    let mut readings = machine::before(processors, &ends);

    let served = server(&ends.peer.end, &plan.served(), waiting);
    let serving = Child::in_container(&ends.peer.nic.name, ends.peer_address.as_deref(), &served)?;
    let mut results = Results::default();
    let signal = match serving.says(READY, &signals, PATIENCE)? {
        Ended::Signal(signal) => Some(signal),
        Ended::TimedOut => return Err(timed_out("the server", &serving)),
        Ended::Exited(_) => return Err(ended("the server", &serving)),
        Ended::Said => {
            let run = Run { ends: &ends, waiting, serving: &serving, signals: &signals };
            run.all(&plan, &mut results)?
        }
    };
    serving.stop()?;
    readings.after = machine::stat();
    Ok(Done { report: report(order, command, &ends, perftest, &results, signal, &readings), signal })
}

fn report(
    order: &Order,
    command: String,
    ends: &Ends,
    perftest: String,
    results: &Results,
    signal: Option<i32>,
    readings: &Readings,
) -> Report {
    Report {
        schema: 1,
        machine: machine::describe(ends, readings, perftest),
        tests: results.rows(),
        disturbances: disturbances(readings),
        rounds: order.rounds,
        seed: order.seed,
        command,
        interrupted: signal.is_some(),
    }
}

struct Run<'a> {
    ends: &'a Ends,
    waiting: Waiting,
    serving: &'a Child,
    signals: &'a Signals,
}

impl Run<'_> {
    /// Every turn, until a signal ends it.
    fn all(&self, plan: &Plan, results: &mut Results) -> Result<Option<i32>, Failure> {
        let begin = Instant::now();
        for (index, turn) in plan.turns.iter().enumerate() {
            progress(begin, index, plan, turn);
            let ended = self.turn(turn, results);
            clear_progress();
            if let Some(signal) = ended? {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }

    fn turn(&self, turn: &Turn, results: &mut Results) -> Result<Option<i32>, Failure> {
        let script = client(&self.ends.own.end, self.ends.server, &turn.measurements, self.waiting);
        let child = match turn.profile {
            Profile::Host => Child::on_host(&script)?,
            Profile::Container => Child::in_container(&self.ends.own.nic.name, None, &script)?,
        };
        let who = format!("the {}", turn.profile.name());
        match child.wait(self.serving, self.signals, PATIENCE)? {
            Ended::Signal(signal) => {
                child.stop()?;
                return Ok(Some(signal));
            }
            Ended::TimedOut => return Err(self.with_server(timed_out(&who, &child))),
            Ended::Said => return Err(ended("the server", self.serving)),
            Ended::Exited(true) => {}
            Ended::Exited(false) => return Err(self.with_server(ended(&who, &child))),
        }
        let text = child.output()?;
        let answers = answers(&text);
        if answers.len() != turn.measurements.len() {
            return Err(ended(&who, &child));
        }
        for (measurement, answer) in turn.measurements.iter().zip(answers) {
            let output =
                parse(*measurement, answer).map_err(|error| Failure::new(Kind::Other, error.to_string()))?;
            if let Some(round) = turn.round {
                results.add(round, turn.profile, *measurement, output);
            }
        }
        Ok(None)
    }

    /// With what the server said, too.
    fn with_server(&self, failure: Failure) -> Failure {
        let server = self.serving.complaint();
        if server.is_empty() {
            return failure;
        }
        Failure::new(failure.kind, format!("{failure}; the server: {server}"))
    }
}

fn timed_out(who: &str, child: &Child) -> Failure {
    let seconds = PATIENCE.as_secs();
    Failure::new(Kind::TimedOut, format!("{who} has not done in {seconds} s: {}", last_words(child)))
}

fn ended(who: &str, child: &Child) -> Failure {
    Failure::new(Kind::Other, format!("measuring in {who} failed: {}", last_words(child)))
}

/// What it complained of, or else the last that it printed.
fn last_words(child: &Child) -> String {
    let said = child.complaint();
    if !said.is_empty() {
        return said;
    }
    let output = child.output().unwrap_or_default();
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join(" / ")
}

/// One line on a terminal, written over by the next.
fn progress(begin: Instant, done: usize, plan: &Plan, turn: &Turn) {
    if !rustix::termios::isatty(std::io::stderr()) {
        return;
    }
    let rounds: BTreeSet<u32> = plan.turns.iter().filter_map(|turn| turn.round).collect();
    let round = turn.round.map_or_else(|| "warm-up".to_owned(), |n| format!("round {n} of {}", rounds.len()));
    let left = match u32::try_from(done) {
        Ok(done) if done > 0 => {
            let each = begin.elapsed() / done;
            let turns = u32::try_from(plan.turns.len()).unwrap_or(u32::MAX).saturating_sub(done);
            format!("about {} s left", (each * turns).as_secs())
        }
        _ => "time left not known yet".to_owned(),
    };
    let _ = write!(std::io::stderr(), "\r\x1b[K{round}, {}: {left}", turn.profile.name());
}

fn clear_progress() {
    if rustix::termios::isatty(std::io::stderr()) {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}
