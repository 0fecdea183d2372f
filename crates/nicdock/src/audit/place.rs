//! The audit in a running process's place: it must see what that process sees, or say that it does not.

use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nicdock_audit::identity::{Capabilities, Identity};

use super::{Audit, AuditError, told};
use crate::kernel::child::{Child, forget_passed_descriptors};
use crate::kernel::membership::{self, Membership};
use crate::kernel::mountinfo::{self, Mounted};
use crate::kernel::pidfd::Process;
use crate::kernel::place::{Place, fork_and_wait};
use crate::kernel::tracee;

/// Runs the audit where process `pid` is; gives its exit status.
pub fn run_in_place_of(
    pid: u32,
    audit: &Audit,
    arguments: &[String],
    junit: Option<&OwnedFd>,
) -> Result<i32, AuditError> {
    let not_reproducible = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| AuditError::NotReproducible(format!("{what}: {error}"))
    };
    let process = Process::open(pid).map_err(|_| AuditError::NoProcess(pid))?;
    let filters = tracee::seccomp_filters(pid)
        .map_err(not_reproducible(&format!("reading the seccomp filters of process {pid}")))?;
    let place = Place::of(pid).map_err(not_reproducible(&format!("opening /proc/{pid}")))?;
    let status = place.read("status").map_err(not_reproducible(&format!("reading /proc/{pid}/status")))?;
    let counted = field(&status, "Seccomp_filters:").parse().unwrap_or(filters.len());
    if counted != filters.len() || field(&status, "Seccomp:") == "1" {
        let reason = format!(
            "process {pid} has {counted} seccomp filters or the strict mode, and {} can be read",
            filters.len()
        );
        return Err(AuditError::NotReproducible(reason));
    }
    let groups = cgroups(pid).map_err(not_reproducible(&format!("finding the cgroups of process {pid}")))?;
    let label = label(pid);
    // All that was opened by number is the process's still.
    if process.has_ended() {
        return Err(AuditError::NoProcess(pid));
    }
    forget_passed_descriptors().map_err(AuditError::kernel("closing descriptors"))?;
    let mut child = Child::fork(|| {
        let entered = join(&groups).and_then(|()| {
            place.enter_pid_namespace().map_err(|error| format!("its process namespace: {error}"))
        });
        if let Err(reason) = entered {
            return failed(&reason);
        }
        let inside = || match become_audit(&place, &filters, label.as_deref(), audit, arguments, junit) {
            Ok(never) => match never {},
            Err(reason) => failed(&reason),
        };
        fork_and_wait(inside).unwrap_or_else(|error| failed(&format!("fork: {error}")))
    })
    .map_err(AuditError::kernel("fork"))?;
    child.wait().map_err(AuditError::kernel("waiting for the audit"))
}

/// Says why, with the status of nicdock's own failure.
fn failed(reason: &str) -> i32 {
    let _ = writeln!(io::stderr(), "nicdock: not reproducible: {reason}");
    125
}

