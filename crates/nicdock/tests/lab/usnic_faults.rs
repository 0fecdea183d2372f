//! What goes wrong with a usNIC while its program runs: the host is as before afterwards, another container undisturbed.

use std::process::Child;

use libtest_mimic::Failed;

use crate::lifecycle::kill;
use crate::nicdock::{Running, eventually, expect, nicdock, sleeping, succeed};
use crate::usnic::with_queue_pairs;
use crate::vic::{self, knob, port_becomes};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_usnic_is_back_after_exit_and_kill_9", killed, |_| true),
    ("queue_pairs_that_are_cut_off_are_reported", in_flight, Lab::registers_usnic_memory),
    ("a_link_that_goes_down_is_told_and_does_not_disturb_the_other", link_down, |_| true),
    ("a_usnic_without_carrier_is_an_error_and_goes_back", no_carrier, |_| true),
    ("a_failing_firmware_command_hurts_its_own_container_only", firmware, Lab::registers_usnic_memory),
    ("a_reset_vf_silences_its_own_container_only", vf_reset, Lab::registers_usnic_memory),
];

/// Comes last, and does not leave the host as it was: it takes a VIC away for good.
pub const UNPLUG: Test = ("an_unplugged_usnic_is_told_and_does_not_disturb_the_other", unplug, |_| true);

/// A container with the other VIC that looks whether its link, address and port stay as they are until it is told to end.
struct Bystander(Running);

impl Bystander {
    fn start() -> Result<Self, Failed> {
        std::fs::create_dir_all("/tmp/bystander")?;
        let script = "while ! [ -e /watch/end ]; do
                grep -q ACTIVE /sys/class/infiniband/usnic_0/ports/1/state || exit 3
                ip -br address show vic0 | grep -q 'UP.*10.78.1.1/24' || exit 4
                sleep 0.1
            done";
        Ok(Self(Running::start(
            "usnic_0",
            &["--name", "bystander", "-v", "/tmp/bystander:/watch:ro"],
            script,
        )?))
    }

    fn end(self) -> Result<(), Failed> {
        std::fs::write("/tmp/bystander/end", "")?;
        let status = self.0.wait();
        std::fs::remove_dir_all("/tmp/bystander")?;
        let status = status?;
        expect(status == Some(0), format!("the bystander was disturbed: {status:?}"))
    }
}

fn killed(_: &Lab) -> Result<(), Failed> {
    let bystander = Bystander::start()?;
    let running = Running::start("usnic_1", &[], "exec sleep 90031")?;
    running.signal("KILL", "90031")?;
    expect(running.wait()? == Some(137), "the program's end")?;
    let mut running = Running::start("usnic_1", &["--ip", "10.78.9.1/24"], "sleep 90032; true")?;
    running.kill_supervisor()?;
    succeed(&["reconcile"])?;
    let output = nicdock(&["run", "--nic", "usnic_1", "--host-root", "--", "true"]);
    let said = String::from_utf8_lossy(&output.stderr);
    // enic has no setter of the speed, and tells none without a carrier.
    expect(output.status.success() && !said.contains("is back without"), said)?;
    bystander.end()
}

fn in_flight(_: &Lab) -> Result<(), Failed> {
    let (child, _) = with_queue_pairs("usnic_1", &[])?;
    kill(i32::try_from(child.id())?, "TERM")?;
    let output = Running(child).output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(
        output.status.code() == Some(143) && text.contains("ended while usnic_1 has 2 queue pairs"),
        text,
    )?;
    // After kill -9 of nicdock there are none left to report: the kernel has destroyed them with the container.
    let (mut child, _) = with_queue_pairs("usnic_1", &[])?;
    child.kill()?;
    child.wait()?;
    let output = nicdock(&["reconcile"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(output.status.success() && !text.contains("goes back with"), text)
}

/// Reads what nicdock says on standard error until it has said `part`.
fn told(child: &mut Child, part: &str) -> Result<(), Failed> {
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("piped")));
    let mut said = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        let found = line.contains(part);
        said.push(line);
        if found {
            return Ok(());
        }
    }
    Err(format!("nicdock ended without '{part}': {said:?}").into())
}

