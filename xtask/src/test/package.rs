//! The package: packed twice, checked by lintian, installed in fresh Debian roots, set up, upgraded, and taken away again.
//!
//! It is made of the programs that the tests have built anyway: how it is packed is what is proved here. That the whole build is
//! reproducible is proved by `cargo xtask package` in two folders (docs/install.md).

use crate::debian::Root;
use crate::package::{self, Made, lintian};
use crate::process::capture;
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Without systemd and with it.
pub const ROOTS: [Root; 2] =
    [Root { suite: "bookworm", with: "ca-certificates" }, Root { suite: "trixie", with: "systemd,udev" }];

/// dpkg's and apt's own files.
const THEIRS: [&str; 6] =
    ["var/lib/dpkg", "var/lib/apt", "var/cache/apt", "var/log/apt", "var/log/dpkg.log", "var/cache/debconf"];

/// What is done in a root; `$old` and `$new` are packages.
const SCRIPT: &str = include_str!("package.sh");

/// Where the lab's tests look for packages.
pub fn folder() -> PathBuf {
    workspace::root().join("target/package-test")
}

/// Packs twice and looks whether it is the same.
pub fn pack() -> Result<[Made; 2]> {
    let again = tempfile::tempdir_in(workspace::root().join("target"))?;
    let (first, second) = (package::for_tests(&folder())?, package::for_tests(again.path())?);
    for (a, b) in first.iter().zip(&second) {
        for (a, b) in [(&a.deb, &b.deb), (&a.tarball, &b.tarball)] {
            ensure!(fs::read(a)? == fs::read(b)?, "{} is not the same when it is packed again", a.display());
        }
    }
    lintian::check(&first[0].deb)?;
    Ok(first)
}

/// Installs, sets up, upgrades, purges; then the root is as before.
pub fn in_root(root: Root, [old, new]: &[Made; 2]) -> Result<String> {
    let at = root.unpack(&workspace::lab_dir().join("roots"))?;
    let before = tree(at.path())?;
    for made in [old, new] {
        fs::copy(&made.deb, at.path().join("root").join(made.deb.file_name().unwrap_or_default()))?;
    }
    let name = |made: &Made| made.deb.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // No network: what it depends on is in every Debian. Mounts go with their namespace.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--fork", "chroot"]).arg(at.path());
    command.args(["sh", "-euc", SCRIPT, "sh", &name(old), &name(new)]).env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root").env("LC_ALL", "C.UTF-8");
    let said = capture(&mut command).with_context(|| format!("in a fresh Debian {}", root.suite))?;
    for made in [old, new] {
        fs::remove_file(at.path().join("root").join(made.deb.file_name().unwrap_or_default()))?;
    }
    let after = tree(at.path())?;
    let differ: BTreeSet<&String> =
        before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect();
    if !differ.is_empty() {
        bail!(
            "in a fresh Debian {} these are not as before the package was installed: {differ:?}",
            root.suite
        );
    }
    Ok(said)
}

/// Every file with its owner, mode and content, but dpkg's and apt's.
fn tree(root: &Path) -> Result<BTreeMap<String, String>> {
    let (mut all, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.strip_prefix(root)?.to_owned();
            if THEIRS.iter().any(|theirs| name.starts_with(theirs)) {
                continue;
            }
            let found = path.symlink_metadata()?;
            let mut what = format!("{:o} {}:{} ", found.mode(), found.uid(), found.gid());
            if found.is_symlink() {
                what += &path.read_link()?.display().to_string();
            } else if found.is_dir() {
                folders.push(path);
            } else if found.is_file() {
                let content = fs::read(&path)?;
                write!(what, "{} {:x}", content.len(), sum(&content))?;
            } else if found.file_type().is_char_device() {
                what += &found.rdev().to_string();
            }
            all.insert(name.display().to_string(), what);
        }
    }
    Ok(all)
}

fn sum(content: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    hasher.finish()
}
