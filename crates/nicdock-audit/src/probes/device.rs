//! `device.*`: opening nodes of devices that are not the container's, made in every place and way.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::kernel::errno::Errno;
use crate::kernel::node::{self, Kind};
use crate::kernel::{mount, namespace};
use crate::probe::{Context, Finding, Probe};
use crate::target::Node;

/// Where a node might be made: nodev mounts and others.
const PLACES: [(&str, &str); 7] = [
    ("dev", "/dev"),
    ("infiniband", "/dev/infiniband"),
    ("shm", "/dev/shm"),
    ("tmp", "/tmp"),
    ("run", "/run"),
    ("var_tmp", "/var/tmp"),
    ("root", "/"),
];

/// Devices of the host by their fixed numbers (Documentation/admin-guide/devices.txt).
///
/// Not tried, since opening alone has effects: watchdogs (start counting), snapshot (stops suspending), serial ports (raise
/// modem lines), tape drives (wind).
const OTHERS: [(&str, Kind, u32, u32); 38] = [
    ("mem", Kind::Char, 1, 1),
    ("kmem", Kind::Char, 1, 2),
    ("port", Kind::Char, 1, 4),
    ("kmsg", Kind::Char, 1, 11),
    ("tty1", Kind::Char, 4, 1),
    ("vcs", Kind::Char, 7, 0),
    ("vcsa1", Kind::Char, 7, 129),
    ("nvram", Kind::Char, 10, 144),
    ("hwrng", Kind::Char, 10, 183),
    ("vfio", Kind::Char, 10, 196),
    ("console", Kind::Char, 5, 1),
    ("tun", Kind::Char, 10, 200),
    ("cuse", Kind::Char, 10, 203),
    ("uinput", Kind::Char, 10, 223),
    ("hpet", Kind::Char, 10, 228),
    ("fuse", Kind::Char, 10, 229),
    ("kvm", Kind::Char, 10, 232),
    ("btrfs", Kind::Char, 10, 234),
    ("mapper", Kind::Char, 10, 236),
    ("loop_control", Kind::Char, 10, 237),
    ("vhost_net", Kind::Char, 10, 238),
    ("uhid", Kind::Char, 10, 239),
    ("vhost_vsock", Kind::Char, 10, 241),
    ("mice", Kind::Char, 13, 63),
    ("event0", Kind::Char, 13, 64),
    ("sg0", Kind::Char, 21, 0),
    ("fb0", Kind::Char, 29, 0),
    ("i2c0", Kind::Char, 89, 0),
    ("ppp", Kind::Char, 108, 0),
    ("msr0", Kind::Char, 202, 0),
    ("cpuid0", Kind::Char, 203, 0),
    ("drm0", Kind::Char, 226, 0),
    ("loop0", Kind::Block, 7, 0),
    ("sda", Kind::Block, 8, 0),
    ("md0", Kind::Block, 9, 0),
    ("dm0", Kind::Block, 253, 0),
    ("vda", Kind::Block, 254, 0),
    ("ram0", Kind::Block, 1, 0),
];

/// What every container's /dev has, with links and folders.
const DEFAULT: [&str; 18] = [
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "console",
    "ptmx",
    "pts",
    "shm",
    "mqueue",
    "fd",
    "stdin",
    "stdout",
    "stderr",
    "core",
    "infiniband",
    "rdma_cm",
];

/// `IB_*_MAJOR` (drivers/infiniband/core): uverbs from minor 192, umad from 0, issm from 64.
const RDMA_MAJOR: u32 = 231;

