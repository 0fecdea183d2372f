//! `mount.*`: getting behind what the container was shown, by each mount system call.

use std::path::Path;

use super::scene::{SCENES, Scene, folder};
use crate::kernel::errno::Errno;
use crate::kernel::mount;
use crate::kernel::mountinfo;
use crate::probe::{Context, Finding, Probe, Verdict};
use crate::walk;

/// Whose mounts are tried: one path each, or all at and below /sys and /proc.
const TARGETS: [(&str, &str); 5] =
    [("sys", "/sys"), ("proc", "/proc"), ("dev", "/dev"), ("cgroup", "/sys/fs/cgroup"), ("masks", "")];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Umount,
    Detach,
    Remount,
    Attributes,
    Move,
    Copy,
    Bind,
    Overmount,
}

const WAYS: [(&str, Way); 8] = [
    ("umount", Way::Umount),
    ("detach", Way::Detach),
    ("remount", Way::Remount),
    ("setattr", Way::Attributes),
    ("move_mount", Way::Move),
    ("open_tree", Way::Copy),
    ("bind", Way::Bind),
    ("overmount", Way::Overmount),
];

/// `MOUNT_ATTR_RDONLY` (include/uapi/linux/mount.h).
const READ_ONLY: u64 = 1;

pub fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    for scene in SCENES {
        for (name, way) in WAYS {
            for (target, path) in TARGETS {
                if !is_meant(scene, way, target) {
                    continue;
                }
                probes.push(Probe::new(format!("mount.{name}.{target}.{}", scene.name()), move |context| {
                    let attempt = |context: &Context| on_each(path, way, |path| attempt(context, path, way));
                    scene.play(context, 0, attempt, || on_each(path, way, |path| directly(path, way)))
                }));
            }
        }
    }
    probes
}

/// A mount over something hides it, and in a namespace of one's own that is nobody's loss: only its permission outside of
/// one is of interest. Making writable is of interest for what is read-only.
fn is_meant(scene: Scene, way: Way, target: &str) -> bool {
    match way {
        Way::Overmount => scene == Scene::Mounts && target != "masks",
        Way::Remount | Way::Attributes => !matches!(target, "dev" | "proc"),
        _ => true,
    }
}

/// Tries each mount until one is open.
fn on_each(path: &str, way: Way, attempt: impl Fn(&str) -> Finding) -> Finding {
    if !path.is_empty() {
        return if Path::new(path).exists() { attempt(path) } else { Finding::closed(format!("no {path}")) };
    }
    let mounts = mounts_below(&["/sys", "/proc"], matches!(way, Way::Remount | Way::Attributes));
    let mut last = None;
    // The topmost first: those below them are uncovered only then.
    for mount in mounts.iter().rev() {
        let finding = attempt(mount);
        if finding.verdict == Verdict::Open {
            return finding;
        }
        last = Some(finding);
    }
    match last {
        Some(last) => Finding::closed(format!("{} mounts, the last: {}", mounts.len(), last.evidence)),
        None => Finding::not_applicable("no such mount below /sys or /proc (by /proc/self/mountinfo)"),
    }
}

/// The mount points below some folders.
fn mounts_below(tops: &[&str], read_only: bool) -> Vec<String> {
    let is_below = |point: &Path| tops.iter().any(|top| point.starts_with(top) && point != Path::new(top));
    let wanted = mountinfo::list().unwrap_or_default().into_iter();
    let wanted = wanted.filter(|mounted| is_below(&mounted.point) && (!read_only || mounted.read_only));
    wanted.map(|mounted| mounted.point.display().to_string()).collect()
}

/// In a mount namespace of our own.
fn attempt(context: &Context, path: &str, way: Way) -> Finding {
    let place = folder();
    match way {
        Way::Umount => Finding::of(&format!("umount({path})"), mount::unmount(path, 0)).or_busy(),
        Way::Detach => {
            Finding::of(&format!("umount2({path}, MNT_DETACH)"), mount::unmount(path, libc::MNT_DETACH))
        }
        Way::Remount => Finding::of(
            &format!("mount({path}, MS_REMOUNT|MS_BIND), writable"),
            mount::mount("none", path, "none", libc::MS_REMOUNT | libc::MS_BIND),
        ),
        Way::Attributes => Finding::of(
            &format!("mount_setattr({path}, clear MOUNT_ATTR_RDONLY)"),
            mount::attributes(path, 0, READ_ONLY),
        ),
        Way::Move => Finding::of(&format!("move_mount({path} to {place})"), mount::shift(path, place)),
        Way::Copy => {
            let copied = mount::copy(path, false).and_then(|copy| mount::attach(&copy, place));
            shown(context, &format!("open_tree({path}, OPEN_TREE_CLONE)"), place, copied)
        }
        Way::Bind => {
            let bound = mount::mount(path, place, "none", libc::MS_BIND);
            shown(context, &format!("mount({path}, MS_BIND)"), place, bound)
        }
        Way::Overmount => {
            Finding::of(&format!("mount(tmpfs on {path})"), mount::mount("tmpfs", path, "tmpfs", 0))
        }
    }
}

/// A copy is harmless if it shows no more than the original.
fn shown(context: &Context, what: &str, place: &str, result: Result<(), Errno>) -> Finding {
    match result {
        Err(errno) => Finding::refused(what, errno),
        Ok(()) => walk::glance(&context.words, Path::new(place)).map_or_else(
            || Finding::closed(format!("{what}: succeeded, and shows nothing foreign")),
            |found| Finding::open(format!("{what}: shows {found}")),
        ),
    }
}

/// Without a namespace of our own: what the kernel answers after permission and before doing anything.
fn directly(path: &str, way: Way) -> Finding {
    match way {
        // The first call with MNT_EXPIRE only marks (umount(2)): EAGAIN, or EBUSY, after permission.
        Way::Umount | Way::Detach => Finding::unless_reached(
            &format!("umount2({path}, MNT_EXPIRE)"),
            mount::unmount(path, libc::MNT_EXPIRE),
            &[libc::EAGAIN, libc::EBUSY],
        ),
        Way::Remount | Way::Attributes => {
            Finding::of(&format!("mount_setattr({path}) of nothing"), mount::attributes(path, 0, 0))
        }
        Way::Move => Finding::unless_reached(
            &format!("move_mount({path} onto itself)"),
            mount::shift(path, path),
            &[libc::EINVAL, libc::ELOOP],
        ),
        Way::Copy => Finding::of(&format!("open_tree({path}, OPEN_TREE_CLONE)"), mount::copy(path, false)),
        Way::Bind | Way::Overmount => Finding::unless_reached(
            &format!("mount(no such file system on {path})"),
            mount::mount("none", path, "nicdock-none", 0),
            &[libc::ENODEV],
        ),
    }
}

impl Finding {
    /// `EBUSY` comes after permission (do_umount); what is busy can be detached.
    fn or_busy(self) -> Self {
        if self.verdict == Verdict::Closed && self.evidence.ends_with("EBUSY") {
            return Self::open(format!("{}, which is said only after permission was given", self.evidence));
        }
        self
    }
}
