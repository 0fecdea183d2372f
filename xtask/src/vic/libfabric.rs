//! libfabric with its usnic provider, which Debian's own packages leave out.

use super::sources::Source;
use crate::process::{capture, logged, niced};
use crate::stamp::{Inputs, Stamp};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const SOURCE: Source = Source { package: "libfabric", version: "", suites: &["trixie", "sid", "bookworm"] };

const CONFIGURE: &[&str] =
    &["--enable-only", "--enable-usnic=yes", "--enable-udp=yes", "--enable-tcp=yes", "--disable-static"];

/// Programs find the library beside themselves, not where they were once installed. (`\$$`: past make, then past the shell.)
const RUNPATH: &str = r"LDFLAGS=-Wl,-rpath,\$$ORIGIN/../lib";

/// A prefix with `bin/fi_info`, `bin/fi_pingpong` and `lib/libfabric.so`.
pub fn ensure(home: &Path) -> Result<PathBuf> {
    let prefix = home.join("libfabric-usnic");
    let stamp = Stamp::at(home.join("libfabric.stamp"));
    let mut inputs = Inputs::default();
    inputs.words(CONFIGURE);
    inputs.words(&[RUNPATH]);
    if SOURCE.kept(home).is_some() && stamp.matches(&inputs) {
        return Ok(prefix);
    }

    let started = Instant::now();
    crate::setup::install_missing()?;
    let tree = SOURCE.obtain(home)?;
    let log = home.join("libfabric.log");
    let step = |command: &mut Command, what: &str| {
        let what = format!("vic: {what} libfabric");
        eprintln!("{what}");
        logged(command.current_dir(&tree.dir), &what, &log)
    };
    drop(fs::remove_dir_all(&prefix));
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    step(&mut niced("./autogen.sh"), "preparing")?;
    step(niced("./configure").arg(format!("--prefix={}", prefix.display())).args(CONFIGURE), "configuring")?;
    without_libtools_runpath(&tree.dir.join("libtool"))?;
    step(niced("make").arg(format!("-j{jobs}")).arg(RUNPATH), "building")?;
    step(niced("make").arg(RUNPATH).arg("install"), "installing")?;
    check(&prefix)?;
    stamp.record(&inputs)?;
    eprintln!("vic: libfabric {} with usnic, {:.0} s", tree.version, started.elapsed().as_secs_f64());
    Ok(prefix)
}

/// libtool would add the prefix's own path.
fn without_libtools_runpath(libtool: &Path) -> Result<()> {
    let script = fs::read_to_string(libtool).with_context(|| format!("cannot read {}", libtool.display()))?;
    let lines = script.lines().map(|line| {
        if line.starts_with("hardcode_libdir_flag_spec=") { "hardcode_libdir_flag_spec=" } else { line }
    });
    let edited = lines.collect::<Vec<_>>().join("\n");
    fs::write(libtool, edited).with_context(|| format!("cannot write {}", libtool.display()))
}

fn check(prefix: &Path) -> Result<()> {
    let providers = capture(Command::new(prefix.join("bin/fi_info")).arg("--list"))?;
    if !providers.lines().any(|line| line.starts_with("usnic")) {
        bail!("libfabric was built without its usnic provider:\n{providers}");
    }
    Ok(())
}
