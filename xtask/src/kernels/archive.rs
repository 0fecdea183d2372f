//! One suite of the Debian archive, read by apt with a configuration of its own: the machine's apt state is not touched.

use super::sources;
use crate::process::capture;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The keys Debian signs its archives with, from the package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub struct Archive {
    config: PathBuf,
}

impl Archive {
    /// Fetches the suite's package lists into `dir`. They must carry a signature of the installed keyring.
    pub fn open(suite: &str, dir: &Path) -> Result<Self> {
        let mirror = sources::mirror()?;
        for part in ["lists/partial", "cache/archives/partial", "state"] {
            fs::create_dir_all(dir.join(part))?;
        }
        if !Path::new(KEYRING).exists() {
            bail!("{KEYRING} is missing: install debian-archive-keyring");
        }
        fs::write(
            dir.join("sources.list"),
            format!("deb [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main\n"),
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

    /// Names of the kernel's packages.
    pub fn package_names(&self) -> Result<Vec<String>> {
        let names = capture(self.apt("apt-cache").args(["pkgnames", "linux-"]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Downloads packages (all or none) and gives the files.
    pub fn download(&self, packages: &[String], into: &Path) -> Result<Vec<PathBuf>> {
        drop(fs::remove_dir_all(into));
        fs::create_dir_all(into)?;
        capture(self.apt("apt-get").arg("download").args(packages).current_dir(into))?;
        let files: Vec<PathBuf> = fs::read_dir(into)?.flatten().map(|entry| entry.path()).collect();
        if files.len() != packages.len() {
            bail!("apt downloaded {} of {} packages", files.len(), packages.len());
        }
        Ok(files)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).args(["-q", "-o", "Acquire::Retries=3"]);
        command
    }
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
