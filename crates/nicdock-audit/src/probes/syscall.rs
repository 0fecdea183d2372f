//! `syscall.*`: system calls that reach beyond a container, by each entry into the kernel.
//!
//! Each is made with arguments that the kernel finds invalid after it has checked permission: any other answer than a refusal is open.

use crate::kernel::entry::{self, X32};
use crate::kernel::errno::Errno;
use crate::kernel::{call, fork, socket};
use crate::probe::{Finding, Probe};

/// A call: name, numbers on x86-64 and i386 (arch/x86/entry/syscalls), arguments, and memory that one of them points to.
struct Call {
    name: &'static str,
    native: i64,
    i386: u32,
    arguments: &'static [usize],
    memory: &'static [u32],
}

const fn plain(name: &'static str, native: i64, i386: u32, arguments: &'static [usize]) -> Call {
    Call { name, native, i386, arguments, memory: &[] }
}

const fn with(
    name: &'static str,
    native: i64,
    i386: u32,
    arguments: &'static [usize],
    memory: &'static [u32],
) -> Call {
    Call { name, native, i386, arguments, memory }
}

/// No descriptor, no process.
const NONE: usize = usize::MAX;
/// The address of the call's memory, which lies below 4 GiB for every entry.
const MEMORY: usize = usize::MAX - 1;
const NEWUSER: usize = 0x1000_0000;
const NEWNS: usize = 0x2_0000;
const NEWNET: usize = 0x4000_0000;
const SIGCHLD: usize = 17;

/// The comments say what the kernel checks after permission. What it checks before (mount(2), umount2(2), setns(2) and
/// open_by_handle_at(2) look up their path or descriptor first) is tried with real arguments by other families.
const CALLS: [Call; 33] = [
    // No entries (io_uring_create); no descriptor.
    plain("io_uring_setup", libc::SYS_io_uring_setup, 425, &[0, 0]),
    plain("io_uring_enter", libc::SYS_io_uring_enter, 426, &[NONE, 0, 0, 0, 0, 0]),
    plain("io_uring_register", libc::SYS_io_uring_register, 427, &[NONE, 0, 0, 0]),
    // BPF_MAP_CREATE of an array of one word, which ends with the attempt.
    with("bpf", libc::SYS_bpf, 357, &[0, MEMORY, 16], &[2, 4, 4, 1]),
    // The software clock of one CPU, with the kernel's part: PERF_TYPE_SOFTWARE, size, PERF_COUNT_SW_CPU_CLOCK.
    with("perf_event_open", libc::SYS_perf_event_open, 336, &[MEMORY, NONE, 0, NONE, 0], &[1, 64, 0, 0]),
    // An image of no length; no descriptor; a null name.
    plain("init_module", libc::SYS_init_module, 128, &[0, 0, 0]),
    plain("finit_module", libc::SYS_finit_module, 350, &[NONE, 0, 0]),
    plain("delete_module", libc::SYS_delete_module, 129, &[0, 0]),
    // More segments than there may be.
    plain("kexec_load", libc::SYS_kexec_load, 283, &[0, 17, 0, 0]),
    plain("kexec_file_load", libc::SYS_kexec_file_load, 999, &[NONE, NONE, 0, 0, 0]),
    // For the attempt's own process only.
    plain("iopl", libc::SYS_iopl, 110, &[3]),
    plain("ioperm", libc::SYS_ioperm, 101, &[0x80, 1, 1]),
    // SYSLOG_ACTION_SIZE_BUFFER, SYSLOG_ACTION_SIZE_UNREAD, SYSLOG_ACTION_READ_ALL into nothing.
    plain("syslog.size", libc::SYS_syslog, 103, &[10, 0, 0]),
    plain("syslog.unread", libc::SYS_syslog, 103, &[9, 0, 0]),
    plain("syslog.read_all", libc::SYS_syslog, 103, &[3, 0, 0]),
    // For the attempt's own process only.
    plain("unshare.user", libc::SYS_unshare, 310, &[NEWUSER]),
    plain("unshare.mount", libc::SYS_unshare, 310, &[NEWNS]),
    plain("unshare.net", libc::SYS_unshare, 310, &[NEWNET]),
    plain("unshare.user_net_mount", libc::SYS_unshare, 310, &[NEWUSER | NEWNET | NEWNS]),
    plain("clone.user", libc::SYS_clone, 120, &[NEWUSER | SIGCHLD, 0, 0, 0, 0]),
    plain("clone.net", libc::SYS_clone, 120, &[NEWNET | SIGCHLD, 0, 0, 0, 0]),
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
    with("clone3.user", libc::SYS_clone3, 435, &[MEMORY, 64], &[0x1000_0000, 0, 0, 0, 0, 0, 0, 0, 17]),
    // may_mount comes first: no context, a null name or path.
    plain("fsopen", libc::SYS_fsopen, 430, &[0, 0]),
    plain("fsmount", libc::SYS_fsmount, 432, &[NONE, 0, 0]),
    plain("open_tree", libc::SYS_open_tree, 428, &[NONE, 0, 1]),
    plain("mount_setattr", libc::SYS_mount_setattr, 442, &[NONE, 0, 0, 0, 32]),
    plain("pivot_root", libc::SYS_pivot_root, 217, &[0, 0]),
    // Wild or null names.
    plain("acct", libc::SYS_acct, 51, &[1]),
    plain("swapon", libc::SYS_swapon, 87, &[0, 0]),
    plain("swapoff", libc::SYS_swapoff, 115, &[0]),
    // Wrong magic numbers.
    plain("reboot", libc::SYS_reboot, 88, &[1, 2, 3, 0]),
    // KEYCTL_GET_KEYRING_ID of KEY_SPEC_USER_KEYRING (-4), not to be made: keyrings belong to users of the user namespace, so
    // a container's root may have the host's (keyrings(7)).
    plain("keyctl", libc::SYS_keyctl, 288, &[0, usize::MAX - 3, 0, 0, 0]),
    // FAN_CLASS_CONTENT: every file that others open.
    plain("fanotify_init", libc::SYS_fanotify_init, 338, &[4, 0]),
];

