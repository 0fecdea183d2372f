//! `filesystem.*`: mounting the kernel's file systems anew, by the old and the new system calls.

use std::collections::BTreeSet;
use std::path::Path;

use super::scene::{SCENES, Scene, folder};
use crate::kernel::errno::Errno;
use crate::kernel::mount;
use crate::kernel::namespace::{self, NEWCGROUP, NEWNET, NEWPID};
use crate::probe::{Context, Finding, Probe};
use crate::walk;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Judge {
    /// Open if it shows foreign words: a network or process namespace of one's own may have one that does not.
    Shows,
    /// Open if it can be had at all: the kernel has only one.
    Had,
    /// Open if its control files can be written.
    Written,
}

/// Those that a module may bring when they are asked for: tried wherever this runs, beside what the kernel lists.
const KNOWN: [&str; 13] = [
    "sysfs",
    "proc",
    "cgroup2",
    "devtmpfs",
    "debugfs",
    "tracefs",
    "securityfs",
    "configfs",
    "efivarfs",
    "pstore",
    "bpf",
    "binfmt_misc",
    "fusectl",
];

/// Of these each mount is new and empty, or its maker's own.
const ANEW: [&str; 6] = ["tmpfs", "ramfs", "hugetlbfs", "mqueue", "devpts", "overlay"];

/// Mounting these acts on the whole machine: a hierarchy of version 1 is made and takes its controller from where it is (`cgroup1_get_tree()`);
/// the processor's monitoring is turned on (`rdt_get_tree()`). So it is only tried whether anything may be mounted.
const ACTING: [&str; 2] = ["cpuset", "resctrl"];

/// Mounted by the kernel for itself only (`SB_NOUSER`, fs/libfs.c).
const INTERNAL: [&str; 6] = ["bdev", "sockfs", "pipefs", "anon_inodefs", "dax", "drm"];

fn judge_of(kind: &str) -> Judge {
    match kind {
        "sysfs" | "proc" => Judge::Shows,
        "cgroup2" => Judge::Written,
        kind if ANEW.contains(&kind) => Judge::Shows,
        _ => Judge::Had,
    }
}

/// What the host's list has, or this one's, with those of [`KNOWN`].
fn kinds(context: &Context) -> BTreeSet<String> {
    let here = || {
        let text = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("nodev\t")).map(str::to_owned).collect()
    };
    let told = context.target.filesystems.clone().unwrap_or_else(here);
    // Hierarchies of version 1 are tried by their controllers.
    told.into_iter().chain(KNOWN.map(str::to_owned)).filter(|kind| kind != "cgroup").collect()
}

/// Hierarchies of cgroup version 1 that reach devices.
const CGROUPS: [&str; 3] = ["devices", "rdma", "memory"];

pub fn probes(context: &Context) -> Vec<Probe> {
    let mut probes = Vec::new();
    let kinds = kinds(context);
    for scene in SCENES {
        for kind in &kinds {
            for new in [false, true] {
                let api = if new { "fsopen" } else { "mount" };
                let kind = kind.clone();
                probes.push(Probe::new(
                    format!("filesystem.{kind}.{api}.{}", scene.name()),
                    move |context| {
                        if ACTING.contains(&kind.as_str()) {
                            return unknown(new);
                        }
                        scene.play(
                            context,
                            needs(&kind),
                            |context| seen(context, scene, &kind, new),
                            || directly(&kind, new),
                        )
                    },
                ));
            }
        }
        for controller in CGROUPS {
            let id = format!("filesystem.cgroup_{controller}.mount.{}", scene.name());
            probes.push(Probe::new(id, move |context| {
                scene.play(context, NEWCGROUP, |_| version_1(controller), || directly("cgroup", false))
            }));
        }
    }
    probes
}

/// A user namespace can mount these for a namespace that it owns only.
fn needs(kind: &str) -> i32 {
    match kind {
        "sysfs" => NEWNET,
        "proc" => NEWPID,
        "cgroup2" => NEWCGROUP,
        _ => 0,
    }
}

