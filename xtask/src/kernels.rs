//! The lab's kernels: stock Debian ones, downloaded and unpacked but never installed, kept in `target/lab/kernels`.

mod choose;
pub mod edited_rxe;
mod image;
pub mod modules;

mod unpack;

use crate::debian::{Archive, Lists};
use crate::workspace;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A line of kernels. The exact version is whatever its Debian suite offers when it is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Line {
    /// Debian 12
    #[value(name = "6.1")]
    Bookworm,
    /// Debian 13
    #[value(name = "6.12")]
    Trixie,
    /// The newest of Debian sid: 7.2 or later
    #[value(name = "7.2")]
    Sid,
}

impl Line {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "6.1",
            Self::Trixie => "6.12",
            Self::Sid => "7.2",
        }
    }

    fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        }
    }

    /// What the version of this line's kernels starts with; sid moves on, so there any will do.
    fn version_prefix(self) -> &'static str {
        match self {
            Self::Bookworm => "6.1.",
            Self::Trixie => "6.12.",
            Self::Sid => "",
        }
    }
}

/// An unpacked kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub line: Line,
    /// As `uname -r` says it.
    pub release: String,
    pub dir: PathBuf,
}

impl Kernel {
    /// The kernel, uncompressed: QEMU enters it directly (PVH), which saves its slow decompression under emulation.
    pub fn image(&self) -> PathBuf {
        self.dir.join("vmlinux")
    }

    /// What stands at `/lib/modules` in the lab.
    pub fn modules(&self) -> PathBuf {
        self.dir.join("lib/modules")
    }

    fn cached(line: Line) -> Option<Self> {
        let dir = kept(line);
        let release = fs::read_to_string(dir.join("release")).ok()?.trim().to_owned();
        Some(Self { line, release, dir })
    }
}

/// The kernel of a line: the one kept from earlier, or else the newest its Debian suite has.
pub fn obtain(line: Line) -> Result<Kernel> {
    if let Some(kernel) = Kernel::cached(line) {
        return Ok(kernel);
    }
    let parent = directory("");
    fs::create_dir_all(&parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let lock = File::create(directory(&format!("linux-{}.lock", line.name())))?;
    flock(&lock, FlockOperation::LockExclusive).context("cannot lock the kernels' directory")?;
    // Somebody else may have fetched it while we waited for the lock.
    Kernel::cached(line).map_or_else(|| fetch(line), Ok)
}

fn fetch(line: Line) -> Result<Kernel> {
    let started = Instant::now();
    eprintln!("lab: fetching kernel {} (Debian {})", line.name(), line.suite());
    let work = directory(&format!("linux-{}.partial", line.name()));
    drop(fs::remove_dir_all(&work));
    let archive = Archive::open(line.suite(), Lists::Packages, &work.join("apt"))?;
    let packages = download(line, &archive, &work.join("debs"))?;
    let release = unpack::unpack(&packages, &work)?;
    for finished in ["apt", "debs"] {
        fs::remove_dir_all(work.join(finished))?;
    }
    fs::write(work.join("release"), &release)?;
    fs::rename(&work, kept(line)).with_context(|| format!("cannot keep {}", work.display()))?;
    eprintln!("lab: kernel {} is {release}, {:.0} s", line.name(), started.elapsed().as_secs_f64());
    Kernel::cached(line).context("the fetched kernel vanished")
}

/// Downloads the newest kernel that the mirror really hands out: lists sometimes name what is already gone.
fn download(line: Line, archive: &Archive, into: &Path) -> Result<Vec<PathBuf>> {
    const ATTEMPTS: usize = 4;
    let names = archive.package_names("linux-")?;
    let mut refusals = Vec::new();
    for candidate in choose::candidates(&names, line.version_prefix()).iter().take(ATTEMPTS) {
        match archive.download(&candidate.packages, into) {
            Ok(files) => return Ok(files),
            Err(refused) => refusals.push(format!("{}: {refused:#}", candidate.version)),
        }
    }
    if refusals.is_empty() {
        bail!("Debian {} offers no kernel {}; see `apt-cache search linux-image`", line.suite(), line.name());
    }
    bail!("no kernel {} could be downloaded; try again later\n{}", line.name(), refusals.join("\n"))
}

fn kept(line: Line) -> PathBuf {
    directory(&format!("linux-{}", line.name()))
}

fn directory(name: &str) -> PathBuf {
    workspace::lab_dir().join("kernels").join(name)
}
