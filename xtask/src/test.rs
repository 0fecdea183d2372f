//! `cargo xtask test`: everything that must hold, on this machine and in the lab on every kernel.

mod attacks;
mod doors;
mod failures;
mod labs;
mod links;
mod order;
pub mod package;
mod report;
mod room;
mod tally;
mod times;

use crate::cargo::{self, Profile};
use crate::kernels::{self, Line};
use crate::licences;
use crate::vic;
use anyhow::{Result, bail};
use labs::{LABS, Lab};
use report::Report;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

#[derive(clap::Args)]
pub struct Options {
    /// Run the long tests too, and all of them longer (`NICDOCK_SOAK=1`)
    #[arg(long)]
    soak: bool,
    /// Only these kernels' labs (can be repeated)
    #[arg(long, value_enum, value_name = "KERNEL")]
    kernel: Vec<Line>,
    /// Only the labs with this in their names, and nothing else (can be repeated)
    #[arg(long, value_name = "NAME")]
    lab: Vec<String>,
    /// Only the package: packed, checked, and installed in fresh Debian roots
    #[arg(long, conflicts_with_all = ["lab", "kernel"])]
    package: bool,
    /// Show the labs' names and run none
    #[arg(long)]
    list: bool,
    /// How many labs run at a time (default: three for two processors, as far as the memory goes)
    #[arg(long, value_name = "LABS")]
    at_once: Option<usize>,
}

impl Options {
    fn wants(&self, lab: &Lab) -> bool {
        (self.kernel.is_empty() || self.kernel.contains(&lab.line))
            && (self.lab.is_empty() || self.lab.iter().any(|name| lab.name().contains(name.as_str())))
    }
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let labs: Vec<Lab> = LABS.into_iter().filter(|lab| options.wants(lab)).collect();
    if options.list {
        for lab in &labs {
            println!("{}", lab.name());
        }
        return Ok(ExitCode::SUCCESS);
    }
    if labs.is_empty() {
        bail!("no lab has such a name; `cargo xtask test --list` shows them");
    }
    crate::setup::run()?;
    if options.package {
        let mut report = Report::new();
        let is_built = report.step("build", || cargo::build_nicdock(Profile::Dev));
        let making_roots = thread::spawn(make_roots);
        package_steps(&mut report, is_built, making_roots);
        return Ok(if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let all = options.lab.is_empty();
    // The network's work goes on beside the compiler's, and so does QEMU's compiler, which is nice.
    let fetching = {
        let lines: Vec<Line> = labs.iter().map(|lab| lab.line).collect();
        thread::spawn(move || lines.into_iter().try_for_each(|line| kernels::obtain(line).map(drop)))
    };
    let making_roots = all.then(|| thread::spawn(make_roots));
    let building_vic = thread::spawn(|| vic::build().map(drop));

    let mut report = Report::new();
    if all {
        lints(&mut report);
    }
    let mut suite = None;
    report.step("build", || {
        suite = Some(cargo::build_tests("lab")?);
        Ok(())
    });
    if all {
        on_host(&mut report, options);
    }
    let has_static = report.step("build static programs", || cargo::build_static_programs(Profile::Dev));
    let suite = suite.filter(|_| has_static);
    if let Some(making_roots) = making_roots {
        package_steps(&mut report, has_static, making_roots);
    } else if has_static {
        // Some of the lab's tests install it.
        report.step("package", || package::pack().map(drop));
    }
    report.step("fetch kernels", || fetching.join().expect("fetching does not panic"));
    // All labs use it, not only those with VICs: it emulates faster than Debian's.
    let qemu =
        report.step("build QEMU with the VIC", || building_vic.join().expect("building does not panic"));
    if qemu {
        run_labs(&mut report, &labs, suite.as_deref(), options)?;
    } else {
        for lab in &labs {
            report.skip(&lab.name(), "QEMU could not be built");
        }
    }
    Ok(if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn make_roots() -> Result<()> {
    package::ROOTS.into_iter().try_for_each(|root| root.obtain().map(drop))
}

/// Packs, and installs in fresh roots.
fn package_steps(report: &mut Report, is_built: bool, making_roots: thread::JoinHandle<Result<()>>) {
    if !is_built {
        report.skip("package", "the static programs do not build");
        return;
    }
    let mut packed = None;
    report.step("package", || {
        packed = Some(package::pack()?);
        Ok(())
    });
    let has_roots =
        report.step("fresh Debian roots", || making_roots.join().expect("making roots does not panic"));
    for root in package::ROOTS {
        let name = format!("package in {}", root.suite);
        match &packed {
            Some(packed) if has_roots => {
                report.step(&name, || package::in_root(root, packed).map(drop));
            }
            _ => report.skip(&name, "there is no package, or no root"),
        }
    }
}

fn run_labs(report: &mut Report, labs: &[Lab], suite: Option<&Path>, options: &Options) -> Result<()> {
    let mut commands = Vec::new();
    for lab in labs {
        if lab.needs_suite() && suite.is_none() {
            report.skip(&lab.name(), "its tests do not build");
        } else {
            commands.push((lab.name(), lab.command(suite, options.soak)?));
        }
    }
    report.run_side_by_side(commands, options.at_once.unwrap_or_else(room::for_labs).max(1));
    if labs.len() == LABS.len() {
        let page = std::fs::read_to_string(crate::workspace::root().join(attacks::PAGE))?;
        let (ran, seconds) = (report.ran(), report.seconds_of(&attacks::tests(&page)));
        report.step("attacks have tests", || {
            let rows = attacks::check(&page, &ran)?;
            println!("{rows} rows, each with a test that ran; in all labs these tests took {seconds:.0} s");
            Ok(())
        });
    } else {
        report.skip("attacks have tests", "not every lab has run (--kernel, --lab)");
    }
    Ok(())
}

/// What reads the source and the dependencies and runs nothing of them.
fn lints(report: &mut Report) {
    report.run("rustfmt", cargo::command().args(["fmt", "--all", "--", "--check", "--color=never"]));
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    report.run("clippy", cargo::command().args(clippy));
    report.step("licences", || {
        println!("{}", licences::check()?);
        Ok(())
    });
    report.step("order of folders", || {
        println!("{} folders, none in a circle", order::check(&crate::workspace::root())?);
        Ok(())
    });
    report.step("links of documents", || {
        println!("{} links and paths, each leads to a file", links::check(&crate::workspace::root())?);
        Ok(())
    });
    report.step("unsafe code", || {
        println!("in {} files, all of them doors to the kernel", doors::check(&crate::workspace::root())?);
        Ok(())
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
        } else {
            // What is made up is the same each time: no change fails by what it has not touched. A soak looks further.
            command.env("PROPTEST_RNG_SEED", "1");
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