fn mounted(kind: &str, new: bool) -> Result<(), Errno> {
    if new {
        mount::detached(kind).and_then(|mount| mount::attach(&mount, folder()))
    } else {
        mount::mount("none", folder(), kind, 0)
    }
}

fn seen(context: &Context, scene: Scene, kind: &str, new: bool) -> Finding {
    let what = format!("mounting {kind}");
    // In the initial cgroup namespace a mount without options would take the hierarchy's own from it, such as nsdelegate
    // (kernel/cgroup/cgroup.c, apply_cgroup_root_flags).
    if kind == "cgroup2"
        && let Err(errno) = namespace::unshare(NEWCGROUP)
    {
        return Finding::refused("unshare(cgroup)", errno);
    }
    match mounted(kind, new) {
        Err(Errno(libc::ENODEV)) => absent(kind),
        // It wants a source or options of its own, or something else that whoever may mount can have. A user namespace may mount some by
        // design, and nobody what is the kernel's own (`SB_NOUSER`).
        Err(errno) if scene == Scene::Mounts && !INTERNAL.contains(&kind) && !is_refusal(errno) => {
            Finding::open(format!("{what}: {errno}, which is said only after permission was given"))
        }
        Err(errno) => Finding::refused(&what, errno),
        Ok(()) => match judge_of(kind) {
            Judge::Had if scene == Scene::Mounts => Finding::open(format!("{what}: succeeded")),
            Judge::Written => writable(&what),
            // In a user namespace some file systems (bpf, binfmt_misc) have instances of their own.
            Judge::Shows | Judge::Had => walk::glance(&context.words, Path::new(folder())).map_or_else(
                || Finding::closed(format!("{what}: succeeded, and shows nothing foreign")),
                |found| Finding::open(format!("{what}: shows {found}")),
            ),
        },
    }
}

fn is_refusal(errno: Errno) -> bool {
    [libc::EPERM, libc::EACCES, libc::ENOSYS].contains(&errno.0) || errno.is_exhaustion()
}

fn absent(kind: &str) -> Finding {
    Finding::not_applicable(format!("ENODEV: the kernel has no file system {kind}"))
}

/// Only a hierarchy that exists: mounting another would make it, and take the controller from where it is.
fn version_1(controller: &str) -> Finding {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let controllers =
        text.lines().filter(|line| !line.starts_with("0:")).filter_map(|line| line.split(':').nth(1));
    let mut hierarchies = controllers.filter(|names| names.split(',').any(|name| name == controller));
    let Some(hierarchy) = hierarchies.next() else {
        return Finding::not_applicable(
            "no hierarchy of cgroup version 1 has this controller (by /proc/self/cgroup)",
        );
    };
    let what = format!("mounting the cgroup hierarchy {hierarchy}");
    match mount::mount_with("none", folder(), "cgroup", 0, hierarchy) {
        Err(errno) => Finding::refused(&what, errno),
        Ok(()) => writable(&what),
    }
}

/// Whether any control file opens for writing. Nothing is written.
fn writable(what: &str) -> Finding {
    let entries = std::fs::read_dir(folder()).into_iter().flatten().filter_map(Result::ok);
    let mut files = entries.filter(|entry| {
        entry.file_type().is_ok_and(|kind| kind.is_file())
            && std::fs::OpenOptions::new().write(true).open(entry.path()).is_ok()
    });
    files.next().map_or_else(
        || Finding::closed(format!("{what}: succeeded, and nothing in it can be written")),
        |file| Finding::open(format!("{what}: {} can be written", file.file_name().to_string_lossy())),
    )
}

/// Without a mount namespace of our own: a file system that is nowhere yet changes nothing.
fn directly(kind: &str, new: bool) -> Finding {
    if new { Finding::of(&format!("fsopen({kind})"), mount::detached(kind)) } else { unknown(new) }
}

/// An unknown file system is refused only after permission was given.
fn unknown(new: bool) -> Finding {
    const NONE: &str = "nicdock-none";
    let (what, result) = if new {
        ("fsopen", mount::detached(NONE).map(drop))
    } else {
        ("mount", mount::mount("none", folder(), NONE, 0))
    };
    Finding::unless_reached(&format!("{what}(no such file system)"), result, &[libc::ENODEV])
}
