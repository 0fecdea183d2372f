//! `process.*`: processes that are not in this container's namespaces, and reaching into them.

use std::fs;

use crate::kernel::errno::Errno;
use crate::kernel::{namespace, trace};
use crate::probe::{Finding, Probe};

const NAMESPACES: [&str; 8] = ["net", "mnt", "pid", "user", "uts", "ipc", "cgroup", "time"];

pub fn probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = NAMESPACES
        .into_iter()
        .map(|kind| {
            Probe::new(format!("process.setns.{kind}"), move |_| {
                on_each(&others(kind), &format!("another {kind} namespace"), |pid| {
                    let path = format!("/proc/{pid}/ns/{kind}");
                    (format!("setns({path})"), namespace::join(&path))
                })
            })
        })
        .collect();
    probes.push(foreign("ptrace", |pid| match trace::seize(pid) {
        // Whatever is traced already cannot be, as all is that stands still for the audit: then it counts who may.
        Err(errno) if trace::read_memory(pid) == Err(Errno(libc::EFAULT)) => {
            (format!("PTRACE_SEIZE: {errno}, but permission for it"), Ok(()))
        }
        result => ("PTRACE_SEIZE".to_owned(), result),
    }));
    probes.push(foreign("vm_readv", |pid| {
        let result = match trace::read_memory(pid) {
            Err(Errno(libc::EFAULT)) => Ok(()),
            result => result,
        };
        ("process_vm_readv".to_owned(), result)
    }));
    probes.push(foreign("pidfd_getfd", |pid| {
        ("pidfd_getfd(0)".to_owned(), trace::take_descriptor(pid).map(drop))
    }));
    probes.push(foreign("signal", |pid| {
        let process = rustix::process::Pid::from_raw(pid).ok_or(Errno(libc::ESRCH));
        let result = process.and_then(|pid| Ok(rustix::process::test_kill_process(pid)?));
        ("kill(0)".to_owned(), result)
    }));
    for file in ["environ", "maps", "mem", "fd", "root/", "cwd/", "mountinfo", "net/dev", "map_files", "auxv"]
    {
        probes.push(foreign(&format!("file.{}", file.trim_end_matches('/').replace('/', ".")), move |pid| {
            let path = format!("/proc/{pid}/{file}");
            let result = match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => fs::read_dir(&path).map(drop),
                Ok(_) => fs::File::open(&path).map(drop),
                Err(error) => Err(error),
            };
            (format!("opening {path}"), result.map_err(Into::into))
        }));
    }
    probes.push(Probe::new("process.visible", |_| {
        let others = others("pid");
        let more = others.len();
        others.first().map_or_else(
            || Finding::closed("every visible process is in this process namespace"),
            |pid| Finding::open(format!("{more} processes of other process namespaces, as {pid}")),
        )
    }));
    probes
}

/// A try at each process of another network or mount namespace, until one succeeds.
fn foreign(name: &str, attempt: impl Fn(i32) -> (String, Result<(), Errno>) + 'static) -> Probe {
    Probe::new(format!("process.{name}"), move |_| {
        let mut pids = others("net");
        pids.extend(others("mnt"));
        on_each(&pids, "another network or mount namespace", &attempt)
    })
}

fn on_each(pids: &[i32], of: &str, attempt: impl Fn(i32) -> (String, Result<(), Errno>)) -> Finding {
    let mut last = None;
    for pid in pids.iter().take(64) {
        let (what, result) = attempt(*pid);
        match result {
            Ok(()) => return Finding::open(format!("{what} of process {pid}: succeeded")),
            Err(errno) => last = Some(format!("{what} of process {pid}: {errno}")),
        }
    }
    last.map_or_else(|| Finding::closed(format!("no visible process is in {of}")), Finding::closed)
}

/// The visible processes whose namespace is another than ours, or hidden from us.
fn others(kind: &str) -> Vec<i32> {
    let ours = fs::read_link(format!("/proc/self/ns/{kind}")).ok();
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
    let is_other =
        |pid: &i32| fs::read_link(format!("/proc/{pid}/ns/{kind}")).is_ok_and(|theirs| Some(theirs) != ours);
    pids.filter(is_other).collect()
}
