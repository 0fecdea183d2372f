//! Builds of `rdma_rxe` **for tests only**: Debian's own source with a few edits, whose reasons are with them.

mod infiniband;
mod movable;

pub use infiniband::INFINIBAND;
pub use movable::MOVABLE;

use super::{Kernel, Line, directory};
use crate::debian::{Archive, Lists};
use crate::process::{capture, niced};
use crate::stamp::{Inputs, Stamp};
use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const MODULE: &str = "rdma_rxe.ko";

/// Where rxe is in the kernel's sources.
const FOLDER: &str = "linux-source-6.1/drivers/infiniband/sw/rxe";

/// Replaces a piece of one of rxe's files, which must be there exactly once: a source that is not as expected is refused.
pub struct Edit {
    file: &'static str,
    old: &'static str,
    new: &'static str,
}

/// One build, by the edits that make it.
pub struct Build {
    /// What its kept folder is called, beside the kernel's release.
    folder: &'static str,
    /// What it is, in a sentence such as "built rdma_rxe ...".
    what: &'static str,
    edits: &'static [Edit],
}

/// The module's file, built for this kernel if it is not there.
///
/// Fails for other lines than 6.1, and when the mirror has no headers of the kept kernel's release any more.
pub fn ensure(kernel: &Kernel, build: &Build) -> Result<PathBuf> {
    let what = build.what;
    if kernel.line != Line::Bookworm {
        bail!("the test build of rdma_rxe {what} is made for --kernel 6.1 only");
    }
    let home = directory(&format!("{}-{}", build.folder, kernel.release));
    let module = home.join(MODULE);
    // Two labs that want it may start at once.
    let lock = File::create(directory(&format!("{}-{}.lock", build.folder, kernel.release)))?;
    flock(&lock, FlockOperation::LockExclusive).context("cannot lock the module's folder")?;
    let stamp = Stamp::at(home.join("stamp"));
    let mut inputs = Inputs::default();
    inputs.words(&[&kernel.release]);
    build.edits.iter().for_each(|edit| inputs.words(&[edit.file, edit.old, edit.new]));
    if module.exists() && stamp.matches(&inputs) {
        return Ok(module);
    }
    let started = Instant::now();
    eprintln!("lab: building rdma_rxe {what} (for tests only), kernel {}", kernel.release);
    crate::setup::install_missing()?;
    let _ = fs::remove_dir_all(&home);
    let work = home.join("work");
    let sources = fetch(kernel, &work)?;
    for edit in build.edits {
        edit.apply(&sources)?;
    }
    compile(kernel, &work, &sources)?;
    // Debug information would be twenty times the module.
    capture(Command::new("strip").arg("--strip-debug").arg(sources.join(MODULE)))?;
    fs::copy(sources.join(MODULE), &module).with_context(|| format!("cannot keep {}", module.display()))?;
    fs::remove_dir_all(&work)?;
    stamp.record(&inputs)?;
    eprintln!("lab: rdma_rxe {what}, {:.0} s", started.elapsed().as_secs_f64());
    Ok(module)
}

/// Unpacks the kernel's headers, the tools to build with them, and rxe's sources; gives the latter's folder.
fn fetch(kernel: &Kernel, work: &Path) -> Result<PathBuf> {
    let archive = Archive::open(kernel.line.suite(), Lists::Packages, &work.join("apt"))?;
    let abi = kernel.release.trim_end_matches("-amd64");
    let headers = ["amd64", "common"].map(|part| format!("linux-headers-{abi}-{part}"));
    let headers = archive.download(&headers, &work.join("headers")).with_context(|| {
        format!(
            "the mirror has no headers for kernel {} any more: remove {} to get the newest kernel",
            kernel.release,
            kernel.dir.display()
        )
    })?;
    let of_headers = Command::new("dpkg-deb").arg("-f").arg(&headers[0]).arg("Version").output()?;
    let version = String::from_utf8_lossy(&of_headers.stdout).trim().to_owned();
    let tools = archive.download(&[format!("linux-kbuild-6.1={version}")], &work.join("tools"))?;
    let sources = archive.download(&[format!("linux-source-6.1={version}")], &work.join("sources"))?;
    for package in headers.iter().chain(&tools) {
        capture(Command::new("dpkg").arg("-x").arg(package).arg(work))?;
    }
    // A tarball in a package: read through, not written.
    let script = "dpkg-deb --fsys-tarfile \"$1\" | tar -xO ./usr/src/linux-source-6.1.tar.xz \
                  | tar -xJ -C \"$2\" --wildcards \"$3/*\"";
    let package = sources.first().context("apt downloaded no sources")?;
    capture(Command::new("sh").args(["-ec", script, "sh"]).arg(package).arg(work).arg(FOLDER))?;
    Ok(work.join(FOLDER))
}

impl Edit {
    fn apply(&self, sources: &Path) -> Result<()> {
        let file = sources.join(self.file);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        fs::write(&file, self.applied_to(&text)?).with_context(|| format!("cannot write {}", file.display()))
    }

    fn applied_to(&self, source: &str) -> Result<String> {
        let found = source.matches(self.old).count();
        if found != 1 {
            bail!(
                "{} is not as this build of rxe expects it (adapt xtask/src/kernels/edited_rxe): {found} times {:?}",
                self.file,
                self.old
            );
        }
        Ok(source.replace(self.old, self.new))
    }
}

/// The headers are not installed, so their makefile must be told where the common part is.
fn compile(kernel: &Kernel, work: &Path, sources: &Path) -> Result<()> {
    let headers = work.join("usr/src").join(format!("linux-headers-{}", kernel.release));
    let makefile = headers.join("Makefile");
    let text =
        fs::read_to_string(&makefile).with_context(|| format!("cannot read {}", makefile.display()))?;
    let place = work.canonicalize()?.join("usr/src");
    fs::write(&makefile, text.replace("/usr/src", &place.display().to_string()))?;
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut make = niced("make");
    make.arg("-C").arg(&headers).arg(format!("-j{jobs}"));
    make.arg(format!("M={}", sources.canonicalize()?.display()));
    // Any gcc will do, whatever the kernel was built with.
    make.args(["CC=gcc", "CONFIG_RDMA_RXE=m", "modules"]);
    capture(&mut make).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_made_where_its_piece_is_there_once_and_refused_elsewhere() {
        let edit = Edit { file: "rxe.c", old: "{\n", new: "{\n\t.more,\n" };
        assert_eq!(edit.applied_to("ops = {\n};\n").expect("a known source"), "ops = {\n\t.more,\n};\n");
        for unknown in ["int a;", "a = {\n};\nb = {\n};\n"] {
            assert!(edit.applied_to(unknown).unwrap_err().to_string().contains("rxe.c is not as"));
        }
    }
}
