//! `nicdock probe` on virtual Cisco VICs under the kernel's own usNIC drivers.

use std::process::{Child, Command};

use libtest_mimic::Failed;
use serde_json::Value;

use super::{as_user, binary, devices, failed, in_container, run, step};
use crate::nicdock::{expect, nicdock};
use crate::vic::{self, knob, port_becomes};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("probe_makes_a_queue_pair_on_every_usnic", every_usnic, |_| true),
    ("probe_in_a_container_makes_a_queue_pair_on_its_usnic_and_sees_no_other", container, |_| true),
    ("a_usnic_without_carrier_is_told_by_its_port_and_queue_pair", carrier, |_| true),
    ("a_usnic_that_has_forgotten_its_address_is_told", forgotten_address, |_| true),
    ("a_usnic_whose_netdev_is_elsewhere_is_told", netdev_elsewhere, |_| true),
    ("a_flow_that_the_firmware_refuses_is_told", firmware, |_| true),
    ("memory_below_what_libfabric_pins_is_told", memlock, |_| true),
    ("a_usnic_whose_vfs_are_all_taken_is_told", vfs, Lab::registers_usnic_memory),
];

/// What a usNIC on which everything else works comes to, on this kernel.
fn as_good_as_the_kernel(lab: &Lab, device: &Value) -> Result<(), Failed> {
    step(device, "create_qp", "works")?;
    if lab.registers_usnic_memory() {
        step(device, "reg_mr", "works")?;
        return expect(device["usable"] == true, format!("{device:#}"));
    }
    let memory = step(device, "reg_mr", "not_tried")?;
    expect(memory["text"].as_str().is_some_and(|text| text.contains("known to crash")), memory)?;
    expect(device["usable"] == false, format!("{device:#}"))
}

fn status(lab: &Lab) -> i32 {
    i32::from(!lab.registers_usnic_memory())
}

fn every_usnic(lab: &Lab) -> Result<(), Failed> {
    let found = devices(&nicdock(&["probe", "--json"]), status(lab))?;
    let is_usnic =
        |device: &&Value| device["rdma_device"].as_str().is_some_and(|name| name.starts_with("usnic_"));
    let usnics: Vec<&Value> = found.iter().filter(is_usnic).collect();
    expect(usnics.len() == lab.vics, format!("{} usNICs", usnics.len()))?;
    for (number, device) in (1..).zip(usnics) {
        as_good_as_the_kernel(lab, device)?;
        let gid = step(device, "gid", "works")?;
        let told = format!("tells 10.78.{number}.1");
        expect(gid["text"].as_str().is_some_and(|text| text.ends_with(&told)), gid)?;
    }
    as_good_as_the_kernel(lab, &devices(&as_user("usnic_1")?, status(lab))?[0])
}

fn container(lab: &Lab) -> Result<(), Failed> {
    for user in [&[][..], &["--user", "1000"]] {
        let found = devices(&in_container("usnic_1", user)?, status(lab))?;
        expect(found.len() == 1 && found[0]["rdma_device"] == "usnic_1", format!("{found:?}"))?;
        as_good_as_the_kernel(lab, &found[0])?;
    }
    port_becomes("usnic_1", "ACTIVE")
}

fn carrier(_: &Lab) -> Result<(), Failed> {
    knob("vic0", &["link-up", "false"])?;
    let down = port_becomes("usnic_0", "DOWN");
    let output = nicdock(&["probe", "--json", "usnic_0"]);
    knob("vic0", &["link-up", "true"])?;
    down?;
    port_becomes("usnic_0", "ACTIVE")?;
    let device = &devices(&output, 1)?[0];
    let port = step(device, "query_port", "fails")?;
    expect(
        port["text"].as_str().is_some_and(|text| text.contains("DOWN") && text.contains("no carrier")),
        port,
    )?;
    failed(device, "create_qp", "EPERM", &["vic0 has no carrier"])
}

