//! The groups of containers that nicdock's launcher made: `nicdock/container-NAME` in the root of each hierarchy, and nowhere else.
//!
//! Which containers there are is never read from there, but from what nicdock noted itself before it made a group (`launch/staging.rs`):
//! names of groups are whoever's who made them. That a group of such a name is nicdock's follows from its place. A cgroup namespace shows
//! a container its own group and those below (cgroup_namespaces(7)), and to make one `cgroup_mkdir()` needs the right to write in the
//! folder above, which is root's alone ([`check`]).

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::is_unified;
use crate::phases::{Doing, PhaseError, rdma_limits};
use crate::plan::check_name;
use nicdock_sys::closing::Closing;
use nicdock_sys::membership;

/// Where the host mounts its hierarchies (cgroups(7)).
const ROOT: &str = "/sys/fs/cgroup";

/// The folder of nicdock's own in the root of each hierarchy.
const FOLDER: &str = "nicdock";

/// No file of a cgroup's own begins so.
const PREFIX: &str = "container-";

/// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC` (include/uapi/linux/magic.h).
const MAGIC: [i64; 2] = [0x0027_e0eb, 0x6367_7270];

/// Before container `name` is made: nobody else may have a say in its groups, and nothing may be in them.
///
/// Errors: nicdock's folder is another user's; processes are in a group of that name.
pub fn check(name: &str) -> Result<(), PhaseError> {
    if Closing::Names.is_left_open() {
        return Ok(());
    }
    for folder in hierarchies().into_iter().map(|root| root.join(FOLDER)) {
        let what = || format!("looking at {}", folder.display());
        // Else libcontainer makes it, and fails when another container's does so at the same moment (libcgroups 0.7, `v2::Manager`).
        if is_unified() {
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(PhaseError::new(format!("making {}", folder.display()), error));
                }
                _ => {}
            }
        }
        let found = match fs::symlink_metadata(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found.doing(what)?,
        };
        if !found.is_dir() || found.uid() != 0 {
            let error = io::Error::other(format!(
                "it is user {}'s, and nicdock's groups are made in it",
                found.uid()
            ));
            return Err(PhaseError::new(what(), error).with_advice("have whoever made it use another name"));
        }
        if found.mode() & 0o7777 != 0o755 && !Closing::Modes.is_left_open() {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).doing(what)?;
        }
    }
    for folder in folders(name) {
        let what = || format!("making the control group {}", folder.display());
        if has_some(&folder).doing(what)? {
            let error = io::Error::other("there are processes in it, of which nicdock has noted nothing");
            return Err(
                PhaseError::new(what(), error).with_advice("end them, or give the container another --name")
            );
        }
        // Left behind when nicdock's state was removed by hand.
        remove(&folder).doing(what)?;
    }
    Ok(())
}

