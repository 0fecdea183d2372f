//! What is mounted in the container is what was to be mounted there, and what must not be written cannot.

use std::collections::BTreeSet;
use std::io;

use super::super::PhaseError;
use crate::plan::Plan;
use crate::request::Root;

/// One line of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
struct Mount<'a> {
    point: &'a str,
    read_only: bool,
    kind: &'a str,
}

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

pub fn check(plan: &Plan, mountinfo: &str) -> Result<(), PhaseError> {
    let mut seen = BTreeSet::new();
    for line in mountinfo.lines() {
        let mount = parse(line).ok_or_else(|| refused(line, "cannot be read"))?;
        if !seen.insert(mount.point) {
            return Err(refused(mount.point, "is mounted on twice"));
        }
        expected(plan, &mount).map_err(|reason| refused(mount.point, reason))?;
    }
    let promised = FIXED.iter().map(|(point, _)| *point).chain(["/", "/proc/sys"]);
    let volumes = plan.container.volumes.iter().map(|volume| volume.destination.trim_end_matches('/'));
    for point in promised.chain(volumes) {
        if !seen.contains(escaped(point).as_str()) {
            return Err(refused(point, "is not mounted"));
        }
    }
    Ok(())
}

fn expected(plan: &Plan, mount: &Mount) -> Result<(), &'static str> {
    let container = &plan.container;
    let must = |holds: bool, reason: &'static str| if holds { Ok(()) } else { Err(reason) };
    if let Some((_, kind)) = FIXED.iter().find(|(point, _)| *point == mount.point) {
        let writable_sys = mount.point == "/sys" && !mount.read_only;
        must(kind.is_empty() || *kind == mount.kind, "is of another type")?;
        return must(!writable_sys, "can be written");
    }
    let inside = |folder: &str| mount.point.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    if inside("/sys") || inside("/proc") || mount.point == "/dev/infiniband" {
        return must(mount.read_only, "can be written");
    }
    let is_volume = container
        .volumes
        .iter()
        .any(|volume| escaped(volume.destination.trim_end_matches('/')) == mount.point);
    let known = mount.point == "/"
        || is_volume
        || (container.terminal && mount.point == "/dev/console")
        || (container.userns && BOUND_DEVICES.contains(&mount.point))
        || (container.root == Root::Host && matches!(mount.point, "/run" | "/tmp"));
    must(known, "is no mount of the plan")
}

fn parse(line: &str) -> Option<Mount<'_>> {
    let mut fields = line.split(' ');
    let point = fields.nth(4)?;
    let read_only = fields.next()?.split(',').any(|option| option == "ro");
    let kind = line.split(" - ").nth(1)?.split(' ').next()?;
    Some(Mount { point, read_only, kind })
}

/// As the kernel writes a path there (`mangle()`, fs/proc_namespace.c).
fn escaped(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let path = format!("/{}", parts.join("/"));
    path.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}

fn refused(point: &str, reason: &str) -> PhaseError {
    PhaseError::new("verifying mounts", io::Error::other(format!("{point} {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_by_its_fields() {
        let line = "36 35 0:5 / /sys ro,nosuid shared:1 - tmpfs tmpfs rw,size=4m";
        let mount = parse(line).unwrap();
        assert_eq!((mount.point, mount.read_only, mount.kind), ("/sys", true, "tmpfs"));
        assert!(parse("nonsense").is_none());
    }

    #[test]
    fn a_path_is_compared_as_the_kernel_writes_it() {
        assert_eq!(escaped("//a b/./c/"), "/a\\040b/c");
    }
}
