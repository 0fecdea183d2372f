//! `nicdock run --join`: the second container of a NIC.

use std::process::Stdio;

use libtest_mimic::Failed;

use super::{Entry, FOLDER, each, with};
use crate::attempts::{Attempt, all_is_free, try_each};
use crate::engine::weaknesses;
use crate::lifecycle::kill;
use crate::nicdock::{Running, command, eventually, expect, sleeping, succeed};
use crate::shell::Shell;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("attacks_that_fail_in_a_container_fail_in_one_that_has_joined_it", attacks, Lab::is_first),
    ("a_container_that_has_joined_is_closed_and_limited_as_one_with_a_nic", closed, Lab::is_first),
    ("a_bundle_leads_one_that_joins_no_further_than_one_with_a_nic", bundles, |lab| {
        lab.is_first_of_its_kernel() && lab.cgroup == "v1"
    }),
];

/// The first container, and the one that has joined it, which attacks.
#[derive(Default)]
struct Joined(Vec<Shell>);

/// A container of nicdock's whose program is a shell.
fn container(options: &[&str], setting: &str) -> Result<Shell, Failed> {
    let run = [&["nicdock", "run", "--host-root"], options, &["--", "sh"]].concat();
    let mut command = with(setting, &run);
    command.stdin(Stdio::piped());
    Shell::start(command, Vec::new())
}

impl Entry for Joined {
    fn begin(&mut self, nic: &[&str], setting: &str) -> Result<(), Failed> {
        std::fs::create_dir_all(FOLDER)?;
        let volume = format!("{FOLDER}:{FOLDER}");
        self.0.push(container(&[nic, &["--name", "first"]].concat(), setting)?);
        self.0.push(container(&["--join", "first", "--name", "second", "-v", &volume], setting)?);
        Ok(())
    }

    fn pid(&mut self) -> Result<String, Failed> {
        self.0.last_mut().ok_or("there is no container")?.pid()
    }

    fn inside(&mut self, script: &str) -> Result<String, Failed> {
        self.0.last_mut().ok_or("there is no container")?.ask(script)
    }

    /// The first one's end leaves the NIC to the second, whose end gives it back.
    fn end(&mut self) -> Result<(), Failed> {
        self.0.drain(..).for_each(drop);
        Ok(())
    }

    fn end_killed(&mut self) -> Result<(), Failed> {
        self.0.iter().try_for_each(|shell| kill(shell.id().try_into()?, "KILL"))?;
        self.end()
    }
}

fn attacks(lab: &Lab) -> Result<(), Failed> {
    try_each(&mut Joined::default(), &each(lab, lab.cgroup == "v1"))
}

const JOIN: [&str; 2] = ["--join", "first"];

/// A first container that is left alone.
fn closed(_: &Lab) -> Result<(), Failed> {
    let first = Running::start("eth3", &["--name", "first"], "sleep 90500; true")?;
    let attempts: &[Attempt<()>] = &[
        ("a socket that lists or reaches other devices", |()| sockets()),
        ("a node of the host's console", |()| console()),
        ("more processes than are allowed", |()| processes()),
        ("the terminal is passed out and read later", |()| crate::terminals::typed_later_in(&JOIN)),
        ("nicdock is overwritten by /proc/self/exe", |()| crate::executable::overwrites(&JOIN)),
    ];
    try_each(&mut (), attempts)?;
    outlives(first)
}

/// What the script says in a container that has joined, with closings left out.
fn says(options: &[&str], left_open: &str, script: &str) -> Result<String, Failed> {
    let mut command =
        command(&[&["run", "--host-root"], &JOIN[..], options, &["--", "sh", "-c", script]].concat());
    let output = command.env("NICDOCK_LEAVE_OPEN", left_open).stdin(Stdio::null()).output()?;
    expect(output.status.success(), format!("{output:?}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Attack 5. 93 is EPROTONOSUPPORT.
fn sockets() -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let script = format!("{this} --probe socket 16 3 16; {this} --probe socket 16 3 20");
    let both = says(&[], "seccomp-sockets,socket-program,verify", &script)?;
    expect(both == "open\nopen\n", format!("the attack failed although nothing closes: {both}"))?;
    for left_open in ["seccomp-sockets,verify", "socket-program,verify", ""] {
        let said = says(&[], left_open, &script)?;
        expect(!said.contains("open"), format!("'{left_open}' left out: {said}"))?;
    }
    Ok(())
}

/// Attack 16. 1 is EPERM.
fn console() -> Result<(), Failed> {
    let this = std::env::current_exe()?.display().to_string();
    let script = format!("{this} --probe mknod /dev/host 5 1; {this} --probe open /dev/host");
    let may = ["--cap-add", "MKNOD", "--weaken"];
    let found = [says(&may, "device-cgroup,verify", &script)?, says(&may, "", &script)?];
    expect(found == ["open\nopen\n", "open\n1\n"], format!("left out, and with it: {found:?}"))
}

/// Attack 13: its limits are its own, and not the first one's.
fn processes() -> Result<(), Failed> {
    let forks = "(true) 2>/dev/null && echo forked; true";
    expect(says(&[], "", forks)? == "forked\n", "it can start none")?;
    let options = [&["run", "--host-root"], &JOIN[..], &["--pids-limit", "1", "--", "sh", "-c", forks]];
    let output = crate::nicdock::nicdock(&options.concat());
    expect(output.stdout.is_empty(), format!("it starts more than it may: {output:?}"))?;
    let options = ["--join", "first", "--name", "second", "--allow-netlink", "generic"];
    let second = Running::with(&options, "sleep 90501; true")?;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/nicdock/container-second/pids.max")?;
    // What was chosen for it is nobody else's.
    let chosen = [weaknesses("first")?, weaknesses("second")?];
    drop(second);
    expect(limit == "2048\n", limit)?;
    expect(chosen[0].is_empty() && chosen[1] == ["netlink.generic"], format!("{chosen:?}"))
}

/// Attack 15: the second one takes back that it ends with its nicdock, and both are killed.
fn outlives(mut first: Running) -> Result<(), Failed> {
    let script = "exec setpriv --pdeathsig clear sleep 90502 >/dev/null";
    let mut second = Running::with(&["--join", "first", "--name", "second"], script)?;
    eventually("the program runs", || sleeping("90502").is_some())?;
    second.kill_supervisor()?;
    first.kill_supervisor()?;
    let outlived = sleeping("90502").is_some();
    let told = succeed(&["reconcile"])?;
    expect(outlived, "it ended with its nicdock")?;
    expect(sleeping("90502").is_none() && told.contains("gave back eth3"), told)?;
    all_is_free()
}

/// Attacks 4 and 10: names of the bundle's lead elsewhere, or to a daemon.
fn bundles(_: &Lab) -> Result<(), Failed> {
    let _first = Running::start("eth3", &["--name", "first"], "sleep 90503; true")?;
    let attempts: &[Attempt<()>] = &[
        ("a folder of a bundle is exchanged after the check", |()| crate::opened::exchanged_in(&JOIN)),
        ("a bundle binds a folder with a daemon's socket", |()| crate::opened::daemon_in(&JOIN)),
    ];
    try_each(&mut (), attempts)
}