/// A call that probes make, by its entries.
pub struct Tried {
    pub name: &'static str,
    pub native: u32,
    pub i386: u32,
    /// How many arguments it has.
    pub arity: usize,
}

/// Every call that is tried by its number.
pub fn calls() -> impl Iterator<Item = Tried> {
    CALLS.iter().filter_map(|call| {
        let native = u32::try_from(call.native).ok()?;
        Some(Tried { name: call.name, native, i386: call.i386, arity: call.arguments.len() })
    })
}

pub fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    for call in &CALLS {
        probes.push(Probe::new(format!("syscall.{}", call.name), move |_| {
            judge(call, "", |arguments| call::with_numbers(call.native, arguments))
        }));
        probes.push(Probe::new(format!("x32.{}", call.name), move |_| match socket::has_entry("x32") {
            Err(reason) => Finding::not_applicable(reason),
            Ok(()) => judge(call, "x32 ", |arguments| call::with_numbers(call.native | X32, arguments)),
        }));
        probes.push(Probe::new(format!("i386.{}", call.name), move |_| match socket::has_entry("i386") {
            Err(reason) => Finding::not_applicable(reason),
            Ok(()) => judge(call, "i386 ", |arguments| i386(call.i386, arguments)),
        }));
    }
    probes.push(Probe::new("i386.entry", |_| entry_open("i386", || entry::i386(20, [0; 5]).map(drop))));
    probes.push(Probe::new("x32.entry", |_| {
        entry_open("x32", || call::with_numbers(libc::SYS_getpid | X32, &[]).map(drop))
    }));
    probes
}

fn i386(number: u32, list: &[usize]) -> Result<usize, Errno> {
    let mut arguments = [0; 5];
    for (to, from) in arguments.iter_mut().zip(list) {
        // All ones stay all ones.
        *to = u32::try_from(*from & 0xffff_ffff).unwrap_or(u32::MAX);
    }
    entry::i386(number, arguments).map(|result| result as usize)
}

fn judge(call: &Call, entry: &str, attempt: impl FnOnce(&[usize]) -> Result<usize, Errno>) -> Finding {
    let what = format!("{entry}{}({})", call.name, arguments(call.arguments));
    let memory = match entry::low_page(call.memory) {
        Ok(address) => address as usize,
        Err(errno) => return Finding::open(format!("not concluded: mmap below 4 GiB: {errno}")),
    };
    let list: Vec<usize> =
        call.arguments.iter().map(|value| if *value == MEMORY { memory } else { *value }).collect();
    match attempt(&list) {
        // A call of clone's kind returns in the new process as well: the attempt is the other's to report.
        Ok(0) if call.name.starts_with("clone") => std::process::exit(0),
        Ok(_) => Finding::open(format!("{what}: succeeded")),
        Err(errno) if matches!(errno.0, libc::EPERM | libc::ENOSYS | libc::EACCES) => {
            Finding::refused(&what, errno)
        }
        Err(errno) => {
            Finding::open(format!("{what}: {errno}, which is said only after permission was given"))
        }
    }
}

fn arguments(list: &[usize]) -> String {
    let text = |value: &usize| match *value {
        NONE => "-1".to_owned(),
        MEMORY => "…".to_owned(),
        value => format!("{value:#x}"),
    };
    list.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// An entry by which a filter for one architecture is passed by. Open only if a filter is meant to be there.
fn entry_open(name: &str, attempt: impl FnOnce() -> Result<(), Errno>) -> Finding {
    if let Err(reason) = socket::has_entry(name) {
        return Finding::not_applicable(reason);
    }
    match fork::run(std::time::Duration::from_secs(5), || attempt().map_err(|errno| errno.0).err()) {
        Ok(fork::End::Said(None)) => Finding::open(format!("{name} getpid(): succeeded")),
        Ok(fork::End::Signal(signal)) => {
            Finding::closed(format!("{name} getpid(): {}", fork::signal_name(signal)))
        }
        Ok(fork::End::Said(Some(errno))) => Finding::closed(format!("{name} getpid(): {}", Errno(errno))),
        _ => Finding::open(format!("not concluded: {name} getpid() gave no answer")),
    }
}
