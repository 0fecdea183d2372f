//! What a running Debian has mounted, so that engines find what they expect. `/proc`, `/sys`, `/dev` and `/run` are there.

use crate::lab::job::Job;
use crate::lab::machine::OUT_SHARE;
use anyhow::{Context, Result};
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, mount as mount_fs, mount_bind, move_mount, open_tree,
};
use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where the guest writes what the host is to keep.
pub const OUT: &str = "/lab";

/// Type, place, options. Engines keep their layers in /var/lib: overlay does not stack on the overlay that `/` is.
const MOUNTS: &[(&str, &str, &str)] = &[
    ("devpts", "/dev/pts", "mode=620,gid=5,ptmxmode=666"),
    ("tmpfs", "/dev/shm", "mode=1777"),
    ("mqueue", "/dev/mqueue", ""),
    ("tmpfs", "/tmp", "mode=1777"),
    ("tmpfs", "/var/lib/containers", "mode=0755"),
    ("tmpfs", "/var/lib/containerd", "mode=0755"),
    ("tmpfs", "/var/lib/docker", "mode=0755"),
];

/// udev would make these.
const LINKS: &[(&str, &str)] = &[
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

pub fn mount(job: &Job) -> Result<()> {
    let kept: Vec<(&Path, OwnedFd)> =
        job.keep.iter().map(|dir| Ok((dir.as_path(), detach(dir)?))).collect::<Result<_>>()?;
    for (kind, place, options) in MOUNTS {
        mount_one(kind, kind, place, options)?;
    }
    for (dir, tree) in &kept {
        put_back(dir, tree)?;
    }
    for (target, link) in LINKS {
        symlink(target, link).with_context(|| format!("cannot link {link}"))?;
    }
    // cache=mmap: written through to the host, and programs may still map files.
    mount_one(OUT_SHARE, "9p", OUT, "trans=virtio,version=9p2000.L,msize=512000,cache=mmap")?;
    let modules = "/lib/modules";
    fs::create_dir_all(modules).with_context(|| format!("cannot make {modules}"))?;
    mount_bind(&job.modules_dir, modules)
        .with_context(|| format!("cannot put the kernel's modules at {modules}"))
}

fn mount_one(source: &str, kind: &str, place: &str, options: &str) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("cannot make {place}"))?;
    mount_fs(source, place, kind, MountFlags::empty(), CString::new(options)?.as_c_str())
        .with_context(|| format!("cannot mount {kind} at {place}"))
}

/// A hold on a directory as it is before something is mounted above it.
fn detach(dir: &Path) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, dir, flags).with_context(|| format!("cannot find {} in the guest", dir.display()))
}

/// The guest's own empty /tmp must not hide the repository or the current directory, should they be there.
fn put_back(dir: &Path, tree: &OwnedFd) -> Result<()> {
    if dir.exists() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    move_mount(tree, "", CWD, dir, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .with_context(|| format!("cannot keep {} visible", dir.display()))
}
