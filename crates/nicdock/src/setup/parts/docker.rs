//! Docker: nicdock's runtime beside runc, by a member of the daemon's file, which is the administrator's.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nicdock_core::changeable;
use nicdock_core::kind::Kind;
use nicdock_oci::install::NAME;
use serde_json::json;

use crate::setup::error::{SetupError, at};
use crate::setup::machine::Machine;
use crate::setup::part::{Found, Member, Part, Run, Undo, Wanted, What};

pub const PART: Part = Part { name: "docker", look, undo };

const DAEMONS: [&str; 3] = ["/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd"];
/// What dockerd(8) reads unless `--config-file` names another.
const FILE: &str = "/etc/docker/daemon.json";
const UNIT: &str = "docker.service";
/// Debian's unit takes options from here.
const ENVIRONMENT: &str = "/etc/default/docker";
/// Where it runs, it has this file (dockerd(8), `--pidfile`).
const PROCESS: &str = "/run/docker.pid";

fn look(machine: &Machine) -> Result<Found, SetupError> {
    let Some(daemon) = machine.installed(&DAEMONS) else { return Ok(Found::absent("not installed")) };
    let version = machine.ask(&[daemon, "--version"]).and_then(|said| version_of(&said));
    let shown = version.as_ref().map_or("here".to_owned(), |(text, _)| format!("{text} is here"));
    let mut found = Found {
        says: format!("{shown}: `docker run --runtime {NAME} --device /dev/infiniband/uverbsN`"),
        ..Found::default()
    };
    match wanted(machine) {
        Ok(wanted) => found.wants.push(wanted),
        Err(error @ SetupError::Refused { .. }) => found.refused = Some(error),
        Err(error) => return Err(error),
    }
    found.after = reload(machine);
    if found.after.is_empty() && machine.has(PROCESS) {
        found.hints.push(format!("let dockerd read it: kill -HUP $(cat {PROCESS})"));
    }
    let program = machine.runtime().ok().map(|runtime| machine.at(runtime));
    if let Some(why) = program.and_then(|program| changeable::by_others(&program)) {
        found.hints.push(format!(
            "who can change the runtime is root, since dockerd's containers start with it: {why}"
        ));
    }
    found.hints.extend(version.and_then(|(text, major)| devices(&text, major)));
    Ok(found)
}

fn wanted(machine: &Machine) -> Result<Wanted, SetupError> {
    let refused = |kind, reason: String| SetupError::Refused { kind, reason };
    let told = |file: &PathBuf| {
        let text = machine.text(file).unwrap_or_default();
        text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains("--config-file"))
    };
    let mut files = machine.files_of_unit(UNIT);
    files.push(ENVIRONMENT.into());
    if let Some(file) = files.into_iter().find(told) {
        let reason = format!(
            "{} gives dockerd another file than {FILE} (--config-file), so put the runtime there by hand",
            file.display()
        );
        return Err(refused(Kind::Unsupported, reason));
    }
    let runtime = machine.runtime()?;
    let before = text(machine)?;
    let value = json!({ "path": runtime.display().to_string() });
    let member = Member::new(&["runtimes", NAME], value, before)
        .map_err(|error| refused(Kind::BadInput, format!("{FILE} {error}")))?;
    Ok(Wanted { path: FILE.into(), what: What::Member(member) })
}

/// The file's text, if it is one that may be edited.
fn text(machine: &Machine) -> Result<Option<String>, SetupError> {
    let refused =
        |reason: &str| Err(SetupError::Refused { kind: Kind::BadInput, reason: format!("{FILE} {reason}") });
    let path = machine.at(FILE);
    let found = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.map_err(at(&path))?,
    };
    if found.is_symlink() {
        return refused("is a link, whose target is somebody else's to edit");
    }
    if !found.is_file() {
        return refused("is no file");
    }
    if found.uid() != machine.owner()? {
        return refused(&format!("belongs to user {}, not to root", found.uid()));
    }
    match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let reason = format!("{FILE} can be read by root only");
            Err(SetupError::Refused { kind: Kind::NoRight, reason })
        }
        text => match String::from_utf8(text.map_err(at(&path))?) {
            Ok(text) => Ok(Some(text)),
            Err(_) => refused("is no JSON object (it is not UTF-8)"),
        },
    }
}

/// It reads runtimes anew then, and containers run on (dockerd(8), "Configuration reload behavior").
fn reload(machine: &Machine) -> Vec<Run> {
    let runs = machine.runs_systemd() && machine.has(PROCESS);
    runs.then(|| Run::new(&["systemctl", "reload", UNIT])).into_iter().collect()
}

fn undo(machine: &Machine) -> Undo {
    Undo { before: Vec::new(), after: reload(machine) }
}

/// `Docker version 20.10.24+dfsg1, build 297e128`.
fn version_of(said: &str) -> Option<(String, u32)> {
    let text = said.split_once("version ")?.1.split([',', ' ', '\n']).next()?;
    let major = text.split('.').next()?.parse().ok()?;
    Some((text.to_owned(), major))
}

/// A second way to ask, since Docker 25. Switching it on is the administrator's.
fn devices(version: &str, major: u32) -> Option<String> {
    let switch = match major {
        ..25 => return None,
        25..28 => format!(", once {FILE} has \"features\": {{\"cdi\": true}}"),
        28.. => String::new(),
    };
    Some(format!(
        "Docker {version} knows CDI devices, too{switch}: `nicdock cdi install`, then `docker run --device nicdock.io/nic=NAME`. That is not proven"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_tells_whether_there_are_cdi_devices() {
        let (text, major) = version_of("Docker version 20.10.24+dfsg1, build 297e128\n").unwrap();
        assert_eq!((text.as_str(), major), ("20.10.24+dfsg1", 20));
        assert_eq!(version_of("nothing"), None);
        assert_eq!(devices("20.10", 20), None);
        assert!(devices("27.1", 27).unwrap().contains("features"));
        assert!(!devices("28.0", 28).unwrap().contains("features"));
    }
}
