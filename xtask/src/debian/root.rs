//! A fresh Debian as a folder: made by debootstrap(8), kept as a tarball in `target/lab/roots`.

use super::mirror::mirror;
use crate::process::capture;
use crate::workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A suite, with packages that are no part of the smallest system.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    pub suite: &'static str,
    pub with: &'static str,
}

impl Root {
    /// Makes the tarball unless it is there.
    pub fn obtain(self) -> Result<PathBuf> {
        let folder = workspace::lab_dir().join("roots");
        fs::create_dir_all(&folder)?;
        let tarball = folder.join(format!("{}-{}.tar", self.suite, self.with.replace(',', "-")));
        if tarball.exists() {
            return Ok(tarball);
        }
        eprintln!("lab: making a fresh Debian {}", self.suite);
        let made = tempfile::tempdir_in(&folder)?;
        let mut command = crate::process::niced("debootstrap");
        command.args(["--variant=minbase", &format!("--include={}", self.with), self.suite]);
        capture(command.arg(made.path().join("root")).arg(mirror()?))
            .with_context(|| format!("cannot make a fresh Debian {}", self.suite))?;
        let aside = made.path().join("tar");
        capture(
            Command::new("tar")
                .args(["--create", "--file"])
                .arg(&aside)
                .arg("-C")
                .arg(made.path())
                .arg("root"),
        )?;
        fs::rename(&aside, &tarball)?;
        Ok(tarball)
    }

    /// Unpacks it; gone when it is dropped.
    pub fn unpack(self, below: &Path) -> Result<TempDir> {
        let folder = tempfile::tempdir_in(below)?;
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--strip-components=1", "--numeric-owner", "--file"]).arg(self.obtain()?);
        capture(tar.arg("-C").arg(folder.path()))?;
        // As / is, for everybody.
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(folder)
    }
}
