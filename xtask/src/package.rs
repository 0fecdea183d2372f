//! `cargo xtask package`: a Debian package and a tarball. The same commit gives the same bytes, whatever machine and folder it is built in.

mod archive;
mod build;
mod control;
mod crates;
mod epoch;
mod installed;
mod licences;
pub mod lintian;
mod paths;
mod sbom;

use crate::workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use build::Programs;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask package\n  cargo xtask package --to /tmp/a && cargo xtask package --to /tmp/b && diff -r /tmp/a /tmp/b\n\nThe time in the files is the commit's, or SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/)."
)]
pub struct Options {
    /// Where the package and the tarball are put
    #[arg(long, value_name = "DIR", default_value_os_t = workspace::root().join("target/package"))]
    to: PathBuf,
    /// Make two packages to test with, an older and a newer one, of the programs that the lab's tests use
    #[arg(long)]
    for_tests: bool,
}

/// What was made.
pub struct Made {
    pub deb: PathBuf,
    pub tarball: PathBuf,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    crate::setup::run()?;
    if options.for_tests {
        crate::cargo::build_nicdock(crate::cargo::Profile::Dev)?;
        for made in for_tests(&options.to)? {
            println!("{}", made.deb.display());
        }
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("package: building nicdock, optimised: this takes some minutes");
    let programs = build::release()?;
    let version = crates::version()?;
    let made = make(&programs, &version, &options.to)?;
    paths::check(&programs)?;
    eprintln!("package: asking lintian");
    lintian::check(&made.deb)?;
    for file in [&made.deb, &made.tarball] {
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// An older and a newer package of the programs that the tests have built, which can be killed at any step: never to be given away, as
/// their versions say.
pub fn for_tests(to: &Path) -> Result<[Made; 2]> {
    let version = crates::version()?;
    let programs = build::of_tests(to)?;
    Ok([make(&programs, &format!("{version}+test1"), to)?, make(&programs, &format!("{version}+test2"), to)?])
}

/// Lays the files out and packs them.
pub fn make(programs: &Programs, version: &str, to: &Path) -> Result<Made> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let staging = tempfile::tempdir_in(to)?;
    let root = staging.path().join("root");
    let epoch = epoch::of_commit()?;
    installed::lay_out(&root, programs, version, epoch)?;
    let tarball = archive::tarball(&root, version, epoch, programs.effort, to)?;
    control::write(&root, programs, version)?;
    let deb = archive::deb(&root, version, epoch, programs.effort, to)?;
    Ok(Made { deb, tarball })
}
