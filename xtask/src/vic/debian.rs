//! A suite of the Debian archive other than the machine's own, read by apt with a configuration of its own.

use super::tool::capture;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The keys Debian signs its archives with, from the package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub struct Suite {
    config: PathBuf,
}

impl Suite {
    /// Fetches the suite's lists of packages and of source packages into `dir`.
    pub fn open(suite: &str, dir: &Path) -> Result<Self> {
        let mirror = mirror()?;
        for part in ["lists/partial", "cache/archives/partial", "state"] {
            fs::create_dir_all(dir.join(part))?;
        }
        let lines = ["deb", "deb-src"]
            .map(|kind| format!("{kind} [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main\n"));
        fs::write(dir.join("sources.list"), lines.concat())?;
        let config = dir.join("apt.conf");
        fs::write(&config, configuration(dir))?;
        let opened = Self { config };
        capture(opened.apt("apt-get").args(["-o", "APT::Update::Error-Mode=any", "update"]))
            .with_context(|| format!("cannot read the package lists of Debian {suite}"))?;
        Ok(opened)
    }

    /// The versions of a source package, newest first.
    pub fn source_versions(&self, package: &str) -> Result<Vec<String>> {
        let records = capture(self.apt("apt-cache").args(["showsrc", "--only-source", package]))?;
        let versions = records.lines().filter_map(|line| line.strip_prefix("Version: "));
        Ok(newest_first(versions.map(str::to_owned).collect()))
    }

    /// Downloads a source package's upstream tarball, and gives the file.
    pub fn upstream_tarball(&self, package: &str, version: &str, into: &Path) -> Result<PathBuf> {
        let mut fetch = self.apt("apt-get");
        fetch.args(["source", "--download-only", "--tar-only", &format!("{package}={version}")]);
        fetch_one(&mut fetch, into)
    }

    /// Downloads a binary package, and gives the file.
    pub fn package(&self, package: &str, into: &Path) -> Result<PathBuf> {
        fetch_one(self.apt("apt-get").args(["download", package]), into)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).args(["-q", "-o", "Acquire::Retries=3"]);
        command
    }
}

/// apt names the file, so it gets a directory to itself.
fn fetch_one(fetch: &mut Command, into: &Path) -> Result<PathBuf> {
    drop(fs::remove_dir_all(into));
    fs::create_dir_all(into)?;
    capture(fetch.current_dir(into))?;
    let mut files = fs::read_dir(into)?.flatten().map(|entry| entry.path());
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file),
        _ => bail!("apt did not download one file into {}", into.display()),
    }
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

/// The Debian mirror that the machine's own apt sources name, in whichever format.
fn mirror() -> Result<String> {
    let targets = capture(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    let mirror = targets.lines().find(|uri| uri.trim_end_matches('/').ends_with("/debian"));
    mirror.map(str::to_owned).context("the machine's apt sources name no mirror of Debian's main archive")
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
