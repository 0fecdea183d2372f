//! Debian packages of this machine that the builds need, installed when they are missing.

use super::tool::capture;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::process::Command;

pub const QEMU: &[&str] = &[
    "gcc",
    "libattr1-dev",
    "libc6-dev",
    "libcap-ng-dev",
    "libglib2.0-dev",
    "ninja-build",
    "pkg-config",
    "python3-venv",
    "xz-utils",
];

pub const LIBFABRIC: &[&str] = &[
    "autoconf",
    "automake",
    "gcc",
    "libc6-dev",
    "libibverbs-dev",
    "libnl-3-dev",
    "libnl-route-3-dev",
    "libtool",
    "make",
    "xz-utils",
];

pub const PROGRAMS: &[&str] = &["gcc", "libc6-dev", "linux-libc-dev"];

pub fn install(needed: &[&str]) -> Result<()> {
    let installed = capture(Command::new("dpkg-query").args([
        "--show",
        "--showformat",
        "${db:Status-Status} ${Package}\n",
    ]))
    .context("the virtual VIC is built from Debian's packages; this machine has no dpkg")?;
    let installed: BTreeSet<&str> =
        installed.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    let missing: Vec<&str> = needed.iter().copied().filter(|name| !installed.contains(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("vic: installing {}", missing.join(" "));
    capture(apt_get().arg("update"))?;
    capture(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(&missing)).with_context(
        || format!("cannot install {}; install them by hand (as root), then try again", missing.join(" ")),
    )?;
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["--quiet=2", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]);
    command
}
