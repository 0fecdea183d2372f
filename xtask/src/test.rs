//! `cargo xtask test`: everything that must hold, on this machine and in the lab on every kernel.

mod labs;
mod licences;
mod report;
mod tally;

use crate::cargo::{self, Profile};
use crate::kernels::{self, Line};
use crate::vic;
use anyhow::Result;
use labs::{LABS, Lab};
use report::Report;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use tally::Tally;

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
    let labs: Vec<Lab> = LABS
        .into_iter()
        .filter(|lab| options.kernel.is_empty() || options.kernel.contains(&lab.line))
        .collect();
    // The network's work goes on beside the compiler's, and QEMU's compiler, which is nice, beside everything.
    let fetching = {
        let lines: Vec<Line> = labs.iter().map(|lab| lab.line).collect();
        thread::spawn(move || lines.into_iter().try_for_each(|line| kernels::obtain(line).map(drop)))
    };
    let building_vic = thread::spawn(|| vic::build().map(drop));

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
    let (with_vics, without): (Vec<Lab>, Vec<Lab>) = labs.into_iter().partition(Lab::has_vics);
    run_labs(&mut report, &without, suite.as_deref(), options.soak)?;
    let vics = report.step("build the virtual VIC", || {
        building_vic.join().expect("building does not panic")?;
        Ok((true, Tally::default()))
    });
    if vics {
        run_labs(&mut report, &with_vics, suite.as_deref(), options.soak)?;
    } else {
        for lab in &with_vics {
            report.skip(&lab.name(), "the virtual VIC could not be built");
        }
    }
    Ok(if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_labs(report: &mut Report, labs: &[Lab], suite: Option<&Path>, soak: bool) -> Result<()> {
    for lab in labs {
        if lab.needs_suite() && suite.is_none() {
            report.skip(&lab.name(), "its tests do not build");
        } else {
            report.run(&lab.name(), &mut lab.command(suite, soak)?);
        }
    }
    Ok(())
}

fn dependencies(report: &mut Report) {
    report.step("licences", || {
        println!("{}", licences::check()?);
        Ok((true, Tally::default()))
    });
    if has_subcommand("audit") {
        report.run("advisories", cargo::command().arg("audit"));
    } else {
        report.skip("advisories", "cargo-audit is not installed: advisories are NOT checked");
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
        report.run("tests", with_soak(cargo::command()).args(nextest).args(cargo::TEST_FEATURES));
        // The one kind nextest leaves out.
        report.run(
            "doc tests",
            cargo::command().args(["test", "--quiet", "--workspace", "--doc"]).args(cargo::TEST_FEATURES),
        );
    } else {
        report.run(
            "tests",
            with_soak(cargo::command())
                .args(["test", "--workspace", "--no-fail-fast"])
                .args(cargo::TEST_FEATURES),
        );
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
