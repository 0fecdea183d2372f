//! What keeps a container's network namespace, and with it the NIC, after the container has ended.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::descriptors::{FOLDER, lease};
use crate::holders::{Holder, passes};
use crate::lifecycle::kill;
use crate::nicdock::{Running, children, command, eventually, expect, fail, sleeping, succeed};
use crate::shell::{accepting, forget_bundle, of_runtime};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_nic_that_a_socket_outside_keeps_comes_back", socket, Lab::is_oldest_or_newest),
    ("a_nic_that_a_socket_keeps_when_a_container_of_crun_ends_comes_back_at_once", crun, Lab::is_first),
    ("a_pipe_in_the_place_of_a_namespace_makes_nobody_wait", pipe, Lab::is_oldest_or_newest),
];

/// Kernels before 6.9 have no handle on a thread that is not its process's first (`PIDFD_THREAD`).
fn reaches_threads(lab: &Lab) -> bool {
    lab.kernel != "6.1"
}

fn socket(lab: &Lab) -> Result<(), Failed> {
    // One has it in a table of a thread's own, the other nowhere: both have not received it yet.
    let mut thread = Holder::start("thread", "thread")?;
    let mut process = Holder::start("process", "process")?;
    let (volume, script) = passes("socket", &["thread", "process"])?;
    let script = format!("{script} && touch /passing/passed && sleep 600");
    let mut container = Running::start("eth3", &["--name", "kept", "-v", &volume], &script)?;
    eventually("it has passed them", || std::path::Path::new(&format!("{FOLDER}/passed")).exists())?;
    container.kill_supervisor()?;
    let begin = Instant::now();
    let said = fail(9, &["reconcile"])?;
    println!("the first command waited {:.1?}", begin.elapsed());
    expect(said.contains("a message that nobody has received may keep it"), &said)?;
    expect(said.contains(&format!("process {} (", thread.pid())), said)?;
    expect(lease()?["state"] == "stuck", lease()?)?;
    // Nobody waits for it again.
    let steps = |lease: &serde_json::Value| lease["journal"].as_array().map_or(0, Vec::len);
    let noted = steps(&lease()?);
    for _ in 0..2 {
        let begin = Instant::now();
        succeed(&["ls"])?;
        println!("the next one took {:.1?}", begin.elapsed());
        expect(begin.elapsed() < Duration::from_secs(15), "it waited again")?;
    }
    expect(steps(&lease()?) == noted, "the lease grows with every try")?;
    let said = fail(125, &["run", "--nic", "eth3", "--host-root", "--", "true"])?;
    expect(said.contains("what container kept has left"), said)?;
    thread.does("receive", "has")?;
    let left_open = command(&["reconcile"]).env("NICDOCK_LEAVE_OPEN", "socket-holders").output()?;
    expect(left_open.status.code() == Some(9), "it came back although no socket is looked at")?;
    if !reaches_threads(lab) {
        fail(9, &["reconcile"])?;
        process.does("receive", "has")?;
    }
    let begin = Instant::now();
    let told = succeed(&["reconcile"])?;
    println!("taken back in {:.1?}", begin.elapsed());
    expect(told.contains("gave back eth3"), told)
}

fn crun(lab: &Lab) -> Result<(), Failed> {
    let result = (|| {
        let mut shell = of_runtime("crun")?;
        let pid = shell.pid()?;
        let attach = ["attach", "--nic", "eth3", "--name", "theirs", "--pid", &pid];
        succeed(&[&attach[..], accepting(lab)].concat())?;
        // As if it had been passed to this process.
        let enter =
            |namespace: &File| move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
        let home = File::open("/proc/self/ns/net")?;
        enter(&File::open(format!("/proc/{pid}/ns/net"))?)?;
        let socket = std::net::UdpSocket::bind("127.0.0.1:0");
        enter(&home)?;
        drop(shell);
        let begin = Instant::now();
        let told = succeed(&["reconcile"])?;
        println!("taken back in {:.1?}", begin.elapsed());
        drop(socket?);
        expect(told.contains("gave back eth3 of container theirs"), told)?;
        expect(begin.elapsed() < Duration::from_secs(15), "it waited for the kernel")
    })();
    forget_bundle();
    result
}

/// A child of a process that has stopped, as at a failpoint.
fn stopped(parent: &Child) -> Option<i32> {
    let is_stopped = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| text.contains(") T "))
    };
    children(parent.id()).into_iter().find(is_stopped)
}

/// Lets its child go on as often as that stops.
fn ends(command: &mut Child) -> Result<ExitStatus, Failed> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(30) {
        if let Some(status) = command.try_wait()? {
            return Ok(status);
        }
        let _ = stopped(command).map(|pid| kill(pid, "CONT"));
        std::thread::sleep(Duration::from_millis(20));
    }
    Err("it waits".into())
}

/// Between nicdock's look at a descriptor and its use, what was a namespace becomes a pipe without a writer.
fn pipe(_: &Lab) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pipe");
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0)?;
    let pipe = rustix::fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK, mode)?;
    let mut container = Running::start("eth3", &[], "exec sleep 8117")?;
    eventually("the program runs", || sleeping("8117").is_some())?;
    let init = sleeping("8117").ok_or("no container")?;
    // nicdock comes to the lower number first.
    let mut first = OwnedFd::from(File::open(format!("/proc/{init}/ns/net"))?);
    let second = first.try_clone()?;
    container.kill_supervisor()?;
    for left_open in ["holder-search", ""] {
        rustix::io::dup2(&second, &mut first)?;
        let mut command = command(&["reconcile"]);
        command.env("NICDOCK_LEAVE_OPEN", left_open).env("NICDOCK_FAIL_AT", "holder.seen=stop");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let result = (|| {
            eventually("nicdock has seen it", || stopped(&child).is_some())?;
            let pid = stopped(&child).ok_or("it goes on")?;
            rustix::io::dup2(&pipe, &mut first)?;
            kill(pid, "CONT")?;
            if !left_open.is_empty() {
                // `fifo_open()` waits for a writer.
                let waits = || std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
                eventually("it waits for a writer", || waits() == "wait_for_partner")?;
                child.kill()?;
                return Ok(child.wait().map(drop)?);
            }
            let status = ends(&mut child)?;
            expect(status.success(), format!("reconcile: {status}"))
        })();
        if result.is_err() {
            let _ = child.kill();
        }
        result?;
    }
    Ok(())
}
