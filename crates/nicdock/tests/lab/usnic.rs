//! usNIC on its stock drivers: a container with one of two virtual Cisco VICs.

use std::process::Stdio;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::isolation::number_of;
use crate::nicdock::{Running, command, expect, fail, nicdock, shell, succeed, words};
use crate::{Lab, Test, vic};

pub const TESTS: &[Test] = &[
    ("a_container_has_its_usnic_and_nothing_of_the_other", alone, |_| true),
    ("a_usnic_is_chosen_by_device_kind_netdev_or_address", selectors, Lab::is_first),
    ("usnic_is_ready_when_the_program_starts", ready, |_| true),
    ("libfabric_lists_exactly_one_usnic", libfabric, Lab::registers_usnic_memory),
    (
        "libfabric_sends_between_two_containers_as_an_ordinary_user",
        two_containers,
        Lab::registers_usnic_memory,
    ),
    ("libfabric_sends_with_jumbo_frames", jumbo, Lab::registers_usnic_memory),
    ("libfabric_sends_between_a_container_and_the_host", container_and_host, Lab::registers_usnic_memory),
    ("a_small_memlock_fails_as_the_plan_warned", small_memlock, Lab::registers_usnic_memory),
    ("the_pool_shows_whose_queue_pairs_there_are", pool, Lab::registers_usnic_memory),
    ("two_containers_share_one_usnic", shared, Lab::registers_usnic_memory),
    ("usnic_refuses_keep_and_a_missing_address", refusals, Lab::is_first),
    ("the_plan_warns_of_a_kernel_that_crashes", kernel_notice, |_| true),
];

/// fi_info or fi_pingpong of a libfabric that has the usnic provider.
pub fn libfabric_program(name: &str) -> Result<String, Failed> {
    Ok(format!("{}/bin/{name}", std::env::var("NICDOCK_LAB_LIBFABRIC")?))
}

fn alone(_: &Lab) -> Result<(), Failed> {
    let look = "cd /sys/class; ls infiniband; echo -; ls infiniband_verbs; echo -; ls net; echo -; ls /dev/infiniband; \
                echo -; ls /sys/bus/pci/devices; echo -; ip -br link | cut -d' ' -f1; echo -; \
                cat infiniband/usnic_1/iface";
    let text = shell(&["--nic", "usnic_1", "--user", "1000"], look)?;
    let parts: Vec<Vec<&str>> = text.split("-\n").map(words).collect();
    let expected: [&[&str]; 7] = [
        &["usnic_1"],
        &["abi_version", "uverbs1"],
        &["lo", "vic1"],
        &["uverbs1"],
        &["0000:00:1e.1", "0000:04:00.0"],
        &["lo", "vic1"],
        &["vic1"],
    ];
    for (found, wanted) in parts.iter().zip(expected) {
        expect(found == wanted, format!("{found:?} instead of {wanted:?}"))?;
    }
    // The other's node can be made and not opened.
    let (major, minor) = number_of("uverbs0")?;
    let this = std::env::current_exe()?.display().to_string();
    let script = format!("{this} --probe mknod /dev/other {major} {minor}; {this} --probe open /dev/other");
    let text = shell(&["--nic", "usnic_1", "--cap-add", "MKNOD", "--weaken"], &script)?;
    expect(text == "open\n1\n", text)
}

fn selectors(_: &Lab) -> Result<(), Failed> {
    for (selector, device) in [
        ("usnic_0", "usnic_0"),
        ("vic1", "usnic_1"),
        ("0000:03:00.0", "usnic_0"),
        ("kind=usnic,any", "usnic_0"),
        ("kind=usnic,subnet=10.78.2.0/24", "usnic_1"),
    ] {
        let text = succeed(&["plan", "--json", "--nic", selector, "--host-root", "--", "true"])?;
        let plan: Value = serde_json::from_str(&text)?;
        expect(plan["container"]["nics"][0]["rdma_device"] == device, format!("{selector}: {text}"))?;
    }
    Ok(())
}