/// Ends every process in the cgroups of container `name` and those below, waits for it, and removes them.
///
/// They cannot fork faster than they are ended: one of them is the first of their process namespace, and with it the kernel ends all
/// of that (`zap_pid_ns_processes()`).
pub fn end(name: &str) -> Result<(), PhaseError> {
    for folder in folders(name) {
        let what = || format!("ending the processes of {}", folder.display());
        let begin = Instant::now();
        // All at once, also those that fork meanwhile (Linux 5.14, version 2).
        let _ = fs::write(folder.join("cgroup.kill"), "1");
        while !remove(&folder).doing(what)? {
            if begin.elapsed() > Duration::from_secs(10) {
                let error = io::Error::new(io::ErrorKind::TimedOut, "processes are still there after 10 s");
                return Err(PhaseError::new(what(), error)
                    .with_advice("they are stuck in the kernel: see their /proc/PID/stack"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(())
}

/// Removes a cgroup with those below it, which a program with a cgroup file system of its own may have made; kills what is
/// in them and gives `false` while there is something.
///
/// Another nicdock may do the same at this moment: whatever the kernel then says to a look at what has gone (`ENOENT`, `ENODEV`), it
/// is done.
fn remove(folder: &Path) -> io::Result<bool> {
    match remove_existing(folder) {
        Err(_) if !folder.exists() => Ok(true),
        result => result,
    }
}

fn remove_existing(folder: &Path) -> io::Result<bool> {
    let mut empty = true;
    for group in groups_in(folder)? {
        empty &= remove(&group)?;
    }
    let own = rustix::process::getpid();
    for pid in processes(folder)?.into_iter().filter(|pid| *pid != own) {
        empty = false;
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    if !empty {
        return Ok(false);
    }
    // Whoever cannot have it gives no limits either.
    let _turn = rdma_limits::turn().ok();
    rdma_limits::lift(folder)?;
    match fs::remove_dir(folder) {
        Ok(()) => Ok(true),
        // A process has come, or is not quite gone.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(error),
    }
}

fn groups_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The processes of one cgroup; of one in threaded mode they are its root's (cgroups(7)).
fn processes(folder: &Path) -> io::Result<Vec<Pid>> {
    match fs::read_to_string(folder.join("cgroup.procs")) {
        Ok(procs) => Ok(procs.lines().filter_map(|l| l.parse().ok()).filter_map(Pid::from_raw).collect()),
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV)) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Whether there are processes in a group, or in one below it.
fn has_some(folder: &Path) -> io::Result<bool> {
    if !processes(folder)?.is_empty() {
        return Ok(true);
    }
    for group in groups_in(folder)? {
        if has_some(&group)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `init` is all that is in the container's cgroups: before its program starts there must be nothing else.
pub fn holds_only(name: &str, init: u32) -> Result<(), PhaseError> {
    for folder in folders(name) {
        let what = || format!("looking for the processes of {}", folder.display());
        let others = processes(&folder).doing(what)?;
        if others.iter().any(|pid| pid.as_raw_nonzero().get().unsigned_abs() != init) {
            let error = io::Error::other(format!("there are {others:?} before the program has started"));
            return Err(PhaseError::new(what(), error)
                .with_advice("code of the container's root file system has run: do not trust it"));
        }
    }
    Ok(())
}

/// A process of container `name`.
pub fn process_of(name: &str) -> Option<u32> {
    let pids = folders(name).into_iter().find_map(|folder| processes(&folder).ok()?.into_iter().next());
    pids.map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
}

/// The container of nicdock's own launcher in whose cgroup process `pid` is.
pub fn container_of(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    membership::parse(&text).find_map(|group| named(group.path))
}

/// The container that a group, or one above it, is of.
fn named(group: &str) -> Option<String> {
    let name = group.strip_prefix('/')?.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_prefix(PREFIX)?;
    let name = name.split('/').next()?;
    check_name(name).is_ok().then(|| name.to_owned())
}

/// Whether there are processes in the cgroups of container `name`.
pub fn is_populated(name: &str) -> bool {
    folders(name).iter().any(|folder| processes(folder).is_ok_and(|list| !list.is_empty()))
}

/// What any group beside nicdock's is called after the prefix: only to prove that it must not count.
pub fn unchecked_names() -> Vec<String> {
    let listed = |mount: PathBuf| fs::read_dir(mount.join(FOLDER)).into_iter().flatten().flatten();
    let entries = hierarchies().into_iter().flat_map(listed).map(|entry| entry.file_name());
    entries.filter_map(|name| Some(name.to_str()?.strip_prefix(PREFIX)?.to_owned())).collect()
}

/// The container's folders in every hierarchy.
fn folders(name: &str) -> Vec<PathBuf> {
    hierarchies().into_iter().map(|mount| below(&mount, name)).filter(|p| p.exists()).collect()
}

/// The roots of the hierarchies. Of version 2 there is one, and what is in it are groups, whose names are anybody's; those of version 1 are
/// mounted in a folder of root's.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    if is_unified() && !Closing::Names.is_left_open() {
        return vec![root.to_owned()];
    }
    let is_cgroup = |path: &PathBuf| rustix::fs::statfs(path).is_ok_and(|of| MAGIC.contains(&of.f_type));
    let found = groups_in(root).unwrap_or_default();
    std::iter::once(root.to_owned()).chain(found).filter(is_cgroup).collect()
}

/// The container's folder in the hierarchy mounted at `mount`.
pub fn below(mount: &Path, name: &str) -> PathBuf {
    mount.join(path(name).trim_start_matches('/'))
}

/// Whether the kernel has a controller, and the host's set-up lets containers have it.
pub fn has_controller(controller: &str) -> bool {
    let root = Path::new(ROOT);
    if is_unified() { lists(root, controller) } else { root.join(controller).is_dir() }
}

/// Whether a group of version 2 may use a controller.
fn lists(folder: &Path, controller: &str) -> bool {
    let listed = |text: String| text.split_whitespace().any(|name| name == controller);
    fs::read_to_string(folder.join("cgroup.controllers")).is_ok_and(listed)
}

/// Where container `name` is in the hierarchy of a controller.
pub fn folder(controller: &str, name: &str) -> PathBuf {
    let root = Path::new(ROOT);
    below(&if is_unified() { root.to_owned() } else { root.join(controller) }, name)
}

/// On version 2 a controller is handed down from the root, folder by folder; gives the container's, which has its files then.
pub fn hand_down(controller: &str, name: &str) -> Result<PathBuf, PhaseError> {
    let root = Path::new(ROOT);
    let own = below(root, name);
    // libcontainer hands down all that the host does: seldom is there something to do, and each write holds up every other group.
    // Others do it at the same time: cgroup.controllers has the name before the files are there (`cgroup_subtree_control_write()`), so they are
    // what counts, and a write waits until they are.
    if own.join(format!("{controller}.max")).exists() {
        return Ok(own);
    }
    for parent in [root, own.parent().unwrap_or(root)] {
        let control = parent.join("cgroup.subtree_control");
        fs::write(&control, format!("+{controller}"))
            .doing(|| format!("writing '+{controller}' to {}", control.display()))?;
    }
    Ok(own)
}

/// Where libcontainer puts the container (`linux.cgroupsPath`).
pub fn path(name: &str) -> String {
    format!("/{FOLDER}/{PREFIX}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_containers_by_its_place_and_a_name_that_a_user_could_give() {
        assert_eq!(named("/nicdock/container-a/b").as_deref(), Some("a"));
        for group in [
            "/nicdock/container-..",
            "/nicdock/container-",
            "/nicdock/container-a b",
            "/lxc.payload.t/nicdock/container-a",
            "/nicdockcontainer-a",
            "/../nicdock/container-a",
        ] {
            assert_eq!(named(group), None, "{group}");
        }
    }
}
