//! Building the workspace's programs with cargo.

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Dev,
    Release,
}

/// The cargo that runs us, in the workspace's root.
pub fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root());
    command
}

/// Where a profile's programs are put.
pub fn output_dir(profile: Profile) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let name = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    };
    workspace::root().join(target).join(name)
}

/// What nicdock has in the lab and in tests, and never in a release: a way to leave a closing out, which proves that it is
/// needed, and one to be killed at any step.
pub const TEST_FEATURES: [&str; 2] = ["--features", "nicdock/leave-open,nicdock/failpoints"];

/// Those that run inside containers, and the runtime, which starts the more quickly.
pub const STATIC: [&str; 4] = ["nicdock-audit", "nicdock-gate", "nicdock-runtime", "nicdock-starter"];

/// Builds the programs of a package; says nothing unless there is something to say.
pub fn build(package: &str, profile: Profile) -> Result<()> {
    let mut command = command();
    command.args(["build", "--quiet", "--package", package]).stdin(Stdio::null());
    match profile {
        Profile::Dev => command.args(TEST_FEATURES),
        Profile::Release => command.arg("--release"),
    };
    // Standard output belongs to the command in the lab.
    let status = command.stdout(std::io::stderr()).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("{package} does not build");
    }
    Ok(())
}

/// Builds nicdock with the static programs beside it, where it looks for them.
pub fn build_nicdock(profile: Profile) -> Result<()> {
    build("nicdock", profile)?;
    build_static_programs(profile)
}

/// After every other build: the workspace's tests put programs of the same names there, which are not static.
pub fn build_static_programs(profile: Profile) -> Result<()> {
    STATIC.into_iter().try_for_each(|name| build_static(name, profile))
}

/// What runs in containers is static. Its flags would rebuild all that nicdock shares with it, so it has a target
/// directory of its own; and the compiler must be told a target, or procedural macros would be built static too.
fn build_static(program: &str, profile: Profile) -> Result<()> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = workspace::root().join("target/static");
    let mut command = command();
    command.args(["build", "--quiet", "--package", program, "--bin", program, "--target", &target]);
    command.arg("--target-dir").arg(&folder).stdin(Stdio::null());
    command.env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols");
    if profile == Profile::Release {
        command.arg("--release");
    }
    let status = command.stdout(std::io::stderr()).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("{program} does not build");
    }
    let name = output_dir(profile).file_name().unwrap_or_default().to_owned();
    let built = folder.join(target).join(name).join(program);
    let wanted = output_dir(profile).join(program);
    // A new file, as the old one may be running.
    let _ = std::fs::remove_file(&wanted);
    std::fs::copy(&built, &wanted)
        .with_context(|| format!("cannot copy {} to {}", built.display(), wanted.display()))?;
    Ok(())
}

/// Builds all of the workspace's programs and tests at once, and gives the program of one test. One package alone would be built
/// with other features of the crates that it shares with tests, and those crates a second time ("Feature unification", The Cargo Book).
pub fn build_tests(test: &str) -> Result<PathBuf> {
    let mut command = command();
    command.args(["test", "--quiet", "--workspace", "--no-run"]).args(TEST_FEATURES);
    let messages = command
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !messages.status.success() {
        bail!("the workspace's tests do not build");
    }
    let messages = String::from_utf8_lossy(&messages.stdout).into_owned();
    messages
        .lines()
        .find_map(|line| executable_of_test(line, test))
        .with_context(|| format!("cargo did not say where it put the test {test}"))
}

/// The program in one of cargo's messages, if it is this test's (The Cargo Book, "External tools").
fn executable_of_test(message: &str, test: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let target = &message["target"];
    let is_it = target["name"] == test && target["kind"][0] == "test";
    message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_is_told_from_the_other_programs_that_are_built_with_it() {
        let message = |kind: &str, name: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},"executable":"/t/{name}-1"}}"#
            )
        };
        assert_eq!(executable_of_test(&message("test", "lab"), "lab"), Some("/t/lab-1".into()));
        assert_eq!(executable_of_test(&message("bin", "lab"), "lab"), None);
        assert_eq!(executable_of_test(&message("test", "cli"), "lab"), None);
        assert_eq!(executable_of_test("not JSON", "lab"), None);
    }
}
