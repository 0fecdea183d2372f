//! Getting into another process's place: namespaces, root, limits.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

/// setns(2) for every kind in turn, but the process namespace. The user namespace is last: before it, the caller may do everything.
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "uts", "net", "time_for_children", "mnt", "user"];

/// `RLIMIT_*` there are (include/uapi/asm-generic/resource.h).
const LIMITS: u32 = 16;

/// What is held of a process before its place is entered: from inside, the host's /proc is out of sight.
pub struct Place {
    namespaces: Vec<(&'static str, File)>,
    pid_namespace: Option<File>,
    root: OwnedFd,
    cwd: OwnedFd,
    /// The process's folder in the host's /proc.
    pub folder: OwnedFd,
    limits: Vec<(u32, libc::rlimit64)>,
}

impl Place {
    pub fn of(pid: u32) -> io::Result<Self> {
        let path = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |name: &str| rustix::fs::open(format!("/proc/{pid}/{name}"), path, Mode::empty());
        let (root, cwd, folder) = (open("root")?, open("cwd")?, open("")?);
        let mut namespaces = Vec::new();
        for name in NAMESPACES {
            match other_namespace(pid, name) {
                Ok(Some(file)) => namespaces.push((name, file)),
                Ok(None) => {}
                // A kernel without this kind.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let pid_namespace = other_namespace(pid, "pid_for_children")?;
        Ok(Self { namespaces, pid_namespace, root, cwd, folder, limits: limits(pid)? })
    }

    /// What it holds.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let namespaces = self.namespaces.iter().map(|(_, file)| file).chain(&self.pid_namespace);
        let folders = [&self.root, &self.cwd, &self.folder];
        namespaces.map(File::as_fd).chain(folders.into_iter().map(OwnedFd::as_fd)).collect()
    }

    /// Makes the caller's children be in the process namespace. The caller itself stays out of it, and out of sight.
    pub fn enter_pid_namespace(&self) -> io::Result<()> {
        self.pid_namespace.as_ref().map_or(Ok(()), set)
    }

    /// Enters all else, and the process namespace for the caller's children. Gives the names of what could not be entered with the reason.
    pub fn enter(&self) -> Result<(), (&'static str, io::Error)> {
        for (resource, limit) in &self.limits {
            // SAFETY: the limit lives until the call returns.
            let result =
                unsafe { libc::prlimit64(0, *resource, std::ptr::from_ref(limit), std::ptr::null_mut()) };
            if result < 0 {
                return Err(("its resource limits", io::Error::last_os_error()));
            }
        }
        let (user, others): (Vec<_>, Vec<_>) = self.namespaces.iter().partition(|(name, _)| *name == "user");
        for (name, file) in others {
            set(file).map_err(|error| (*name, error))?;
        }
        let root = || -> io::Result<()> {
            rustix::process::fchdir(&self.root)?;
            rustix::process::chroot(".")?;
            Ok(rustix::process::fchdir(&self.cwd)?)
        };
        root().map_err(|error| ("its root", error))?;
        // It may belong to another user namespace than the process's own.
        self.enter_pid_namespace().map_err(|error| ("its process namespace", error))?;
        for (name, file) in user {
            set(file).map_err(|error| (*name, error))?;
            become_root();
        }
        Ok(())
    }

    /// A file of the process's folder, read now.
    pub fn read(&self, name: &str) -> io::Result<String> {
        let file = rustix::fs::openat(&self.folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        io::read_to_string(File::from(file))
    }
}

/// The process's namespace of a kind, if it is not ours already: joining one's own user namespace is an error.
fn other_namespace(pid: u32, name: &str) -> io::Result<Option<File>> {
    let theirs = format!("/proc/{pid}/ns/{name}");
    let same = fs::read_link(&theirs)? == fs::read_link(format!("/proc/self/ns/{name}"))?;
    if same { Ok(None) } else { File::open(theirs).map(Some) }
}

fn set(namespace: &File) -> io::Result<()> {
    // SAFETY: the call takes a descriptor and a number; nicdock has one thread.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The user namespace's root, and every capability in it over the exec, also where root has no mapping there: the audit
/// gives up afterwards what the process does not have.
fn become_root() {
    const ALL: usize = 41;
    // SAFETY: these calls take numbers, and capset(2) two structures of version 3 that live until it returns.
    unsafe {
        libc::setresgid(0, 0, 0);
        libc::setresuid(0, 0, 0);
        let header = [0x2008_0522_u32, 0];
        let mut data = [[0_u32; 3]; 2];
        if libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) == 0 {
            for half in &mut data {
                half[2] = half[1];
            }
            libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr());
        }
        for capability in 0..ALL {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0_usize, 0_usize);
        }
    }
}

fn limits(pid: u32) -> io::Result<Vec<(u32, libc::rlimit64)>> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut limits = Vec::new();
    for resource in 0..LIMITS {
        let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the kernel writes the limit while it lives.
        if unsafe { libc::prlimit64(pid, resource, std::ptr::null(), &raw mut limit) } < 0 {
            return Err(io::Error::last_os_error());
        }
        limits.push((resource, limit));
    }
    Ok(limits)
}

/// For a test of what happens when the process namespace is not entered last. Forks; the child, in its new process namespace, runs `work` and exits with its result. Gives that: 125 for a signal.
pub fn fork_and_wait(work: impl FnOnce() -> i32) -> io::Result<i32> {
    // SAFETY: the process is single-threaded, so the child's copy of every lock is consistent.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let status = if super::child::die_with_parent().is_ok() { work() } else { 125 };
            // SAFETY: ends this process without running the parent's destructors and exit handlers.
            unsafe { libc::_exit(status) }
        }
        pid => {
            let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::Other)?;
            loop {
                match rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()) {
                    Ok(Some((_, status))) => return Ok(status.exit_status().unwrap_or(125)),
                    Ok(None) | Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
    }
}
