//! `cargo xtask test`: everything that must hold, on this machine and in the lab on every kernel.

mod report;
mod tally;

use crate::cargo::{self, Profile};
use crate::kernels::{self, Line};
use crate::lab::job::Cgroup;
use anyhow::{Context, Result};
use report::Report;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use tally::Tally;

/// The labs in which the suite runs.
const LABS: [(Line, Cgroup); 6] = [
    (Line::Bookworm, Cgroup::V2),
    (Line::Bookworm, Cgroup::V1),
    (Line::Trixie, Cgroup::V2),
    (Line::Trixie, Cgroup::V1),
    (Line::Sid, Cgroup::V2),
    (Line::Sid, Cgroup::V1),
];

/// What the suite asks for: it takes RDMA off two, so that there are NICs with it and without, of either model.
const NICS: &str = "4";

#[derive(clap::Args)]
pub struct Options {
    /// Run the long tests too, and all of them longer (`NICDOCK_SOAK=1`)
    #[arg(long)]
    soak: bool,
    /// Only these kernels' labs (can be repeated)
    #[arg(long, value_enum, value_name = "KERNEL")]
    kernel: Vec<Line>,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    crate::setup::run()?;
    let labs: Vec<_> = LABS
        .into_iter()
        .filter(|(line, _)| options.kernel.is_empty() || options.kernel.contains(line))
        .collect();
    // The network's work goes on beside the compiler's.
    let fetching = {
        let lines: Vec<Line> = labs.iter().map(|(line, _)| *line).collect();
        thread::spawn(move || lines.into_iter().try_for_each(|line| kernels::obtain(line).map(drop)))
    };

    let mut report = Report::default();
    report.run("rustfmt", cargo::command().args(["fmt", "--all", "--", "--check", "--color=never"]));
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    report.run("clippy", cargo::command().args(clippy));
    dependencies(&mut report);
    on_host(&mut report, options);

    let mut suite = None;
    report.step("build the lab's tests", || {
        suite = Some(build_suite()?);
        Ok((true, Tally::default()))
    });
    report.step("fetch kernels", || {
        fetching.join().expect("fetching does not panic")?;
        Ok((true, Tally::default()))
    });
    for (line, cgroup) in labs {
        let name = format!("lab {} cgroup {}", line.name(), cgroup.name());
        match &suite {
            Some(suite) => report.run(&name, &mut in_lab(suite, line, cgroup, options)?),
            None => report.skip(&name, "its tests do not build"),
        }
    }
    Ok(if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn dependencies(report: &mut Report) {
    if has_subcommand("deny") {
        report.run("cargo deny", cargo::command().args(["deny", "check"]));
    } else {
        report.skip("cargo deny", "cargo-deny is not installed: licences and advisories are NOT checked");
    }
}

/// Tests that need no lab. Those of the lab say so and count as skipped.
fn on_host(report: &mut Report, options: &Options) {
    let with_soak = |mut command: Command| {
        if options.soak {
            command.env("NICDOCK_SOAK", "1");
        }
        command
    };
    if has_subcommand("nextest") {
        let nextest =
            ["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass", "--status-level=fail"];
        report.run("tests", with_soak(cargo::command()).args(nextest));
        // The one kind nextest leaves out.
        report.run("doc tests", cargo::command().args(["test", "--quiet", "--workspace", "--doc"]));
    } else {
        report.run("tests", with_soak(cargo::command()).args(["test", "--workspace", "--no-fail-fast"]));
    }
}

fn has_subcommand(name: &str) -> bool {
    cargo::command().args([name, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The test binary `lab`, built, with the nicdock it tests.
fn build_suite() -> Result<PathBuf> {
    cargo::build("nicdock", Profile::Dev)?;
    cargo::build_test("nicdock", "lab")
}

fn in_lab(suite: &Path, line: Line, cgroup: Cgroup, options: &Options) -> Result<Command> {
    let timeout = if options.soak { "7200" } else { "1800" };
    let mut command = Command::new(std::env::current_exe().context("cannot tell where xtask is")?);
    command.current_dir(crate::workspace::root());
    if options.soak {
        command.env("NICDOCK_SOAK", "1");
    }
    command.args(["lab", "--no-build", "--verbose", "--nics", NICS, "--timeout", timeout]);
    command
        .args(["--kernel", line.name(), "--cgroup", cgroup.name(), "--"])
        .arg(suite)
        .arg("--test-threads=1");
    Ok(command)
}
