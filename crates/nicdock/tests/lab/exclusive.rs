//! Exclusive RDMA network namespaces: the RDMA device itself moves into the container.
//!
//! With a build of rdma_rxe made for tests only, whose devices can move (xtask/src/kernels/edited_rxe/movable.rs).

use std::process::Command;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::isolation::number_of;
use crate::nicdock::{Running, eventually, expect, shell, sleeping, succeed, words};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("whether_an_rdma_device_can_move_is_found_by_trying", tried, |lab| lab.exclusive),
    ("trying_whether_an_rdma_device_can_move_does_not_touch_it", untouched, |lab| lab.exclusive),
    ("an_rdma_device_that_moves_is_the_only_one_inside_and_away_from_the_host", moved, |lab| lab.exclusive),
    ("two_containers_have_an_rdma_device_each_and_cannot_open_the_others", two, |lab| lab.exclusive),
    ("a_moved_rdma_device_is_back_after_kill_9_of_the_program", kill_program, |lab| lab.exclusive),
    ("a_moved_rdma_device_is_back_after_kill_9_of_nicdock", kill_nicdock, |lab| lab.exclusive),
    ("the_next_run_waits_for_the_kernel_to_give_back_a_moved_rdma_device", next_run, |lab| lab.exclusive),
];

const RXE1: [&str; 4] = ["--nic", "rxe1", "--netdev", "keep"];

fn tried(_: &Lab) -> Result<(), Failed> {
    let listing: Value = serde_json::from_str(&succeed(&["ls", "--json"])?)?;
    let nics = listing["nics"].as_array().ok_or("no list")?;
    let nic = nics.iter().find(|nic| nic["name"] == "rxe1").ok_or("no rxe1")?;
    expect(nic["isolation"]["method"] == "rdma-netns", nic)?;
    let text = succeed(&[&["plan", "--json"], &RXE1[..], &["--host-root", "--", "true"]].concat())?;
    let plan: Value = serde_json::from_str(&text)?;
    let rdma = &plan["grants"][0]["rdma"][0];
    expect(rdma["moves"] == true && rdma["device"]["moves"] == true, text)
}

/// A device that moves is taken from its users and made known again: the kernel makes its node anew.
fn untouched(_: &Lab) -> Result<(), Failed> {
    let identity = || Command::new("stat").args(["-c", "%i %z", "/dev/infiniband/uverbs1"]).output();
    let before = identity()?.stdout;
    succeed(&["ls"])?;
    expect(!before.is_empty() && before == identity()?.stdout, "uverbs1 was made anew")?;
    shell(&RXE1, "true")?;
    expect(before != identity()?.stdout, "uverbs1 is the same after a real move: this test sees nothing")
}

/// The RDMA devices that netlink lists in the network namespace of a process, or here.
fn listed(pid: Option<i32>) -> Result<Vec<String>, Failed> {
    let pid = pid.unwrap_or(1).to_string();
    let output = Command::new("nsenter").args(["-t", &pid, "-n", "rdma", "-j", "dev"]).output()?;
    let devices: Value = serde_json::from_slice(&output.stdout)?;
    let names = devices.as_array().ok_or("no list")?.iter();
    let mut names: Vec<String> = names.filter_map(|d| Some(d["ifname"].as_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn moved(_: &Lab) -> Result<(), Failed> {
    let script = "cd /sys/class; ls infiniband; echo -; ls infiniband_verbs; echo -; ls /dev/infiniband; echo -; \
                  ibv_devices | tail -n +3 | cut -f1-2; echo -; ibv_devinfo";
    let text = shell(&RXE1, script)?;
    let parts: Vec<&str> = text.split("-\n").collect();
    expect(words(parts[0]) == ["rxe1"], &text)?;
    expect(words(parts[1]) == ["abi_version", "uverbs1"], &text)?;
    expect(words(parts[2]) == ["uverbs1"], &text)?;
    expect(parts[3].contains("rxe1") && !parts[3].contains("rxe0"), &text)?;
    expect(text.contains("hca_id:\trxe1") && text.contains("PORT_ACTIVE") && !text.contains("rxe0"), &text)?;

    let running = Running::with(&RXE1, "exec sleep 90101")?;
    eventually("the program runs", || sleeping("90101").is_some())?;
    let inside = listed(sleeping("90101"))?;
    let outside = listed(None)?;
    drop(running);
    expect(inside == ["rxe1"] && outside == ["rxe0"], format!("{inside:?} inside, {outside:?} outside"))?;
    expect(listed(None)? == ["rxe0", "rxe1"], "it is not back")
}

fn two(_: &Lab) -> Result<(), Failed> {
    let _first = Running::with(&RXE1, "exec sleep 90102")?;
    let (major, minor) = number_of("uverbs1")?;
    let this = std::env::current_exe()?.display().to_string();
    let script = format!(
        "ls /sys/class/infiniband; {this} --probe mknod /dev/other {major} {minor}; {this} --probe open /dev/other"
    );
    let text = shell(
        &["--nic", "rxe0", "--netdev", "keep", "--cap-add", "MKNOD", "--weaken", "--name", "second"],
        &script,
    )?;
    expect(text == "rxe0\nopen\n1\n", text)
}

fn kill_program(_: &Lab) -> Result<(), Failed> {
    let running = Running::with(&RXE1, "exec sleep 90103")?;
    eventually("the program runs", || sleeping("90103").is_some())?;
    crate::lifecycle::kill(sleeping("90103").ok_or("no program")?, "KILL")?;
    let status = running.wait()?;
    expect(status == Some(137) && listed(None)? == ["rxe0", "rxe1"], format!("{status:?}"))
}

fn kill_nicdock(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::with(&RXE1, "sleep 90104; true")?;
    running.kill_supervisor()?;
    let text = succeed(&["reconcile"])?;
    expect(text.contains("rxe1") && listed(None)? == ["rxe0", "rxe1"], text)
}

fn next_run(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::with(&RXE1, "sleep 90105; true")?;
    running.kill_supervisor()?;
    let text = shell(&RXE1, "ls /sys/class/infiniband")?;
    expect(text == "rxe1\n", text)
}
