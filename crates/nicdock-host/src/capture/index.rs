//! A capture's own members: version, open nodes, errors.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Capture, CaptureError, Member};
use crate::source::{Entry, OpenNode, OpenNodes};

const VERSION: &str = "nicdock-capture";
const OPEN_NODES: &str = "open-nodes";
const ERRORS: &str = "errors";
/// "Permission denied".
const EACCES: i32 = 13;

/// Everything that is to be written, by name. The version comes first, so that `file`-like tools see it.
pub fn to_members(capture: &Capture) -> Vec<(String, Member)> {
    let mut errors = Vec::new();
    if !capture.open_nodes.complete {
        errors.push(format!("{EACCES} {OPEN_NODES}\n"));
    }
    let mut members = Vec::new();
    for (path, entry) in &capture.entries {
        match entry {
            Entry::File(bytes) => members.push((path.clone(), Member::File(bytes.clone()))),
            Entry::Link(target) => members.push((path.clone(), Member::Link(target.clone()))),
            Entry::Directory => members.push((path.clone(), Member::Directory)),
            Entry::Failed(errno) => errors.push(format!("{errno} {path}\n")),
        }
    }
    let nodes = capture.open_nodes.nodes.iter();
    let nodes: Vec<_> = nodes
        .map(|open| {
            format!(
                "{} {} {}
",
                open.pid, open.node, open.command
            )
        })
        .collect();
    let text = |name: &str, lines: &[String]| (name.to_owned(), Member::File(lines.concat().into_bytes()));
    let own = [text(VERSION, &["1\n".to_owned()]), text(OPEN_NODES, &nodes), text(ERRORS, &errors)];
    own.into_iter().chain(members).collect()
}

/// The capture that was written as these members.
pub fn from_members(path: &Path, members: BTreeMap<String, Member>) -> Result<Capture, CaptureError> {
    let mut members = members;
    let mut text = |name: &str| match members.remove(name) {
        Some(Member::File(bytes)) => String::from_utf8(bytes).ok(),
        _ => None,
    };
    let not_a_capture = |reason: &str| CaptureError::NotACapture { path: path.into(), reason: reason.into() };
    let version = text(VERSION).ok_or_else(|| not_a_capture("there is no file 'nicdock-capture' in it"))?;
    if version.trim() != "1" {
        let found = version.trim().escape_debug().take(20).collect();
        return Err(CaptureError::Version { path: path.to_owned(), found });
    }
    let damaged = |file: &str, line: &str| CaptureError::Damaged {
        path: path.to_owned(),
        reason: format!("its file '{file}' has the line '{}'", line.escape_debug()),
    };
    let open_nodes = text(OPEN_NODES).unwrap_or_default();
    let open_nodes = open_nodes
        .split_terminator('\n')
        .map(|line| open_node(line).ok_or_else(|| damaged(OPEN_NODES, line)));
    let nodes = open_nodes.collect::<Result<Vec<_>, _>>()?;
    let errors = text(ERRORS).unwrap_or_default();
    let failures =
        errors.split_terminator('\n').map(|line| failure(line).ok_or_else(|| damaged(ERRORS, line)));
    let failures = failures.collect::<Result<Vec<_>, _>>()?;

    let mut entries: BTreeMap<String, Entry> = members.into_iter().map(|(p, m)| (p, m.into())).collect();
    entries.extend(failures);
    let complete = entries.remove(OPEN_NODES).is_none();
    Ok(Capture { entries, open_nodes: OpenNodes { nodes, complete } })
}

fn open_node(line: &str) -> Option<OpenNode> {
    let mut words = line.splitn(3, ' ');
    let pid = words.next()?.parse().ok()?;
    let node = words.next()?.to_owned();
    Some(OpenNode { pid, node, command: words.next()?.to_owned() })
}

fn failure(line: &str) -> Option<(String, Entry)> {
    let (errno, path) = line.split_once(' ')?;
    Some((path.to_owned(), Entry::Failed(errno.parse().ok()?)))
}

impl From<Member> for Entry {
    fn from(member: Member) -> Self {
        match member {
            Member::File(bytes) => Self::File(bytes),
            Member::Link(target) => Self::Link(target),
            Member::Directory => Self::Directory,
        }
    }
}
