//! A container whose processes are in groups of its own, as systemd makes them, is attached as a whole.

use std::fs;
use std::process::Command;

use libtest_mimic::Failed;

use crate::engine::rxe1;
use crate::lifecycle::kill;
use crate::nicdock::{command, eventually, expect, fail, sleeping, succeed};
use crate::shell::{accepting, forget_bundle, of_runtime};
use crate::sockets::FROM_INSIDE;
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[("a_container_in_groups_of_its_own_is_attached_as_a_whole", whole, |lab| {
    lab.cgroup == "v2" && Lab::is_first_of_its_kernel(lab)
})];

/// That of the bundle.
const GROUP: &str = "/sys/fs/cgroup/oci-attach";

fn whole(lab: &Lab) -> Result<(), Failed> {
    let result = in_parts(lab);
    forget_bundle();
    result
}

fn in_parts(lab: &Lab) -> Result<(), Failed> {
    let mut shell = of_runtime("crun")?;
    let pid = shell.pid()?;
    let into = |part: &str, pid: &str| -> Result<(), Failed> {
        fs::create_dir_all(format!("{GROUP}/{part}"))?;
        Ok(fs::write(format!("{GROUP}/{part}/cgroup.procs"), pid)?)
    };
    into("init.scope", &pid)?;
    let attach = [&["attach", "--pid", &pid, "--name", "theirs"][..], &rxe1(lab), accepting(lab)].concat();
    // One of its processes beside a process of the host's.
    let mut host = Command::new("sleep").arg("90088").spawn()?;
    let inside = format!("exec nsenter --pid=/proc/{pid}/ns/pid sleep 90089");
    let mut member = Command::new("sh").args(["-c", &inside]).spawn()?;
    into("host.slice", &host.id().to_string())?;
    eventually("it is in the process namespace", || sleeping("90089").is_some())?;
    into("system.slice", &sleeping("90089").unwrap_or_default().to_string())?;
    let said = fail(8, &attach);
    host.kill()?;
    host.wait()?;
    let said = said?;
    expect(said.contains(&format!("process {}", host.id())) && said.contains("nsenter"), said)?;
    // By its first process's group alone what runs in others is refused nothing.
    let eth3 = ["attach", "--pid", &pid, "--name", "theirs", "--nic", "eth3"];
    let output = command(&eth3).env("NICDOCK_LEAVE_OPEN", "whole-container").output()?;
    into("later.slice", &pid)?;
    let text = shell.ask(FROM_INSIDE)?;
    into("init.scope", &pid)?;
    let is_open = output.status.success() && text.lines().next() == Some("open");
    expect(is_open, format!("the attack failed: {text}{output:?}"))?;
    succeed(&["detach", "theirs"])?;
    succeed(&attach)?;
    kill(sleeping("90089").unwrap_or_default(), "KILL")?;
    member.wait()?;
    // A service that starts later.
    for part in ["init.scope", "later.slice"] {
        into(part, &pid)?;
        let text = shell.ask(FROM_INSIDE)?;
        let lines: Vec<&str> = text.lines().collect();
        expect(lines[..2] == ["93", "93"], format!("in {part}: {text}"))?;
        shell.ask("exec 9<>/dev/infiniband/uverbs1 && exec 9>&-")?;
    }
    succeed(&["detach", "theirs"]).map(drop)
}
