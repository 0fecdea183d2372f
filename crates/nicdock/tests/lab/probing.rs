//! `nicdock probe` tells what a program can do with its RDMA device, and why not.

pub mod usnic;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::nicdock::{eventually, expect, fail, nicdock, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("probe_in_a_container_finds_just_its_device_and_can_use_it", container, |_| true),
    ("probe_on_the_host_finds_every_device", every_device, |_| true),
    ("probe_goes_by_rdma_device_node_name_and_path", named, Lab::is_first),
    ("an_unknown_device_is_an_error_that_lists_those_there", unknown, Lab::is_first),
    ("a_container_without_rdma_is_told_that_no_device_is_visible", none, Lab::is_first),
    ("probe_says_that_no_memory_may_be_pinned", memlock, Lab::is_oldest_or_newest),
    ("a_node_that_may_not_be_opened_is_told_with_its_mode", private_node, Lab::is_first),
    ("a_missing_node_is_told", missing_node, Lab::is_first),
    ("a_device_of_another_rdma_namespace_is_told", exclusive, Lab::is_oldest_or_newest),
];

const STEPS: [&str; 14] = [
    "sysfs",
    "node",
    "open",
    "get_context",
    "query_device",
    "query_port",
    "gid",
    "netdev",
    "memlock",
    "alloc_pd",
    "reg_mr",
    "create_cq",
    "udp_socket",
    "create_qp",
];

/// Where nicdock is: in a container `PATH` is another.
pub fn binary() -> Result<String, Failed> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("nicdock"));
    let found: PathBuf = places.find(|place| place.is_file()).ok_or("nicdock is in PATH in the lab")?;
    Ok(found.display().to_string())
}

/// Runs `nicdock probe --json` in a container.
fn in_container(nic: &str, more: &[&str]) -> Result<Output, Failed> {
    let binary = binary()?;
    let mut args = vec!["run", "--nic", nic, "--host-root"];
    args.extend(more);
    args.extend(["--", &binary, "probe", "--json"]);
    Ok(nicdock(&args))
}

/// The devices in an answer that ended with `status`.
fn devices(output: &Output, status: i32) -> Result<Vec<Value>, Failed> {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    expect(
        output.status.code() == Some(status),
        format!("{} instead of {status}\n{text}{errors}", output.status),
    )?;
    let answer: Value = serde_json::from_str(&text)?;
    expect(answer["schema"] == 1, &answer)?;
    let devices = answer["devices"].as_array().ok_or("devices is a list")?.clone();
    for device in &devices {
        let steps: Vec<&str> = device["steps"]
            .as_array()
            .ok_or("steps is a list")?
            .iter()
            .filter_map(|s| s["step"].as_str())
            .collect();
        expect(steps == STEPS, format!("steps: {steps:?}"))?;
    }
    Ok(devices)
}

/// That a step came out so, and what it says.
fn step<'a>(device: &'a Value, name: &str, result: &str) -> Result<&'a Value, Failed> {
    let steps = device["steps"].as_array().ok_or("steps is a list")?;
    let step = steps.iter().find(|step| step["step"] == name).ok_or("every step is there")?;
    expect(step["result"] == result, format!("{name} is not '{result}': {device:#}"))?;
    Ok(step)
}

/// That a step failed with this error, and says all of `parts`.
fn failed(device: &Value, name: &str, errno: &str, parts: &[&str]) -> Result<(), Failed> {
    let step = step(device, name, "fails")?;
    expect(step["errno"]["name"] == errno, format!("not {errno}: {step}"))?;
    let text = step["text"].as_str().unwrap_or_default();
    expect(
        device["usable"] == false && parts.iter().all(|part| text.contains(part)),
        format!("not {parts:?}: {step}"),
    )
}

/// Runs `nicdock probe --json DEVICE` as an ordinary user without capabilities.
fn as_user(device: &str) -> Result<Output, Failed> {
    let setpriv = ["--reuid", "1000", "--regid", "1000", "--clear-groups", "--bounding-set", "-all"];
    Ok(Command::new("setpriv").args(setpriv).args([&binary()?, "probe", "--json", device]).output()?)
}

fn container(_: &Lab) -> Result<(), Failed> {
    for user in [&[][..], &["--user", "1000"]] {
        let found = devices(&in_container("rxe1", &[&["--netdev", "keep"], user].concat())?, 0)?;
        expect(found.len() == 1, format!("{found:?}"))?;
        let device = &found[0];
        expect(device["rdma_device"] == "rxe1" && device["node"] == "/dev/infiniband/uverbs1", device)?;
        expect(device["usable"] == true, format!("{device:#}"))?;
        for name in ["sysfs", "node", "open", "get_context", "query_device", "query_port", "gid", "memlock"] {
            step(device, name, "works")?;
        }
        for name in ["alloc_pd", "reg_mr"] {
            step(device, name, "works")?;
        }
        // Its netdev stays on the host; queue pairs are usNIC's only.
        for name in ["netdev", "create_cq", "udp_socket", "create_qp"] {
            step(device, name, "not_tried")?;
        }
    }
    Ok(())
}