pub fn probes(context: &Context) -> Vec<Probe> {
    let mut probes = Vec::new();
    let own = &context.target.own.nodes;
    let is_own = |node: &Node| own.iter().any(|own| (own.major, own.minor) == (node.major, node.minor));
    for node in context.target.foreign.nodes.iter().filter(|node| !is_own(node)) {
        let make = |way: &str, attempt: fn(&Node) -> Finding| {
            let node = node.clone();
            Probe::new(format!("device.open.{}.{way}", node.name), move |_| attempt(&node))
        };
        probes.push(make("existing", existing));
        probes.push(make("own_tmpfs", |node| in_tmpfs(namespace::own_mounts(), node)));
        probes.push(make("userns_tmpfs", |node| in_tmpfs(namespace::own_user(0), node)));
        for (name, folder) in PLACES {
            let node = node.clone();
            probes.push(Probe::new(format!("device.open.{}.{name}", node.name), move |_| {
                judge(made_and_opened(folder, Kind::Char, node.major, node.minor), true)
            }));
        }
    }
    let mut majors: Vec<u32> = context.target.foreign.nodes.iter().map(|node| node.major).collect();
    majors.extend([RDMA_MAJOR]);
    // Not misc (10): its other minors are other devices.
    majors.retain(|major| *major != 10);
    majors.sort_unstable();
    majors.dedup();
    for major in majors {
        let name = if major == RDMA_MAJOR { "rdma".to_owned() } else { "rdma_dynamic".to_owned() };
        probes.push(Probe::new(format!("device.sweep.{name}"), move |context| sweep(context, major)));
    }
    for (name, kind, major, minor) in OTHERS {
        probes.push(Probe::new(format!("device.other.{name}"), move |_| other(kind, major, minor)));
    }
    probes.push(Probe::new("device.listing", listing));
    probes
}

/// What making and opening gave.
struct Opened {
    what: String,
    result: Result<(), Errno>,
}

/// Makes a node, opens it by several ways, and takes it away again.
fn made_and_opened(folder: &str, kind: Kind, major: u32, minor: u32) -> Opened {
    let path = format!("{folder}/.nicdock-audit-{}", std::process::id());
    let letter = if kind == Kind::Char { 'c' } else { 'b' };
    if let Err(errno) = node::make(&path, kind, major, minor) {
        return Opened { what: format!("mknod({folder}, {letter} {major}:{minor})"), result: Err(errno) };
    }
    let opened = open(&path);
    let _ = std::fs::remove_file(&path);
    Opened { what: format!("open({letter} {major}:{minor}, made in {folder})"), result: opened }
}

fn open(path: &str) -> Result<(), Errno> {
    node::open(path, OFlags::RDONLY)
        .or_else(|_| node::open(path, OFlags::RDWR))
        .or_else(|_| node::open_by_path_descriptor(path))
        .map(drop)
}

/// What the device cgroup, the mount or the user namespace refuses is closed. An answer of the driver's, or that there is none
/// yet, came after them: `absent_is_open` says whether one that is plugged later would be the container's to open.
fn judge(opened: Opened, absent_is_open: bool) -> Finding {
    let Opened { what, result } = opened;
    match result {
        Err(errno @ Errno(libc::ENXIO | libc::ENODEV)) if !absent_is_open => Finding::not_applicable(
            format!("{errno}: the device cgroup lets it pass, and the kernel has no such device"),
        ),
        Err(
            errno @ Errno(
                libc::EPERM
                | libc::EACCES
                | libc::ENOENT
                | libc::ENOSYS
                | libc::EROFS
                | libc::ENOTDIR
                | libc::ENOSPC,
            ),
        ) => Finding::refused(&what, errno),
        Err(errno) => Finding::open(format!("{what}: {errno}, which the device cgroup did not say")),
        Ok(()) => Finding::open(format!("{what}: succeeded")),
    }
}

/// A node of these numbers that is there already.
fn existing(node: &Node) -> Finding {
    let device = libc::makedev(node.major, node.minor);
    let mut paths = vec![PathBuf::from(format!("/dev/char/{}:{}", node.major, node.minor))];
    find_nodes(Path::new("/dev"), 0, &mut |path, metadata| {
        if metadata.file_type().is_char_device() && metadata.rdev() == device {
            paths.push(path.to_owned());
        }
    });
    let mut last = Finding::closed("no node of its numbers in /dev");
    for path in paths.iter().filter(|path| path.exists()) {
        let path = path.display().to_string();
        let finding = judge(Opened { what: format!("open({path})"), result: open(&path) }, true);
        if finding.verdict == crate::Verdict::Open {
            return finding;
        }
        last = finding;
    }
    last
}

