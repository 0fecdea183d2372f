//! The container's control group: which devices it may open, and ending all that is in it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use super::devices::DeviceNode;
use super::{Doing, PhaseError, rdma_limits, sockets};
use crate::kernel::bpf::{self, ACCESS_MKNOD, DEVICE_CHAR, Hook, Instruction, op};
use crate::kernel::membership;
use crate::request::Family;

/// Devices of every container: null, zero, full, random, urandom, tty, console, ptmx, and all of devpts
/// (Documentation/admin-guide/devices.txt).
const DEFAULT_DEVICES: [(u32, Option<u32>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// For asking what is attached: to which function does not matter then.
const ANY_LSM: Hook = Hook::Lsm(0);

/// Where the cgroup of a container's process is, by `/proc/PID/cgroup` (cgroups(7)).
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

    /// Refuses every socket but those of `families` and of the few safe protocols of netlink, by whatever way it is made: from
    /// a 32-bit program, by io_uring, by a process that is put in later.
    pub fn restrict_sockets(&self, families: &[Family]) -> Result<(), PhaseError> {
        let folder = self.unified.as_ref().ok_or(io::ErrorKind::NotFound);
        let folder = folder.doing(|| "finding the container's cgroup of version 2".into())?;
        attach(folder, sockets::hook()?, &sockets::program(families))
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
            Some(folder) if sockets && attached(folder, ANY_LSM)? == 0 => {
                differs(format!("{} has no program for sockets", folder.display()))
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

/// Ends every process in the cgroups of container `name` and those below, waits for it, and removes them.
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
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            empty &= remove(&entry.path())?;
        }
    }
    let own = rustix::process::getpid();
    for pid in processes(folder)?.into_iter().filter(|pid| *pid != own) {
        empty = false;
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
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

/// The processes of one cgroup; of one in threaded mode they are its root's (cgroups(7)).
fn processes(folder: &Path) -> io::Result<Vec<rustix::process::Pid>> {
    match fs::read_to_string(folder.join("cgroup.procs")) {
        Ok(procs) => Ok(procs
            .lines()
            .filter_map(|l| l.parse().ok())
            .filter_map(rustix::process::Pid::from_raw)
            .collect()),
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV)) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
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
    membership::parse(&text).find_map(|group| {
        let name = group.path.strip_prefix("/nicdock/")?.strip_prefix(PREFIX)?;
        Some(name.split('/').next()?.to_owned())
    })
}

/// Every container in whose cgroups there are processes.
pub fn populated() -> Vec<String> {
    let has_some = |folder: &PathBuf| processes(folder).is_ok_and(|list| !list.is_empty());
    names().into_iter().filter(|name| folders(name).iter().any(has_some)).collect()
}

/// Every container that has a cgroup.
pub fn names() -> Vec<String> {
    let listed = |mount: PathBuf| fs::read_dir(mount.join("nicdock")).into_iter().flatten().flatten();
    let entries = hierarchies().into_iter().flat_map(listed).map(|entry| entry.file_name());
    let names: BTreeSet<String> =
        entries.filter_map(|name| Some(name.to_str()?.strip_prefix(PREFIX)?.to_owned())).collect();
    names.into_iter().collect()
}

/// The container's folders in every hierarchy.
fn folders(name: &str) -> Vec<PathBuf> {
    hierarchies().into_iter().map(|mount| below(&mount, name)).filter(|p| p.exists()).collect()
}

/// Where hierarchies may be mounted.
fn hierarchies() -> Vec<PathBuf> {
    let mut mounts = vec![PathBuf::from("/sys/fs/cgroup")];
    if let Ok(entries) = fs::read_dir("/sys/fs/cgroup") {
        mounts.extend(
            entries
                .filter_map(Result::ok)
                .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
                .map(|e| e.path()),
        );
    }
    mounts
}

/// Whether the host has cgroup version 2 alone. With version 1 the container sees no /sys/fs/cgroup at all.
pub fn is_unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The container's folder in the hierarchy mounted at `mount`.
pub fn below(mount: &Path, name: &str) -> PathBuf {
    mount.join(path(name).trim_start_matches('/'))
}

/// Where libcontainer puts the container (`linux.cgroupsPath`). No file of a cgroup's own begins so.
pub fn path(name: &str) -> String {
    format!("/nicdock/{PREFIX}{name}")
}

const PREFIX: &str = "container-";
