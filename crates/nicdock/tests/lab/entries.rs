//! What seccomp refuses is refused by every entry that the kernel has: x86-64, x32 and i386.

use std::process::Command;

use libtest_mimic::Failed;

use crate::nicdock::{expect, shell};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("nothing_that_is_refused_can_be_had_by_x32_system_calls", x32, |_| has_x32()),
    ("nothing_that_is_refused_can_be_had_by_i386_system_calls", i386, Lab::is_first_of_its_kernel),
];

/// Whether the kernel takes x32 system calls: Debian's do when told (lab 6.12 v2 of `cargo xtask test`).
fn has_x32() -> bool {
    std::fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.contains("syscall.x32=y"))
}

/// `NETLINK_RDMA` and `NETLINK_KOBJECT_UEVENT`, io_uring, a user namespace, a mount; last getpid(2), which is harmless, and
/// shows on the host that the entry is there.
const X32: [&str; 6] = [
    "x32 41 16 3 20",
    "x32 41 16 3 15",
    "x32 425 1 0 0",
    "x32 272 0x10000000 0 0",
    "x32 165 0 0 0",
    "x32 39 0 0 0",
];

/// The same by `int 0x80`, sockets also by socketcall(2).
const I386: [&str; 8] = [
    "i386 359 16 3 20",
    "i386 359 16 3 15",
    "socketcall 16 3 20",
    "socketcall 16 3 15",
    "i386 425 1 0 0",
    "i386 310 0x10000000 0 0",
    "i386 21 0 0 0",
    "i386 20 0 0 0",
];

fn x32(_: &Lab) -> Result<(), Failed> {
    refused_inside_only(&X32)
}

fn i386(_: &Lab) -> Result<(), Failed> {
    refused_inside_only(&I386)
}

fn refused_inside_only(calls: &[&str]) -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let lines = calls.iter().map(|call| format!("{this} --probe {call} 2>/dev/null || echo \"killed $?\"; "));
    let script = lines.collect::<String>();
    let host = Command::new("sh").args(["-c", &script]).output()?;
    let host = String::from_utf8_lossy(&host.stdout).into_owned();
    let answers: Vec<&str> = host.lines().collect();
    let harmless = answers.last() == Some(&"open");
    // The sockets are to be had on the host: without that a refusal inside would prove nothing.
    let sockets = calls.iter().zip(&answers).filter(|(call, _)| call.contains(" 16 3 "));
    expect(
        answers.len() == calls.len() && harmless && sockets.clone().all(|(_, answer)| *answer == "open"),
        format!("on the host: {calls:?}: {answers:?}"),
    )?;
    let text = shell(&["--nic", "rxe1", "--netdev", "keep"], &script)?;
    let inside: Vec<&str> = text.lines().collect();
    // A filter that does not know the entry ends its user (SIGSYS is 31), one that does says EPERM or ENOSYS.
    let refused = |answer: &&str| ["1", "38", "killed 159"].contains(answer);
    let (last, others) = inside.split_last().ok_or("no answer")?;
    expect(
        inside.len() == calls.len() && others.iter().all(refused) && (refused(last) || *last == "open"),
        format!("inside: {calls:?}: {inside:?}"),
    )
}
