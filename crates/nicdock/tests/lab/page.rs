//! Pages of `docs/`: what a reader types there is typed here, and what the page shows is what comes.

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use crate::nicdock::expect;

/// A command of the page, and the output that it shows.
struct Typed {
    command: String,
    shown: Vec<String>,
}

/// Blocks that begin with ```console: lines of `# ` are typed by root, a `\` at the end goes on, the rest is output, in which `…` is anything.
fn typed(page: &str) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    let (mut inside, mut goes_on) = (false, false);
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
            continue;
        }
        if !inside {
            continue;
        }
        let command = if goes_on { Some(line) } else { line.strip_prefix("# ") };
        let Some(command) = command else {
            all.last_mut().expect("a command is before its output").shown.push(line.to_owned());
            continue;
        };
        if goes_on {
            let last = &mut all.last_mut().expect("it goes on").command;
            last.push('\n');
            last.push_str(command);
        } else {
            all.push(Typed { command: command.to_owned(), shown: Vec::new() });
        }
        goes_on = command.ends_with('\\');
    }
    all
}

/// Whether it is. `undo` takes away what the page leaves behind when it is not.
pub fn is_true(page: &str, undo: &[&str]) -> Result<(), Failed> {
    shown_by(page, undo, |_| {})
}

/// The same, typed in this folder, and with the programs that are installed: the lab's own nicdock is not found.
pub fn is_true_in(folder: &Path, page: &str, undo: &[&str]) -> Result<(), Failed> {
    shown_by(page, undo, |command| {
        command.current_dir(folder).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    })
}

fn shown_by(page: &str, undo: &[&str], place: impl Fn(&mut Command)) -> Result<(), Failed> {
    let result = typed(page).iter().try_for_each(|typed| run(typed, &place));
    for line in undo {
        let _ = Command::new("sh").args(["-c", line]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
    result
}

fn run(Typed { command, shown }: &Typed, place: &impl Fn(&mut Command)) -> Result<(), Failed> {
    let mut shell = Command::new("timeout");
    // apt, emulated, takes its time.
    shell.args(["300", "sh", "-c", &format!("exec 2>&1\n{command}")]).stdin(Stdio::null());
    place(&mut shell);
    let output = shell.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown: Vec<&String> = shown.iter().filter(|line| !line.trim().is_empty()).collect();
    let fails = shown.iter().any(|line| line.starts_with("error:"));
    expect(output.status.success() != fails, format!("'{command}': {}\n{text}", output.status))?;
    // Lines that are shown come, in this order; a line of … stands for any number of them.
    let mut rest = lines.iter();
    for line in &shown {
        if line.trim() != "…" {
            let comes = rest.any(|found| is_like(found, line));
            expect(comes, format!("'{command}' shows no line '{line}' ({}):\n{text}", output.status))?;
        }
    }
    Ok(())
}

/// White space counts once; `…` is anything.
fn is_like(found: &str, shown: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (found, shown) = (words(found), words(shown));
    let mut rest = &found[..];
    let parts: Vec<&str> = shown.split('…').collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if parts.len() == 1 {
        return found == shown;
    }
    for part in &parts[..parts.len() - 1] {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    found.starts_with(first) && rest.ends_with(last)
}
