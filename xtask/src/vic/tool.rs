//! Running the programs that build things.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// How many of a failed program's last lines an error repeats.
const TAIL: usize = 20;

/// Compilers leave the machine's other users their share.
pub fn niced(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(program);
    command
}

/// Runs a program and gives its standard output. A failure repeats the end of what it said.
pub fn capture(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{command:?} failed ({}):\n{}", output.status, tail(&String::from_utf8_lossy(&said)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program with all its output in a file, and shows how far it is where it prints ninja's `[done/all]`.
pub fn logged(command: &mut Command, what: &str, log: &Path) -> Result<()> {
    let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let mut shown = 0;
    for line in BufReader::new(child.stdout.take().context("no pipe")?).split(b'\n') {
        let line = line?;
        file.write_all(&[&line[..], b"\n"].concat())?;
        if let Some(tenths) = tenths_done(&String::from_utf8_lossy(&line)).filter(|&tenths| tenths > shown) {
            shown = tenths;
            eprintln!("vic: {what}: {tenths}0 %");
        }
    }
    let status = child.wait()?;
    if !status.success() {
        let said = std::fs::read(log).unwrap_or_default();
        bail!(
            "{what} failed ({status}); all it said is in {}\n{}",
            log.display(),
            tail(&String::from_utf8_lossy(&said))
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

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
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
