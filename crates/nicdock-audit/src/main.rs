//! `nicdock-audit`: the static program that is run in a container.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nicdock_audit::identity::InPlace;
use nicdock_audit::report::{Report, junit, text};
use nicdock_audit::{Target, passed, run, target};

/// Tries, as an attacker would, what can be reached here of NICs that are not this container's own
#[derive(Parser)]
#[command(
    name = "nicdock-audit",
    version,
    after_help = "Examples:\n  nicdock-audit\n  nicdock audit --show-target > target.json; nicdock-audit --target target.json --json\n\nExit status: 0 if nothing is open, 1 if something is, 125 if the audit itself failed."
)]
struct Options {
    /// What is foreign and what is own, as `nicdock audit --show-target` writes it
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
    /// The same, from an open descriptor
    #[arg(long, value_name = "FD", conflicts_with = "target", hide = true)]
    target_fd: Option<i32>,
    /// Become this process first, and enter its process namespace (JSON from an open descriptor)
    #[arg(long, value_name = "FD", hide = true)]
    in_place_fd: Option<i32>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
    /// Also write JUnit's XML there
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The same, to an open descriptor
    #[arg(long, value_name = "FD", conflicts_with = "junit", hide = true)]
    junit_fd: Option<i32>,
    /// Only probes whose id has this in it
    #[arg(long, value_name = "PART")]
    only: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match audit(&options) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("nicdock-audit: {error}");
            ExitCode::from(run::FAILURE)
        }
    }
}

fn audit(options: &Options) -> Result<u8, String> {
    let target = match (&options.target, options.target_fd) {
        (Some(path), _) => {
            let content = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
            Target::parse(&content).map_err(|e| format!("{}: {e}", path.display()))?
        }
        (None, Some(fd)) => Target::parse(&read(fd)?)?,
        (None, None) => target::learn(),
    };
    let Some(fd) = options.in_place_fd else { return conclude(options, &attempt(options, target)?) };
    let place: InPlace =
        serde_json::from_slice(&read(fd)?).map_err(|e| format!("not a process's place: {e}"))?;
    place.seclusion.close_descriptors()?;
    if let Err(reason) = place.identity.take(place.seclusion) {
        return conclude(options, &Report::not_reproducible(&reason));
    }
    run::in_process_namespace(|| match place.identity.check() {
        Ok(()) => conclude(options, &attempt(options, target)?),
        Err(reason) => conclude(options, &Report::not_reproducible(&reason)),
    })
}

fn attempt(options: &Options, target: Target) -> Result<Report, String> {
    run::run(target, options.only.as_deref())
}

/// Writes the report; gives the exit status.
fn conclude(options: &Options, report: &Report) -> Result<u8, String> {
    let junit_file = match (&options.junit, options.junit_fd) {
        (Some(path), _) => Some(File::create(path).map_err(|e| format!("{}: {e}", path.display()))?),
        (None, Some(fd)) => Some(File::from(passed::descriptor(fd))),
        (None, None) => None,
    };
    if let Some(mut file) = junit_file {
        file.write_all(junit(report).as_bytes()).map_err(|e| format!("writing JUnit's XML: {e}"))?;
    }
    let mut stdout = std::io::stdout().lock();
    let shown = if options.json {
        serde_json::to_string_pretty(report).map_err(|e| e.to_string())? + "\n"
    } else {
        text(report, stdout.is_terminal())
    };
    let written = stdout.write_all(shown.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|e| format!("writing the report: {e}"))?;
    Ok(report.exit_status())
}

fn read(fd: i32) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let mut file = File::from(passed::descriptor(fd));
    std::io::Seek::rewind(&mut file).map_err(|e| format!("descriptor {fd}: {e}"))?;
    file.read_to_end(&mut content).map_err(|e| format!("descriptor {fd}: {e}"))?;
    Ok(content)
}