fn every_device(_: &Lab) -> Result<(), Failed> {
    let found = devices(&nicdock(&["probe", "--json"]), 0)?;
    let names: Vec<&str> = found.iter().filter_map(|device| device["rdma_device"].as_str()).collect();
    expect(names == ["rxe0", "rxe1"], format!("{names:?}"))?;
    let netdev = step(&found[0], "netdev", "works")?;
    expect(netdev["text"].as_str().is_some_and(|text| text.starts_with("eth0 10.77.1.1/24")), netdev)?;
    let text = succeed(&["probe"])?;
    expect(text.starts_with("rxe0 /dev/infiniband/uverbs0: usable\n  ok  sysfs "), &text)?;
    expect(text.contains("\n\nrxe1 /dev/infiniband/uverbs1: usable\n") && !text.contains("FAIL"), text)
}

fn named(_: &Lab) -> Result<(), Failed> {
    for name in ["rxe1", "uverbs1", "/dev/infiniband/uverbs1", "/dev/infiniband/../infiniband/uverbs1"] {
        let found = devices(&nicdock(&["probe", "--json", name]), 0)?;
        expect(found.len() == 1 && found[0]["rdma_device"] == "rxe1", format!("{name}: {found:?}"))?;
    }
    Ok(())
}

fn unknown(_: &Lab) -> Result<(), Failed> {
    let there = "rxe0 (uverbs0), rxe1 (uverbs1)";
    for name in ["rxe7", "uverbs7", "/dev/null"] {
        let error = fail(1, &["probe", name])?;
        expect(error.contains(name) && error.contains(there), error)?;
    }
    let error = fail(1, &["probe", "/dev/infiniband/uverbs7"])?;
    expect(error.contains("cannot look at /dev/infiniband/uverbs7"), error)
}

fn none(_: &Lab) -> Result<(), Failed> {
    let output = in_container("eth3", &[])?;
    expect(devices(&output, 1)?.is_empty(), "no devices")?;
    let error = String::from_utf8_lossy(&output.stderr);
    expect(error.contains("no RDMA device is visible here"), error)
}

fn memlock(_: &Lab) -> Result<(), Failed> {
    let limited = |limit| in_container("rxe1", &["--netdev", "keep", "--user", "1000", "--memlock", limit]);
    let found = devices(&limited("0")?, 1)?;
    let text = step(&found[0], "memlock", "fails")?;
    expect(text["text"].as_str().is_some_and(|text| text.starts_with("0: ")), text)?;
    failed(&found[0], "reg_mr", "EPERM", &["RLIMIT_MEMLOCK is 0"])?;
    let found = devices(&limited("64K")?, 0)?;
    let text = step(&found[0], "memlock", "works")?;
    expect(text["text"].as_str().is_some_and(|text| text.starts_with("64 KiB")), text)
}

fn private_node(_: &Lab) -> Result<(), Failed> {
    let node = "/dev/infiniband/uverbs0";
    expect(devices(&as_user("rxe0")?, 0)?.len() == 1, "an ordinary user may use a node that is 0666")?;
    set_permissions(node, Permissions::from_mode(0o600))?;
    let output = as_user("rxe0");
    set_permissions(node, Permissions::from_mode(0o666))?;
    let found = devices(&output?, 1)?;
    failed(&found[0], "open", "EACCES", &["uid 1000", "0600", "0:0"])?;
    for (name, needed) in [("get_context", "open"), ("alloc_pd", "get_context"), ("reg_mr", "alloc_pd")] {
        let step = step(&found[0], name, "not_tried")?;
        expect(step["text"] == format!("needs {needed}"), step)?;
    }
    Ok(())
}

fn missing_node(_: &Lab) -> Result<(), Failed> {
    let (node, away) = ("/dev/infiniband/uverbs0", "/dev/infiniband/away");
    std::fs::rename(node, away)?;
    let output = nicdock(&["probe", "--json", "rxe0"]);
    // A node may have any name.
    let renamed = nicdock(&["probe", "--json", away]);
    std::fs::rename(away, node)?;
    failed(&devices(&output, 1)?[0], "node", "ENOENT", &["uverbs0 is not there", "nicdock run --nic rxe0"])?;
    let renamed = devices(&renamed, 0)?;
    expect(renamed[0]["rdma_device"] == "rxe0" && renamed[0]["node"] == away, &renamed[0])
}

fn exclusive(_: &Lab) -> Result<(), Failed> {
    let mode = |mode: &str| run(&["rdma", "system", "set", "netns", mode]);
    // The mode can be changed only while there is no other namespace, and those end some time after their processes.
    eventually("exclusive mode", || mode("exclusive"))?;
    let output = Command::new("unshare").args(["-n", &binary()?, "probe", "--json", "rxe0"]).output();
    eventually("shared mode", || mode("shared"))?;
    failed(&devices(&output?, 1)?[0], "open", "EPERM", &["exclusive mode", "rdma dev set rxe0 netns"])
}

fn run(words: &[&str]) -> bool {
    Command::new(words[0]).args(&words[1..]).output().is_ok_and(|output| output.status.success())
}
