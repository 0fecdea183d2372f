//! QEMU from Debian's source package, with `lab/vic`'s device and little else.

use super::debian::Suite;
use super::sources::{Source, Tree};
use super::stamp::{Inputs, Stamp, is_kind, list};
use super::tool::{capture, logged, niced};
use super::{lab_vic, packages};
use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The device is written against the interfaces of QEMU 10.0.
const SOURCE: Source = Source {
    package: "qemu",
    version: "1:10.0.",
    suites: &["trixie", "trixie-updates", "trixie-proposed-updates", "bookworm-backports"],
};

const TARGET: &str = "qemu-system-x86_64";

const CONFIGURE: &[&str] = &[
    "--target-list=x86_64-softmmu",
    "--without-default-features",
    "--without-default-devices",
    "--with-devices-x86_64=lab",
    "--enable-tcg",
    "--enable-kvm",
    "--enable-virtfs",
    "--enable-attr",
    "--enable-cap-ng",
    "--disable-docs",
    "--disable-tools",
    "--disable-guest-agent",
    "--disable-user",
    "--disable-bsd-user",
    "--disable-werror",
    "--disable-rust",
    "--disable-fdt",
    "--disable-install-blobs",
    "--disable-debug-info",
    "--disable-pixman",
];

/// Firmware: the package it comes from, and where it lies there.
const FIRMWARE: &[(&str, &[&str])] = &[
    ("seabios", &["usr/share/seabios/bios-256k.bin"]),
    (
        "qemu-system-data",
        &[
            "usr/share/qemu/qboot.rom",
            "usr/share/qemu/kvmvapic.bin",
            "usr/share/qemu/linuxboot_dma.bin",
            "usr/share/qemu/multiboot_dma.bin",
            "usr/share/qemu/pvh.bin",
        ],
    ),
];

/// A QEMU that knows `-device cisco-vic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VicQemu {
    pub binary: PathBuf,
    /// Its firmware, for `-L`.
    pub bios_dir: PathBuf,
}

/// The QEMU built from what `lab/vic/` holds now. Minutes the first time, seconds when the device has changed.
///
/// Fails when Debian's archive cannot be reached, a package cannot be installed, or the device does not compile.
pub fn ensure_qemu(cache: &Path) -> Result<VicQemu> {
    let home = cache.join("vic");
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let lock = File::create(home.join("qemu.lock"))?;
    flock(&lock, FlockOperation::LockExclusive).context("cannot lock the QEMU build")?;

    let build = home.join("build");
    let made = VicQemu { binary: build.join(TARGET), bios_dir: home.join("firmware") };
    let stamp = Stamp::at(home.join("qemu.stamp"));
    if let Some(tree) = SOURCE.kept(&home)
        && made.binary.exists()
        && stamp.matches(&inputs(&tree)?)
    {
        return Ok(made);
    }

    let started = Instant::now();
    packages::install(packages::QEMU)?;
    let tree = SOURCE.obtain(&home)?;
    let inputs = inputs(&tree)?;
    prepare(&tree)?;
    ensure_firmware(&home, &tree.suite, &made.bios_dir)?;
    configure(&home, &tree, &build)?;
    compile(&home, &build)?;
    check(&made)?;
    stamp.record(&inputs)?;
    eprintln!("vic: QEMU {} with cisco-vic, {:.0} s", tree.version, started.elapsed().as_secs_f64());
    Ok(made)
}

fn device_files() -> Result<Vec<PathBuf>> {
    list(&lab_vic().join("device"), |file| file.ends_with("Kconfig") || is_kind(file, &["c", "h", "build"]))
}

fn inputs(tree: &Tree) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    inputs.words(&[&tree.version]);
    inputs.words(CONFIGURE);
    inputs.files(&[lab_vic().join("lab.mak")])?;
    inputs.files(&device_files()?)?;
    Ok(inputs)
}

/// Puts the device into QEMU's tree. Only what differs is written, so that ninja compiles only that.
fn prepare(tree: &Tree) -> Result<()> {
    let device = tree.dir.join("hw/net/cisco_vic");
    fs::create_dir_all(&device)?;
    let wanted = device_files()?;
    for old in list(&device, |_| true)? {
        if !wanted.iter().any(|file| file.file_name() == old.file_name()) {
            fs::remove_file(old)?;
        }
    }
    for file in &wanted {
        copy_if_different(file, &device.join(file.file_name().context("a file has a name")?))?;
    }
    copy_if_different(&lab_vic().join("lab.mak"), &tree.dir.join("configs/devices/x86_64-softmmu/lab.mak"))?;

    edit(&tree.dir.join("hw/net/meson.build"), |text| with_line(text, "subdir('cisco_vic')"))?;
    edit(&tree.dir.join("hw/net/Kconfig"), |text| with_line(text, "source cisco_vic/Kconfig"))?;
    // Debian strips edk2's blobs from its tarball (its patch skip-unpack-edk2-blobs)…
    edit(&tree.dir.join("pc-bios/meson.build"), |text| text.replace("if unpack_edk2_blobs\n", "if false\n"))?;
    // … and the wheel of pycotap, which only QEMU's own tests need (disable-pycotap).
    edit(&tree.dir.join("pythondeps.toml"), |text| without_line(text, "pycotap "))
}

