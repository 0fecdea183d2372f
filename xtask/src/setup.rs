//! `cargo xtask setup`: the Debian packages that building, testing and the lab need.

mod apt;
mod packages;

use anyhow::Result;
use packages::{PACKAGES, Package};
use std::time::Instant;

/// Installs what is missing; says nothing but one line when nothing is.
pub fn run() -> Result<()> {
    if !install_missing()? {
        eprintln!("setup: all {} packages are installed", PACKAGES.len());
    }
    Ok(())
}

/// False when nothing was missing.
pub fn install_missing() -> Result<bool> {
    let started = Instant::now();
    let missing = missing()?;
    if missing.is_empty() {
        return Ok(false);
    }
    eprintln!("setup: installing {} of {} packages", missing.len(), PACKAGES.len());
    for Package { name, why } in &missing {
        eprintln!("setup:   {name:<20} {why}");
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    apt::install(&names)?;
    eprintln!("setup: done in {:.0} s", started.elapsed().as_secs_f64());
    Ok(true)
}

fn missing() -> Result<Vec<Package>> {
    let installed = apt::installed()?;
    Ok(PACKAGES.iter().copied().filter(|package| !installed.contains(package.name)).collect())
}
