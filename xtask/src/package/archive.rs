//! Packing: the same files give the same bytes.

use super::control::{ARCHITECTURE, REVISION};
use super::installed::{below, put, set_times};
use crate::process::capture;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// dpkg-deb takes times and order from `SOURCE_DATE_EPOCH` (deb(5), dpkg-deb(1)); xz's blocks depend on how many threads it has.
pub fn deb(root: &Path, version: &str, epoch: u64, effort: u8, to: &Path) -> Result<PathBuf> {
    let file = to.join(format!("nicdock_{version}-{REVISION}_{ARCHITECTURE}.deb"));
    let mut command = Command::new("dpkg-deb");
    command.env("SOURCE_DATE_EPOCH", epoch.to_string());
    command
        .args(["--root-owner-group", "-Zxz", &format!("-z{effort}"), "--threads-max=1", "--build"])
        .arg(root)
        .arg(&file);
    capture(&mut command)?;
    Ok(file)
}

/// The same files for machines without dpkg, with a list of them by which they are taken away.
pub fn tarball(root: &Path, version: &str, epoch: u64, effort: u8, to: &Path) -> Result<PathBuf> {
    let name = format!("nicdock-{version}-x86_64-linux");
    let file = to.join(format!("{name}.tar.gz"));
    let staging = tempfile::tempdir_in(to)?;
    let folder = staging.path().join(&name);
    fs::create_dir(&folder)?;
    capture(Command::new("cp").args(["-a", "--link"]).arg(root.join("usr")).arg(folder.join("usr")))?;
    let mut list = String::new();
    for path in below(&folder)?.iter().filter(|path| path.is_file()) {
        writeln!(list, "{}", path.strip_prefix(&folder)?.display())?;
    }
    put(&folder, "files", list.as_bytes(), 0o644)?;
    let readme = include_str!("../../../packaging/tarball-README").replace("@VERSION@", version);
    put(&folder, "README", readme.as_bytes(), 0o644)?;
    set_times(&folder, epoch)?;
    let tar = staging.path().join("tar");
    let mut command = Command::new("tar");
    command.args([
        "--sort=name",
        "--owner=root:0",
        "--group=root:0",
        "--numeric-owner",
        "--format=gnu",
        "--create",
    ]);
    capture(
        command.args(["--hard-dereference", "--file"]).arg(&tar).arg("-C").arg(staging.path()).arg(&name),
    )?;
    capture(Command::new("gzip").args([&format!("-{effort}"), "-n"]).arg(&tar))?;
    fs::rename(tar.with_extension("gz"), &file).with_context(|| file.display().to_string())?;
    Ok(file)
}
