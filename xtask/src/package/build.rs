//! The programs of a package, built so that nothing of the machine is in them.

use crate::cargo::{self, STATIC};
use crate::process::capture;
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where they are.
pub struct Programs {
    pub folder: PathBuf,
    /// Paths of this machine that must not be in them.
    pub hidden: Vec<PathBuf>,
    /// How hard they are compressed, from 1 to 9.
    pub effort: u8,
}

impl Programs {
    pub fn nicdock(&self) -> PathBuf {
        self.folder.join("nicdock")
    }

    pub fn all(&self) -> Vec<PathBuf> {
        ["nicdock"].iter().chain(&STATIC).map(|name| self.folder.join(name)).collect()
    }
}

/// Builds them for a release, in a target directory of their own: their flags would rebuild every other one.
pub fn release() -> Result<Programs> {
    let hidden = machine_paths()?;
    let names = ["/nicdock", "/cargo", "/rust"];
    let mut flags: Vec<String> = Vec::new();
    for (path, name) in hidden.iter().zip(names) {
        flags.push(format!("--remap-path-prefix={}={name}", path.display()));
    }
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = workspace::root().join("target/package-build");
    let gathered = folder.join("programs");
    drop(fs::remove_dir_all(&gathered));
    fs::create_dir_all(&gathered)?;
    for (packages, kind, more) in
        [(&["nicdock"][..], "dynamic", None), (&STATIC[..], "static", Some("-Ctarget-feature=+crt-static"))]
    {
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more).collect();
        let mut command = cargo::command();
        command.args(["build", "--quiet", "--locked", "--release", "--bins", "--target", &target]);
        for package in packages {
            command.args(["--package", package]);
        }
        command.arg("--target-dir").arg(folder.join(kind)).stdin(Stdio::null());
        // Separated by this character, flags may have spaces in them ("build.rustflags", The Cargo Book).
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env_remove("RUSTFLAGS");
        let status = command.stdout(std::io::stderr()).status().context("cannot start cargo")?;
        if !status.success() {
            bail!("{} does not build", packages.join(", "));
        }
        for package in packages {
            let built = folder.join(kind).join(&target).join("release").join(package);
            fs::copy(&built, gathered.join(package)).with_context(|| built.display().to_string())?;
        }
    }
    Ok(Programs { folder: gathered, hidden, effort: 9 })
}

/// Those that the tests have built, without what only debuggers read.
pub fn of_tests(to: &Path) -> Result<Programs> {
    let from = cargo::output_dir(cargo::Profile::Dev);
    let folder = to.join("programs");
    fs::create_dir_all(&folder)?;
    for name in ["nicdock"].iter().chain(&STATIC) {
        let built = from.join(name);
        capture(Command::new("strip").arg("-o").arg(folder.join(name)).arg(&built))?;
    }
    Ok(Programs { folder, hidden: Vec::new(), effort: 1 })
}

/// The workspace, cargo's folder of sources, and the compiler's.
fn machine_paths() -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    Ok(vec![workspace::root(), home, sysroot()?])
}

/// The folder of the compiler.
pub fn sysroot() -> Result<PathBuf> {
    let said = capture(Command::new("rustc").current_dir(workspace::root()).args(["--print", "sysroot"]))?;
    Ok(said.trim().into())
}
