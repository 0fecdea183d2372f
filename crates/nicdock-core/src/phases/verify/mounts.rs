//! What is mounted in the container is what was to be mounted there, and what must not be written cannot.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::super::PhaseError;
use crate::kind::Kind;
use crate::plan::Plan;
use crate::request::Root;
use nicdock_sys::mountinfo::{self, Mounted};

/// Mounts of every container beside those below /sys and /proc, with the type of each that must be nicdock's own.
const FIXED: [(&str, &str); 6] = [
    ("/proc", "proc"),
    ("/dev", "tmpfs"),
    ("/dev/pts", "devpts"),
    ("/dev/shm", "tmpfs"),
    ("/dev/mqueue", "mqueue"),
    ("/sys", ""),
];
/// What a user namespace's container gets from the host's /dev, since nodes of its own could not be opened.
const BOUND_DEVICES: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// `list` is `/proc/PID/mountinfo` of the container's first process.
pub fn check(plan: &Plan, list: &[u8]) -> Result<(), PhaseError> {
    let mut seen = BTreeSet::new();
    for line in list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let unread = || refused(Path::new(&*String::from_utf8_lossy(line)), "cannot be read");
        let mount = mountinfo::parse_line(line).ok_or_else(unread)?;
        expected(plan, &mount).map_err(|reason| refused(&mount.point, reason))?;
        if let Some(again) = seen.replace(mount.point) {
            return Err(refused(&again, "is mounted on twice"));
        }
    }
    let fixed = FIXED.iter().map(|(point, _)| *point).chain(["/", "/proc/sys"]);
    let volumes = plan.container.volumes.iter().map(|volume| volume.destination.as_str());
    match fixed.chain(volumes).map(Path::new).find(|point| !seen.contains(*point)) {
        Some(point) => Err(refused(point, "is not mounted")),
        None => Ok(()),
    }
}

fn expected(plan: &Plan, mount: &Mounted) -> Result<(), &'static str> {
    let container = &plan.container;
    let must = |holds: bool, reason: &'static str| if holds { Ok(()) } else { Err(reason) };
    if let Some((_, kind)) = FIXED.iter().find(|(point, _)| mount.point == Path::new(point)) {
        let writable_sys = mount.point == Path::new("/sys") && !mount.read_only;
        must(kind.is_empty() || *kind == mount.kind, "is of another type")?;
        return must(!writable_sys, "can be written");
    }
    // That of /sys and /proc themselves is fixed.
    if ["/sys", "/proc", "/dev/infiniband"].iter().any(|folder| mount.point.starts_with(folder)) {
        return must(mount.read_only, "can be written");
    }
    let is_one_of = |points: &[&str]| points.iter().any(|point| mount.point == Path::new(point));
    let known = is_one_of(&["/"])
        || container.volumes.iter().any(|volume| mount.point == Path::new(&volume.destination))
        || (container.terminal && is_one_of(&["/dev/console"]))
        || (container.userns && is_one_of(&BOUND_DEVICES))
        || (container.root == Root::Host && is_one_of(&["/run", "/tmp"]));
    must(known, "is no mount of the plan")
}

fn refused(point: &Path, reason: &str) -> PhaseError {
    PhaseError::new("verifying mounts", io::Error::other(format!("{} {reason}", point.display())))
        .of_kind(Kind::NotClosed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A destination is compared with what the kernel wrote, part by part.
    #[test]
    fn a_path_is_compared_as_the_kernel_writes_it() {
        let mount = mountinfo::parse_line(b"1 2 0:5 / /a\\040b/c ro - tmpfs tmpfs rw").unwrap();
        assert_eq!(mount.point, Path::new("//a b/./c/"));
    }
}
