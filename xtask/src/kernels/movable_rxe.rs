//! A build of `rdma_rxe` **for tests only**, whose devices can be moved between RDMA network namespaces.
//!
//! No driver that the lab has devices for can do that: `ib_device_set_netns_put()` (drivers/infiniband/core/device.c) refuses
//! every driver without `disassociate_ucontext`. This one is Debian's own source with that one operation added, empty: rxe
//! has no hardware of which a moved device's users would have to be cut off.

use super::{Kernel, Line, directory};
use crate::debian::{Archive, Lists};
use crate::process::{capture, niced};
use crate::stamp::{Inputs, Stamp};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const MODULE: &str = "rdma_rxe.ko";

/// Where rxe is in the kernel's sources.
const FOLDER: &str = "linux-source-6.1/drivers/infiniband/sw/rxe";

/// The file with the driver's operations, the line that begins them, and what stands there instead.
const FILE: &str = "rxe_verbs.c";
const OPERATIONS: &str = "static const struct ib_device_ops rxe_dev_ops = {\n";
const MOVABLE: &str = "static void rxe_disassociate_ucontext(struct ib_ucontext *context) {}\n\n\
                       static const struct ib_device_ops rxe_dev_ops = {\n\
                       \t.disassociate_ucontext = rxe_disassociate_ucontext,\n";

/// The module's file, built for this kernel if it is not there.
///
/// Fails for other lines than 6.1, and when the mirror has no headers of the kept kernel's release any more.
pub fn ensure(kernel: &Kernel) -> Result<PathBuf> {
    if kernel.line != Line::Bookworm {
        bail!("the test build of rdma_rxe whose devices can move is made for --kernel 6.1 only");
    }
    let home = directory(&format!("rxe-movable-{}", kernel.release));
    let module = home.join(MODULE);
    let stamp = Stamp::at(home.join("stamp"));
    let mut inputs = Inputs::default();
    inputs.words(&[&kernel.release, MOVABLE]);
    if module.exists() && stamp.matches(&inputs) {
        return Ok(module);
    }
    let started = Instant::now();
    eprintln!(
        "lab: building rdma_rxe with devices that can move (for tests only), kernel {}",
        kernel.release
    );
    crate::setup::install_missing()?;
    let _ = fs::remove_dir_all(&home);
    let work = home.join("work");
    let sources = fetch(kernel, &work)?;
    edit(&sources.join(FILE))?;
    compile(kernel, &work, &sources)?;
    // Debug information would be twenty times the module.
    capture(Command::new("strip").arg("--strip-debug").arg(sources.join(MODULE)))?;
    fs::copy(sources.join(MODULE), &module).with_context(|| format!("cannot keep {}", module.display()))?;
    fs::remove_dir_all(&work)?;
    stamp.record(&inputs)?;
    eprintln!("lab: rdma_rxe with devices that can move, {:.0} s", started.elapsed().as_secs_f64());
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

fn edit(file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    fs::write(file, movable(&text)?).with_context(|| format!("cannot write {}", file.display()))
}

fn movable(source: &str) -> Result<String> {
    if source.contains("disassociate_ucontext") || source.matches(OPERATIONS).count() != 1 {
        bail!("{FILE} is not as this build of rxe expects it: adapt xtask/src/kernels/movable_rxe.rs");
    }
    Ok(source.replace(OPERATIONS, MOVABLE))
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
    fn one_operation_is_added_and_an_unknown_source_is_refused() {
        let source =
            "int a;\nstatic const struct ib_device_ops rxe_dev_ops = {\n\t.owner = THIS_MODULE,\n};\n";
        let edited = movable(source).expect("a known source");
        assert!(
            edited
                .contains("rxe_dev_ops = {\n\t.disassociate_ucontext = rxe_disassociate_ucontext,\n\t.owner")
        );
        assert!(movable(&edited).is_err());
        assert!(movable("int a;").is_err());
    }
}
