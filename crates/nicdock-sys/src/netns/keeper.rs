//! Who keeps a network namespace, so that the kernel does not destroy it: a handle on it, whatever keeps it.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::processes;
use crate::tables::descriptors;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::{behind, inode};
use crate::child::Child;
use crate::closing::Closing;
use crate::failpoint;
use crate::secluded::{Streams, seclude};
use crate::{mount, mountinfo, passing, tables};

/// `PIDFD_THREAD` (include/uapi/linux/pidfd.h): a handle on a thread that need not be its process's first; kernels before 6.9 refuse it.
const PIDFD_THREAD: u32 = libc::O_EXCL.cast_unsigned();
/// `SIOCGSKNS` (include/uapi/linux/sockios.h): a handle on a socket's network namespace.
const SIOCGSKNS: libc::c_ulong = 0x894c;

/// How often is looked whether the search goes on.
const LOOK: Duration = Duration::from_millis(20);
/// A search of the largest host takes less.
const WHOLE_SEARCH: Duration = Duration::from_secs(60);

/// By what a process may keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keepers {
    /// A thread in it, a descriptor of it, a mount of it.
    Handles,
    /// One of these, or a socket that was made in it.
    Any,
}

/// A handle on the network namespace with this number, should a process keep it.
///
/// Errors: for `limit` it stood still. What is looked at is others', and a file system or a socket of theirs may never answer; so a child looks,
/// which is left behind then. That it is slow, on a busy machine or one with many processes, is none.
pub fn find(number: u64, keepers: Keepers, limit: Duration) -> io::Result<Option<OwnedFd>> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Child::fork(|| {
        let looked = seclude(&[theirs.as_fd()], Streams::default()).and_then(|()| look(number, keepers));
        match looked.map(|found| found.map(|handle| passing::send(&theirs, &handle))) {
            Ok(None | Some(Ok(()))) => 0,
            Err(error) | Ok(Some(Err(error))) => error.raw_os_error().unwrap_or(libc::EIO),
        }
    })?;
    drop(theirs);
    let begin = Instant::now();
    let mut asleep = Duration::ZERO;
    loop {
        let time = Timespec::try_from(LOOK).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&ours, PollFlags::IN)], Some(&time)) {
            Ok(0) => {}
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        asleep = if is_asleep(child.pid()) { asleep + LOOK } else { Duration::ZERO };
        let is_over = asleep >= limit || begin.elapsed() > WHOLE_SEARCH;
        if is_over && !Closing::HolderSearch.is_left_open() {
            child.abandon();
            let reason = "a file system or a socket of a process does not answer";
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
    }
    let handle = passing::receive(&ours)?;
    match child.wait()? {
        0 => {}
        errno => return Err(io::Error::from_raw_os_error(errno)),
    }
    Ok(handle.filter(|handle| inode(handle).is_ok_and(|found| found == number)))
}

/// Whether a process waits for something (proc_pid_stat(5)). One that has been stopped does not: only the administrator can do that.
fn is_asleep(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with(['S', 'D']))
}

fn look(number: u64, keepers: Keepers) -> io::Result<Option<OwnedFd>> {
    let link = format!("net:[{number}]");
    let is_it = |path: &Path| fs::read_link(path).is_ok_and(|target| target.as_os_str() == link.as_str());
    let mut seen = BTreeSet::new();
    for pid in processes::all()? {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for thread in threads.map(|entry| entry.path()) {
            // Not a name that the process decides about.
            let own = thread.join("ns/net");
            if is_it(&own)
                && let Ok(handle) = File::open(own)
            {
                return Ok(Some(handle.into()));
            }
            // Processes of one mount namespace have the same mounts.
            if fs::read_link(thread.join("ns/mnt")).is_ok_and(|namespace| seen.insert(namespace))
                && let Some(handle) = mounted(&thread, number, &link)
            {
                return Ok(Some(handle));
            }
        }
        for path in every_descriptor(pid).map(|(_, path)| path).filter(|path| is_it(path)) {
            failpoint::reach("holder.seen")?;
            // By now it may be anything else.
            let handle = if Closing::HolderSearch.is_left_open() {
                File::open(path).map(|file| Some(file.into()))
            } else {
                mount::open_host_path(&path).and_then(|path| behind(&path, number))
            };
            if let Ok(Some(handle)) = handle {
                return Ok(Some(handle));
            }
        }
    }
    if keepers == Keepers::Handles || Closing::SocketHolders.is_left_open() {
        return Ok(None);
    }
    Ok(processes::all()?.find_map(|pid| by_socket(pid, number)))
}

