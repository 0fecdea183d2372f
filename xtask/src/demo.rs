//! `cargo xtask demo`: nicdock at work, on a real kernel, in a minute.

use crate::cargo::{self, Profile};
use crate::process::in_lab;
use anyhow::Result;
use std::process::ExitCode;

pub fn run() -> Result<ExitCode> {
    crate::setup::run()?;
    eprintln!("demo: building nicdock");
    cargo::build("nicdock", Profile::Release)?;
    eprintln!("demo: booting a machine with two RDMA-capable NICs");
    in_lab(
        &["--kernel", "7.2", "--nics", "2", "--no-build", "--release"],
        &["bash".into(), "lab/demo.sh".into()],
    )
}
