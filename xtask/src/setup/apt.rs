//! Asking dpkg what is there, and apt for what is not.

use crate::process::capture;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::process::Command;

/// The names of all installed packages.
pub fn installed() -> Result<BTreeSet<String>> {
    let format = "${db:Status-Status} ${Package}\n";
    let all = capture(Command::new("dpkg-query").args(["--show", "--showformat", format]))
        .context("setup knows Debian and its kin only: it asks dpkg what is installed")?;
    Ok(all.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect())
}

/// Installs packages without their recommendations. Package lists may be old and mirrors may hiccup: a failure is followed
/// by one fresh `apt-get update` and a second try.
pub fn install(names: &[&str]) -> Result<()> {
    capture(apt_get().arg("update"))?;
    let mut install = apt_get();
    install.args(["install", "--yes", "--no-install-recommends"]).args(names);
    capture(&mut install)
        .or_else(|_| {
            eprintln!("setup: apt failed; trying once more");
            capture(apt_get().arg("update"))?;
            capture(&mut install)
        })
        .with_context(|| {
            format!("cannot install {}; install them by hand (as root), then try again", names.join(" "))
        })?;
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    // Another apt may be at work (unattended upgrades, a second setup): wait for it.
    command.args(["--quiet=2", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]);
    command
}