fn copy_if_different(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::write(to, content).with_context(|| format!("cannot write {}", to.display()))
}

/// Changes a file of QEMU's, once: a second edit must find nothing to do.
fn edit(file: &Path, change: impl Fn(&str) -> String) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let changed = change(&text);
    if changed == text {
        return Ok(());
    }
    fs::write(file, changed).with_context(|| format!("cannot write {}", file.display()))
}

fn with_line(text: &str, line: &str) -> String {
    if text.lines().any(|old| old == line) { text.to_owned() } else { format!("{text}{line}\n") }
}

fn without_line(text: &str, start: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with(start)).collect()
}

fn ensure_firmware(home: &Path, suite: &str, bios_dir: &Path) -> Result<()> {
    let all = FIRMWARE.iter().flat_map(|(_, files)| *files);
    if all.clone().all(|file| bios_dir.join(base_name(file)).exists()) {
        return Ok(());
    }
    eprintln!("vic: fetching firmware");
    fs::create_dir_all(bios_dir)?;
    let suite = Suite::open(suite, &home.join("apt").join(suite))?;
    let (download, unpacked) = (home.join("download"), home.join("unpacked"));
    for (package, files) in FIRMWARE {
        let deb = suite.package(package, &download)?;
        drop(fs::remove_dir_all(&unpacked));
        capture(Command::new("dpkg").arg("--extract").arg(deb).arg(&unpacked))?;
        for file in *files {
            fs::copy(unpacked.join(file), bios_dir.join(base_name(file)))
                .with_context(|| format!("{package} has no {file}"))?;
        }
    }
    fs::remove_dir_all(download)?;
    fs::remove_dir_all(unpacked)?;
    Ok(())
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// QEMU wants a newer meson than Debian 12 has: that of the Python package index, in an environment of its own.
fn ensure_meson(home: &Path) -> Result<PathBuf> {
    let venv = home.join("venv");
    let python = venv.join("bin/python3");
    if !venv.join("bin/meson").exists() {
        eprintln!("vic: installing meson");
        capture(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        capture(Command::new(&python).args(["-m", "pip", "install", "--quiet", "meson>=1.5"]))?;
    }
    Ok(python)
}

fn configure(home: &Path, tree: &Tree, build: &Path) -> Result<()> {
    let mut wanted = Inputs::default();
    wanted.words(CONFIGURE);
    wanted.words(&[&tree.version]);
    let stamp = Stamp::at(build.join("configure.stamp"));
    if stamp.matches(&wanted) {
        return Ok(());
    }
    let python = ensure_meson(home)?;
    drop(fs::remove_dir_all(build));
    fs::create_dir_all(build)?;
    eprintln!("vic: configuring QEMU");
    let mut command = niced(tree.dir.join("configure"));
    command.arg(format!("--python={}", python.display())).args(CONFIGURE).current_dir(build);
    logged(&mut command, "configuring QEMU", &home.join("configure.log"))?;
    stamp.record(&wanted)
}

fn compile(home: &Path, build: &Path) -> Result<()> {
    eprintln!("vic: building QEMU");
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut command = niced("ninja");
    command.arg(format!("-j{jobs}")).arg(TARGET).current_dir(build);
    logged(&mut command, "building QEMU", &home.join("build.log"))
}

fn check(made: &VicQemu) -> Result<()> {
    let help = capture(Command::new(&made.binary).args(["-device", "cisco-vic,help"]))?;
    if !help.contains("num-vfs=") {
        bail!("{} has no cisco-vic", made.binary.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing_twice_is_editing_once() {
        let once = with_line("a\n", "subdir('cisco_vic')");
        assert_eq!(once, "a\nsubdir('cisco_vic')\n");
        assert_eq!(with_line(&once, "subdir('cisco_vic')"), once);
        assert_eq!(without_line("meson = 1\npycotap = 2\n", "pycotap "), "meson = 1\n");
    }

    #[test]
    fn the_device_is_where_the_build_looks_for_it() {
        let names: Vec<_> = device_files()
            .expect("files")
            .iter()
            .map(|f| f.file_name().expect("a name").to_owned())
            .collect();
        for name in ["cisco_vic.c", "vnic_regs.h", "meson.build", "Kconfig"] {
            assert!(names.iter().any(|found| found == name), "{name}");
        }
    }
}
