//! The place of a running process: the audit must see what that process sees, or say that it does not.

use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nicdock_audit::identity::InPlace;
use nicdock_audit::identity::{Capabilities, Identity, Instruction};
use nicdock_audit::seclusion::Seclusion;

use super::filters::tell_all;
use super::{Audit, told};
use crate::phases::freeze;
use nicdock_sys::closing::Closing;
use nicdock_sys::membership::{self, Membership};
use nicdock_sys::mountinfo::{self, Mounted};
use nicdock_sys::place::Place;
use nicdock_sys::secluded::{self, Streams};
use nicdock_sys::tracee;

/// All that is known of the process before its place is entered.
pub struct Entering {
    pub place: Place,
    filters: Vec<Vec<Instruction>>,
    groups: Vec<PathBuf>,
    label: Option<String>,
}

impl Entering {
    /// Of process `pid`, which the caller has stopped.
    pub fn of(pid: u32) -> Result<Self, String> {
        let failed = |what: String| move |error: io::Error| format!("{what}: {error}");
        let filters = if Closing::AuditStillness.is_left_open() {
            tracee::seccomp_filters(pid)
        } else {
            tracee::seccomp_filters_of_stopped(pid)
        };
        let filters = filters.map_err(failed(format!("reading the seccomp filters of process {pid}")))?;
        let place = Place::of(pid).map_err(failed(format!("opening /proc/{pid}")))?;
        let status = place.read("status").map_err(failed(format!("reading /proc/{pid}/status")))?;
        let counted = field(&status, "Seccomp_filters:").parse().unwrap_or(filters.len());
        if counted != filters.len() || field(&status, "Seccomp:") == "1" {
            return Err(format!(
                "process {pid} has {counted} seccomp filters or the strict mode, and {} can be read",
                filters.len()
            ));
        }
        if !Closing::AuditFilters.is_left_open() {
            tell_all(pid, &filters)?;
        }
        let groups = cgroups(pid).map_err(failed(format!("finding the cgroups of process {pid}")))?;
        if let Some(group) = groups.iter().find(|group| freeze::is_frozen(group)) {
            return Err(format!(
                "{} is frozen, and would freeze the audit: let it run on first",
                group.display()
            ));
        }
        Ok(Self { place, filters: for_the_audit(filters), groups, label: label(pid) })
    }
}

/// Enters the place and becomes the audit there, which enters the process namespace itself, when nothing of nicdock's is left in its memory.
///
/// `keeper`: the process with which it ends, 0 if it cannot see that.
pub fn enter(
    entering: &Entering,
    audit: &Audit,
    arguments: &[String],
    streams: Streams<'_>,
    keeper: u32,
) -> Result<std::convert::Infallible, String> {
    let Entering { place, filters, groups, label } = entering;
    // Only a process itself can, and the container may have no /proc.
    let attribute = label.as_ref().map(|_| fs::OpenOptions::new().write(true).open("/proc/self/attr/exec"));
    let attribute = attribute.transpose().map_err(|error| format!("/proc/self/attr/exec: {error}"))?;
    let few_descriptors = !Closing::AuditDescriptors.is_left_open();
    if few_descriptors {
        let mut keep = place.descriptors();
        keep.extend(audit.descriptors());
        keep.extend(attribute.as_ref().map(AsFd::as_fd));
        secluded::seclude(&keep, streams).map_err(|error| format!("closing descriptors: {error}"))?;
    } else {
        secluded::take_output(streams).map_err(|error| format!("standard output: {error}"))?;
        secluded::leave_descriptors();
    }
    join(groups)?;
    place.enter().map_err(|(what, error)| format!("entering {what}: {error}"))?;
    if let (Some(label), Some(mut attribute)) = (label, attribute) {
        let written = attribute.write_all(label.as_bytes());
        written.map_err(|error| format!("taking its security label '{label}': {error}"))?;
    }
    // Read here, numbers are those of the process's own user namespace.
    let status = place.read("status").map_err(|error| format!("reading its status: {error}"))?;
    let mut identity = identity_of(&status).ok_or("its status is not understood")?;
    identity.filters.clone_from(filters);
    let seclusion = Seclusion {
        keeper: i32::try_from(keeper).unwrap_or(0),
        not_dumpable: !Closing::AuditMemory.is_left_open(),
        few_descriptors,
    };
    let content = serde_json::to_vec(&InPlace { identity, seclusion }).map_err(|error| error.to_string())?;
    let content = told(&content).map_err(|error| format!("making a file in memory: {error}"))?;
    let text = |text: &String| CString::new(text.as_str()).ok();
    let arguments: Vec<CString> = arguments.iter().filter_map(text).collect();
    let env = [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    Err(format!("executing the audit: {}", audit.exec(&arguments, &env, &[("--in-place-fd", &content)])))
}

/// The audit is a program of its own and knows no type of nicdock's.
fn for_the_audit(filters: Vec<Vec<tracee::Instruction>>) -> Vec<Vec<Instruction>> {
    let one = |tracee::Instruction { code, jt, jf, k }| Instruction { code, jt, jf, k };
    filters.into_iter().map(|filter| filter.into_iter().map(one).collect()).collect()
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