fn find_nodes(folder: &Path, depth: usize, found: &mut dyn FnMut(&Path, &std::fs::Metadata)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() && depth < 4 {
            find_nodes(&entry.path(), depth + 1, found);
        } else {
            found(&entry.path(), &metadata);
        }
    }
}

/// On a tmpfs of our own, mounted without nodev.
fn in_tmpfs(entered: Result<(), Errno>, node: &Node) -> Finding {
    if let Err(errno) = entered {
        return Finding::refused("a mount namespace for a tmpfs of its own", errno);
    }
    let folder = super::scene::folder();
    if let Err(errno) = mount::mount("tmpfs", folder, "tmpfs", 0) {
        return Finding::refused(&format!("mount(tmpfs on {folder})"), errno);
    }
    judge(made_and_opened(folder, Kind::Char, node.major, node.minor), true)
}

/// Every minor of an RDMA major: what is plugged later gets one of them.
fn sweep(context: &Context, major: u32) -> Finding {
    let own = &context.target.own.nodes;
    let mut last = None;
    for minor in 0..320 {
        if own.iter().any(|own| (own.major, own.minor) == (major, minor)) {
            continue;
        }
        let finding = judge(made_and_opened("/dev", Kind::Char, major, minor), true);
        if finding.verdict == crate::Verdict::Open {
            return finding;
        }
        last = Some(finding);
    }
    last.map_or_else(
        || Finding::closed("nothing to try"),
        |finding| Finding::closed(format!("320 minors, the last: {}", finding.evidence)),
    )
}

fn other(kind: Kind, major: u32, minor: u32) -> Finding {
    let device = libc::makedev(major, minor);
    let mut there = None;
    find_nodes(Path::new("/dev"), 0, &mut |path, metadata| {
        let same_kind = if kind == Kind::Char {
            metadata.file_type().is_char_device()
        } else {
            metadata.file_type().is_block_device()
        };
        if same_kind && metadata.rdev() == device {
            there = Some(path.display().to_string());
        }
    });
    if let Some(path) = there {
        let finding = judge(Opened { what: format!("open({path})"), result: open(&path) }, false);
        if finding.verdict == crate::Verdict::Open {
            return finding;
        }
    }
    judge(made_and_opened("/dev", kind, major, minor), false)
}

/// `UNIX98_PTY_SLAVE_MAJOR`, eight of them (include/uapi/linux/major.h).
const PTS_MAJORS: std::ops::Range<u32> = 136..144;

/// Only default devices and its own.
fn listing(context: &Context) -> Finding {
    let own: Vec<&str> = context.target.own.nodes.iter().map(|node| node.name.as_str()).collect();
    let mut more = Vec::new();
    find_nodes(Path::new("/dev"), 0, &mut |path, metadata| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_node = metadata.file_type().is_char_device() || metadata.file_type().is_block_device();
        // Wherever it is: engines show a container's pseudo-terminal as /dev/tty1, too.
        let is_terminal = path.starts_with("/dev/pts")
            || metadata.file_type().is_char_device() && PTS_MAJORS.contains(&libc::major(metadata.rdev()));
        if is_node && !is_terminal && !DEFAULT.contains(&name.as_str()) && !own.contains(&name.as_str()) {
            more.push(name);
        }
    });
    if more.is_empty() {
        Finding::closed("/dev has the default devices and the container's own")
    } else {
        more.sort();
        Finding::open(format!("/dev has {} more nodes: {}", more.len(), more[..more.len().min(8)].join(", ")))
    }
}
