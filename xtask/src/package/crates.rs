//! The crates whose code is in the programs: cargo's own answer.

use crate::cargo;
use crate::cargo::STATIC;
use crate::process::capture;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    pub name: String,
    pub version: String,
    /// An SPDX expression.
    pub licence: String,
    pub authors: Vec<String>,
    pub repository: Option<String>,
    pub folder: PathBuf,
    /// From the registry, and not of this repository.
    pub is_foreign: bool,
}

/// The version of nicdock.
pub fn version() -> Result<String> {
    let metadata = metadata(&["--no-deps"])?;
    let package = packages(&metadata)?.iter().find(|package| package["name"] == "nicdock");
    let version = package.and_then(|package| package["version"].as_str());
    version.map(str::to_owned).context("cargo metadata names no version of nicdock")
}

/// All that are linked into a program of the package, in order. What only builds them (build scripts, macros) is not.
pub fn linked() -> Result<Vec<Crate>> {
    let mut tree = cargo::command();
    tree.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    tree.args(["--target", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH), "--package", "nicdock"]);
    for package in STATIC {
        tree.args(["--package", package]);
    }
    let said = capture(&mut tree)?;
    // `name vVERSION (path) (*)`
    let wanted: BTreeSet<(&str, &str)> = said
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    let metadata = metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"])?;
    let mut crates = Vec::new();
    for package in packages(&metadata)? {
        let text = |name: &str| package[name].as_str().map(str::to_owned);
        let (name, version) = (text("name").unwrap_or_default(), text("version").unwrap_or_default());
        if wanted.contains(&(name.as_str(), version.as_str())) {
            let manifest = PathBuf::from(text("manifest_path").context("a package without a manifest")?);
            let authors = package["authors"].as_array().into_iter().flatten();
            crates.push(Crate {
                licence: crate::licences::of(package).with_context(|| format!("{name} names no licence"))?,
                authors: authors.filter_map(|author| author.as_str().map(str::to_owned)).collect(),
                repository: text("repository"),
                folder: manifest.parent().map(PathBuf::from).unwrap_or_default(),
                is_foreign: !package["source"].is_null(),
                name,
                version,
            });
        }
    }
    crates.sort();
    Ok(crates)
}

fn metadata(more: &[&str]) -> Result<Value> {
    let said = capture(cargo::command().args(["metadata", "--format-version", "1", "--locked"]).args(more))?;
    serde_json::from_str(&said).context("cargo metadata gave no JSON")
}

fn packages(metadata: &Value) -> Result<&Vec<Value>> {
    metadata["packages"].as_array().context("cargo metadata named no packages")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_what_only_builds_or_tests_is_not() {
        let names: Vec<String> = linked().unwrap().into_iter().map(|one| one.name).collect();
        for wanted in ["nicdock", "nicdock-starter", "libcontainer", "serde_json"] {
            assert!(names.iter().any(|name| name == wanted), "{wanted}");
        }
        for other in ["xtask", "syn", "proptest", "libtest-mimic"] {
            assert!(names.iter().all(|name| name != other), "{other}");
        }
    }
}
