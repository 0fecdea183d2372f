//! `cargo xtask bench`: how long nicdock takes, beside what others take.

use crate::cargo::{self, Profile};
use crate::process::in_lab;
use anyhow::{Context, Result, bail};
use std::process::ExitCode;

pub fn run() -> Result<ExitCode> {
    crate::setup::run()?;
    cargo::build_nicdock(Profile::Release)?;
    println!("==> inventory, on this machine");
    let status = cargo::command()
        .args(["bench", "--package", "nicdock-host", "--bench", "inventory"])
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo bench failed ({status})");
    }
    println!("==> composing a view of /sys, on this machine");
    let view =
        ["test", "--release", "--quiet", "--package", "nicdock", "--bin", "nicdock", "composing_a_view"];
    let status = cargo::command().args(view).args(["--", "--ignored", "--nocapture"]).status();
    if !status.context("cannot start cargo")?.success() {
        bail!("the measurement of the view failed");
    }
    println!("==> starting a container, in the lab (kernel 6.1, emulated: compare, do not quote)");
    let xtask = std::env::current_exe().context("cannot tell where xtask is")?;
    in_lab(
        &["--kernel", "6.1", "--cpus", "2", "--nics", "2", "--no-build", "--release"],
        &["bash".into(), "lab/bench.sh".into(), xtask.into()],
    )
}
