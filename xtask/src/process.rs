//! Running other programs, with errors that show what was run and what it said.

use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
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

/// Runs a long build with all its output in a file, and says `WHAT: 10 %` and so on where it prints ninja's `[done/all]`.
pub fn logged(command: &mut Command, what: &str, log: &Path) -> Result<()> {
    let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot start {}", show(command)))?;
    let mut shown = 0;
    for line in BufReader::new(child.stdout.take().context("no pipe")?).split(b'\n') {
        let line = line?;
        file.write_all(&[&line[..], b"\n"].concat())?;
        if let Some(tenths) = tenths_done(&String::from_utf8_lossy(&line)).filter(|&tenths| tenths > shown) {
            shown = tenths;
            eprintln!("{what}: {tenths}0 %");
        }
    }
    let status = child.wait()?;
    if !status.success() {
        let said = std::fs::read(log).unwrap_or_default();
        bail!(
            "{what} failed ({status}); all it said is in {}\n{}",
            log.display(),
            tail(&String::from_utf8_lossy(&said), TAIL)
        );
    }
    Ok(())
}

/// Small builds finish before anybody wonders: only those of more than a hundred steps are shown.
fn tenths_done(line: &str) -> Option<u32> {
    let (done, all) = line.strip_prefix('[')?.split_once(']')?.0.split_once('/')?;
    let (done, all): (u32, u32) = (done.trim().parse().ok()?, all.parse().ok()?);
    (all > 100).then(|| 10 * done / all)
}

/// A program that leaves the machine's other work its share.
pub fn niced(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(program);
    command
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_ninja_of_long_builds_only() {
        assert_eq!(tenths_done("[671/1342] Compiling C object x.o"), Some(5));
        assert_eq!(tenths_done("[3/4] Linking"), None);
        assert_eq!(tenths_done("cc -c x.c"), None);
    }

    #[test]
    fn a_failure_repeats_what_was_said() {
        let error = capture(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("out\nerr") && error.contains('3'));
    }
}