fn become_audit(
    place: &Place,
    filters: &[Vec<nicdock_audit::identity::Instruction>],
    label: Option<&str>,
    audit: &Audit,
    arguments: &[String],
    junit: Option<&OwnedFd>,
) -> Result<std::convert::Infallible, String> {
    // Only a process itself can, and the container may have no /proc.
    let attribute = label.map(|_| fs::OpenOptions::new().write(true).open("/proc/self/attr/exec"));
    place.enter().map_err(|(what, error)| format!("entering {what}: {error}"))?;
    if let (Some(label), Some(attribute)) = (label, attribute) {
        let written = attribute.and_then(|mut file| file.write_all(label.as_bytes()));
        written.map_err(|error| format!("taking its security label '{label}': {error}"))?;
    }
    // Read here, numbers are those of the process's own user namespace.
    let status = place.read("status").map_err(|error| format!("reading its status: {error}"))?;
    let mut identity = identity_of(&status).ok_or("its status is not understood")?;
    identity.filters = filters.to_vec();
    let content = serde_json::to_vec(&identity).map_err(|error| error.to_string())?;
    let identity = told(&content).map_err(|error| format!("making a file in memory: {error}"))?;
    let text = |text: &String| CString::new(text.as_str()).ok();
    let arguments: Vec<CString> = arguments.iter().filter_map(text).collect();
    let env = [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    let mut pass = vec![("--identity-fd", &identity)];
    pass.extend(junit.map(|file| ("--junit-fd", file)));
    Err(format!("executing the audit: {}", audit.exec(&arguments, &env, &pass)))
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default()
}

/// By proc_pid_status(5).
fn identity_of(status: &str) -> Option<Identity> {
    let numbers = |name: &str| -> Option<Vec<u32>> {
        field(status, name).split_whitespace().map(|number| number.parse().ok()).collect()
    };
    let three = |name: &str| numbers(name)?.get(..3)?.try_into().ok();
    Some(Identity {
        uid: three("Uid:")?,
        gid: three("Gid:")?,
        groups: numbers("Groups:")?,
        capabilities: Capabilities::of_status(status)?,
        no_new_privs: field(status, "NoNewPrivs:") == "1",
        filters: Vec::new(),
    })
}

/// Puts the caller into each cgroup.
fn join(groups: &[PathBuf]) -> Result<(), String> {
    for group in groups {
        let path = group.join("cgroup.procs");
        fs::write(&path, "0").map_err(|error| format!("entering its cgroup, {}: {error}", path.display()))?;
    }
    Ok(())
}

/// The folders of a process's cgroups, by where their hierarchies are mounted here.
fn cgroups(pid: u32) -> io::Result<Vec<PathBuf>> {
    let mounts: Vec<Mounted> = mountinfo::parse(&fs::read("/proc/self/mountinfo")?).collect();
    let list = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let mut found = Vec::new();
    for group in membership::parse(&list) {
        match mounts.iter().find(|mounted| is_hierarchy_of(mounted, group)) {
            Some(mounted) => found.push(group.below(&mounted.point)),
            // Nothing is limited by a hierarchy that nobody has mounted and whose root it is in.
            None if group.is_root() => {}
            None => {
                let what = format!("the hierarchy '{}' is mounted nowhere", group.controllers);
                return Err(io::Error::new(io::ErrorKind::NotFound, what));
            }
        }
    }
    Ok(found)
}

/// Whether a mount is the whole hierarchy in which the group is.
fn is_hierarchy_of(mounted: &Mounted, group: Membership) -> bool {
    let wanted = group.controllers.split(',').next().unwrap_or_default();
    let is_it = match &*mounted.kind {
        "cgroup2" => group.is_unified(),
        "cgroup" => !group.is_unified() && mounted.options.split(',').any(|option| option == wanted),
        _ => false,
    };
    is_it && mounted.root == Path::new("/")
}

/// What to write to `attr/exec` for the same label (apparmor(7), selinux(8)); `None` if it is confined by none.
fn label(pid: u32) -> Option<String> {
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let current = fs::read_to_string(format!("/proc/{pid}/attr/current")).ok()?;
    let current = current.trim_end_matches(['\n', '\0']).trim();
    let name = current.rsplit_once(" (").map_or(current, |(name, _)| name);
    let has = |module: &str| modules.split(',').any(|loaded| loaded == module);
    match name {
        "" | "unconfined" => None,
        name if has("selinux") => Some(name.to_owned()),
        name if has("apparmor") => Some(format!("exec {name}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_by_their_controllers() {
        let unified = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw";
        let devices = "40 24 0:30 / /sys/fs/cgroup/devices rw shared:9 - cgroup cgroup rw,devices";
        let mount_of = |line: &str, controllers| {
            let mounted = mountinfo::parse_line(line.as_bytes()).unwrap();
            is_hierarchy_of(&mounted, Membership { controllers, path: "/" }).then_some(mounted.point)
        };
        assert_eq!(mount_of(unified, "").as_deref(), Some(Path::new("/sys/fs/cgroup")));
        assert_eq!(mount_of(unified, "devices"), None);
        assert_eq!(mount_of(devices, "devices").as_deref(), Some(Path::new("/sys/fs/cgroup/devices")));
        assert_eq!(mount_of(devices, ""), None);
    }

    #[test]
    fn a_process_is_described_by_its_status() {
        let status = "Uid:\t0\t1\t2\t3\nGid:\t4\t5\t6\t7\nGroups:\t8 9 \nNoNewPrivs:\t1\nCapInh:\t0\nCapPrm:\t1\nCapEff:\t2\nCapBnd:\t3\nCapAmb:\t4\n";
        let identity = identity_of(status).unwrap();
        assert_eq!((identity.uid, identity.gid, identity.groups), ([0, 1, 2], [4, 5, 6], vec![8, 9]));
        assert!(identity.no_new_privs && identity.capabilities.bounding == 3);
    }
}
