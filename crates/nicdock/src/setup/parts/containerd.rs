//! containerd: a runtime handler of its CRI plugin, by a drop-in. Its own file is the administrator's, and never written.

use std::path::{Path, PathBuf};

use nicdock_core::kind::Kind;
use nicdock_oci::install::NAME;
use nicdock_oci::install::handler::{self, Config, FILE, Place};

use crate::setup::error::SetupError;
use crate::setup::machine::Machine;
use crate::setup::part::{Found, Part, Undo, Wanted};

pub const PART: Part = Part { name: "containerd", look, undo: |_| Undo::default() };

const PROGRAMS: [&str; 2] = ["/usr/bin/containerd", "/usr/local/bin/containerd"];

fn look(machine: &Machine) -> Result<Found, SetupError> {
    let Some(program) = machine.installed(&PROGRAMS) else { return Ok(Found::absent("not installed")) };
    let runtime = match machine.runtime() {
        Err(error @ SetupError::Refused { .. }) => {
            return Ok(Found { refused: Some(error), ..Found::nothing("here") });
        }
        runtime => runtime?.display().to_string(),
    };
    let text = machine.text(FILE).unwrap_or_default();
    let place = Config::parse(&text).map(|config| {
        let others: Option<Vec<String>> = config.imported(Path::new(FILE)).map(|patterns| {
            let own = Path::new(handler::DROP_IN);
            let files = patterns.iter().flat_map(|pattern| matching(machine, pattern));
            files.filter(|file| file != own).filter_map(|file| machine.text(file)).collect()
        });
        handler::place(&config, others.as_deref(), &runtime)
    });
    let mut found = Found {
        says: format!("the handler `{NAME}` for its CRI plugin, by which Kubernetes asks"),
        ..Found::default()
    };
    match place {
        Ok(Place::DropIn(text)) => {
            found.wants.push(Wanted::file(handler::DROP_IN, text));
            if !is_in_force(machine, program, &runtime) {
                found.hints.push(
                    "containerd has it after its next restart, which nicdock leaves to you: `containerd config dump` shows it".to_owned(),
                );
            }
        }
        Ok(Place::ByHand { why, add }) => found.hints.push(format!("{FILE}: {why}\n{add}")),
        Ok(Place::There) => found.says = format!("{FILE} has {}", found.says),
        Ok(Place::Off) => {
            return Ok(Found::absent(format!(
                "its CRI plugin, which takes handlers, is switched off ({FILE}, disabled_plugins)"
            )));
        }
        Err(reason) => {
            let reason = format!("{FILE} cannot be read as containerd's ({reason})");
            found.refused = Some(SetupError::Refused { kind: Kind::BadInput, reason });
        }
    }
    Ok(found)
}

/// Does containerd itself say that it has the handler?
fn is_in_force(machine: &Machine, program: &str, runtime: &str) -> bool {
    machine
        .ask(&[program, "config", "dump"])
        .is_some_and(|dump| Config::parse(&dump).is_ok_and(|config| config.has_handler(runtime)))
}

/// The files of a pattern that [`Config::imported`] gives: a file, or `*.toml` in a folder.
fn matching(machine: &Machine, pattern: &Path) -> Vec<PathBuf> {
    match (pattern.parent(), pattern.file_name().and_then(|name| name.to_str())) {
        (Some(folder), Some(handler::EVERY)) => {
            let files = machine.list(folder).into_iter();
            files.filter(|file| file.extension().is_some_and(|end| end == "toml")).collect()
        }
        _ => vec![pattern.to_owned()],
    }
}