fn sleeping_with_errors(argument: &str) -> Result<Running, Failed> {
    let options = ["--nic", "usnic_1", "--name", "patient"];
    let running = Running::with_errors(&options, &format!("exec sleep {argument}"))?;
    eventually("the program runs", || sleeping(argument).is_some())?;
    Ok(running)
}

fn link_down(lab: &Lab) -> Result<(), Failed> {
    let bystander = Bystander::start()?;
    let mut patient = if lab.registers_usnic_memory() {
        Running(with_queue_pairs("usnic_1", &["--name", "patient"])?.0)
    } else {
        sleeping_with_errors("90033")?
    };
    knob("vic1", &["link-up", "false"])?;
    let part = if lab.registers_usnic_memory() { "usnic_1 has 2 queue pairs" } else { "went down" };
    told(&mut patient.0, part)?;
    if lab.registers_usnic_memory() {
        let tree = succeed(&["ls", "--tree"])?;
        expect(tree.contains(" ERR on VF"), tree)?;
    }
    knob("vic1", &["link-up", "true"])?;
    port_becomes("usnic_1", "ACTIVE")?;
    drop(patient);
    bystander.end()
}

fn no_carrier(_: &Lab) -> Result<(), Failed> {
    knob("vic1", &["link-up", "false"])?;
    let output = nicdock(&["run", "--nic", "usnic_1", "--link-timeout", "3", "--host-root", "--", "true"]);
    knob("vic1", &["link-up", "true"])?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(
        output.status.code() == Some(125) && text.contains("usnic_1") && text.contains("vic1 has no carrier"),
        text,
    )
}

fn firmware(_: &Lab) -> Result<(), Failed> {
    let bystander = Bystander::start()?;
    // CMD_ADD_FILTER fails once, with ERR_ENOMEM-like error 10: no queue pair, and nothing else.
    knob("vic1", &["fail-devcmd", "58"])?;
    knob("vic1", &["fail-devcmd-error", "10"])?;
    let program = vic::test_program()?;
    let fails = nicdock(&["run", "--nic", "usnic_1", "--host-root", "--", &program, "opens", "usnic_1"]);
    let works = nicdock(&["run", "--nic", "usnic_1", "--host-root", "--", &program, "opens", "usnic_1"]);
    expect(!fails.status.success() && works.status.success(), format!("{fails:?}\n{works:?}"))?;
    bystander.end()
}

fn vf_reset(_: &Lab) -> Result<(), Failed> {
    let bystander = Bystander::start()?;
    let (mut child, vf) = with_queue_pairs("usnic_1", &[])?;
    knob("vic1", &["reset-vf", &vf.to_string()])?;
    std::io::Write::write_all(child.stdin.as_mut().expect("piped"), b"now\n")?;
    let output = child.wait_with_output()?;
    expect(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("proven"),
        format!("{output:?}"),
    )?;
    bystander.end()?;
    // The VF is as good as new for the next.
    let program = vic::test_program()?;
    succeed(&["run", "--nic", "usnic_1", "--host-root", "--", &program, "opens", "usnic_1"]).map(drop)
}

/// The program has the node open and no queue pair: with one, the stock driver itself uses memory after it has freed it
/// (docs/usnic.md, "Limits").
fn unplug(_: &Lab) -> Result<(), Failed> {
    let bystander = Bystander::start()?;
    let mut patient = Running::with_errors(
        &["--nic", "usnic_1", "--name", "patient"],
        "exec sleep 90034 3<>/dev/infiniband/uverbs1",
    )?;
    eventually("the program runs", || sleeping("90034").is_some())?;
    knob("vic1", &["unplug"])?;
    told(&mut patient.0, "being unplugged")?;
    // The kernel waits for the program, whatever it is told; the program ends.
    let pid = i32::try_from(patient.0.id())?;
    kill(pid, "TERM")?;
    let status = patient.0.wait()?;
    expect(status.code() == Some(143), format!("{status:?}"))?;
    eventually("the NIC is gone", || !std::path::Path::new("/sys/bus/pci/devices/0000:04:00.0").exists())?;
    let leases = succeed(&["ls", "--json"])?;
    expect(!leases.contains("usnic_1") && !leases.contains("patient"), leases)?;
    bystander.end()
}
