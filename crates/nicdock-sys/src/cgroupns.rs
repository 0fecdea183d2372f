//! Where a process's cgroup namespace begins (cgroup_namespaces(7)).

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::netns::inode;

/// `/proc/PID/cgroup` as a process in that process's own cgroup namespace reads it: below the namespace's root. `None` if that is the caller's.
pub fn memberships(pid: u32) -> io::Result<Option<String>> {
    let home = File::open("/proc/thread-self/ns/cgroup")?;
    let theirs = File::open(format!("/proc/{pid}/ns/cgroup"))?;
    if inode(&home)? == inode(&theirs)? {
        return Ok(None);
    }
    let enter = |namespace: &File| {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::ControlGroup))
    };
    enter(&theirs)?;
    // The paths are told as the reader's namespace has them (`proc_cgroup_show()`, kernel/cgroup/cgroup.c).
    let list = fs::read_to_string(format!("/proc/{pid}/cgroup"));
    enter(&home)?;
    list.map(Some)
}
