//! A device goes, and the next one gets its number: whoever had the old one must not reach the new one.

use std::process::Command;

use libtest_mimic::Failed;

use crate::lifecycle::kill;
use crate::nicdock::{command, eventually, expect, nicdock, succeed};
use crate::shell::{Shell, accepting, forget_bundle, of_runtime};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("the_number_of_a_device_that_went_does_not_open_the_next_ones", given, Lab::is_first_of_its_kernel),
    ("when_a_device_goes_its_supervisor_takes_rule_and_node", removed, Lab::is_first_of_its_kernel),
    ("reconcile_takes_what_went_from_a_container_of_crun", attached, groups),
    ("of_two_attached_devices_the_one_that_stays_works_and_goes_back", one_of_two, Lab::is_first),
];

/// The device cgroup and the rdma cgroup each close this: a context needs both to be open.
const OPEN: &str = "device-numbers,rdma-cgroup";

/// Each version of control groups once.
fn groups(lab: &Lab) -> bool {
    lab.is_first_of_its_kernel() && !lab.moves_soft_roce()
}

/// Makes and deletes soft-RoCE devices, as another administrator would.
pub fn rdma(words: &str) -> Result<(), Failed> {
    let output = Command::new("rdma").arg("link").args(words.split(' ')).output()?;
    expect(output.status.success(), format!("rdma link {words}: {output:?}"))
}

/// The number that the first device has is the next one's to get.
pub fn has_first_number(device: &str) -> Result<(), Failed> {
    let owner = std::fs::read_to_string("/sys/class/infiniband_verbs/uverbs0/ibdev")?;
    expect(owner.trim() == device, format!("uverbs0 is {owner}, not {device}"))
}

/// The host's devices with the numbers that they had.
fn renumber(lab: &Lab) -> Result<(), Failed> {
    if lab.moves_soft_roce() {
        rdma("delete rxe0")?;
        rdma("delete rxe1")?;
        rdma("add rxe0 type rxe netdev eth0")?;
        return rdma("add rxe1 type rxe netdev eth1");
    }
    let _ = rdma("delete rxe2");
    rdma("add rxe0 type rxe netdev eth0")
}

fn run(lab: &Lab, nic: &str, name: &str, left_open: &str) -> Result<Shell, Failed> {
    let mut command = command(&["run", "--host-root", "--nic", nic, "--name", name, "--umad"]);
    if !lab.moves_soft_roce() {
        command.args(["--netdev", "keep"]);
    }
    command.args(["--", "sh"]).env("NICDOCK_LEAVE_OPEN", left_open);
    Shell::start(command, Vec::new())
}

/// `context` where the container gets one by the node that it was given, else an error's number.
fn tries(shell: &mut Shell) -> Result<String, Failed> {
    let this = std::env::current_exe()?.display().to_string();
    Ok(shell.ask(&format!("{this} --probe context /dev/infiniband/uverbs0"))?.trim().to_owned())
}

/// Whether a process in a group could open the host's node.
pub fn is_allowed(lab: &Lab, group: &str, node: &str) -> Result<bool, Failed> {
    let folder = if lab.cgroup == "v1" { "/sys/fs/cgroup/devices" } else { "/sys/fs/cgroup" };
    let script = format!("echo $$ >{folder}/{group}/cgroup.procs && exec 9<>/dev/infiniband/{node}");
    Ok(Command::new("sh").args(["-c", &script]).output()?.status.success())
}

/// What container `first` may have of a device.
pub fn limit(lab: &Lab, device: &str) -> String {
    let folder = if lab.cgroup == "v1" { "/sys/fs/cgroup/rdma" } else { "/sys/fs/cgroup" };
    let text = std::fs::read_to_string(format!("{folder}/nicdock/container-first/rdma.max"));
    let text = text.unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(' '));
    lines.find(|(name, _)| *name == device).map_or_else(String::new, |(_, limit)| limit.to_owned())
}

