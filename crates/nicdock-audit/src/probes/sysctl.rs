//! `sysctl.*`: settings of the whole machine. What was read is written back.

use std::fs;
use std::io::Write;

use crate::probe::{Finding, Probe};

/// Below /proc/sys. Not `net/`: its settings are of the container's own network namespace, but for a few that only the initial
/// one shows.
const SETTINGS: [&str; 34] = [
    "kernel/core_pattern",
    "kernel/modprobe",
    "kernel/hotplug",
    "kernel/poweroff_cmd",
    "kernel/core_pipe_limit",
    "kernel/dmesg_restrict",
    "kernel/kptr_restrict",
    "kernel/perf_event_paranoid",
    "kernel/unprivileged_bpf_disabled",
    "kernel/randomize_va_space",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/printk",
    "kernel/sysrq",
    "kernel/threads-max",
    "kernel/pid_max",
    "kernel/usermodehelper/bset",
    "kernel/yama/ptrace_scope",
    "kernel/keys/maxkeys",
    "kernel/sched_autogroup_enabled",
    "kernel/numa_balancing",
    "fs/file-max",
    "fs/suid_dumpable",
    "fs/protected_symlinks",
    "fs/pipe-max-size",
    "fs/inotify/max_user_watches",
    "vm/overcommit_memory",
    "vm/max_map_count",
    "vm/mmap_min_addr",
    "vm/swappiness",
    "vm/nr_hugepages",
    "net/core/rmem_max",
    "net/core/bpf_jit_enable",
    "user/max_user_namespaces",
];

/// Files that do something when written: opening for writing is enough.
const TRIGGERS: [&str; 6] = [
    "/proc/sysrq-trigger",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/vm/compact_memory",
    "/sys/kernel/uevent_helper",
    "/proc/dynamic_debug/control",
];

pub fn probes() -> Vec<Probe> {
    let settings = SETTINGS.into_iter().map(|setting| {
        Probe::new(format!("sysctl.{}", setting.replace('/', ".")), move |_| {
            same(&format!("/proc/sys/{setting}"))
        })
    });
    let triggers = TRIGGERS.into_iter().map(|path| {
        let name = path.rsplit('/').take(2).collect::<Vec<_>>();
        Probe::new(format!("sysctl.trigger.{}.{}", name[1], name[0]), move |_| {
            Finding::of(
                &format!("open({path}, O_WRONLY)"),
                fs::OpenOptions::new().write(true).open(path).map_err(Into::into),
            )
        })
    });
    settings.chain(triggers).collect()
}

fn same(path: &str) -> Finding {
    let what = format!("writing {path} as it is");
    let Ok(value) = fs::read(path) else {
        return match fs::OpenOptions::new().write(true).open(path) {
            Ok(_) => Finding::open(format!("open({path}, O_WRONLY): succeeded")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Finding::closed(format!("{path} is not there"))
            }
            Err(error) => Finding::of::<()>(&format!("open({path}, O_WRONLY)"), Err(error.into())),
        };
    };
    let written = fs::OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(&value));
    Finding::of(&what, written.map_err(Into::into))
}
