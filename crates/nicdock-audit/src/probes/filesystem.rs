//! `filesystem.*`: mounting the kernel's file systems anew, by the old and the new system calls.

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

const KINDS: [(&str, Judge); 13] = [
    ("sysfs", Judge::Shows),
    ("proc", Judge::Shows),
    ("cgroup2", Judge::Written),
    ("devtmpfs", Judge::Had),
    ("debugfs", Judge::Had),
    ("tracefs", Judge::Had),
    ("securityfs", Judge::Had),
    ("configfs", Judge::Had),
    ("efivarfs", Judge::Had),
    ("pstore", Judge::Had),
    ("bpf", Judge::Had),
    ("binfmt_misc", Judge::Had),
    ("fusectl", Judge::Had),
];

/// Hierarchies of cgroup version 1 that reach devices.
const CGROUPS: [&str; 3] = ["devices", "rdma", "memory"];

pub fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    for scene in SCENES {
        for (kind, judge) in KINDS {
            for new in [false, true] {
                let api = if new { "fsopen" } else { "mount" };
                probes.push(Probe::new(
                    format!("filesystem.{kind}.{api}.{}", scene.name()),
                    move |context| {
                        scene.play(
                            context,
                            needs(kind),
                            |context| seen(context, scene, kind, judge, new),
                            || directly(kind, new),
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

fn seen(context: &Context, scene: Scene, kind: &str, judge: Judge, new: bool) -> Finding {
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
        Err(errno) => Finding::refused(&what, errno),
        Ok(()) => match judge {
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

/// Without a mount namespace of our own: a file system that is nowhere yet changes nothing, and an unknown one is refused
/// only after permission.
fn directly(kind: &str, new: bool) -> Finding {
    if new {
        return Finding::of(&format!("fsopen({kind})"), mount::detached(kind));
    }
    Finding::unless_reached(
        "mount(no such file system)",
        mount::mount("none", folder(), "nicdock-none", 0),
        &[libc::ENODEV],
    )
}
