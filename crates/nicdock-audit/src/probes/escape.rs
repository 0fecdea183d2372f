//! `escape.*`: files outside of the container's root.

use std::os::unix::fs::MetadataExt;

use crate::kernel::errno::Errno;
use crate::kernel::handle;
use crate::probe::{Context, Finding, Probe};

pub fn probes() -> Vec<Probe> {
    let by_handle = |path: &'static str| {
        Probe::new(
            format!("escape.open_by_handle_at.{}", if path == "/" { "root" } else { &path[1..] }),
            move |_| {
                let handle = match handle::of(path) {
                    Ok(handle) => handle,
                    Err(Errno(libc::EOPNOTSUPP)) => {
                        return Finding::not_applicable("EOPNOTSUPP: the file system gives no handles");
                    }
                    Err(errno) => return Finding::refused(&format!("name_to_handle_at({path})"), errno),
                };
                Finding::unless_reached(
                    &format!("open_by_handle_at({path})"),
                    handle.open(),
                    &[libc::ESTALE, libc::EINVAL],
                )
            },
        )
    };
    vec![
        by_handle("/"),
        by_handle("/sys"),
        by_handle("/tmp"),
        by_handle("/dev"),
        Probe::new("escape.open_by_handle_at.guessed", |_| {
            // Inode 2 is the root of ext4, whatever part of it is mounted here.
            Finding::unless_reached("open_by_handle_at(inode 2)", handle::guessed(2).open(), &[libc::ESTALE])
        }),
        Probe::new("escape.parent_of_root", |_| parent_of_root()),
        Probe::new("escape.working_directory", |_| working_directory()),
        Probe::new("escape.descriptors", |_| descriptors()),
        Probe::new("escape.executable", |_| executable()),
        Probe::new("escape.root_of_first_process", root_of_first),
        Probe::new("escape.chroot", |_| chroot()),
    ]
}

fn parent_of_root() -> Finding {
    let place = |path: &str| std::fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
    if place("/") == place("/..") && place("/") == place("/../../../..") {
        Finding::closed("/.. is /")
    } else {
        Finding::open("/.. is not /")
    }
}

/// A directory outside of the root, left open by an engine, is a way out (CVE-2024-21626).
fn working_directory() -> Finding {
    match std::fs::read_link("/proc/self/cwd") {
        Ok(path) if path.to_string_lossy().starts_with("(unreachable)") => {
            Finding::open(format!("the working directory is {}", path.display()))
        }
        Ok(path) => Finding::closed(format!("the working directory is {}", path.display())),
        Err(error) => Finding::of::<()>("readlink(/proc/self/cwd)", Err(error.into())),
    }
}

/// Directories, devices and sockets that were open before the program began.
fn descriptors() -> Finding {
    let mut left = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(Result::ok) {
        let Ok(number) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let link = std::fs::read_link(entry.path()).unwrap_or_default().display().to_string();
        // Pipes and the listing itself are the audit's own.
        let is_own =
            link.starts_with("pipe:") || link.starts_with("/proc/") || link.starts_with("/memfd:nicdock");
        let is_way_out = std::fs::metadata(entry.path())
            .is_ok_and(|metadata| metadata.is_dir() || metadata.rdev() != 0)
            || link.starts_with("socket:");
        if number > 2 && !is_own && is_way_out {
            left.push(format!("{number} ({link})"));
        }
    }
    if left.is_empty() {
        Finding::closed("no folder, device or socket was left open")
    } else {
        Finding::open(format!("left open: {}", left.join(", ")))
    }
}

/// The engine's own program, if it can be written through /proc/self/exe (CVE-2019-5736).
fn executable() -> Finding {
    let first = std::fs::OpenOptions::new().write(true).open("/proc/1/exe");
    match first {
        Ok(_) => Finding::open("/proc/1/exe can be opened for writing"),
        Err(error) => Finding::of::<()>("open(/proc/1/exe, O_WRONLY)", Err(error.into())),
    }
}

fn root_of_first(_: &Context) -> Finding {
    let place = |path: &str| std::fs::metadata(path).map(|m| (m.dev(), m.ino()));
    let (ours, theirs) = (place("/"), place("/proc/1/root/"));
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs && same_mounts() => {
            Finding::closed("/proc/1/root is the container's own root")
        }
        (_, Ok(_)) => Finding::open("/proc/1/root is another root, or another mount namespace's"),
        (_, Err(error)) => Finding::of::<()>("stat(/proc/1/root/)", Err(error.into())),
    }
}

fn same_mounts() -> bool {
    let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    link("1").is_none() || link("1") == link("self")
}

/// A second chroot with the working directory left outside climbs out of the first (chroot(2)). In a container the root is a
/// mount (pivot_root(2)), and above it is nothing.
fn chroot() -> Finding {
    let before = std::fs::metadata("/").map(|m| (m.dev(), m.ino())).ok();
    let folder = super::scene::folder();
    let climbed = std::env::set_current_dir("/")
        .map_err(Errno::from)
        .and_then(|()| rustix::process::chroot(folder).map_err(Errno::from))
        .and_then(|()| std::env::set_current_dir("../../../../../..").map_err(Errno::from))
        .and_then(|()| rustix::process::chroot(".").map_err(Errno::from));
    if let Err(errno) = climbed {
        return Finding::refused("chroot", errno);
    }
    if before == std::fs::metadata("/").map(|m| (m.dev(), m.ino())).ok() {
        Finding::closed("two chroots lead back to the container's own root")
    } else {
        Finding::open("two chroots lead out of the container's root")
    }
}
