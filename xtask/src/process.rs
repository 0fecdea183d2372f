//! Running other programs, with errors that show what was run and what it said.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// How many of a failed program's last lines an error repeats.
const TAIL: usize = 15;

/// Runs a program, keeps its output to itself, and gives its standard output. A failure repeats the end of what it said.
pub fn capture(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", show(command)))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!(
            "{} failed ({}):\n{}",
            show(command),
            output.status,
            tail(&String::from_utf8_lossy(&said), TAIL)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command line as a person would type it, near enough to find it again.
pub fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = std::iter::once(program.file_name().unwrap_or(program.as_os_str())).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// The last `lines` lines of `text`.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Runs a command in the lab, from the workspace's root, and gives its exit status.
pub fn in_lab(options: &[&str], command: &[OsString]) -> Result<ExitCode> {
    let xtask = std::env::current_exe().context("cannot tell where xtask is")?;
    let mut lab = Command::new(xtask);
    lab.current_dir(crate::workspace::root()).arg("lab").args(options).arg("--").args(command);
    let status = lab.status().context("cannot start the lab")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
