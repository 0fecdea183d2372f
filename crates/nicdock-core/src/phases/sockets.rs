//! Which sockets the container may make, and what may not be made of them, decided in the kernel's security hooks for all of them
//! (`security_socket_create()`, `security_socket_setsockopt()`).
//!
//! The layer below seccomp, where the kernel has the BPF LSM: a filter on system calls does not see io_uring, and each
//! architecture has calls of its own.

mod programs;

pub use programs::{narrow_program, option_program, program};

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::{Doing, PhaseError, cgroup};
use nicdock_sys::bpf::Hook;
use nicdock_sys::{btf, mount};

/// The kernel's type information.
const TYPES: &str = "/sys/kernel/btf/vmlinux";
/// What the BPF LSM calls (include/linux/bpf_lsm.h).
const CREATE: &str = "bpf_lsm_socket_create";
const OPTION: &str = "bpf_lsm_socket_setsockopt";

/// How many programs restrict a container's sockets.
pub const PROGRAMS: u32 = 2;

/// Where they are attached. The second one asks the group of the socket, which is that in which it was made
/// (`__cgroup_bpf_run_lsm_socket()`).
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    pub create: Hook,
    pub option: Hook,
}

/// Whether a program of the container's cgroup is asked about sockets: cgroup version 2, the BPF LSM in the kernel and active
/// (`lsm=` on its command line; only root can tell).
pub fn are_hooked() -> bool {
    let active = || active_modules().is_ok_and(|list| list.split(',').any(|module| module.trim() == "bpf"));
    cgroup::is_unified() && Path::new(TYPES).exists() && active()
}

pub fn hooks() -> Result<Hooks, PhaseError> {
    let types = fs::read(TYPES).doing(|| format!("reading {TYPES}"))?;
    let find = |name: &str| {
        let function = btf::function(&types, name);
        function.map(Hook::Lsm).ok_or(io::ErrorKind::NotFound).doing(|| format!("finding {name} in {TYPES}"))
    };
    Ok(Hooks { create: find(CREATE)?, option: find(OPTION)? })
}

/// From a securityfs that is mounted nowhere, since the host may have none.
fn active_modules() -> io::Result<String> {
    let securityfs = mount::detached("securityfs", &[], MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    let file = rustix::fs::openat(&securityfs, "lsm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    io::read_to_string(fs::File::from(file))
}
