//! What is done in the container's namespaces, from outside, before its program starts: nodes and view.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::devices::{DeviceNode, given_nodes};
use super::{Doing, PhaseError};
use crate::kernel::{mount, netns};
use crate::plan::Plan;
use crate::view::{self, Shown, View};

/// `TMPFS_MAGIC` (include/uapi/linux/magic.h).
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Enters the mount namespace of `init` (the caller is in its network namespace) and composes /dev and /sys.
///
/// Gives what is now shown, for `verify`.
pub fn compose(plan: &Plan, init: u32) -> Result<Shown, PhaseError> {
    let nodes = given_nodes(&plan.grants)?;
    let shown = shown(plan, &nodes);
    netns::enter_mounts_of(init)
        .doing(|| format!("entering the mount namespace of the container (process {init})"))?;
    make_nodes(plan, &nodes)?;
    let sys = open_tmpfs("/sys")?;
    view::compose(sys.as_fd(), &View::of(&shown))
        .map_err(|e| PhaseError::new(format!("showing /sys/{} in the container", e.path), e.error))?;
    Ok(shown)
}

/// What the view shows, by name.
fn shown(plan: &Plan, nodes: &[DeviceNode]) -> Shown {
    let mut shown = Shown::default();
    for grant in &plan.grants {
        shown.netdevs.extend(grant.netdevs.iter().map(|n| n.name.clone()));
        shown.rdma_devices.extend(grant.rdma.iter().map(|r| r.device.name.clone()));
        if let Some(address) = grant.nic.pci {
            shown.functions.push(address.to_string());
        }
        shown.bridges.extend(grant.bridges.iter().map(ToString::to_string));
    }
    shown.bridges.sort();
    shown.bridges.dedup();
    shown.nodes = nodes.iter().map(|n| n.name.clone()).collect();
    shown
}

fn make_nodes(plan: &Plan, nodes: &[DeviceNode]) -> Result<(), PhaseError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let dev = open_tmpfs("/dev")?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::process::umask(Mode::empty());
    rustix::fs::mkdirat(&dev, "infiniband", Mode::from_raw_mode(0o755))
        .doing(|| "making /dev/infiniband".into())?;
    let folder = rustix::fs::openat(&dev, "infiniband", flags, Mode::empty())
        .doing(|| "opening /dev/infiniband".into())?;
    let user = plan.container.user;
    for node in nodes {
        let what = || format!("making /dev/infiniband/{} ({}:{})", node.name, node.major, node.minor);
        let device = rustix::fs::makedev(node.major, node.minor);
        rustix::fs::mknodat(
            &folder,
            node.name.as_str(),
            FileType::CharacterDevice,
            Mode::from_raw_mode(node.mode),
            device,
        )
        .doing(what)?;
        let (uid, gid) = (rustix::fs::Uid::from_raw(user.uid), rustix::fs::Gid::from_raw(user.gid));
        rustix::fs::chownat(
            &folder,
            node.name.as_str(),
            Some(uid),
            Some(gid),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .doing(what)?;
    }
    Ok(())
}

/// Opens a folder of the container that must be a file system of nicdock's own making, not of the image's.
fn open_tmpfs(path: &str) -> Result<OwnedFd, PhaseError> {
    let what = || format!("opening {path} of the container");
    let root =
        rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .doing(what)?;
    let folder = mount::open_inside(&root, path, OFlags::PATH | OFlags::DIRECTORY).doing(what)?;
    let kind = rustix::fs::fstatfs(&folder).doing(what)?.f_type;
    if kind != TMPFS_MAGIC {
        return Err(PhaseError::new(
            what(),
            io::Error::other("it is not the empty file system that was mounted there"),
        ));
    }
    Ok(folder)
}
