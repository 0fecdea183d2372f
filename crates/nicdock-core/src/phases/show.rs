//! Shows a container that runs its NICs: nodes over /dev/infiniband, a composed /sys over the one that it has.
//!
//! Both are made where nobody sees them and then moved there while the container is stopped. Links that its processes made are
//! never followed, and of the mounts there only those that were made here are taken off.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::mount::MountAttrFlags;

use super::aside::aside_at_most;
use super::devices::given_nodes;
use super::enter::{make_nodes, shown};
use super::freeze::{self, Freezer};
use super::{Doing, PhaseError, verify};
use crate::lease::{ProcessId, STATE};
use crate::plan::Grant;
use crate::request::Profile;
use crate::request::User;
use crate::view::{self, Brought, Shown};
use nicdock_netlink::rtnl::Rtnl;
use nicdock_sys::{fsuser, mount, mountinfo, netns};

/// What mountinfo names for mounts that were made here.
const SOURCE: &str = "nicdock-attach";
const NODES: &str = "dev/infiniband";
const SYS: &str = "sys";
/// Under emulation it takes two seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// What there is to show; nothing takes off what was shown before.
pub struct Showing<'a> {
    /// A process that is in the container's mount and network namespaces.
    pub process: ProcessId,
    /// All that the container has.
    pub grants: &'a [Grant],
    pub view: Profile,
    pub freezer: Option<PathBuf>,
    /// Cover what is not to be seen in /proc, too: for a container whose program has not started, since nothing uncovers it.
    pub cover_proc: bool,
    /// Its engine makes /proc/sys read-only by itself, later.
    pub sys_later: bool,
    /// Where its root is mounted, if its engine has not made it the root of its process yet.
    pub unpivoted: Option<&'a Path>,
    /// For a process that is its engine's program still: the user of the container's, whose the nodes are. Else they are the process's user's.
    pub starts_as: Option<User>,
}

/// Exchanges what is shown, and compares it with what was to be.
pub fn show(showing: &Showing<'_>) -> Result<(), PhaseError> {
    aside_at_most(LIMIT, || exchange(showing))
}

struct Made {
    /// Without a node in it, it covers what is there already.
    nodes: OwnedFd,
    has_nodes: bool,
    sys: Option<OwnedFd>,
    shown: Shown,
}

fn exchange(showing: &Showing<'_>) -> Result<(), PhaseError> {
    let pid = showing.process.pid;
    let what = || format!("entering the container of process {pid}");
    netns::enter(netns::of_process(pid).doing(what)?).doing(what)?;
    let root = root(showing).doing(what)?;
    let process = mount::open_host_path(Path::new(&format!("/proc/{pid}"))).doing(what)?;
    if !showing.process.is_alive() {
        return Err(PhaseError::new(what(), io::Error::new(io::ErrorKind::NotFound, "it has ended")));
    }
    let host = fs::read("/proc/self/mountinfo").doing(|| "reading /proc/self/mountinfo".into())?;
    let stopping = showing.freezer.as_deref().map(freeze::stopping);
    let stopping = || stopping.as_ref().map(|text| text()).unwrap_or_default();
    let mut freezer = showing.freezer.as_deref().map(Freezer::open).transpose().doing(stopping)?;
    let mounts = fs::File::open(format!("/proc/{pid}/ns/mnt")).doing(what)?;
    let user = user(showing).doing(|| format!("reading /proc/{pid}/status"))?;
    let made = if showing.grants.is_empty() { None } else { Some(make(showing)?) };
    netns::enter_mounts(&mounts).doing(what)?;
    let chroot = || -> io::Result<()> {
        rustix::process::fchdir(&root)?;
        Ok(rustix::process::chroot(".")?)
    };
    chroot().doing(what)?;
    let place = Place { root: &root, process: &process, host: &host, user };
    if let Some(freezer) = &mut freezer {
        freezer.freeze().doing(stopping)?;
    }
    for path in [NODES, SYS] {
        place.take_off(path)?;
    }
    if showing.cover_proc {
        place.cover_proc(showing.sys_later)?;
    }
    if let Some(made) = &made {
        if made.has_nodes || place.has(NODES)? {
            place.put_on(NODES, &made.nodes)?;
        }
        if let Some(sys) = &made.sys {
            place.put_on(SYS, sys)?;
        }
    }
    drop(freezer);
    let Some(made) = made else { return Ok(()) };
    verify::shows(&made.shown, showing.view)
}

/// Makes what is to be shown; the caller is in the container's network namespace and in the host's mount namespace, which it leaves.
fn make(showing: &Showing<'_>) -> Result<Made, PhaseError> {
    let pid = showing.process.pid;
    let given = given_nodes(showing.grants)?;
    let mut shown = shown(showing.grants, &given, false);
    if !shown.of_host_network {
        let mut inside = Rtnl::open().doing(|| "opening rtnetlink in the container".into())?;
        let links = inside.links().doing(|| "listing the container's interfaces".into())?;
        let names = links.into_iter().map(|link| link.name);
        // It may have interfaces that are its engine's, and goes on to see them.
        shown.netdevs = names.filter(|name| name != "lo" && !verify::is_fallback(name)).collect();
    }
    let starts = showing.starts_as.is_some();
    let brought =
        Brought::for_process(pid, starts).doing(|| "copying the host's sysfs and cgroups".into())?;
    let user = user(showing).doing(|| format!("reading /proc/{pid}/status"))?;
    let (nodes, has_nodes) = (make_nodes(SOURCE, user, &given)?, !given.is_empty());
    if showing.view == Profile::Off {
        return Ok(Made { nodes, has_nodes, sys: None, shown });
    }
    let what = || "composing /sys for the container".to_owned();
    netns::enter_private_mounts().doing(what)?;
    let options = [("source", Some(SOURCE)), ("mode", Some("755")), ("size", Some("4m"))];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let target = mount::detached("tmpfs", &options, attributes).doing(what)?;
    // Any folder does: nobody else is in this mount namespace.
    mount::attach(&target, mount::open_host_path(Path::new(STATE)).doing(what)?).doing(what)?;
    let failed =
        |e: view::ViewError| PhaseError::new(format!("showing {} in the container", e.path), e.error);
    view::compose_aside(target.as_fd(), brought, showing.view, &shown).map_err(failed)?;
    Ok(Made { nodes, has_nodes, sys: Some(mount::copy_tree(&target).doing(what)?), shown })
}

