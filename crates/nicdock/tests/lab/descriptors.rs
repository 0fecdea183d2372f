//! A descriptor that left its container: the NIC is back, and not given to the next until it is closed.

use std::os::unix::net::UnixListener;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::nicdock::{eventually, expect, fail, succeed};
use crate::{Lab, Test};

pub const TESTS: &[Test] = &[
    ("a_nic_drains_while_a_process_outside_has_its_node_open", outside, Lab::is_first_of_its_kernel),
    ("a_nic_drains_while_a_descriptor_of_it_is_on_its_way", on_its_way, Lab::is_first_of_its_kernel),
    ("a_draining_nic_is_given_by_force_only", forced, Lab::is_first_of_its_kernel),
];

pub const FOLDER: &str = "/tmp/passing";

/// A container that passes its node's descriptor to whoever listens, and ends.
fn pass(listener: impl FnOnce(&UnixListener) -> Result<(), Failed>) -> Result<(), Failed> {
    let _ = std::fs::remove_dir_all(FOLDER);
    std::fs::create_dir(FOLDER)?;
    let socket = UnixListener::bind(format!("{FOLDER}/socket"))?;
    let this = std::env::current_exe()?.display().to_string();
    let volume = format!("{FOLDER}:/passing");
    let options =
        ["run", "--nic", "rxe1", "--netdev", "keep", "--host-root", "--name", "passing", "-v", &volume];
    succeed(&[&options[..], &["--", &this, "--probe", "pass", "context", "/passing/socket"]].concat())?;
    let result = listener(&socket);
    drop(socket);
    std::fs::remove_dir_all(FOLDER)?;
    result
}

pub fn lease() -> Result<Value, Failed> {
    let listing: Value = serde_json::from_str(&succeed(&["leases", "--json"])?)?;
    Ok(listing["leases"][0].clone())
}

pub const AGAIN: [&str; 8] = ["run", "--nic", "rxe1", "--netdev", "keep", "--host-root", "--", "true"];

fn outside(_: &Lab) -> Result<(), Failed> {
    pass(|socket| {
        let descriptor = crate::probe::receive(socket)?;
        // Between the container's end and now nobody had it, but for the socket.
        let _ = succeed(&["reconcile"]);
        let lease = lease()?;
        expect(lease["state"] == "draining", &lease)?;
        let by = &lease["draining"][0];
        expect(by["by"] == "process" && by["process"]["pid"] == std::process::id(), by)?;
        let said = fail(125, &AGAIN)?;
        expect(said.contains("has /dev/infiniband/uverbs1 open"), said)?;
        let listing: Value = serde_json::from_str(&succeed(&["ls", "--json"])?)?;
        let nics = listing["nics"].as_array().ok_or("no list")?;
        let nic = nics.iter().find(|nic| nic["name"] == "rxe1").ok_or("no rxe1")?;
        expect(nic["kept_by"].is_string() && nic["held_by"].is_null(), nic)?;
        drop(descriptor);
        let text = succeed(&["reconcile"])?;
        expect(text.contains("rxe1 can be given again"), text)?;
        succeed(&AGAIN).map(drop)
    })
}

fn on_its_way(_: &Lab) -> Result<(), Failed> {
    pass(|_| {
        let lease = lease()?;
        expect(lease["draining"][0]["by"] == "contexts", &lease)?;
        let said = fail(6, &["reconcile"])?;
        expect(said.contains("by a descriptor that no process has"), said)?;
        let said = fail(125, &AGAIN)?;
        expect(said.contains("1 contexts of rxe1"), said)
    })?;
    eventually("nobody has it any more", || succeed(&["reconcile"]).is_ok())
}

fn forced(_: &Lab) -> Result<(), Failed> {
    pass(|_| {
        let said = fail(6, &["return", "rxe1"])?;
        expect(said.contains("--force"), said)?;
        succeed(&["return", "rxe1", "--force"])?;
        succeed(&AGAIN).map(drop)?;
        // That one's end finds the first one's descriptor.
        let lease = lease()?;
        expect(lease["state"] == "draining", &lease)
    })?;
    eventually("nobody has it any more", || succeed(&["reconcile"]).is_ok())
}
