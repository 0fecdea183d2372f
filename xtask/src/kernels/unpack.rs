//! Turns a kernel's packages into what the lab boots: `vmlinux` and a small `lib/modules` without compression.

use super::image;
use crate::process::capture;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The parts of `lib/modules/*/kernel` that a lab of NICs can use; sound, graphics and media alone would be hundreds of MB.
const KEPT: &[&str] = &[
    "arch",
    "block",
    "crypto",
    "lib",
    "mm",
    "net",
    "virt",
    "drivers/block",
    "drivers/char",
    "drivers/dca",
    "drivers/i2c",
    "drivers/infiniband",
    "drivers/iommu",
    "drivers/net",
    "drivers/pci",
    "drivers/pps",
    "drivers/ptp",
    "drivers/uio",
    "drivers/vdpa",
    "drivers/vfio",
    "drivers/vhost",
    "drivers/virtio",
    "fs/9p",
    "fs/autofs",
    "fs/configfs",
    "fs/fscache",
    "fs/fuse",
    "fs/netfs",
    "fs/nls",
    "fs/overlayfs",
    "fs/squashfs",
];

/// The larger of those parts of the above that have no place in it.
const DROPPED: &[&str] = &[
    "drivers/net/can",
    "drivers/net/usb",
    "drivers/net/wireless",
    "drivers/net/wwan",
    "net/bluetooth",
    "net/mac80211",
    "net/nfc",
    "net/wireless",
];

/// Unpacks the packages below `dir` and gives the kernel's release.
pub fn unpack(packages: &[PathBuf], dir: &Path) -> Result<String> {
    let tree = dir.join("tree");
    for package in packages {
        capture(Command::new("dpkg").arg("-x").arg(package).arg(&tree))?;
    }
    // Until trixie modules are in lib/modules, later in usr/lib/modules.
    let all = ["lib/modules", "usr/lib/modules"].map(|place| tree.join(place));
    let all = all.iter().find(|place| place.exists()).context("the kernel's packages hold no lib/modules")?;
    let release = only_entry(all)?;
    let modules = dir.join("lib/modules").join(&release);
    fs::create_dir_all(modules.join("kernel"))?;
    keep_modules(&all.join(&release), &modules)?;
    decompress_modules(&modules)?;
    capture(Command::new("depmod").arg("-b").arg(dir).arg(&release))?;

    let packed = [tree.join(format!("boot/vmlinuz-{release}")), all.join(&release).join("vmlinuz")];
    let packed = packed.iter().find(|file| file.exists()).context("the kernel's packages hold no vmlinuz")?;
    write_image(packed, &dir.join("vmlinux")).with_context(|| format!("cannot use {}", packed.display()))?;
    fs::remove_dir_all(&tree)?;
    Ok(release)
}

fn only_entry(dir: &Path) -> Result<String> {
    let entries: Vec<_> = fs::read_dir(dir)?.flatten().map(|entry| entry.file_name()).collect();
    match entries.as_slice() {
        [only] => Ok(only.to_string_lossy().into_owned()),
        _ => bail!("{} should hold one kernel, it holds {}", dir.display(), entries.len()),
    }
}

/// Moves the wanted modules, and the lists depmod reads (modules.order, modules.builtin*).
fn keep_modules(from: &Path, to: &Path) -> Result<()> {
    for part in KEPT {
        let source = from.join("kernel").join(part);
        if source.exists() {
            let target = to.join("kernel").join(part);
            fs::create_dir_all(target.parent().unwrap_or(to))?;
            fs::rename(&source, &target).with_context(|| format!("cannot keep {}", source.display()))?;
        }
    }
    for part in DROPPED {
        drop(fs::remove_dir_all(to.join("kernel").join(part)));
    }
    for list in fs::read_dir(from)?.flatten() {
        if list.file_name().to_string_lossy().starts_with("modules.") {
            fs::rename(list.path(), to.join(list.file_name()))?;
        }
    }
    Ok(())
}

/// Under emulation the guest would take a tenth of a second for each; here it is all done once.
fn decompress_modules(modules: &Path) -> Result<()> {
    let script = r"find . -name '*.ko.xz' -print0 | xargs -0 -r -n 64 -P 2 xz -d; \
                   find . -name '*.ko.zst' -print0 | xargs -0 -r -n 64 -P 2 zstd -d -q --rm";
    capture(Command::new("sh").args(["-ec", script]).current_dir(modules))?;
    Ok(())
}

fn write_image(bzimage: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(bzimage)?;
    let (payload, program) = image::payload(&bytes)?;
    let mut child = Command::new(program)
        .args(["-d", "-c"])
        .stdin(Stdio::piped())
        .stdout(File::create(to)?)
        .spawn()
        .with_context(|| {
            format!("cannot start {program}, which decompresses kernels; `cargo xtask setup` installs it")
        })?;
    child.stdin.take().context("no pipe")?.write_all(payload)?;
    let status = child.wait()?;
    if !status.success() {
        bail!("{program} could not decompress the kernel ({status})");
    }
    Ok(())
}
