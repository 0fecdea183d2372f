//! Descriptors that a container passes to a process of an ordinary user's, or of the host's, and what these reach later.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use super::{Attempt, all_is_free, steers_nothing, try_each};
use crate::descriptors::{AGAIN, FOLDER, lease};
use crate::holders::{Holder, passes};
use crate::lifecycle::kill;
use crate::nicdock::{Running, eventually, expect, fail, nicdock, succeed};
use crate::probe::receive;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[("what_else_a_container_passes_out_reaches_no_nic_later", all, Lab::is_first)];

fn all(_: &Lab) -> Result<(), Failed> {
    let attempts: &[Attempt<()>] = &[
        ("a handle that only names the node", |()| handle()),
        ("the container's root", |()| root()),
        ("a folder of the view of /sys", |()| view()),
        ("a process's folder in its /proc", |()| process()),
        ("the mount namespace", |()| mounts()),
        ("a holder that stands still, with a name that steers", |()| stopped()),
    ];
    try_each(&mut (), attempts)
}

/// What a container with rxe1 passes to this process, and how it looks before the container ends.
fn passed<T>(what: &str, before: impl FnOnce(&OwnedFd) -> Result<T, Failed>) -> Result<(OwnedFd, T), Failed> {
    let _ = std::fs::remove_dir_all(FOLDER);
    std::fs::create_dir(FOLDER)?;
    let socket = UnixListener::bind(format!("{FOLDER}/socket"))?;
    let (volume, script) = passes(what, &["socket"])?;
    let script = format!("{script}; read line; true");
    let mut args = AGAIN[..6].to_vec();
    args.extend(["--name", "passing", "-v", &volume, "--", "sh", "-c", &script]);
    let mut command = crate::nicdock::command(&args);
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let descriptor = receive(&socket)?;
    let seen = before(&descriptor);
    drop(child.stdin.take());
    child.wait()?;
    std::fs::remove_dir_all(FOLDER)?;
    Ok((descriptor, seen?))
}

/// Whether an ordinary user who has the descriptor opens the node by it.
fn opens(descriptor: &OwnedFd, below: &str) -> Result<bool, Failed> {
    let mine = descriptor.try_clone()?;
    rustix::io::fcntl_setfd(&mine, rustix::io::FdFlags::empty())?;
    let script = format!("exec 9<>/proc/self/fd/{}{below}", mine.as_raw_fd());
    let status =
        Command::new("sh").args(["-c", &script]).uid(1000).gid(1000).stderr(Stdio::null()).status()?;
    Ok(status.success())
}

/// Not open for reading or writing (`O_PATH`), and opened once more by /proc.
fn handle() -> Result<(), Failed> {
    let (descriptor, ()) = passed("handle", |_| Ok(()))?;
    expect(lease()?["state"] == "draining", lease()?)?;
    fail(125, &AGAIN)?;
    drop(descriptor);
    succeed(&["reconcile"])?;
    all_is_free()
}

/// Where the host keeps its nodes from ordinary users: what was mounted below the root is not there any more when the next container has the NIC.
fn root() -> Result<(), Failed> {
    let node = "/dev/infiniband/uverbs1";
    let mode = |mode| std::fs::set_permissions(node, std::fs::Permissions::from_mode(mode));
    mode(0o600)?;
    let result = (|| {
        let (descriptor, before) = passed("/", |descriptor| opens(descriptor, node))?;
        let next = Running::start("rxe1", &["--netdev", "keep"], "sleep 600")?;
        let after = opens(&descriptor, node)?;
        drop(next);
        expect(before, "the node is not found while the container runs")?;
        expect(!after, "an ordinary user opens the node while the next container has the NIC")
    })();
    mode(0o666)?;
    result?;
    all_is_free()
}

/// It goes on showing what was shown, and nothing else.
fn view() -> Result<(), Failed> {
    let names = |descriptor: &OwnedFd| -> Result<Vec<String>, Failed> {
        let listed = std::fs::read_dir(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))?.flatten();
        Ok(listed.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    };
    let (descriptor, before) = passed("/sys/class/infiniband", names)?;
    expect(before == ["rxe1"], format!("{before:?}"))?;
    all_is_free()?;
    let after = names(&descriptor)?;
    expect(after.iter().all(|name| name == "rxe1"), format!("{after:?}"))?;
    succeed(&AGAIN).map(drop)
}

/// It is that process's alone, and no later one's.
fn process() -> Result<(), Failed> {
    let (descriptor, ()) = passed("/proc/self", |_| Ok(()))?;
    all_is_free()?;
    let next = Running::start("rxe1", &["--netdev", "keep"], "sleep 600")?;
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let read = std::fs::read(format!("{path}/status"));
    let opened = File::open(format!("{path}/root/dev/infiniband/uverbs1"));
    drop(next);
    expect(read.is_err() && opened.is_err(), "it leads to a process")
}

/// It keeps every mount of the container, and with them its /dev.
fn mounts() -> Result<(), Failed> {
    let (descriptor, ()) = passed("/proc/self/ns/mnt", |_| Ok(()))?;
    all_is_free()?;
    succeed(&AGAIN)?;
    drop(descriptor);
    all_is_free()
}

/// A process that cannot answer is found all the same, and its name is shown as text.
fn stopped() -> Result<(), Failed> {
    let mut holder = Holder::start("process", "socket")?;
    holder.does("called \u{1b}[2J\u{1b}[31m", "called")?;
    let (volume, script) = passes("node", &["socket"])?;
    let mut args = AGAIN[..6].to_vec();
    args.extend(["-v", &volume, "--", "sh", "-c", &script]);
    let mut child = crate::nicdock::command(&args).stdin(Stdio::null()).spawn()?;
    holder.does("receive", "has")?;
    kill(holder.pid().try_into()?, "STOP")?;
    child.wait()?;
    let said = fail(125, &AGAIN)?;
    expect(said.contains(&format!("process {} ", holder.pid())), &said)?;
    for args in [&AGAIN[..], &["leases"], &["leases", "--json"], &["reconcile"], &["ls"]] {
        let output = nicdock(args);
        let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        steers_nothing(&format!("what nicdock {args:?} says"), &text)?;
    }
    kill(holder.pid().try_into()?, "CONT")?;
    drop(holder);
    eventually("nobody has it any more", || nicdock(&["reconcile"]).status.success())?;
    all_is_free()
}
