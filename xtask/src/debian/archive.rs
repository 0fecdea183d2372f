//! One suite of the Debian archive, read by apt with a configuration of its own: the machine's apt state is not touched.

use super::mirror::mirror;
use crate::process::capture;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The keys Debian signs its archives with, from the package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What is wanted of a suite: its lists are tens of megabytes, so only those are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    Packages,
    Sources,
}

pub struct Archive {
    config: PathBuf,
}

impl Archive {
    /// Fetches the suite's lists into `dir`. They must carry a signature of the installed keyring.
    pub fn open(suite: &str, lists: Lists, dir: &Path) -> Result<Self> {
        let mirror = mirror()?;
        for part in ["lists/partial", "cache/archives/partial", "state"] {
            fs::create_dir_all(dir.join(part))?;
        }
        if !Path::new(KEYRING).exists() {
            bail!("{KEYRING} is missing: install debian-archive-keyring");
        }
        let kind = match lists {
            Lists::Packages => "deb",
            Lists::Sources => "deb-src",
        };
        fs::write(
            dir.join("sources.list"),
            format!("{kind} [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main\n"),
        )?;
        let config = dir.join("apt.conf");
        fs::write(&config, configuration(dir))?;
        let archive = Self { config };
        // Without this option apt-get update ends well even when the one suite there is was refused.
        capture(archive.apt("apt-get").args(["-o", "APT::Update::Error-Mode=any", "update"])).with_context(|| {
            format!("cannot read the package lists of Debian {suite}; if a key is missing, upgrade debian-archive-keyring")
        })?;
        Ok(archive)
    }

    /// Names of the packages that start with `prefix`.
    pub fn package_names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = capture(self.apt("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Downloads packages (all or none) and gives the files.
    pub fn download(&self, packages: &[String], into: &Path) -> Result<Vec<PathBuf>> {
        let files = fetch(self.apt("apt-get").arg("download").args(packages), into)?;
        if files.len() != packages.len() {
            bail!("apt downloaded {} of {} packages", files.len(), packages.len());
        }
        Ok(files)
    }

    /// The versions of a source package, newest first.
    pub fn source_versions(&self, package: &str) -> Result<Vec<String>> {
        let records = capture(self.apt("apt-cache").args(["showsrc", "--only-source", package]))?;
        let versions = records.lines().filter_map(|line| line.strip_prefix("Version: "));
        Ok(newest_first(versions.map(str::to_owned).collect()))
    }

    /// Downloads the upstream tarball of a source package, and gives the file.
    pub fn upstream_tarball(&self, package: &str, version: &str, into: &Path) -> Result<PathBuf> {
        let mut source = self.apt("apt-get");
        source.args(["source", "--download-only", "--tar-only", &format!("{package}={version}")]);
        match <[PathBuf; 1]>::try_from(fetch(&mut source, into)?) {
            Ok([file]) => Ok(file),
            Err(files) => {
                bail!("the source package {package} {version} has {} tarballs, not one", files.len())
            }
        }
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).args(["-q", "-o", "Acquire::Retries=3"]);
        command
    }
}

/// apt names the files itself, so it gets a directory that holds nothing else.
fn fetch(apt: &mut Command, into: &Path) -> Result<Vec<PathBuf>> {
    drop(fs::remove_dir_all(into));
    fs::create_dir_all(into)?;
    capture(apt.current_dir(into))?;
    Ok(fs::read_dir(into)?.flatten().map(|entry| entry.path()).collect())
}

/// Debian's own order of versions, by dpkg.
fn newest_first(mut versions: Vec<String>) -> Vec<String> {
    let newer = |a: &str, b: &str| {
        Command::new("dpkg").args(["--compare-versions", a, "gt", b]).status().is_ok_and(|s| s.success())
    };
    versions.sort_by(|a, b| newer(b, a).cmp(&newer(a, b)));
    versions.dedup();
    versions
}

/// The machine's own `apt.conf.d` (proxies) still applies below this.
fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"Dir::Etc::sourcelist "{dir}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{dir}/state";
Dir::State::lists "{dir}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{dir}/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_debian_orders_them() {
        let versions =
            ["1:10.0.2+ds-2", "1:10.0.13+ds-0+deb13u1", "1:10.0.13+ds-0+deb13u1", "1:10.0.2+ds-2~bpo12+1"];
        let ordered = newest_first(versions.map(str::to_owned).to_vec());
        assert_eq!(ordered, ["1:10.0.13+ds-0+deb13u1", "1:10.0.2+ds-2", "1:10.0.2+ds-2~bpo12+1"]);
    }
}
