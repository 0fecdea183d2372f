//! How long each test took, with the comparison of the host: libtest-mimic does not say.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

static TIMES: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

pub fn taken(name: &str, test: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let started = Instant::now();
    let result = test();
    TIMES.lock().expect("nobody panics with it").push((started.elapsed(), name.to_owned()));
    result
}

/// Shows each, the slowest first, and the time of all. Says nothing when no test ran: whoever asked for a list of tests reads it.
pub fn show() {
    let mut times = TIMES.lock().expect("nobody panics with it");
    if times.is_empty() {
        return;
    }
    times.sort_unstable_by(|a, b| b.cmp(a));
    for (time, name) in times.iter() {
        println!("{:6.1} s  {name}", time.as_secs_f64());
    }
    let sum: Duration = times.iter().map(|(time, _)| *time).sum();
    println!("{:6.1} s  {} tests", sum.as_secs_f64(), times.len());
}
