//! QEMU from Debian's source package, with `lab/vic`'s device and little else.

use super::lab_vic;
use super::sources::{Source, Tree};
use crate::process::{capture, logged, niced};
use crate::stamp::{Inputs, Stamp, is_kind, list};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The device is written against the interfaces of QEMU 10.0.
const SOURCE: Source = Source {
    package: "qemu",
    version: "1:10.0.",
    suites: &["trixie", "trixie-updates", "trixie-proposed-updates", "bookworm-backports"],
};

/// A fault of that QEMU's which ends one lab of many, and the file of QEMU's that is cured of it.
const PATCH: &str = "memory-map-race.patch";
const PATCHED: &str = "system/physmem.c";

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
    // Less to compile and to run: nobody traces it or doubts its casts.
    "--enable-trace-backends=nop",
    "--disable-qom-cast-debug",
    "--disable-stack-protector",
];

/// The QEMU built from what `lab/vic/` holds now. Seconds when only the device has changed.
pub fn ensure(home: &Path) -> Result<PathBuf> {
    let build = home.join("build");
    let binary = build.join(TARGET);
    let stamp = Stamp::at(home.join("qemu.stamp"));
    if let Some(tree) = SOURCE.kept(home)
        && binary.exists()
        && stamp.matches(&inputs(&tree)?)
    {
        return Ok(binary);
    }

    let started = Instant::now();
    crate::setup::install_missing()?;
    let tree = SOURCE.obtain(home)?;
    let inputs = inputs(&tree)?;
    prepare(&tree)?;
    configure(home, &tree, &build)?;
    compile(home, &build)?;
    check(&binary)?;
    stamp.record(&inputs)?;
    eprintln!("vic: QEMU {} with cisco-vic, {:.0} s", tree.version, started.elapsed().as_secs_f64());
    Ok(binary)
}

fn device_files() -> Result<Vec<PathBuf>> {
    list(&lab_vic().join("device"), |file| file.ends_with("Kconfig") || is_kind(file, &["c", "h", "build"]))
}

fn inputs(tree: &Tree) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    inputs.words(&[&tree.version]);
    inputs.words(CONFIGURE);
    inputs.files(&["lab.mak", PATCH].map(|file| lab_vic().join(file)))?;
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

    apply(&lab_vic().join(PATCH), &tree.dir.join(PATCHED))?;
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

/// Patches a file, from what it first was, which is kept: so a patch that has changed applies too.
fn apply(patch: &Path, file: &Path) -> Result<()> {
    let original = file.with_extension("c.orig");
    if !original.exists() {
        fs::copy(file, &original).with_context(|| format!("cannot keep {}", file.display()))?;
    }
    let patched = file.with_extension("c.patched");
    capture(Command::new("patch").arg("--quiet").arg("--output").args([&patched, &original]).arg(patch))?;
    copy_if_different(&patched, file)
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

/// QEMU wants a newer meson than Debian 12 has: that of the Python package index, in an environment of its own.
fn install_meson(home: &Path) -> Result<PathBuf> {
    let venv = home.join("venv");
    let python = venv.join("bin/python3");
    eprintln!("vic: installing meson");
    capture(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    capture(Command::new(&python).args(["-m", "pip", "install", "--quiet", "meson>=1.5,<2"]))?;
    Ok(python)
}

fn configure(home: &Path, tree: &Tree, build: &Path) -> Result<()> {
    let mut wanted = Inputs::default();
    wanted.words(CONFIGURE);
    // meson writes absolute paths everywhere: a cache that was copied has a good QEMU, but cannot build another with it.
    wanted.words(&[&tree.version, &build.to_string_lossy()]);
    let stamp = Stamp::at(build.join("configure.stamp"));
    if stamp.matches(&wanted) {
        return Ok(());
    }
    let python = install_meson(home)?;
    drop(fs::remove_dir_all(build));
    fs::create_dir_all(build)?;
    eprintln!("vic: configuring QEMU");
    let mut command = niced(tree.dir.join("configure"));
    command.arg(format!("--python={}", python.display())).args(CONFIGURE).current_dir(build);
    logged(&mut command, "vic: configuring QEMU", &home.join("configure.log"))?;
    stamp.record(&wanted)
}

fn compile(home: &Path, build: &Path) -> Result<()> {
    eprintln!("vic: building QEMU");
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut command = niced("ninja");
    command.arg(format!("-j{jobs}")).arg(TARGET).current_dir(build);
    logged(&mut command, "vic: building QEMU", &home.join("build.log"))
}

fn check(binary: &Path) -> Result<()> {
    let help = capture(Command::new(binary).args(["-device", "cisco-vic,help"]))?;
    if !help.contains("num-vfs=") {
        bail!("{} has no cisco-vic", binary.display());
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
