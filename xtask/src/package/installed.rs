//! Lays the package out: one table for the Debian package and the tarball.

use super::build::sysroot;
use super::{Programs, crates, licences, sbom};
use crate::cargo::STATIC;
use crate::process::capture;
use crate::workspace;
use anyhow::{Context, Result};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Of the repository, from where to where.
const COPIED: &[(&str, &str)] = &[
    ("systemd/nicdock-reconcile.service", "usr/lib/systemd/system/nicdock-reconcile.service"),
    ("systemd/nicdock-reconcile.timer", "usr/lib/systemd/system/nicdock-reconcile.timer"),
    ("systemd/90-nicdock.rules", "usr/lib/udev/rules.d/90-nicdock.rules"),
    ("crates/engines/libvirt/src/nics.rng", "usr/share/nicdock/libvirt-nics.rng"),
    ("packaging/deb/copyright", "usr/share/doc/nicdock/copyright"),
];

/// Pages for who uses it; those of `docs/dev` are in the repository.
const PAGES: [&str; 4] = ["docs", "docs/engines", "docs/nics", "docs/security"];

const DOC: &str = "usr/share/doc/nicdock";

/// Completions by shell, where each looks for those of packages.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/nicdock"),
    ("zsh", "usr/share/zsh/vendor-completions/_nicdock"),
    ("fish", "usr/share/fish/vendor_completions.d/nicdock.fish"),
];

/// Fills an empty folder as `/` has it.
pub fn lay_out(root: &Path, programs: &Programs, version: &str, epoch: u64) -> Result<()> {
    put(root, "usr/bin/nicdock", &fs::read(programs.nicdock())?, 0o755)?;
    for name in STATIC {
        put(root, &format!("usr/libexec/nicdock/{name}"), &fs::read(programs.folder.join(name))?, 0o755)?;
    }
    for (from, to) in COPIED {
        let content = fs::read(workspace::root().join(from)).with_context(|| (*from).to_owned())?;
        put(root, to, &content, 0o644)?;
    }
    for (shell, to) in COMPLETIONS {
        let script = capture(Command::new(programs.nicdock()).args(["completion", shell]))?;
        put(root, to, script.as_bytes(), 0o644)?;
    }
    manual(root, programs)?;
    documents(root)?;
    let crates = crates::linked()?;
    put_compressed(root, &format!("{DOC}/crates.txt"), licences::text(&crates)?.as_bytes())?;
    let bill = sbom::document(&crates, version, epoch, &rust_version()?, &glibc_version()?)?;
    put(root, &format!("{DOC}/sbom.cdx.json"), &bill, 0o644)?;
    // Where the toolchain comes with its own notice: the standard library has crates of its own.
    let notice = sysroot()?.join("share/doc/rust/COPYRIGHT-library.html");
    if let Ok(content) = fs::read(&notice) {
        put_compressed(root, &format!("{DOC}/rust-library-copyright.html"), &content)?;
    }
    put_compressed(root, &format!("{DOC}/changelog"), &fs::read(workspace::root().join("CHANGELOG.md"))?)?;
    set_times(root, epoch)
}

fn manual(root: &Path, programs: &Programs) -> Result<()> {
    let folder = tempfile::tempdir()?;
    capture(Command::new(programs.nicdock()).args(["man", "--to"]).arg(folder.path()))?;
    for page in crate::stamp::list(folder.path(), |_| true)? {
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        put_compressed(root, &format!("usr/share/man/man1/{name}"), &fs::read(&page)?)?;
    }
    Ok(())
}

fn documents(root: &Path) -> Result<()> {
    for folder in PAGES {
        let under = folder.strip_prefix("docs").unwrap_or(folder).trim_start_matches('/');
        for page in
            crate::stamp::list(&workspace::root().join(folder), |path| crate::stamp::is_kind(path, &["md"]))?
        {
            let name = page.file_name().unwrap_or_default().to_string_lossy();
            put(
                root,
                &Path::new(DOC).join(under).join(&*name).display().to_string(),
                &fs::read(&page)?,
                0o644,
            )?;
        }
    }
    Ok(())
}

/// A file with the folders above it.
pub fn put(root: &Path, to: &str, content: &[u8], mode: u32) -> Result<()> {
    let path = root.join(to);
    let folder = path.parent().unwrap_or(root);
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    fs::write(&path, content).with_context(|| path.display().to_string())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    // Whatever the umask.
    for folder in folder.ancestors().take_while(|folder| folder.starts_with(root)) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// As Debian's policy (12.1, 12.7) has manual pages and change logs: gzip, without name and time.
pub fn put_compressed(root: &Path, to: &str, content: &[u8]) -> Result<()> {
    let mut gzip = Command::new("gzip")
        .args(["-9", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("gzip")?;
    let mut input = gzip.stdin.take().context("no pipe")?;
    let output = std::thread::scope(|scope| {
        let writing = scope.spawn(move || input.write_all(content));
        let output = gzip.wait_with_output();
        writing.join().expect("writing does not panic").and(output)
    })?;
    anyhow::ensure!(output.status.success(), "gzip: {}", output.status);
    put(root, &format!("{to}.gz"), &output.stdout, 0o644)
}

/// All the same.
pub fn set_times(root: &Path, epoch: u64) -> Result<()> {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(epoch);
    for path in below(root)? {
        fs::File::open(&path)?.set_times(fs::FileTimes::new().set_modified(time).set_accessed(time))?;
    }
    Ok(())
}

/// Everything in a folder, and it, in order.
pub fn below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut all = vec![root.to_owned()];
    for path in crate::stamp::list(root, |_| true)? {
        if path.is_dir() { all.extend(below(&path)?) } else { all.push(path) }
    }
    Ok(all)
}

fn rust_version() -> Result<String> {
    let said = capture(Command::new("rustc").current_dir(workspace::root()).arg("--version"))?;
    Ok(said.split_whitespace().nth(1).unwrap_or_default().to_owned())
}

/// Of the C library that is in the static programs, as its source package has it.
pub fn glibc_version() -> Result<String> {
    let format = ["--showformat", "${source:Version}"];
    capture(
        Command::new("dpkg-query")
            .arg("--show")
            .args(format)
            .arg(format!("libc6-dev:{}", super::control::ARCHITECTURE)),
    )
}
