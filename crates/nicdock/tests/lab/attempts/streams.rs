//! Streams that are the host's files, terminals that nobody reads, folders of nodes that are passed out, and devices that get another name.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use super::numbers::with_another_name;
use super::{all_is_free, try_each};
use crate::descriptors::{AGAIN, FOLDER};
use crate::holders::{Holder, passes};
use crate::lifecycle::kill;
use crate::nicdock::{Running, command, eventually, expect, fail, nicdock, succeed};
use crate::numbers::{limit, rdma};
use crate::probe::receive;
use crate::shell::Shell;
use crate::terminals::{User, waits_in};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_file_that_is_a_stream_is_not_the_programs_to_change", |_| streams(), Lab::is_first),
    (
        "a_terminal_that_nobody_reads_makes_nicdock_deaf_to_nothing",
        |_| {
            try_each(
                &mut (),
                &[("a program writes without end to a terminal that is not read", |()| {
                    written_without_end()
                })],
            )
        },
        Lab::is_first,
    ),
    ("a_folder_of_nodes_that_was_passed_out_opens_none_later", |_| folder(), Lab::is_first),
    ("a_device_stays_the_containers_whatever_it_is_called", renamed, Lab::is_first),
    (
        "a_device_that_was_renamed_is_not_given_while_its_node_is_open_outside",
        |_| renamed_and_passed(),
        Lab::is_first,
    ),
];

/// nicdock waits in write(2) (`n_tty_write()`), and hears neither a signal nor of a device that goes.
fn written_without_end() -> Result<(), Failed> {
    for options in [&[][..], &["-t"]] {
        let args = [&["run", "--nic", "eth3", "--host-root"], options, &["--", "yes"]].concat();
        let mut user = User::starts(&args, "")?;
        // It holds what it has printed, and takes no more.
        let mut before = 0;
        eventually("the terminal is full", || {
            let now = rustix::io::ioctl_fionread(&user.keyboard).unwrap_or_default();
            std::mem::replace(&mut before, now) == now && now > 0
        })?;
        kill(user.nicdock.id().try_into()?, "TERM")?;
        eventually("nicdock hears a signal", || matches!(user.nicdock.try_wait(), Ok(Some(_))))?;
        all_is_free()?;
    }
    let mut user = User::starts(&["run", "--nic", "eth3", "--host-root", "--", "yes"], "never-waits")?;
    waits_in(&mut user, libc::SYS_write)?;
    all_is_free()
}

/// Whether an ordinary user who has the folder opens the node by it.
fn opens(descriptor: &OwnedFd) -> Result<bool, Failed> {
    let mine = descriptor.try_clone()?;
    rustix::io::fcntl_setfd(&mine, rustix::io::FdFlags::empty())?;
    let script = format!("exec 9<>/proc/self/fd/{}/uverbs1", mine.as_raw_fd());
    let status =
        Command::new("sh").args(["-c", &script]).uid(1000).gid(1000).stderr(Stdio::null()).status()?;
    Ok(status.success())
}

/// The next container has the NIC, and no process has its node.
fn folder() -> Result<(), Failed> {
    for (left_open, opens) in [("removed-nodes", true), ("", false)] {
        expect(
            opens_later(left_open)? == opens,
            format!("'{left_open}' left out: opening it has to be {opens}"),
        )?;
    }
    Ok(())
}

/// Whether an ordinary user then opens it by the folder.
fn opens_later(left_open: &str) -> Result<bool, Failed> {
    let _ = std::fs::remove_dir_all(FOLDER);
    std::fs::create_dir(FOLDER)?;
    let socket = UnixListener::bind(format!("{FOLDER}/socket"))?;
    let (volume, script) = passes("/dev/infiniband", &["socket"])?;
    let mut args = AGAIN[..6].to_vec();
    args.extend(["-v", &volume, "--", "sh", "-c", &script]);
    let mut child = command(&args).env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).spawn()?;
    let descriptor = receive(&socket)?;
    child.wait()?;
    std::fs::remove_dir_all(FOLDER)?;
    all_is_free()?;
    let next = Running::start("rxe1", &["--netdev", "keep"], "sleep 600");
    let after = opens(&descriptor);
    drop(next);
    after
}

/// The rdma cgroup's limits go by name: another device of the container's old name is not limited, and its own is.
fn renamed(lab: &Lab) -> Result<(), Failed> {
    const NOTHING: &str = "hca_handle=0 hca_object=0";
    const ALL: &str = "hca_handle=max hca_object=max";
    limited(lab, "renamed-devices", [ALL, NOTHING])?;
    limited(lab, "", [NOTHING, ALL])
}

