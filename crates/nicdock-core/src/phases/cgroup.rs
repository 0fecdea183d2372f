//! The container's control group: which devices it may open, and which sockets it may make.

mod own;

pub use own::{
    below, check, container_of, end, folder, hand_down, has_controller, holds_only, is_populated, path,
    process_of, unchecked_names,
};

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::{Doing, PhaseError, sockets};
use crate::lease::DeviceNode;
use crate::request::Sockets;
use nicdock_sys::bpf::{self, ACCESS_MKNOD, DEVICE_CHAR, Hook, Instruction, op};
use nicdock_sys::membership;

/// Devices of every container: null, zero, full, random, urandom, tty, ptmx, and all of devpts
/// (Documentation/admin-guide/devices.txt). Not 5:1, the host's console: a container's own /dev/console is one of its devpts.
const DEFAULT_DEVICES: [(u32, Option<u32>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];

/// For asking what is attached: to which function does not matter then.
const ANY_LSM: Hook = Hook::Lsm(0);

/// Where the cgroup of a container's process is, by `/proc/PID/cgroup` (cgroups(7)).
#[derive(Clone, PartialEq, Eq)]
pub struct Cgroup {
    /// Version 1, the `devices` hierarchy.
    devices: Option<PathBuf>,
    /// Version 2.
    unified: Option<PathBuf>,
    /// Version 1, the `freezer` hierarchy.
    freezer: Option<PathBuf>,
}

impl Cgroup {
    pub fn of_process(pid: u32) -> Result<Self, PhaseError> {
        let path = format!("/proc/{pid}/cgroup");
        let text = fs::read_to_string(&path).doing(|| format!("reading {path}"))?;
        Ok(Self::parse(&text, Path::new("/sys/fs/cgroup/unified").exists()))
    }

    /// `hybrid`: version 2 is mounted beside version 1.
    pub fn parse(text: &str, hybrid: bool) -> Self {
        let mut this = Self { devices: None, unified: None, freezer: None };
        for group in membership::parse(text) {
            let join = |mount: &str| Some(group.below(Path::new(mount)));
            if group.has("devices") {
                this.devices = join("/sys/fs/cgroup/devices");
            } else if group.has("freezer") && !group.is_root() {
                this.freezer = join("/sys/fs/cgroup/freezer");
            } else if group.is_unified() && !group.is_root() {
                this.unified = join(if hybrid { "/sys/fs/cgroup/unified" } else { "/sys/fs/cgroup" });
            }
        }
        this
    }

    /// In each hierarchy the nearest group that holds all of these.
    pub fn holding(groups: &[Self]) -> Self {
        let common = |of: fn(&Self) -> Option<&Path>| {
            let mut folders = groups.iter().map(of);
            let first = folders.next()??.to_owned();
            folders.try_fold(first, |mut common, folder| {
                let folder = folder?;
                while !folder.starts_with(&common) && common.pop() {}
                Some(common)
            })
        };
        Self {
            devices: common(Self::devices),
            unified: common(Self::unified),
            freezer: common(Self::freezer),
        }
    }

    /// The group that decides about devices on version 1.
    pub fn devices(&self) -> Option<&Path> {
        self.devices.as_deref()
    }

    /// The group of version 2, if it is not the root.
    pub fn unified(&self) -> Option<&Path> {
        self.unified.as_deref()
    }

    /// The group of version 1 whose processes can be stopped, if it is not the root.
    pub fn freezer(&self) -> Option<&Path> {
        self.freezer.as_deref()
    }

    /// Refuses every socket but those of `allowed`, and what makes another one of a socket, by whatever way it is done: from a
    /// 32-bit program, by io_uring, by a process that is put in later.
    pub fn restrict_sockets(&self, allowed: &Sockets) -> Result<(), PhaseError> {
        let folder = self.unified.as_ref().ok_or(io::ErrorKind::NotFound);
        let folder = folder.doing(|| "finding the container's cgroup of version 2".into())?;
        let hooks = sockets::hooks()?;
        attach(folder, hooks.create, &sockets::program(allowed))?;
        attach(folder, hooks.option, &sockets::option_program())
    }

    /// Whether the container is under what was to restrict it: its devices, and its sockets if `sockets`.
    pub fn verify(&self, sockets: bool) -> Result<(), PhaseError> {
        let what = || "verifying the container's cgroups".to_owned();
        let differs = |text: String| Err(PhaseError::new(what(), io::Error::other(text)));
        match (&self.devices, &self.unified) {
            (Some(folder), _) => {
                let list = fs::read_to_string(folder.join("devices.list")).doing(what)?;
                if list.lines().any(|line| line.starts_with('a')) {
                    return differs(format!("{} allows every device", folder.display()));
                }
            }
            (None, Some(folder)) => {
                if attached(folder, Hook::Device)? == 0 {
                    return differs(format!("{} has no device program", folder.display()));
                }
            }
            (None, None) => return differs("it is in none that restricts devices".to_owned()),
        }
        match &self.unified {
            Some(folder) if sockets && attached(folder, ANY_LSM)? < sockets::PROGRAMS => {
                differs(format!("{} lacks a program for sockets", folder.display()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses every device but the default ones and `nodes`. Making nodes is left to `CAP_MKNOD`: opening counts.
    pub fn restrict_devices(&self, nodes: &[DeviceNode]) -> Result<(), PhaseError> {
        let given = nodes.iter().map(|n| (n.major, Some(n.minor)));
        let allowed: Vec<_> = DEFAULT_DEVICES.into_iter().chain(given).collect();
        match (&self.devices, &self.unified) {
            (Some(folder), _) => restrict_v1(folder, &allowed),
            (None, Some(folder)) => restrict_v2(folder, &allowed),
            (None, None) => {
                let error = io::Error::from(io::ErrorKind::NotFound);
                Err(PhaseError::new("finding the container's cgroup", error)
                    .with_advice("nicdock needs cgroup version 2, or version 1 with the devices controller, at /sys/fs/cgroup"))
            }
        }
    }
}

fn restrict_v1(folder: &Path, allowed: &[(u32, Option<u32>)]) -> Result<(), PhaseError> {
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        fs::write(&path, text).doing(|| format!("writing '{text}' to {}", path.display()))
    };
    write("devices.deny", "a")?;
    write("devices.allow", "c *:* m")?;
    for (major, minor) in allowed {
        let minor = minor.map_or_else(|| "*".to_owned(), |m| m.to_string());
        write("devices.allow", &format!("c {major}:{minor} rw"))?;
    }
    Ok(())
}

fn restrict_v2(folder: &Path, allowed: &[(u32, Option<u32>)]) -> Result<(), PhaseError> {
    attach(folder, Hook::Device, &device_program(allowed))
}

/// How many programs of a group of version 2 decide about something.
fn attached(folder: &Path, hook: Hook) -> Result<u32, PhaseError> {
    let what = || format!("asking for the BPF programs ({hook:?}) of {}", folder.display());
    bpf::count(hook, open(folder).doing(what)?.as_fd()).doing(what)
}

pub fn open(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::empty())?)
}

/// Attaches a program to a group of version 2.
fn attach(folder: &Path, hook: Hook, program: &[Instruction]) -> Result<(), PhaseError> {
    let what = || format!("attaching a BPF program ({hook:?}) to {}", folder.display());
    let cgroup = open(folder).doing(what)?;
    let program = bpf::load(hook, program).doing(|| format!("loading a BPF program ({hook:?})"))?;
    bpf::attach(hook, cgroup.as_fd(), &program).doing(what)
}

/// The device cgroup as a BPF program over `struct bpf_cgroup_dev_ctx` (access and type, major, minor).
fn device_program(allowed: &[(u32, Option<u32>)]) -> Vec<Instruction> {
    let make = Instruction::new;
    let answer = Instruction::answer;
    let mut program = vec![
        make(op::LOAD, 0x12, 0, 0), // r2 = access << 16 | type
        make(op::COPY, 0x23, 0, 0), // r3 = access
        make(op::SHIFT, 0x03, 0, 16),
        make(op::AND, 0x02, 0, 0xffff), // r2 = type
        make(op::LOAD, 0x14, 4, 0),     // r4 = major
        make(op::LOAD, 0x15, 8, 0),     // r5 = minor
        make(op::IF, 0x02, 2, DEVICE_CHAR),
    ];
    program.extend(answer(false));
    program.push(make(op::UNLESS, 0x03, 2, ACCESS_MKNOD));
    program.extend(answer(true));
    for (major, minor) in allowed {
        let rest = if minor.is_some() { 3 } else { 2 };
        program.push(make(op::UNLESS, 0x04, rest, *major));
        if let Some(minor) = minor {
            program.push(make(op::UNLESS, 0x05, 2, *minor));
        }
        program.extend(answer(true));
    }
    program.extend(answer(false));
    program
}

/// Whether the host has cgroup version 2 alone. With version 1 the container sees no /sys/fs/cgroup at all.
pub fn is_unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_several_is_the_nearest_in_each_hierarchy() {
        let of = |text: &str| Cgroup::parse(text, false);
        let tasks = [
            of("5:devices:/slurm/job_1/step_0/task_0\n6:freezer:/slurm/job_1/step_0\n"),
            of("5:devices:/slurm/job_1/step_0/task_1\n6:freezer:/slurm/job_1/step_0\n"),
        ];
        let whole = Cgroup::holding(&tasks);
        assert_eq!(whole.devices(), Some(Path::new("/sys/fs/cgroup/devices/slurm/job_1/step_0")));
        assert_eq!(whole.freezer(), Some(Path::new("/sys/fs/cgroup/freezer/slurm/job_1/step_0")));
        assert!(whole.unified().is_none());
        // One that is in no group of its own has nothing in common with others.
        let apart = Cgroup::holding(&[of("0::/a/b\n"), of("0::/\n")]);
        assert!(apart.unified().is_none());
    }
}
