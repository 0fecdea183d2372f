//! KVM where it works, emulation where it does not. Only trying tells: nested KVM can start and then hang in early boot.

use super::initramfs::Initramfs;
use crate::kernels::Kernel;
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Accelerator {
    Kvm,
    Tcg,
    /// One thread, whose instructions are the clock (`--icount`).
    #[value(skip)]
    CountingTcg,
}

/// All that QEMU emulates, but for what makes a kernel slower there and no test looks at: ERMS and FSRM, for which the kernel clears and
/// copies memory with `rep stosb` and `rep movsb`, emulated a byte at a time; page tables of five levels; SMAP, SMEP, PKU and
/// UMIP, whose instructions end a translated block each time the kernel touches a program's memory.
const EMULATED: &str = "max,-erms,-fsrm,-la57,-smap,-smep,-pku,-umip";

/// A stock kernel that runs under KVM reaches its first process in about a second.
const PATIENCE: Duration = Duration::from_secs(8);

impl Accelerator {
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => &["-accel", "tcg,thread=multi", "-cpu", EMULATED],
            // shift=1: an instruction takes 2^1 ns. sleep=off: while the guest idles its clock goes to the next timer at once.
            Self::CountingTcg => {
                &["-accel", "tcg,thread=single", "-cpu", EMULATED, "-icount", "shift=1,sleep=off"]
            }
        }
    }

    /// What works for this kernel on this machine; found once, then remembered beside the kernel.
    pub fn find(kernel: &Kernel) -> Result<Self> {
        if fs::File::options().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok(Self::Tcg);
        }
        let memory = kernel.dir.join("accelerator");
        let host = host()?;
        for (accelerator, name) in [(Self::Kvm, "kvm"), (Self::Tcg, "tcg")] {
            if fs::read_to_string(&memory).is_ok_and(|text| text == format!("{name} on {host}")) {
                return Ok(accelerator);
            }
        }
        let works = kvm_boots(kernel)?;
        let (found, name) = if works { (Self::Kvm, "kvm") } else { (Self::Tcg, "tcg") };
        fs::write(&memory, format!("{name} on {host}"))?;
        Ok(found)
    }
}

/// The host's kernel and CPU: with another, KVM deserves another try.
fn host() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let uname = rustix::system::uname();
    Ok(format!("{} {}", uname.release().to_string_lossy(), model.trim_start_matches([' ', '\t', ':'])))
}

/// Boots the kernel into an init that powers off.
fn kvm_boots(kernel: &Kernel) -> Result<bool> {
    eprintln!("lab: trying KVM with kernel {} (once)", kernel.release);
    let dir = tempfile::tempdir()?;
    let initramfs = dir.path().join("initramfs");
    let mut archive = Initramfs::default();
    archive.directory("bin");
    archive.file("bin/busybox", &fs::read(super::BUSYBOX)?);
    archive
        .file("init", b"#!/bin/busybox sh\n/bin/busybox echo nicdock-kvm-works\n/bin/busybox poweroff -f\n");
    archive.write(&initramfs)?;
    let console = dir.path().join("console");
    let mut child = Command::new(super::QEMU)
        .args(["-nodefaults", "-no-reboot", "-display", "none", "-M", "q35", "-m", "512", "-smp", "2"])
        .args(Accelerator::Kvm.arguments())
        .arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(&initramfs)
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start QEMU; `cargo xtask setup` installs it")?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE && child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(child.kill());
    child.wait()?;
    Ok(said_so(&console))
}

fn said_so(console: &Path) -> bool {
    fs::read(console).is_ok_and(|text| String::from_utf8_lossy(&text).contains("nicdock-kvm-works"))
}
