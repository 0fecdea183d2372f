//! Reads as much of a runtime's command line as tells what is to be edited (runc(8), crun(1)).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Options before the command whose value is the next word.
const GLOBAL: [&str; 6] = ["--root", "--log", "--log-format", "--log-level", "--criu", "--cgroup-manager"];

/// What an engine asks of its runtime.
#[derive(Debug, PartialEq, Eq)]
pub enum Work {
    /// To make a container of the configuration in this folder.
    Create { bundle: PathBuf },
    /// To execute what this file tells in a container.
    Exec { process: PathBuf, name: OsString },
    /// Anything else, or what is executed as the container's own configuration has it.
    Other,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    pub work: Work,
    /// Where engines read why their runtime failed.
    pub log: Option<PathBuf>,
}

impl Arguments {
    /// `words`: with the program's own name.
    pub fn of(words: &[OsString]) -> Self {
        let at = command(words);
        let (global, command) = words.split_at(at.unwrap_or(words.len()));
        let log = value(global, &["--log"]).map(PathBuf::from);
        let work = match command.first().and_then(|word| word.to_str()) {
            Some("create" | "run" | "restore") => {
                let bundle = value(command, &["--bundle", "-b"]).map_or_else(|| ".".into(), PathBuf::from);
                Work::Create { bundle }
            }
            // Whoever has such a file names the container last: the command is in the file.
            Some("exec") => match (value(command, &["--process", "-p"]), command.last()) {
                (Some(process), Some(name)) => Work::Exec { process: process.into(), name: name.clone() },
                _ => Work::Other,
            },
            _ => Work::Other,
        };
        Self { work, log }
    }
}

/// Where the command is: the first word that is one, so that an option which is not known here hides none.
fn command(words: &[OsString]) -> Option<usize> {
    const COMMANDS: [&str; 13] = [
        "checkpoint",
        "create",
        "delete",
        "events",
        "exec",
        "kill",
        "list",
        "pause",
        "restore",
        "resume",
        "run",
        "start",
        "state",
    ];
    let mut at = 1;
    while at < words.len() {
        let word = words[at].to_str();
        if word.is_some_and(|word| GLOBAL.contains(&word)) {
            at += 1;
        } else if word.is_some_and(|word| COMMANDS.contains(&word)) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The last value of an option, as `--name VALUE`, `--name=VALUE`, `-n VALUE`; runc takes one dash for two as well.
fn value(words: &[OsString], names: &[&str]) -> Option<OsString> {
    let mut found = None;
    let mut words = words.iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        for name in names {
            let single = name.strip_prefix('-').filter(|name| name.starts_with('-'));
            for name in [Some(*name), single].into_iter().flatten() {
                match bytes.strip_prefix(name.as_bytes()) {
                    Some([]) => found = words.peek().map(|next| (*next).clone()),
                    Some([b'=', rest @ ..]) => found = Some(OsString::from_vec(rest.to_vec())),
                    _ => {}
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Arguments {
        Arguments::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    fn create(bundle: &str) -> Work {
        Work::Create { bundle: bundle.into() }
    }

    #[test]
    fn the_bundle_is_found_as_engines_name_it() {
        // Docker 20.10, Podman with crun and with runc, and by hand.
        let docker = of(
            "runc --root /run/r --log /run/b/log.json --log-format json create --bundle /run/b --pid-file /run/b/init.pid abc",
        );
        assert_eq!(docker, Arguments { work: create("/run/b"), log: Some("/run/b/log.json".into()) });
        for line in [
            "x --systemd-cgroup create --bundle /run/b --pid-file p abc",
            "x --log-format=json --log=/l create -b /run/b abc",
            "x --debug run --bundle=/run/b abc",
            "x create -bundle /run/b abc",
            "x --unknown value restore --bundle /run/b abc",
            // A folder of this name is no command.
            "x --root create create --bundle /run/b abc",
        ] {
            assert_eq!(of(line).work, create("/run/b"), "{line}");
        }
        assert_eq!(of("runc run abc").work, create("."));
    }

    #[test]
    fn what_is_executed_is_found_with_its_container() {
        let line = "x --root /r exec --pid-file /p --process /tmp/runc-process1 --detach abc";
        let wanted = Work::Exec { process: "/tmp/runc-process1".into(), name: "abc".into() };
        assert_eq!(of(line).work, wanted);
        assert_eq!(of("x exec -p /tmp/runc-process1 abc").work, wanted);
        assert_eq!(of("x exec abc ls").work, Work::Other);
    }

    #[test]
    fn whatever_else_there_is_is_the_runtimes() {
        for line in
            ["x", "x --version", "x --root /r delete --force abc", "x start create", "x spec --bundle b"]
        {
            let work = of(line).work;
            assert_eq!(work, Work::Other, "{line}");
        }
        assert_eq!(Arguments::of(&[]).work, Work::Other);
    }
}