fn audit(pid: &str) -> Result<(i32, bool), Failed> {
    let output = nicdock(&["audit", "--pid", pid, "--json", "--only", "device.open.uverbs0"]);
    let report = crate::audit::report(&output)?;
    let open = |probe: &nicdock_audit::report::Entry| {
        probe.id == "device.open.uverbs0.existing" && probe.result == nicdock_audit::Verdict::Open
    };
    Ok((output.status.code().unwrap_or(0), report.probes.iter().any(open)))
}

/// nicdock itself makes the next device, or gives one that somebody made. The first one's supervisor stands still: it is the command
/// that has to act.
fn given(lab: &Lab) -> Result<(), Failed> {
    for left_open in [OPEN, ""] {
        let mut first = run(lab, "rxe0", "first", left_open)?;
        let (pid, supervisor) = (first.pid()?, i32::try_from(first.id())?);
        expect(tries(&mut first)? == "context", "no context by its own device")?;
        kill(supervisor, "STOP")?;
        let next = if lab.moves_soft_roce() { "rxe1" } else { "rxe2" };
        let mut attempt = || -> Result<_, Failed> {
            rdma("delete rxe0")?;
            if !lab.moves_soft_roce() {
                rdma("add rxe2 type rxe netdev eth2")?;
            }
            let second = run(lab, next, "second", left_open)?;
            has_first_number(next)?;
            Ok((second, tries(&mut first)?, audit(&pid)?, limit(lab, next)))
        };
        let result = attempt();
        kill(supervisor, "CONT")?;
        let (mut second, got, audited, limit) = result?;
        expect(tries(&mut second)? == "context", "the next one has no context by its device")?;
        drop(first);
        drop(second);
        renumber(lab)?;
        println!("left open: '{left_open}': {got}, audit {audited:?}");
        if left_open.is_empty() {
            expect(got != "context", "a context by another container's device")?;
            expect(audited == (0, false), format!("audit: {audited:?}"))?;
            expect(limit == "hca_handle=0 hca_object=0", limit)?;
        } else {
            expect(got == "context", format!("the attack failed although nothing closes: {got}"))?;
            expect(audited == (1, true), format!("audit: {audited:?}"))?;
        }
    }
    Ok(())
}

/// Somebody else removes the one and makes the next; no command of nicdock's runs. A container that shares the NIC loses it as well. Of the next one the container gets nothing either.
fn removed(lab: &Lab) -> Result<(), Failed> {
    for left_open in [OPEN, ""] {
        let mut first = run(lab, "rxe0", "first", left_open)?;
        let mut join = command(&["run", "--host-root", "--join", "first", "--name", "second", "--", "sh"]);
        join.env("NICDOCK_LEAVE_OPEN", left_open);
        let mut second = Shell::start(join, Vec::new())?;
        let folder = format!("/proc/{}/root/dev/infiniband", first.pid()?);
        let nodes = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
        expect(nodes() >= 2, "it has no uverbs0 and umad0")?;
        rdma("delete rxe0")?;
        if left_open.is_empty() {
            eventually("the nodes are gone", || nodes() == 0)?;
        }
        rdma("add rxe2 type rxe netdev eth2")?;
        has_first_number("rxe2")?;
        let rule = |node| is_allowed(lab, "nicdock/container-first", node);
        let (got, rules) = (tries(&mut first)?, [rule("uverbs0")?, rule("umad0")?]);
        if left_open.is_empty() {
            eventually("the second's rule is gone", || {
                is_allowed(lab, "nicdock/container-second", "uverbs0").is_ok_and(|allowed| !allowed)
            })?;
        }
        let shared = tries(&mut second)?;
        let limit = if left_open.is_empty() {
            eventually("the next one is limited", || limit(lab, "rxe2") == "hca_handle=0 hca_object=0")
        } else {
            expect(limit(lab, "rxe2") == "hca_handle=max hca_object=max", limit(lab, "rxe2"))
        };
        drop(second);
        drop(first);
        if lab.moves_soft_roce() {
            rdma("delete rxe2")?;
        }
        renumber(lab)?;
        limit?;
        let reached = !left_open.is_empty();
        expect((got == "context") == reached, format!("left open: '{left_open}': {got}"))?;
        expect((shared == "context") == reached, format!("left open: '{left_open}', joined: {shared}"))?;
        expect(rules == [reached; 2], format!("left open: '{left_open}': the rules allow: {rules:?}"))?;
    }
    Ok(())
}

