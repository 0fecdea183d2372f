//! `cargo xtask demo`: nicdock at work, on real kernels: usNIC on the kernel whose driver can use it, then soft-RoCE on the
//! kernel that can move it.

use crate::cargo::{self, Profile};
use crate::process::in_lab;
use anyhow::Result;
use std::process::ExitCode;

/// What is said before, the lab's options, and what runs there.
const SCENES: [(&str, &[&str], &str); 2] = [
    (
        "usNIC: two virtual Cisco VICs under the stock drivers of Linux 6.1",
        &["--kernel", "6.1", "--cpus", "2", "--vic", "2", "--nics", "0", "--no-rxe"],
        "lab/demo/usnic.sh",
    ),
    (
        "soft-RoCE: two NICs on Linux 7.2",
        &["--kernel", "7.2", "--cpus", "2", "--nics", "2"],
        "lab/demo/roce.sh",
    ),
];

pub fn run() -> Result<ExitCode> {
    crate::setup::run()?;
    eprintln!("demo: building nicdock, optimised: this takes some minutes the first time");
    cargo::build_nicdock(Profile::Release)?;
    let mut failed = Vec::new();
    for (what, options, script) in SCENES {
        eprintln!("demo: {what}");
        let options = [options, &["--no-build", "--release"]].concat();
        if in_lab(&options, &["bash".into(), script.into()])? != ExitCode::SUCCESS {
            failed.push(what);
        }
    }
    // One that fails does not hide the next, and is named where everybody looks: at the end.
    for what in &failed {
        eprintln!("demo: FAILED: {what}");
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