fn forgotten_address(_: &Lab) -> Result<(), Failed> {
    let address = |what, ip| run(&["ip", "address", what, ip, "dev", "vic0"]);
    // Any address that is deleted makes the driver forget the one that it knows.
    expect(address("add", "10.78.1.9/24") && address("del", "10.78.1.9/24"), "an address comes and goes")?;
    let forgotten = port_becomes("usnic_0", "INIT");
    let output = nicdock(&["probe", "--json", "usnic_0"]);
    // With the address the driver's memory comes back.
    expect(address("del", "10.78.1.1/24") && address("add", "10.78.1.1/24"), "the address is put on again")?;
    forgotten?;
    port_becomes("usnic_0", "ACTIVE")?;
    let device = &devices(&output, 1)?[0];
    let gid = step(device, "gid", "fails")?;
    expect(gid["text"].as_str().is_some_and(|text| text.contains("10.78.1.1")), gid)?;
    failed(device, "create_qp", "EINVAL", &["knows no IPv4 address of vic0"])
}

fn netdev_elsewhere(_: &Lab) -> Result<(), Failed> {
    let output = Command::new("unshare").args(["-n", &binary()?, "probe", "--json", "usnic_1"]).output()?;
    let device = &devices(&output, 1)?[0];
    let netdev = step(device, "netdev", "fails")?;
    expect(
        netdev["text"].as_str().is_some_and(|text| text.contains("vic1 is not in this network namespace")),
        netdev,
    )?;
    expect(step(device, "create_qp", "not_tried")?["text"] == "needs udp_socket", format!("{device:#}"))
}

fn firmware(_: &Lab) -> Result<(), Failed> {
    // CMD_ADD_FILTER and ERR_ENORESOURCE of the driver's vnic_devcmd.h; the knobs turn back by themselves.
    knob("vic1", &["fail-devcmd", "58"])?;
    knob("vic1", &["fail-devcmd-error", "10"])?;
    let found = devices(&nicdock(&["probe", "--json", "usnic_1"]), 1)?;
    failed(&found[0], "create_qp", "EFAULT", &["firmware refused the flow"])
}

fn memlock(lab: &Lab) -> Result<(), Failed> {
    let limited = |limit| in_container("usnic_1", &["--user", "1000", "--memlock", limit]);
    let found = devices(&limited("4M")?, 1)?;
    let limit = step(&found[0], "memlock", "fails")?;
    expect(limit["text"].as_str().is_some_and(|text| text.starts_with("4096 KiB: libfabric")), limit)?;
    if lab.registers_usnic_memory() {
        failed(&found[0], "reg_mr", "ENOMEM", &["8192 KiB do not fit", "4096 KiB"])?;
    }
    let found = devices(&limited("8M")?, status(lab))?;
    step(&found[0], "memlock", "works")?;
    as_good_as_the_kernel(lab, &found[0])?;
    port_becomes("usnic_1", "ACTIVE")
}

/// A program with queue pairs on two VFs; it ends when this is dropped.
struct TwoVfs(Child);

impl TwoVfs {
    fn take(device: &str) -> Result<Self, Failed> {
        let mut command = Command::new(vic::test_program()?);
        command.args(["goes-silent", device]);
        Ok(Self(vic::with_queue_pairs(command)?.0))
    }
}

impl Drop for TwoVfs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn vfs(_: &Lab) -> Result<(), Failed> {
    let vfs: usize = std::env::var("NICDOCK_LAB_VFS")?.parse()?;
    let mut others = Vec::new();
    for _ in 0..vfs / 2 {
        let beside = devices(&nicdock(&["probe", "--json", "usnic_0"]), 0)?;
        step(&beside[0], "create_qp", "works")?;
        others.push(TwoVfs::take("usnic_0")?);
    }
    failed(
        &devices(&nicdock(&["probe", "--json", "usnic_0"]), 1)?[0],
        "create_qp",
        "ENOMEM",
        &["no VF of usnic_0"],
    )?;
    drop(others);
    let after = devices(&nicdock(&["probe", "--json", "usnic_0"]), 0)?;
    step(&after[0], "create_qp", "works").map(drop)
}
