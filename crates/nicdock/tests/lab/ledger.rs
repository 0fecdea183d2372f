//! The ledger as administrators meet it: `leases`, `return`, `reconcile`, files that cannot be read, a folder that is full.

use std::process::Command;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::lifecycle::kill;
use crate::nicdock::{Running, eventually, expect, fail, nicdock, sleeping, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("leases_tell_who_has_which_nic_and_how_it_was", listed, Lab::is_first),
    ("a_nic_is_taken_from_a_running_container_by_force_only", forced, Lab::is_first_of_its_kernel),
    ("a_nic_is_taken_back_though_its_nicdock_is_stopped", stopped, Lab::is_first),
    ("reconcile_tells_beforehand_what_it_does", dry_run, Lab::is_first),
    ("a_lease_that_breaks_while_its_container_runs_is_put_right_at_its_end", breaks, Lab::is_first),
    ("a_broken_lease_is_refused_loudly_and_repaired_from_the_kernels_state", broken, Lab::is_first),
    ("a_namespace_that_somebody_keeps_gives_the_nic_back_all_the_same", pinned, Lab::is_first_of_its_kernel),
    ("a_full_or_read_only_folder_refuses_before_anything_is_changed", no_room, Lab::is_first),
    ("a_folder_that_is_full_by_then_does_not_keep_a_nic_from_coming_back", full_later, Lab::is_first),
];

fn lease_of(nic: &str) -> Result<Value, Failed> {
    let listing: Value = serde_json::from_str(&succeed(&["leases", "--json"])?)?;
    let leases = listing["leases"].as_array().ok_or("no list")?;
    Ok(leases.iter().find(|lease| lease["nic"] == nic).cloned().unwrap_or_default())
}

fn path_of(nic: &str) -> Result<String, Failed> {
    let address = lease_of(nic)?["pci"].as_str().ok_or("no address")?.to_owned();
    Ok(format!("/run/nicdock/leases/{address}.json"))
}

fn listed(_: &Lab) -> Result<(), Failed> {
    expect(succeed(&["leases"])? == "No NIC is leased.\n", succeed(&["leases"])?)?;
    let running = Running::start("eth3", &["--name", "first"], "exec sleep 90030")?;
    let lease = lease_of("eth3")?;
    expect(lease["state"] == "held" && lease["holders"][0]["container"] == "first", &lease)?;
    expect(lease["holders"][0]["alive"] == true && lease["holders"][0]["user"] == 0, &lease)?;
    expect(lease["before"]["netdevs"][0]["mtu"] == 1400, &lease)?;
    let text = succeed(&["leases"])?;
    expect(text.contains("held") && text.contains("first (process"), text)?;
    drop(running);
    eventually("it is back", || lease_of("eth3").is_ok_and(|lease| lease.is_null()))
}

fn forced(_: &Lab) -> Result<(), Failed> {
    let text = fail(3, &["return", "eth3"])?;
    expect(text.contains("has a lease"), text)?;
    let running = Running::start("eth3", &["--name", "first"], "exec sleep 90031")?;
    let text = fail(5, &["return", "eth3"])?;
    expect(text.contains("container first") && text.contains("--force"), text)?;
    let text = succeed(&["return", "first", "--force"])?;
    expect(text.contains("ended container first and took back eth3"), text)?;
    expect(running.wait()? == Some(137), "its nicdock")?;
    succeed(&["run", "--nic", "eth3", "--host-root", "--", "true"]).map(drop)
}

/// Its supervisor cannot give the NIC back, so another does.
fn stopped(_: &Lab) -> Result<(), Failed> {
    let running = Running::start("eth3", &[], "exec sleep 90032")?;
    kill(i32::try_from(running.0.id())?, "STOP")?;
    succeed(&["return", "eth3", "--force"])?;
    expect(running.wait()?.is_none(), "its nicdock was not killed")
}

fn dry_run(_: &Lab) -> Result<(), Failed> {
    expect(succeed(&["reconcile", "--dry-run"])? == "nothing to give back\n", "something")?;
    let mut running = Running::start("eth3", &["--name", "first"], "sleep 90035; true")?;
    running.kill_supervisor()?;
    let text = succeed(&["reconcile", "--dry-run"])?;
    expect(text.contains("first has ended; would end"), text)?;
    expect(lease_of("eth3")?["state"] == "abandoned", "it was given back")?;
    succeed(&["reconcile"]).map(drop)
}

