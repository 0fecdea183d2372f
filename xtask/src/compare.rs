//! `cargo xtask compare`: the time several programs take, run in turns so that what disturbs one disturbs all.

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Options {
    /// How often each runs, after one run that does not count
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// A name, and a command whose words are split at spaces; the first is what the others are compared with
    #[arg(required = true, value_name = "NAME=COMMAND", value_parser = parse)]
    contestants: Vec<Contestant>,
}

#[derive(Clone, Debug)]
struct Contestant {
    name: String,
    words: Vec<String>,
}

pub fn run(options: &Options) -> Result<()> {
    let mut times = vec![Vec::new(); options.contestants.len()];
    for round in 0..=options.runs {
        for (contestant, times) in options.contestants.iter().zip(&mut times) {
            let time = time(contestant)?;
            if round > 0 {
                times.push(time);
            }
        }
    }
    let medians: Vec<Duration> = times.into_iter().map(median).collect();
    println!("{:<20} {:>10} {:>7}   {} runs each, in turns", "", "median ms", "ratio", options.runs);
    for (contestant, median) in options.contestants.iter().zip(&medians) {
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        println!("{:<20} {:>10.1} {ratio:>7.2}", contestant.name, median.as_secs_f64() * 1000.0);
    }
    Ok(())
}

fn time(contestant: &Contestant) -> Result<Duration> {
    let mut command = Command::new(&contestant.words[0]);
    command.args(&contestant.words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {}", contestant.words[0]))?;
    let time = started.elapsed();
    if !status.success() {
        bail!("{}: `{}` failed ({status})", contestant.name, contestant.words.join(" "));
    }
    Ok(time)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn parse(text: &str) -> Result<Contestant> {
    let (name, command) = text.split_once('=').context("it has no =")?;
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        bail!("there is no command after the =");
    }
    Ok(Contestant { name: name.to_owned(), words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        let times = [90, 10, 20].map(Duration::from_millis).to_vec();
        assert_eq!(median(times), Duration::from_millis(20));
    }

    #[test]
    fn a_contestant_has_a_name_and_a_command() {
        let contestant = parse("crun=crun run --x=y id").expect("a contestant");
        assert_eq!((contestant.name.as_str(), contestant.words.len()), ("crun", 4));
        assert!(parse("crun").is_err() && parse("crun=").is_err());
    }
}
