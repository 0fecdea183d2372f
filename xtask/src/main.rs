//! The project's own commands: `cargo xtask setup`, `lab`, `test`, `demo`, `bench`, `package`.

mod bench;
mod cargo;
mod compare;
mod debian;
mod demo;
mod guest;
mod kernels;
mod lab;
mod licences;
mod package;
mod process;
mod setup;
mod stamp;
mod test;
mod vic;
mod workspace;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
enum Cli {
    /// Install what building, testing and the lab need (apt; nothing to do is fast)
    Setup,
    /// Run a command on a stock kernel with soft-RoCE NICs, in QEMU
    Lab(lab::Options),
    /// Format, lints, tests, and the lab's tests on every kernel
    Test(test::Options),
    /// Show nicdock at work in the lab
    Demo,
    /// Measure nicdock, on this machine and in the lab
    Bench,
    /// Make a Debian package and a tarball
    Package(package::Options),
    /// Time commands, run in turns
    #[command(hide = true)]
    Compare(compare::Options),
    /// The guest's first process
    #[command(hide = true)]
    Guest { job: PathBuf },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse() {
        Cli::Setup => setup::run().map(|()| ExitCode::SUCCESS),
        Cli::Lab(options) => Ok(lab::run(&options)),
        Cli::Test(options) => test::run(&options),
        Cli::Demo => demo::run(),
        Cli::Bench => bench::run(),
        Cli::Package(options) => package::run(&options),
        Cli::Compare(options) => compare::run(&options).map(|()| ExitCode::SUCCESS),
        Cli::Guest { job } => guest::run(&job).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
