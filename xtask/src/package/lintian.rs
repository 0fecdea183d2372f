//! Debian's own checker of packages.

use crate::process::capture;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// Fails if it finds an error; gives what it warns of.
pub fn check(deb: &Path) -> Result<String> {
    // As root, which continuous integration is, it asks to be told so.
    let options = ["--allow-root", "--fail-on", "error", "--tag-display-limit", "0"];
    capture(Command::new("lintian").args(options).arg(deb)).context("lintian finds errors in the package")
}