/// The driver forgets the address whenever the netdev moves, and learns it again from an event.
fn ready(_: &Lab) -> Result<(), Failed> {
    let script =
        "cat /sys/class/infiniband/usnic_0/ports/1/state /sys/class/infiniband/usnic_0/ports/1/gids/0";
    let text = shell(&["--nic", "usnic_0", "--ip", "10.78.9.5/24"], script)?;
    expect(text.starts_with("4: ACTIVE\nfe80:0000:0a4e:0905:"), text)
}

fn libfabric(_: &Lab) -> Result<(), Failed> {
    let program = libfabric_program("fi_info")?;
    for user in ["0", "1000"] {
        let args = ["run", "--nic", "usnic_1", "--user", user, "--host-root", "--", &program, "-p", "usnic"];
        let text = succeed(&args)?;
        let mut domains: Vec<&str> =
            text.lines().filter(|line| line.contains("domain:")).map(str::trim).collect();
        domains.sort_unstable();
        domains.dedup();
        expect(domains == ["domain: usnic_1"], text)?;
    }
    Ok(())
}

/// Runs fi_pingpong's server as `server` says and its client as `client` says; both must end well.
fn ping_pong(server: &[&str], client: &[&str], to: &str) -> Result<String, Failed> {
    let program = libfabric_program("fi_pingpong")?;
    let common = "-p usnic -e dgram -I 10 -S all";
    let serve = format!("exec {program} {common} 2>&1");
    // The server listens for its control connection some time after it was started.
    let connect = format!(
        "for i in $(seq 100); do {program} {common} {to} >/tmp/out 2>&1 && exec cat /tmp/out; sleep 0.2; done; cat /tmp/out; exit 1"
    );
    let run = |prefix: &[&str], script: &str| {
        let mut line = prefix.to_vec();
        line.extend(["sh", "-c", script]);
        let mut command = std::process::Command::new(line[0]);
        command.args(&line[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn()
    };
    let mut server = run(server, &serve)?;
    let client = run(client, &connect)?.wait_with_output()?;
    let text = String::from_utf8_lossy(&client.stdout).into_owned();
    if !client.status.success() {
        let _ = server.kill();
        let said = server.wait_with_output()?;
        let said = [said.stdout, said.stderr, client.stderr].concat();
        return Err(format!("{text}\n{}", String::from_utf8_lossy(&said)).into());
    }
    let server = server.wait_with_output()?;
    expect(server.status.success(), format!("{server:?}"))?;
    Ok(text)
}

const SERVER: [&str; 10] =
    ["nicdock", "run", "--nic", "usnic_1", "--ip", "10.78.9.2/24", "--user", "1000", "--host-root", "--"];
const CLIENT: [&str; 10] =
    ["nicdock", "run", "--nic", "usnic_0", "--ip", "10.78.9.1/24", "--user", "1000", "--host-root", "--"];

fn two_containers(_: &Lab) -> Result<(), Failed> {
    let text = ping_pong(&SERVER, &CLIENT, "10.78.9.2")?;
    expect(text.lines().any(|line| line.starts_with("1k ")), text)
}

fn jumbo(_: &Lab) -> Result<(), Failed> {
    let mtu = |size: &str| -> Result<(), Failed> {
        for netdev in ["vic0", "vic1"] {
            std::process::Command::new("ip").args(["link", "set", netdev, "mtu", size]).status()?;
        }
        Ok(())
    };
    mtu("9000")?;
    let result = ping_pong(&SERVER, &CLIENT, "10.78.9.2");
    mtu("1500")?;
    let text = result?;
    expect(text.lines().any(|line| line.starts_with("8k ")), text)
}

fn container_and_host(_: &Lab) -> Result<(), Failed> {
    let server = ["nicdock", "run", "--nic", "usnic_1", "--ip", "10.78.1.2/24", "--host-root", "--"];
    let text = ping_pong(&server, &["env"], "10.78.1.2")?;
    expect(text.lines().any(|line| line.starts_with("1k ")), text)
}

fn small_memlock(_: &Lab) -> Result<(), Failed> {
    let program = libfabric_program("fi_pingpong")?;
    let args = [
        "run",
        "--nic",
        "usnic_0",
        "--memlock",
        "64K",
        "--user",
        "1000",
        "--host-root",
        "--",
        &program,
        "-p",
        "usnic",
        "-e",
        "dgram",
        "10.78.1.9",
    ];
    let output = nicdock(&args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    expect(!output.status.success() && text.contains("warning") && text.contains("8 MiB"), text)
}

/// A program in a container that has two queue pairs, until it is told to go on.
pub fn with_queue_pairs(nic: &str, more: &[&str]) -> Result<(std::process::Child, u32), Failed> {
    let which: &[&str] = if more.contains(&"--join") { &[] } else { &["--nic", nic] };
    let program = vic::test_program()?;
    vic::with_queue_pairs(command(
        &[&["run", "--host-root"], which, more, &["--", &program, "goes-silent", nic]].concat(),
    ))
}

fn usnic(device: &str) -> Result<Value, Failed> {
    let listing: Value = serde_json::from_str(&succeed(&["ls", "--json"])?)?;
    let nics = listing["nics"].as_array().ok_or("no list")?;
    Ok(nics.iter().find(|nic| nic["name"] == device).ok_or("no such NIC")?["rdma_devices"][0]["usnic"]
        .clone())
}

fn pool(_: &Lab) -> Result<(), Failed> {
    let (child, _) = with_queue_pairs("usnic_0", &[])?;
    let pool = usnic("usnic_0")?;
    let tree = succeed(&["ls", "--tree"])?;
    end(child)?;
    expect(pool["vfs"] == 4 && pool["vfs_in_use"] == 2 && pool["iommu"] == true, &pool)?;
    let pairs = pool["queue_pairs"].as_array().ok_or("no list")?;
    expect(pairs.len() == 2 && pairs.iter().all(|pair| pair["state"] == "RTS"), &pool)?;
    expect(tree.contains("(vic-test)") && tree.contains("queue pair"), tree)?;
    expect(usnic("usnic_0")?["queue_pairs"] == json!([]), "queue pairs are left")
}

/// Lets a program with queue pairs end: its input ends.
fn end(mut child: std::process::Child) -> Result<(), Failed> {
    drop(child.stdin.take());
    child.wait_with_output()?;
    Ok(())
}

fn shared(_: &Lab) -> Result<(), Failed> {
    let (first, one) = with_queue_pairs("usnic_0", &["--name", "first"])?;
    let (second, other) = with_queue_pairs("usnic_0", &["--join", "first", "--hca-handles", "2"])?;
    let in_use = usnic("usnic_0")?["vfs_in_use"].clone();
    let plan = succeed(&["plan", "--join", "first", "--host-root", "--", "true"])?;
    end(first)?;
    let left = usnic("usnic_0")?["vfs_in_use"].clone();
    end(second)?;
    expect(
        one != other && in_use == 4 && left == 2,
        format!("VFs {one} and {other}, {in_use}, then {left}"),
    )?;
    expect(plan.contains("4 VFs") && plan.contains("take flows"), plan)
}

fn refusals(_: &Lab) -> Result<(), Failed> {
    let text = fail(125, &["run", "--nic", "usnic_0", "--netdev", "keep", "--host-root", "--", "true"])?;
    expect(text.contains("usNIC"), text)?;
    let text = fail(125, &["run", "--nic", "usnic_0", "--ip", "fd78:9::1/64", "--host-root", "--", "true"])?;
    expect(text.contains("IPv4") && text.contains("--ip"), text)?;
    let _running = Running::start("usnic_0", &["--name", "first"], "sleep 90030; true")?;
    let text = fail(125, &["run", "--nic", "kind=usnic,subnet=10.78.1.0/24", "--host-root", "--", "true"])?;
    expect(text.contains("first"), text)
}

fn kernel_notice(lab: &Lab) -> Result<(), Failed> {
    let text = succeed(&["plan", "--nic", "usnic_0", "--host-root", "--", "true"])?;
    expect(text.contains("usnic_uiom_reg_get") != lab.registers_usnic_memory(), text)
}
