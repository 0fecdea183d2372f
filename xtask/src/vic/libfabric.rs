//! libfabric with its usnic provider, which Debian's own packages leave out.

use super::packages;
use super::sources::Source;
use super::stamp::{Inputs, Stamp};
use super::tool::{capture, logged, niced};
use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const SOURCE: Source = Source { package: "libfabric", version: "", suites: &["trixie", "sid", "bookworm"] };

const CONFIGURE: &[&str] =
    &["--enable-only", "--enable-usnic=yes", "--enable-udp=yes", "--enable-tcp=yes", "--disable-static"];

/// A prefix with `bin/fi_info`, `bin/fi_pingpong` and `lib/libfabric.so`. The programs find the library by themselves.
pub fn ensure_libfabric(cache: &Path) -> Result<PathBuf> {
    let home = cache.join("vic");
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let lock = File::create(home.join("libfabric.lock"))?;
    flock(&lock, FlockOperation::LockExclusive).context("cannot lock the libfabric build")?;

    let prefix = home.join("libfabric-usnic");
    let stamp = Stamp::at(home.join("libfabric.stamp"));
    let mut inputs = Inputs::default();
    inputs.words(CONFIGURE);
    if SOURCE.kept(&home).is_some() && stamp.matches(&inputs) {
        return Ok(prefix);
    }

    let started = Instant::now();
    packages::install(packages::LIBFABRIC)?;
    let tree = SOURCE.obtain(&home)?;
    let log = home.join("libfabric.log");
    let step = |command: &mut Command, what: &str| {
        eprintln!("vic: {what}");
        logged(command.current_dir(&tree.dir), what, &log)
    };
    drop(fs::remove_dir_all(&prefix));
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    step(&mut niced("./autogen.sh"), "preparing libfabric")?;
    step(
        niced("./configure").arg(format!("--prefix={}", prefix.display())).args(CONFIGURE),
        "configuring libfabric",
    )?;
    step(niced("make").arg(format!("-j{jobs}")), "building libfabric")?;
    step(niced("make").arg("install"), "installing libfabric")?;
    check(&prefix)?;
    stamp.record(&inputs)?;
    eprintln!("vic: libfabric {} with usnic, {:.0} s", tree.version, started.elapsed().as_secs_f64());
    Ok(prefix)
}

fn check(prefix: &Path) -> Result<()> {
    let providers = capture(Command::new(prefix.join("bin/fi_info")).arg("--list"))?;
    if !providers.lines().any(|line| line.starts_with("usnic")) {
        bail!("libfabric was built without its usnic provider:\n{providers}");
    }
    Ok(())
}
