//! Upstream sources from Debian's source packages, unpacked once and kept.

use crate::debian::{Archive, Lists};
use crate::process::{capture, niced};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// A source package, and where to look for it.
pub struct Source {
    pub package: &'static str,
    /// What its version must start with.
    pub version: &'static str,
    /// In order of preference; the first that hands it out serves.
    pub suites: &'static [&'static str],
}

/// Unpacked sources.
pub struct Tree {
    pub dir: PathBuf,
    pub version: String,
}

impl Source {
    /// The sources kept in `parent`, if they are there and complete.
    pub fn kept(&self, parent: &Path) -> Option<Tree> {
        let recorded = fs::read_to_string(self.record(parent)).ok()?;
        Some(Tree { version: recorded.lines().next()?.to_owned(), dir: self.dir(parent) })
    }

    /// The sources in `parent`, fetched if they are not there.
    pub fn obtain(&self, parent: &Path) -> Result<Tree> {
        if let Some(tree) = self.kept(parent) {
            return Ok(tree);
        }
        let downloads = parent.join("download");
        let (tarball, version) = self.download(&downloads)?;
        let dir = self.dir(parent);
        drop(fs::remove_dir_all(&dir));
        fs::create_dir_all(&dir)?;
        eprintln!("vic: unpacking {} {version}", self.package);
        let mut unpack = niced("tar");
        unpack
            .args(["--extract", "--strip-components=1", "--file"])
            .arg(&tarball)
            .arg("--directory")
            .arg(&dir);
        capture(&mut unpack)?;
        fs::remove_dir_all(&downloads)?;
        fs::write(self.record(parent), format!("{version}\n"))?;
        self.kept(parent).context("the sources vanished")
    }

    fn dir(&self, parent: &Path) -> PathBuf {
        parent.join(self.package)
    }

    fn record(&self, parent: &Path) -> PathBuf {
        parent.join(format!("{}.version", self.package))
    }

    /// Lists sometimes name what the mirror no longer has: then the next version, then the next suite.
    fn download(&self, into: &Path) -> Result<(PathBuf, String)> {
        let mut refusals = Vec::new();
        for suite in self.suites {
            eprintln!("vic: fetching {} {}* from Debian {suite}", self.package, self.version);
            match self.download_from(suite, into) {
                Ok(downloaded) => return Ok(downloaded),
                Err(refused) => refusals.push(format!("{suite}: {refused:#}")),
            }
        }
        bail!(
            "no source package {} {}* could be fetched\n{}",
            self.package,
            self.version,
            refusals.join("\n")
        )
    }

    fn download_from(&self, suite: &str, into: &Path) -> Result<(PathBuf, String)> {
        let archive = Archive::open(suite, Lists::Sources, &into.join("apt"))?;
        let mut refusals = Vec::new();
        let versions = archive.source_versions(self.package)?;
        for version in versions.into_iter().filter(|version| version.starts_with(self.version)) {
            match archive.upstream_tarball(self.package, &version, &into.join("tarball")) {
                Ok(file) => return Ok((file, version)),
                Err(refused) => refusals.push(format!("{refused:#}")),
            }
        }
        if refusals.is_empty() {
            bail!("no such version");
        }
        bail!("{}", refusals.join("\n"))
    }
}
