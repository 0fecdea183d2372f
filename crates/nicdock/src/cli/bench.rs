//! `nicdock bench`: what a container costs a NIC, measured.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::choices;
use crate::bench::{self, Done, Order};
use crate::failure::Failure;
use nicdock_bench::{LIGHT, Test, page, picture, table};
use nicdock_core::kind::Kind;
use nicdock_core::request::Selector;
use nicdock_core::say::answer;
use nicdock_sys::umask::with_callers;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  nicdock bench --nic mlx5_0 --nic2 mlx5_1\n  nicdock bench --nic rxe0 --nic2 rxe1 --tests lat --rounds 6 --json bench.json --html bench.html\n\nIt measures the same on the host and in a container, turn by turn, with perftest (docs/performance.md). Both NICs must be free and on one\nnetwork: the second one serves from a container of its own, and the first one goes into a container for every second turn. Both come back,\nalso after Ctrl-C, which prints the rounds that were done. The table shows the median of the rounds, the ratio container/host with its\n95 % interval, and a verdict only if at least six rounds leave a doubt of at most 5 %.\n\nExit status: 0; 128 + signal after Ctrl-C and its like; other numbers: nicdock --help."
)]
pub struct Options {
    #[arg(long, value_name = "SEL", help = choices::selector("The NIC to measure"))]
    nic: Selector,
    /// The NIC at the other end, of this host too: on the same network, selected in the same way
    #[arg(long, value_name = "SEL")]
    nic2: Option<Selector>,
    /// What to measure: lat (latency), bw (bandwidth), rate (messages a second)
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "lat,bw,rate")]
    tests: Vec<Test>,
    /// How many rounds, of a turn on the host and one in a container each
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Also write everything to a file, for programs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write a page for a browser: one file that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also write the picture of the ratios, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub fn bench(options: &Options) -> Result<u8, Failure> {
    // A file that cannot be written is found before anything is measured.
    let open = |path: &Option<PathBuf>| path.as_deref().map(Target::open).transpose();
    let (json, html, svg) = (open(&options.json)?, open(&options.html)?, open(&options.svg)?);
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let (nic, nic2) = (options.nic.clone(), options.nic2.clone());
    let order = Order { nic, nic2, tests: options.tests.clone(), rounds: options.rounds, seed };
    let Done { report, signal } = bench::measure(&order, options.words())?;
    if let Some(target) = json {
        target.write(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(target) = html {
        target.write(&page(&report).map_err(|error| not_drawn(&*error))?)?;
    }
    if let Some(target) = svg {
        target.write(&picture(&report, LIGHT).map_err(|error| not_drawn(&*error))?)?;
    }
    answer(&table(&report))?;
    Ok(signal.and_then(|signal| u8::try_from(128 + signal).ok()).unwrap_or(0))
}

impl Options {
    /// The command line that repeats it.
    fn words(&self) -> String {
        let tests: Vec<&str> = self.tests.iter().map(|test| test.name()).collect();
        let nic2 = self.nic2.as_ref().map(|nic| format!(" --nic2 {nic}")).unwrap_or_default();
        format!("nicdock bench --nic {}{nic2} --tests {} --rounds {}", self.nic, tests.join(","), self.rounds)
    }
}

/// A file for a result. What it has is kept until there is one.
struct Target {
    path: PathBuf,
    file: File,
}

impl Target {
    fn open(path: &Path) -> Result<Self, Failure> {
        let open = || OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = with_callers(open).map_err(|error| cannot(path, &error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn write(mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.set_len(0).and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| cannot(&self.path, &error))
    }
}

fn not_drawn(error: &dyn std::error::Error) -> Failure {
    Failure::new(Kind::Other, format!("the picture cannot be drawn: {error}"))
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::of_io(error), format!("cannot write {}: {error}", path.display()))
}
