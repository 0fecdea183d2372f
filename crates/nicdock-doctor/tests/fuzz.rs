//! Fuzzes the checks: whatever a capture says of what is around the NICs, time and memory are bounded by its length.

use nicdock_doctor::{CHECKS, Subject, examine};
use nicdock_fuzzing::{check, samples};
use nicdock_host::capture::Capture;
use nicdock_host::constructed::{Machine, hosts};
use nicdock_host::environment;
use nicdock_host::inventory;
use nicdock_host::source::Entry;

/// Whether only the checks read it.
fn is_around(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_fact = path.starts_with("facts/") && name != "version";
    let of_functions = ["config", "rate", "limits", "abi_version", "actions_avail", "cgroup.controllers"];
    is_fact || path.contains("/gid") || name.contains("_link_") || of_functions.contains(&name)
}

/// A machine of which everything around its NICs was recorded.
fn recorded(mut machine: Machine) -> Capture {
    machine.surroundings("0-3", &["231:192 uverbs0".to_owned()]);
    machine.capture()
}

#[test]
fn surroundings() {
    let machines = [hosts::cisco_usnic(), hosts::mlx5_sriov(), hosts::infiniband_8()].map(recorded);
    check(&samples!("surroundings"), |bytes| {
        for machine in &machines {
            let mut entries = machine.entries().clone();
            for (_, entry) in entries.iter_mut().filter(|(path, _)| is_around(path)) {
                *entry = Entry::File(bytes.to_vec());
            }
            let capture = Capture::from_parts(entries, Vec::new());
            for capture in [capture.redacted(), capture] {
                let host = inventory::read(&capture).expect("the inventory reads none of it");
                let environment = environment::read(&capture, &host, None);
                let leases = Ok(Vec::new());
                let nics = host.nics.iter().collect();
                let subject =
                    Subject { host: &host, nics, environment: &environment, image: None, leases: &leases };
                assert!(examine(&subject).len() >= CHECKS.len());
            }
        }
    });
}
