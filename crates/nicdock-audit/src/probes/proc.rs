//! `proc.*`: foreign words below each part of /proc, and files that describe the host's devices whatever they say.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use crate::probe::{Context, Finding, Probe};
use crate::words::KINDS;

/// Parts that are looked at for foreign words.
const PARTS: [&str; 20] = [
    "acpi",
    "asound",
    "bus",
    "cpuinfo",
    "device-tree",
    "devices",
    "driver",
    "dynamic_debug",
    "fs",
    "interrupts",
    "iomem",
    "irq",
    "kallsyms",
    "misc",
    "modules",
    "net",
    "scsi",
    "self",
    "sys",
    "sysvipc",
];

/// What describes the host's hardware and kernel: closed only if it cannot be read or says nothing.
const TELLING: [&str; 26] = [
    "bus/pci/devices",
    "cmdline",
    "config.gz",
    "consoles",
    "crypto",
    "devices",
    "diskstats",
    "dma",
    "execdomains",
    "interrupts",
    "iomem",
    "ioports",
    "kallsyms",
    "key-users",
    "keys",
    "kmsg",
    "locks",
    "mdstat",
    "misc",
    "modules",
    "partitions",
    "sched_debug",
    "slabinfo",
    "softirqs",
    "timer_list",
    "vmallocinfo",
];

/// Folders of the same kind: closed only if they cannot be listed or are empty.
const TELLING_FOLDERS: [&str; 9] =
    ["acpi", "asound", "bus/pci", "bus/input", "driver", "dynamic_debug", "fs", "irq", "scsi"];

/// Files that give memory: closed only if they cannot be read. (What hides a file may be a bind of /dev/null, which opens.)
const MEMORY: [&str; 4] = ["kcore", "kpagecount", "kpageflags", "kpagecgroup"];

pub fn probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = PARTS
        .into_iter()
        .map(|part| Probe::lookup(format!("proc.words.{part}"), move |context| words_below(context, part)))
        .collect();
    for (kind, name) in KINDS {
        probes.push(Probe::lookup(format!("proc.words.kind.{name}"), move |context| {
            let mut hits =
                context.walk.hits.iter().filter(|hit| hit.kind == kind && hit.path.starts_with("/proc"));
            hits.next().map_or_else(
                || Finding::closed(format!("no foreign {name}")),
                |hit| Finding::open(hit.evidence()),
            )
        }));
    }
    probes.extend(TELLING.into_iter().map(|file| {
        Probe::new(format!("proc.{}", file.replace('/', ".")), move |_| telling(&format!("/proc/{file}")))
    }));
    probes.extend(TELLING_FOLDERS.into_iter().map(|folder| {
        Probe::new(format!("proc.{}.folder", folder.replace('/', ".")), move |_| {
            telling_folder(&format!("/proc/{folder}"))
        })
    }));
    probes.extend(
        MEMORY
            .into_iter()
            .map(|file| Probe::new(format!("proc.{file}"), move |_| telling(&format!("/proc/{file}")))),
    );
    probes.push(Probe::new("proc.self.mountinfo.state", state_in_mounts));
    probes.push(Probe::new("proc.self.mountinfo.engine", |_| {
        let states = ["/containers/storage", "/var/lib/docker", "/containerd/", "/var/lib/lxc/"];
        in_mounts(|line| states.iter().any(|state| line.contains(state)), "an engine's folder")
    }));
    probes.push(Probe::new("proc.self.cgroup.host", cgroup_path));
    probes
}

fn words_below(context: &Context, part: &str) -> Finding {
    let mut hits = context.walk.below(&format!("/proc/{part}"));
    if part == "net" || part == "self" {
        // They are links; the walk saw what is behind them by its own number.
        let inside = |path: &str| {
            let Some(rest) = path.strip_prefix("/proc/") else { return false };
            let Some((pid, rest)) = rest.split_once('/') else { return false };
            pid.bytes().all(|byte| byte.is_ascii_digit()) && (part == "self" || rest.starts_with("net"))
        };
        hits = context.walk.hits.iter().filter(|hit| inside(&hit.path)).collect();
    }
    hits.first().map_or_else(
        || Finding::closed(format!("nothing foreign below /proc/{part}")),
        |hit| Finding::open(hit.evidence()),
    )
}

fn readable(path: &str) -> std::io::Result<std::fs::File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

fn telling(path: &str) -> Finding {
    let mut file = match readable(path) {
        Ok(file) => file,
        Err(error) => return Finding::of::<()>(&format!("open({path})"), Err(error.into())),
    };
    let mut content = [0; 512];
    match file.read(&mut content) {
        Ok(0) => Finding::closed(format!("{path} is empty")),
        Ok(length) => {
            let text = String::from_utf8_lossy(&content[..length]).into_owned();
            Finding::open(format!("{path} says '{}'", text.lines().next().unwrap_or_default().trim()))
        }
        Err(error) => Finding::of::<()>(&format!("read({path})"), Err(error.into())),
    }
}

fn telling_folder(path: &str) -> Finding {
    match std::fs::read_dir(path) {
        Err(error) => Finding::of::<()>(&format!("list {path}"), Err(error.into())),
        Ok(mut entries) => match entries.next() {
            Some(Ok(entry)) => Finding::open(format!("{path} has {}", entry.file_name().to_string_lossy())),
            _ => Finding::closed(format!("{path} is empty")),
        },
    }
}

/// Where an engine keeps its state is a host's path. nicdock's is known by its place, for other folders may have its name.
fn state_in_mounts(context: &Context) -> Finding {
    let own = |line: &str| context.target.state.as_ref().is_some_and(|state| state.is_shown_by(line));
    in_mounts(own, "nicdock's state")
}

fn in_mounts(is: impl Fn(&str) -> bool, what: &str) -> Finding {
    let path = "/proc/self/mountinfo";
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Finding::of::<()>(&format!("read({path})"), Err(error.into())),
    };
    let line = text.lines().find(|line| is(line));
    line.map_or_else(
        || Finding::closed(format!("{path} does not show {what}")),
        |line| Finding::open(format!("{path}: {line}")),
    )
}

/// A path other than / names the container's place on the host (cgroup_namespaces(7)).
fn cgroup_path(_: &Context) -> Finding {
    let text = match std::fs::read_to_string("/proc/self/cgroup") {
        Ok(text) => text,
        Err(error) => return Finding::of::<()>("read(/proc/self/cgroup)", Err(error.into())),
    };
    let line = text.lines().find(|line| !line.ends_with(":/"));
    line.map_or_else(
        || Finding::closed("the cgroup is / by /proc/self/cgroup"),
        |line| Finding::open(format!("/proc/self/cgroup: {line}")),
    )
}