/// What a container in the end has of the newcomer with its device's old name, and of its own device.
fn limited(lab: &Lab, left_open: &str, wanted: [&str; 2]) -> Result<(), Failed> {
    let options = ["run", "--host-root", "--nic", "rxe1", "--netdev", "keep", "--name", "first", "--", "sh"];
    let mut options = command(&options);
    options.env("NICDOCK_LEAVE_OPEN", left_open);
    let shell = Shell::start(options, Vec::new())?;
    let result = with_another_name(|| {
        rdma("add rxe1 type rxe netdev eth2")?;
        let limits = || [limit(lab, "rxe1"), limit(lab, "rxe8")];
        let result = eventually("the newcomer and its own device are limited so", || limits() == wanted);
        println!("limits of the newcomer, of its own: {:?}", limits());
        rdma("delete rxe1")?;
        result
    });
    drop(shell);
    result
}

/// Who has the node open is looked for by the name that the device had.
fn renamed_and_passed() -> Result<(), Failed> {
    given_on("renamed-devices", true)?;
    given_on("", false)
}

/// Whether the NIC is given to the next container.
fn given_on(left_open: &str, is_given: bool) -> Result<(), Failed> {
    let mut holder = Holder::start("process", "socket")?;
    let (volume, script) = passes("node", &["socket"])?;
    let script = format!("{script} && read line; true");
    let mut args = AGAIN[..6].to_vec();
    args.extend(["-v", &volume, "--", "sh", "-c", &script]);
    let mut child = command(&args).env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::piped()).spawn()?;
    holder.does("receive", "has")?;
    let result = with_another_name(|| {
        drop(child.stdin.take());
        child.wait()?;
        let next = ["run", "--nic", "rxe8", "--netdev", "keep", "--host-root", "--", "true"];
        if is_given {
            return succeed(&next).map(drop);
        }
        let said = fail(125, &next)?;
        expect(said.contains(&format!("process {} ", holder.pid())), said)
    });
    drop(holder);
    eventually("nobody has it any more", || nicdock(&["reconcile"]).status.success())?;
    result
}

/// A program that is root reopens a stream by /proc and changes the host's file: its log becomes a set-user-ID program of root's, a file that
/// it may only read is written, and a folder leads to the whole host.
fn streams() -> Result<(), Failed> {
    let (said, changed, listed) = changed_by("")?;
    expect(!said.contains("euid=0"), "an ordinary user of the host is root by the program's log")?;
    expect(changed == "original", "a file that was open for reading was written")?;
    expect(!listed.contains("leases"), "the host's folders are listed")?;
    let (said, changed, _) = changed_by("terminal-streams")?;
    let reached = said.contains("euid=0") && changed != "original";
    expect(reached, format!("the attack failed although the files are its own: {said:?}, {changed:?}"))
}

/// What an ordinary user is by the log, what is in the input, and what was seen by a folder.
fn changed_by(left_open: &str) -> Result<(String, String, String), Failed> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let (log, input) = (folder.path().join("log"), folder.path().join("input"));
    std::fs::write(&input, "original")?;
    let script = "cat /usr/bin/id; chmod 4755 /proc/self/fd/1; echo changed >/proc/self/fd/0";
    let run = |script: &str, input: std::fs::File, output: std::fs::File| -> Result<(), Failed> {
        let args = ["run", "--nic", "rxe1", "--netdev", "keep", "--host-root", "--", "sh", "-c", script];
        let mut command = command(&args);
        command.env("NICDOCK_LEAVE_OPEN", left_open);
        command.stdin(input).stdout(output).stderr(Stdio::null()).status()?;
        Ok(())
    };
    run(script, std::fs::File::open(&input)?, std::fs::File::create(&log)?)?;
    let id = Command::new(&log).uid(1000).gid(1000).output();
    let said = id.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let changed = std::fs::read_to_string(&input)?;
    let listed = folder.path().join("listed");
    run("ls /proc/self/fd/0/../run/nicdock", std::fs::File::open("/srv")?, std::fs::File::create(&listed)?)?;
    let listed = std::fs::read_to_string(&listed)?;
    println!("the log says {said:?}, the input is {changed:?}, in nicdock's state are {listed:?}");
    Ok((said, changed, listed))
}
