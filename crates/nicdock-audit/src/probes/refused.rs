//! `syscall.*`: the calls of the running kernel that the container's profile refuses, beyond those that `syscall.rs` knows by their arguments.
//!
//! Each is made with all bits of every argument set: no pointer, descriptor, process or set of flags. What a filter refuses is told by its
//! error; any other one is the kernel's, which a program could reach with better arguments.

use super::calls;
use crate::kernel::errno::Errno;
use crate::kernel::{call, fork};
use crate::probe::{Context, Finding, Probe};
use crate::target::SystemCall;

pub fn probes(context: &Context) -> Vec<Probe> {
    let is_known = |call: &&SystemCall| !calls().any(|known| known.native == call.number);
    let others = context.target.refused_calls.iter().filter(is_known);
    others
        .map(|call| {
            let call = call.clone();
            Probe::new(format!("syscall.{}", call.name), move |_| attempt(&call))
        })
        .collect()
}

/// vhangup(2) acts on the caller's terminal, so whoever has one has a session of its own for this. In another process's place the audit has
/// none, and stays in its session, by which it is known.
fn attempt(call: &SystemCall) -> Finding {
    let what = format!("{} (system call {}) with -1 for each argument", call.name, call.number);
    let ended = fork::status_of(|| {
        if has_terminal() && rustix::process::setsid().is_err() {
            return UNTRIED;
        }
        match call::with_numbers(i64::from(call.number), &[usize::MAX; 6]) {
            Ok(_) => 0,
            Err(errno) => u8::try_from(errno.0).unwrap_or(OTHER),
        }
    });
    match ended {
        Ok(Ok(0)) => Finding::open(format!("{what}: succeeded")),
        Ok(Ok(UNTRIED)) => {
            Finding::open(format!("not concluded: {what}: it could not be given a session of its own"))
        }
        Ok(Ok(errno)) if [libc::EPERM, libc::ENOSYS, libc::EACCES].contains(&errno.into()) => {
            Finding::refused(&what, Errno(errno.into()))
        }
        Ok(Ok(errno)) => {
            Finding::open(format!("{what}: {}, which is the kernel's own answer", Errno(errno.into())))
        }
        Ok(Err(libc::SIGSYS)) => Finding::closed(format!("{what}: SIGSYS (seccomp)")),
        Ok(Err(signal)) => {
            Finding::open(format!("{what}: {}, which is the kernel's own answer", fork::signal_name(signal)))
        }
        Err(errno) => Finding::open(format!("not concluded: {what}: fork: {errno}")),
    }
}

/// Unless the kernel says that there is none (tty(4)).
fn has_terminal() -> bool {
    let opened = std::fs::File::open("/dev/tty");
    opened.map_err(Errno::from).err() != Some(Errno(libc::ENXIO)) && !stat_has_none()
}

/// By proc_pid_stat(5), where the number of the terminal is the seventh field, the fifth behind the name.
fn stat_has_none() -> bool {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    text.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(4)) == Some("0")
}

/// No errors of the kernel's (include/uapi/asm-generic/errno.h ends at 133; `ENOTSUPP` and others beyond 255 are its own).
const UNTRIED: u8 = 254;
const OTHER: u8 = 255;
