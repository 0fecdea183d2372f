//! The programs of `lab/vic/tests/`, which prove the device from inside the guest.

use super::lab_vic;
use crate::process::capture;
use crate::stamp::{Inputs, Stamp, is_kind, list};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

const FLAGS: &[&str] = &["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"];

/// `vic-test`, built from what `lab/vic/tests/` holds now.
pub fn ensure(home: &Path) -> Result<PathBuf> {
    let program = home.join("vic-test");
    let tests = lab_vic().join("tests");
    let sources = list(&tests, |file| is_kind(file, &["c"]))?;
    let mut inputs = Inputs::default();
    inputs.words(FLAGS);
    inputs.files(&list(&tests, |file| is_kind(file, &["c", "h"]))?)?;
    inputs.files(&[lab_vic().join("device/vnic_regs.h")])?;
    let stamp = Stamp::at(home.join("vic-test.stamp"));
    if program.exists() && stamp.matches(&inputs) {
        return Ok(program);
    }
    crate::setup::install_missing()?;
    capture(Command::new("gcc").args(FLAGS).arg("-o").arg(&program).args(&sources))?;
    stamp.record(&inputs)?;
    Ok(program)
}
