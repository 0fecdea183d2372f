//! What is done in the container's namespaces, from outside, before its program starts: volumes, nodes and view.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::devices::{every_node, given_nodes};
use super::{Doing, PhaseError, limits, verify};
use crate::lease::DeviceNode;
use crate::plan::{Grant, Plan};
use crate::request::{Root, User};
use crate::view::{self, Brought, Shown};
use nicdock_sys::closing::Closing;
use nicdock_sys::{mount, netns};

/// `TMPFS_MAGIC` (include/uapi/linux/magic.h).
pub const TMPFS_MAGIC: i64 = 0x0102_1994;

/// What was prepared on the host: mounts that are mounted nowhere yet.
pub struct Prepared {
    /// The container's root file system.
    pub root: OwnedFd,
    /// As the plan has them.
    pub volumes: Vec<OwnedFd>,
}

/// What the container has now, to be compared with what was promised.
pub struct Entered {
    pub shown: Shown,
    /// `/proc/PID` of the container's first process, opened where that process can be seen.
    pub process: OwnedFd,
    /// The file system of its nodes, writable, for who removes them when the container has ended ([`remove_nodes`]).
    pub nodes: Option<OwnedFd>,
}

/// Enters the mount namespace of `init` (the caller is in its network namespace) and composes its file system: `volumes`,
/// copies of the plan's, then /dev, /proc and /sys.
pub fn compose(plan: &Plan, prepared: &Prepared, init: u32) -> Result<Entered, PhaseError> {
    let given = given_nodes(&plan.grants)?;
    let shown = shown(&plan.grants, &given, plan.container.registers);
    let nodes = if Closing::Nodes.is_left_open() { every_node()? } else { given };
    verify::namespaces(init, plan.container.userns)?;
    let process = mount::open_host_path(Path::new(&format!("/proc/{init}")))
        .doing(|| format!("opening /proc/{init}"))?;
    let brought =
        Brought::for_process(init, false).doing(|| "copying the host's sysfs and cgroups".into())?;
    netns::enter_mounts_of(init)
        .doing(|| format!("entering the mount namespace of the container (process {init})"))?;
    let root = &prepared.root;
    exchange_root(root, plan.container.root == Root::Host)?;
    for (volume, copy) in plan.container.volumes.iter().zip(&prepared.volumes) {
        mount_volume(root, &volume.destination, copy)?;
    }
    let node_folder = if nodes.is_empty() { None } else { Some(mount_nodes(root, plan, &nodes)?) };
    let sys = open_tmpfs(root, "/sys")?;
    let failed =
        |e: view::ViewError| PhaseError::new(format!("showing {} in the container", e.path), e.error);
    view::compose(sys.as_fd(), brought, plan.container.view, &shown).map_err(failed)?;
    Ok(Entered { shown, process, nodes: node_folder })
}

/// What the view shows, by name.
pub fn shown(grants: &[Grant], nodes: &[DeviceNode], registers: bool) -> Shown {
    let mut shown = Shown { registers, ..Shown::default() };
    for grant in grants {
        shown.netdevs.extend(grant.netdevs.iter().map(|n| n.name.clone()));
        if grant.of_host_network {
            shown.of_host_network = true;
            shown.netdevs.extend(grant.nic.netdevs.iter().map(|netdev| netdev.name.clone()));
        }
        shown.rdma_devices.extend(grant.rdma.iter().map(|r| r.device.name.clone()));
        if let Some(address) = grant.nic.pci {
            shown.functions.push(address.to_string());
            // A container may have the whole function, too.
            let is_whole = grants.iter().any(|grant| grant.nic.whole_function() == Some(address));
            if !is_whole {
                shown.shared_functions.push(address.to_string());
            }
        }
        shown.bridges.extend(grant.bridges.iter().map(ToString::to_string));
    }
    for list in [&mut shown.functions, &mut shown.shared_functions] {
        list.sort();
        list.dedup();
    }
    shown.bridges.sort();
    shown.bridges.dedup();
    shown.nodes = nodes.iter().map(|n| n.name.clone()).collect();
    shown
}

/// A link on the way could lead onto what nicdock composes or, should somebody exchange it meanwhile, out of the
/// container: none is followed.
fn mount_volume(root: &OwnedFd, destination: &str, copy: &OwnedFd) -> Result<(), PhaseError> {
    let what = || format!("showing a volume on {destination}");
    let advice =
        "the root has a link or something else on the way where a folder should be, and none is followed";
    let mode = rustix::fs::fstat(copy).doing(what)?.st_mode;
    let place = if FileType::from_raw_mode(mode).is_dir() {
        mount::make_folders(root, destination)
    } else {
        mount::file_to_mount_on(root, destination)
    };
    mount::attach(copy, place.doing(what).map_err(|error| error.with_advice(advice))?).doing(what)
}