fn breaks(_: &Lab) -> Result<(), Failed> {
    let running = Running::start("eth3", &["--name", "first"], "exec sleep 90036")?;
    let sharing = Running::with(&["--join", "first", "--name", "second"], "exec sleep 90038")?;
    let path = path_of("eth3")?;
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, &text[..text.len() / 2])?;
    let said = fail(125, &["ls"])?;
    expect(said.contains("nicdock reconcile") && said.contains(&path), said)?;
    fail(125, &["run", "--nic", "rxe1", "--netdev", "keep", "--host-root", "--", "true"])?;
    // The other one keeps the NIC.
    kill(sleeping("90038").ok_or("no program")?, "KILL")?;
    expect(sharing.wait()? == Some(137), "its nicdock")?;
    expect(!std::path::Path::new("/sys/class/net/eth3").exists(), "eth3 is the host's")?;
    let said = fail(9, &["reconcile"])?;
    expect(said.contains("container first runs"), said)?;
    kill(sleeping("90036").ok_or("no program")?, "KILL")?;
    expect(running.wait()? == Some(137), "its nicdock")?;
    Ok(std::fs::remove_dir_all("/run/nicdock/broken")?)
}

fn broken(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::start("eth3", &["--name", "first"], "sleep 90037; true")?;
    let path = path_of("eth3")?;
    running.kill_supervisor()?;
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text.replacen("\"schema\":4", "\"schema\":999", 1))?;
    let said = fail(125, &["run", "--nic", "eth3", "--host-root", "--", "true"])?;
    expect(said.contains("checksum"), said)?;
    let output = nicdock(&["leases"]);
    expect(output.status.code() == Some(1), format!("{output:?}"))?;
    let said = succeed(&["reconcile"])?;
    expect(said.contains("can be given again") && said.contains("/run/nicdock/broken/"), said)?;
    // The kernel gave it back, as one that has just been plugged in.
    for line in ["link set eth3 mtu 1400 up", "address add 10.77.4.1/24 dev eth3"] {
        Command::new("ip").args(line.split(' ')).status()?;
    }
    Command::new("ip").args("address add fd77:4::1/64 dev eth3 nodad".split(' ')).status()?;
    Command::new("ip").args("route add 10.99.0.0/16 via 10.77.4.9".split(' ')).status()?;
    Ok(std::fs::remove_dir_all("/run/nicdock/broken")?)
}

/// A mount keeps the kernel from giving the NIC back.
fn pinned(_: &Lab) -> Result<(), Failed> {
    let mut running = Running::start("eth3", &[], "exec sleep 90038")?;
    eventually("the program runs", || sleeping("90038").is_some())?;
    let program = sleeping("90038").ok_or("no program")?;
    std::fs::write("/tmp/pin", "")?;
    let run = |words: &[&str]| -> Result<(), Failed> {
        let status = Command::new(words[0]).args(&words[1..]).status()?;
        expect(status.success(), format!("{words:?}"))
    };
    run(&["mount", "--bind", &format!("/proc/{program}/ns/net"), "/tmp/pin"])?;
    running.kill_supervisor()?;
    let said = succeed(&["reconcile"]);
    run(&["umount", "/tmp/pin"])?;
    std::fs::remove_file("/tmp/pin")?;
    let said = said?;
    expect(said.contains("gave back eth3"), said)
}

fn mount_state(options: &str) -> Result<(), Failed> {
    let words = ["-t", "tmpfs", "-o", options, "tmpfs", "/run/nicdock"];
    let status = Command::new("mount").args(words).status()?;
    expect(status.success(), "mounting over /run/nicdock")
}

fn unmount_state() -> Result<(), Failed> {
    let status = Command::new("umount").args(["-l", "/run/nicdock"]).status()?;
    expect(status.success(), "unmounting /run/nicdock")
}

fn no_room(_: &Lab) -> Result<(), Failed> {
    std::fs::create_dir_all("/run/nicdock")?;
    for (options, reason) in [("ro", "Read-only"), ("size=8k", "No space left")] {
        mount_state(options)?;
        if reason.starts_with("No space") {
            std::fs::create_dir_all("/run/nicdock/leases")?;
            let _ = std::fs::write("/run/nicdock/filling", [0; 16384]);
        }
        let said = fail(125, &["run", "--nic", "eth3", "--host-root", "--", "true"]);
        unmount_state()?;
        let said = said?;
        expect(said.contains(reason) && said.contains("/run/nicdock"), said)?;
    }
    Ok(())
}

fn full_later(_: &Lab) -> Result<(), Failed> {
    std::fs::create_dir_all("/run/nicdock")?;
    mount_state("size=256k")?;
    let running = Running::start("eth3", &["--name", "first"], "exec sleep 90039")?;
    let _ = std::fs::write("/run/nicdock/filling", vec![0; 512 * 1024]);
    eventually("the program runs", || sleeping("90039").is_some())?;
    kill(sleeping("90039").ok_or("no program")?, "KILL")?;
    let status = running.wait();
    let listed = succeed(&["leases"]);
    unmount_state()?;
    expect(status? == Some(137), "its nicdock")?;
    let listed = listed?;
    expect(listed == "No NIC is leased.\n", listed)
}