/// The root of the container's file system.
///
/// An OCI runtime calls hooks when everything is mounted below the bundle's root, but pivot_root(2) is still to come. Others may own a folder on
/// the way there, and put another in its place: the mount is what counts, and only root can exchange that.
fn root(showing: &Showing<'_>) -> io::Result<OwnedFd> {
    let of_process = format!("/proc/{}/root", showing.process.pid);
    let place = |path: &str| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let is_hosts = place(&format!("{of_process}/"))? == place("/")?;
    let Some(path) = showing.unpivoted.filter(|_| is_hosts) else {
        return mount::open_host_path(Path::new(&of_process));
    };
    let list = fs::read(format!("/proc/{}/mountinfo", showing.process.pid))?;
    let mounted: Vec<u64> =
        mountinfo::parse(&list).filter(|mounted| mounted.point == path).map(|mounted| mounted.id).collect();
    if mounted.is_empty() && showing.starts_as.is_none() {
        // Its engine has made it the root since, of the same file system as the host's.
        return mount::open_host_path(Path::new(&of_process));
    }
    let root = mount::open_host_path(Path::new(&format!("{of_process}{}", path.display())))?;
    if mount::is_root(&root)? && mounted.contains(&mount::id(&root)?) {
        return Ok(root);
    }
    let reason = format!("nothing is mounted on {}, which is to be the container's root", path.display());
    Err(io::Error::other(reason))
}

fn user(showing: &Showing<'_>) -> io::Result<User> {
    if let Some(user) = showing.starts_as {
        return Ok(user);
    }
    let status = fs::read_to_string(format!("/proc/{}/status", showing.process.pid))?;
    let effective = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let user = || Some(User { uid: effective("Uid:")?, gid: effective("Gid:")? });
    user().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The container's file system.
struct Place<'a> {
    root: &'a OwnedFd,
    process: &'a OwnedFd,
    /// The host's mounts.
    host: &'a [u8],
    /// The first process's.
    user: User,
}

impl Place<'_> {
    fn find(&self, path: &str) -> io::Result<Option<OwnedFd>> {
        match mount::open_inside(self.root, path, OFlags::PATH | OFlags::DIRECTORY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    fn mounted(&self, file: &OwnedFd) -> io::Result<Option<mountinfo::Mounted>> {
        let id = mount::id(file)?;
        let list = mount::read_inside(self.process, "mountinfo")?;
        Ok(mountinfo::parse(&list).find(|mounted| mounted.id == id))
    }

    fn has(&self, path: &str) -> Result<bool, PhaseError> {
        Ok(self.find(path).doing(|| format!("looking at /{path} of the container"))?.is_some())
    }

    fn take_off(&self, path: &str) -> Result<(), PhaseError> {
        let what = || format!("unmounting what was shown on /{path} of the container");
        while let Some(top) = self.find(path).doing(what)? {
            let own = |mounted: mountinfo::Mounted| mounted.kind == "tmpfs" && mounted.source == SOURCE;
            if !self.mounted(&top).doing(what)?.is_some_and(own) {
                return Ok(());
            }
            mount::unmount(&top).doing(what)?;
        }
        Ok(())
    }

    fn cover_proc(&self, sys_later: bool) -> Result<(), PhaseError> {
        let what = || "covering what is not to be seen in /proc of the container".to_owned();
        let options = [("source", Some(SOURCE)), ("mode", Some("755")), ("size", Some("64k"))];
        let scratch = mount::detached("tmpfs", &options, MountAttrFlags::empty()).doing(what)?;
        self.put_on(SYS, &scratch)?;
        let covered = view::cover_proc(scratch.as_fd(), sys_later)
            .map_err(|e| PhaseError::new(format!("covering {} in the container", e.path), e.error));
        mount::unmount(&scratch).doing(what)?;
        covered
    }

    fn put_on(&self, path: &str, shown: &OwnedFd) -> Result<(), PhaseError> {
        let what = || format!("mounting on /{path} of the container");
        let advice =
            "it must be a folder of the container's, or be possible to make, and no link may be on the way";
        let target = match mount::make_folders(self.root, path) {
            Err(error) if error.raw_os_error() == Some(libc::EOVERFLOW) => {
                fsuser::within(self.user.uid, self.user.gid, || mount::make_folders(self.root, path))
            }
            target => target,
        };
        let target = target.doing(what).map_err(|error| error.with_advice(advice))?;
        let peers = self.mounted(&target).doing(what)?.and_then(|mounted| mounted.peers);
        if peers.is_some() && mountinfo::parse(self.host).any(|mounted| mounted.peers == peers) {
            let error = io::Error::other("what is mounted there spreads to the host (a shared mount)");
            return Err(PhaseError::new(what(), error)
                .with_advice("make its mounts private: mount --make-rprivate / in the container"));
        }
        mount::attach(shown, &target).doing(what)
    }
}