/// The nodes are on a file system of their own, made here: in a user namespace's own none could be opened
/// (`SB_I_NODEV`), and the program can neither add to it nor fill it.
fn mount_nodes(root: &OwnedFd, plan: &Plan, nodes: &[DeviceNode]) -> Result<OwnedFd, PhaseError> {
    let what = || "making /dev/infiniband".to_owned();
    let folder = make_nodes("tmpfs", plan.container.user, nodes)?;
    let dev = open_tmpfs(root, "/dev")?;
    mount::attach(&folder, mount::make_folders(&dev, "infiniband").doing(what)?).doing(what)?;
    // A mount that is attached nowhere could not be copied (`check_mnt()`, fs/namespace.c).
    let copy = mount::copy(&folder, "").doing(what)?;
    mount::allow_writing(copy.as_fd()).doing(what)?;
    Ok(copy)
}

/// When the container has ended: a descriptor of the folder that it has passed out keeps the file system, and would open whatever has the
/// nodes' numbers by then.
pub fn remove_nodes(folder: &OwnedFd, nodes: &[DeviceNode]) -> Result<(), PhaseError> {
    let what = || "removing the nodes of a container that has ended".to_owned();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let inside = rustix::fs::openat(folder, ".", flags, Mode::empty()).doing(what)?;
    for node in nodes {
        match rustix::fs::unlinkat(&inside, node.name.as_str(), rustix::fs::AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => {}
            result => result.doing(what)?,
        }
    }
    Ok(())
}

/// A file system with the nodes, owned by `user`, mounted nowhere yet; mountinfo will name `source`.
pub fn make_nodes(source: &str, user: User, nodes: &[DeviceNode]) -> Result<OwnedFd, PhaseError> {
    let what = || "making /dev/infiniband".to_owned();
    let options = [("source", Some(source)), ("mode", Some("755")), ("size", Some("64k"))];
    let folder = mount::detached("tmpfs", &options, MountAttrFlags::empty()).doing(what)?;
    for node in nodes {
        let what = || format!("making /dev/infiniband/{} ({}:{})", node.name, node.major, node.minor);
        let device = rustix::fs::makedev(node.major, node.minor);
        let mode = Mode::from_raw_mode(node.mode);
        rustix::fs::mknodat(&folder, node.name.as_str(), FileType::CharacterDevice, mode, device)
            .doing(what)?;
        let (uid, gid) = (rustix::fs::Uid::from_raw(user.uid), rustix::fs::Gid::from_raw(user.gid));
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(&folder, node.name.as_str(), Some(uid), Some(gid), flags).doing(what)?;
        // Whatever the umask has left of it.
        rustix::fs::chmodat(&folder, node.name.as_str(), mode, rustix::fs::AtFlags::empty()).doing(what)?;
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount::restrict(folder.as_fd(), attributes).doing(what)?;
    Ok(folder)
}

/// Makes the container's own root its root, instead of the empty one in which its process was made, and takes /proc and /dev
/// along. No link is followed, and nothing is looked up twice: others may be able to write that root meanwhile.
fn exchange_root(root: &OwnedFd, in_memory: bool) -> Result<(), PhaseError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let what = || "entering the container's root".to_owned();
    let empty = rustix::fs::openat(CWD, "/", flags, Mode::empty()).doing(what)?;
    mount::attach(root, mount::make_folders(&empty, "root").doing(what)?).doing(what)?;
    for name in ["proc", "dev"] {
        let what = || format!("moving /{name} into the container's root");
        let mounted = mount::open_inside(&empty, name, flags).doing(what)?;
        mount::attach(&mounted, mount::make_folders(root, name).doing(what)?).doing(what)?;
    }
    let memory = |name: &str, options: &[(&str, Option<&str>)], attributes| {
        let what = || format!("mounting an empty file system on /{name}");
        let detached = mount::detached("tmpfs", options, attributes).doing(what)?;
        mount::attach(&detached, mount::make_folders(root, name).doing(what)?).doing(what)
    };
    let no_programs = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    memory(
        "sys",
        &[("mode", Some("755")), ("size", Some("4m"))],
        no_programs | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )?;
    if in_memory {
        let files = limits::files();
        memory("run", &limits::options("755", limits::RUN, &files), no_programs)?;
        memory("tmp", &limits::options("1777", limits::TMP, &files), no_programs)?;
    }
    mount::pivot(root, &empty).doing(what)
}

/// Opens a folder of the container that must be a file system of nicdock's own making, not of the image's.
fn open_tmpfs(root: &OwnedFd, path: &str) -> Result<OwnedFd, PhaseError> {
    let what = || format!("opening {path} of the container");
    let folder = mount::open_inside(root, path, OFlags::PATH | OFlags::DIRECTORY).doing(what)?;
    let kind = rustix::fs::fstatfs(&folder).doing(what)?.f_type;
    if kind != TMPFS_MAGIC {
        return Err(PhaseError::new(
            what(),
            io::Error::other("it is not the empty file system that was mounted there"),
        ));
    }
    Ok(folder)
}