/// It has no supervisor of nicdock's; a rule of udev's calls the command.
fn attached(lab: &Lab) -> Result<(), Failed> {
    let result = (|| {
        let mut shell = of_runtime("crun")?;
        let pid = shell.pid()?;
        let keep = ["--nic", "rxe0", "--netdev", "keep", "--name", "theirs", "--pid", &pid];
        succeed(&[&["attach"][..], &keep, accepting(lab)].concat())?;
        expect(tries(&mut shell)? == "context", "no context by its own device")?;
        rdma("delete rxe0")?;
        rdma("add rxe2 type rxe netdev eth2")?;
        has_first_number("rxe2")?;
        let gone = ["reconcile", "--gone"];
        command(&gone).env("NICDOCK_LEAVE_OPEN", OPEN).output()?;
        expect(tries(&mut shell)? == "context", "the attack failed although nothing closes")?;
        let text = succeed(&gone)?;
        expect(text.contains("took uverbs0 of rxe0 from container theirs"), text)?;
        let got = tries(&mut shell)?;
        expect(got != "context", "a context by another's device")?;
        expect(!is_allowed(lab, "oci-attach", "uverbs0")?, "the rule is still there")?;
        expect(succeed(&gone)?.is_empty(), "taken twice")?;
        // One of the same name is not its own.
        rdma("delete rxe2")?;
        rdma("add rxe0 type rxe netdev eth0")?;
        succeed(&["ls"])?;
        expect(tries(&mut shell)? != "context", "given again by itself")?;
        succeed(&["detach", "theirs"]).map(drop)
    })();
    forget_bundle();
    result
}

fn one_of_two(_: &Lab) -> Result<(), Failed> {
    let launched = command(&["run", "--host-root", "--nic", "eth3", "--name", "two", "--", "sh"]);
    let mut shell = Shell::start(launched, Vec::new())?;
    for nic in ["rxe0", "rxe1"] {
        succeed(&["attach", "--container", "two", "--nic", nic, "--netdev", "keep", "--take-in-use"])?;
    }
    let folder = format!("/proc/{}/root/dev/infiniband", shell.pid()?);
    rdma("delete rxe0")?;
    let names = || {
        let listed = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        listed.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    eventually("the node is gone", || names() == ["uverbs1"])?;
    shell.ask("exec 9<>/dev/infiniband/uverbs1 && exec 9>&-")?;
    rdma("add rxe0 type rxe netdev eth0")?;
    expect(tries(&mut shell)? != "context", "given again by itself")?;
    // What has gone does not keep others from it.
    succeed(&["attach", "--container", "two", "--nic", "eth2"])?;
    succeed(&["detach", "eth2"])?;
    expect(names() == ["uverbs1"], format!("{:?}", names()))?;
    // It is given anew when that is asked for.
    succeed(&["detach", "rxe0"])?;
    succeed(&["attach", "--container", "two", "--nic", "rxe0", "--netdev", "keep", "--take-in-use"])?;
    expect(tries(&mut shell)? == "context", "no context by what was attached anew")?;
    succeed(&["detach", "rxe1"])?;
    expect(names() == ["uverbs0"], format!("{:?}", names()))?;
    succeed(&["detach", "rxe0"]).map(drop)
}