/// A mount of the namespace that a thread sees.
fn mounted(thread: &Path, number: u64, link: &str) -> Option<OwnedFd> {
    let mounts = fs::read(thread.join("mountinfo")).ok()?;
    let mounted = mountinfo::parse(&mounts)
        .find(|mounted| mounted.kind == "nsfs" && mounted.root.as_os_str() == link)?;
    // The way to it is the container's: no link is followed out of its root.
    let root = mount::open_host_path(&thread.join("root")).ok()?;
    let path = mount::open_inside(&root, &mounted.point, OFlags::PATH).ok()?;
    behind(&path, number).ok()?
}

/// Each with the thread in whose table it is.
fn every_descriptor(pid: u32) -> impl Iterator<Item = (u32, PathBuf)> {
    let threads = tables::threads(pid).into_iter().flatten();
    threads.flat_map(move |thread| {
        descriptors(pid, thread).into_iter().flatten().map(move |path| (thread, path))
    })
}

/// By a socket of the process: sock_ioctl() asks for CAP_NET_ADMIN over the namespace.
fn by_socket(pid: u32, number: u64) -> Option<OwnedFd> {
    let mut holder: Option<(u32, OwnedFd)> = None;
    for (thread, path) in every_descriptor(pid) {
        if !fs::read_link(&path).is_ok_and(|target| target.to_string_lossy().starts_with("socket:[")) {
            continue;
        }
        if holder.as_ref().is_none_or(|(of, _)| *of != thread) {
            holder = open_thread(pid, thread).ok().map(|handle| (thread, handle));
        }
        let Some((_, handle)) = &holder else { continue };
        let Some(descriptor) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        // It is the same open socket, not another one: nothing of it changes.
        let Ok(socket) = pidfd_getfd(handle, descriptor, PidfdGetfdFlags::empty()) else { continue };
        if let Ok(namespace) = namespace_of(&socket)
            && inode(&namespace).is_ok_and(|found| found == number)
        {
            return Some(namespace);
        }
    }
    None
}

fn open_thread(pid: u32, thread: u32) -> io::Result<OwnedFd> {
    let flags = if thread == pid { PidfdFlags::empty() } else { PidfdFlags::from_bits_retain(PIDFD_THREAD) };
    let thread = i32::try_from(thread).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(thread, flags)?)
}

fn namespace_of(socket: &OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: the request takes no argument, and gives a new descriptor or an error.
    let handle = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS) };
    if handle < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(handle) })
}

/// The processes that have a socket in which descriptors lie that nobody has received, by `scm_fds` of /proc/PID/fdinfo (`unix_show_fdinfo()`).
pub fn with_unread_descriptors() -> Vec<u32> {
    let has_unread = |path: &PathBuf| {
        let Some(name) = path.file_name() else { return false };
        let is_socket =
            fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("socket:["));
        let info = path.parent().map(|folder| folder.with_file_name("fdinfo").join(name));
        is_socket
            && info.and_then(|info| fs::read_to_string(info).ok()).is_some_and(|text| {
                let mut lines = text.lines().filter_map(|line| line.strip_prefix("scm_fds:"));
                lines.any(|count| count.trim() != "0")
            })
    };
    let own = std::process::id();
    let others = processes::all().into_iter().flatten().filter(|pid| *pid != own);
    others.filter(|pid| every_descriptor(*pid).any(|(_, path)| has_unread(&path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processes_with_unread_descriptors_is_named() {
        let (one, other) = UnixStream::pair().unwrap();
        // This process is passed over, so a child has the socket.
        let mut child =
            std::process::Command::new("sleep").arg("60").stdin(OwnedFd::from(other)).spawn().unwrap();
        passing::send(&one, &File::open("/dev/null").unwrap().into()).unwrap();
        let found = with_unread_descriptors();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&child.id()), "{found:?}");
    }
}
